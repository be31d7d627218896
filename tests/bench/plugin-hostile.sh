# Reads while a plug-in in a process of its own crash-loops, another hangs, and a third floods the server with 100,000 events a second,
# against the same reads on the quiet server. value: the worst p99 of the three, in ms; reach: 5 ms over the quiet one.
. "$(dirname "$0")/lib.sh"
module=$BERTH_BUILD/tests/plugins/.libs/nuisance.so
quiet=()
read_p99() { "$tools/tool_http" -u "$socket" -c 16 -d 2000 GET /v1/namespaces/default/services/web | jq .p99_ms; }

bench_server
bench_app hostile 1
berth up -f "$it_dir/hostile.yaml" >&2 || bench_fail "berth up failed"
for turn in 1 2 3; do quiet+=("$(read_p99)"); done
base=$(median "${quiet[@]}")
worst=0
extra="{\"quiet\": $base"
for how in crash hang flood; do
  it_level=warn bench_config "  - {path: $module, name: nuisance, config: {how: $how}}"
  kill -HUP "$it_pid"
  wait_for 10 test -n "$(berth plugin ls --format json | jq -r '.[] | select(.name == "nuisance") | .status')" ||
    bench_fail "the plug-in is not there"
  took=()
  for turn in 1 2 3; do took+=("$(read_p99)"); done
  p99=$(median "${took[@]}")
  seen=$(berth plugin ls --format json | jq -c '.[] | select(.name == "nuisance") | [.status, .restarts]')
  extra+=", \"$how\": $p99, \"${how}_seen\": $seen"
  worst=$(calc "$p99 > $worst ? $p99 : $worst")
  it_level=warn bench_config
  kill -HUP "$it_pid"
  sleep 0.2
done
berth down "$app" >&2 || bench_fail "berth down failed"
bench_line ms "$worst" "$base" null null "$(calc "$base + 5")" most "$extra}"
