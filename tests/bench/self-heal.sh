# A container whose process is killed, until it runs again: against the engine's own restart=always, by turns.
. "$(dirname "$0")/lib.sh"
bench_server
bench_app heal 1
berth up -f "$it_dir/heal.yaml" >&2 || bench_fail "berth up failed"
docker run -d --name "$it-peer" --label "berth.bench=$it" --restart always "$it:1" tail -f /dev/null >/dev/null

# heal FILTER: kills the process of the one container that matches; seconds until the engine says that one started anew.
one() { docker ps -q --filter "$1" | head -n 1 | xargs -r docker inspect -f "$2" 2>/dev/null; }
heal() {
  local old pid start started
  old=$(one "$1" '{{.State.StartedAt}}')
  pid=$(one "$1" '{{.State.Pid}}')
  start=$(now_us)
  kill -9 "$pid"
  until started=$(one "$1" '{{.State.StartedAt}}') && [ -n "$started" ] && [ "$started" != "$old" ]; do
    [ "$(calc "$(now_us) - $start > 30000000")" = 0 ] || return 1
    read -rt 0.1 <> <(:) || true
  done
  calc "($(date -d "$started" +%s%6N) - $start) / 1000000"
}

mine=() engines=()
for turn in 1 2 3 4 5 6 7; do
  engines+=("$(heal "label=berth.bench=$it")") || bench_fail "the engine did not restart its container"
  mine+=("$(heal "label=berth.app=$app")") || bench_fail "the container was not brought back"
  # Both back off after quick failures and forget them after a while of health: the engine after 10 s.
  read -rt 11 <> <(:) || true
done
docker rm -f "$it-peer" >/dev/null
value=$(median "${mine[@]}") peer=$(median "${engines[@]}")
bench_line s "$value" null "$peer" "$(calc "$value / $peer")" 1.3 most "{\"berth\": [$(IFS=,; echo "${mine[*]}")], \"engine\": [$(IFS=,; echo "${engines[*]}")]}"
