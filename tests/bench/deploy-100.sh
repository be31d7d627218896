# 100 containers from "berth up" to all running, against the same creates and starts sent straight to the Engine API with the best
# of 4, 8 and 16 connections. The best of each side counts: what disturbs a machine only makes things slower.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-100}
bench_server
bench_app deploy "$count"

remove_all() { docker ps -aq --filter "label=$1" | xargs -r docker rm -f >/dev/null; }
up() {
  local start took
  start=$(now_us)
  berth up -f "$it_dir/deploy.yaml" >&2 || bench_fail "berth up failed"
  took=$(since "$start")
  [ "$(running)" = "$count" ] || bench_fail "$(running) of $count run"
  mine+=("$took")
}
# What Berth asks the engine for, as a create request of our own: same options, a network of the same kind.
body() {
  docker ps -q --filter "label=berth.app=$app" | head -n 1 | xargs docker inspect | jq --arg it "$it" '.[0] |
    {Image: .Config.Image, Cmd: .Config.Cmd, Env: .Config.Env, StopSignal: .Config.StopSignal,
     Labels: ((.Config.Labels | with_entries(.key |= sub("^berth\\."; "bench."))) + {"bench.it": $it}),
     HostConfig: (.HostConfig + {NetworkMode: $it}),
     NetworkingConfig: {EndpointsConfig: {($it): {Aliases: ["web"]}}}}'
}
straight() {
  direct+=("$("$tools/tool_engine" "$engine_socket" "$1" "$count" "$it-" "$it_dir/body.json")") || bench_fail "the engine refused"
  remove_all "bench.it=$it"
}

mine=() direct=()
up
body >"$it_dir/body.json"
berth down "$app" >&2
docker network create "$it" >/dev/null
for clients in 4 8 16; do
  straight $clients
  up
  berth down "$app" >&2
done
docker network rm "$it" >/dev/null
value=$(smallest "${mine[@]}") floor=$(smallest "${direct[@]}")
bench_line s "$value" "$floor" null "$(calc "$value / $floor")" 1.15 most \
  "{\"containers\": $count, \"berth\": [$(IFS=,; echo "${mine[*]}")], \"engine_4_8_16\": [$(IFS=,; echo "${direct[*]}")]}"
