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

# check PLUGIN : runs the checker; what it says and its exit code are kept. It waits more than it computes, so all run at once.
check() {
  local plugin=$1 name rc=0 options=()
  name=$(basename "$plugin" .so)
  if [ -f "tests/plugins/check/$name.json" ]; then
    sed "s,@DIR@,$dir," "tests/plugins/check/$name.json" >"$dir/$name.config.json"
    options+=(--config "$dir/$name.config.json")
  fi
  [ ! -f "tests/plugins/check/$name.http.json" ] || options+=(--http-script "$src/tests/plugins/check/$name.http.json")
  "$checker" "${options[@]}" "$plugin" >"$dir/$name" 2>&1 || rc=$?
  echo "$rc" >"$dir/$name.rc"
}

shopt -s nullglob
for plugin in "$build"/plugins/*/.libs/*.so; do
  check "$plugin" &
done
wait
for plugin in "$build"/plugins/*/.libs/*.so; do
  name=$(basename "$plugin" .so)
  rc=$(cat "$dir/$name.rc")
  ok "$rc" "$name keeps the contract ($(grep -c '^ok' "$dir/$name") tests)"
  [ "$rc" -eq 0 ] || grep -A8 -E '^not ok|^berth-plugin-check' "$dir/$name" | sed 's/^/# /' | head -n 60
  grep -q '^1\.\.' "$dir/$name" || ok 1 "$name: the checker came to its end"
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
make -C "$build" -s $(sed -nE 's,^ *bad ([a-z_]+) .*,tests/plugins/\1.la,p' "$0" | sort -u) tests/plugins/breaks_unmarked.la >"$dir/make" 2>&1
ok $? "the bad plug-ins are built" || cat "$dir/make"
bad bad_symbol manifest.symbol 'undefined symbol'
bad bad_abi manifest.symbol 'exports no berth_plugin_v1'
bad bad_abi_number manifest.abi 'built for ABI'
bad bad_table manifest.config 'the default of interval'
bad bad_needs manifest.lists 'needs the service'
bad bad_none manifest.symbol 'exports no berth_plugin_v1'
bad bad_start life.once 'start\(\) refused .*version from the future'
bad breaks_method manifest.id 'is not <kind>-<product>'
bad breaks_method manifest.version 'no semantic version'
bad breaks_method manifest.license 'no SPDX'
bad breaks_method manifest.summary 'no sentence'
bad breaks_method manifest.interfaces 'the method send is NULL'
bad breaks_load load.quiet 'opened 1 descriptors'
bad breaks_stop life.loop 'leave [0-9]+ descriptors open'
bad breaks_global life.twice 'both entries have the same state'
bad breaks_validate config.texts 'no sentence'
bad breaks_network config.network 'touched the network'
bad breaks_reload reload.refused 'SEGV|null pointer'
bad bad_twice call.chat.send.typical 'finished twice'
bad bad_never call.chat.send.typical 'never finished'
bad bad_never call.chat.send.cancel 'did not finish within'
bad bad_twice call.chat.send.typical 'there never was an operation'
bad bad_segv call.chat.send.typical 'SEGV|misaligned|null pointer'
bad bad_abort call.chat.send.typical 'died of SIGABRT in: chat.send'
bad bad_exit call.chat.send.typical 'ended by itself, with exit code 7'
bad bad_hang call.chat.send.typical 'took over 8 s and was killed'
bad bad_fdleak memory.leaks 'leave [0-9]+ descriptors'
bad breaks_after call.chat.send.stop 'timer.after was called after stop'
bad breaks_result call.chat.send.typical 'is no JSON'
bad breaks_block call.chat.send.typical 'held the loop for [0-9]+ ms'
bad breaks_crash call.chat.send.hostile 'SEGV|null pointer'
bad breaks_thread call.chat.send.typical 'host.service was called from another thread|timer.after was called from another thread'
bad breaks_handle call.chat.send.typical 'timer.cancel: the handle 4711 was never given out'
bad breaks_size call.chat.send.typical 'http.request: its struct says it has 0 bytes'
bad breaks_header call.chat.send.hostile 'http.request: header 0 is none'
bad breaks_secret call.chat.send.typical 'a secret of the configuration'
bad breaks_http http.chat.garbage 'SIGABRT'
bad breaks_route routes.good 'answered twice'
bad breaks_events events.hostile 'SIGABRT'
bad breaks_kv kv.garbage 'SIGABRT'
bad breaks_handles memory.handles 'handles are open after'
bad breaks_leak memory.leaks 'not freed|memory is leaked'
if "$checker" --only memory.allocation "$build/tests/plugins/.libs/breaks_alloc.so" | grep -c SKIP >/dev/null; then
  ok 0 "refused allocations are skipped, and that is said: a sanitizer is in the way"
else
  bad breaks_alloc memory.allocation 'crashes where allocation'
fi
like "$("$checker" --only manifest.config "$build/tests/plugins/.libs/breaks_unmarked.so")" 'warning: password sounds like a secret' \
  "a password that is not marked is warned about"
fails "with --strict that is a failure" 1 "$checker" --strict --only manifest.config "$build/tests/plugins/.libs/breaks_unmarked.so"

fails "wrong usage has its exit code" 2 "$checker"
fails "an unknown option, too" 2 "$checker" --frobnicate x.so
fails "and a missing file" 3 "$checker" "$dir/none.so"
done_testing
