# Requests that are lost under constant load through rollouts, scalings, reloads and killed instances: none, but those that a killed
# instance held. BENCH_TIMES=10 does all of it ten times as often.
. "$(dirname "$0")/lib.sh"
command -v haproxy >/dev/null || bench_fail "haproxy is not installed"
lb=$it_dir/lb
port=$((20000 + $$ * 16 % 12000))
times=${BENCH_TIMES:-1} clients=16
rollouts=$((20 * times)) scalings=$((50 * times)) reloads=$((10 * times)) kills=$((10 * times))

loader=
end() {
  [ -n "$loader" ] && kill "$loader" 2>/dev/null
  timeout 60 berth down "$it-web" >/dev/null 2>&1
  it_stop
  [ -f "$lb/haproxy.pid" ] && kill "$(cat "$lb/haproxy.pid")" 2>/dev/null
  it_cleanup
}
trap end EXIT
bench_server "  - plugin: lb-haproxy
    config: {dir: $lb, http: ['127.0.0.1:$port'], stats_interval: 1s}"
it_image "$it:1"
cat >"$it_dir/start" <<'SH'
hostname >/www/index.html
httpd -f -p 8080 -h /www & trap "kill $!; exit 0" TERM
wait
SH
compose() { # VERSION HOSTS
  cat >"$it_dir/web.yaml" <<YAML
name: $it-web
services:
  web:
    image: $it:1
    command: [sh, /start]
    environment: {VERSION: "$1"}
    stop_grace_period: 5s
    restart: always
    configs: [{source: start, target: /start}]
    deploy: {replicas: 3, update_config: {monitor: 50ms}}
    x-berth:
      probes: {readiness: {tcp: {port: 8080}, interval: 100ms}}
      routes: [{hosts: [hit.example$2], port: 8080}]
configs: {start: {file: ./start}}
YAML
}
phase() { echo "$1" >"$it_dir/phase"; }
ready() { [ "$(berth ps "$it-web" --format json | jq '[.[] | select(.ready)] | length')" -ge "$1" ]; }

compose 0 ""
berth up -f "$it_dir/web.yaml" >&2 || bench_fail "berth up failed"
wait_for 10 eval "curl -sf -o /dev/null -H 'Host: hit.example' http://127.0.0.1:$port/" || bench_fail "the route does not lead anywhere"
phase begin
start=$(now_us)
python3 "$BERTH_SRC/tests/bench/load.py" "127.0.0.1:$port" hit.example "$it_dir/phase" $clients 300 >"$it_dir/load.json" &
loader=$!
phase rollouts
for ((i = 1; i <= rollouts; i++)); do
  compose "$i" ""
  berth up -f "$it_dir/web.yaml" >/dev/null 2>&1 || bench_fail "rollout $i failed"
done
phase scalings
for ((i = 1; i <= scalings; i++)); do
  berth scale -p "$it-web" "web=$((i % 2 ? 4 : 2))" >/dev/null 2>&1 || bench_fail "scaling $i failed"
done
phase reloads
for ((i = 1; i <= reloads; i++)); do
  compose "$rollouts" ", h$i.example"
  berth up -f "$it_dir/web.yaml" >/dev/null 2>&1 || bench_fail "reload $i failed"
  wait_for 10 eval "curl -sf -o /dev/null -H 'Host: h$i.example' http://127.0.0.1:$port/" || bench_fail "the route of reload $i does not come"
done
# Each instance once, and then others in their place: whoever is killed again soon waits ever longer before its next start.
phase more
berth scale -p "$it-web" web=10 >/dev/null 2>&1
wait_for 60 ready 10 || bench_fail "not all instances are ready"
for ((i = 0; i < kills; i++)); do
  if [ $((i % 10)) = 0 ] && [ "$i" != 0 ]; then
    phase more
    compose "$((rollouts + i))" ""
    berth up -f "$it_dir/web.yaml" >/dev/null 2>&1 || bench_fail "the rollout before kill $((i + 1)) failed"
    berth scale -p "$it-web" web=10 >/dev/null 2>&1
    wait_for 60 ready 10 || bench_fail "not all instances are ready"
  fi
  phase kills
  docker kill "$(docker ps -q --filter "label=berth.app=$it-web" --filter "label=berth.slot=$((i % 10 + 1))")" >/dev/null
  wait_for 10 eval '! ready 10 || true'
  wait_for 400 ready 10 || bench_fail "the killed instance is not back"
done
seconds=$(since "$start")
kill "$loader"
wait "$loader"
loader=
load=$(cat "$it_dir/load.json")
lost=$(jq '[.lost | to_entries[] | select(.key != "kills") | .value] | add // 0' <<<"$load")
held=$(jq '.lost.kills // 0' <<<"$load")
bench_line requests "$lost" null null null 0 most \
  "{\"load\": $load, \"held\": $held, \"seconds\": $seconds, \"rollouts\": $rollouts, \"scalings\": $scalings, \"reloads\": $reloads, \"kills\": $kills}" \
  "$([ "$held" -le $((kills * clients)) ] && echo true || echo false)"
