#!/usr/bin/env python3
"""chat-notify: a chat plug-in for Berth without a compiler. Each notice becomes a line of a file, or a POST that the server makes.

Standard library only. The messages are those of the wire (wire.md); berthd.yaml:

    - name: notify
      command: [python3, /etc/berth/plugins/notify.py]
      config: {file: /var/log/berth/notices}      # or url: http://chat.example/hook, with egress: [chat.example]
"""
import fnmatch
import json
import struct
import sys

MANIFEST = {
    "id": "chat-notify", "version": "1.0.0", "abi": 1, "license": "MIT",
    "summary": "Notices as lines of a file, or as JSON to an address.",
    "interfaces": [{"id": "berth.chat/1", "methods": ["send", "probe"]}],
    "needs": ["berth.host.events/1", "berth.host.http/1"],
    "config": [
        {"name": "file", "type": "string", "default": "", "doc": "Lines go to this file; its process must be able to write it."},
        {"name": "url", "type": "string", "default": "", "doc": 'Each notice is posted to it as {"text": …}.'},
        {"name": "types", "type": "list", "default": '["app.*"]', "doc": "Patterns of the types of events that are told."},
    ],
}
config, failing, last_id = {}, "", 0


def send(message, body=b""):
    text = json.dumps(message).encode()
    sys.stdout.buffer.write(struct.pack(">II", len(text), len(body)) + text + body)
    sys.stdout.buffer.flush()


def receive():
    head = sys.stdin.buffer.read(8)
    if len(head) < 8:
        sys.exit(0)  # the server is gone
    text, body = struct.unpack(">II", head)
    return json.loads(sys.stdin.buffer.read(text)), sys.stdin.buffer.read(body)


def ask(kind, data=b"", **members):
    global last_id
    last_id += 1
    send({"t": kind, "id": last_id, **members}, data)


def result(why):
    global failing
    failing = why
    if why:
        print("chat-notify:", why, file=sys.stderr)  # a line of the server's log


def tell(text):
    if config["file"]:
        try:
            with open(config["file"], "a", encoding="utf-8") as file:
                file.write(" ".join(text.split()) + "\n")
            result("")
        except OSError as error:
            result(str(error))
    if config["url"]:
        ask("http.request", json.dumps({"text": text}).encode(), method="POST", url=config["url"], body=True,
            headers=[["content-type", "application/json"]], timeout_ms=10000)


def call(method, args):
    """The result of a method of berth.chat/1."""
    if method == "send":
        tell(args.get("text", ""))
        return {"queued": True}
    return {"status": "failing" if failing else "ok", "queued": 0, "dropped": 0, "detail": failing}


send({"t": "hello", "wire": 1, "reload": True, "validate": True, "manifest": MANIFEST})
while True:
    m, body = receive()
    kind = m["t"]
    if kind == "ping":
        send({"t": "pong", "id": m["id"]})
    elif kind in ("start", "validate", "reload"):
        config = m["config"]
        fine = config["file"] or config["url"]
        send({"t": "done", "id": m["id"], "code": "ok" if fine else "invalid", "message": "it needs a file or a url", "step": "config"})
        if kind == "start" and fine:
            ask("events.subscribe", after=0)
    elif kind == "call":
        send({"t": "finish", "op": m["op"], "code": "ok", "result": call(m["method"], m.get("args", {}))})
    elif kind == "event":
        if any(fnmatch.fnmatch(m["type"], pattern) for pattern in config["types"]):
            tell(f"{m['type']}: {m['message']}")
        send({"t": "events.taken", "id": m["id"], "count": 1})
    elif kind == "http.done":
        result("" if m["code"] == "ok" and m["status"] < 300 else m.get("message") or f"status {m['status']}")
    elif kind == "stop":
        send({"t": "done", "id": m["id"], "code": "ok"})
        sys.exit(0)
