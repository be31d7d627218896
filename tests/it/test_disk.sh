#!/usr/bin/env bash
# A disk that is full, as the user of a running server sees it: changes are refused with a clear alarm, reads go on, containers
# run on, and changes are taken again by themselves when there is room.
# timeout: 300
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p "$it_dir/state"
mount -t tmpfs -o size=6m,mode=700 tmpfs "$it_dir/state" 2>/dev/null || skip_all "this machine mounts no tmpfs"
app=$it
image=berth-$it/box:1
it_server
it_image "$image"
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $app
services:
  web: {image: "$image", command: [sleep, "3600"], init: true, restart: always, stop_grace_period: 1s}
YAML
succeeds "an app" timeout 60 berth up
server() { curl -s --unix-socket "$it_dir/run/berth.sock" http://localhost/v1/server | jq -r "$1"; }
health() { curl -s -o /dev/null -w '%{http_code}' --unix-socket "$it_dir/run/berth.sock" http://localhost/v1/health; }
is "$(server .store.status) $(health)" "ok 200" "all is well"

dd if=/dev/zero of="$it_dir/state/ballast" bs=1M count=16 >/dev/null 2>&1
head -c 200000 /dev/urandom | base64 -w0 >"$it_dir/value"
n=0 code=0
while [ $n -lt 40 ] && [ $code -eq 0 ]; do
  n=$((n + 1))
  out=$(berth secret put "big$n" - <"$it_dir/value" 2>&1) || code=$?
done
ok "$([ $code -ne 0 ]; echo $?)" "a change is refused when there is no room (the ${n}th, exit code $code)"
like "$out" 'full|room' "with a sentence that says why"
acknowledged=$(berth secret ls -q | sort)
is "$(wc -w <<<"$acknowledged")" $((n - 1)) "what was refused is not there, what was acknowledged is"
is "$(server .store.status) $(health)" "full 503" "the server says that its disk is full, load balancers hear it"
like "$(server '.warnings[0]')" 'full|room' "with a warning"
fails "the doctor fails" 1 berth doctor
like "$out" 'state store +error.*' "and names the store"
like "$out" 'make room' "with the mend"
like "$(cat "$it_dir/berthd.log")" 'error.*(full|no room)' "the log has an alarm"
is "$(it_json berth ps --format json -- '.[0].ready')" true "reads go on"
succeeds "so do logs" berth logs
fails "a deployment is refused" "$code" berth up --scale web=2
is "$(curl -s --unix-socket "$it_dir/run/berth.sock" -X PUT -H 'Content-Type: application/json' -d '{"data": "eA=="}' -w ' %{http_code} %{content_type}' \
  http://localhost/v1/namespaces/default/secrets/x | sed 's/.*"code": *"\([a-z_]*\)".*}/\1/')" "no_space 507 application/problem+json" \
  "over HTTP that is 507 Insufficient Storage"
docker kill "$(docker ps -qf name="$app-web-1")" >/dev/null
back() { [ -n "$(docker ps -qf name="$app-web-1")" ]; }
ok "$(wait_for 15 back; echo $?)" "a container that dies is started again"

rm "$it_dir/state/ballast"
echo x >"$it_dir/x"
ok "$(wait_for 30 berth secret put after "$it_dir/x"; echo $?)" "changes are taken again when there is room, by themselves"
is "$(server .store.status) $(health)" "ok 200" "all is well again"
succeeds "a deployment goes through" timeout 60 berth up --scale web=2
names=$(berth secret ls -q | sort)
it_stop KILL
it_start
is "$(berth secret ls -q | sort)" "$names" "after kill -9 everything acknowledged is there"
is "$(comm -23 <(echo "$acknowledged") <(echo "$names"))" "" "also of before the disk was full"
succeeds "down" timeout 60 berth down "$app"

# A disk so small that the log of the database fills all of it before it would be copied back: its room must come free again.
it_stop
umount "$it_dir/state"
mount -t tmpfs -o size=1150k,mode=700 tmpfs "$it_dir/state"
it_start
dd if=/dev/zero of="$it_dir/state/ballast" bs=1k count=200 >/dev/null 2>&1
head -c 20000 /dev/urandom | base64 -w0 >"$it_dir/value"
n=0 code=0
while [ $n -lt 100 ] && [ $code -eq 0 ]; do
  n=$((n + 1))
  out=$(berth secret put "small$n" - <"$it_dir/value" 2>&1) || code=$?
done
is $code 7 "a disk of 1 MB is full after $((n - 1)) changes"
acknowledged=$(berth secret ls -q | sort)
is "$(wc -w <<<"$acknowledged")" $((n - 1)) "which all are there"
ok "$([ $n -gt 18 ]; echo $?)" "most of it holds secrets, not the log"
rm "$it_dir/state/ballast"
ok "$(wait_for 30 berth secret put after "$it_dir/x"; echo $?)" "200 KB of room are enough to go on"
it_stop KILL
it_start
is "$(comm -23 <(echo "$acknowledged") <(berth secret ls -q | sort))" "" "after kill -9 everything acknowledged is there"
is "$(server .store.status)" "ok" "all is well"
done_testing
