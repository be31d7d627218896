#!/usr/bin/env bash
# Every header compiles alone; the public ones also as C++, for plug-ins that are written in it.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

alone() { # NAME COMPILER-AND-OPTIONS… HEADER
  local name=$1 text
  shift
  text=$(printf '#include "%s"\n' "$PWD/${*: -1}" | "${@:1:$#-1}" -fsyntax-only - 2>&1)
  ok $? "$name"
  [ -z "$text" ] || head -n 5 <<<"$text" | sed 's/^/# /'
}

while read -r header; do
  alone "$header alone" gcc "${cflags[@]}" -Wall -Wextra -Werror -x c "$header"
done < <(sources 'core/*.h')
while read -r header; do
  alone "$header alone" gcc -std=c11 -pedantic -Iplugin-api/include -Wall -Wextra -Werror -x c "$header"
  alone "$header as C++" clang++ -std=c++17 -Iplugin-api/include -Wall -Wextra -Werror -x c++ "$header"
done < <(sources 'plugin-api/include/*.h')
done_testing
