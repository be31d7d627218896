#!/usr/bin/env bash
# plugin-api/docs/tutorial.md, from the first line to the last, against an installation: every block of "sh" runs, as an author would
# type it.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
page=$src/plugin-api/docs/tutorial.md
root=$it_dir/root
chmod 755 "$it_dir"
succeeds "make install" make -C "$build" -s install DESTDIR="$root"
prefix=$(sed -n 's/^prefix *= *//p' "$build/Makefile" | head -n 1)
sed -i "s,^prefix=.*,prefix=$root$prefix," "$root$prefix/lib/pkgconfig/berth-plugin.pc" # as if it had been configured so
export PATH=$root$prefix/bin:$root$prefix/sbin:$PATH PKG_CONFIG_PATH=$root$prefix/lib/pkgconfig
# What is built here is loaded by a berthd that may be a sanitized one; a leak of the installed command is looked for by its own tests.
export ASAN_OPTIONS=detect_leaks=0
is "$(command -v berth)" "$root$prefix/bin/berth" "the installed command is what the page calls"
mkdir "$it_dir/tutorial" && cd "$it_dir/tutorial" || exit 1

awk '
  /^```/ && !inside { inside = 1; sh = $0 == "```sh"; number = NR; if (sh) print "echo \"# line " number "\""; next }
  /^```/ && inside { if (sh) print "echo \"block ok " number "\""; inside = 0; next }
  inside && sh { print }' "$page" >../tutorial.sh
blocks=$(grep -c '^echo "block ok' ../tutorial.sh)
# The server that the page starts ends with it, even where a block fails.
timeout 360 bash -euo pipefail -c 'trap "kill \${server:-} 2>/dev/null || true; wait" EXIT; . ../tutorial.sh' >../output 2>&1 </dev/null
rc=$?
for line in $(sed -n 's/^echo "block ok \([0-9]*\)"$/\1/p' ../tutorial.sh); do
  grep -qx "block ok $line" ../output
  ok $? "the block at line $line of tutorial.md"
done
is "$(grep -c '^block ok' ../output)" "$blocks" "all blocks of the page ran"
is "$(grep -lE 'AddressSanitizer|runtime error:' chat-lines/server.log)" "" "the server is clean under the sanitizers"
[ $rc -eq 0 ] || { tail -n 40 ../output; echo "the server's log:"; tail -n 20 chat-lines/server.log; } | sed 's/^/# /'
done_testing
