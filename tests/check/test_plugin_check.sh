#!/usr/bin/env bash
# berth-plugin-check: all plug-ins of this tree pass it, and each deliberately bad one fails the test that is meant for it.
# timeout: 900
# runtime-oci makes bridges and rules for the networks that it is asked for: in a network namespace of our own nothing of them stays.
if [ "$(id -u)" = 0 ] && [ -z "${BERTH_NETNS:-}" ] && unshare -n true 2>/dev/null; then
  exec env BERTH_NETNS=1 unshare -n bash "$0" "$@"
fi
[ -z "${BERTH_NETNS:-}" ] || ip link set lo up

# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

checker=$build/plugin-api/checker/berth-plugin-check
[ -x "$checker" ] || skip_all "there is no berth-plugin-check in $build"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export TMPDIR=$dir/tmp # where the checker has its own folders, which it is to remove
mkdir "$TMPDIR"

# check NAME ARGUMENT… : runs the checker; what it says and its exit code are kept. It waits more than it computes, so all run at once.
check() {
  local name=$1 rc=0 options=(--seconds 30) # patience on a busy machine
  shift
  [ ! -f "tests/plugins/check/$name.json" ] || options+=(--config "tests/plugins/check/$name.json")
  [ ! -f "tests/plugins/check/$name.http.json" ] || options+=(--http-script "tests/plugins/check/$name.http.json")
  "$checker" "${options[@]}" "$@" >"$dir/$name" 2>&1 || rc=$?
  echo "$rc" >"$dir/$name.rc"
}

shopt -s nullglob
for plugin in "$build"/plugins/*/.libs/*.so; do
  check "$(basename "$plugin" .so)" "$plugin" &
done
# The examples in other languages: a program, a script.
check chat-notify --strict --config '{"file": "@DIR@/notices", "url": "http://chat.example/hook"}' \
  --command "python3 plugin-api/examples/python/notify.py" &
check chat-greeter --strict --config '{"url": "http://chat.example/hook"}' plugin-api/examples/lua/greeter.lua &
wait
for out in "$dir"/*.rc; do
  name=$(basename "$out" .rc)
  rc=$(cat "$out")
  ok "$rc" "$name keeps the contract ($(grep -c '^ok' "$dir/$name") tests)"
  [ "$rc" -eq 0 ] || grep -A8 -E '^not ok|^berth-plugin-check' "$dir/$name" | sed 's/^/# /' | head -n 60
  grep -q '^1\.\.' "$dir/$name" || ok 1 "$name: the checker came to its end"
done
# As with --strict, but for what plugins/common does for all of the tree: abort where memory is refused.
is "$(grep '^# warning' "$dir/runtime-sim" | grep -v 'where memory is refused')" "" "runtime-sim, which has no product to blame, is not warned of"
is "$(find "$dir" -maxdepth 1 -name '*.rc' | wc -l)" "$(($(find plugins -maxdepth 1 -name '*-*' | wc -l) + 2))" "all plug-ins of the tree were there"
for name in chat-notify chat-greeter; do
  is "$(grep -cE '^ok [0-9]+ - (wire\.(hello|pieces|unknown|ping|end)|call\.chat\.send\.cancel|http\.chat\.garbage|memory\.leaks)$' "$dir/$name")" 8 \
    "$name: it was tested as a process"
  is "$(grep -E '# SKIP *$' "$dir/$name")" "" "$name: what is left out says why"
done

# bad PLUGIN TEST ERE : the test is to fail, and a line to say why. PLUGIN: a .so, NAME.lua, or "python RULE". Begun here, judged by judge_bad.
begun=()
bad() {
  local given
  while [ "$(jobs -rp | wc -l)" -ge 10 ]; do wait -n; done
  case $1 in
  python*) given=(--command "python3 tests/plugins/bad_wire.py ${1#* }") ;;
  *.lua) given=("tests/plugins/lua/$1") ;;
  *) given=("$build/tests/plugins/.libs/$1.so") ;;
  esac
  { "$checker" --only "$2" --seconds 8 "${given[@]}" >"$dir/bad.${#begun[@]}" 2>&1; echo $? >"$dir/bad.${#begun[@]}.code"; } &
  begun+=("$1|$2|$3")
}
judge_bad() {
  local i plugin name why out
  wait
  for i in "${!begun[@]}"; do
    IFS='|' read -r plugin name why <<<"${begun[$i]}"
    out=$(cat "$dir/bad.$i")
    is "$(cat "$dir/bad.$i.code") $(grep -cE "^not ok [0-9]+ - $name(\.|$)" <<<"$out")" "1 1" "$plugin fails $name"
    like "$out" "^# .*($why)" "$plugin: a sentence says why"
  done
}
# shellcheck disable=SC2046 # words are meant
make -C "$build" -s $(sed -nE 's,^ *bad ([a-z_]+) [a-z]+\..*,tests/plugins/\1.la,p' "$0" | sort -u) tests/plugins/breaks_unmarked.la >"$dir/make" 2>&1
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
bad breaks_cancel call.chat.send.cancel 'finished with a result in place of BERTH_CANCELLED'
bad 'python hello' wire.hello 'sent garbage'
bad 'python version' manifest.version 'no semantic version'
bad 'python pieces' wire.pieces 'ended by itself, with exit code 1'
bad 'python unknown' wire.unknown 'ended by itself, with exit code 1'
bad 'python hang' wire.ping 'did not answer a ping'
bad 'python deaf' wire.end 'its input has ended.*lives on'
bad 'python orphan' life.once 'left others running'
bad 'python stop' life.once 'lives on 3000 ms after'
bad 'python done' life.once 'did not answer with done'
bad 'python ids' life.once 'kv.scan: the id 1 was used before'
bad 'python members' life.once 'events.subscribe: its id is not an integer'
bad 'python reload' reload.refused 'does not take a good one any more'
bad 'python validate' config.texts 'does not name it'
bad 'python print' call.chat.send.typical 'sent garbage'
bad 'python crash' call.chat.send.typical 'ended by itself, with exit code 1'
bad 'python twice' call.chat.send.typical 'finished twice'
bad 'python never' call.chat.send.typical 'never finished'
bad 'python secret' call.chat.send.typical 'standard error: a secret of the configuration'
bad 'python code' call.chat.send.typical 'there is no code "teapot"'
bad 'python result' call.chat.send.typical 'its result is not an object'
bad 'python cancel' call.chat.send.cancel 'in place of BERTH_CANCELLED'
bad 'python http' http.chat.garbage 'ended by itself, with exit code 1'
bad 'python memory' memory.leaks 'KiB more memory'
bad 'python descriptors' memory.leaks 'descriptors open after'
bad bad_syntax.lua wire.hello "bad_syntax.lua:2: '}' expected"
bad bad_raises.lua call.chat.send.hostile 'an error was raised: send: bad_raises.lua:6'
bad bad_twice.lua call.chat.send.typical 'finished already'
bad bad_never.lua call.chat.send.typical 'never finished'
bad bad_loops.lua wire.ping 'did not answer a ping'
if "$checker" --only memory.allocation "$build/tests/plugins/.libs/breaks_alloc.so" | grep -c SKIP >/dev/null; then
  ok 0 "refused allocations are skipped, and that is said: a sanitizer is in the way"
else
  bad breaks_alloc memory.allocation 'crashes where allocation'
fi
judge_bad
like "$("$checker" --only manifest.config "$build/tests/plugins/.libs/breaks_unmarked.so")" 'warning: password sounds like a secret' \
  "a password that is not marked is warned about"
fails "with --strict that is a failure" 1 "$checker" --strict --only manifest.config "$build/tests/plugins/.libs/breaks_unmarked.so"

fails "wrong usage has its exit code" 2 "$checker"
fails "an unknown option, too" 2 "$checker" --frobnicate x.so
fails "and a missing file" 3 "$checker" "$dir/none.so"
fails "and a program that is none" 3 "$checker" --command "/nowhere/at/all x"
fails "a quote without an end" 2 "$checker" --command "python3 'x.py"
fails "a plug-in beside a command" 2 "$checker" --command "python3 x.py" x.so
like "$("$checker" --only manifest.symbol plugin-api/examples/python/notify.py)" 'named with --command' "who names a program as a file is told how"
mkdir "$dir/a folder" && cp plugin-api/examples/python/notify.py "$dir/a folder/"
succeeds "words of a command may be quoted" "$checker" --only wire.hello --command "python3 '$dir/a folder/notify.py'"
succeeds "or be a list, as in berthd.yaml" "$checker" --only wire.hello --command "[\"python3\", \"$dir/a folder/notify.py\"]"
is "$(find "$TMPDIR" -mindepth 1; grep -F "$TMPDIR" /proc/self/mounts; pgrep -f "$dir/a fol[d]er" || true)" "" "nothing is left behind: no file, mount or process"
done_testing
