#!/usr/bin/env bash
# A running server is told of another configuration and other policies: what takes effect, what is named and left, what a
# broken file does; policies deny, warn, change and fail closed, as seen by who types "berth up".
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

app=$it
image=berth-$it/box:1
succeeds "the schema is printed" berthd --print-schema
is "$(jq -r '."$schema" | test("2020-12")' <<<"$out")" true "as JSON Schema 2020-12"
echo 'log: {levle: info}' >"$it_dir/bad.yaml"
fails "--check refuses an unknown key" 2 berthd --config "$it_dir/bad.yaml" --check
like "$out" 'bad.yaml:1:7: error: .*levle.*did you mean "level"' "with its place and the nearest that there is"
echo 'api: {tcp: {listen: "0.0.0.0:7171"}}' >"$it_dir/bad.yaml"
fails "an address off loopback without TLS is refused" 2 berthd --config "$it_dir/bad.yaml"
like "$out" 'TLS|tls' "and the error says what is missing"
it_server
it_image "$image"
succeeds "--check passes a sound file" berthd --config "$it_dir/berthd.yaml" --check
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $app
services:
  web: {image: "$image", command: [sleep, "3600"], init: true, stop_grace_period: 1s, labels: {tier: "\${TIER:-front}"}}
YAML
logged() { grep -qE -- "$1" "$it_dir/berthd.log"; }
policy() { it_json berth policy ls --format json -- ".[] | select(.file == \"$1\") | $2"; }
rule() { # FILE BODY-OF-validate_service
  printf 'return { name = "%s", validate_service = function(svc, ctx) %s end }\n' "${1%.lua}" "$2" >"$it_dir/policies/.new"
  mv "$it_dir/policies/.new" "$it_dir/policies/$1"
}

# --- policies change while the server runs
rule tier.lua 'if svc.labels.tier ~= "front" then deny("only the front tier may run here") end warn("mind the gap")'
export TIER=back
fails "a rule that was just written refuses" 5 berth up
like "$out" 'tier.lua: tier: service web: only the front tier may run here' "with its own words"
is "$(berth ls -q)" "" "nothing was deployed"
fails "a dry run is refused as well" 5 berth up --dry-run
export TIER=front
succeeds "what the rule allows is deployed" timeout 60 berth up
like "$out" 'mind the gap' "its warning is shown"
is "$(policy tier.lua .status)" ok "policy ls says that it is well"
is "$(policy tier.lua .denials)" 2 "and how often it refused"

echo 'return { validate_service = ' >"$it_dir/policies/worse.lua"
is "$(policy worse.lua .status)" broken "a broken file is named"
like "$(policy worse.lua .error)" 'worse.lua:[12]' "with its line"
logged 'worse.lua:[12].*stay in force'
ok $? "the log says so"
TIER=back fails "the last good set stays in force" 5 berth up
rm "$it_dir/policies/worse.lua"
is "$(policy worse.lua .status)" "" "and all is well once it is gone"

rule hang.lua 'while true do end'
fails "a rule that takes too long refuses" 5 timeout 60 berth up --dry-run
like "$out" '100 ms' "and says its limit"
rule hang.lua 'local s = "x" while true do s = s .. s end'
fails "so does one that takes too much memory" 5 timeout 60 berth up --dry-run
like "$out" "memory|MiB" "and says so"
rule hang.lua 'pcall = nil; while true do local ok = string.rep("x", 1000) end'
fails "no trick gets out of the limits" 5 timeout 60 berth up --dry-run
rm "$it_dir/policies/hang.lua"

cat >"$it_dir/policies/mutate.lua" <<'LUA'
return { name = "mutate", mutate_service = function(svc, ctx) svc.labels = svc.labels or {}; svc.labels.team = "blue" end }
LUA
succeeds "a rule that changes" berth up --dry-run
like "$out" 'policy mutate.lua changes .*labels.*team: \(none\) -> "blue"' "is seen in a dry run, with its name"
succeeds "and in the real one" timeout 60 berth up
like "$out" 'policy mutate.lua changes' "which tells of it too"
is "$(docker inspect -f '{{.Config.Labels.team}}' "$(berth ps web --format json | jq -r '.[0].container_id')")" blue "the container has it"
rm "$it_dir/policies/mutate.lua"

cat >"$it_dir/policies/tier_test.lua" <<'LUA'
return { { name = "front", service = { image = "a", labels = { tier = "front" } } },
         { name = "back", service = { image = "a", labels = { tier = "back" } }, deny = "only the front tier" } }
LUA
succeeds "tests beside the policies pass" berth policy test "$it_dir/policies"
sed -i 's/deny = "only/deny = "never/' "$it_dir/policies/tier_test.lua"
fails "and can fail" 1 berth policy test "$it_dir/policies"
rm "$it_dir/policies/tier_test.lua"

# --- SIGHUP
reload() {
  local before
  before=$(grep -cE 'configuration reloaded|was not reloaded' "$it_dir/berthd.log")
  kill -HUP "$it_pid"
  wait_for 10 eval '[ "$(grep -cE "configuration reloaded|was not reloaded" "$it_dir/berthd.log")" -gt '"$before"' ]'
}
cpus=$(it_json berth node ls --format json -- '.[0].cpus')
mkdir "$it_dir/elsewhere"
echo 'return { name = "never", validate_service = function() deny("never") end }' >"$it_dir/elsewhere/never.lua"
sed -i -e "s,^policies:.*,policies: {dir: $it_dir/elsewhere}," -e 's,level: info,level: debug,' \
  -e "s,^run_dir:.*,run_dir: $it_dir/run2," "$it_dir/berthd.yaml"
echo 'node: {labels: {zone: north}, reserve: {cpus: 0.5}}' >>"$it_dir/berthd.yaml"
reload
ok $? "SIGHUP reloads"
logged 'changed: policies.dir' && logged 'changed: log.level' && logged 'changed: node.labels'
ok $? "the log names what changed"
logged 'needs a restart of berthd and was left as it is: run_dir'
ok $? "and what needs a restart"
has_zone() { [ "$(it_json berth node ls --format json -- '.[0].labels.zone')" = north ]; }
ok "$(wait_for 10 has_zone; echo $?)" "the node has its new label"
is "$(it_json berth node ls --format json -- '.[0].cpus')" "$(jq -n "$cpus - 0.5")" "and keeps back what it was told to"
is "$(it_json berth policy ls --format json -- '[.[].file] | join(" ")')" never.lua "the policies of the other folder are in force"
fails "and asked" 5 berth up --dry-run
like "$out" 'never.lua: never' "by name"
rm -r "$it_dir/elsewhere"
succeeds "policies can be tested after a reload" curl -fsS --unix-socket "$it_dir/run/berth.sock" -X POST http://localhost/v1/policies/test
sed -i 's,level: debug,levle: info,' "$it_dir/berthd.yaml"
reload
logged 'was not reloaded: .* has errors; the old one stays in force'
ok $? "a file with errors changes nothing"
berth ls >/dev/null
logged 'berthd.yaml:[0-9]+:[0-9]+: error: .*levle'
ok $? "and its errors are in the log, with their place"
succeeds "the app goes" timeout 60 berth down "$app"

# --- the server ends while a policy thinks, and starts with a broken one
sed -i "s,^policies:.*,policies: {dir: $it_dir/slow\, timeout: 5s}," "$it_dir/berthd.yaml"
sed -i 's,levle: info,level: info,' "$it_dir/berthd.yaml"
mkdir "$it_dir/slow"
cat >"$it_dir/slow/slow.lua" <<'LUA'
return { name = "slow", validate_service = function() local n = 0 for i = 1, 20000000 do n = n + i end end }
LUA
it_stop
sed -i "s,^run_dir:.*,run_dir: $it_dir/run," "$it_dir/berthd.yaml"
it_start
berth up --detach >/dev/null 2>&1 &
asked=$!
wait_for 10 eval 'curl -s --unix-socket "$it_dir/run/berth.sock" http://localhost/v1/server | jq -e ".connections > 1"'
it_stop
is "$it_rc" 0 "a server that is asked something ends in good order"
wait "$asked"
is $? 8 "whoever asked hears that it is gone"
echo 'return nonsense(' >"$it_dir/slow/slow.lua"
it_start
fails "with policies that were broken from the start every change is refused" 5 berth up
like "$out" 'slow.lua:[12]' "naming the file"
logged 'slow.lua:[12].*every change is refused until it is mended'
ok $? "the log says so"
rm "$it_dir/slow/slow.lua"
succeeds "and taken once they are mended" berth up --dry-run
done_testing
