#!/usr/bin/env python3
"""A small host of repositories: git http-backend under /git (behind a login where one is given), and what hosts have of an API for
statuses, written down line by line. git_host.py ROOT LOG [USER:PASSWORD]; prints its port."""
import base64, http.server, json, os, subprocess, sys, urllib.parse

root, log, login = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            out = b""
            while size := int(self.rfile.readline().strip(), 16):
                out += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return out
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def git(self):
        url = urllib.parse.urlsplit(self.path)
        if login and self.headers.get("Authorization") != "Basic " + base64.b64encode(login.encode()).decode():
            return self.answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": root, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": url.path[len("/git"):],
               "QUERY_STRING": url.query, "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        out = subprocess.run(["git", "http-backend"], input=self.body(), env=env, stdout=subprocess.PIPE).stdout
        head, _, body = out.partition(b"\r\n\r\n")
        headers = [tuple(line.decode().split(": ", 1)) for line in head.split(b"\r\n") if b": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.answer(status, [h for h in headers if h[0] != "Status"], body)

    def api(self):
        token = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        with open(log, "a") as out:
            out.write(json.dumps({"path": self.path, "token": token, "body": json.loads(self.body() or b"{}")}) + "\n")
        self.answer(201, [("Content-Type", "application/json")], b"{}")

    def do_GET(self):
        self.git() if self.path.startswith("/git/") else self.answer(404, [], b"")

    def do_POST(self):
        if self.path.startswith("/git/"):
            self.git()
        elif self.path.startswith("/moved/"):
            self.answer(301, [("Location", "/git/" + self.path[len("/moved/"):])], b"")
        else:
            self.api()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
