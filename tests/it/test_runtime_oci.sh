#!/usr/bin/env bash
# The tests of a runtime on an engine, once more over runtime-oci, which needs none: one table of results.
# timeout: 300
top=${BERTH_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${BERTH_BUILD:-$top}
dir=$(mktemp -d /tmp/berth-oci-suite-XXXXXX)
trap 'rm -rf "$dir"' EXIT
n=0 bad=0

if ! command -v crun >/dev/null || [ ! -x /bin/busybox ] || [ "$(id -u)" != 0 ]; then
  echo "1..0 # SKIP crun or busybox-static is missing, or this is not root"
  exit 0
fi
for part in "" _streams; do
  n=$((n + 1))
  if BERTH_TEST_RUNTIME=oci top_builddir=$build "$build/tests/plugins/test_runtime_docker$part" >"$dir/out" 2>&1; then
    echo "ok $n - test_runtime_docker$part over runtime-oci ($(grep -c '^ok' "$dir/out") tests)"
  else
    bad=1
    echo "not ok $n - test_runtime_docker$part over runtime-oci"
    grep -A4 '^not ok' "$dir/out" | sed 's/^/# /'
  fi
done
echo "1..$n"
exit $bad
