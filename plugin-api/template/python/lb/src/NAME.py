#!/usr/bin/env python3
"""@NAME@: what a load balancer is to do, as a file of JSON that another program reads. Written whole, and put in place at once."""
import json
import os

import wire

plugin = wire.Plugin(
    "berth.lb/1", id="@NAME@", version="0.1.0", license="@LICENSE@", summary="Routes and endpoints as a file of JSON.",
    config=[{"name": "file", "type": "string", "required": True, "doc": "Absolute path of the file; key material is in it."}])
pools, state = {}, {"why": ""}


def write():
    """Only its owner may read it: certificates come with their keys."""
    path = plugin.config["file"]
    whole = dict(state["routes"], pools=[{"id": id, "endpoints": list(pool.values())} for id, pool in pools.items()])
    try:
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(whole, file)
        os.rename(path + ".new", path)
        state["why"] = ""
    except OSError as error:
        state["why"] = f"file: {error.strerror}"
        raise wire.Refused("unavailable", state["why"])


def read(text, what):
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not isinstance(value.get(what), list) or not all(isinstance(x, dict) for x in value[what]):
        raise wire.Refused("invalid", f"this is no object with a list of {what}")
    return value


@plugin.method
def apply(op, args):
    """The whole state: what is not in it is gone."""
    given = read(args.get("state_json"), "pools")
    fresh = {}
    for pool in given.pop("pools"):
        endpoints = pool.get("endpoints", [])
        if not isinstance(pool.get("id"), str) or not isinstance(endpoints, list):
            raise wire.Refused("invalid", "a pool has an id and a list of endpoints")
        fresh[pool["id"]] = {str(e.get("id")): e for e in endpoints if isinstance(e, dict)}
    pools.clear()
    pools.update(fresh)
    state["routes"] = given
    write()
    return {"reloaded": False, "refused": []}


@plugin.method
def update(op, args):
    for change in read(args.get("changes_json"), "changes")["changes"]:
        pool, id = pools.get(str(change.get("pool"))), str(change.get("endpoint"))
        if pool is None:
            raise wire.Refused("conflict", "there is no such pool: the whole state is needed")
        if change.get("state") == "gone":
            pool.pop(id, None)
        else:
            pool[id] = dict(pool.get(id, {}), id=id, **{k: v for k, v in change.items() if k not in ("pool", "endpoint", "id")})
    if "routes" in state:
        write()
    return {}


@plugin.method
def drain(op, args):
    """What reads the file has to say how many requests are open; this knows of none."""
    for pool in pools.values():
        if args.get("endpoint") in pool:
            pool[args["endpoint"]]["state"] = "drain"
    if "routes" in state:
        write()
    return {"open": 0}


@plugin.method
def events(op, args):
    """Runs until it is cancelled."""
    return wire.LATER


@plugin.method
def probe(op, args):
    return {"status": "failing" if state["why"] else "ok", "detail": state["why"] or "the file is written", "version": "0.1.0"}


@plugin.hook
def check(config):
    if not config["file"].startswith("/") or "\n" in config["file"]:
        raise wire.Refused("invalid", "file has to be an absolute path")


plugin.run()
