#!/bin/sh
# Runs the benches for "make bench": all of them, or the one named by $BENCH. Exit code 0 only when each says "ok": true.
set -u
cd "$BERTH_BUILD" || exit 2
if ! [ "${BENCH_SANITIZED:-}" ] && grep -q '^BERTH_SAN = .*fsanitize' Makefile; then
  echo "this build has sanitizers: its figures mean nothing (BENCH_SANITIZED=1 runs them all the same)" >&2
  exit 2
fi
bad=0 found=0
for bench in tests/bench/bench_* "$BERTH_SRC"/tests/bench/*.sh; do
  name=$(basename "$bench" .sh)
  name=${name#bench_}
  case $bench in
  */run.sh | */lib.sh | *.o | *.c | *.h) continue ;;
  *.sh) set -- bash "$bench" ;;
  *) set -- "./$bench" ;;
  esac
  if [ -n "$BENCH" ] && [ "$BENCH" != "$name" ]; then
    continue
  fi
  found=1
  "$@" || bad=1
done
if [ $found = 0 ]; then
  echo "no bench is called \"$BENCH\"" >&2
  exit 2
fi
exit $bad
