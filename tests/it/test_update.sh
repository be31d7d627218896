#!/usr/bin/env bash
# Images that move: a registry tells of a push, or is asked now and then; services follow a tag's digest or a range of versions, and
# go back where the new image fails.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

command -v docker-registry >/dev/null || skip_all "docker-registry is not here"
app=$it
api_port=$((20000 + $$ * 16 % 10000)) registry_port=$((31000 + $$ * 16 % 10000))
it_listen=127.0.0.1:$api_port
image=127.0.0.1:$registry_port/$it/web
authorization="Bearer notify-$it-0123456789"
mkdir -p "$it_dir/work" && cd "$it_dir/work" || exit 1
cat >"$it_dir/registry.yaml" <<YAML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $it_dir/registry}}
http: {addr: "127.0.0.1:$registry_port"}
notifications:
  endpoints:
    - name: berth
      url: http://127.0.0.1:$api_port/hooks/registry-oci
      headers: {Authorization: ["$authorization"]}
      timeout: 1s
      threshold: 3
      backoff: 1s
YAML
docker-registry serve "$it_dir/registry.yaml" >"$it_dir/registry.log" 2>&1 &
registry=$!
cleanup() { # with what was pulled by its digest
  local rc=$? pulled
  kill $registry 2>/dev/null
  mapfile -t pulled < <(docker image ls -aq --no-trunc "$image" 2>/dev/null | sort -u)
  it_images+=("${pulled[@]}")
  (exit $rc)
  it_cleanup
}
trap cleanup EXIT
wait_for 10 curl -sf "http://127.0.0.1:$registry_port/v2/" || skip_all "docker-registry does not come up"
docker version >/dev/null 2>&1 || skip_all "no Docker Engine answers"
it_config
sed -i "s|  - plugin: registry-oci|  - plugin: registry-oci\n    config: {notify_authorization: \"$authorization\"}|" "$it_dir/berthd.yaml"
it_start

publish() { # TAG COMMAND : an image that runs it, in the registry only
  it_image "$image:$1" --change "CMD [\"sh\", \"-c\", \"$2\"]" --change "LABEL what=$1-$RANDOM$RANDOM"
  docker push -q "$image:$1" >/dev/null
  docker image rm -f "$image:$1" >/dev/null
}
serve="trap exit TERM; while :; do sleep 1 & wait; done"
says() { [ "$(berth ps "$app/$1" --format json | jq '[.[] | select(.ready)] | length')" -ge 1 ] && docker exec "$(docker ps -qf name="$app-$1-1" | head -n 1)" cat /tmp/what | grep -qx "$2"; }
cause() { berth history "$app" --format json | jq -r 'sort_by(.revision) | .[-1].cause'; }

publish latest "echo one >/tmp/what; $serve"
publish 1.2.0 "echo 1.2.0 >/tmp/what; $serve"
publish 2.0.0 "echo 2.0.0 >/tmp/what; $serve"
cat >compose.yaml <<YAML
name: $app
services:
  moving: {image: "$image:latest", stop_grace_period: 1s, x-berth: {update: digest}}
  range: {image: "$image:1.2.0", stop_grace_period: 1s, x-berth: {update: ~1.2, update_interval: 10s}}
  still: {image: "$image:latest", stop_grace_period: 1s}
YAML
succeeds "up" timeout 90 berth up
ok "$(says moving one && says range 1.2.0; echo $?)" "all run as written"
still=$(docker ps -qf name="$app-still-1")

# --- the registry tells of a push
publish latest "echo two >/tmp/what; $serve"
ok "$(wait_for 60 says moving two; echo $?)" "a push to the registry is rolled out, long before the interval of five minutes"
is "$(cause)" update "the history has the cause"
like "$(berth history "$app")" "image of moving now is sha256:" "and what moved"
is "$(docker ps -qf name="$app-still-1")" "$still" "a service that does not follow stays as it is"
like "$(berth events -A --format json | jq -r '.type' | sort -u | tr '\n' ' ')" "plugin.registry.pushed" "the push is an event"
is "$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' -d '{"events":[]}' "http://127.0.0.1:$api_port/hooks/registry-oci")" 401 "a notification without the header is refused"
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: $authorization" -d '{"events":7}' "http://127.0.0.1:$api_port/hooks/registry-oci")" 400 "and one that is none"

# --- a newer tag in the range, by asking
kill -STOP $registry
kill -CONT $registry
publish 1.2.7 "echo 1.2.7 >/tmp/what; $serve"
publish 1.3.0 "echo 1.3.0 >/tmp/what; $serve"
publish 1.2.8-rc1 "echo rc >/tmp/what; $serve"
ok "$(wait_for 60 says range 1.2.7; echo $?)" "the newest tag in the range is rolled out, no pre-release and nothing beyond"
is "$(berth inspect "$app/range" | jq -r .image)" "$image:1.2.7" "the service has the new image"

# --- one that fails goes back, and is not tried again
before=$(berth ls --format json | jq '.[0].revision')
publish latest "echo three >/tmp/what; exit 3"
ok "$(wait_for 90 eval '[ "$(cause)" = rollback ] && [ "$(berth ls --format json | jq -r ".[0].state")" = running ]'; echo $?)" "an image that fails goes back by itself"
ok "$(wait_for 30 says moving two; echo $?)" "to what ran before"
like "$(berth history "$app")" "since revision [0-9]+ failed" "the history says why"
now=$(berth ls --format json | jq '.[0].revision')
is "$now" $((before + 2)) "in two revisions"
publish 9.9.9 "echo 9.9.9 >/tmp/what; $serve" # wakes it once more
sleep_until=$((SECONDS + 12))
ok "$(! wait_for 12 eval '[ "$(berth ls --format json | jq ".[0].revision")" != '"$now"' ]'; echo $?)" "and is not tried again"
ok "$([ $SECONDS -ge $((sleep_until - 1)) ]; echo $?)" "as long as one looked"
publish latest "echo four >/tmp/what; $serve"
ok "$(wait_for 60 says moving four; echo $?)" "the next image is"

# --- policies have a word
cat >"$it_dir/policies/no_machines.lua" <<'LUA'
return {
  validate_app = function(app, ctx)
    if ctx.operation == "update" then
      deny("no updates by machines")
    end
  end,
}
LUA
publish latest "echo five >/tmp/what; $serve"
ok "$(wait_for 30 eval 'berth events --format json | jq -e "select(.type == \"update.refused\")" >/dev/null'; echo $?)" "a policy can refuse it"
ok "$(says moving four; echo $?)" "and what runs stays"
fails "a range that is none" 2 bash -c "sed 's/~1.2/nonsense/' compose.yaml >bad.yaml && berth up -f bad.yaml"
like "$out" "bad.yaml:4.*update" "is told with its place"
done_testing
