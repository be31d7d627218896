#!/usr/bin/env python3
"""The plug-in as a process: no server is needed. TAP."""
import json
import os
import tempfile

from host import Plugin, done_testing, ok

with tempfile.TemporaryDirectory() as folder:
    path = folder + "/state.json"
    p = Plugin({"file": path})
    ok(p.started["code"] == "ok", "an entry starts")
    whole = {"revision": 1, "routes": [], "pools": [{"id": "web", "endpoints": [{"id": "a", "address": "10.0.0.1", "port": 80, "state": "ready"}]}]}
    ok(p.call("apply", state_json=json.dumps(whole))["code"] == "ok", "a state is put in force")
    ok(os.stat(path).st_mode & 0o777 == 0o600, "in a file that only its owner reads")
    changes = {"revision": 2, "changes": [{"pool": "web", "endpoint": "b", "address": "10.0.0.2", "port": 80, "state": "ready"}]}
    ok(p.call("update", changes_json=json.dumps(changes))["code"] == "ok", "an endpoint comes")
    p.call("drain", endpoint="a", deadline_ms=0)
    with open(path, encoding="utf-8") as file:
        pool = json.load(file)["pools"][0]
    ok([(e["id"], e["state"]) for e in pool["endpoints"]] == [("a", "drain"), ("b", "ready")], "the file has both")
    changes["changes"][0]["pool"] = "other"
    ok(p.call("update", changes_json=json.dumps(changes))["code"] == "conflict", "a pool that nobody named is a conflict")
    ok(p.call("apply", state_json="[")["code"] == "invalid", "what is no state is refused")
    ok(p.stop(), "it stops")
done_testing()
