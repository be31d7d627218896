# Resident memory of berthd with four plug-ins and no app; and what each of 100 further running instances adds to a server that has
# already run ten (the first ones bring in code and buffers that are then there; "from_zero_kb" counts these in).
. "$(dirname "$0")/lib.sh"
count=${BENCH_COUNT:-100} warm=10
bench_server
[ "$(api /v1/plugins | jq '[.items[] | select(.status == "ok")] | length')" -ge 4 ] ||
  bench_fail "not all four plug-ins run: $(api /v1/plugins | jq -c .)"
settle() { read -rt 2 <> <(:) || true; }
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
