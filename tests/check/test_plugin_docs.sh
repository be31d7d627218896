#!/usr/bin/env bash
# The plug-in author's pages: the reference is what the headers say; every link leads somewhere; the example compiles from
# installed headers, out of the tree, as C and as C++, and the server takes it.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS=detect_leaks=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

succeeds "the reference is made from the headers" plugin-api/docs-refresh --check
for header in plugin-api/include/berth/*.h; do
  name=$(basename "$header" .h)
  for what in $(sed -nE 's/^struct (berth_[a-z_]+) \{$/\1/p' "$header"); do
    grep -q "^### struct $what$" "plugin-api/docs/reference/$name.md" || ok 1 "$what stands in the reference"
  done
done

types=$({
  grep -hoE 'ctl_event\([^;]*' core/control/*.c | grep -oE '"[a-z]+\.[a-z-]+"' | tr -d '"'
  sed -n 's/^static const char \*const app_states\[\] = {\(.*\)};$/\1/p' core/control/forms.c | grep -oE '[a-z-]+' | sed 's/^/app./'
} | sort -u)
like "$types" app.degraded "types of events are found in the source"
is "$(for type in $types; do grep -qF "\`$type\`" plugin-api/docs/events.md || echo "$type"; done)" "" "each of them is described"

for header in plugin-api/include/berth/*.h; do
  grep -q "(reference/$(basename "$header" .h).md)" plugin-api/docs/README.md || ok 1 "the entry page leads to $header"
done
dead=$(cd plugin-api/docs && grep -oE '\]\([a-z/]+(\.md)?(#[a-z-]+)?\)' ./*.md | sed -E 's/^(.*):\]\((.*)\)$/\1 \2/' | sort -u |
  while read -r page link; do
    file=${link%%#*} anchor=${link#*#}
    [ -e "${file:-$page}" ] || echo "$page: $link"
    [ "$anchor" = "$link" ] || sed -n 's/^##* //p' "${file:-$page}" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z\n-' | grep -qx -- "$anchor" || echo "$page: $link"
  done)
is "$dead" "" "links of the pages lead somewhere"

succeeds "headers and pkg-config file are installed" \
  make -C "$build" -s install-berthincludeHEADERS install-pkgconfigDATA DESTDIR="$dir/root"
prefix=$(sed -n 's/^prefix *= *//p' "$build/Makefile" | head -n 1)
export PKG_CONFIG_PATH=$dir/root$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dir/root
flags=$(pkg-config --cflags berth-plugin)
awk '/^```c$/ && !done { on = 1; next } /^```$/ { if (on) done = 1; on = 0 } on' plugin-api/docs/README.md >"$dir/chat-print.c"
like "$(head -n 1 "$dir/chat-print.c")" "chat-print.c" "the example is found in the page"
# shellcheck disable=SC2086 # words are meant
succeeds "it compiles" cc -std=c11 -pedantic -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden $flags \
  -o "$dir/chat-print.so" "$dir/chat-print.c"
is "$(nm -D --defined-only "$dir/chat-print.so" | awk '{print $3}')" berth_plugin_v1 "it exports one symbol"
if [ -x "$build/plugin-api/checker/berth-plugin-check" ]; then
  succeeds "it keeps the contract" "$build/plugin-api/checker/berth-plugin-check" --strict --config '{"prefix": "berth "}' "$dir/chat-print.so"
fi

if [ -x "$build/core/berthd" ]; then
  cat >"$dir/berthd.yaml" <<YAML
state: {path: $dir/state.db}
run_dir: $dir/run
plugins:
  - {name: print, path: $dir/chat-print.so, config: {prefix: "berth "}}
YAML
  chmod 755 "$dir/chat-print.so"
  succeeds "berthd takes it" "$build/core/berthd" --config "$dir/berthd.yaml" --check
  sed -i 's/prefix:/prefx:/' "$dir/berthd.yaml"
  fails "and refuses a key that it does not have" 2 "$build/core/berthd" --config "$dir/berthd.yaml" --check
  like "$out" 'unknown key "prefx"; did you mean "prefix"' "with the nearest that it has"
fi
done_testing
