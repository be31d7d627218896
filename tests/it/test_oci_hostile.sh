#!/usr/bin/env bash
# A hostile tenant with a Compose file, over runtime-oci and the real server: ways out of the container by working directories (CVE-2024-21626), links of images and
# volumes, the kernel's files, devices; and what policies get to see of those that are allowed.
# timeout: 300
# shellcheck source=tests/it/oci.sh
. "$(dirname "$0")/oci.sh"
it_oci
cd "$it_dir" || exit 1
echo "of the node $$" >"$it_dir/secret"
app=$it
leak="of the node $$"
core=$(cat /proc/sys/kernel/core_pattern)
up() { timeout 90 berth up -f compose.yaml "$@" 2>&1; }
down() { succeeds "${1:-down}" timeout 60 berth down "$app" --volumes; }
said() { berth logs "$app" 2>&1; }
# Relative to a working directory that is the node's, this is the node's file; in a container there is no such thing.
peek="for up in . .. ../.. ../../.. ../../../.. ../../../../.. ../../../../../.. ../../../../../../.. ../../../../../../../..; do cat \$\$up$it_dir/secret; done; ls -l /proc/self/cwd; echo looked"

# ---------------------------------------------------------------- working directories
service() { echo "  $1: {image: \"$2\", pull_policy: never, network_mode: none, restart: \"no\"$3}"; }
{
  echo "name: $app"
  echo "services:"
  service given "$it:1" ", working_dir: /proc/self/fd/7, command: [sh]"
} >compose.yaml
like "$(up)" "/proc/self/fd/7 is in /proc" "a working directory in /proc is refused by name"
OCI_CONFIG=',"WorkingDir":"/proc/self/fd/8"' oci_archive "$it:fd" image-fd.tar
succeeds "an image that has one" berth image import image-fd.tar
sed -i "s/$it:1/$it:fd/; s/, working_dir: [^,}]*//" compose.yaml
like "$(up)" "/proc/self/fd/8 is in /proc" "is refused as well"
berth down "$app" >/dev/null 2>&1
oci_archive "$it:links" image-links.tar 'ln -s /proc/self/fd out; for n in $(seq 3 24); do ln -s /proc/self/fd/$n out$n; done; ln -s /proc/1/root root1; ln -s /proc/self/cwd cwd'
succeeds "an image with links into /proc" berth image import image-links.tar
came() { berth ps "$app" -a --format json | jq -e '[.[] | select(.state == "exited" or .state == "failed" or .error != null)] | length > 0' >/dev/null; }
begins() { # WHERE [MEMBER]: what a container says whose working directory that is, or why there is none
  { echo "name: $app"; echo "services:"; service there "$it:links" ", working_dir: $1, command: [sh, -c, '$peek']${2:-}"; } >compose.yaml
  up --detach
  wait_for 20 came
  said
  berth down "$app" 2>&1
}
like "$(begins /host ", volumes: ['/:/host']")" "$leak" "a container whose working directory is the node's sees its files: the look is a good one"
for where in /out/{3..10} /root1 /cwd; do begins "$where"; done >out
ok "$(! grep -q "$leak" out; echo $?)" "behind links of the image to descriptors, to process 1 and to the runtime's own, none does"
{
  echo "name: $app"
  echo "services:"
  service box "$it:links" ", command: [sleep, '600']"
} >compose.yaml
succeeds "a container for commands" timeout 60 berth up -f compose.yaml
for n in $(seq 3 14); do
  berth exec -w "/proc/self/fd/$n" "$app/box" sh -c "${peek//\$\$/\$}"
  berth exec -w "/out$n" "$app/box" sh -c "${peek//\$\$/\$}"
done >out 2>&1 </dev/null
ok "$(! grep -q "$leak" out; echo $?)" "nor has a command whose working directory is a descriptor"

# ---------------------------------------------------------------- the kernel's files, from inside
inside() { berth exec "$app/box" sh -c "$1" 2>&1 </dev/null | tr -d '\r'; }
refused() { # WHAT COMMAND: the command must fail; REACHED stands where it did not.
  local out
  out=$(inside "($2) && echo REACHED")
  ok "$(! grep -q REACHED <<<"$out"; echo $?)" "$1: ${out:0:90}"
}
refused "core_pattern" 'echo "|/tmp/x" >/proc/sys/kernel/core_pattern'
refused "the host's name for all" 'echo x >/proc/sys/kernel/hostname && echo x >/proc/sys/kernel/domainname'
refused "sysrq" 'echo b >/proc/sysrq-trigger'
refused "a module's helper" 'echo /x >/proc/sys/kernel/modprobe'
refused "uevents" 'echo /x >/sys/kernel/uevent_helper'
refused "a release agent" 'mkdir /tmp/cg && mount -t cgroup -o memory cgroup /tmp/cg'
refused "the one that is there" 'find /sys/fs/cgroup -name release_agent | while read f; do echo /x >$f && echo ok; done | grep ok'
refused "its own limits" 'for f in $(find /sys/fs/cgroup -name memory.limit_in_bytes -o -name memory.max); do echo max >$f && exit 0; done; exit 1'
refused "a mount" 'mount -t tmpfs x /mnt || mount --bind / /tmp'
refused "a proc of its own" 'mkdir -p /tmp/p && mount -t proc proc /tmp/p'
refused "a user namespace" 'unshare -U true || unshare -r true'
refused "a mount namespace" 'unshare -m true'
refused "a disk" 'for d in $(ls /sys/dev/block | head -n 4); do mknod /tmp/d$d b ${d%%:*} ${d##*:} && head -c 512 /tmp/d$d | grep -c . && exit 0; done; exit 1'
refused "the machine's memory" 'mknod /tmp/mem c 1 1 && head -c 16 /tmp/mem'
refused "the kernel's log" 'mknod /tmp/kmsg c 1 11 && head -n 1 /tmp/kmsg'
refused "the kernel's memory" 'head -c 16 /proc/kcore | grep -c .'
refused "root of the first process of the machine" "cat /proc/1/root$it_dir/secret"
refused "other processes" "grep -l 'berth[-d]' /proc/[0-9]*/cmdline 2>/dev/null | grep -v self | head -n 1 | grep ."
refused "a module" 'insmod /bin/busybox'
refused "the clock" 'date -s 2000-01-01; [ $(date +%Y) = 2000 ]'
refused "a reboot" 'reboot -f'
refused "chroot to the descriptors" 'chroot /proc/1/root cat '"$it_dir/secret"
is "$(cat /proc/sys/kernel/core_pattern)" "$core" "the node's core_pattern is what it was"
down

# ---------------------------------------------------------------- what would be the machine's
{
  echo "name: $app"
  echo "services:"
  service a "$it:1" ", sysctls: {kernel.core_pattern: '|/tmp/x'}"
} >compose.yaml
like "$(up)" "core_pattern" "a parameter of the whole machine's kernel is refused by name"
berth down "$app" >/dev/null 2>&1

# ---------------------------------------------------------------- volumes whose parts are swapped
cat >compose.yaml <<YAML
name: $app
services:
  swapper: {image: "$it:1", pull_policy: never, network_mode: none, init: true, stop_grace_period: 0s, volumes: ["v:/v"], command: [sh, -c, 'while true; do rm -rf /v/s; mkdir /v/s; rm -rf /v/s; ln -s $it_dir /v/s; done']}
volumes: {v: {}}
YAML
succeeds "one that swaps a folder of a volume with a link to the node's, without end" timeout 60 berth up -f compose.yaml
sed -i "/^volumes/i\\  up: {image: \"$it:1\", pull_policy: never, network_mode: none, restart: \"no\", command: [sh, -c, 'cat /s/secret; cat /s/*; echo looked'], volumes: [{type: volume, source: v, target: /s, volume: {subpath: '../../..'}}]}" compose.yaml
out=$(up; berth why "$app/up" 2>&1)
like "$out" "subpath|\.\." "a subpath above the volume is refused: $(grep -o '[^ ]* *subpath.*' <<<"$out" | head -n 1)"
seen=0 tried=0
for n in $(seq 8); do
  sed -i "s/^  up[0-9]*:/  up$n:/; s,subpath: [^}]*,subpath: s," compose.yaml
  up --detach >>up.out
  settled() { berth ps "$app" -a --format json | jq -e --arg s "up$n" '[.[] | select(.service == $s and (.state == "exited" or .state == "failed" or .error != null))] | length > 0' >/dev/null; }
  wait_for 20 settled && tried=$((tried + 1))
  berth logs "$app/up$n" 2>/dev/null | grep -q "$leak" && seen=$((seen + 1))
done
is "$seen" 0 "in $tried starts while it does so, no file of the node was seen"
down

# ---------------------------------------------------------------- policies see it all
cp "$src/config/policies/no-privileged.lua" policies/
kill -HUP "$it_pid"
known() { berth policy ls 2>/dev/null | grep -q "no-privileged.*ok"; }
ok "$(wait_for 20 known; echo $?)" "the policy no-privileged is there"
denied() { # WHAT WORDS MEMBERS: refused by the policy
  { echo "name: $app"; echo "services:"; service a "$it:1" ", command: [sleep, '600'], $2"; [ -z "${4:-}" ] || echo "$4"; } >compose.yaml
  like "$(up)" "$3" "$1"
}
denied "privileged" "privileged: true" "is privileged"
denied "the machine's root" 'volumes: ["/:/host"]' "mounts / of the node"
denied "Berth's state" 'volumes: ["/var/lib/berth:/b"]' "mounts /var/lib/berth"
denied "berthd's socket" 'volumes: ["/run/berth/berth.sock:/b"]' "root on the node"
denied "the host's processes" "pid: host" "pid is .host."
denied "another's processes" "pid: 'container:other'" "container:other"
denied "a disk" 'devices: ["/dev/vda:/dev/x"]' "takes the device /dev/vda"
denied "a capability" "cap_add: [SYS_ADMIN]" "SYS_ADMIN"
denied "no seccomp" 'security_opt: ["seccomp=unconfined"]' "turns off protection"
denied "a bind in disguise" 'volumes: ["v:/v"]' "mounts /etc of the node" 'volumes: {v: {driver_opts: {type: none, o: bind, device: /etc}}}'
is "$(berth ls -q)" "" "and nothing of it runs"
done_testing
