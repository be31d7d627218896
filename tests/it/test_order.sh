#!/usr/bin/env bash
# Who gets a place first, and who gives one up, on a full machine that is only pretended: priorities, preemption across a kill -9, a gang,
# and the operator's words that turn it off. No engine is needed; nothing really runs.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
# configure [SCHEDULING] : with such a section.
configure() {
  it_sim "scheduling: {${1:-}}
namespaces: {team-a: {priority: 500}}" 'cpus: 4' 'delays: {image_pull: 1ms, create: 1ms, start: 1ms, stop: "2s", remove: 1ms}' 'ready_after: 10ms'
}
configure
it_start

# app NAME REPLICAS CPUS PLACEMENT [MORE] : its file.
app() {
  cat >"$1.yaml" <<YAML
name: $1
services:
  web:
    image: shop/web:1
    deploy: {replicas: $2, resources: {reservations: {cpus: "$3"}}}
    x-berth: {placement: {$4}${5:-}}
YAML
}
ready() { it_json berth "$@" --format json -- '[.[] | select(.ready)] | length'; }
is_ready() { [ "$(ready ps "$1")" = "$2" ]; }

app low 4 1 "" ", disruption: {max_unavailable: 50%}"
succeeds "four that fill the machine" timeout 30 berth up -f low.yaml
app high 1 1 "priority: 100"
plan=$(berth plan -f high.yaml)
like "$plan" "web pushes out low-web-[0-9]-[a-z0-9]* of [^ ]*: it has priority 0, and web 100" "a plan foretells whom it pushes out"
is "$(berth events -A --type instance.preempted --format json | jq -s length)" 0 "and pushes nobody out"
victim=$(berth plan -f high.yaml --format json | jq -r '.forecast.services[0].preempts[0].instance')
succeeds "one of higher priority is asked for" berth up -f high.yaml --detach
ok "$(wait_for 10 eval 'berth events -A --type instance.preempted | grep -q preempted'; echo $?)" "one of the others has to leave"
like "$(berth why high)" "has its place on .* as soon as low-web-.* of priority 0 has left" "why tells what it waits for"
like "$(berth why low)" "preempted by high/web of priority 100" "and why the other one leaves"

like "$(berth events -A --type instance.preempted)" "$victim" "it is the one that was foretold"

it_stop KILL
it_start
ok "$(wait_for 20 is_ready high 1; echo $?)" "after kill -9 it has its place still"
is "$(berth events -A --type instance.preempted --format json | jq -s length)" 1 "and nobody else had to leave"
like "$(berth why low/web)" "1 instance of it waits for a place, number 1 of 1 in the queue: priority 0" "who left waits in the queue"

app gang 3 1 "gang: true, priority: 200"
berth up -f gang.yaml --detach >/dev/null
like "$(berth why gang/web)" "1 of 3 have a place|0 of 3 have a place, and it is a gang: all of them or none" "a gang of three does not begin where two can leave"
is "$(it_json berth ps gang --format json -- '[.[] | select(.node)] | length')" 0 "none of it does"
succeeds "down with the low ones" timeout 30 berth down low
ok "$(wait_for 20 is_ready gang 3; echo $?)" "then all of it begins"
succeeds "down with the gang" timeout 30 berth down gang

app mine 3 1 ""
succeeds "the machine is full again" timeout 30 berth up -f mine.yaml
app theirs 1 1 ""
configure "preemption: false"
kill -HUP "$it_pid"
ok "$(wait_for 10 grep -q 'configuration' "$it_dir/berthd.log"; echo $?)" "the operator turns it off"
sleep 1
berth --namespace team-a up -f theirs.yaml --detach >/dev/null
like "$(berth --namespace team-a why theirs)" "number 1 of 1 in the queue: priority 500" "the namespace has a priority"
is "$(it_json berth ps mine --format json -- '[.[] | select(.leaving)] | length')" 0 "nobody leaves for it"
configure
kill -HUP "$it_pid"
wait_theirs() { [ "$(ready --namespace team-a ps theirs)" = 1 ]; }
ok "$(wait_for 20 wait_theirs; echo $?)" "until it is turned on again"
like "$(berth why mine)" "preempted by an app of namespace team-a of priority 500" "the other namespace is named, not its app"
done_testing
