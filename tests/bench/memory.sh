# Resident memory of berthd with four plug-ins and no app, and what each of 100 running instances adds.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-100}
bench_server
[ "$(api /v1/plugins | jq '[(.items // .)[] | select(.status == "ok" or .state == "running" or .status == "running")] | length')" -ge 4 ] ||
  bench_fail "not all four plug-ins run: $(api /v1/plugins | jq -c .)"
api "/v1/namespaces/default/instances" >/dev/null
idle=$(rss_kb)
bench_app memory "$count"
berth up -f "$it_dir/memory.yaml" >&2 || bench_fail "berth up failed"
[ "$(running)" = "$count" ] || bench_fail "$(running) of $count run"
full=$(rss_kb)
rc=0
bench_line MB "$(calc "$idle / 1024")" null null null 20 most '{"what": "idle"}' || rc=1
bench_line KB "$(calc "($full - $idle) / $count")" null null null 4 most "{\"what\": \"per instance\", \"instances\": $count}" || rc=1
exit $rc
