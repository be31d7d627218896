#!/usr/bin/env bash
# "berth plugin new" makes folders that build and pass their tests out of installed headers, with each of four build systems and
# under the sanitizers; what they make is loaded by the server. Bad names and full folders are refused with the mend.
# timeout: 900
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS=detect_leaks=1
dir=$(mktemp -d)
trap 'rm -rf "$dir" /tmp/berth-plugin-check-lb-try.json*' EXIT
chmod 755 "$dir"

[ -x "$build/core/berthd" ] || skip_all "there is no build in $build"
root=$dir/root
prefix=$(sed -n 's/^prefix *= *//p' "$build/Makefile" | head -n 1)
succeeds "headers, templates, pkg-config file and macros are installed" make -C "$build" -s install-berthincludeHEADERS \
  install-pkgconfigDATA install-dist_aclocalDATA install-template install-binPROGRAMS DESTDIR="$root"
sed -i "s,^prefix=.*,prefix=$root$prefix," "$root$prefix/lib/pkgconfig/berth-plugin.pc" # as if it had been configured so
export PKG_CONFIG_PATH=$root$prefix/lib/pkgconfig ACLOCAL_PATH=$root$prefix/share/aclocal
there=.$root$prefix/lib/berth/plugins/chat-try.so
berth=$root$prefix/bin/berth
export PATH=$root$prefix/bin:$PATH
cd "$dir" || exit 1

fails "a name without a kind" 2 "$berth" plugin new lines --interface chat
like "$out" 'such as "chat-lines"' "is refused with one that would do"
fails "a name with capitals and blanks" 2 "$berth" plugin new "Chat My Lines" --interface chat
like "$out" 'such as "chat-my-lines"' "is refused with the nearest"
for name in chat- -chat-x c- "$(printf 'chat-%060d' 0)" chat_x ../x-y; do
  fails "$name is refused" 2 "$berth" plugin new "$name" --interface chat
done
fails "an interface has to be named" 2 "$berth" plugin new chat-x
like "$out" "--interface" "by an option"
fails "one that there is" 2 "$berth" plugin new chat-x --interface chta
fails "a license is an SPDX expression" 2 "$berth" plugin new chat-x --interface chat --license 'MIT"; x'
is "$(ls)" root "nothing of all that made a folder"
mkdir full && touch full/file
fails "a folder that is not empty" 4 "$berth" plugin new chat-x --interface chat --dir full
like "$out" "not empty" "is refused"
is "$(ls full)" file "and left as it is"
fails "templates that are not there" 3 "$berth" plugin new chat-x --interface chat --template "$dir/none"

interfaces=$(cd "$src/plugin-api/include/berth" && for header in *.h; do echo "${header%.h}"; done | grep -vxE 'plugin|host')
# The checker waits more than it computes: all of them at once.
for interface in $interfaces; do
  name=$interface-try
  made=$("$berth" plugin new "$name" --interface "$interface" --license ISC --format json)
  is "$(jq -r '.files[]' <<<"$made" | sort)" "$(cd "$name" && find . -type f | sed 's,^\./,,' | sort)" "$interface: the files that were made are named"
  is "$(grep -rlE '@(NAME|IDENT|INTERFACE|LICENSE|YEAR|BERTH_VERSION)@' "$name")" "" "$interface: no word of the template is left"
  like "$(cat "$name/LICENSE")" "use, copy, modify, and/or distribute" "$interface: the license is there"
  { make -C "$name" check CFLAGS="-O1 -g -Werror -pedantic" >"$dir/$interface.out" 2>&1; echo $? >"$dir/$interface.rc"; } &
done
wait
for interface in $interfaces; do
  name=$interface-try
  out=$(cat "$dir/$interface.out")
  ok "$(cat "$dir/$interface.rc")" "$interface: make check"
  [ "$(cat "$dir/$interface.rc")" -eq 0 ] || tail -n 30 <<<"$out" | sed 's/^/# /'
  like "$out" "^ok [0-9]+ - manifest.symbol" "$interface: berth-plugin-check has been at it"
  is "$(nm -D --defined-only "$name/$name.so" | awk '{print $3}')" berth_plugin_v1 "$interface: one symbol is exported"
  cp "$name/$name.so" "$dir/$interface.so"
  make -s -C "$name" clean
  succeeds "$interface: make check under the sanitizers" make -C "$name" check PATH="/usr/bin:/bin" \
    CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
  make -s -C "$name" clean
  succeeds "$interface: clang takes it" make -C "$name" all tests/test_plugin CC=clang \
    CFLAGS="-O1 -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla -Wno-missing-field-initializers"
  make -s -C "$name" clean
  sed 's/^ *password: .*/      password: x/' "$name/berthd.yaml" | sed "s,^    plugin: .*,    path: $dir/$interface.so," >"$name.yaml"
  printf 'state: {path: %s/state.db}\nrun_dir: %s/run\n' "$dir" "$dir" >>"$name.yaml"
  ASAN_OPTIONS=detect_leaks=0 succeeds "$interface: berthd takes it, with its sample configuration" "$build/core/berthd" --config "$name.yaml" --check
done

succeeds "make install" make -C chat-try -s install DESTDIR="$dir/made"
is "$(cd "$dir/made" && find . -type f)" "$there" "puts it where berthd looks"
make -s -C chat-try clean
if command -v meson >/dev/null && command -v ninja >/dev/null; then
  cp -r chat-try meson && cd meson || exit 1
  succeeds "meson: setup" meson setup build
  succeeds "meson: test" meson test -C build
  DESTDIR=$dir/meson-made succeeds "meson: install" meson install -C build
  is "$(cd "$dir/meson-made" && find . -type f)" "$there" "meson: to the same place"
  cd .. || exit 1
else
  skip "meson builds it" "there is no meson"
fi
if command -v cmake >/dev/null; then
  cp -r chat-try cmake && cd cmake || exit 1
  succeeds "cmake: configure" cmake -B build
  succeeds "cmake: build" cmake --build build
  succeeds "cmake: test" ctest --test-dir build --output-on-failure
  DESTDIR=$dir/cmake-made succeeds "cmake: install" cmake --install build
  is "$(cd "$dir/cmake-made" && find . -type f)" "$there" "cmake: to the same place"
  cd .. || exit 1
else
  skip "cmake builds it" "there is no cmake"
fi
cp -r chat-try auto && cd auto || exit 1
succeeds "autotools: autoreconf" timeout 120 autoreconf -i
mkdir build && cd build || exit 1
succeeds "autotools: configure" ../configure -q
succeeds "autotools: make check" make -s check
succeeds "autotools: make install" make -s install DESTDIR="$dir/auto-made"
is "$(cd "$dir/auto-made" && find . -type f)" "$there" "autotools: to the same place"
succeeds "autotools: make uninstall" make -s uninstall DESTDIR="$dir/auto-made"
is "$(cd "$dir/auto-made" && find . -type f)" "" "autotools: takes it away"
done_testing
