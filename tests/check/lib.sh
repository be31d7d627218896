# What the checks of the source share: where the tree is, which files it has, how the compiler is called.
set -uo pipefail
src=${BERTH_SRC:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${BERTH_BUILD:-$src}
# shellcheck source=tests/tap.sh
. "$src/tests/tap.sh"
cd "$src" || exit 1

# sources PATTERN… : files of the tree (as git's pathspecs have it), one a line.
sources() {
  if [ -n "${BERTH_FILES:-}" ]; then
    tr '\0' '\n' <"$BERTH_FILES" | sed 's,^\./,,' | while read -r file; do
      for pattern in "$@"; do
        # shellcheck disable=SC2053 # a pattern is meant
        if [[ $file == $pattern ]]; then
          echo "$file"
          break
        fi
      done
    done
  else
    git ls-files "$@"
  fi
}

packages="libevent jansson libcurl libsodium lua5.4 sqlite3 libfyaml openssl libarchive"
# shellcheck disable=SC2046,SC2034,SC2086 # words are meant
cflags=(-std=gnu17 -pthread -I"$build/config" -Icore -I"$build/core" -Iplugin-api/include -I/usr/share/include/llhttp -I/usr/share/llhttp
  $(pkg-config --cflags $packages) '-DBERTH_PLUGINDIR=""' '-DBERTH_CONFDIR=""' '-DBERTH_DATADIR=""' '-DBERTH_LIBEXECDIR=""')
