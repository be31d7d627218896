"""The server's side of the wire, for tests: starts the plug-in as a process, talks to it, and notes what it asks."""
import json
import os
import struct
import subprocess
import sys

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
points = failed = 0


def ok(holds, name):
    """A point of TAP."""
    global points, failed
    points += 1
    failed += not holds
    print(("ok" if holds else "not ok"), points, "-", name, flush=True)


def done_testing():
    print(f"1..{points}")
    sys.exit(failed > 0)


class Plugin:
    def __init__(self, config):
        self.process = subprocess.Popen([sys.executable, FOLDER + "/src/@NAME@.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.asked, self.last = [], 0  # what it asked: (message, bytes)
        self.hello = self.read()[0]
        self.started = self.question("start", name="@NAME@", version="0", abi=1, services=[], config=config)

    def send(self, message, data=b""):
        text = json.dumps(message).encode()
        self.process.stdin.write(struct.pack(">II", len(text), len(data)) + text + data)
        self.process.stdin.flush()

    def read(self):
        text, data = struct.unpack(">II", self.process.stdout.read(8))
        return json.loads(self.process.stdout.read(text)), self.process.stdout.read(data)

    def until(self, kind):
        """The next message of that type; what comes before it is in asked."""
        while True:
            message, data = self.read()
            if message["t"] == kind:
                return message
            self.asked.append((message, data))

    def question(self, kind, **members):
        self.last += 1
        self.send({"t": kind, "id": self.last, **members})
        return self.until("done")

    def call(self, method, **args):
        self.last += 1
        interface = self.hello["manifest"]["interfaces"][0]["id"]
        self.send({"t": "call", "op": self.last, "interface": interface, "method": method, "args": args})
        return self.until("finish")

    def stop(self):
        fine = self.question("stop")["code"] == "ok"
        self.process.stdin.close()
        return fine and self.process.wait(10) == 0
