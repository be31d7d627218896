#!/usr/bin/env python3
"""@NAME@: what Berth measures as a table of names, labels and values, for whoever asks for it over HTTP."""
import time

import wire

plugin = wire.Plugin(
    "berth.monitor/1", id="@NAME@", version="0.1.0", license="@LICENSE@", summary="What Berth measures, as a table over HTTP.",
    needs=["berth.host.metrics/1", "berth.host.routes/1"],
    config=[{"name": "route", "type": "string", "default": "/@NAME@", "immutable": True, "doc": "Path of the table."}])
state = {"last_ms": 0, "served": ""}


def request(asked, body):
    """Somebody asks for the table: its lines come as samples, then a reply."""
    lines = []

    def took(m, data):
        for s in m.get("samples", []):
            labels = "".join(f" {name}={value}" for name, value in s.get("labels", {}).items())
            lines.append(f"{s['name']}{labels}\t{s['value']}\n")
        if m["t"] == "reply" and m["code"] == "ok":
            state["last_ms"] = int(time.time() * 1000)
            plugin.respond(asked, 200, "".join(lines))
        elif m["t"] == "reply":
            plugin.respond(asked, 503, m.get("message", "") + "\n")

    plugin.ask("metrics.collect", took, max_age_ms=5000)


@plugin.method
def probe(op, args):
    return {"mode": "pull", "endpoints": [state["served"]], "last_ms": state["last_ms"], "status": "ok", "detail": ""}


@plugin.hook
def check(config):
    route = config["route"]
    if not route.startswith("/") or len(route) > 256 or not route.isprintable() or any(c in route for c in "?# *"):
        raise wire.Refused("invalid", "route has to be a path, as /table")


@plugin.hook
def begin(config):
    if not state["served"]:
        state["served"] = config["route"]
        plugin.route(request, method="GET", path=config["route"], summary="What Berth measures.")


plugin.run()
