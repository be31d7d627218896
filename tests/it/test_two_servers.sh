#!/usr/bin/env bash
# Two servers on one engine, each with an app of the same name: neither gets the other's networks and volumes, and taking one app
# down leaves the other's alone. What an older build made, without a server's label, is adopted.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

app=$it
image=berth-$it/box:1
it_server
it_image "$image"
first=$BERTH_HOST
second=unix://$it_dir/second/run/berth.sock
work=$it_dir/work
mkdir -p "$work" "$it_dir/second" && cd "$work" || exit 1
sed "s|$it_dir/state|$it_dir/second/state|; s|$it_dir/run|$it_dir/second/run|" "$it_dir/berthd.yaml" >"$it_dir/second.yaml"
berthd --config "$it_dir/second.yaml" >>"$it_dir/berthd.log" 2>&1 </dev/null &
second_pid=$!
trap 'rc=$?; kill $second_pid 2>/dev/null; wait $second_pid; (exit $rc); it_cleanup' EXIT
on() { BERTH_HOST=$1 timeout 60 "${@:2}"; }
wait_for 20 on "$second" berth ls
server() { docker "$1" inspect -f '{{index .Labels "berth.server"}}' "$2" 2>/dev/null; }

# write VOLUME-SETTINGS NETWORK-SETTINGS
write() {
  cat >compose.yaml <<YAML
name: $app
services:
  a: {image: "$image", command: sleep 1000, init: true, stop_grace_period: 0s, volumes: ["data:/data"]}
volumes: {data: {$1}}
networks: {default: {$2}}
YAML
}
write "" ""
docker volume create "${app}_data" >/dev/null
succeeds "up on the first server" on "$first" berth up
is "$(server volume "${app}_data")" "" "a volume without a server's label is adopted as it is"
id=$(docker ps -q --filter "label=berth.app=$app" | head -n 1)
is "$(server network "${app}_default")" "$(docker inspect -f '{{index .Config.Labels "berth.server"}}' "$id")" "its network has the server's label, as its container"
on "$first" berth down "$app" --volumes >/dev/null
is "$(docker volume ls -q --filter "name=$app")" "" "what was adopted goes with --volumes"

write "name: ${app}_nosuch, external: true" "name: ${app}_nosuch, external: true"
begun=$SECONDS
fails "external ones that nobody made" 1 on "$second" berth up
like "$out" "(network|volume) ${app}_nosuch: it is external, but the engine does not have it" "are named"
ok $((SECONDS - begun > 15)) "soon, and not at the deadline"
on "$second" berth down "$app" >/dev/null
write "" ""
succeeds "up on the first server again" on "$first" berth up
owner=$(server network "${app}_default")
is "$(server volume "${app}_data")" "$owner" "a volume of its own has the label too"
begun=$SECONDS
fails "the same app on the second server" 1 on "$second" berth up
like "$out" "${app}_(default|data): one of that name belongs to another Berth server \(berth.server=$owner\)" "is told whose it is"
like "$out" 'choose another name, or share it with "external: true"' "and what to do"
ok $((SECONDS - begun > 9)) "at once, since trying again does not help"
like "$(on "$second" berth why "$app")" "belongs to another Berth server" "why says so"
succeeds "down on the second server" on "$second" berth down "$app" --volumes
is "$(server network "${app}_default") $(server volume "${app}_data")" "$owner $owner" "leaves the first one's network and volume"

write "name: ${app}_other" "name: ${app}_mine"
succeeds "other names" on "$second" berth up
unlike "$(server volume "${app}_other")" "^($owner|)$" "are the second server's own"
on "$second" berth down "$app" --volumes >/dev/null
write "name: ${app}_data, external: true" "name: ${app}_default, external: true"
succeeds "what is said to be external is shared" on "$second" berth up
succeeds "and stays" on "$second" berth down "$app" --volumes
is "$(server network "${app}_default") $(server volume "${app}_data")" "$owner $owner" "as it was"
succeeds "down on the first server" on "$first" berth down "$app" --volumes
is "$(docker volume ls -q --filter "name=$app")$(docker network ls -q --filter "name=$app")" "" "nothing is left"
done_testing
