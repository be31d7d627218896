#!/usr/bin/env bash
# berth-plugin-check: all plug-ins of this tree pass it, and each deliberately bad one fails the test that is meant for it.
# timeout: 900
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

checker=$build/plugin-api/checker/berth-plugin-check
[ -x "$checker" ] || skip_all "there is no berth-plugin-check in $build"
dir=$(mktemp -d)
# lb-haproxy keeps keys in a tmpfs, which outlives it.
trap 'umount "$dir/haproxy/certs" 2>/dev/null; rm -rf "$dir"' EXIT

# passes PLUGIN [OPTION…] : every test of the checker holds.
passes() {
  local plugin=$1 rc=0 name
  shift
  name=$(basename "$plugin" .so)
  "$checker" "$@" "$plugin" >"$dir/$name" 2>&1 || rc=$?
  ok $rc "$name keeps the contract ($(grep -c '^ok' "$dir/$name") tests)" 1
  [ $rc -eq 0 ] || grep -A8 -E '^not ok|^berth-plugin-check' "$dir/$name" | sed 's/^/# /' | head -n 60
  grep -q '^1\.\.' "$dir/$name" || ok 1 "$name: the checker came to its end"
}

shopt -s nullglob
for plugin in "$build"/plugins/*/.libs/*.so; do
  name=$(basename "$plugin" .so)
  options=()
  if [ -f "tests/plugins/check/$name.json" ]; then
    sed "s,@DIR@,$dir," "tests/plugins/check/$name.json" >"$dir/config.json"
    options+=(--config "$dir/config.json")
  fi
  [ ! -f "tests/plugins/check/$name.http.json" ] || options+=(--http-script "$src/tests/plugins/check/$name.http.json")
  passes "$plugin" "${options[@]}"
done
is "$(find "$dir" -maxdepth 1 -type f ! -name '*.*' | wc -l)" "$(find plugins -maxdepth 1 -name '*-*' | wc -l)" "all plug-ins of the tree were there"

# bad PLUGIN TEST ERE : the test fails, and a line says why.
bad() {
  local so=$build/tests/plugins/.libs/$1.so out rc=0
  out=$("$checker" --only "$2" --seconds 8 "$so" 2>&1) || rc=$?
  is "$rc $(grep -cE "^not ok [0-9]+ - $2(\.|$)" <<<"$out")" "1 1" "$1 fails $2" 1
  like "$out" "^# .*$3" "$1: a sentence says why" 1
}
# shellcheck disable=SC2046 # words are meant
make -C "$build" -s $(sed -nE 's,^bad ([a-z_]+) .*,tests/plugins/\1.la,p' "$0" | sort -u) >"$dir/make" 2>&1
ok $? "the bad plug-ins are built" || cat "$dir/make"
bad bad_symbol manifest.symbol 'undefined symbol'
bad bad_abi manifest.symbol 'exports no berth_plugin_v1'
bad bad_abi_number manifest.abi 'built for ABI'
bad bad_table manifest.config 'the default of interval'
bad bad_needs manifest.lists 'needs the service'
bad bad_none manifest.symbol 'exports no berth_plugin_v1'
bad bad_start life.once 'start\(\) refused .*version from the future'

fails "wrong usage has its exit code" 2 "$checker"
fails "an unknown option, too" 2 "$checker" --frobnicate x.so
fails "and a missing file" 3 "$checker" "$dir/none.so"
done_testing
