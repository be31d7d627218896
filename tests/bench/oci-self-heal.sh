# A container of runtime-oci whose process is killed, until another runs in its place; and "berth exec" of true, the start of the command included.
. "$(dirname "$0")/lib.sh"
bench_oci "$0"
marker=$((100000000 + $$))
bench_oci_app heal 1 "sleep, '$marker'"
berth up -f "$it_dir/heal.yaml" >&2 || bench_fail "berth up failed"
process() { pgrep -fx "sleep $marker"; }

heals=()
for turn in 1 2 3 4 5 6 7; do
  # It backs off after quick failures, and forgets them after a while of health.
  read -rt 11 <> <(:) || true
  old=$(process) start=$(now_us)
  kill -9 "$old"
  until new=$(process) && [ "$new" != "$old" ]; do
    [ "$(calc "$(now_us) - $start > 30000000")" = 0 ] || bench_fail "the container was not brought back"
  done
  heals+=("$(calc "$(since "$start") * 1000")")
done
execs=()
instance=$(berth ps "$app" -q | head -n 1)
for turn in $(seq 21); do
  start=$(now_us)
  berth exec "$instance" true </dev/null >&2 || bench_fail "berth exec failed"
  execs+=("$(calc "$(since "$start") * 1000")")
done
rc=0 bench=oci-self-heal
bench_line ms "$(median "${heals[@]}")" null null null 120 most "{\"runs\": [$(IFS=,; echo "${heals[*]}")]}" || rc=1
bench=oci-exec
bench_line ms "$(median "${execs[@]}")" null null null 25 most "{\"what\": \"berth exec of true, the command included\", \"smallest\": $(smallest "${execs[@]}")}" || rc=1
exit $rc
