#!/usr/bin/env bash
# berth-plugin-check on the build without sanitizers, where it counts memory itself and refuses allocations: the shipped plug-ins.
# tests/check/test_plugin_check.sh does the rest, on the sanitized build.
# timeout: 400
# runtime-oci makes bridges and rules for the networks that it is asked for: in a network namespace of our own nothing of them stays.
if [ "$(id -u)" = 0 ] && [ -z "${BERTH_NETNS:-}" ] && unshare -n true 2>/dev/null; then
  exec env BERTH_NETNS=1 unshare -n bash "$0" "$@"
fi
[ -z "${BERTH_NETNS:-}" ] || ip link set lo up
set -uo pipefail
src=${BERTH_SRC:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${BERTH_RELEASE:-$src}
# shellcheck source=tests/tap.sh
. "$src/tests/tap.sh"
checker=$build/plugin-api/checker/berth-plugin-check
[ -x "$checker" ] || skip_all "there is no berth-plugin-check in $build"
dir=$(mktemp -d)
# lb-haproxy keeps keys in a tmpfs, which outlives it.
trap 'umount "$dir/haproxy/certs" 2>/dev/null; rm -rf "$dir"' EXIT

shopt -s nullglob
for plugin in "$build"/plugins/*/.libs/*.so; do
  name=$(basename "$plugin" .so)
  options=(--only memory --seconds 20)
  if [ -f "$src/tests/plugins/check/$name.json" ]; then
    sed "s,@DIR@,$dir," "$src/tests/plugins/check/$name.json" >"$dir/config.json"
    options+=(--config "$dir/config.json")
  fi
  [ ! -f "$src/tests/plugins/check/$name.http.json" ] || options+=(--http-script "$src/tests/plugins/check/$name.http.json")
  succeeds "$name leaves nothing, and survives refused allocations" "$checker" "${options[@]}" "$plugin"
  like "$out" '^ok [13] - memory.allocation$' "$name: allocations were refused"
done
done_testing
