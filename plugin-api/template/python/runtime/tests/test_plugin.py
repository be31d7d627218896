#!/usr/bin/env python3
"""The plug-in as a process: no server is needed. TAP."""
from host import Plugin, done_testing, ok

p = Plugin({"engine": "mine"})
ok(p.started["code"] == "ok", "an entry starts")
ok(p.call("info")["result"]["name"] == "mine", "it says what it is")
ok(p.call("list")["result"] == {"containers": []}, "it has no containers")
ok(p.call("create", spec_json="{}")["code"] == "unsupported", "and makes none yet")
p.last += 1
p.send({"t": "call", "op": p.last, "interface": "berth.runtime/1", "method": "events"})
p.until("emit")
p.send({"t": "cancel", "op": p.last})
ok(p.until("finish")["code"] == "cancelled", "its events end when their caller gives up")
ok(p.stop(), "it stops")
done_testing()
