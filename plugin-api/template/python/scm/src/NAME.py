#!/usr/bin/env python3
"""@NAME@: repositories in a folder of this machine. It tells where a branch stands, by asking git.

What it does not do yet: tags, the files of a commit, and statuses, which a folder has no place for. Repositories elsewhere are
unsupported too: the server then asks the next entry that implements berth.scm/1.
"""
import os
import subprocess
import threading

import wire

plugin = wire.Plugin(
    "berth.scm/1", id="@NAME@", version="0.1.0", license="@LICENSE@", summary="Repositories in a folder of this machine.",
    config=[{"name": "root", "type": "string", "required": True, "doc": "Absolute path of the folder that repositories are in."}])


def look(op, folder, ref):
    """In a thread of its own: git may take its time, and pings have to be answered."""
    try:
        git = subprocess.run(["git", "ls-remote", "--", folder, ref], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                             env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "GIT_TERMINAL_PROMPT": "0"}, check=False)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        op.finish(code="unavailable", message=f"git: {error}")
        return
    commit = git.stdout.split("\t")[0]
    if git.returncode:
        op.finish(code="not_found", message=f"git cannot read the repository: {git.stderr.strip()[:300]}")
    elif len(commit) not in (40, 64):
        op.finish(code="not_found", message=f"the repository has no {ref}")
    else:
        op.finish({"commit": commit, "ref": ref})


@plugin.method
def resolve(op, args):
    repository, branch = args.get("repository") or "", args.get("branch")
    path = repository.removeprefix("file://")
    if path == repository or ".." in path.split("/") or not path.startswith(plugin.config["root"].rstrip("/") + "/"):
        raise wire.Refused("unsupported", "the repository is not in this entry's folder")
    if not branch or len(branch) > 200 or not branch.isprintable() or branch.startswith("-") or any(c in branch for c in " *?[\\"):
        raise wire.Refused("unsupported" if not branch else "invalid", "only branches are known here, by their name")
    threading.Thread(target=look, args=(op, path, "refs/heads/" + branch), daemon=True).start()
    return wire.LATER


@plugin.method
def probe(op, args):
    fine = os.path.isdir(plugin.config["root"])
    return {"status": "ok" if fine else "failing", "detail": "" if fine else f"there is no folder {plugin.config['root']}"}


@plugin.hook
def check(config):
    if not config["root"].startswith("/") or not config["root"].isprintable():
        raise wire.Refused("invalid", "root has to be an absolute path")


plugin.run()
