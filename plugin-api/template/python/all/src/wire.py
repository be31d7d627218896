"""The messages between Berth and a plug-in (wire.md of Berth's pages for authors). Knows nothing of what this plug-in does.

One thread reads; any thread may finish an operation. A plug-in says what it has with Plugin(…), @plugin.method and the hooks, and ends
its file with plugin.run(). Nothing may be printed: standard output is the wire, lines on standard error go to the server's log.
"""
import json
import struct
import sys
import threading

LATER = object()  # what a method returns that finishes its operation by itself


class Refused(Exception):
    """Ends an operation, or refuses a configuration, with a code of the wire and a sentence for a person."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Operation:
    def __init__(self, plugin, number):
        self.plugin, self.number, self.open = plugin, number, True

    def finish(self, result=None, code="ok", message=""):
        """Exactly once counts: what comes after the end, or after its caller gave up, is dropped."""
        with self.plugin.lock:
            was_open, self.open = self.open, False
            self.plugin.running.pop(self.number, None)
        if was_open:
            self.plugin.send({"t": "finish", "op": self.number, "code": code, "message": message, "result": result or {}})

    def emit(self, channel, piece):
        self.plugin.send({"t": "emit", "op": self.number, "channel": channel}, piece)


class Plugin:
    def __init__(self, interface, config=(), **manifest):
        self.interface, self.methods, self.running, self.answers, self.routes, self.last_id = interface, {}, {}, {}, {}, 0
        self.config, self.lock, self.writing = {}, threading.RLock(), threading.Lock()
        self.manifest = {"abi": 1, "config": list(config), **manifest}
        self.check = self.begin = self.end = lambda config: None

    def method(self, function):
        """function(op, args) gives the result, or LATER; or raises Refused."""
        self.methods[function.__name__] = function
        return function

    def hook(self, function):
        """check(config) may refuse one; begin(config) starts and takes changed ones; end(config) stops."""
        setattr(self, function.__name__, function)
        return function

    # What is asked of the server

    def send(self, message, data=b""):
        text = json.dumps(message).encode()
        with self.writing:
            sys.stdout.buffer.write(struct.pack(">II", len(text), len(data)) + text + data)
            sys.stdout.buffer.flush()

    def ask(self, kind, answer=None, data=b"", **members):
        """Answers go to answer(message, data), as often as there are some."""
        with self.lock:
            self.last_id += 1
            number = self.last_id
            self.answers[number] = answer
        self.send({"t": kind, "id": number, **members}, data)
        return number

    def route(self, handle, **members):
        """Requests to the path go to handle(request, body); its answer is a respond(), now or later."""
        number = self.ask("routes.add", lambda m, data: m["code"] == "ok" or self.log(f"route: {m['message']}", "error"), **members)
        self.routes[number] = handle

    def respond(self, request, status, text):
        headers = [["content-type", "text/plain; charset=utf-8"]]
        self.send({"t": "respond", "op": request["op"], "status": status, "headers": headers}, text.encode())

    def log(self, text, level="info"):
        self.send({"t": "log", "level": level, "text": text})

    # What the server says

    def call(self, m):
        op = self.running[m["op"]] = Operation(self, m["op"])
        try:
            if m["method"] not in self.methods:
                raise Refused("unsupported", f"{self.manifest['id']} has no {m['method']}")
            result = self.methods[m["method"]](op, m.get("args", {}))
            if result is not LATER:
                op.finish(result)
        except Refused as why:
            op.finish(code=why.code, message=str(why))

    def configure(self, m, begin):
        try:
            self.check(m["config"])
            if begin:
                self.config = m["config"]
                self.begin(self.config)
            self.send({"t": "done", "id": m["id"], "code": "ok"})
        except Refused as why:
            self.send({"t": "done", "id": m["id"], "code": why.code, "message": str(why), "step": "config"})

    def answer(self, m, data):
        with self.lock:
            found = self.answers.get(m["id"])
            if m["t"] in ("reply", "http.done"):
                self.answers.pop(m["id"], None)
        if found:
            found(m, data)
        if m["t"] == "event":
            self.send({"t": "events.taken", "id": m["id"], "count": 1})

    def receive(self):
        head = sys.stdin.buffer.read(8)
        if len(head) < 8:
            sys.exit(0)  # the server is gone
        text, data = struct.unpack(">II", head)
        return json.loads(sys.stdin.buffer.read(text)), sys.stdin.buffer.read(data)

    def run(self):
        interfaces = [{"id": self.interface, "methods": sorted(self.methods)}]
        self.send({"t": "hello", "wire": 1, "validate": True, "reload": True, "manifest": {**self.manifest, "interfaces": interfaces}})
        while True:
            m, data = self.receive()
            kind = m["t"]
            if kind == "ping":
                self.send({"t": "pong", "id": m["id"]})
            elif kind == "validate":
                self.configure(m, False)
            elif kind in ("start", "reload"):
                self.configure(m, True)
            elif kind == "call":
                self.call(m)
            elif kind == "ask":
                yes = self.methods[m["method"]](None, m.get("args", {}))
                self.send({"t": "done", "id": m["id"], "code": "ok", "yes": bool(yes)})
            elif kind == "cancel" and m["op"] in self.running:
                self.running[m["op"]].finish(code="cancelled", message="its caller gave up")
            elif kind == "request":
                self.routes[m["id"]](m, data)
            elif kind in ("reply", "samples", "event", "http.done"):
                self.answer(m, data)
            elif kind == "stop":
                self.end(self.config)
                self.send({"t": "done", "id": m["id"], "code": "ok"})
                sys.exit(0)
