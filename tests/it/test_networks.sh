#!/usr/bin/env bash
# Networks that go wrong under Berth's feet: two of one name (as a kill -9 in the middle of a creation leaves them), and one that
# somebody removed while nothing ran in it. Apps come up all the same, and nothing is left when they go.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
it_server
image=berth-$it/box:1
it_image "$image"
app=$it
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $app
services:
  web: {image: "$image", command: [sleep, "3600"], restart: always, init: true, stop_grace_period: 1s}
YAML
engine() { curl -sS --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' "$@"; }
networks() { docker network ls --no-trunc --format '{{.Name}}' | grep -cx "${app}_default"; }
twin() { # a network as Berth makes it, whether there is one of that name or not
  engine -X POST http://d/v1.41/networks/create -d "{\"Name\": \"${app}_default\", \"CheckDuplicate\": false,
    \"Labels\": {\"berth.namespace\": \"default\", \"berth.app\": \"$app\", \"berth.network\": \"default\"}}" >/dev/null
}
running() { [ "$(it_json berth ps --format json -- '[.[] | select(.state == "running")] | length')" = 1 ]; }
container() { docker ps -aq --no-trunc --filter "label=berth.app=$app"; }

twin
twin
is "$(networks)" 2 "two networks of one name"
succeeds "an app that needs one comes up" timeout 60 berth up -f compose.yaml
is "$(networks)" 1 "one of them is left"

# What a killed server asked for may come after the new one has looked.
twin
is "$(networks)" 2 "a second one comes late"
docker rm -f "$(container)" >/dev/null
wait_for 40 running
ok $? "an instance that is made anew gets over it"
is "$(networks)" 1 "one is left again"

it_stop
docker stop -t 0 "$(container)" >/dev/null
succeeds "somebody removes a network while its container and the server are down" docker network rm "${app}_default"
it_start
wait_for 60 running
ok $? "it is made again, and so is the container, which remembers the old one"
wait_for 20 eval '[ "$(networks)" = 1 ]' # just after the start, "running" may be what was known before
is "$(networks)" 1 "and is there once"

twin
succeeds "with two of one name the app can go" timeout 60 berth down "$app"
is "$(networks)" 0 "and nothing is left of them"

succeeds "an app whose network the engine will not let go" timeout 60 berth up -f compose.yaml
docker run -d --rm --name "$app-guest" --network "${app}_default" --init "$image" sleep 120 >/dev/null
succeeds "berth down ends all the same" timeout 60 berth down "$app"
like "$out" "warning: network ${app}_default is left" "with a warning that names it"
like "$(berth events 2>&1)" "network.stuck" "an event tells of it"
is "$(it_json berth network ls --format json -- '.[].state')" removing "it is listed"
is "$(docker inspect -f '{{.State.Running}}' "$app-guest")" true "what uses it runs on"
succeeds "the app comes again" timeout 60 berth up -f compose.yaml
is "$(networks)" 1 "and uses it again"
docker rm -f "$app-guest" >/dev/null
succeeds "then it goes" timeout 60 berth down "$app"
is "$(networks)" 0 "with its network"
done_testing
