# A thousand containers of runtime-oci on this one machine: until all run, what berthd needs then, and how long it takes after kill -9 until a new
# one has them all again.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-1000}
bench_oci "$0"
bench_oci_app thousand "$count" 'tail, -f, /dev/null'
start=$(now_us)
timeout 300 berth up -f "$it_dir/thousand.yaml" >&2 || bench_fail "berth up failed"
took=$(since "$start")
[ "$(running)" = "$count" ] || bench_fail "$(running) of $count run"
read -rt 5 <> <(:) || true
rss=$(rss_kb)
before=$(pgrep -c -f "berth-monitor start /run/berth-$it/")
it_stop KILL
start=$(now_us)
it_start >&2 || exit 1
all() { [ "$(running)" = "$count" ] && [ "$(api "/v1/namespaces/default/instances?limit=1000" | jq '[.items[] | select(.ready)] | length')" = "$count" ]; }
wait_for 30 all || bench_fail "$(running) of $count run after kill -9"
adopted=$(since "$start")
rc=0
bench_line s "$took" null null null 30 most "{\"containers\": $count}" || rc=1
bench_line MB "$(calc "$rss / 1024")" null null null 40 most '{"what": "berthd, resident"}' || rc=1
bench_line s "$adopted" null null null 2 most "{\"what\": \"adoption after kill -9\"}" \
  "$([ "$(pgrep -c -f "berth-monitor start /run/berth-$it/")" = "$before" ] && echo true || echo false)" || rc=1
exit $rc
