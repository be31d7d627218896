#!/usr/bin/env python3
"""@NAME@: the beginning of a container engine: it says what it is, has no containers, and tells what happens (nothing).

What is not here yet needs no line: the server answers for methods that a plug-in does not name.
"""
import json
import os
import platform

import wire

plugin = wire.Plugin(
    "berth.runtime/1", id="@NAME@", version="0.1.0", license="@LICENSE@", summary="The beginning of a container engine.",
    config=[{"name": "engine", "type": "string", "default": "@NAME@", "doc": "The engine's name, as Berth shows it."}])
EVENT = 4  # the channel of events, see berth/runtime.h


@plugin.method
def info(op, args):
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"name": plugin.config["engine"], "version": "0.1.0", "api_version": "1", "os": "linux", "arch": machine,
            "platform": "linux/" + machine, "kernel": platform.release(), "cpus": float(os.cpu_count() or 1), "memory": memory,
            "cgroup": "2", "root_dir": "/", "rootless": False, "features": []}


@plugin.method
def list(op, args):
    return {"containers": []}


@plugin.method
def network_list(op, args):
    return {"networks": []}


@plugin.method
def volume_list(op, args):
    return {"volumes": []}


@plugin.method
def events(op, args):
    """Runs until it is cancelled. "connected" tells the server that what it hears from now on is all that happens."""
    op.emit(EVENT, json.dumps({"action": "connected"}).encode())
    return wire.LATER


plugin.run()
