#!/usr/bin/env bash
# What is counted beside cpu and memory, through the real server: devices of the configuration, resources of the operator's kinds, disk, processes, ports
# of ranges; what is remembered over kill -9; what a reload of the configuration changes. With the pretended runtime; nothing really runs.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
configure() { # DEVICES
  it_sim "node:
  name: n1
  devices: $1
  resources: {licences: 4}" 'disk: 10GiB' 'pids: 1000'
}
configure '[{kind: gpu, model: a100, driver: nvidia, ids: [GPU-a, GPU-b]}, {kind: fpga, count: 1}]'
it_start
room() { berth node inspect n1 | jq -c ".room[\"$1\"] | [.used, .of]"; }
is "$(room 'device gpu')" "[0,2]" "the node has two gpus"
is "$(room 'resource licences')" "[0,4]" "four licences"
is "$(room disk)" "[0,10737418240]" "its disk"
is "$(room pids)" "[0,1000]" "and processes"

cat >compose.yaml <<'YAML'
name: room
services:
  train:
    image: shop/train:1
    gpus: [{count: 1}]
    deploy: {replicas: 3}
  licensed:
    image: shop/licensed:1
    deploy: {replicas: 3, resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: licences, value: 2}}]}}}
  build:
    image: shop/build:1
    x-berth: {reserve: {disk: 4GiB, pids: 300}}
    deploy: {replicas: 3}
  udp:
    image: shop/udp:1
    ports: ["7000-7001:53/udp"]
    deploy: {replicas: 3}
YAML
like "$(berth plan 2>&1)" "device gpu 0 -> 2 of 2" "the plan shows the devices"
like "$(berth plan 2>&1)" "resource licences 0 -> 4 of 4" "the licences"
like "$(berth plan 2>&1)" "disk 0 -> 8192 of 10240 MiB" "the disk"
is "$(berth plan >/dev/null 2>&1; echo $?)" 7 "and that something has no place"
berth up --detach >/dev/null 2>&1
placed() { berth ps room --format json | jq -r "[.[] | select(.service == \"$1\" and .node != null)] | length"; }
eight() { [ "$(berth ps room --format json | jq '[.[] | select(.ready)] | length')" = 8 ]; }
wait_for 30 eight
is "$(placed train) $(placed licensed) $(placed build) $(placed udp)" "2 2 2 2" "two of each have a place, and no third one"
devices() { berth ps room --format json | jq -r "[.[] | select(.service == \"$1\") | .devices // [] | .[].device_ids[]] | sort | join(\" \")"; }
is "$(devices train)" "GPU-a GPU-b" "each has a device of its own"
ports() { berth ps room --format json | jq -r '[.[] | select(.service == "udp") | .ports[]?.published] | sort | join(" ")'; }
is "$(ports)" "7000 7001" "and a port of its own"
like "$(berth ps room)" "7000->53/udp" "berth ps shows which"
like "$(berth node ls)" "device gpu 2/2" "berth node ls shows what is used"
pending() { berth ps room --format json | jq -r "[.[] | select(.service == \"$1\" and .node == null)][0].instance"; }
like "$(berth why "$(pending train)")" "lacks device gpu" "why there is no third: devices"
like "$(berth why "$(pending licensed)")" "lacks resource licences" "licences"
like "$(berth why "$(pending build)")" "lacks disk" "disk"
like "$(berth why "$(pending udp)")" "no free port of udp/7000-7001" "ports"

before=$(berth ps room --format json | jq -r '[.[] | select(.devices) | .instance + .devices[0].device_ids[0]] | sort | join(" ")')
it_stop KILL
it_start
wait_for 30 eight
is "$(berth ps room --format json | jq -r '[.[] | select(.devices) | .instance + .devices[0].device_ids[0]] | sort | join(" ")')" "$before" "after kill -9 everyone has what they had"
configure '[{kind: gpu, model: a100, driver: nvidia, ids: [GPU-a, GPU-b, GPU-c]}]'
kill -HUP "$it_pid"
third() { [ "$(devices train)" = "GPU-a GPU-b GPU-c" ]; }
wait_for 20 third
is "$(devices train)" "GPU-a GPU-b GPU-c" "a device that comes with a reload is given to the one that waits"
cat >over.yaml <<'YAML'
services:
  train: {deploy: {replicas: 1}}
  all: {image: shop/all:1, deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: all}]}}}}
YAML
berth up --detach -f compose.yaml -f over.yaml >/dev/null 2>&1
one() { [ "$(placed train)" = 1 ]; }
wait_for 20 one
like "$(berth why room/all)" "has not all gpu free" "all of them are not free while one is used"
configure '[{kind: gpu, ids: [a, a]}]'
like "$(berthd --config "$it_dir/berthd.yaml" --check 2>&1)" 'berthd.yaml:7:13: error: the id "a" of a gpu is there twice' "a slip in the configuration is named with its place"
berth down room >/dev/null 2>&1
is "$(room 'device gpu')" "[0,3]" "what goes gives back"
it_stop

# The same with a real engine: it gets the chosen ids, whether or not it can start what asks for them.
unset -f docker
if docker version >/dev/null 2>&1; then
  it_config
  printf 'node: {name: n1, devices: [{driver: nvidia, model: a100, ids: [GPU-a, GPU-b]}]}\n' >>"$it_dir/berthd.yaml"
  it_image "$it/room:1"
  sed -i "s|state.db|engine.db|" "$it_dir/berthd.yaml"
  it_start
  cat >engine.yaml <<YAML
name: $it
services: {a: {image: "$it/room:1", command: sleep 100, restart: "no", gpus: [{count: 1, capabilities: [gpu, a100]}], ports: ["127.0.0.1:7310-7311:80/udp"], deploy: {replicas: 2}}}
YAML
  berth up --detach -f engine.yaml >/dev/null 2>&1
  asked() { docker ps -a --filter "label=berth.app=$it" --format '{{.ID}}' | xargs -r docker inspect -f '{{json .HostConfig.DeviceRequests}}' | sort; }
  wait_for 20 eval '[ "$(asked | wc -l)" = 2 ]'
  is "$(asked)" '[{"Driver":"nvidia","Count":0,"DeviceIDs":["GPU-a"],"Capabilities":[["gpu"]],"Options":{}}]
[{"Driver":"nvidia","Count":0,"DeviceIDs":["GPU-b"],"Capabilities":[["gpu"]],"Options":{}}]' "the engine is asked for one device each"
  bound() { docker ps -a --filter "label=berth.app=$it" --format '{{.ID}}' | xargs -r docker inspect -f '{{(index (index .HostConfig.PortBindings "80/udp") 0).HostPort}}' | sort | tr '\n' ' '; }
  is "$(bound)" "7310 7311 " "and for the ports that the server chose"
  is "$(berth node inspect n1 | jq '.disk > 0 and .pids > 0')" true "and the node tells its disk and processes"
  berth down "$it" >/dev/null 2>&1
fi
done_testing
