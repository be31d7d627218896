#!/usr/bin/env python3
"""@NAME@: the login of one registry, and what an image with a digest is.

What it does not do yet: ask the registry what a tag means. resolve() says so; with http.request and the OCI distribution
specification (HEAD /v2/<name>/manifests/<tag>) that is the next thing to write.
"""
import wire

plugin = wire.Plugin(
    "berth.registry/1", id="@NAME@", version="0.1.0", license="@LICENSE@", summary="The login of one registry.",
    config=[{"name": "registry", "type": "string", "required": True, "doc": "Its name and port, as images begin."},
            {"name": "username", "type": "string", "default": "", "doc": "Of the login; none: anonymous."},
            {"name": "password", "type": "string", "default": "", "secret": True, "doc": "Of the login."}])


def ours(image):
    return (image or "").startswith(plugin.config["registry"] + "/")


@plugin.method
def serves(op, args):
    """Answered at once, with yes or no: the one method that has no operation."""
    return ours(args.get("image"))


@plugin.method
def resolve(op, args):
    name, _, digest = (args.get("image") or "").partition("@")
    if not ours(name):
        raise wire.Refused("invalid", "the image is not of this entry's registry")
    if not digest.startswith("sha256:"):
        raise wire.Refused("unsupported", "@NAME@ does not ask the registry what a tag means: name the image with its digest (…@sha256:…)")
    return {"digest": digest}


@plugin.method
def credentials(op, args):
    if not ours(args.get("image")):
        raise wire.Refused("invalid", "the image is not of this entry's registry")
    if not plugin.config["username"]:
        return {}
    return {"username": plugin.config["username"], "password": plugin.config["password"], "server": plugin.config["registry"]}


@plugin.method
def probe(op, args):
    return {"registries": [{"name": plugin.config["registry"], "status": "unknown", "detail": "nobody asks it yet"}]}


@plugin.hook
def check(config):
    name = config["registry"]
    if not name.isprintable() or any(c in name for c in "/@ ") or "." not in name and ":" not in name:
        raise wire.Refused("invalid", "registry has to be a name and perhaps a port, as registry.example:5000")


plugin.run()
