#!/bin/sh
# The stored answers of tests/it/compose are the reference's: asks compose-go again, case by case. Needs Go and the module
# (from its cache or a module proxy); where it is missing, says so and skips. With --record it writes the answers instead.
here=$(cd "$(dirname "$0")" && pwd)
cases=$here/compose
build=$(mktemp -d) || exit 1
trap 'rm -rf "$build"' EXIT

if ! command -v go >/dev/null 2>&1; then
  echo "1..0 # SKIP Go is not installed"
  exit 0
fi
if ! (cd "$here/compose-oracle" && timeout 300 go build -mod=readonly -o "$build/oracle" .) >"$build/log" 2>&1; then
  echo "1..0 # SKIP compose-go cannot be built here: $(tail -n 1 "$build/log")"
  exit 0
fi

n=0
failed=0
result() {
  n=$((n + 1))
  [ "$1" = ok ] || failed=1
  echo "$1 $n - $2"
}

for case in "$cases"/*/; do
  case=${case%/}
  name=${case##*/}
  if "$build/oracle" "$case" >"$build/json" 2>"$build/err"; then
    if [ "$1" = --record ]; then
      cp "$build/json" "$case/expected.json"
    elif cmp -s "$build/json" "$case/expected.json"; then
      result ok "$name"
    else
      result "not ok" "$name"
      diff "$build/json" "$case/expected.json" | sed 's/^/# /'
    fi
  elif [ -f "$case/expected.err" ]; then
    result ok "$name is refused: $(head -n 1 "$build/err" | tr '#\n' '  ')"
  else
    result "not ok" "$name"
    sed 's/^/# /' "$build/err"
  fi
done
[ "$1" = --record ] || echo "1..$n"
exit $failed
