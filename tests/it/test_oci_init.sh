#!/usr/bin/env bash
# berth-init, the first process of containers with init: ends as its command does, hands signals on, collects what others leave behind.
# timeout: 60
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
init=$build/plugins/runtime-oci/berth-init
[ -x "$init" ] || skip_all "berth-init was not built: there is no static C library"
unshare -pf --mount-proc true 2>/dev/null || skip_all "it needs process namespaces of its own"
# first CODE NAME COMMAND… : as the first process of a namespace it ends with CODE; what it prints is in $out.
first() {
  local code=$1 name=$2
  shift 2
  out=$(timeout 20 unshare -pf --mount-proc --kill-child "$init" "$@" 2>&1)
  is "$?" "$code" "$name"
}
first 7 "the command's exit code" -- sh -c 'exit 7'
first 143 "128 and the signal that ends it" sh -c 'kill -TERM $$; sleep 20'
first 127 "127 where it is not there" -- /nonexistent
like "$out" "/nonexistent: No such file" "which it says"
first 2 "nothing to run" --
first 3 "a signal is handed on" -- bash -c 'trap "exit 3" USR1; kill -USR1 1; for _ in {1..200}; do sleep 0.05; done'
first 0 "orphans are collected" -- bash -c '(sleep 0.1 & echo $! >&2) 2>&1 | { read -r pid; for _ in {1..200}; do [ -e /proc/$pid ] || exit 0; sleep 0.05; done; exit 9; }'
is "$(ldd "$init" 2>&1 | grep -c "not a dynamic")" 1 "it needs no library"
done_testing
