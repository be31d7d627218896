#!/usr/bin/env bash
# What happens when things die: containers, the server, rollouts; and what waits for what.
# timeout: 900
# Waits are for what is due, not for how long a busy machine takes over it: how fast is what the benches measure.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

work=$it_dir/work
mkdir -p "$work" && cd "$work" || exit 1
app=$it
port=$((20000 + $$ * 16 % 12000))
image=berth-$it/box:1
it_server
it_image "$image"

instances() { berth ps "$1" --format json | jq -r "$2"; }
restarts() { instances "$app" "[.[] | select(.service == \"$1\") | .restarts] | add"; }
all_ready() { [ "$(instances "$app" '[.[] | select(.ready)] | length')" = "$1" ]; }
ids() { docker ps -q --no-trunc --filter "label=berth.app=$app" | sort | tr '\n' ' '; }

cat >compose.yaml <<YAML
name: $app
services:
  migrate:
    image: $image
    command: [sh, -c, "echo migrated; sleep 0.3"]
    restart: on-failure
  store:
    image: $image
    command: [sh, -c, "trap exit TERM; while :; do sleep 1 & wait; done"]
    restart: always
    stop_grace_period: 1s
    healthcheck: {test: [CMD, "true"], interval: 500ms}
    depends_on: {migrate: {condition: service_completed_successfully}}
  web:
    image: $image
    command: [sh, -c, "hostname >/www/index.html; exec httpd -f -p 80 -h /www"]
    restart: unless-stopped
    stop_grace_period: 1s
    ports: ["127.0.0.1:$port:80"]
    depends_on: {store: {condition: service_healthy, restart: true}}
    deploy: {replicas: 2}
YAML
succeeds "up with a job that must end first" timeout 180 berth up
first=$(docker inspect -f '{{.State.StartedAt}}' "$(docker ps -aqf name="$app-store-1" | head -n 1)")
job=$(docker inspect -f '{{.State.FinishedAt}}' "$(docker ps -aqf name="$app-migrate-1" | head -n 1)")
ok "$([[ "$job" < "$first" ]]; echo $?)" "the store started after the job had ended ($job, $first)"
is "$(curl -s "http://127.0.0.1:$port/" "http://127.0.0.1:$port/" | sort -u | wc -l)" 2 "the port leads to both in turn"
is "$(instances "$app" '[.[] | select(.service == "web") | .ports[0].published] | unique | .[]')" "$port" "ps shows the port"

# --- a container dies
docker kill "$(docker ps -qf name="$app-store-1")" >/dev/null
ok "$(wait_for 60 eval '[ "$(restarts store)" = 1 ] && all_ready 3'; echo $?)" "in place: one restart, all ready"
docker rm -f "$(docker ps -qf name="$app-web-1")" >/dev/null
ok "$(wait_for 60 all_ready 3; echo $?)" "a removed container is made again"

# --- the server dies
before=$(ids)
it_stop KILL
is "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/")" 200 "the port serves on without the server"
it_start
ok "$(wait_for 60 all_ready 3; echo $?)" "after kill -9 and a new start all are ready again"
is "$(ids)" "$before" "and no container was touched"
docker stop -t 0 "$(docker ps -qf name="$app-store-1")" >/dev/null &
it_stop KILL
wait
it_start
ok "$(wait_for 90 all_ready 3; echo $?)" "what stopped while the server was down is started again"

# --- the server dies in the middle of a deployment
for round in 1 2 3; do
  sed -i "s/hostname >/echo $round >\/dev\/null; hostname >/" compose.yaml
  timeout 90 berth up --detach >/dev/null 2>&1
  read -rt "0.$round" <> <(:) || true
  it_stop KILL
  it_start
done
ok "$(wait_for 180 eval '[ "$(berth ls --format json | jq -r ".[0].state")" = running ] && all_ready 3'; echo $?)" "three deployments cut short end well"
is "$(docker ps -aq --filter "label=berth.app=$app" --filter "label=berth.service=web" | wc -l)" 2 "nothing runs twice"

# --- one that keeps failing
cat >fail.yaml <<YAML
name: ${app}f
services:
  crash: {image: $image, command: [sh, -c, "exit 7"], restart: always}
YAML
fails "an app that keeps failing is no success" 1 timeout 120 berth up -f fail.yaml --wait-timeout 100s
ok "$(wait_for 60 eval '[ "$(instances ${app}f ".[0].failures")" -ge 2 ]'; echo $?)" "it was tried again"
like "$(berth why "${app}f/crash")$(berth why "$(instances "${app}f" '.[0].instance')")" 'exit code 7' "why says how it ended"
like "$(berth why "$(instances "${app}f" '.[0].instance')")" 'next start|again in|starts again' "and when it is tried next"
succeeds "down" timeout 150 berth down "${app}f"

# --- a published port that somebody else holds
held=$((41000 + $$ * 16 % 10000))
busybox httpd -f -p "127.0.0.1:$held" &
holder=$!
wait_for 20 eval "(exec 3<>/dev/tcp/127.0.0.1/$held)"
cat >port.yaml <<YAML
name: ${app}p
services:
  web: {image: $image, command: [sleep, "100"], init: true, stop_grace_period: 0s, ports: ["127.0.0.1:$held:80"]}
YAML
like "$(timeout 90 berth up -f port.yaml --wait-timeout 3s 2>&1)" "port 127.0.0.1:$held cannot be served" "an app that nobody can reach is not up"
like "$(berth why "${app}p/web")" "cannot be served.*Address already in use" "and why says so"
kill "$holder"
wait "$holder" 2>/dev/null
succeeds "once the port is free it comes up by itself" timeout 120 berth up -f port.yaml --wait-timeout 100s
succeeds "down" timeout 150 berth down "${app}p"

# --- restart, and what depends on it
gen=$(restarts web)
succeeds "restart of a service" timeout 150 berth restart "$app" store
ok "$(wait_for 90 eval '[ "$(restarts web)" -gt '"$gen"' ] && all_ready 3'; echo $?)" "restart: true restarts its dependents"

succeeds "down with volumes" timeout 150 berth down "$app" --volumes
is "$(docker ps -aq --filter "label=berth.app=$app")" "" "nothing is left"
done_testing
