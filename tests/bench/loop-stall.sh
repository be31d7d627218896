# The event loop's worst stall while 200 containers are deployed, watched, listed, scaled and removed.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-200}
bench_server
bench_app stall "$count"
"$tools/tool_http" -u "$socket" -c 2 -d 1000 GET /v1/events?limit=100 >&2
berth up -f "$it_dir/stall.yaml" >&2 || bench_fail "berth up failed"
[ "$(running)" = "$count" ] || bench_fail "$(running) of $count run"
"$tools/tool_http" -u "$socket" -c 8 -d 2000 GET "/v1/namespaces/default/instances?limit=1000" >&2
berth ps --format json >/dev/null
berth scale -p "$app" web=$((count / 2)) >&2 || bench_fail "berth scale failed"
berth down "$app" >&2 || bench_fail "berth down failed"
loop=$(api /v1/server | jq -c .loop)
bench_line ms "$(jq '.worst_us / 1000' <<<"$loop")" null null null 50 most \
  "$(jq -c --argjson n "$count" '{containers: $n, where: .worst_name, stalls: .stalls}' <<<"$loop")"
