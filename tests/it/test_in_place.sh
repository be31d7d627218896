#!/usr/bin/env bash
# Other limits without another container, on the real engine: the plan says so, the container stays and is not restarted, the kernel has the new limit, a
# restart of the server replaces nothing; what cannot be done in place is replaced, and both plan and events say why.
# timeout: 300
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

work=$it_dir/work
mkdir -p "$work" && cd "$work" || exit 1
app=$it
image=berth-$it/box:1
it_server
it_image "$image"

# file LIMIT RESERVATION [MORE] : compose.yaml with limits; each instance fills 57 MiB of memory.
file() {
  cat >compose.yaml <<YAML
name: $app
services:
  web:
    image: $image
    command: [sh, -c, "trap exit TERM; x=\$\$(head -c 60000000 /dev/zero | tr '\\\\0' x); while :; do sleep 1 & wait; done"]
    stop_grace_period: 1s
    ${3:-}
    deploy:
      replicas: 2
      update_config: {order: start-first}
      resources: {limits: {memory: $1, cpus: "${4:-0.5}"}, reservations: {memory: $2}}
YAML
}
ids() { docker ps -aq --no-trunc --filter "label=berth.app=$app" | sort | tr '\n' ' '; }
names() { berth ps "$app" --format json | jq -r '[.[].instance] | sort | join(" ")'; }
started() { docker inspect -f '{{.State.StartedAt}} {{.RestartCount}}' $(ids) | tr '\n' ' '; }
limits() {
  local id
  for id in $(ids); do
    cat "/sys/fs/cgroup/memory/docker/$id/memory.limit_in_bytes" "/sys/fs/cgroup/system.slice/docker-$id.scope/memory.max" "/sys/fs/cgroup/docker/$id/memory.max" 2>/dev/null
  done | sort -u | tr '\n' ' '
}
reserved() { berth node ls --format json | jq -r '.[0].memory_reserved / 1048576'; }
uses_much() { [ "$(docker stats --no-stream --format '{{.MemUsage}}' $(ids) | grep -cE '^([5-9][0-9]|1[0-9][0-9])')" = 2 ]; }

file 256M 128M
succeeds "up" timeout 120 berth up
before=$(ids) was=$(started) who=$(names)
is "$(limits)" "268435456 " "the kernel has the limit of the file"
is "$(reserved)" 256 "and the node what they reserve"

# --- in place
file 512M 200M
plan=$(berth plan)
like "$plan" "changes in place: memory 256MiB -> 512MiB, reserved memory 128MiB -> 200MiB" "the plan says that it changes in place"
is "$(berth plan --format json | jq -r '.plan[] | select(.name == "web") | .in_place')" true "in JSON, too"
is "$(ids)" "$before" "a plan touches nothing"
succeeds "up with more" timeout 60 berth up
is "$(ids)" "$before" "the containers are the ones they were"
is "$(started)" "$was" "and were not restarted"
is "$(names)" "$who" "the instances have their names"
is "$(limits)" "536870912 " "the kernel has the new limit"
is "$(reserved)" 400 "the node's room is reserved anew"
is "$(berth events --type instance.resized --format json | jq -s 'flatten | length')" 2 "each has its event"

# --- what was changed stays so
it_stop KILL
it_start
ok "$(wait_for 30 eval 'berth ls --format json | jq -e ".[0].state == \"running\"" >/dev/null'; echo $?)" "the server is back"
succeeds "up of the same" timeout 60 berth up
is "$(ids)" "$before" "a restart of the server replaces nothing"
is "$(started)" "$was" "nor does it restart anything"
is "$(limits)" "536870912 " "the limit is the new one"

# --- somebody else changed it while the server was away
it_stop
docker update --memory 300M --memory-swap 600M ${before%% *} >/dev/null
it_start
ok "$(wait_for 30 eval '[ "$(limits)" = "536870912 " ]'; echo $?)" "a container that has other limits than the file says gets those"

# --- back
succeeds "rollback" timeout 60 berth rollback "$app"
is "$(ids)" "$before" "a rollback changes in place, too"
is "$(limits)" "268435456 " "back to the limit of then"

# --- fall-backs: less than is in use; more than the limits
ok "$(wait_for 60 uses_much; echo $?)" "they use some memory"
file 16M 8M
succeeds "up with less than is in use" timeout 120 berth up --detach
ok "$(wait_for 60 eval '[ "$(berth events --type instance.not-resized --format json | jq -s "flatten | length")" -ge 1 ]'; echo $?)" "is refused by the engine's plug-in"
like "$(berth events --type instance.not-resized)" "MiB of memory now" "the event says why"
ok "$(wait_for 60 eval '[ "$(ids | wc -w)" -gt 2 ] || [ "$(ids)" != "$before" ]'; echo $?)" "they are replaced, as the rollout says"
file 256M 128M "user: \"1\""
unlike "$(berth plan)" "in place" "with another user there is nothing to change in place"
succeeds "up with another user" timeout 120 berth up
is "$(ids | tr ' ' '\n' | grep -cFf <(tr ' ' '\n' <<<"$before" | grep .))" 0 "who is another one is replaced"
done_testing
