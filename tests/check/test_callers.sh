#!/usr/bin/env bash
# Every external function and variable of the core and of the plug-ins has a caller: another object of the product refers to it. What only
# its own file uses is static; what only tests use is below, with the reason. So the compiler finds what nobody uses at all.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

# Of which only tests make use. What its own file uses and a test looks at besides needs no line here.
for_tests="
bt_api_tcp_port the port that the kernel chose, where a test asked for any
bt_compose_real_source the command reads through a source of its own, that remembers
bt_executor_node_down a node's link ends in the simulator; the server's own node has none
bt_feed_bytes memory is measured
bt_fleet_instances the planner beside the naive one, and nothing is left
bt_fleet_spoken no label is spoken of for ever
bt_interface_at all interfaces, one by one
bt_loop_stats_reset turns are measured from here
bt_plugin_inspect a manifest is printable without running the plug-in
bt_store_sqlite_open_stepped the simulator's store has no thread
bt_store_sqlite_turn the simulator's store has no thread
bt_xberth_keys the documentation has every one of them
ctl_rev_state_name the simulator says what is stuck
ro_link_enter all of a container's joining without the container
ro_networks_forget as after a restart of the server
"

# users OBJECT… : names that these objects ask of others.
users() { nm --undefined-only "$@" 2>/dev/null | awk '$1 == "U" {print $2}' | sort -u; }

# lonely OBJECT… : what is external in them and not among the names in the file $used; lines "SYMBOL OBJECT".
lonely() {
  nm -A --defined-only --extern-only "$@" 2>/dev/null | awk '{sub(/:[0-9a-f]*$/, "", $1); if ($2 ~ /^[TDBRV]$/ && $3 !~ /^(main$|__)/) print $3, $1}' | sort |
    join -v 1 - "$used"
}

# once SYMBOL: no file of the product has it more than once, headers and comments apart.
once() {
  local file n
  for file in $(grep -rlw --include='*.c' "$1" core plugins plugin-api/checker); do
    n=$(gcc -fpreprocessed -dD -E -P "$file" 2>/dev/null | grep -ow "$1" | wc -l)
    [ "$n" -lt 2 ] || return 1
  done
}

cd "$build" || exit 1
mapfile -t checker < <(find plugin-api/checker -name '*.o')
mapfile -t common < <(find plugins/common -name '*.o')
used=$(mktemp)
trap 'rm -f "$used" "$used.lonely"' EXIT
: >"$used.lonely"
for unit in core plugins/*/; do
  mapfile -t objects < <(find "$unit" -name '*.o' -not -path '*llhttp*')
  [ ${#objects[@]} -gt 0 ] || continue
  others=()
  [ "$unit" != core ] || others=("${checker[@]}")
  if [ "$unit" = plugins/common/ ]; then # any plug-in's
    mapfile -t others < <(find plugins -name '*.o')
  fi
  users "${objects[@]}" "${others[@]}" "${common[@]}" >"$used"
  lonely "${objects[@]}" >>"$used.lonely"
done
cd "$src" || exit 1
ok $(($(nm --defined-only "$build/core/libbase.a" 2>/dev/null | wc -l) < 100)) "objects are there to be looked at"

while read -r name object; do
  case $name in berth_plugin_v*) continue ;; esac
  if ! grep -rqw "$name" tests --include='*.[ch]'; then
    ok 1 "$name of $object is used by another object (nobody else does: make it static, or remove it)"
  elif once "$name" && ! grep -q "^$name ." <<<"$for_tests"; then
    ok 1 "$name of $object is used by more than tests (remove it, or give a reason in $0)"
  fi
done < <(sort -u "$used.lonely")
while read -r name reason; do
  [ -z "$name" ] || grep -q "^$name " "$used.lonely" || ok 1 "only tests use $name ($reason): the list is out of date"
done <<<"$for_tests"
ok 0 "every external symbol was looked at: $(wc -l <"$used.lonely") are used by one object alone"
done_testing
