#!/usr/bin/env python3
"""The plug-in as a process: no server is needed. TAP."""
import os
import tempfile

from host import Plugin, done_testing, ok

with tempfile.TemporaryDirectory() as folder:
    path = folder + "/lines"
    p = Plugin({"file": path, "url": ""})
    ok(p.started["code"] == "ok", "an entry that writes to a file starts")
    ok(p.call("send", text="hello")["code"] == "ok", "a message is taken")
    ok(p.call("send")["code"] == "invalid", "one without a text is not")
    subscription = [m for m, data in p.asked if m["t"] == "events.subscribe"]
    p.send({"t": "event", "id": subscription[0]["id"], "type": "app.deployed", "message": "shop is deployed"})
    ok(p.call("probe")["result"]["status"] == "ok", "it is well")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    ok('"message": "hello"' in text and "app.deployed" in text, "the file has the message, and the event")
    ok(p.stop(), "it stops")
ok(Plugin({"file": "", "url": ""}).started["code"] == "invalid", "a configuration without a place is refused")
done_testing()
