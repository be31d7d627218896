#!/usr/bin/env python3
"""berthd with runtime-oci is killed (SIGKILL) before and after each of the steps by which it makes an app of networked containers and takes it away, and in
some of the starts that follow; then it is started once more, and what is there is compared with what should be. test_oci_crash.sh runs it in CI, bench
oci-crash as the long run.

  oci_crash.py --config FILE --socket PATH --dir DIR --image IMAGE --steps MODULE [--rounds N] [--seed N] [--seconds N]

DIR has the entry's root (oci) and run (ocirun), and berthd's log. It runs in a network namespace of its own, so every bridge, link and rule
there is the server's. A round is one kill. Prints one JSON object; berthd (the command on PATH) is down when it ends."""
import argparse, collections, http.client, json, mmap, os, random, re, signal, socket, struct, subprocess, sys, time

from kill9 import NS, Unix, ask, die_with_parent

ID = re.compile("[0-9a-f]{64}$")


def names(path):
    try:
        return set(os.listdir(path))
    except FileNotFoundError:
        return set()


def processes():
    """{pid: its words}"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                found[pid] = f.read().decode("latin-1").split("\0")
        except OSError:
            pass
    return found


def here(pid, net):
    try:
        return os.readlink(f"/proc/{pid}/ns/net") == net
    except OSError:
        return False


class Steps:
    """What berthd counts, and where it is to die: see tests/plugins/steps.c."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(16))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 16)

    def arm(self, n):
        self.map[0:8] = struct.pack("q", n)

    def total(self):
        return struct.unpack("q", self.map[8:16])[0]


class Run:
    def __init__(self, options):
        self.o = options
        self.rand = random.Random(options.seed)
        self.root, self.ran = f"{options.dir}/oci", f"{options.dir}/ocirun"
        self.steps = Steps(f"{options.dir}/steps")
        self.app = os.path.basename(options.dir).lower()
        self.port = 8080
        self.ever, self.faults, self.words = set(), collections.Counter(), []
        self.kills = collections.Counter()
        self.berthd, self.rules = None, None
        self.calm = {True: 0.0, False: 0.0}  # the longest that it took to settle

    # ---------------------------------------------------------------- the server

    def start(self):
        env = dict(os.environ, LD_PRELOAD=self.o.steps, BERTH_STEPS=f"{self.o.dir}/steps")
        with open(f"{self.o.dir}/berthd.log", "a") as log:
            self.berthd = subprocess.Popen(["berthd", "--config", self.o.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                           preexec_fn=die_with_parent)

    def dead(self):
        code = self.berthd.poll()
        if code is not None and code != -signal.SIGKILL:
            raise SystemExit(f"berthd ended with {code}")
        return code is not None

    def up(self):
        """A connection to a server that answers; None where it was killed before."""
        until = time.monotonic() + 60
        while not self.dead():
            conn = Unix(self.o.socket, 30)
            try:
                if ask(conn, "GET", "/v1/health")[0] == 200:
                    return conn
            except (OSError, http.client.HTTPException):
                pass
            conn.close()
            if time.monotonic() > until:
                raise SystemExit("berthd does not answer")
            time.sleep(0.003)
        return None

    # ---------------------------------------------------------------- what is wanted

    def compose(self):
        return (f"name: {self.app}\nservices:\n  web:\n    image: {self.o.image}\n    pull_policy: never\n    command: [sleep, '1000000']\n    stop_signal: SIGKILL\n"
                f"    restart: always\n    ports: ['{self.port}:80']\n    volumes: ['data:/data', '/scratch']\n    deploy: {{resources: {{limits: {{memory: 64M, pids: 20}}}}}}\n"
                f"  side:\n    image: {self.o.image}\n    pull_policy: never\n    command: [sleep, '1000000']\n    stop_signal: SIGKILL\n    restart: always\n    networks: [default, other]\n"
                "    volumes: ['mounted:/mounted']\n"
                "volumes: {data: {}, mounted: {driver_opts: {type: tmpfs, device: tmpfs}}}\nnetworks: {other: {internal: true}}\n")

    def change(self, up):
        path = f"{NS}/apps/{self.app}"
        return ("PUT", path, {"compose": self.compose()}) if up else ("DELETE", f"{path}?volumes=true", None)

    def wish(self, conn, up):
        """Asks for it. False where the server died over that."""
        try:
            status, answer = ask(conn, *self.change(up))
        except (OSError, http.client.HTTPException, ValueError):
            return False
        if status >= 300 and (up or status != 404):
            self.fault("refused", f"{status} {answer}")
        return True

    # ---------------------------------------------------------------- what is there

    def ruleset(self):
        text = subprocess.run(["nft", "-s", "list", "ruleset"], stdout=subprocess.PIPE, text=True, check=True).stdout
        text = re.sub(r"berth-[0-9a-f]+", "BRIDGE", re.sub(r"\d+\.\d+\.\d+\.\d+", "ADDRESS", text))
        return sorted(re.split(r"\s*[,\n]\s*", text))

    def wrong(self, conn, up):
        """A sentence about the first thing that is not as it should be; None where all is."""
        items = ask(conn, "GET", f"{NS}/instances?limit=1000")[1]["items"]
        want = {i["container_id"] for i in items if i.get("container_id")}
        states = sorted(i["state"] for i in items)
        if states != (["running", "running"] if up else []) or len(want) != len(items):
            return f"instances: {[{k: v for k, v in i.items() if v and k in ('instance', 'state', 'exit_code', 'message', 'error', 'last_error', 'failures', 'started_at')} for i in items]}"
        if not up and ask(conn, "GET", f"{NS}/apps/{self.app}")[0] != 404:
            return "the app is being removed"
        for what, there in (("container", names(f"{self.root}/containers")), ("bundle", {n for n in names(self.ran) if ID.match(n)}),
                            ("runtime state", names(f"{self.ran}/runtime")), ("lease", {n.removesuffix(".json") for n in names(f"{self.root}/leases")})):
            if there != want:
                return f"{what}: {sorted(there)}, not {sorted(want)}"
        mounts = [line for line in open("/proc/self/mountinfo").read().splitlines() if self.root in line or self.ran in line]
        if len(mounts) != up: # the volume's
            return f"mounts: {mounts}"
        for top in names("/sys/fs/cgroup") | {""}:
            left = names(f"/sys/fs/cgroup/{top}/berth") & self.ever - want
            if left:
                return f"control group: {top} {left}"
        return self.wrong_processes(want, up) or self.wrong_net(want, up) or self.wrong_rest(up)

    def wrong_processes(self, want, up):
        all_of_them, mine = processes(), os.readlink("/proc/self/ns/net")
        monitors = sorted(w[2][len(self.ran) + 1:] for w in all_of_them.values() if len(w) > 2 and w[1] == "start" and w[2].startswith(self.ran + "/"))
        if monitors != sorted(want):
            return f"monitors of {monitors}, not {sorted(want)}"
        resolvers = [p for p, w in all_of_them.items() if w[0].endswith("berth-resolver") and here(p, mine)]
        if len(resolvers) != up:
            return f"{len(resolvers)} resolvers"
        for pid in all_of_them:
            try:
                groups = open(f"/proc/{pid}/cgroup").read()
            except OSError:
                continue
            if any(f"/berth/{i}" in groups for i in self.ever - want):
                return f"process {pid} is of a container that is gone: {all_of_them[pid]}"
        return None

    def wrong_net(self, want, up):
        links = [name for _, name in socket.if_nameindex() if name != "lo"]
        bridges = [name for name in links if os.path.exists(f"/proc/sys/net/ipv4/conf/{name}") and name.startswith("berth-")]
        if len(bridges) != 2 * up or len(links) - len(bridges) != 3 * up:
            return f"links: {links}"
        rules = self.ruleset()
        if up and self.rules is None:
            self.rules = rules
        if rules != (self.rules if up else [""]):
            return f"rules: {set(rules) ^ set(self.rules if up else [''])}"
        networks = names(f"{self.root}/networks")
        return f"networks: {networks}" if len(networks) != 2 * up else None

    def wrong_rest(self, up):
        volumes = names(f"{self.root}/volumes")
        if len(volumes) != 3 * up:
            return f"volumes: {volumes}"
        left = [n for d in ("containers", "volumes", "networks", "leases") for n in names(f"{self.root}/{d}") if ".new" in n or ".tmp" in n]
        return f"half files: {left}" if left else None

    def settle(self, conn, up):
        """Waits until all is as it should be. False where it does not come to that, or the server died."""
        begin, told = time.monotonic(), False
        while True:
            try:
                words = self.wrong(conn, up)
            except (OSError, http.client.HTTPException, ValueError):
                if self.dead_soon():
                    return False
                raise
            if not words:
                self.calm[up] = max(self.calm[up], time.monotonic() - begin)
                return True
            if time.monotonic() - begin > 2 and not told:
                told = True
                print(f"# after two seconds: {words}", file=sys.stderr, flush=True)
            if time.monotonic() - begin > 30:
                self.fault("left", f"after a {'create' if up else 'delete'}: {words}")
                return False
            time.sleep(0.004)

    def dead_soon(self):
        try:
            self.berthd.wait(5)
        except subprocess.TimeoutExpired:
            return False
        return self.dead()

    def fault(self, kind, words):
        self.faults[kind] += 1
        self.words.append(f"{kind}: {words}")
        print(f"# {kind}: {words}", file=sys.stderr, flush=True)

    # ---------------------------------------------------------------- rounds

    def measure(self):
        """How many ticks a start, a create and a delete have, while nobody is killed."""
        ticks = {}
        self.start()
        conn = self.up()
        ticks["start"] = self.steps.total()
        for up in (True, False):
            before = self.steps.total()
            self.wish(conn, up)
            if not self.settle(conn, up):
                raise SystemExit(f"the app does not come {'up' if up else 'down'} at all: {self.words}")
            ticks[up] = self.steps.total() - before
        conn.close()
        return ticks

    def kill_in(self, conn, up, at):
        """The change, and the kill at its tick; where it has fewer this time, when all is done."""
        self.steps.arm(at)
        if self.wish(conn, up):
            until = time.monotonic() + 2
            while not self.dead() and time.monotonic() < until:
                self.ever |= names(f"{self.root}/containers")
                try:
                    if not self.wrong(conn, up):
                        break
                except (OSError, http.client.HTTPException, ValueError):
                    break
                time.sleep(0.002)
        if not self.dead():
            time.sleep(0.01)
        self.kills["create" if up else "delete"] += self.dead_soon() if self.berthd.poll() is not None else 0
        self.steps.arm(0)
        if not self.dead():
            self.kills["when it was done"] += 1
            self.berthd.kill()
        self.berthd.wait()
        self.ever |= names(f"{self.root}/containers") | {n for n in names(self.ran) if ID.match(n)}
        conn.close()

    def come_back(self, ticks, up):
        """The next start, which now and then is killed as well; then all is as it was asked for."""
        for turn in range(3):
            if turn < 2 and self.rand.random() < 0.2:
                self.steps.arm(self.rand.randint(1, ticks["start"] + ticks[up]))
            self.start()
            conn = self.up()
            ok = conn and self.wish(conn, up) and self.settle(conn, up)
            self.steps.arm(0)
            if ok:
                return conn
            if not self.dead_soon():
                raise SystemExit(f"it does not settle: {self.words[-1:]}")
            self.berthd.wait()
            self.kills["start"] += 1
            self.ever |= names(f"{self.root}/containers")
        raise SystemExit("it was killed at a start although that was not asked for")

    def all(self):
        ticks = self.measure()
        conn, begin, rounds = self.up(), time.monotonic(), 0
        half = max(1, self.o.rounds // 2)
        points = {up: [1 + (i * ticks[up]) // half if half < ticks[up] else 1 + i % ticks[up] for i in range(half)] for up in (True, False)}
        for way in points.values():
            self.rand.shuffle(way)
        while rounds < 2 * half and not self.faults and not (self.o.seconds and time.monotonic() - begin > self.o.seconds):
            up = rounds % 2 == 0
            self.kill_in(conn, up, points[up].pop())
            conn = self.come_back(ticks, up)
            rounds += 1
            if rounds % 500 == 0:
                print(f"# {rounds} rounds in {time.monotonic() - begin:.0f} s, {sum(self.kills.values())} kills", file=sys.stderr, flush=True)
        if rounds % 2:
            self.wish(conn, False)
            self.settle(conn, False)
        conn.close()
        self.berthd.terminate()
        self.berthd.wait(60)
        return {"rounds": rounds, "seconds": round(time.monotonic() - begin, 1), "ticks": {"start": ticks["start"], "create": ticks[True], "delete": ticks[False]},
                "kills": dict(self.kills), "containers": len(self.ever), "slowest": {"create": round(self.calm[True], 2), "delete": round(self.calm[False], 2)},
                "left": self.faults["left"], "refused": self.faults["refused"], "words": self.words[:10]}


def main():
    p = argparse.ArgumentParser()
    for name in ("config", "socket", "dir", "image", "steps"):
        p.add_argument(f"--{name}", required=True)
    p.add_argument("--rounds", type=int, default=100)
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--seconds", type=int, default=0, help="begin no round after so many")
    run = Run(p.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print(json.dumps(run.all()))
    finally:
        if run.berthd and run.berthd.poll() is None:
            run.berthd.kill()
            run.berthd.wait()


if __name__ == "__main__":
    main()
