#!/usr/bin/env python3
"""The plug-in as a process: no server is needed. TAP."""
from host import Plugin, done_testing, ok

p = Plugin({"route": "/table"})
ok(p.started["code"] == "ok", "an entry starts")
route = [m for m, data in p.asked if m["t"] == "routes.add"][0]
ok(route["path"] == "/table", "it has its route")
p.send({"t": "request", "id": route["id"], "op": 77, "method": "GET", "path": "/table", "query": "", "headers": []})
ask = p.until("metrics.collect")
p.send({"t": "samples", "id": ask["id"], "samples": [{"name": "berth_up", "help": "", "kind": "gauge", "labels": {"node": "n1"}, "value": 1}]})
p.send({"t": "reply", "id": ask["id"], "code": "ok"})
while not any(m["t"] == "respond" for m, data in p.asked):
    p.asked.append(p.read())
answer = [(m, data) for m, data in p.asked if m["t"] == "respond"][0]
ok(answer[0]["status"] == 200 and answer[1] == b"berth_up node=n1\t1\n", "a request gets the table")
ok(p.call("probe")["result"]["last_ms"] > 0, "and probe tells of it")
ok(p.stop(), "it stops")
ok(Plugin({"route": "table"}).started["code"] == "invalid", "a route that is no path is refused")
done_testing()
