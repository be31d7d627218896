#!/usr/bin/env bash
# A node is drained through the command: with no other node everything stays and says why, a restart of the server forgets nothing, uncordon
# calls it off; a job is stopped when its time is over. The runtime only pretends.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
it_sim 'scheduling: {drain: {timeout: 1h, parallel: 5}}' 'delays: {image_pull: 1ms, create: 1ms, start: 1ms, stop: 1ms, remove: 1ms}' \
  'ready_after: 1ms' 'job_time: 1h'
cat >compose.yaml <<YAML
name: drained
services:
  store: {image: any/store, volumes: ["data:/data"]}
  web: {image: any/web, deploy: {replicas: 2}, x-berth: {disruption: {max_unavailable: "50%"}}}
volumes: {data: {}}
YAML
it_start
succeeds "an app is up" berth up
node=$(berth node ls -q)
like "$(berth plan --rebalance)" '0 moves of 2 instances that can be moved. None is made by itself' "with one node nothing would be better elsewhere"
is "$(berth plan --rebalance --format json | jq -c '[.moves, .instances, .movable, .complete, .automatic, .moves_per_hour]')" '[[],3,2,true,false,10]' "and JSON"
fails "no node" 3 berth node drain nope
fails "no time" 2 berth node drain "$node" --timeout soon
fails "the node is drained, and what is there has no other place" 4 berth node drain "$node" --wait
like "$out" "$node is being drained: 3 instances are left" "it says how many are left"
like "$out" 'drained-store-1-[a-z0-9]+: its volume drained_data is on ' "a volume is told"
like "$out" "drained-web-1-[a-z0-9]+: it has no place elsewhere: $node is cordoned" "and that there is no other node"
like "$(berth node ls)" 'draining' "the list says so"
like "$(berth why "node/$node")" 'is still there: its volume drained_data is on' "why, too"
like "$(berth why "$(berth ps store -q)")" "its node $node is drained: its volume" "also of the instance"
is "$(berth node inspect "$node" --format json | jq -c '[.drain.state, .drain.left, (.drain.stays | length), .cordoned]')" '["draining",3,3,true]' "and JSON"
it_stop KILL
it_start
is "$(berth node inspect "$node" --format json | jq -r .drain.state)" draining "a server that was killed goes on"
is "$(it_json berth ps --format json -- '[.[] | select(.ready)] | length')" 3 "and all runs on"
succeeds "it is called off" berth node uncordon "$node"
is "$(berth node inspect "$node" --format json | jq -c '[.status, .drain]')" '["ready",null]' "the node is as before"
like "$(berth events -A)" 'drains the node' "events tell it"
succeeds "the app goes" berth down --volumes

cat >compose.yaml <<YAML
name: drained
services:
  once: {image: any/once, deploy: {mode: replicated-job, restart_policy: {condition: none}}}
YAML
succeeds "a job begins" berth up -d
runs() { [ "$(berth ps once --format json | jq -r '.[0].state')" = running ]; }
wait_for 20 runs
ok $? "and runs"
succeeds "its node is drained" berth node drain "$node"
like "$out" 'it is an attempt of a job, which may run on until' "it may run on"
succeeds "but now it is to be empty" berth node drain "$node" --timeout 0s --wait
like "$out" "$node is drained" "which it is"
like "$(berth node ls)" 'drained' "says the list"
like "$(berth why "$(berth ps once -q)")" 'cordoned' "the job waits for another node"
it_stop
is "$it_rc" 0 "the server ends well"
done_testing
