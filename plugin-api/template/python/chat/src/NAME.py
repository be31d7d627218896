#!/usr/bin/env python3
"""@NAME@: what happens in Berth, and messages, as lines of JSON: appended to a file, or posted to an address by the server."""
import json

import wire

plugin = wire.Plugin(
    "berth.chat/1", id="@NAME@", version="0.1.0", license="@LICENSE@", summary="Events and messages as lines of JSON.",
    needs=["berth.host.events/1", "berth.host.http/1"],
    config=[{"name": "file", "type": "string", "default": "", "doc": "Absolute path of the file that lines are appended to."},
            {"name": "url", "type": "string", "default": "", "secret": True, "doc": "Where lines are posted to, http:// or https://."}])
state = {"dropped": 0, "why": "", "listens": False}


def drop(why):
    state["why"] = why
    state["dropped"] += 1
    plugin.log(why, "warn")


def write(line):
    """As soon as it can be; what cannot be taken is counted, and told by probe."""
    text = json.dumps(line, ensure_ascii=False) + "\n"
    if plugin.config["file"]:
        try:
            with open(plugin.config["file"], "a", encoding="utf-8") as file:
                file.write(text)
            state["why"] = ""
        except OSError as error:
            drop(f"file: {error.strerror}")
    if plugin.config["url"]:
        plugin.ask("http.request", posted, text.encode(), method="POST", url=plugin.config["url"], body=True,
                   headers=[["content-type", "application/json"]], timeout_ms=10000)


def posted(m, data):
    if m["code"] == "ok" and m["status"] < 300:
        state["why"] = ""
    else:
        drop("the receiver does not take lines" if m["code"] != "ok" else f"the receiver answers with status {m['status']}")


@plugin.method
def send(op, args):
    if not args.get("text"):
        raise wire.Refused("invalid", "a message needs a text")
    write({"message": args["text"], "severity": args.get("severity", "info")})
    return {"queued": True}


@plugin.method
def probe(op, args):
    return {"status": "failing" if state["why"] else "ok", "queued": 0, "dropped": state["dropped"], "detail": state["why"]}


@plugin.hook
def check(config):
    if not config["file"] and not config["url"]:
        raise wire.Refused("invalid", "file or url is needed")
    if config["file"] and not config["file"].startswith("/"):
        raise wire.Refused("invalid", "file has to be an absolute path")
    if config["url"] and (not config["url"].startswith(("http://", "https://")) or not config["url"].isprintable() or " " in config["url"]):
        raise wire.Refused("invalid", "url has to begin with http:// or https:// and to name a host")


@plugin.hook
def begin(config):
    if not state["listens"]:
        state["listens"] = True
        plugin.ask("events.subscribe", lambda m, data: write({"type": m["type"], "message": m["message"]}), after=0)


plugin.run()
