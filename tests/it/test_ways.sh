#!/usr/bin/env bash
# Blue-green and canary through the whole server: what ps, why, plan and the routes say on the way, promote, pause and abort, a server that is
# killed in between, and an update that fails and goes back by itself.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
it_sim "" 'ready_after: "10ms..20ms"'
it_start || exit 1

# up VERSION ROLLOUT : deploys, without waiting.
up() {
  cat >compose.yaml <<YAML
name: ways
services:
  web:
    image: "shop/web:$1"
    restart: always
    deploy: {replicas: 4, update_config: {parallelism: 4, monitor: 1s}}
    healthcheck: {test: [CMD, x], interval: 1s}
    x-berth:
      routes: [{hosts: ways.example, port: 80}]
      rollout: $2
YAML
  berth up --detach
}
green='{strategy: blue-green, keep: 1m}'
canary='{strategy: canary, steps: [{instances: 25%, weight: 10, pause: promote}, {weight: 50, pause: promote}]}'
state() { berth ls --format json | jq -r '.[] | select(.app == "ways") | .state'; }
runs() { [ "$(state)" = running ]; }
line() { berth ps ways | tail -1; }
images() { berth ps ways --format json | jq -r '[.[] | select(.leaving | not) | select(.ready) | .revision] | sort | group_by(.) | map("\(length) of \(.[0])") | join(", ")'; }
at() { [ "$(images)" = "$1" ]; }
weight() { berth route ls --format json | jq -r '.[0].services[0].new_weight // "none"'; }
weighs() { [ "$(weight)" = "$1" ]; }

succeeds "the first revision" up 1 "$green"
ok "$(wait_for 20 runs; echo $?)" "runs"
is "$(weight)" none "routes know one kind of instance"

out=$(
  sed '/^      routes:/d; s/rollout: .*/rollout: {strategy: canary, steps: [{weight: 10, pause: promote}]}/' compose.yaml >unrouted.yaml
  berth up --detach -f unrouted.yaml 2>&1
)
like "$out" "$work/unrouted.yaml:3: service web: x-berth.rollout.steps: a weight is a share" "what only the server checks is refused with its place"

# --- blue-green
sed -i 's/web:1/web:2/' compose.yaml
like "$(berth plan)" "blue-green: 4 new beside the old, then a switch; the old ones stay for 1m0s" "plan says how"
succeeds "an update" up 2 "$green"
ok "$(wait_for 20 weighs 100; echo $?)" "is switched when all are ready"
is "$(images)" "4 of 1, 4 of 2" "the old ones stay"
like "$(line)" "ways/web is being updated, blue-green, 100 of 100 requests go to the new instances" "ps says it"
like "$(berth why ways/web)" "blue-green: requests go to the new instances; the old ones stay for" "why says it"
it_stop KILL
it_start
ok "$(wait_for 20 weighs 100; echo $?)" "a killed server goes on from there"
like "$(berth rollout promote ways)" "ways/web goes on" "promoted"
ok "$(wait_for 20 at "4 of 2"; echo $?)" "the old ones go"
ok "$(wait_for 20 runs; echo $?)" "and it runs"
fails "nothing is left to promote" 4 berth rollout promote ways

# --- canary
succeeds "another update" up 3 "$canary"
ok "$(wait_for 20 weighs 10; echo $?)" "the first step stands"
is "$(images)" "3 of 2, 1 of 3" "with one of four"
like "$(line)" "canary, step 1 of 2, 10 of 100 requests" "ps says it"
succeeds "promoted" berth rollout promote ways/web
ok "$(wait_for 20 weighs 50; echo $?)" "the second step stands"
is "$(images)" "2 of 2, 2 of 3" "with two"
succeeds "held" berth rollout pause ways
like "$(line)" "it is held" "ps says it"
like "$(berth rollout abort ways)" "ways/web goes back" "aborted"
ok "$(wait_for 20 at "2 of 2, 2 of 4"; echo $?)" "what was before is there again"
like "$(berth history ways)" "back to revision 2: .* aborts the update of web" "history says who did it"
ok "$(wait_for 20 runs; echo $?)" "and it runs"
done_testing
