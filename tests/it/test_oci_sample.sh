#!/usr/bin/env bash
# The sample app on a machine without any container daemon: a berthd with runtime-oci, kill -9 of it, the app goes on. In a network namespace of its own.
# timeout: 240
top=${BERTH_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${BERTH_BUILD:-$top}
if [ -z "${BERTH_IT_INSIDE:-}" ]; then
  if ! command -v crun >/dev/null || [ ! -x /bin/busybox ] || [ "$(id -u)" != 0 ] || ! unshare -n true 2>/dev/null; then
    echo "1..0 # SKIP crun or busybox-static is missing, or this is not root and may make no network namespace"
    exit 0
  fi
  BERTH_IT_INSIDE=1 exec unshare -n "$0"
fi
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
ip link set lo up
dir=$(mktemp -d /tmp/berth-oci-it-XXXXXX)
pid=
export BERTH_HOST=unix://$dir/run/berth.sock PATH=$build/core:$PATH NO_COLOR=1 SHOP_PORT=8080
unset BERTH_NAMESPACE COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_PROFILES

server() {
  berthd --config "$dir/berthd.yaml" >>"$dir/log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 1 200); do
    berth ls -q >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  return 1
}
finish() {
  berth ls -q 2>/dev/null | grep -qx berth-sample && berth down berth-sample --volumes >/dev/null 2>&1
  [ -z "$pid" ] || { kill "$pid"; wait "$pid"; } 2>/dev/null
  for monitor in $(jq .pid "$dir"/oci-run/*/monitor.pid 2>/dev/null); do kill "$monitor"; done
  for portd in $(pgrep -f "berth-portd $dir/run/"); do kill "$portd"; done
  awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do umount -l "$mounted"; done
  rm -rf "$dir"
}
trap finish EXIT

mkdir -p "$dir/images" "$dir/policies"
cat >"$dir/berthd.yaml" <<YAML
state: {path: $dir/state/state.db}
run_dir: $dir/run
plugin_dir: $build/plugins
api: {tcp: {listen: null}}
policies: {dir: $dir/policies}
plugins:
  - plugin: runtime-oci
    config: {root: $dir/oci, run: $dir/oci-run}
YAML
ready() { berth ps berth-sample --format json | jq -r '[.[] | select(.state == "running" and .health == "healthy")] | length'; }
containers() { berth ps berth-sample --format json | jq -r '.[].container_id' | sort; }
page() { curl -fsS --max-time 5 http://127.0.0.1:8080/ 2>&1 | grep -c "The shop, under Berth"; }
monitors() { for file in "$dir"/oci-run/*/monitor.pid; do [ ! -e "$file" ] || jq .pid "$file"; done | sort; }

server
ok $? "berthd starts with runtime-oci alone"
succeeds "the sample's images are made" "$top/config/sample/images" --archives "$dir/images"
for name in web api store; do
  succeeds "berth image import $name" berth image import "$dir/images/$name.tar"
done
succeeds "berth up" timeout 90 berth up -f "$top/config/sample/compose.yaml"
is "$(ready)" 6 "six instances are healthy"
is "$(page)" 1 "its page answers"
before=$(containers) lived=$(monitors)
kill -9 "$pid"
wait "$pid" 2>/dev/null
is "$(monitors)" "$lived" "kill -9 of berthd: the monitors are there"
is "$(curl -fsS --max-time 5 http://127.0.0.1:8080/ 2>&1 | grep -c "The shop, under Berth")" 1 "and the page"
server
ok $? "berthd comes back"
for _ in $(seq 1 600); do
  [ "$(ready)" = 6 ] && break
  sleep 0.1
done
is "$(ready)" 6 "all are healthy"
is "$(containers)" "$before" "and the same as before"
like "$(berth logs berth-sample/web 2>&1)" 'visit 1' "their logs are whole"
succeeds "berth down" timeout 60 berth down berth-sample --volumes
is "$(ls "$dir/oci/containers" "$dir/oci/volumes" | grep -v ':$' | grep -c .)" 0 "no container and no volume is left"
is "$(ip -o link | grep -vc ' lo:')" 0 "no bridge and no link"
is "$(find /sys/fs/cgroup -path "*/berth/*" -name "$(echo "$before" | head -1)" 2>/dev/null | grep -c .)" 0 "no control group"
done_testing
