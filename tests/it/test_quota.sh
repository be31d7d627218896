#!/usr/bin/env bash
# A user's walk through quotas: what is refused and in which words, what waits, defaults and ranges, a quota that is lowered; from berthd.yaml to the
# command, with the pretended runtime. No engine is needed; nothing really runs.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
# configure NAMESPACES : the section of berthd.yaml.
configure() {
  it_sim "namespaces: $1" 'delays: {image_pull: 10ms, create: 1ms, start: 5ms, stop: 5ms, remove: 1ms}' 'ready_after: 20ms' 'job_time: 1s'
}
reload() {
  local before
  before=$(berth events -A --type settings.changed | wc -l)
  configure "$1"
  kill -HUP "$it_pid"
  wait_for 10 eval '[ "$(berth events -A --type settings.changed | wc -l)" -gt '"$before"' ]'
}
row() { berth quota ls --format json -n "$1" | jq -c ".[0].$2"; }

configure '{team: {parent: nowhere}}'
like "$(berthd --check --config "$it_dir/berthd.yaml" 2>&1)" 'berthd.yaml:5:29: error: namespace team has the parent "nowhere"' "an unknown parent is named with its place"

configure '{org: {quota: {cpus: 2}}, team: {parent: org, quota: {instances: 5, memory: 1GiB}, defaults: {memory: 64MiB}, range: {cpus: [0.1, 1]}}, other: {parent: org}, tiny: {quota: {cpus: 0.2}}}'
it_start
export BERTH_NAMESPACE=team

cat >compose.yaml <<YAML
name: shop
services:
  web:
    image: shop/web:1
    deploy: {replicas: 3, resources: {reservations: {cpus: 0.5}}}
YAML
plan=$(berth plan 2>&1)
like "$plan" "namespace team fills in deploy.resources.reservations.memory of web: \"67108864\"" "a plan shows the default that is filled in"
like "$plan" "quota of namespace team: instances 0 -> 3 of 5" "and the quota before and after"
like "$plan" "quota of namespace org: cpus 0 -> 1.5 of 2" "also of the one above"
succeeds "three of five" berth up --wait-timeout 30
like "$(berth quota ls)" "team +org +instances +3 +3 +5 +2" "the list says what is used and free"
is "$(row org used.cpus)" 1.5 "and counts above"
like "$(berth quota ls --format json -n tiny)" '"cpus": 0\.2$' "numbers of JSON are short"
unlike "$(berth quota ls --format json -A)" '[0-9]{12}' "all of them"

out=$(berth scale web=5 2>&1)
is $? 5 "more is denied, exit code 5"
like "$out" "the quota of namespace org is 2 cpus, and 1.5 cpus are used; app shop asks for 1 cpu more; service web \($work/compose.yaml:3\) asks for most of it, 5 times 0.5 cpus" \
  "in words: which quota, what is used, what was asked, by whom"
like "$out" "have an operator raise namespaces.org.quota.cpus" "and the mend"
out=$(berth plan --scale web=5 2>&1)
is $? 5 "so is a plan"

cat >big.yaml <<YAML
name: big
services: {db: {image: "db:1", deploy: {resources: {reservations: {cpus: 1.5}}}}}
YAML
like "$(berth up -f big.yaml 2>&1)" "an instance of service db \($work/big.yaml:2\) asks for 1.5 cpus, and namespace team allows no more than 1 cpu" "an instance outside of the range is denied"
cat >none.yaml <<YAML
name: none
services: {db: {image: "db:1"}}
YAML
like "$(berth up -f none.yaml -n other 2>&1)" "service db \($work/none.yaml:2\) says nothing of its cpus, of which namespace org has a quota" "and one that says nothing where a quota counts it"

# --- jobs wait for what is used now
cat >jobs.yaml <<YAML
name: batch
services:
  work:
    image: job:1
    deploy: {mode: replicated-job, replicas: 3, resources: {reservations: {cpus: 0.5}}}
YAML
succeeds "a job of three at once is taken, with room for one" berth up -f jobs.yaml --detach
waits() { berth ps batch --format json | jq -r '[.[] | select(.node == null)][0].reason // empty'; }
ok "$(wait_for 5 eval '[ -n "$(waits)" ]'; echo $?)" "its others wait"
why=$(berth why batch/work)
like "$why" "the quota of namespace (org is 2 cpus, and 2 cpus are used|team is 4 instances, and 4 instances are used); an instance of work asks for" "why says for which quota"
like "$why" "berth quota ls" "and what to do"
done_jobs() { [ "$(berth ps batch -a --format json | jq '[.[] | select(.state == "exited" and .exit_code == 0)] | length')" = 3 ]; }
ok "$(wait_for 20 done_jobs; echo $?)" "all of it runs in the end"
succeeds "and goes" berth down batch

# --- an update has no room beside what runs
sed -i 's/replicas: 3/replicas: 4, update_config: {order: start-first, parallelism: 2}/; s/web:1/web:2/' compose.yaml
succeeds "an update, start-first, of all there is" berth up --wait-timeout 60
is "$(berth ps shop --format json | jq '[.[] | select(.ready and .image == "shop/web:2")] | length')" 4 "all are new"
is "$(berth events | grep -c 'failed')" 0 "and nothing failed"

# --- lowered
ok "$(reload '{team: {quota: {instances: 2}}}'; echo $?)" "the quota is lowered"
is "$(berth ps shop --format json | jq '[.[] | select(.ready)] | length')" 4 "what runs goes on"
like "$(berth quota ls)" "team +instances +4 +4 +2 +0 +over: nothing new starts" "and is shown to be over"
sed -i 's/web:2/web:3/' compose.yaml
succeeds "an update is taken" berth up --detach
ok "$(wait_for 10 eval 'berth why shop/web | grep -q "what runs goes on"'; echo $?)" "but waits, and why says for what"
is "$(berth ps shop --format json | jq '[.[] | select(.ready and .image == "shop/web:2")] | length')" 4 "while the old ones run"
ok "$(reload '{}'; echo $?)" "without a quota"
ok "$(wait_for 30 eval '[ "$(berth ps shop --format json | jq "[.[] | select(.ready and .image == \"shop/web:3\")] | length")" = 4 ]'; echo $?)" "the update goes through"

# --- after a restart the sums are the same
settled() { [ "$(berth ps shop --format json | jq length)" = 4 ]; }
ok "$(wait_for 20 settled; echo $?)" "and the old ones are gone"
configure '{team: {quota: {instances: 4}}}'
it_stop KILL
it_start
is "$(row team used.instances)" 4 "after kill -9 the sums are the same"
like "$(berth scale web=5 2>&1)" "the quota of namespace team is 4 instances, and 4 instances are used" "and hold"

# --- what more nodes would place
# the pretended node has 64 cpus
cat >large.yaml <<YAML
name: large
services:
  db:
    image: db:1
    deploy: {replicas: 3, resources: {reservations: {cpus: 40}}}
YAML
export BERTH_NAMESPACE=free
node=$(berth node ls --format json | jq -r '.[0].node')
out=$(berth simulate --nodes 1 --like "$node" -f large.yaml)
is $? 7 "with one more node not all of a file has a place: exit code 7"
like "$out" "db: 2 of 3 placed" "it says how many have"
like "$out" "lack cpu" "and why the others have not"
out=$(berth simulate --nodes 3 --like default -f large.yaml)
is $? 0 "with three more all of it has"
like "$out" "db: 3 of 3 placed: 1 on $node, 1 on $node[+]1" "and where"
like "$out" "pool default: 1 -> 4 nodes" "the capacity is told, before and after"
is "$(it_json berth simulate --nodes 3 --like default -f large.yaml --format json -- '.services[0].unplaced')" 0 "as JSON, too"
is "$(berth node ls --format json | jq length)" 1 "nothing is changed"
out=$(berth simulate --like nowhere 2>&1)
is $? 3 "what is neither a node nor a pool: exit code 3"
like "$out" "there is neither a node nor a pool nowhere" "in words"
done_testing
