# The event loop's worst stall while 200 containers are deployed, watched, listed, scaled and removed. What is reported:
#   value       the longest callback by the wall clock, in ms, and where: its name
#   own_ms      the longest without what it waited for a processor (computing, and blocked in a call), and own_where; cpu_ms: what of
#               that one the thread was on a processor
#   stalls      callbacks over 50 ms by the wall clock; descheduled: those of them that were not over it without that wait
#   load        the machine's load when the bench began, beside the number of processors
# On a quiet machine the reach applies to the wall clock. Where the load is above the number of processors when the bench begins,
# the wall clock measures the others' work: the reach applies to own_ms, and "judged" says so.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-200}
load=$(cut -d ' ' -f 1 /proc/loadavg)
cpus=$(nproc)
judged=$(awk "BEGIN { print ($load > $cpus) ? \"own\" : \"wall\" }")
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
own=$(jq '.own_us / 1000' <<<"$loop")
ratio=null
[ $judged = wall ] || ratio=$own # what is compared with the reach
line=$(bench_line ms "$(jq '.worst_us / 1000' <<<"$loop")" null null "$ratio" 50 most \
  "$(jq -c --argjson n "$count" --argjson load "$load" --argjson cpus "$cpus" --arg judged $judged \
    '{containers: $n, where: .worst_name, own_ms: (.own_us / 1000), own_where: .own_name, cpu_ms: (.own_cpu_us / 1000), stalls, descheduled,
      load: $load, processors: $cpus, judged: $judged}' <<<"$loop")")
rc=$?
jq -c '.ratio = null' <<<"$line" # it has no peer
exit $rc
