#!/usr/bin/env bash
# The published JSON Schema of x-berth says what the Compose loader says: the same keys, the same verdict on good and bad values; the sample
# and the reference's examples are valid.
# timeout: 300
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
python3 -c 'import jsonschema, yaml' 2>/dev/null || skip_all "python3-jsonschema or python3-yaml is not installed"
export ASAN_OPTIONS=detect_leaks=0 NO_COLOR=1

points=$(python3 tests/check/xberth.py config/x-berth.schema.json "$build/core/berth" core/compose/xberth*.c 2>&1)
while IFS= read -r row; do
  case $row in
  "ok - "*) ok 0 "${row#ok - }" ;;
  "not ok - "*) ok 1 "${row#not ok - }" ;;
  *) printf '%s\n' "$row" ;;
  esac
done <<<"$points"
like "$points" "its example of" "it came to its end"
done_testing
