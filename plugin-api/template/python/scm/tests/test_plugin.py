#!/usr/bin/env python3
"""The plug-in as a process: no server is needed, but git. TAP."""
import subprocess
import tempfile

from host import Plugin, done_testing, ok

with tempfile.TemporaryDirectory() as folder:
    git = ["git", "-C", folder + "/shop", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", folder + "/shop"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "begin"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    p = Plugin({"root": folder})
    ok(p.started["code"] == "ok", "an entry starts")
    found = p.call("resolve", repository=f"file://{folder}/shop", branch="main")
    ok(found.get("result") == {"commit": head, "ref": "refs/heads/main"}, "a branch stands at its commit")
    ok(p.call("resolve", repository=f"file://{folder}/shop", branch="none")["code"] == "not_found", "one that is not there is not found")
    ok(p.call("resolve", repository="https://elsewhere.example/shop", branch="main")["code"] == "unsupported", "others may speak for the rest")
    ok(p.call("resolve", repository=f"file://{folder}/../etc", branch="main")["code"] == "unsupported", "there is no way out of the folder")
    ok(p.call("probe")["result"]["status"] == "ok", "it is well")
    ok(p.stop(), "it stops")
done_testing()
