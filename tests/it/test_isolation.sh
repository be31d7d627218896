#!/usr/bin/env bash
# A real server whose container engine is reached through a plug-in in a process of its own: it deploys, survives that process' end, and
# a plug-in that crashes or hangs beside it. One that Berth does not bring along runs so without being told.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

config() { # ENTRY…
  it_config "$@"
  sed -i 's/^  - plugin: runtime-docker$/  - {plugin: runtime-docker, isolation: process, user: root, network: true}/' "$it_dir/berthd.yaml"
}
plugin() { it_json berth plugin ls --format json -- ".[] | select(.name == \"$1\") | $2"; }
nuisance=$build/tests/plugins/.libs/nuisance.so
[ -f "$nuisance" ] || make -C "$build" -s tests/plugins/nuisance.la >/dev/null 2>&1
config "  - {path: $nuisance, name: crash, config: {how: crash}}"
it_start

app=$it
it_image "berth-$it/box:1"
cat >"$it_dir/compose.yaml" <<YAML
name: $app
services:
  web: {image: "berth-$it/box:1", command: [sleep, "600"], stop_grace_period: 0s}
YAML
instances() { it_json berth ps --format json -- '[.[] | select(.app == "'"$app"'" and .state == "running")] | length'; }
succeeds "an app is deployed through the helper" berth up -f "$it_dir/compose.yaml"
is "$(instances)" 1 "and runs"
is "$(plugin runtime-docker '.isolation + " " + .status')" "process ok" "the runtime has a process of its own"
is "$(plugin registry-oci .isolation)" none "what Berth brings along has none unless it is told"
is "$(plugin crash .isolation)" process "what it does not bring along has one"
is "$(berth exec -p "$app" web echo hello 2>/dev/null)" hello "commands run in containers"

crashed() { [ "$(plugin crash .restarts)" -ge 2 ]; }
wait_for 10 crashed
ok $? "a plug-in that crashes comes again"
broken() { [ "$(plugin crash .status)" = broken ]; }
wait_for 20 broken
ok $? "and is left alone after five times"
like "$(plugin crash .last_failure)" "was killed by signal 6 \(Aborted\)|exited with status" "with its last failure"
like "$(berth events -A --format json 2>/dev/null | jq -r .type | sort -u)" "plugin.crashed" "events say so"

pid=$(plugin runtime-docker .pid)
kill -9 "$pid"
again() { [ "$(plugin runtime-docker .status)" = ok ] && [ "$(plugin runtime-docker .pid)" != "$pid" ]; }
wait_for 10 again
ok $? "the runtime's process is killed and comes again"
running() { [ "$(instances)" = 1 ]; }
wait_for 10 running
ok $? "the container ran on"
succeeds "a change goes through the new one" berth scale -p "$app" web=2
is "$(instances)" 2 "two instances"

like "$(berthd --config "$it_dir/berthd.yaml" --check 2>&1)" "is fine" "--check asks the helper about what is not trusted"
config "  - {path: $nuisance, name: hang, config: {how: hang}}"
kill -HUP "$it_pid"
hung() { plugin hang .last_failure | grep -q hung; }
seen() { [ "$(plugin hang .status)" = ok ]; }
wait_for 10 seen
start=$SECONDS
berth ps >/dev/null
ok $((SECONDS - start > 2)) "a plug-in that hangs holds nobody up"
wait_for 20 hung
ok $? "and is ended"
succeeds "down" berth down "$app"
it_stop
left() { ! pgrep -f "berth-plugin-host.*$build" >/dev/null; }
wait_for 5 left
ok $? "no process of a plug-in is left"
done_testing
