#!/usr/bin/env bash
# "berth plugin new" makes folders that build and pass their tests out of installed headers, with each of four build systems and
# under the sanitizers; what they make is loaded by the server. Bad names and full folders are refused with the mend.
# timeout: 600
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS=detect_leaks=1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
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
fails "a language that it does not speak" 2 "$berth" plugin new chat-x --interface chat --language perl
fails "a license is an SPDX expression" 2 "$berth" plugin new chat-x --interface chat --license 'MIT"; x'
is "$(ls)" root "nothing of all that made a folder"
mkdir full && touch full/file
fails "a folder that is not empty" 4 "$berth" plugin new chat-x --interface chat --dir full
like "$out" "not empty" "is refused"
is "$(ls full)" file "and left as it is"
fails "templates that are not there" 3 "$berth" plugin new chat-x --interface chat --template "$dir/none"

# step FILE COMMAND… : runs it; what it says is in $dir/FILE, its exit code in $dir/FILE.rc. stepped FILE NAME : the point for it.
step() {
  local to=$dir/$1 rc=0
  shift
  "$@" >"$to" 2>&1 || rc=$?
  echo $rc >"$to.rc"
}
stepped() {
  local rc
  rc=$(cat "$dir/$1.rc" 2>/dev/null || echo 1)
  ok "$rc" "$2" 1
  [ "$rc" -eq 0 ] || tail -n 30 "$dir/$1" | sed 's/^/# /'
}

# Builds and checkers wait more than they compute: all interfaces and all build systems at once, and the points afterwards.
with_make() {
  local interface=$1 name=$1-try
  step "$interface.check" make -C "$name" check CFLAGS="-O1 -g -Werror -pedantic"
  cp "$name/$name.so" "$dir/$interface.so"
  make -s -C "$name" clean
  step "$interface.sane" make -C "$name" check PATH="/usr/bin:/bin" CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
  make -s -C "$name" clean
  step "$interface.clang" make -C "$name" all tests/test_plugin CC=clang \
    CFLAGS="-O1 -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla -Wno-missing-field-initializers"
  make -s -C "$name" clean
}
with_meson() {
  cd meson || return
  step meson.setup meson setup build
  step meson.test meson test -C build
  DESTDIR=$dir/meson-made step meson.install meson install -C build
}
with_cmake() {
  cd cmake || return
  step cmake.configure cmake -B build
  step cmake.build cmake --build build
  step cmake.test ctest --test-dir build --output-on-failure
  DESTDIR=$dir/cmake-made step cmake.install cmake --install build
}
with_autotools() {
  cd auto || return
  step auto.reconf timeout 120 autoreconf -i
  mkdir build && cd build || return
  step auto.configure ../configure -q
  step auto.check make -s check
  step auto.install make -s install DESTDIR="$dir/auto-made"
}

interfaces=$(cd "$src/plugin-api/include/berth" && for header in *.h; do echo "${header%.h}"; done | grep -vxE 'plugin|host')
for interface in $interfaces; do
  name=$interface-try
  made=$("$berth" plugin new "$name" --interface "$interface" --license ISC --format json)
  is "$(jq -r '.files[]' <<<"$made" | sort)" "$(cd "$name" && find . -type f | sed 's,^\./,,' | sort)" "$interface: the files that were made are named"
  is "$(grep -rlE '@(NAME|IDENT|INTERFACE|LICENSE|YEAR|BERTH_VERSION)@' "$name")" "" "$interface: no word of the template is left"
  like "$(cat "$name/LICENSE")" "use, copy, modify, and/or distribute" "$interface: the license is there"
done
for system in meson cmake auto; do
  cp -r chat-try $system
done
for interface in $interfaces; do
  with_make "$interface" &
done
command -v meson >/dev/null && command -v ninja >/dev/null && with_meson &
command -v cmake >/dev/null && with_cmake &
with_autotools &
wait

for interface in $interfaces; do
  name=$interface-try
  stepped "$interface.check" "$interface: make check"
  like "$(cat "$dir/$interface.check")" "^ok [0-9]+ - manifest.symbol" "$interface: berth-plugin-check has been at it"
  is "$(nm -D --defined-only "$dir/$interface.so" | awk '{print $3}')" berth_plugin_v1 "$interface: one symbol is exported"
  stepped "$interface.sane" "$interface: make check under the sanitizers"
  stepped "$interface.clang" "$interface: clang takes it"
  sed 's/^ *password: .*/      password: x/' "$name/berthd.yaml" | sed "s,^    plugin: .*,    path: $dir/$interface.so," >"$name.yaml"
  printf 'state: {path: %s/state.db}\nrun_dir: %s/run\n' "$dir" "$dir" >>"$name.yaml"
  ASAN_OPTIONS=detect_leaks=0 succeeds "$interface: berthd takes it, with its sample configuration" "$build/core/berthd" --config "$name.yaml" --check
done

succeeds "make install" make -C chat-try -s install DESTDIR="$dir/made"
is "$(cd "$dir/made" && find . -type f)" "$there" "puts it where berthd looks"
if [ -f meson.setup ]; then
  stepped meson.setup "meson: setup"
  stepped meson.test "meson: test"
  stepped meson.install "meson: install"
  is "$(cd "$dir/meson-made" && find . -type f)" "$there" "meson: to the same place"
else
  skip "meson builds it" "there is no meson"
fi
if [ -f cmake.configure ]; then
  stepped cmake.configure "cmake: configure"
  stepped cmake.build "cmake: build"
  stepped cmake.test "cmake: test"
  stepped cmake.install "cmake: install"
  is "$(cd "$dir/cmake-made" && find . -type f)" "$there" "cmake: to the same place"
else
  skip "cmake builds it" "there is no cmake"
fi
stepped auto.reconf "autotools: autoreconf"
stepped auto.configure "autotools: configure"
stepped auto.check "autotools: make check"
stepped auto.install "autotools: make install"
is "$(cd "$dir/auto-made" && find . -type f)" "$there" "autotools: to the same place"
succeeds "autotools: make uninstall" make -s -C auto/build uninstall DESTDIR="$dir/auto-made"
is "$(cd "$dir/auto-made" && find . -type f)" "" "autotools: takes it away"
done_testing
