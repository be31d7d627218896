#!/usr/bin/env bash
# The berth command against a real server and a real engine: deploy, look, change, roll back, run commands, take down.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

work=$it_dir/work
mkdir -p "$work" && cd "$work" || exit 1
app=$it

fails "without a server the exit code is 8" 8 berth ls
like "$out" 'Start one with "berthd' "and the error says how to start one"

# What stands in files of others is shown, and does not reach the terminal as it is.
mkdir -p strange
printf 'services: {web: {image: "x", "bad\\e]0;x\\akey": 1}}\n' >strange/compose.yaml
fails "an attribute that is none" 2 berth config -f strange/compose.yaml
like "$out" 'web[.]bad\?]0;x\?key is no attribute' "control characters are made visible"

it_server
image=berth-$it/box
it_image "$image:1"
it_image "$image:2" --change 'LABEL version=2'

compose() { # IMAGE-TAG [COMMAND-OF-THE-HEALTH-CHECK]
  cat >compose.yaml <<YAML
name: $app
services:
  store:
    image: $image:1
    command: [sh, -c, "echo store is up; cat /run/secrets/token; trap exit TERM; while :; do sleep 1 & wait; done"]
    secrets: [token]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, "true"], interval: 500ms, retries: 3}
    stop_grace_period: 1s
  web:
    image: $image:$1
    command: [sh, -c, "echo web on \$\$(hostname); exec httpd -f -p 8000 -h /www"]
    depends_on: {store: {condition: service_healthy}}
    healthcheck: {test: [CMD, "${2:-true}"], interval: 500ms, retries: 2}
    stop_grace_period: 1s
    deploy: {replicas: 2, update_config: {failure_action: rollback, order: start-first, monitor: 1s}}
volumes: {data: {}}
secrets: {token: {file: ./token}}
YAML
}
echo "the-token-$it" >token
compose 1

succeeds "a dry run says what would be done" berth up --dry-run
like "$out" 'create service web' "with its services"
like "$out" 'nothing was done' "and does nothing"
is "$(berth ls -q)" "" "no app was made"
succeeds "a plan says the same" berth plan
like "$out" 'create service web' "with its services"
sed 's/deploy: {/deploy: {resources: {reservations: {memory: 90t}}, /' compose.yaml >huge.yaml
fails "a plan of what has no place" 7 berth plan -f huge.yaml
like "$out" 'web: none of 2 instances has a place: .* lacks memory: it asks for' "says why"
like "$out" 'One more would fit with .* more memory on' "and what would mend it"
sed 's/memory: 90t/memory: 900t/' huge.yaml >absurd.yaml
fails "a plan of what no machine has" 2 berth plan -f absurd.yaml
like "$out" 'services.web reserves 921600 GiB of memory; that is more than any machine has' "says so"
is "$(berth plan -f huge.yaml --format json 2>/dev/null | jq -r '.forecast.services[] | select(.unplaced > 0) | .service')" "web" "for programs as well"

succeeds "up" timeout 90 berth up
like "$out" 'web.*running \(healthy\)' "a line per change of an instance"
like "$out" "$app, revision 1 is up: 3 instances ready" "and the end"
unlike "$out" $'\033' "no escapes where there is no terminal"
succeeds "up again changes nothing" timeout 60 berth up
like "$out" 'nothing to change' "and says so"

docker kill "$(berth ps web --format json | jq -r '.[0].container_id')" >/dev/null
wait_for 10 eval '[ "$(berth ps --format json | jq "map(select(.ready)) | length")" -lt 3 ]'
succeeds "up while an instance is on its way back waits for it" timeout 60 berth up
like "$out" "$app, revision 1 is up: 3 instances ready" "until all are ready again"

tty=$(TERM=xterm script -qec 'env -u NO_COLOR timeout 60 berth up' /dev/null </dev/null)
like "$tty" $'\033\\[[0-9]+A' "on a terminal the table redraws itself"
unlike "$(TERM=xterm script -qec 'berth ps' /dev/null </dev/null)" $'\033\\[3' "NO_COLOR takes the colours away"

is "$(berth ls -q)" "$app" "ls names the app"
is "$(it_json berth ls --format json -- '.[0] | "\(.state) \(.ready)/\(.instances)"')" "running 3/3" "as JSON too"
is "$(it_json berth ps --format json -- '[.[] | .service] | sort | join(" ")')" "store web web" "ps: the project's instances"
is "$(berth ps --format json | jq -r 'map([has("app"), has("service"), has("instance"), has("node"), has("state"), has("health"), has("image"), has("digest"), has("ports"), has("restarts"), has("error")] | all) | all')" \
  true "with the documented keys"
is "$(berth ps web -q | wc -l)" 2 "a service's instances"
like "$(berth ps)" '^APP +SERVICE +INSTANCE' "a table for people"
like "$(berth inspect store)" '"image": "' "inspect"
for word in "$app/nosuch" "$app/" "/x" "a/b/c"; do
  fails "inspect of $word" 3 berth inspect "$word"
  like "$out" "is called \"$word\"" "is not found"
done
like "$(berth inspect store --format json)$(berth node inspect "$(berth node ls -q)" --format json)" '"image": "' "inspect prints JSON, and may be told so"
fails "an app that is not there" 3 berth down nothere
like "$out" 'see: berth ls' "and where those are that are there"
fails "a network in use" 4 berth network rm "$(berth network ls -q | head -n 1)"
like "$out" 'is in use by .*berth down' "and how it comes free"
like "$(berth why web)" "$app/web" "why"
like "$(berth history)" 'deployed' "history"
like "$(berth node ls)" 'ready' "node ls"
like "$(berth pool ls)" '^default +1 +1 ' "pool ls"
node=$(berth node ls -q)
succeeds "a node is cordoned" berth node cordon "$node"
like "$(berth node ls)" 'cordoned' "which its status says"
like "$(berth why "node/$node")" "berth node uncordon $node" "and why says the way back"
is "$(berth node uncordon "$node" --format json | jq -c '.[0] | [.cordoned, .changed]')" '[false,true]' "it takes instances again"
fails "a node that is not there" 3 berth node cordon nope
like "$(berth volume ls)" "${app}_data" "volume ls"
like "$(berth network ls)" "${app}_default" "network ls"
like "$(berth plugin ls)" 'runtime-docker.*ok' "plugin ls"
like "$(berth secret ls)" 'token' "secret ls"
unlike "$(berth secret ls --format json)" "the-token" "which never shows a value"
like "$(berth events)" "$app" "events"
succeeds "doctor" berth doctor

like "$(berth logs store)" "store-1 +\| store is up" "logs, with the instance in front"
like "$(berth logs web --no-prefix)" '^web on ' "or without"
like "$(berth logs store --no-prefix)" "the-token-$it" "the secret reached the container"
like "$(berth inspect secret/token -p "$app" 2>&1 | tr -d ' \n')" '"used_by":\["'"$app"'/store"\]' "inspect of a secret that came with the app"
like "$(berth -H unix:///nowhere logs --since foo store 2>&1)" '--since takes a time such as [^ ]*, or a duration .* not "foo"' "a wrong --since is refused in the words of the command line, before a server is asked"
like "$(berth -H unix:///nowhere events --after foo 2>&1)" '--after takes a whole number .* not "foo"' "a wrong --after as well"
is "$(it_json berth logs store --format json -- '"\(.service) \(.stream) \(.text)"' | head -n 1)" "store stdout store is up" "as JSON, an object a line"
bash -c 'timeout 20 berth logs -f web 2>&1 | head -c 0; exit "${PIPESTATUS[0]}"'
is "$?" 141 "a reader that has enough ends it"
is "$(berth logs --tail 1 store --no-prefix | wc -l)" 1 "--tail"

is "$(berth exec store echo hello)" hello "exec"
is "$(echo piped | berth exec -i store cat)" piped "with standard input"
is "$(head -c 3000000 /dev/zero | berth exec -i store wc -c)" 3000000 "a lot of it"
fails "exec ends with the command's exit code" 7 berth exec store sh -c 'exit 7'
is "$(berth exec store sh -c 'echo no >&2' 2>&1 >/dev/null)" no "its standard error stays apart"
is "$(script -qec 'berth exec -it store sh -c "test -t 0 && echo a terminal"' /dev/null </dev/null | tr -d '\r' | grep terminal)" \
  "a terminal" "exec -it"
fails "exec in what is not there" 3 berth exec nosuch true
like "$out" 'no app, service or instance is called' "says so"

berth logs -f web --no-prefix >followed 2>&1 &
follower=$!
succeeds "scale" timeout 60 berth scale web=3
is "$(berth ps web -q | wc -l)" 3 "one more instance"
wait_for 10 sh -c '[ "$(grep -c "^web on" followed)" -ge 3 ]'
ok $? "logs -f follows the new instance"
kill -INT $follower 2>/dev/null
wait $follower 2>/dev/null

succeeds "top" berth top --once
like "$out" 'store-1' "shows the instances"
is "$(it_json berth top --once --format json -- length)" 4 "as JSON"

printf 'from-put' | berth secret put put-secret >/dev/null
like "$(berth secret ls -q)" 'put-secret' "secret put"
is "$(printf 'from-put' | berth secret put put-secret --format json | jq -c .)" '{"name":"put-secret","changed":false}' "as JSON: nothing changed"
succeeds "secret rm" berth secret rm put-secret
is "$(printf 'x' | berth secret put put-again --format json | jq -c .)$(berth secret rm put-again absent --format json 2>/dev/null | jq -c .)" \
  '{"name":"put-again","changed":true}[{"name":"put-again"}]' "as JSON: what is gone, also where a later one is not there"

succeeds "restart" berth restart store
wait_for 30 sh -c '[ "$(berth ps store --format json | jq -r ".[0].ready")" = true ]'
is "$(it_json berth restart store --format json -- '.[0] | "\(.app) \(.services | join(","))"')" "$app store" "as JSON: what restarts"
wait_for 30 sh -c '[ "$(berth ps store --format json | jq -r ".[0].ready")" = true ]'

# Images of web's instances, but for those that are on their way out.
web_images() { it_json berth ps web --format json -- 'map(select(.leaving | not) | .image) | unique | join(" ")'; }
compose 2
succeeds "an update" timeout 90 berth up
like "$out" 'update service web' "says what changes"
is "$(web_images)" "$image:2" "all of it"
compose 1 false
fails "a bad update is no success" 1 timeout 120 berth up
like "$out" 'is not up' "it says so"
wait_for 60 sh -c "[ \"\$(berth ls --format json | jq -r '.[0].state')\" = running ]"
is "$(web_images)" "$image:2" "and went back by itself"
succeeds "rollback" timeout 90 berth rollback --to 1
is "$(web_images)" "$image:1" "brings the first back"

# --- what up ends with when it does not end well
odd() { cat >odd.yaml; }
held=$((42000 + $$ * 16 % 9000))
busybox httpd -f -p "127.0.0.1:$held" &
holder=$!
trap 'rc=$?; kill $holder $fake 2>/dev/null; (exit $rc); it_cleanup' EXIT
fake=
wait_for 5 eval "(exec 3<>/dev/tcp/127.0.0.1/$held)"
for mode in ingress host; do
  odd <<YAML
name: $app-held
services: {web: {image: "$image:1", command: [httpd, -f, -p, "80", -h, /www], init: true, stop_grace_period: 0s, ports: [{target: 80, published: "$held", host_ip: 127.0.0.1, mode: $mode}]}}
YAML
  begun=$SECONDS
  fails "up where another program holds the port, mode $mode" 1 timeout 60 berth up -f odd.yaml
  like "$out" "[Aa]ddress already in use.*trying again does not help" "says so"
  ok $((SECONDS - begun > 25)) "long before its deadline ($((SECONDS - begun)) s)"
  is "$(it_json berth ps "$app-held" --format json -- '.[0].lasting')" true "ps: its error lasts"
  kill $holder
  wait $holder 2>/dev/null
  begun=$SECONDS
  succeeds "up once the port is free" timeout 60 berth up -f odd.yaml
  ok $((SECONDS - begun > 8)) "does not wait for the next attempt ($((SECONDS - begun)) s)"
  berth down "$app-held" >/dev/null
  busybox httpd -f -p "127.0.0.1:$held" &
  holder=$!
  wait_for 5 eval "(exec 3<>/dev/tcp/127.0.0.1/$held)"
done
kill $holder
wait $holder 2>/dev/null

odd <<YAML
name: $app-odd
services:
  sick: {image: "$image:1", command: sleep 100, init: true, stop_grace_period: 0s, network_mode: none,
         healthcheck: {test: "printf 'no \\\\033[31manswer\\\\n  of the store\\\\n'; exit 1", interval: 300ms, retries: 2}}
YAML
fails "up of what is unhealthy" 1 timeout 60 berth up -f odd.yaml
like "$(berth why "$app-odd/sick")" 'its health check fails: no \[31manswer of the store' "why shows what the check printed, on one line"
unlike "$(berth why "$app-odd/sick" --format json)" '\\u001b' "without control characters"
sed -i 's/healthcheck: .*/x-berth: {probes: {readiness: {exec: {command: "echo two parts are missing; exit 4"}, interval: 200ms, failures: 2}}}}/' odd.yaml
berth up --detach -f odd.yaml >/dev/null
ok "$(wait_for 20 eval 'berth why "$app-odd/sick" | grep -q "readiness probe failed 2 times in a row: the command ended with exit code 4: two parts are missing"'; echo $?)" "as with a probe of Berth's own"
(
  berth up -f odd.yaml >watched 2>&1 &
  pid=$!
  wait_for 10 grep -q 'not ready' watched
  kill -TERM $pid
  wait $pid
)
is "$?" 10 "an up that is interrupted"
like "$(cat watched)" "the server goes on" "saying that the server goes on"
fails "up with a deadline" 9 berth up -f odd.yaml --wait-timeout 1s
berth down "$app-odd" >/dev/null

# A server's refusals that cannot be provoked in a healthy one: a peer that speaks the API and refuses.
python3 - "$it_dir/fake.sock" <<'PY' &
import http.server, json, socketserver, sys
codes = iter([("unsupported", 422), ("plugin_crashed", 502), ("internal", 500), (None, 500)])
class Refuse(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        code, status = next(codes)
        body = json.dumps({"title": "no", "status": status, "code": code, "detail": "refused: " + code}) if code else "oops"
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def address_string(self): return "client"
    def log_message(self, *args): pass
socketserver.UnixStreamServer(sys.argv[1], Refuse).serve_forever()
PY
fake=$!
wait_for 10 test -S "$it_dir/fake.sock"
refused() { berth --host "unix://$it_dir/fake.sock" up; }
fails "unsupported" 6 refused
like "$out" "refused: unsupported" "with its sentence"
fails "plugin_crashed" 12 refused
fails "internal" 13 refused
fails "an answer that is not Berth's" 11 refused
like "$out" "status 500: is it Berth" "with a guess"
kill $fake
wait $fake 2>/dev/null

succeeds "a profile that no service has" berth up --dry-run --profile typo
like "$out" 'warning: no service has the profile "typo"' "is warned of"
is "$(COMPOSE_PROFILES=typo berth up --dry-run --format json 2>/dev/null | jq -r '.diagnostics[] | "\(.severity): \(.message)"')" \
  'warning: no service has the profile "typo", so it turns nothing on' "in JSON too, and where the variable names it"
sed -i "s|image: $image:1|image: a b|" compose.yaml
fails "a malformed image" 2 berth config
like "$out" 'compose.yaml:4:12: error: services.store.image: "a b" is no image reference' "is found in the file"

fails "down with a wrong name" 3 berth down nosuch
cd / || exit 1
fails "no project, no name" 2 berth down
succeeds "down" timeout 60 berth down "$app" --volumes
is "$(docker ps -aq --filter "name=$app")" "" "no container is left"
is "$(docker volume ls -q --filter "name=$app")$(docker network ls -q --filter "name=$app")" "" "no volume, no network"
done_testing
