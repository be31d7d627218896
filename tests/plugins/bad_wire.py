#!/usr/bin/env python3
"""A chat plug-in that speaks the wire and breaks one rule: the one that its argument names. For tests of berth-plugin-check."""
import json
import os
import struct
import subprocess
import sys
import time

rule = sys.argv[1]
MANIFEST = {"id": "chat-bad", "version": "new" if rule == "version" else "1.0.0", "abi": 1, "license": "MIT", "summary": "Breaks one rule.",
            "interfaces": [{"id": "berth.chat/1", "methods": ["send", "probe"]}], "needs": ["berth.host.events/1", "berth.host.http/1"],
            "config": [{"name": "url", "type": "string", "default": "", "doc": "An address."},
                       {"name": "password", "type": "string", "secret": True, "required": True, "doc": "A secret."}]}
kept, waiting, last_id, config = [], {}, 0, {}


def send(message, body=b""):
    text = json.dumps(message).encode()
    sys.stdout.buffer.write(struct.pack(">II", len(text), len(body)) + text + body)
    sys.stdout.buffer.flush()


def receive():
    if rule == "pieces":  # takes what one read brings for a message; a small one, as all pieces may wait already
        data = os.read(0, 16)
        return json.loads(data[8:8 + struct.unpack(">I", data[:4])[0]]), b""
    head = sys.stdin.buffer.read(8)
    while len(head) < 8 and rule == "deaf":
        time.sleep(60)
    if len(head) < 8:
        sys.exit(0)
    text, body = struct.unpack(">II", head)
    return json.loads(sys.stdin.buffer.read(text)), sys.stdin.buffer.read(body)


def finish(op, code="ok", **members):
    send({"t": "finish", "op": op, "code": code, "message": "why", **members})


def http(op):
    global last_id
    last_id += 1
    waiting[last_id] = op
    send({"t": "http.request", "id": last_id, "url": "http://chat.example/x", "timeout_ms": 10000})


def call(m):
    op = m["op"]
    if rule == "crash":
        raise RuntimeError("it breaks")
    if rule == "hang":
        time.sleep(600)
    if rule == "print":
        print("got", m["method"])
    if rule == "secret":
        print("logged in with", config["password"], file=sys.stderr)
    if rule == "memory":
        kept.append(os.urandom(16384))
    if rule == "descriptors" and op % 20 == 0:
        kept.append(open("/dev/null"))
    if rule in ("cancel", "http") and m["method"] == "send":
        http(op)
    elif rule == "code":
        finish(op, "teapot")
    elif rule == "result":
        finish(op, result=["queued"])
    elif rule != "never":
        finish(op, result={"queued": True, "status": "ok"})
    if rule == "twice":
        finish(op, result={"queued": True})


if rule == "hello":
    print("It begins.", flush=True)
send({"t": "hello", "wire": 1, "validate": rule == "validate", "reload": True, "manifest": MANIFEST})
while True:
    m, body = receive()
    kind = m["t"]
    if kind == "ping":
        send({"t": "pong", "id": m["id"]})
    elif kind == "start":
        config = m["config"]
        if rule == "orphan":
            subprocess.Popen(["sleep", "300"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if rule == "ids":
            send({"t": "kv.scan", "id": 1, "prefix": ""})
            send({"t": "kv.scan", "id": 1, "prefix": ""})
        if rule == "members":
            send({"t": "events.subscribe", "id": "one"})
        send({"t": "done", "id": m["id"], "code": "ok"})
    elif kind == "reload":
        fine = rule != "reload" or len(config) == 2
        config = m["config"] if fine and m["config"]["url"].startswith("http") else {}
        send({"t": "done", "id": m["id"], "code": "ok" if fine else "invalid", "message": "url is odd"})
    elif kind == "validate":
        send({"t": "done", "id": m["id"], "code": "ok" if m["config"]["url"] == "" else "invalid", "message": "no"})
    elif kind == "call":
        call(m)
    elif kind == "http.done":
        if rule == "http":
            json.loads(body)
        op = waiting.pop(m["id"], 0)
        if op:
            finish(op, result={"queued": True})
    elif kind == "cancel":
        for op in [op for op in waiting.values() if op == m["op"] and rule == "cancel"]:
            finish(op, result={"queued": True})
            waiting = {i: o for i, o in waiting.items() if o != op}
    elif kind == "stop":
        if rule == "stop":
            time.sleep(60)
        if rule != "done":
            send({"t": "done", "id": m["id"], "code": "ok"})
        sys.exit(0)
    elif rule == "unknown" and kind not in ("reply", "event", "http.head", "http.data", "taken"):
        raise RuntimeError("what is " + kind)
