# GET of a service with keep-alive, 64 connections, against a bare libevent "hello" server on the same kind of socket: by turns.
. "$(dirname "$0")/lib.sh"
bench_server
bench_app reads 1
berth up -f "$it_dir/reads.yaml" >&2 || bench_fail "berth up failed"
"$tools/tool_hello" "$it_dir/hello" &
hello=$!
wait_for 5 test -S "$it_dir/hello"
mine=() bare=() p99=()
for turn in 1 2 3 4 5; do
  answer=$("$tools/tool_http" -u "$it_dir/hello" -c 64 -d 1000 GET /) || bench_fail "hello failed: $answer"
  bare+=("$(jq .rate <<<"$answer")")
  answer=$("$tools/tool_http" -u "$socket" -c 64 -d 1000 GET /v1/namespaces/default/services/web) || bench_fail "reading failed: $answer"
  mine+=("$(jq .rate <<<"$answer")")
  p99+=("$(jq .p99_ms <<<"$answer")")
done
kill $hello
value=$(median "${mine[@]}") peer=$(median "${bare[@]}")
size=$(api /v1/namespaces/default/services/web | wc -c)
bench_line requests/s "$value" null "$peer" "$(calc "$value / $peer")" 0.5 least \
  "{\"bytes\": $size, \"p99_ms\": $(median "${p99[@]}")}"
