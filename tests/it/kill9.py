#!/usr/bin/env python3
"""kill -9 of berthd at random moments while clients write and containers come and go; after every start what is there is
compared with what was acknowledged. tests/it/test_kill9.sh runs it in CI, tests/bench/kill9.sh as a figure and a long run.

  kill9.py --config FILE --socket PATH --log FILE --prefix NAME --image IMAGE [--rounds N] [--seed N] [--seconds N]

Every client is a sequence of numbered changes, one at a time. So after a kill the state must be that of its last
acknowledged change, or that of the one that was in flight: anything else was lost, or done twice. Prints one JSON object; berthd
(the command on PATH) is down when it ends."""
import argparse, ctypes, http.client, json, os, random, signal, socket, subprocess, sys, threading, time


class Unix(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(conn, method, path, body=None):
    """(status, parsed answer)."""
    text = None if body is None else json.dumps(body)
    conn.request(method, path, text, {"Content-Type": "application/json"} if text else {})
    answer = conn.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if data else None


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


NS = "/v1/namespaces/default"


class Client:
    """Makes change number self.done + 1 until the server dies. What a change does, and what it leaves, is the heirs' matter."""

    pause = 0.0

    def __init__(self, run, number):
        self.run, self.number = run, number
        self.done, self.asked, self.total = 0, 0, 0
        self.rand = random.Random(run.o.seed * 1000 + number)

    def work(self):
        conn = Unix(self.run.o.socket, 30)
        try:
            while not self.run.dying.wait(self.pause * self.rand.random()):
                self.asked = self.done + 1
                status, answer = ask(conn, *self.change(self.asked))
                if status >= 300:
                    self.run.refused(self, status, answer)
                    return
                self.done = self.asked
                self.total += 1
        except (OSError, http.client.HTTPException, ValueError):
            pass  # killed: what was asked last may be there or not
        finally:
            conn.close()

    def settle(self, conn):
        """After a start: which of the two it is; anything else is a fault."""
        at = self.found(conn)
        if at not in (self.done, self.asked):
            self.run.fault("lost" if at is None or at < self.done else "twice",
                           f"{self.name()}: acknowledged {self.done}, asked {self.asked}, found {at}")
            at = self.done if at is None else at
        self.done = self.asked = at


class AppClient(Client):
    """Changes of an app without containers: the revision's message is the number. Each makes exactly one revision."""

    extra = 0  # revisions that are no change of ours

    def name(self):
        return f"{self.run.o.prefix}-{self.kind()}{self.number}"

    def kind(self):
        return "app"

    def compose(self, n):
        return (f"name: {self.name()}\nservices:\n  s:\n    image: {self.run.o.image}\n    pull_policy: never\n    network_mode: none\n"
                f"    configs: [c]\n    labels: {{n: '{n}'}}\n    deploy: {{replicas: 0}}\nconfigs:\n  c: {{content: 'number {n}'}}\n")

    def change(self, n):
        return "PUT", f"{NS}/apps/{self.name()}", {"compose": self.compose(n), "message": f"change {n}"}

    def found(self, conn):
        status, app = ask(conn, "GET", f"{NS}/apps/{self.name()}")
        if status == 404:
            return 0
        latest = app["revision"]
        status, revisions = ask(conn, "GET", f"{NS}/apps/{self.name()}/revisions?limit=100")
        items = sorted(revisions["items"], key=lambda r: r["revision"])
        numbers = [int(r["message"].split()[1]) for r in items]
        if any(r["revision"] != n for r, n in zip(items, numbers)) or numbers[-1] != latest:
            self.run.fault("twice", f"{self.name()}: revisions {[r['revision'] for r in items]} hold the changes {numbers}")
        return numbers[-1]


class BusyClient(AppClient):
    """The same with containers: scaled up and down, and now and then made anew."""

    pause = 0.25

    def kind(self):
        return "busy"

    def replicas(self, n):
        return (3, 2, 1, 3, 2, 0)[n % 6]

    def compose(self, n):
        return (f"name: {self.name()}\nservices:\n  s:\n    image: {self.run.o.image}\n    pull_policy: never\n    network_mode: none\n"
                f"    command: [tail, -f, /dev/null]\n    stop_signal: SIGKILL\n    labels: {{n: '{n // 8}'}}\n"
                f"    deploy: {{replicas: {self.replicas(n)}}}\n")


class SecretClient(Client):
    """Secrets set and removed, five at a time: change 2k + 1 sets number k, 2k + 2 removes number k - 4."""

    def name(self):
        return f"{self.run.o.prefix}-secret{self.number}"

    def change(self, n):
        k, removes = divmod(n - 1, 2)
        path = f"{NS}/secrets/{self.name()}-"
        if removes and k >= 4:
            return "DELETE", f"{path}{k - 4}", None
        return "PUT", f"{path}{k}", {"data": "c2VjcmV0"}

    def state(self, n):
        there = set()
        for k in range(max(0, (n - 1) // 2 - 6), (n + 1) // 2):
            there.add(k)
        return {k for k in there if not (n >= 2 * (k + 4) + 2)}

    def found(self, conn):
        path = f"{self.name()}-"
        have = {int(s["name"][len(path):]) for s in self.run.secrets if s["name"].startswith(path)}
        for n in (self.asked, self.done):
            if have == self.state(n):
                return n
        self.run.fault("lost", f"{self.name()}: {sorted(have)} after {self.done} (asked {self.asked})")
        return self.done


class Run:
    def __init__(self, options):
        self.o = options
        self.rand = random.Random(options.seed)
        self.faults, self.words = {"lost": 0, "twice": 0, "duplicates": 0, "orphans": 0, "touched": 0, "refused": 0}, []
        self.dying, self.lock = threading.Event(), threading.Lock()
        self.clients = [AppClient(self, i) for i in range(4)] + [SecretClient(self, i) for i in range(4)]
        self.busy = BusyClient(self, 0)
        self.clients.append(self.busy)
        self.berthd, self.secrets, self.worst_start = None, [], 0.0

    def fault(self, kind, words):
        with self.lock:
            self.faults[kind] += 1
            self.words.append(f"{kind}: {words}")
        print(f"# {kind}: {words}", file=sys.stderr)

    def refused(self, client, status, answer):
        if not self.dying.is_set():
            self.fault("refused", f"{client.name()}: {status} {answer}")

    def start(self):
        with open(self.o.log, "a") as log:
            self.berthd = subprocess.Popen(["berthd", "--config", self.o.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           preexec_fn=die_with_parent)

    def kill(self):
        self.berthd.kill()
        self.berthd.wait()

    def answers(self):
        """Waits until the server answers; the connection."""
        begin = time.monotonic()
        while True:
            conn = Unix(self.o.socket, 30)
            try:
                if ask(conn, "GET", "/v1/health")[0] == 200:
                    self.worst_start = max(self.worst_start, time.monotonic() - begin)
                    return conn
            except OSError:
                pass
            except http.client.HTTPException:
                pass
            conn.close()
            if self.berthd.poll() is not None or time.monotonic() - begin > 30:
                raise SystemExit(f"berthd did not come up (exit code {self.berthd.returncode})")
            time.sleep(0.003)

    def settle(self, conn):
        self.secrets = ask(conn, "GET", f"{NS}/secrets?limit=1000")[1]["items"]
        for client in self.clients:
            client.settle(conn)

    def containers(self):
        """The engine's containers of our apps: app -> [(instance, id, state)]."""
        engine, apps = Unix(self.o.engine, 60), {}
        for c in ask(engine, "GET", "/containers/json?all=1")[1]:
            app = c["Labels"].get("berth.app", "")
            if app.startswith(self.o.prefix + "-"):
                apps.setdefault(app, []).append((c["Labels"]["berth.instance"], c["Id"], c["State"]))
        engine.close()
        for app, found in apps.items():
            names = [f[0] for f in found]
            for name in {n for n in names if names.count(n) > 1}:
                self.fault("duplicates", f"{app}: instance {name} has {names.count(name)} containers")
        return apps

    def calm(self, conn):
        """All writers rest: control and engine must come to agree on the containers."""
        want, until = self.busy.replicas(self.busy.done) if self.busy.done else 0, time.monotonic() + 60
        while True:
            items = ask(conn, "GET", f"{NS}/instances?limit=1000")[1]["items"]
            known = sorted(i["instance"] for i in items if i["app"] == self.busy.name())
            running = [i for i in items if i["app"] == self.busy.name() and i["state"] == "running"]
            there = self.containers().get(self.busy.name(), [])
            if len(known) == len(running) == want and known == sorted(t[0] for t in there):
                return
            if time.monotonic() > until:
                self.fault("orphans", f"wanted {want}, known {known}, containers {there}")
                return
            time.sleep(0.1)

    def untouched(self):
        engine = Unix(self.o.engine, 60)
        ids = sorted(i for _, i, _ in self.containers().get(f"{self.o.prefix}-calm", []))
        found = [(i, ask(engine, "GET", f"/containers/{i}/json")[1]["State"]["StartedAt"]) for i in ids]
        engine.close()
        return found

    def calm_app(self, conn):
        """An app that nobody changes: its containers must run through all of it."""
        name = f"{self.o.prefix}-calm"
        compose = (f"name: {name}\nservices:\n  s:\n    image: {self.o.image}\n    pull_policy: never\n    network_mode: none\n"
                   "    command: [tail, -f, /dev/null]\n    stop_signal: SIGKILL\n    restart: always\n    deploy: {replicas: 2}\n")
        ask(conn, "PUT", f"{NS}/apps/{name}", {"compose": compose})
        until = time.monotonic() + 60
        while len(self.untouched()) < 2 or any(t.startswith("0001") for _, t in self.untouched()):
            if time.monotonic() > until:
                raise SystemExit("the first app did not come up")
            time.sleep(0.1)
        return self.untouched()

    def round(self, number):
        """A start, changes for a while, a kill. In every tenth round the kill comes before the server is through with its start."""
        self.dying.clear()
        self.start()
        if number % 10 == 9:
            time.sleep(self.rand.uniform(0, 0.03))
            self.kill()
            return
        conn = self.answers()
        self.settle(conn)
        if number % self.o.calm_every == self.o.calm_every - 1:
            self.calm(conn)
        threads = [threading.Thread(target=c.work) for c in self.clients]
        for t in threads:
            t.start()
        time.sleep(self.rand.uniform(0.03, 0.35))
        self.kill()
        self.dying.set()
        for t in threads:
            t.join()
        conn.close()

    def all(self):
        begin, rounds = time.monotonic(), 0
        self.start()
        conn = self.answers()
        before = self.calm_app(conn)
        conn.close()
        self.kill()
        while rounds < self.o.rounds and not (self.o.seconds and time.monotonic() - begin > self.o.seconds):
            self.round(rounds)
            rounds += 1
        self.start()
        conn = self.answers()
        self.settle(conn)
        self.calm(conn)
        if self.untouched() != before:
            self.fault("touched", f"containers of an app that nobody changed: {before}, then {self.untouched()}")
        conn.close()
        self.berthd.terminate()
        self.berthd.wait(60)
        return {"rounds": rounds, "seconds": round(time.monotonic() - begin, 1), "acknowledged": sum(c.total for c in self.clients),
                "scaled": self.busy.total, "worst_start": round(self.worst_start, 3), **self.faults, "words": self.words[:10]}


def main():
    p = argparse.ArgumentParser()
    for name in ("config", "socket", "log", "prefix", "image"):
        p.add_argument(f"--{name}", required=True)
    p.add_argument("--engine", default="/var/run/docker.sock")
    p.add_argument("--rounds", type=int, default=200)
    p.add_argument("--calm-every", type=int, default=25)
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--seconds", type=int, default=0, help="begin no round after so many")
    run = Run(p.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print(json.dumps(run.all()))
    finally:
        if run.berthd and run.berthd.poll() is None:
            run.berthd.send_signal(signal.SIGKILL)
            run.berthd.wait()


if __name__ == "__main__":
    main()
