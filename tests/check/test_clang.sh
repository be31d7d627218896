#!/usr/bin/env bash
# The second compiler: clang takes every source without a warning.
# timeout: 600
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

warn=(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings
  -Wvla -Wundef -Wformat=2 -Wno-format-nonliteral -Wimplicit-fallthrough -Wcast-qual -Wno-missing-field-initializers -Werror)

text=$(sources 'core/*.c' 'plugins/*.c' 'plugin-api/*.c' 'tests/*.c' |
  grep -vE '^core/loop/llhttp_|^plugin-api/template/' | # templates are no sources yet: test_plugin_new.sh builds what they make
  xargs -P "$(nproc)" -I{} clang "${cflags[@]}" "${warn[@]}" -Itests/unit -Itests -I. -fsyntax-only {} 2>&1)
ok $? "clang has nothing to say"
[ -z "$text" ] || head -n 60 <<<"$text" | sed 's/^/# /'
done_testing
