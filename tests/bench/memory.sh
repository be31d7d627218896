# Resident memory of berthd with four plug-ins and no app; and what each further running instance adds: the slope from 50 to 150 of
# them ("from_zero_kb" also counts in what the first ones bring for good: code that is run for the first time, connections to the
# engine, SQLite's cache). Read once memory of the deployment itself was given back, which berthd does 2 s after it went quiet.
# The chat gets warnings only: with nobody to take them, messages for each instance would wait in its queue.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-100} warm=${BENCH_WARM:-50}
bench_severity=warning
bench_server
[ "$(api /v1/plugins | jq '[.items[] | select(.status == "ok")] | length')" -ge 4 ] ||
  bench_fail "not all four plug-ins run: $(api /v1/plugins | jq -c .)"
settle() { read -rt 5 <> <(:) || true; }
up() {
  bench_app memory "$1"
  berth up -f "$it_dir/memory.yaml" >&2 || bench_fail "berth up failed"
  [ "$(running)" = "$1" ] || bench_fail "$(running) of $1 run"
  settle
}
api /v1/namespaces/default/instances >/dev/null
idle=$(rss_kb)
up $warm
before=$(rss_kb)
up $((warm + count))
full=$(rss_kb)
rc=0
bench_line MB "$(calc "$idle / 1024")" null null null 20 most '{"what": "idle"}' || rc=1
bench_line KB "$(calc "($full - $before) / $count")" null null null 4 most \
  "{\"what\": \"per instance\", \"instances\": $count, \"from_zero_kb\": $(calc "($full - $idle) / ($warm + $count)")}" || rc=1
exit $rc
