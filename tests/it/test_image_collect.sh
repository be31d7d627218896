#!/usr/bin/env bash
# Images that go by themselves: a store over its size loses what no container and no app needs, the least recently used first, and an event tells of it.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
docker() { :; } # none is asked
it_images=()
[ "$(id -u)" = 0 ] || skip_all "it takes root"
mkdir -p "$it_dir/policies"
cat >"$it_dir/berthd.yaml" <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
plugins:
  - plugin: registry-oci
  - plugin: runtime-oci
    config: {root: $it_dir/oci, run: $it_dir/ocirun, image_gc_high: 100, image_gc_max_size: 2500KiB, image_gc_min_age: 0s}
YAML
it_start

# add NAME : imports an image it/NAME:1 of 1 MiB that no other has.
add() {
  local d=$it_dir/$1 id
  mkdir -p "$d/l"
  head -c 1048576 /dev/urandom >"$d/file"
  tar -C "$d" -cf "$d/l/layer.tar" file
  id=$(sha256sum "$d/l/layer.tar" | cut -c1-64)
  printf '{"os":"linux","architecture":"amd64","config":{"Cmd":["/file"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$id" >"$d/c.json"
  printf '[{"Config":"c.json","RepoTags":["it/%s:1"],"Layers":["l/layer.tar"]}]' "$1" >"$d/manifest.json"
  tar -C "$d" -cf "$it_dir/$1.tar" c.json manifest.json l
  berth image import "$it_dir/$1.tar" >/dev/null
}
there() { berth image ls --format json | jq -r '[.[].tags[]] | sort | join(" ")'; }
there_is() { [ "$(there)" = "$1" ]; }

succeeds "an image" add app
cat >"$it_dir/compose.yaml" <<YAML
name: kept
services:
  web: {image: it/app:1, pull_policy: never, deploy: {replicas: 0}}
YAML
succeeds "an app that is made of it, with no instance" berth up -f "$it_dir/compose.yaml" --detach
succeeds "a second image" add one
is "$(there)" "it/app:1 it/one:1" "both have room"
succeeds "a third" add two
ok "$(wait_for 60 there_is "it/app:1 it/two:1"; echo $?)" "has no room: what nobody needs goes, not the app's, although that is older"
ok "$(wait_for 20 eval 'berth events -A --format json | grep -q "plugin.images-collected"'; echo $?)" "an event tells of it"
like "$(berth events -A --format json | grep plugin.images-collected)" 'it/one:1' "by name"
succeeds "the app goes" berth down kept
succeeds "and another image comes" add three
ok "$(wait_for 60 there_is "it/three:1 it/two:1"; echo $?)" "now the app's may go"
done_testing
