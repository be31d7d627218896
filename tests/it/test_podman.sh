#!/usr/bin/env bash
# runtime-docker on Podman's Docker-compatible service: the plug-in's own tests once more, on a private service.
# timeout: 300
top=${BERTH_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${BERTH_BUILD:-$top}
dir=$(mktemp -d /tmp/berth-podman-XXXXXX)
service=
n=0 bad=0

check() { # NAME STATUS
  n=$((n + 1))
  if [ "$2" -eq 0 ]; then echo "ok $n - $1"; else bad=1; echo "not ok $n - $1"; fi
}
finish() {
  [ -z "$service" ] || { kill "$service"; wait "$service"; } 2>/dev/null
  awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do umount -l "$mounted"; done
  rm -rf "$dir"
}
trap finish EXIT

if ! command -v podman >/dev/null || ! command -v docker >/dev/null || ! command -v catatonit >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "1..0 # SKIP podman, docker's command or catatonit is missing, or this is not root"
  exit 0
fi
# runc and cgroupfs: neither systemd nor the journal is needed. Plain HTTP to registries on the loopback, as Docker has it.
cat >"$dir/containers.conf" <<'CONF'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
printf '[[registry]]\nprefix = "127.0.0.1"\nlocation = "127.0.0.1"\ninsecure = true\n' >"$dir/registries.conf"
CONTAINERS_CONF=$dir/containers.conf CONTAINERS_REGISTRIES_CONF=$dir/registries.conf \
  podman --root "$dir/root" --runroot "$dir/run" system service --time=0 "unix://$dir/podman.sock" >"$dir/log" 2>&1 </dev/null &
service=$!
for _ in $(seq 1 100); do
  curl -sf --unix-socket "$dir/podman.sock" http://localhost/_ping >/dev/null && break
  kill -0 "$service" 2>/dev/null || break
  sleep 0.1
done
curl -sf --unix-socket "$dir/podman.sock" http://localhost/_ping >/dev/null
check "Podman's service answers" $?
for part in "" _streams _images; do
  BERTH_TEST_ENGINE=$dir/podman.sock top_builddir=$build "$build/tests/plugins/test_runtime_docker$part" >"$dir/out" 2>&1
  check "test_runtime_docker$part on Podman" $?
  grep -A4 '^not ok' "$dir/out" | sed 's/^/# /'
done
echo "1..$n"
exit $bad
