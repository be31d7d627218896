#!/usr/bin/env bash
# Attributes of Compose over the embedded runtime, end to end: what the file says is what a container of the real OCI runtime has, seen from
# inside it; and what cannot be is refused by name. Containers have no network here, so that nothing of the machine's is touched.
# timeout: 300
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip_all "containers need root"
command -v crun >/dev/null || skip_all "crun is not installed"
command -v busybox >/dev/null || skip_all "busybox is not installed"
cd "$it_dir" || exit 1
mkdir -p policies programs
for program in "$build"/plugins/runtime-oci/*/berth-* "$build"/plugins/runtime-oci/berth-*; do [ ! -x "$program" ] || ln -sf "$program" programs/; done
printf '#!/bin/sh\necho "$*" >>%s/other.log\nexec crun "$@"\n' "$it_dir" >other
printf '#!/bin/sh\necho "$1 $OF $(jq -r .id)" >>%s/hooks.log\n' "$it_dir" >hook
chmod 755 other hook
cat >berthd.yaml <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
plugins:
  - plugin: runtime-oci
    config: {root: $it_dir/oci, run: $it_dir/ocirun, programs: $it_dir/programs, runtimes: {other: [$it_dir/other, --cgroup-manager=cgroupfs], gone: $it_dir/none}, hooks: {createRuntime: [{path: $it_dir/hook, args: [hook, made], env: ["PATH=/usr/bin:/bin", OF=operator], timeout: 20}], poststart: [{path: $it_dir/hook, args: [hook, runs], env: ["PATH=/usr/bin:/bin"]}], poststop: [{path: $it_dir/hook, args: [hook, over], env: ["PATH=/usr/bin:/bin"]}, {path: /bin/false}]}}
YAML
it_start

# An OCI layout of one layer by hand: busybox, users, a place that a volume takes over, and what the image's own configuration says.
layout() {
  local root=$it_dir/root out=$it_dir/layout layer diff config manifest
  mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,seed} "$out/blobs/sha256"
  cp "$(command -v busybox)" "$root/bin/busybox"
  busybox --list | while read -r applet; do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/tmp:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\nwww:x:34:\nextra:x:56:web\n' >"$root/etc/group"
  echo "of the image" >"$root/seed/file"
  ln -s "$it_dir" "$root/away"
  chmod 755 "$root" "$root/seed"
  chmod 1777 "$root/tmp"
  tar -C "$root" -cf layer.tar .
  layer=$(sha256sum <layer.tar | cut -d' ' -f1)
  diff=$layer
  mv layer.tar "$out/blobs/sha256/$layer"
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin","FROM_IMAGE=yes"],"Cmd":["sleep","1000"],"WorkingDir":"/tmp/work","Volumes":{"/anonymous":{}}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture)" "$diff" >config
  config=$(sha256sum <config | cut -d' ' -f1)
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}' \
    "$config" "$(stat -c %s config)" "$layer" "$(stat -c %s "$out/blobs/sha256/$layer")" >manifest
  manifest=$(sha256sum <manifest | cut -d' ' -f1)
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d}]}' "$manifest" "$(stat -c %s manifest)" >"$out/index.json"
  mv config "$out/blobs/sha256/$config"
  mv manifest "$out/blobs/sha256/$manifest"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$out/oci-layout"
}
layout
succeeds "the image is imported" berth image import "$it_dir/layout" box:1

app=$it
in_() {
  local service=$1
  shift
  berth exec "$app/$service" "$@" 2>&1 | tr -d '\r'
}

# ---------------------------------------------------------------- the process, and what keeps it in
echo file >bound.txt
mkdir -p bound
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "box:1", pull_policy: never, stop_grace_period: 1s, network_mode: none, command: sleep 1000}
services:
  plain: {<<: *box}
  other: {<<: *box, runtime: other}
  args:
    <<: *box
    entrypoint: [sh, -c, 'echo "\$\$0|\$\$*" >/tmp/args; exec sleep 1000']
    command: ["a b", c]
    environment: {OWN: "1"}
    user: "web"
    group_add: ["99"]
    working_dir: /tmp
    hostname: named
    domainname: example.org
    init: true
    oom_score_adj: 300
    dns: [10.9.8.7]
    dns_search: [corp.example]
    dns_opt: ["ndots:3"]
    extra_hosts: ["one=10.1.2.3", "six:fd00::1"]
  caps: {<<: *box, cap_drop: [ALL], cap_add: [NET_RAW, CAP_CHOWN], security_opt: ["no-new-privileges:true", "seccomp=unconfined"]}
  lock:
    <<: *box
    read_only: true
    tmpfs: ["/run:size=1m,mode=1777", /scratch]
    shm_size: 8m
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 333}
    sysctls: {net.ipv4.ip_default_ttl: 77}
    devices: ["/dev/null:/dev/melted:r"]
    cgroup_parent: /$it
  share: {<<: *box, ipc: shareable, command: [sh, -c, "echo shared >/dev/shm/said; exec sleep 1000"]}
  with: {<<: *box, depends_on: [share], ipc: "service:share", pid: "service:share"}
  small:
    <<: *box
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 128m
    cpus: 0.5
    cpuset: "0"
    cpu_shares: 512
    pids_limit: 44
  files:
    <<: *box
    volumes:
      - data:/seed
      - data:/again:ro
      - ./bound:/bound
      - ./bound.txt:/one:ro
      - ./made/by/engine:/made
      - {type: tmpfs, target: /ram, tmpfs: {size: 1m, mode: 0o1700}}
volumes: {data: {}}
YAML
succeeds "up" timeout 120 berth up
is "$(in_ plain sh -c 'echo $FROM_IMAGE; pwd; ls -d /anonymous; hostname | wc -c')" "$(printf 'yes\n/tmp/work\n/anonymous\n13')" "the image's environment, working directory and volumes"
is "$(in_ plain sed -n 's/^CapBnd:.//p;s/^Seccomp:.//p' /proc/self/status | tr '\n' ' ')" "00000000a80425fb 2 " "Docker's fourteen capabilities, and seccomp"
like "$(in_ plain unshare -U true)" "not permitted" "which lets nobody make user namespaces"
like "$(in_ plain sh -c 'echo 1 >/proc/sys/kernel/panic')" "Read-only" "the kernel's parameters are read-only"
is "$(in_ other cat /seed/file)" "of the image" "a service with a runtime of its own"
is "$(grep -c -- '^--cgroup-manager=cgroupfs .* run ' other.log)" 1 "is started by it alone, with its options"
id=$(ls ocirun | grep -E '^[0-9a-f]{64}$' | head -n 1)
is "$(grep "$id" hooks.log | sort | tr '\n' ',')" "made operator $id,runs  $id," "the operator's hooks are run for each container"
is "$(in_ args cat /tmp/args)" "a b|c" "entrypoint and command"
is "$(in_ args sh -c 'id -u; id -G; pwd; hostname; cat /proc/sys/kernel/domainname /proc/1/oom_score_adj; echo $OWN' | tr '\n' ' ')" "33 34 56 99 /tmp named example.org 300 1 " "user by name, groups, working directory, names, oom_score_adj, environment"
is "$(in_ args stat -c '%a %U' / /seed | tr '\n' ' ')" "755 root 755 root " "folders have the image's modes, and are open to whom they are open to"
like "$(in_ args cat /proc/1/cmdline | tr '\0' ' ')" "docker-init -- sh" "init is the first process"
[ ! -x programs/berth-init ] || is "$(in_ args sha256sum /sbin/docker-init | cut -d' ' -f1)" "$(sha256sum <programs/berth-init | cut -d' ' -f1)" "and it is ours"
is "$(in_ args cat /etc/resolv.conf | sort | tr '\n' ' ')" "nameserver 10.9.8.7 options ndots:3 search corp.example " "dns, dns_search, dns_opt"
like "$(in_ args cat /etc/hosts)" "^10.1.2.3[[:space:]]+one$" "extra_hosts"
is "$(in_ caps sed -n 's/^CapBnd:.//p;s/^NoNewPrivs:.//p;s/^Seccomp:.//p' /proc/self/status | tr '\n' ' ')" "0000000000002001 1 0 " "cap_drop, cap_add, security_opt"
like "$(in_ lock touch /x)" "Read-only file system" "read_only"
is "$(in_ lock sh -c "touch /scratch/x && stat -f -c '%T %b' /run && stat -c %a /run && stat -f -c %b /dev/shm" | tr '\n' ' ')" "tmpfs 256 1777 2048 " "tmpfs and shm_size"
is "$(in_ lock sed -nE 's/^Max (open files|processes) +([0-9]+) +([0-9]+).*/\2 \3/p' /proc/1/limits | tr '\n' ' ')" "333 333 100 200 " "ulimits"
is "$(in_ lock cat /proc/sys/net/ipv4/ip_default_ttl)" 77 "sysctls"
is "$(in_ lock stat -c '%t,%T' /dev/melted)" "1,3" "devices"
is "$(in_ with cat /dev/shm/said)" shared "the shared memory of another service"
is "$(in_ with readlink /proc/1/ns/ipc /proc/1/ns/pid)" "$(in_ share readlink /proc/1/ns/ipc /proc/1/ns/pid)" "ipc and pid of another service"
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  is "$(in_ small sh -c 'cd /sys/fs/cgroup; cat memory.max memory.low cpu.max pids.max' | tr '\n' ' ')" "67108864 33554432 50000 100000 44 " "limits"
else
  is "$(in_ small sh -c 'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares pids/pids.max' | tr '\n' ' ')" \
    "67108864 33554432 134217728 50000 512 44 " "limits"
fi
like "$(in_ small cat /proc/self/status)" "Cpus_allowed_list:[[:space:]]0$" "cpuset"
is "$(in_ files sh -c 'cat /seed/file; cat /again/file; cat /one; ls /made; stat -c %a /ram; stat -f -c %b /ram' | tr '\n' ' ')" "of the image of the image file 1700 256 " "volumes that take over the image's files, binds, tmpfs"
like "$(in_ files touch /again/y)" "Read-only" "a read-only volume"
ok "$([ -d made/by/engine ]; echo $?)" "a bind mount's folder is made"
like "$(berth events "$app")" "ulimits|$app" "events are there"

# ---------------------------------------------------------------- part of a volume; refusals
cat >sub.yaml <<YAML
name: $it-sub
services:
  seed: {image: "box:1", pull_policy: never, network_mode: none, restart: "no", command: [sh, -c, "mkdir -p /d/in/side; echo below >/d/in/side/f; ln -s $it_dir /d/out; ln -s in/side /d/hop"], volumes: ["data:/d"]}
  a: {image: "box:1", pull_policy: never, network_mode: none, stop_grace_period: 0s, depends_on: {seed: {condition: service_completed_successfully}}, volumes: [{type: volume, source: data, target: /sub, volume: {subpath: hop}}]}
volumes: {data: {}}
YAML
succeeds "a part of a volume" timeout 60 berth up -f sub.yaml
is "$(app=$it-sub in_ a cat /sub/f)" below "is mounted, also behind a link within it"
berth down "$it-sub" >/dev/null
# refused TEXT ATTRIBUTES : up says so by name, and the instance never runs.
refused() {
  printf 'name: %s\nservices: {a: {image: "box:1", pull_policy: never, network_mode: none, restart: "no", command: sleep 100, %s}}\n' "$it-no" "$2" >no.yaml
  fails "$2" 1 timeout 40 berth up -f no.yaml
  like "$out" "$1" "is refused in words"
  berth down "$it-no" >/dev/null 2>&1
}
refused "working_dir: /proc/self/fd/7 is in /proc" "working_dir: /proc/self/fd/7"
refused 'user: there is no user "nobody" in the image' "user: nobody"
refused 'runtime: "kata" is not among the runtimes of this node.s runtime-oci \(other, gone\): leave it out, or add it there' "runtime: kata"
refused "gpus: runtime-oci has no driver" "gpus: all"
refused "sysctls: kernel.panic is the whole machine's" "sysctls: {kernel.panic: 1}"
refused 'logging.driver: "syslog" is not offered' "logging: {driver: syslog}"
refused "storage_opt.inodes is not supported by runtime-oci, which knows size" "storage_opt: {inodes: 5}"
refused "storage_opt.size: the least is 1m" "storage_opt: {size: 1k}"
if berth doctor 2>&1 | grep -q 'disk limits.*it can'; then
  printf 'name: %s\nservices: {a: {image: "box:1", pull_policy: never, network_mode: none, stop_grace_period: 0s, command: sleep 1000, storage_opt: {size: 8m}}}\n' "$it-disk" >disk.yaml
  succeeds "8 MiB of disk" timeout 60 berth up -f disk.yaml
  like "$(app=$it-disk in_ a sh -c 'dd if=/dev/zero of=/big bs=1M count=20 2>&1')" "No space left|quota exceeded" "more is not written"
  is "$(app=$it-disk in_ a sh -c 'rm /big; echo small >/x; cat /x')" small "less is"
  succeeds "a restart" timeout 60 berth restart "$it-disk"
  for _ in $(seq 1 300); do
    app=$it-disk in_ a true >/dev/null 2>&1 && break
    sleep 0.1
  done
  like "$(app=$it-disk in_ a sh -c 'dd if=/dev/zero of=/big bs=1M count=20 2>&1')" "No space left|quota exceeded" "and holds on"
  berth down "$it-disk" >/dev/null
else
  refused "storage_opt.size: (the file system of .* has no limits for projects in force|quotactl_fd is of Linux 5.14)" "storage_opt: {size: 8m}"
fi
succeeds "down" timeout 60 berth down "$app" --volumes
is "$(grep -c "^over  $id$" hooks.log)" 1 "hooks poststop are run at its end"
ok "$(grep -q "container ${id:0:12}: its hook poststop /bin/false exited with 1" berthd.log; echo $?)" "one that fails is in the log, and hinders nothing"
is "$(ls "$it_dir/oci/containers" "$it_dir/ocirun" 2>/dev/null | grep -cE '^[0-9a-f]{64}$')" 0 "no container is left"
for group in /sys/fs/cgroup/*/"$it" /sys/fs/cgroup/"$it"; do [ ! -d "$group" ] || rmdir "$group"; done
done_testing
