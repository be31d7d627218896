#!/usr/bin/env bash
# Policies on places through the whole server: a Lua filter refuses the node, plan and why say which file, line and words; a mended file is
# found without a restart, and what waited is placed; a rule that fails is an event.
# timeout: 90
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
app=policed
it_sim 'node: {labels: {lifecycle: spot, zone: a}}' 'ready_after: "10ms..20ms"'
cat >"$it_dir/policies/spot.lua" <<'LUA'
return {
  filter = function(service, node)
    if node.labels.lifecycle == "spot" and service.labels.tier ~= "batch" then
      return false, "only batch runs on spot nodes"
    end
    return true
  end,
}
LUA
it_start
cat >compose.yaml <<YAML
name: $app
services:
  web: {image: "shop/web:1"}
  batch: {image: "shop/batch:1", labels: {tier: batch}}
YAML
state() { berth ps "$app" -a --format json | jq -r --arg s "$1" '[.[] | select(.service == $s)][0] | if .ready then "ready" else .reason // .state end'; }
is_ready() { [ "$(state "$1")" = ready ]; }

like "$(berth plan -f compose.yaml 2>&1)" 'is refused by the policy spot.lua:4 \(only batch runs on spot nodes\)' "plan says which policy has no place for it"
succeeds "up" berth up --detach
ok "$(wait_for 20 is_ready batch; echo $?)" "what the policy lets in runs"
like "$(berth why "$app/web")" 'is refused by the policy spot.lua:4 \(only batch runs on spot nodes\)' "why says file, line and words of the one that waits"
like "$(berth policy ls)" "spot +ok +filter" "policy ls knows the hook"

# --- the file changes; nobody reloads, nobody asks for anything
sed -i 's/"batch"/"none"/; s/~=/==/' "$it_dir/policies/spot.lua"
ok "$(wait_for 30 is_ready web; echo $?)" "a changed file is found, and what waited is placed"
ok "$(is_ready batch; echo $?)" "what runs stays"

# --- a rule that fails
cat >"$it_dir/policies/spot.lua" <<'LUA'
return { filter = function(service, node) return node.taints[1].key == "gpu" end }
LUA
kill -HUP "$it_pid"
refused() { berth up --detach >/dev/null 2>&1; [[ $(berth why "$app/late" 2>&1) == *"is refused, since a policy failed (spot.lua:1: "* ]]; }
echo '  late: {image: "shop/late:1"}' >>compose.yaml
ok "$(wait_for 20 refused; echo $?)" "a policy that fails agrees to nothing"
like "$(berth events --format json 2>/dev/null | jq -r 'select(.type == "policy.failed") | .message' | head -1)" "nodes are refused to service late: each is refused, since a policy failed" "and that is an event"
rm "$it_dir/policies/spot.lua"
kill -HUP "$it_pid"
ok "$(wait_for 20 is_ready late; echo $?)" "without it there is a place again"
done_testing
