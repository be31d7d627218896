# A start with 100 containers running: from the process to all of them adopted; none restarted, none replaced.
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-100}
bench_server
bench_app adopt "$count"
berth up -f "$it_dir/adopt.yaml" >&2 || bench_fail "berth up failed"
state() { docker ps -aq --no-trunc --filter "label=berth.app=$app" | sort | xargs docker inspect -f '{{.Id}} {{.State.StartedAt}} {{.RestartCount}}'; }
before=$(state)
took=()
for turn in 1 2 3; do
  it_stop KILL
  start=$(now_us)
  berthd --config "$it_dir/berthd.yaml" >>"$it_dir/berthd.log" 2>&1 </dev/null &
  it_pid=$!
  until [ "$(running 2>/dev/null)" = "$count" ]; do
    [ "$(calc "$(now_us) - $start > 30000000")" = 0 ] || bench_fail "$(running) of $count were adopted after 30 s"
  done
  took+=("$(since "$start")")
done
same=$([ "$before" = "$(state)" ] && echo true || echo false)
bench_line s "$(median "${took[@]}")" null null null 1 most "{\"containers\": $count, \"untouched\": $same}" "$same"
