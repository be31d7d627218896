#!/usr/bin/env bash
# Rooms depend downwards only: what a file of core/ROOM includes stands in the same room or below it; pure rooms touch no
# system; plug-ins know nothing of the core.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

declare -A level=([base]=0 [loop]=1 [model]=2 [compose]=3 [plan]=3 [policy]=3 [state]=4 [control]=5 [plugin]=6
  [identity]=6 [audit]=6 [node]=7 [api]=8)
# The command stands on base and loop, and on what it does offline: read Compose files, check configurations, test policies.
cli_may=" base loop model compose policy cli "

bad_include() { # ROOM FILE: includes of FILE that its room may not have
  local room=$1 to
  sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+"([a-z_]+)\/.*/\1/p' "$2" | sort -u | while read -r to; do
    if [ "$to" = "$room" ]; then
      continue
    elif [ "$room" = cli ]; then
      [[ $cli_may == *" $to "* ]] || echo "$2 includes $to"
    elif [ -z "${level[$to]:-}" ] || [ "${level[$to]}" -ge "${level[$room]}" ]; then
      echo "$2 includes $to"
    fi
  done
}

for dir in $(sources 'core/*/*.[ch]' | cut -d/ -f2 | sort -u); do
  if [ "$dir" != cli ] && [ -z "${level[$dir]:-}" ]; then
    ok 1 "core/$dir is a room of the design"
    continue
  fi
  wrong=$(sources "core/$dir/*.[ch]" | while read -r file; do bad_include "$dir" "$file"; done)
  is "$wrong" "" "core/$dir includes only what is below it"
done

for room in model compose plan control; do
  # The executor is the daemon's side of the step function: it runs the loop and reads the clock.
  files=$(sources "core/$room/*.[ch]" | grep -v '^core/control/executor\.[ch]$')
  [ -n "$files" ] || continue
  wrong=$(echo "$files" | xargs grep -nE '#[[:space:]]*include[[:space:]]+<(event2/|curl/|sqlite3|sys/socket|sys/epoll|fcntl|pthread)')
  is "$wrong" "" "core/$room asks nothing of the system"
  wrong=$(echo "$files" | xargs grep -nE '\b(bt_clock_(mono|wall)|time\(NULL|clock_gettime|gettimeofday|rand\()')
  is "$wrong" "" "core/$room has no clock and no dice"
done

wrong=$(sources 'plugins/*.[ch]' | xargs -r grep -nE '#[[:space:]]*include[[:space:]]+"(base|loop|model|compose|plan|policy|state|control|plugin|node|api|cli)/')
is "$wrong" "" "plug-ins include nothing of the core"
done_testing
