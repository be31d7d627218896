#!/usr/bin/env bash
# Containers with users of their own over the embedded runtime (userns: remap): root inside is nobody outside, files of images and new volumes are
# theirs all the same, and userns_mode: host goes back. Containers have no network here.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip_all "containers need root"
command -v crun >/dev/null || skip_all "crun is not installed"
command -v busybox >/dev/null || skip_all "busybox is not installed"
cd "$it_dir" || exit 1
mkdir -p policies programs
for program in "$build"/plugins/runtime-oci/*/berth-* "$build"/plugins/runtime-oci/berth-*; do [ ! -x "$program" ] || ln -sf "$program" programs/; done
cat >berthd.yaml <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
plugins:
  - plugin: runtime-oci
    config: {root: $it_dir/oci, run: $it_dir/ocirun, programs: $it_dir/programs, userns: remap}
YAML
chmod 711 "$it_dir" # who is nobody outside passes through
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
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "box:1", pull_policy: never, stop_grace_period: 0s, network_mode: none, command: sleep 1000}
services:
  mapped: {<<: *box, volumes: ["data:/seed", "fresh:/fresh"], sysctls: {net.ipv4.ip_default_ttl: 77}}
  web: {<<: *box, user: web, init: true}
  plain: {<<: *box, userns_mode: host}
volumes: {data: {}, fresh: {}}
YAML
succeeds "up" timeout 60 berth up
is "$(in_ mapped cat /proc/self/uid_map | tr -s ' ' | cut -d' ' -f2,4)" "0 65536" "users of its own"
unlike "$(in_ mapped cat /proc/self/uid_map | tr -s ' ' | cut -d' ' -f3)" "^0$" "which are others outside"
is "$(in_ plain cat /proc/self/uid_map | tr -s ' ')" " 0 0 4294967295" "userns_mode: host"
is "$(in_ mapped sh -c 'stat -c %u / /bin/busybox; touch /new && stat -c %u /new' | tr '\n' ' ')" "0 0 0 " "files of the image are root's, and it writes"
is "$(in_ mapped sh -c 'cat /seed/file; echo x >/seed/mine && echo y >/fresh/mine && stat -c %u /seed/file /fresh /fresh/mine' | tr '\n' ' ')" "of the image 0 0 0 " "volumes too"
first=$(stat -c %u "$it_dir/oci/volumes/${app}_fresh/_data/mine")
ok $((first < 65536)) "which outside belong to another user: $first"
is "$(find "$it_dir/oci/containers" -path '*/upper/new' -printf '%U\n')" 0 "what it writes beside is kept as the image is"
is "$(in_ web sh -c 'id -u; touch /tmp/mine && stat -c %u /tmp/mine' | tr '\n' ' ')" "33 33 " "other users as well"
is "$(in_ mapped cat /proc/sys/net/ipv4/ip_default_ttl)" 77 "sysctls of its network"
like "$(in_ mapped sh -c 'echo 1 >/proc/sys/kernel/panic; cat /proc/kcore')" "Read-only|denied" "nothing of the machine's"
printf 'name: %s\nservices: {a: {image: "box:1", pull_policy: never, network_mode: none, restart: "no", command: sleep 100, privileged: true}}\n' "$it-no" >no.yaml
fails "privileged" 1 timeout 40 berth up -f no.yaml
like "$out" "privileged needs the machine's own users.*add userns_mode: host" "needs userns_mode: host"
berth down "$it-no" >/dev/null 2>&1
succeeds "down" timeout 60 berth down "$app" --volumes
done_testing
