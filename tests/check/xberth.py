"""Holds config/x-berth.schema.json against the Compose loader, which has the last word. Prints TAP points without a plan.

    xberth.py SCHEMA BERTH SOURCE…"""
import json
import os
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

schema_file, berth, sources = sys.argv[1], sys.argv[2], sys.argv[3:]
with open(schema_file, encoding="utf-8") as f:
    schema = json.load(f)
validator = jsonschema.Draft202012Validator(schema)


def point(good, name, *notes):
    print(("ok - " if good else "not ok - ") + name)
    for note in notes if not good else []:
        print(f"# {note}")


def keys_of_schema(node):
    if isinstance(node, dict):
        yield from node.get("properties", {}) if "additionalProperties" in node else []
        for inner in node.values():
            yield from keys_of_schema(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from keys_of_schema(inner)


def keys_of_loader():
    """The tables of keys that the loader allows: each ends with NULL and is called keys or kinds."""
    for source in sources:
        with open(source, encoding="utf-8") as f:
            for table in re.findall(r"\*const (?:keys|kinds)\[\] = \{([^}]*)NULL\}", f.read()):
                yield from re.findall(r'"([a-z_]+)"', table)


def file_of(xberth):
    deploy = {"mode": "replicated-job"} if isinstance(xberth, dict) and "job" in xberth else {}
    return {"name": "x", "services": {"web": {"image": "i", "deploy": deploy, "x-berth": xberth}}, "secrets": {"cert": {"environment": "CERT"}}}


def loads(document):
    """None, or what the loader says."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "compose.yaml")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(document, f)
        run = subprocess.run([berth, "config", "--check", "-f", path], capture_output=True, text=True, env={**os.environ, "CERT": "-"}, check=False)
        return None if run.returncode == 0 else run.stderr


def judged(document):
    """None, or what the schema says."""
    error = jsonschema.exceptions.best_match(validator.iter_errors(document))
    return error and f"{error.json_path}: {error.message}"


def same(xberth):
    loader, rule = loads(file_of(xberth)), judged(file_of(xberth))
    text = json.dumps(xberth)
    point((loader is None) == (rule is None), f"{'taken' if loader is None else 'refused'} by both: {text[:150]}", f"loader: {loader}", f"schema: {rule}")


def route(**more):
    return {"routes": [{"port": 80, **more}]}


def tcp(**more):
    return {"routes": [{"protocol": "tcp", "port": 80, "listen": 5000, **more}]}


def probe(kind="readiness", **more):
    return {"probes": {kind: more}}


def job(**more):
    return {"job": {"schedule": "@daily", **more}}


def placement(**more):
    return {"placement": more}


ten = {"tcp": {"port": 10}}
odd_words = [[], {}, 7, "", "a b", "a\nb", 'a"b', "ä", "%41", "a'b", "\\", "/", "//", "/a//b", "/a/", "a", "*", "*.a", "a.*", "-a", "A.b", "a" * 64, "a" * 63, True, None]
durations = ["10s", "1m30s", "0.5s", "99ms", "2d", "1w", "abc", "-1s", "", 0, 5, "5", "25h", "1h1", None, [], {}]
cases = [
    {}, {"colour": 1}, None, [], "text", {"update": "digest"}, {"update": "~1.2"}, {"update": 1.2}, {"update": []}, {"update_interval": "5m"},
    {"update_interval": {}}, {"job": {"completions": 3, "max_concurrent": 1, "backoff_limit": 0}}, {"job": {"completions": 0}}, {"job": {"x": 0}}, {"job": []},
    {"probes": {}}, {"probes": {"other": ten}}, probe(), probe(**ten), probe(**ten, exec={"command": "x"}), probe(tcp={}), probe(tcp={"port": 70000}), probe(tcp={"port": "80"}),
    probe(tcp={"port": "x"}), probe(exec={"command": ["a", "b"]}), probe(exec={"command": []}), probe(exec={"command": ""}), probe(exec={"command": [1]}), probe(exec={}),
    probe(http={"port": 1}), probe(http={"path": "/"}), probe(http={"port": 1, "path": "x"}), probe(http={"port": 1, "path": "/a b"}), probe(http={"port": 1, "scheme": "ftp"}),
    probe(http={"port": 1, "scheme": "https", "status": 204, "headers": {"A": "b", "C": 1}}), probe(http={"port": 1, "status": 99}), probe(http={"port": 1, "headers": {"a b": "c"}}),
    probe(http={"port": 1, "headers": {"a": "c\nd"}}), probe(http={"port": 1, "headers": {"a": []}}), probe(http={"port": 1, "headers": {f"h{i}": "x" for i in range(17)}}),
    probe(**ten, failures=0), probe(**ten, failures=1000), probe(**ten, successes=5), probe("liveness", **ten, successes=5), probe("startup", **ten, successes=1),
    {"routes": []}, {"routes": {}}, {"routes": [{}]}, {"routes": [None]}, {"routes": [{"port": 80}] * 33}, route(protocol="udp"), route(port=0), route(weight=0), route(weight=1001), route(weight=-1),
    route(weight=1.5), route(scheme="https"), route(scheme="gopher"), route(listen=5), route(accept_proxy=True), route(share="a-b"), route(share="A"), route(share=""), route(share=5),
    route(tls="cert"), route(tls={"secret": "cert"}), route(tls={"secret": "cert", "redirect": "no"}), route(tls={"redirect": True}), route(tls={"secret": ""}), route(tls=True), route(tls=""),
    route(sticky=True), route(sticky=False), route(sticky="maybe"), route(sticky={}), route(sticky={"by": "address", "lifetime": "5m"}), route(sticky={"by": "address", "cookie": "x"}),
    route(sticky={"by": "cookie", "lifetime": "5m"}), route(sticky={"by": "name"}), route(sticky={"cookie": "a;b"}), route(sticky={"cookie": "Ab_-9"}), route(sticky={"cookie": "x" * 41}),
    route(timeouts={"connect": "1s", "response": "2s", "idle": "3s"}), route(timeouts=[]), route(timeouts={"total": "1s"}), route(rate_limit={"requests": 5}), route(rate_limit={"period": "5s"}),
    route(rate_limit={"requests": 0}), route(rate_limit={"requests": 5, "period": "10m"}), route(rate_limit=5), route(maintenance=True), route(maintenance="no"), route(maintenance="soon"),
    route(maintenance={"status": 503, "content_type": "text/html", "body": "a\nb \"c\" %[d]", "retry_after": "1m", "allow": ["10.0.0.0/8", "::1"]}), route(maintenance={"status": 100}),
    route(maintenance={"content_type": 'a"b'}), route(maintenance={"content_type": "a\nb"}), route(maintenance={"content_type": "x" * 101}), route(maintenance={"body": "x" * 12289}),
    route(maintenance={"body": 5}), route(maintenance={"allow": "10.0.0.1"}), route(maintenance={"allow": ["10.0.0.1 } or { always_true"]}), route(maintenance={"allow": [""]}), route(maintenance={"allow": ["1"] * 65}),
    tcp(), {"routes": [{"protocol": "tcp", "port": 80}]}, tcp(listen=0), tcp(hosts="a"), tcp(paths="/"), tcp(scheme="http"), tcp(maintenance=True), tcp(accept_proxy=True), tcp(accept_proxy="often"),
    tcp(client_address="header"), tcp(client_address="proxy-v2"), tcp(sticky=True), tcp(sticky={"by": "cookie"}), tcp(sticky={"lifetime": "5m"}), tcp(timeouts={"response": "1s"}), tcp(tls="cert"),
    route(client_address="none"), route(client_address="forwarded"), route(hosts=["a", "a"]), route(paths=["/a", "/a"]), route(hosts=[f"h{i}.x" for i in range(65)]), route(colour="red"),
]
cases += [route(hosts=w) for w in odd_words] + [route(hosts=[w]) for w in odd_words] + [route(paths=w) for w in odd_words] + [route(paths=[w]) for w in odd_words]
cases += [{"job": {"schedule": w}} for w in ("@every 90s", "*/5 0-6,18 1,15 jan mon-fri", " 0  4 * * * ", "", "0 0 0 * * *", "0 0 * *", "0 0 L? * *", "0 0 *\x07* *", "@every", 5, [], None, "a" * 300)]
cases += [job(time_zone=z) for z in ("UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "../x", "/x", "x/", "", "a b", 5, "x" * 61)] + [{"job": {"time_zone": "UTC"}}]
cases += [job(concurrency=c) for c in ("allow", "forbid", "replace", "Forbid", "", 1)] + [job(suspend=v) for v in (True, "no", "maybe", 1)] + [{"job": {"suspend": True, "active_deadline": "1h"}}]
cases += [job(**{key: d}) for key in ("starting_deadline", "active_deadline") for d in ("1s", "90m", "2d", "", "x", [], -1)] + [{"job": {"starting_deadline": "1h"}}]
cases += [job(**{key: n}) for key in ("successful_history_limit", "failed_history_limit") for n in (0, 100, 101, -1, "3", "x", 1.5)]
cases += [{"progress_deadline": d} for d in ("1s", "10m", {}, "x")] + [route(timeouts={"idle": d}) for d in durations if d not in ("99ms", "-1s", "25h", "2d", "1w")]
cases += [probe(**ten, start_period=d) for d in durations if d not in ("-1s", "25h", "2d", "1w")]
cases += [{"placement": {}}, {"placement": []}, placement(colour=1), placement(strategy="binpack"), placement(strategy="Spread"), placement(priority=-1000), placement(priority=1001)]
cases += [placement(priority="-5"), placement(priority="x"), placement(gang="yes"), placement(gang="maybe"), placement(require="node.role == a"), placement(require=["node.role == a"] * 65)]
rules = ["node.role==a", " node.labels.a.b/c != x y", "node.labels.k >= 5.15", "node.labels.k<3", "node.pool in (a, b)", "node.pool NOT IN (a)", "node.labels.x exists", "node.labels.x not exists",
         "engine.labels.x == 1", "node.labels. == x", "colour == red", "node.role", "node.role ==", "node.role = a", "node.role in a", "node.role exists a", "node.role not == a", "", "node.role == ${R:-a}"]
cases += [placement(require=[r]) for r in rules] + [placement(prefer=[{"rule": r}]) for r in rules[:3]] + [placement(require=[x]) for x in (5, None, {}, [])]
cases += [placement(prefer=[p]) for p in ({}, {"weight": 5}, "node.role == a", {"rule": "node.role == a", "weight": -100}, {"rule": "node.role == a", "weight": 101}, {"rule": "node.role == a", "when": 1})]
entries = [{}, {"app": "a"}, {"service": "web", "app": "a"}, {"namespace": "n"}, {"service": "s", "namespace": "n"}, {"service": "s", "namespace": "n", "app": "a"}, {"app": "A"}, {"app": ""}, {"app": "-a"}, {"app": 5},
           {"app": "a" * 63}, {"app": "a" * 64}, {"app": "a", "topology": "node"}, {"app": "a", "topology": "node.labels.zone"}, {"app": "a", "topology": "node.hostname"}, {"app": "a", "topology": "zone"},
           {"app": "a", "topology": "node.labels.a,node.labels.b"}, {"app": "a", "topology": None}, {"app": "a", "required": False}, {"app": "a", "required": "no", "weight": 100}, {"app": "a", "weight": 5},
           {"app": "a", "required": True, "weight": 5}, {"app": "a", "required": False, "weight": 0}, {"app": "a", "required": "often"}, {"app": "a", "max_skew": 1}, "a", None]
cases += [placement(**{key: [e]}) for key in ("affinity", "anti_affinity") for e in entries] + [placement(affinity={}), placement(anti_affinity=[{"app": f"a{i}"} for i in range(65)])]
cases += [placement(spread=[e]) for e in ({}, {"topology": "node"}, {"topology": "node.pool"}, {"topology": "engine.labels.x", "max_skew": 1000}, {"topology": "node.pool", "max_skew": 0},
                                          {"topology": "node.pool", "max_skew": 2, "required": "off"}, {"topology": "node.pool", "max_skew": 2, "required": True}, {"topology": "node.pool", "required": False}, {"over": "x"})]
cases += [placement(tolerations=[e]) for e in ({}, {"key": "a/b.c-d_E"}, {"key": "*"}, {"key": "*", "value": "x"}, {"key": "a b"}, {"key": ""}, {"key": "a" * 129}, {"key": 5}, {"key": "a", "value": 5}, {"key": "a", "value": True},
                                               {"key": "a", "value": ""}, {"key": "a", "value": None}, {"key": "a", "value": "x\ny"}, {"key": "a", "value": "x" * 129}, {"key": "a", "value": []}, {"key": "a", "effect": "x"})]
cases += [{"rollout": r} for r in ({}, [], None, "x", {"strategy": "rolling"}, {"strategy": "blue-green"}, {"strategy": "Canary"}, {"strategy": "canary"}, {"strategy": "canary", "steps": []}, {"steps": []}, {"keep": "5m"}, {"colour": 1},
          {"strategy": "canary", "steps": [{"instances": 1, "pause": "5m"}], "keep": "5m"}, {"strategy": "blue-green", "steps": [{"instances": 1, "pause": "5m"}]})]
cases += [{"rollout": {"strategy": "blue-green", "keep": d}} for d in ("0s", "24h", "x", "", [], None)]
cases += [{"rollout": {"strategy": "canary", "steps": s}} for s in ({}, "x", [5], [None], [{}], [{"pause": "5m"}], [{"instances": 1}], [{"instances": 1, "pause": "5m"}] * 20, [{"instances": 1, "pause": "5m"}] * 21,
          [{"instances": 1, "pause": "5m", "colour": 1}])]
cases += [{"rollout": {"strategy": "canary", "steps": [{"pause": "promote", "instances": n}]}} for n in (0, 100000, 100001, -1, "3", "10%", "101%", "x", 1.5, [], None)]
cases += [{"rollout": {"strategy": "canary", "steps": [{"instances": 2, "pause": p}]}} for p in ("5m", "promote", "Promote", "x", "", [], None, {})]


def scale(**more):
    return {"autoscale": {"max": 9, "metrics": [{"lua": "return 1"}], **more}}


cases += [{"autoscale": a} for a in ({}, [], None, "x", {"max": 9}, {"metrics": [{"lua": "x"}]}, {"max": 9, "metrics": []}, {"max": 9, "schedules": []}, {"max": 9, "colour": 1, "metrics": [{"lua": "x"}]})]
cases += [scale(min=n) for n in (0, 9, -1, "3", "x", 1.5, None)] + [scale(max=n) for n in (1, 0, 100000, 100001, "7", [])] + [scale(tolerance=n) for n in (0, 0.5, 1, 1.1, -1, "0.2", ".5", "x", "", None)]
cases += [scale(interval=d) for d in ("1s", "24h", "x", [], "")] + [scale(metrics=m) for m in ({}, "x", [5], [None], [{}], [{"lua": "x", "query": "q"}], [{"lua": "x"}] * 16, [{"lua": "x"}] * 17, [{"colour": "x"}])]
cases += [scale(metrics=[{"query": "q", "target": 1, **more}]) for more in ({}, {"target": 0.5}, {"target": -1}, {"target": "5"}, {"target": "x"}, {"target": None}, {"per": "total"}, {"per": "each"}, {"activation": 0},
          {"activation": -1}, {"plugin": "p"}, {"plugin": ""}, {"plugin": 5}, {"plugin": "p" * 64}, {"name": "n"}, {"name": ""}, {"name": "n" * 61}, {"query": ""}, {"query": 5}, {"query": "q" * 16385}, {"query": "q" * 16384})]
cases += [scale(metrics=[{"query": "q"}])] + [scale(metrics=[{"lua": "x", key: v}]) for key, v in (("target", 1), ("plugin", "p"), ("per", "total"), ("activation", 1))]
cases += [scale(metrics=[{"memory": p}, {"lua": "x"}]) for p in ("70", "%", "x%", 70, "-5%", "1e2%", None, [])]
cases += [scale(**{way: w}) for way in ("up", "down") for w in ({}, [], None, {"stabilization": "1h"}, {"stabilization": "x"}, {"select": "min"}, {"select": "most"}, {"limits": []}, {"limits": {}}, {"limits": [{"percent": 10}] * 5},
          {"limits": [{}]}, {"limits": [{"percent": 10, "instances": 1}]}, {"limits": [{"percent": 10, "period": "1m"}, {"instances": "4"}]}, {"limits": [{"instances": 0}]}, {"limits": [{"percent": 1, "period": "x"}]}, {"colour": 1})]
day = {"start": "0 8 * * 1-5", "end": "0 18 * * 1-5"}
cases += [scale(schedules=w) for w in ([], {}, [{}], [None], [day], [{**day, "min": 5}], [{**day, "min": 0, "max": 0}], [{**day, "min": -1}], [{**day, "max": "x"}], [{"start": "@daily", "end": "@weekly", "min": 1}],
          [{**day, "start": "@every 5m", "min": 1}], [{**day, "end": 5, "min": 1}], [{**day, "end": "", "min": 1}], [{"start": "@daily", "min": 1}], [{**day, "min": 1, "time_zone": "Europe/Berlin"}],
          [{**day, "min": 1, "time_zone": "../x"}], [{**day, "min": 1, "time_zone": 5}], [{**day, "min": 1, "colour": 1}], [{**day, "min": 1}] * 17)]
cases += [{"autoscale": {"vertical": v}} for v in ({}, [], None, {"mode": "recommend"}, {"mode": "off"}, {"cpus": {"min": 0.1, "max": "2"}}, {"cpus": {"max": -1}}, {"cpus": 5}, {"memory": {"min": "64m", "max": "1GiB"}},
          {"memory": {"max": "x"}}, {"memory": {"max": 5}}, {"memory": {"max": -1}}, {"every": "12h"}, {"every": "x"}, {"colour": 1}, {"cpus": {"colour": 1}}, {"memory": {"colour": 1}},
          {"mode": "automatic", "cpus": {"max": 2}, "memory": {"max": "1g"}})] + [scale(vertical={})]
cases += [{"disruption": d} for d in ({}, [], None, {"x": 1})] + [{"disruption": {key: v}} for key in ("max_unavailable", "min_available") for v in
          (0, 1, 100000, 100001, -1, "3", "x", "", 1.5, "0%", "25%", "100%", "101%", "-5%", "2.5%", "%", "5 %", "0025%", "${N:-5}", None, [])]

jsonschema.Draft202012Validator.check_schema(schema)
known, described = set(keys_of_loader()), set(keys_of_schema(schema["$defs"]))
point(len(known) > 40, "the loader's keys are found")
point(known == described, "the schema has the loader's keys, and no others", f"only in the loader: {sorted(known - described)}", f"only in the schema: {sorted(described - known)}")
for case in cases:
    same(case)
misplaced = {"name": "x", "services": {"web": {"image": "i"}}, "x-berth": {"routes": []}}
point(loads(misplaced) is not None and judged(misplaced) is not None, "x-berth of the file is refused by both")

# Published files: the sample, and each example of the reference
for name in ("config/sample/compose.yaml", "config/sample/jobs.yaml"):
    with open(name, encoding="utf-8") as f:
        point(judged(yaml.safe_load(f)) is None, f"{name} is what the schema says")
with open("config/docs/x-berth.md", encoding="utf-8") as f:
    blocks = [yaml.safe_load(b) for b in re.findall(r"```yaml\n(.*?)```", f.read(), re.S)]
point(len(blocks) > 3, "the reference has examples")
for block in blocks:
    point(judged(block) is None, f"its example of {', '.join(block['services'])}", judged(block))
