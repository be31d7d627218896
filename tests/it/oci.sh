# For integration tests over runtime-oci: sourced instead of lib.sh, with the script's own name. The test begins anew in a network namespace of its own, so that
# bridges and rules are the test's; it skips where the machine cannot run it. PROGRAM… are what else it needs.
#
#   . "$(dirname "$0")/oci.sh" PROGRAM…; it_oci [FIELD: VALUE,…] configures and starts berthd, and imports the image $it:1 (busybox).
#
# Containers that are left over at the end are killed, with their monitors.
for oci_program in crun busybox jq ip "$@"; do
  command -v "$oci_program" >/dev/null || oci_missing="$oci_program is not installed"
done
[ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null || oci_missing="it takes root and a network namespace"
if [ -n "${oci_missing:-}" ]; then
  echo "1..0 # SKIP $oci_missing"
  exit 0
fi
if [ -z "${BERTH_IT_INSIDE:-}" ]; then
  BERTH_IT_INSIDE=1 exec unshare -n bash "$0"
fi
ip link set lo up
# shellcheck source=tests/it/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
docker() { :; }

oci_cleanup() {
  local rc=$? pid
  (exit $rc)
  trap - EXIT
  for pid in $(jq .pid "$it_dir"/ocirun/*/monitor.pid 2>/dev/null); do
    [ -n "$it_pid" ] || kill -9 "$pid" 2>/dev/null
  done
  (exit $rc)
  it_cleanup
}
trap oci_cleanup EXIT

it_oci() {
  mkdir -p "$it_dir/policies"
  cat >"$it_dir/berthd.yaml" <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
plugin_dir: $build/plugins
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
log: {level: ${it_level:-warn}}
plugins:
  - plugin: runtime-oci
    config: {root: $it_dir/oci, run: $it_dir/ocirun${1:+, $1}}
YAML
  it_start
  oci_archive "$it:1" "$it_dir/image.tar"
  berth image import "$it_dir/image.tar" >/dev/null || { echo "Bail out! the image cannot be imported"; exit 1; }
}

# oci_archive NAME FILE [COMMAND]: an archive as docker save makes it, of busybox; COMMAND puts more into the folder that it finds itself in. OCI_CONFIG: more members of
# the image's configuration, JSON with a comma in front.
oci_archive() {
  local d
  d=$(mktemp -d "$it_dir/image-XXXXXX")
  mkdir -p "$d"/root/{bin,etc,tmp,proc,sys,dev,data} "$d/out"
  cp "$(command -v busybox)" "$d/root/bin/busybox"
  busybox --list | while read -r applet; do [ "$applet" = busybox ] || ln -s busybox "$d/root/bin/$applet"; done
  printf 'root:x:0:0:root:/:/bin/sh\n' >"$d/root/etc/passwd"
  chmod 755 "$d/root" && chmod 1777 "$d/root/tmp"
  [ -z "${3:-}" ] || (cd "$d/root" && eval "$3")
  tar -C "$d/root" -cf "$d/out/layer.tar" .
  printf '{"os":"linux","architecture":"%s","config":{"Env":["PATH=/bin"]%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture)" "${OCI_CONFIG:-}" "$(sha256sum "$d/out/layer.tar" | cut -c1-64)" >"$d/out/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$1" >"$d/out/manifest.json"
  tar -C "$d/out" -cf "$2" manifest.json config.json layer.tar
  rm -rf "$d"
}
