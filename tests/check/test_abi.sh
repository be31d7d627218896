#!/usr/bin/env bash
# The public headers keep what plug-ins were built with: every member, constant and id of the frozen headers (tests/plugins/abi-1) is
# where and what it was. And the comparison sees what it is for.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# layout FOLDER OUT: where everything of the headers in FOLDER/berth stands.
layout() {
  local names
  names=$(cd "$1/berth" && echo *.h)
  for header in "$1"/berth/*.h; do
    awk -v name="berth/${header##*/}" -f plugin-api/reference.awk "$header"
  done | awk -v headers="$names" -f tests/check/layout.awk >"$dir/layout.c" &&
    gcc -std=c11 -Wall -Werror -I"$1" -o "$dir/layout" "$dir/layout.c" && "$dir/layout" >"$2"
}
differs() { awk -f tests/check/abi.awk "$dir/frozen" "$1"; }

succeeds "the frozen headers are read" layout tests/plugins/abi-1 "$dir/frozen"
succeeds "and the present ones" layout plugin-api/include "$dir/present"
is "$(differs "$dir/present")" "" "a plug-in that was built with the frozen headers finds all as it was"

# Every struct that a header declares is compared, and every member of the ones that matter most.
for header in tests/plugins/abi-1/berth/*.h; do
  for struct in $(sed -nE 's/^struct (berth_[a-z_]+) \{$/\1/p' "$header"); do
    grep -q "^S $struct " "$dir/frozen" || ok 1 "$struct is compared"
  done
done
is "$(grep -c '^M berth_http_upgrade ' "$dir/frozen")" 14 "a struct's members are all there, those that share a line included"
like "$(grep "^M berth_host_ops " "$dir/frozen")" "^M berth_host_ops finish 8 8 void\(\*\)\(const struct berth_host \*,berth_op,enum berth_code,const char \*,const char \*\)$" \
  "functions with the types of their parameters"

# broken NAME WHAT SED-SCRIPT HEADER: a change of the frozen headers is seen, as WHAT.
changed() {
  rm -rf "$dir/new" && mkdir "$dir/new" && cp -r tests/plugins/abi-1/berth "$dir/new"
  sed -i "$1" "$dir/new/berth/$2"
  ! cmp -s "$dir/new/berth/$2" "tests/plugins/abi-1/berth/$2" || ok 1 "the change is one: $1"
  layout "$dir/new" "$dir/changed"
}
broken() {
  changed "$3" "$4"
  like "$(differs "$dir/changed")" "$2" "$1"
}
broken "a member that is gone" "berth_chat_send.severity was removed" '/const char \*severity; /d' chat.h
broken "members that changed places" "berth_chat.send moved" '/void (\*send)/{h;d};/void (\*probe)/{G}' chat.h
broken "another type of the same size" "berth_event.time_ms has another type" 's/  int64_t time_ms;  /  uint64_t time_ms; /' host.h
broken "another parameter of a function" "berth_host_log.log has another type" 's/enum berth_log_level level, const char/int level, const char/' host.h
broken "a member in the midst" "berth_chat_send.text moved" 's/^  const char \*text; /  const char *thread;\n&/' chat.h
broken "a member in the padding at the end" "berth_manifest.more is new, but within what was the struct before" \
  '/^struct berth_manifest {/,/^};/s/^};/  unsigned char more;\n};/' plugin.h
broken "a struct without a size that grows" "berth_pair grew" '/^struct berth_pair {/,/^};/s/^};/  size_t length;\n};/' host.h
broken "another value of a code" "BERTH_DENIED was 5 and is 15" 's/BERTH_DENIED = 5/BERTH_DENIED = 15/' plugin.h
broken "another id" 'BERTH_CHAT was berth.chat/1 and is berth.chat/2' 's,"berth.chat/1",&,;s,chat/1",chat/2",' chat.h
changed '/^struct berth_chat_send {/,/^};/s/^};/  const char *thread; \/* appended *\/\n};/' chat.h
is "$(differs "$dir/changed")" "" "what is appended is fine"
changed 's/BERTH_INTERNAL = 13/BERTH_INTERNAL = 13, BERTH_NEW = 14/' plugin.h
is "$(differs "$dir/changed")" "" "a new code as well"
changed 's/const char \*message,/const char *sentence,/' host.h
is "$(differs "$dir/changed")" "" "and another name of a parameter"
done_testing
