"""Constant load on one address until SIGTERM: half of the clients keep their connections, half open one a request. Prints a line of JSON: requests,
lost (no whole answer of status 200), by the phase that the file named PHASE held when a request was lost; the longest answer.

    load.py HOST:PORT NAME PHASE CLIENTS PER_SECOND"""
import http.client
import json
import signal
import sys
import threading
import time

address, name, phase_file, clients, rate = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
ending = threading.Event()
lock = threading.Lock()
totals = {"requests": 0, "lost": {}, "examples": [], "slowest_ms": 0.0}


def phase():
    with open(phase_file, encoding="utf-8") as f:
        return f.read().strip()


def one(connection):
    """None, or why the request was lost."""
    try:
        connection.request("GET", "/", headers={"Host": name})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or not body:
            return f"status {answer.status}"
        if answer.will_close:
            connection.close()
        return None
    except (OSError, http.client.HTTPException) as e:
        connection.close()
        return f"{type(e).__name__}: {e}"


def client(number):
    connection = http.client.HTTPConnection(address, timeout=15)
    step, due = clients / rate, time.monotonic() + number / rate
    while not ending.wait(max(0.0, due - time.monotonic())):
        due = max(due + step, time.monotonic() - 1)
        start = time.monotonic()
        why = one(connection)
        took = (time.monotonic() - start) * 1000
        if number % 2:
            connection.close()
        with lock:
            totals["requests"] += 1
            totals["slowest_ms"] = max(totals["slowest_ms"], took)
            if why:
                at = phase()
                totals["lost"][at] = totals["lost"].get(at, 0) + 1
                if len(totals["examples"]) < 5:
                    totals["examples"].append(f"{at}: {why}")


signal.signal(signal.SIGTERM, lambda *_: ending.set())
threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
for t in threads:
    t.start()
for t in threads:
    t.join()
totals["slowest_ms"] = round(totals["slowest_ms"], 1)
print(json.dumps(totals))
