#!/usr/bin/env bash
# A rehearsal: berthd with the pretended runtime brings up 200 instances while starts fail, pulls fail and containers crash, says why in
# words, adopts what runs after kill -9, and goes through an outage of the engine. No engine is needed; nothing really runs.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

# The app's name is fixed: chance depends on it. With this seed some of the 200 fail at their first start, and none twice in a row, which
# would wait for 20 s more.
app=rehearsal
# configure [FIELD…] : what the runtime is to do.
configure() {
  it_sim "" 'seed: 4' 'delays: {image_pull: 50ms, create: "1ms..5ms", start: "5ms..30ms", stop: "1ms..10ms", remove: 1ms}' 'ready_after: "10ms..100ms"' \
    'job_time: 50ms' "$@"
}
configure 'failures: {start: "5%", create: "5% unavailable"}' 'missing_images: ["*/nowhere:*"]'
it_start

like "$(berth node ls)" "ready +default +sim +rehearsal" "the nodes say that it is a rehearsal"
is "$(it_json berth doctor --format json -- '[.[] | select(.element == "engine" and .verdict == "warning") | .found] | tojson')" \
  '["this is a rehearsal: it only pretends, and nothing really runs"]' "and so does the doctor"
is "$(it_json berth doctor --format json -- '[.[] | select(.verdict == "error")] | length')" 0 "who finds nothing wrong with it"

cat >compose.yaml <<YAML
name: $app
services:
  migrate:
    image: shop/migrate:3
    restart: on-failure
  web:
    image: shop/web:1.2
    healthcheck: {test: [CMD, check], interval: 1s}
    depends_on: {migrate: {condition: service_completed_successfully}}
    deploy: {replicas: 120}
  worker:
    image: shop/worker:1.2
    depends_on: {migrate: {condition: service_completed_successfully}}
    deploy: {replicas: 79}
YAML
ready() { berth ps "$app" --format json | jq "[.[] | select(.ready)] | length"; }
all_ready() { [ "$(ready)" = 199 ]; }
failed() { berth ps "$app" --format json | jq -r '[.[] | select((.error // "") | test("failure of start"))][0].instance // empty'; }
begun=$SECONDS
succeeds "200 instances are asked for" berth up --detach
ok "$(wait_for 30 eval '[ -n "$(failed)" ]'; echo $?)" "some starts fail"
one=$(failed)
why=$(berth why "$one")
like "$why" "failure of start injected by runtime-sim, as failures.start has it for 5% of the calls: this is a rehearsal" "why tells the injected failure in words"
like "$why" "next start|again in|starts again" "and when it is tried next"
ok "$(wait_for 60 all_ready; echo $?)" "all are ready in the end ($((SECONDS - begun)) s)"
is "$(it_json berth ps "$app" -a --format json -- '[.[] | select(.service == "migrate") | [.state, .exit_code]] | tojson')" '[["exited",0]]' "the job has ended before"
like "$(berth logs "$one" --tail 20 2>&1)" "nothing really runs" "logs say what they are"
like "$(berth exec "$one" -- date 2>&1)" 'pretends to run \["date"\]' "so does an exec"

# --- the server is killed
started() { it_json berth ps "$app" --format json -- '[.[] | select(.ready) | [.instance, .started_at // .started_ms, .restarts]] | sort | tojson' | md5sum; }
before=$(started)
it_stop KILL
configure 'missing_images: ["*/nowhere:*"]'
it_start
ok "$(wait_for 30 all_ready; echo $?)" "after kill -9 all are ready again"
is "$(started)" "$before" "and none was started anew"

# --- an image that nobody has
cat >none.yaml <<YAML
name: ${app}n
services: {web: {image: "shop/nowhere:1"}}
YAML
like "$(timeout 30 berth up -f none.yaml --wait-timeout 1s 2>&1; berth why "${app}n/web" 2>&1)" "no registry has it, as missing_images" "a missing image is told in words"

# --- live: containers crash, and the engine goes away
reload() {
  configure "$@"
  kill -HUP "$it_pid"
}
crashed() { it_json berth ps "${app}c" --format json -- '[.[] | select((.error // "") | test("exit code 139"))][0].instance // empty'; }
cat >crash.yaml <<YAML
name: ${app}c
services: {web: {image: "shop/web:1.2", deploy: {replicas: 20}}}
YAML
reload 'crashes_per_hour: "7200"' 'crash_exits: {"139": "100%"}'
ok "$(wait_for 10 grep -q 'took its new configuration' "$it_dir/berthd.log"; echo $?)" "the runtime takes another configuration"
succeeds "an app is begun" berth up -f crash.yaml --detach
ok "$(wait_for 20 eval '[ -n "$(crashed)" ]'; echo $?)" "containers crash as crash_exits has it"
like "$(berth why "$(crashed)")" "it ended with exit code 139" "and why says so"
told() { berth events -A --type node.unavailable; }
reload 'outages_per_hour: "7200"' 'outage: 200ms'
ok "$(wait_for 20 eval 'told | grep -q .'; echo $?)" "an outage of the engine is an event"
like "$(told)" "outage of the engine pretended by runtime-sim" "in words"
reload 'crashes_per_hour: "0"'
ok "$(wait_for 30 all_ready; echo $?)" "then all of the first app are there again"
is "$(started)" "$before" "and they ran on meanwhile"
succeeds "down" timeout 60 berth down "$app"
is "$(grep -c '"gone":true' "$it_dir/containers" | awk '{ print ($1 >= 199) }')" 1 "and all their containers are gone"

# --- the server ends while the node has much to tell: what is not heard any more is not lost in memory, which the sanitizers look at
cat >many.yaml <<YAML
name: ${app}m
services: {web: {image: "shop/web:1.2", deploy: {replicas: 400}}}
YAML
reload
code=0
for round in 1 2 3; do
  succeeds "round $round: many are asked for" berth up -f many.yaml --detach
  sleep 0.3
  it_stop TERM
  code=$((code + it_rc))
  rm -rf "$it_dir/state" "$it_dir/containers"
  it_start
done
is "$code" 0 "a server that ends in the middle of it ends well"
done_testing
