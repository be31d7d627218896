# For benches: a private berthd with all four plug-ins on the disk that is measured, containers by the hundred, and the line of
# JSON at the end. Builds on the library of the integration tests (its names begin with it). A bench sources this, calls
# bench_server, measures, and ends with bench_line. On a machine that cannot run it, it says so and is not ok.
# shellcheck source=tests/it/lib.sh
. "$BERTH_SRC/tests/it/lib.sh"
bench=$(basename "$0" .sh)
tools=$BERTH_BUILD/tests/bench
engine_socket=/var/run/docker.sock

rmdir "$it_dir"
it_dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/berth-$it-XXXXXX") # /tmp may be no disk
socket=$it_dir/run/berth.sock
export BERTH_HOST=unix://$socket

# bench_line UNIT VALUE FLOOR PEER RATIO REACH least|most EXTRA [CONDITION]: numbers or null; EXTRA a JSON object. The ratio is
# compared with the reach, or the value where there is no ratio; CONDITION (true, false) must hold as well.
bench_line() {
  jq -cn --arg bench "$bench" --arg unit "$1" --argjson value "$2" --argjson floor "$3" --argjson peer "$4" --argjson ratio "$5" \
    --argjson reach "$6" --arg sense "$7" --argjson extra "$8" --argjson condition "${9:-true}" '
    def short: if type == "number" then (. * 1000 | round) / 1000 else . end;
    ($ratio // $value) as $got
    | {bench: $bench, value: ($value | short), unit: $unit, floor: ($floor | short), peer: ($peer | short), ratio: ($ratio | short),
       reach: $reach, ok: ($condition and (if $sense == "least" then $got >= $reach else $got <= $reach end))} + $extra'
  [ "$(jq -n --argjson got "$( [ "$5" = null ] && echo "$2" || echo "$5")" --argjson reach "$6" --arg sense "$7" --argjson condition "${9:-true}" \
    '$condition and (if $sense == "least" then $got >= $reach else $got <= $reach end)')" = true ]
}

# bench_fail SENTENCE: the line of a bench that could not measure.
bench_fail() {
  jq -cn --arg bench "$bench" --arg error "$1" '{bench: $bench, value: null, unit: null, floor: null, peer: null, ratio: null, reach: null,
    ok: false, error: $error}'
  exit 1
}

median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
smallest() { printf '%s\n' "$@" | sort -g | head -n 1; }
calc() { awk "BEGIN { printf \"%.6g\", ($*) }"; }
now_us() { echo "${EPOCHREALTIME/[.,]/}"; }
since() { calc "($(now_us) - $1) / 1000000"; } # seconds since a now_us

# A receiver that takes no messages stands in for the chat: nobody listens on its port. $bench_severity: the least of what it is sent.
bench_config() {
  it_config "  - plugin: monitor-prometheus" "  - {plugin: chat-webhook, config: {url: 'http://127.0.0.1:9/bench', severity: ${bench_severity:-info}}}" "$@"
}
bench_server() {
  docker version >/dev/null 2>&1 || bench_fail "no Docker Engine answers"
  it_level=warn bench_config "$@"
  it_start >&2 || exit 1
}

# bench_oci "$0": the same with runtime-oci instead of the engine, in a network namespace of its own (the script begins anew in it), with an image
# of busybox alone. bench_oci_app NAME REPLICAS COMMAND…: an app of it, in $it_dir/NAME.yaml; its name is in $app.
bench_oci() {
  [ "$(id -u)" = 0 ] || bench_fail "it takes root"
  command -v crun >/dev/null || bench_fail "crun is not installed"
  if [ -z "${BENCH_NETNS:-}" ]; then
    rm -rf "$it_dir"
    exec env BENCH_NETNS=1 unshare -n bash "$1"
  fi
  ip link set lo up
  oci_config() {
    mkdir -p "$it_dir/policies"
    cat >"$it_dir/berthd.yaml" <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
log: {level: warn}
plugins:
  - {plugin: runtime-oci, config: {root: $it_dir/oci, run: /run/berth-$it}}
  - plugin: registry-oci
YAML
  }
  oci_config
  it_start >&2 || exit 1
  oci_image "$it_dir/image.tar" && berth image load <"$it_dir/image.tar" >&2 || bench_fail "the image could not be loaded"
}
oci_image() { # FILE: an archive as docker save makes it
  local d id
  d=$(mktemp -d)
  mkdir -p "$d/root/bin" "$d/root/etc" "$d/layer"
  cp "$(command -v busybox)" "$d/root/bin/busybox"
  for id in sh tail sleep true cat; do ln -s busybox "$d/root/bin/$id"; done
  echo 'root:x:0:0:root:/:/bin/sh' >"$d/root/etc/passwd"
  tar -C "$d/root" -cf "$d/layer/layer.tar" .
  printf '{"os":"linux","architecture":"%s","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture)" "$(sha256sum "$d/layer/layer.tar" | cut -c1-64)" >"$d/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s:1"],"Layers":["layer/layer.tar"]}]' "$it" >"$d/manifest.json"
  tar -C "$d" -cf "$1" manifest.json config.json layer/layer.tar
  rm -rf "$d"
}
bench_oci_app() {
  app=$it-$1
  cat >"$it_dir/$1.yaml" <<YAML
name: $app
services:
  web:
    image: $it:1
    pull_policy: never
    command: [$3]
    restart: always
    stop_signal: SIGKILL
    deploy: {replicas: $2, resources: {limits: {memory: 64M, cpus: "0.5", pids: 50}}}
networks: {default: {ipam: {config: [{subnet: 10.90.0.0/20}]}}}
YAML
}

# bench_app NAME REPLICAS: a Compose file of that many containers that do nothing, in $it_dir/NAME.yaml; its image. The app's
# name, in $app, belongs to this run alone, so that benches can run beside each other on one engine.
bench_app() {
  docker image inspect "$it:1" >/dev/null 2>&1 || it_image "$it:1"
  app=$it-$1
  cat >"$it_dir/$1.yaml" <<YAML
name: $app
services:
  web:
    image: $it:1
    pull_policy: never
    command: [tail, -f, /dev/null]
    restart: always
    stop_signal: SIGKILL
    deploy: {replicas: $2}
YAML
}

# On every way out: ends what runs beside, takes the apps down, waits until their networks are gone, too (the engine has few
# addresses to give), and removes containers that a bench made itself.
bench_end() {
  local rc=$? app job
  trap - INT TERM HUP
  for job in $(jobs -p); do
    [ "$job" = "$it_pid" ] || { kill "$job" && wait "$job"; } 2>/dev/null
  done
  if [ -n "$it_pid" ]; then
    for app in $(timeout 20 berth ls -q 2>/dev/null); do
      timeout 60 berth down "$app" --volumes >/dev/null 2>&1
    done
    wait_for 20 sh -c "curl -sS --unix-socket $socket http://berth/v1/namespaces/default/networks 2>/dev/null | jq -e '.items | length == 0'"
  fi
  docker ps -aq --filter "name=^/?$it-" | xargs -r docker rm -f >/dev/null 2>&1
  if [ -n "${BENCH_NETNS:-}" ]; then
    rm -rf "/run/berth-$it"
  fi
  (exit $rc)
  it_cleanup
}
trap bench_end EXIT
trap 'exit 130' INT TERM HUP

api() { curl -sS --fail-with-body --unix-socket "$socket" "http://berth$1"; }
running() { api "/v1/namespaces/default/instances?limit=1000" | jq '[.items[] | select(.state == "running")] | length'; }
rss_kb() { awk '/^VmRSS:/ { print $2 }' "/proc/$it_pid/status"; }
