# For integration tests: a private berthd with its own folders and socket, images without a network, waiting for conditions,
# and a clean-up that leaves nothing. A test sources this, calls it_server, and ends with done_testing.
#
# BERTH_BUILD is the build under test, BERTH_SRC the tree; tests/run sets both. Objects of a test carry the name in $it.
set -uo pipefail
src=${BERTH_SRC:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${BERTH_BUILD:-$src}
# shellcheck source=tests/tap.sh
. "$src/tests/tap.sh"

it=it$(basename "$0" .sh | tr -cd a-z0-9)$$
it_dir=$(mktemp -d "/tmp/berth-$it-XXXXXX")
it_pid=
it_images=()
export BERTH_HOST=unix://$it_dir/run/berth.sock PATH=$build/core:$PATH NO_COLOR=1
unset BERTH_NAMESPACE BERTH_TOKEN_FILE COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_PROFILES
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
trap it_cleanup EXIT

# it_config [YAML…] : writes the configuration; lines of YAML are added at the end (entries of "plugins").
it_config() {
  mkdir -p "$it_dir/policies"
  {
    cat <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
api: {tcp: {listen: ${it_listen:-null}}}
policies: {dir: $it_dir/policies}
log: {level: ${it_level:-info}}
plugins:
  - plugin: runtime-docker
  - plugin: registry-oci
YAML
    [ $# -eq 0 ] || printf '%s\n' "$@"
  } >"$it_dir/berthd.yaml"
}

# it_sim SERVER [FIELD…] : a configuration with the pretended runtime instead, in the test's folder of work: SERVER are lines of the server's own ("" for none),
# each FIELD is one of the runtime's. No engine is needed then, and none is asked.
it_sim() {
  docker() { :; }
  work=$it_dir/work
  mkdir -p "$work" "$it_dir/policies" && cd "$work" || exit 1
  cat >"$it_dir/berthd.yaml" <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
$1
plugins:
  - plugin: runtime-sim
    config:
      state: $it_dir/containers
YAML
  shift
  [ $# -eq 0 ] || printf '      %s\n' "$@" >>"$it_dir/berthd.yaml"
}

# it_start: starts berthd and waits until it answers. it_stop [SIGNAL]: ends it, waits, and shows its exit code in $it_rc.
it_start() {
  [ -f "$it_dir/berthd.yaml" ] || it_config
  berthd --config "$it_dir/berthd.yaml" >>"$it_dir/berthd.log" 2>&1 </dev/null &
  it_pid=$!
  wait_for 20 berth ls && return 0
  echo "Bail out! berthd did not come up"
  sed 's/^/# /' "$it_dir/berthd.log" | tail -n 30
  exit 1
}
it_stop() {
  [ -n "$it_pid" ] || return 0
  it_rc=0
  kill "-${1:-TERM}" "$it_pid" 2>/dev/null
  wait "$it_pid" 2>/dev/null || it_rc=$?
  it_pid=
}

# it_server [YAML…] : skips the test where there is no engine, else configures and starts.
it_server() {
  docker version >/dev/null 2>&1 || skip_all "no Docker Engine answers"
  it_config "$@"
  it_start
}

# it_image NAME [DOCKER-IMPORT-OPTION…] : an image NAME of busybox-static, removed at the end.
it_image() {
  local name=$1 root
  shift
  root=$(mktemp -d)
  mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/www"
  cp "$(command -v busybox)" "$root/bin/busybox"
  busybox --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
  done
  echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
  chmod 1777 "$root/tmp"
  tar -C "$root" -c . | docker import --change 'ENV PATH=/bin' "$@" - "$name" >/dev/null
  rm -rf "$root"
  it_images+=("$name")
}

# it_json COMMAND… -- FILTER : what jq's FILTER makes of the command's output.
it_json() {
  local command=()
  while [ "$1" != -- ]; do
    command+=("$1")
    shift
  done
  "${command[@]}" 2>/dev/null | jq -r "$2"
}

it_cleanup() {
  local rc=$? app image id
  trap - EXIT
  if [ -n "$it_pid" ]; then
    for app in $(timeout 20 berth ls -q 2>/dev/null); do
      timeout 60 berth down "$app" --volumes >/dev/null 2>&1
    done
    it_stop
  fi
  if grep -qE 'AddressSanitizer|LeakSanitizer|runtime error:' "$it_dir/berthd.log" 2>/dev/null; then
    echo "not ok - berthd is clean under the sanitizers"
    grep -nE -A25 'AddressSanitizer|LeakSanitizer|runtime error:' "$it_dir/berthd.log" | head -n 60 | sed 's/^/# /'
    rc=1
  fi
  if [ $rc -ne 0 ] && [ -f "$it_dir/berthd.log" ]; then
    echo "# the end of berthd's log:"
    tail -n 60 "$it_dir/berthd.log" | sed 's/^/# /'
  fi
  for id in $(docker ps -aq --filter "label=berth.app" --filter "name=$it"); do
    docker rm -f "$id" >/dev/null 2>&1
  done
  for id in $(docker network ls -q --filter "name=$it"); do
    docker network rm "$id" >/dev/null 2>&1
  done
  for id in $(docker volume ls -q --filter "name=$it"); do
    docker volume rm "$id" >/dev/null 2>&1
  done
  for image in "${it_images[@]}"; do
    docker image rm -f "$image" >/dev/null 2>&1
  done
  for id in $(pgrep -f "berth-portd $it_dir/run/"); do
    kill "$id" 2>/dev/null
  done
  awk -v dir="$it_dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | while read -r mounted; do
    umount "$mounted" 2>/dev/null || umount -l "$mounted"
  done
  rm -rf "$it_dir"
  exit $rc
}
