#!/usr/bin/env bash
# Services that scale by themselves, on a real engine: by the cpu that containers really use, by a queue that a real Prometheus tells of
# (asleep at 0, awake with work, held while Prometheus is down), by Lua; the number outlives applies, rollbacks and restarts.
# timeout: 150
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
command -v prometheus >/dev/null || skip_all "prometheus is missing: apt-get install prometheus"

free_port() {
  local port
  for port in $(shuf -i 20000-31999 -n 20); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
prom=$(free_port) queue=$(free_port)
it_server "  - plugin: monitor-prometheus" "    config: {url: 'http://127.0.0.1:$prom'}"
image=$it/box:1
it_image "$image"
mkdir -p "$it_dir/queue" "$it_dir/work/flags" && cd "$it_dir/work" || exit 1

# The queue: a page with one metric, as an exporter has it.
set_queue() { printf '# TYPE work_waiting gauge\nwork_waiting{shard="a"} %s\nwork_waiting{shard="b"} 0\n' "$1" >"$it_dir/queue/metrics"; }
set_queue 0
busybox httpd -f -p "127.0.0.1:$queue" -h "$it_dir/queue" &
pids=($!)
trap 'rc=$?; kill "${pids[@]}" 2>/dev/null; wait "${pids[@]}" 2>/dev/null; (exit $rc); it_cleanup' EXIT
cat >"$it_dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: queue, static_configs: [{targets: ["127.0.0.1:$queue"]}]}]
YAML
prometheus_start() {
  prometheus --config.file="$it_dir/prometheus.yml" --storage.tsdb.path="$it_dir/tsdb" --web.listen-address="127.0.0.1:$prom" \
    >>"$it_dir/prometheus.log" 2>&1 </dev/null &
  prom_pid=$!
  pids+=("$prom_pid")
}
prometheus_start
knows() { curl -sfG "http://127.0.0.1:$prom/api/v1/query" --data-urlencode "query=sum(work_waiting)" | jq -e --arg n "$1" '.data.result[0].value[1] == $n' >/dev/null; }
ok "$(wait_for 30 knows 0; echo $?)" "Prometheus knows the queue"

cat >compose.yaml <<YAML
name: $it
x-box: &box {image: "$image", init: true, stop_grace_period: 1s}
services:
  busy:
    <<: *box
    command: [sh, -c, 'while :; do if [ -e /flags/idle ]; then sleep 1; fi; done']
    volumes: ["./flags:/flags"]
    deploy: {resources: {reservations: {cpus: "0.05"}, limits: {cpus: "0.1"}}}
    x-berth:
      autoscale:
        {min: 1, max: 3, interval: 2s, metrics: [{cpu: 50%}], down: {stabilization: 3s}, up: {limits: [{instances: 1, period: 2s}]}}
  worker:
    <<: *box
    command: [sleep, "3600"]
    x-berth:
      autoscale: {min: 0, max: 3, interval: 1s, metrics: [{query: sum(work_waiting), target: 10, name: queue}], down: {stabilization: 2s}}
  ruled:
    <<: *box
    command: [sleep, "3600"]
    x-berth:
      autoscale:
        max: 4
        interval: 1s
        down: {stabilization: 0s}
        metrics:
          - {query: sum(work_waiting), target: 1000, name: queue}
          - {lua: "return function(seen) return seen.metrics.queue > 20 and 2 or seen.min end", name: rule}
  plain:
    <<: *box
    command: [sleep, "3600"]
    deploy: {resources: {reservations: {memory: 8M}}}
    x-berth: {autoscale: {interval: 1s, vertical: {}}}
YAML
running() { docker ps -q --filter "name=^$it-$1-" | wc -l; }
has() { [ "$(running "$1")" -eq "$2" ]; }
view() { berth autoscale ls --format json | jq -r --arg s "$1" ".[] | select(.service == \$s) | $2"; }
view_is() { [ "$(view "$1" "$2")" = "$3" ]; }

succeeds "up" timeout 60 berth up
is "$(berth autoscale ls -q | sort | paste -sd,)" "busy,plain,ruled,worker" "autoscale ls has the services that scale"
ok "$(wait_for 30 has worker 0; echo $?)" "an empty queue: the worker sleeps"
is "$(berth ls --format json | jq -r '.[0].state')" running "and the app runs"
ok "$(wait_for 30 has busy 3; echo $?)" "what burns cpu goes up to max"
like "$(berth why "$it/busy" 2>&1)" "scaled automatically between 1 and 3, and has 3: cpu is at [0-9]+% of the request, target 50%" "why says so"
like "$(berth ps)" "busy +3 .*1-3 .*cpu [0-9?]+%?/50%" "ps shows the bounds and the metric"

watched() { [ "$(view plain .autoscale.vertical.history_ms)" -gt 0 ]; }
ok "$(wait_for 20 watched; echo $?)" "the use of a service with vertical is watched"
like "$(berth scale --recommend)" "plain +0 cpus, 8.0? ?MiB? +not yet: seen for [0-9]+s" "and what it needs is told when enough was seen"
like "$(berth autoscale apply plain 2>&1)" "nothing is recommended for service plain yet" "not before"

set_queue 25
ok "$(wait_for 30 has worker 3; echo $?)" "work wakes the worker: 25 / 10"
ok "$(wait_for 20 has ruled 2; echo $?)" "Lua sees the queue's value, and asks for two"
like "$(berth events "$it")" "autoscale.scaled .*worker scales with its load from 0 to 3: queue is 25, target 10 per instance" "an event says from where and why"

kill "$prom_pid" && wait "$prom_pid" 2>/dev/null
ok "$(wait_for 20 view_is worker .autoscale.state missing; echo $?)" "Prometheus is down: the metric has no value"
like "$(view worker .autoscale.reason)" "Prometheus at http://127.0.0.1:$prom does not answer" "which is said"
held() { berth events "$it" | grep -q 'autoscale.held .*worker stays at 3'; }
ok "$(wait_for 20 held; echo $?)" "and told as an event"
ok "$(has worker 3; echo $?)" "the worker stays"

is "$(berth history --format json | jq length)" 1 "none of it made a revision"
sed -i 's/work_waiting), target: 10,/work_waiting), target: 9,/' compose.yaml
succeeds "another target is applied" timeout 60 berth up
ok "$(has worker 3 && has busy 3; echo $?)" "the numbers stand, not the file's"
succeeds "going back" timeout 60 berth rollback
ok "$(has worker 3 && has busy 3; echo $?)" "does not change them"
ids() { docker ps -q --filter "name=^$it-" | sort | paste -sd,; }
before=$(ids)
it_stop
it_start
ok "$(wait_for 20 view_is worker .replicas 3; echo $?)" "a restart of the server does not, either"
is "$(ids)" "$before" "and leaves all containers"

touch flags/idle
ok "$(wait_for 40 has busy 1; echo $?)" "idle again: down to min"
set_queue 0
prometheus_start
ok "$(wait_for 40 has worker 0; echo $?)" "Prometheus is back with an empty queue: the worker sleeps again"
like "$(berth why "$it/worker")" "has 0: queue is 0" "a service without any instance says why"

like "$(berth scale worker=9 2>&1)" "scaled automatically between 0 and 3" "nobody scales it over max"
like "$(berth scale busy=2 2>&1)" "scaled from 1 to 2; it goes on by its load from there" "by hand within the bounds, which says what happens then"
ok "$(has busy 2; echo $?)" "and ends when it has two"
ok "$(wait_for 30 has busy 1; echo $?)" "and then as its load asks for"
like "$(berth scale plain=2 busy=2 2>&1)" "one after the other" "services of both kinds are not scaled at once"
done_testing
