# Acknowledged durable changes a second through the API, 64 clients that each wait for their answer, against the fdatasyncs a
# second of the same disk: by turns in one run.
. "$(dirname "$0")/lib.sh"
bench_server
changes=() syncs=() before=$(api /v1/server)
for turn in 1 2 3 4 5; do
  syncs+=("$("$tools/tool_sync" "$it_dir" 800)")
  answer=$("$tools/tool_http" -u "$socket" -c 64 -d 1500 -s "${turn}0000000" PUT "/v1/namespaces/default/secrets/bench%c" '{"data": "%n"}') ||
    bench_fail "writing failed: $answer"
  changes+=("$(jq .rate <<<"$answer")")
  worst+=("$(jq .worst_ms <<<"$answer")")
done
after=$(api /v1/server)
value=$(median "${changes[@]}") peer=$(median "${syncs[@]}")
extra=$(jq -n --argjson a "$before" --argjson b "$after" --argjson worst "$(printf '%s\n' "${worst[@]}" | sort -g | tail -n 1)" \
  '{changes: ($b.store.commits - $a.store.commits), transactions: ($b.store.transactions - $a.store.transactions), worst_ms: $worst}')
bench_line changes/s "$value" null "$peer" "$(calc "$value / $peer")" 2.5 least "$extra"
