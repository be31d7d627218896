# A container whose process is killed, until it runs again: against the engine's own restart=always, by turns.
. "$(dirname "$0")/lib.sh"
bench_server
bench_app heal 1
berth up -f "$it_dir/heal.yaml" >&2 || bench_fail "berth up failed"
docker run -d --name "$it-peer" --label "berth.bench=$it" --restart always "$it:1" tail -f /dev/null >/dev/null

# heal FILTER: kills the process of the one container that matches; seconds until a container that matches has a new one.
pid_of() { docker ps -q --filter "$1" | head -n 1 | xargs -r docker inspect -f '{{.State.Pid}}' 2>/dev/null; }
heal() {
  local old start new
  old=$(pid_of "$1")
  start=$(now_us)
  kill -9 "$old"
  until new=$(pid_of "$1") && [ -n "$new" ] && [ "$new" != 0 ] && [ "$new" != "$old" ]; do
    [ "$(calc "$(now_us) - $start > 30000000")" = 0 ] || return 1
  done
  since "$start"
}

mine=() engines=()
for turn in 1 2 3 4 5; do
  engines+=("$(heal "label=berth.bench=$it")") || bench_fail "the engine did not restart its container"
  mine+=("$(heal "label=berth.app=heal")") || bench_fail "the container was not brought back"
  # Both back off after quick failures and forget them after a while of health: the engine after 10 s.
  read -rt 11 <> <(:) || true
done
docker rm -f "$it-peer" >/dev/null
value=$(median "${mine[@]}") peer=$(median "${engines[@]}")
bench_line s "$value" null "$peer" "$(calc "$value / $peer")" 1.3 most "{\"turns\": ${#mine[@]}}"
