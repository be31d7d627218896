#!/usr/bin/env python3
"""The plug-in as a process: no server is needed. TAP."""
from host import Plugin, done_testing, ok

p = Plugin({"registry": "registry.example:5000", "username": "berth", "password": "pw"})
ok(p.started["code"] == "ok", "an entry starts")
image = "registry.example:5000/team/web"
ok(p.question("ask", interface="berth.registry/1", method="serves", args={"image": image + ":1"})["yes"], "it speaks for its registry")
ok(not p.question("ask", interface="berth.registry/1", method="serves", args={"image": "other.example/web:1"})["yes"], "and for no other")
ok(p.call("credentials", image=image + ":1")["result"]["password"] == "pw", "it has the login")
ok(p.call("resolve", image=image + "@sha256:" + "0" * 64)["result"]["digest"] == "sha256:" + "0" * 64, "a digest means itself")
ok(p.call("resolve", image=image + ":1")["code"] == "unsupported", "a tag is not asked for yet")
ok(p.call("tags", image=image)["code"] == "unsupported", "nor are all of them")
ok(p.stop(), "it stops")
done_testing()
