# 100 networked containers with limits through runtime-oci, from "berth up" to all running, and from "berth down" to all gone, against the same
# sent straight to the Engine API with the best of 4, 8 and 16 connections (peer; where no engine answers, none). What a monitor costs meanwhile,
# beside its container's own processes. The best of each side counts: what disturbs a machine only makes things slower.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-100}
bench_oci "$0"
bench_oci_app deploy "$count" 'tail, -f, /dev/null'

monitors() { pgrep -f "berth-monitor start /run/berth-$it/"; }
pss() { # KB of a monitor, on average
  local pid
  for pid in $(monitors); do
    awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null
  done | awk '{ s += $1 } END { print NR ? s / NR : "null" }'
}
ups=() downs=() memory=()
for turn in 1 2 3; do
  start=$(now_us)
  berth up -f "$it_dir/deploy.yaml" >&2 || bench_fail "berth up failed"
  ups+=("$(since "$start")")
  [ "$(running)" = "$count" ] || bench_fail "$(running) of $count run"
  memory+=("$(pss)")
  start=$(now_us)
  berth down "$app" >&2 || bench_fail "berth down failed"
  downs+=("$(since "$start")")
done

direct=()
if docker version >/dev/null 2>&1; then
  bench_app engine "$count"
  docker network create "$it" >/dev/null
  jq -n --arg it "$it" '{Image: "\($it):1", Cmd: ["tail", "-f", "/dev/null"], StopSignal: "SIGKILL", Labels: {"bench.it": $it},
    HostConfig: {NetworkMode: $it, Memory: 67108864, NanoCpus: 500000000, PidsLimit: 50}, NetworkingConfig: {EndpointsConfig: {($it): {Aliases: ["web"]}}}}' >"$it_dir/body.json"
  for clients in 4 8 16; do
    direct+=("$("$tools/tool_engine" "$engine_socket" "$clients" "$count" "$it-" "$it_dir/body.json")") || bench_fail "the engine refused"
    docker ps -aq --filter "label=bench.it=$it" | xargs -r docker rm -f >/dev/null
  done
  docker network rm "$it" >/dev/null
fi
value=$(smallest "${ups[@]}") peer=null times=null rc=0
if [ ${#direct[@]} -gt 0 ]; then
  peer=$(smallest "${direct[@]}")
  times=$(calc "$peer / $value")
fi
bench_line s "$value" null "$peer" null 2 most "{\"containers\": $count, \"times_the_engine\": $times, \"runs\": [$(IFS=,; echo "${ups[*]}")]}" \
  "$([ "$times" = null ] && echo true || jq -n "$times >= 6")" || rc=1
bench=oci-remove-100
bench_line s "$(smallest "${downs[@]}")" null null null 1.5 most "{\"containers\": $count, \"runs\": [$(IFS=,; echo "${downs[*]}")]}" || rc=1
bench=oci-memory
bench_line KB "$(median "${memory[@]}")" null null null 600 most "{\"what\": \"PSS of a monitor, $count running\"}" || rc=1
exit $rc
