#!/usr/bin/env bash
# Images of a node without a container daemon, from the command line to the store: import, pull, list, remove, prune.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
docker() { :; } # none is asked
it_images=()
if [ "$(id -u)" != 0 ] || ! command -v docker-registry >/dev/null || ! command -v skopeo >/dev/null; then
  echo "1..0 # SKIP it takes root, docker-registry and skopeo"
  exit 0
fi
mkdir -p "$it_dir/policies"
cat >"$it_dir/berthd.yaml" <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
plugins:
  - plugin: registry-oci
  - plugin: runtime-oci
    config: {root: $it_dir/oci, run: $it_dir/ocirun}
YAML
it_start

# archive NAME TAG: as docker save makes it, NAME.tar
archive() {
  local d=$it_dir/$1 id
  mkdir -p "$d/l" "$d/root/bin"
  cp /bin/busybox "$d/root/bin/" && echo "$1" >"$d/root/name"
  tar -C "$d/root" -cf "$d/l/layer.tar" . && rm -r "$d/root"
  id=$(sha256sum "$d/l/layer.tar" | cut -c1-64)
  printf '{"os":"linux","architecture":"amd64","config":{"Env":["KEPT=yes"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$id" >"$d/c.json"
  printf '[{"Config":"c.json","RepoTags":["%s"],"Layers":["l/layer.tar"]}]' "$2" >"$d/manifest.json"
  tar -C "$d" -cf "$it_dir/$1.tar" .
}
archive one shop/one:1
archive two shop/two:1
succeeds "an archive is imported" berth image import "$it_dir/one.tar"
like "$out" 'shop/one:1 .*sha256:' "under the name that it brings"
succeeds "another under a name of one's own" berth image import "$it_dir/two.tar" mine:7
berth image load <"$it_dir/two.tar" >"$it_dir/load.out"
like "$(cat "$it_dir/load.out")" 'shop/two:1' "the same through standard input"
is "$(berth image ls -q | wc -l)" 2 "two images are here"
is "$(berth image ls --format json | jq -r '[.[].tags[]] | sort | join(" ")')" "mine:7 shop/one:1 shop/two:1" "with three names"
is "$(berth image ls --format json | jq -c '[.[].created] | unique')" "[null]" "when they were made is not known"
berth image load "$it_dir/one.tar" >"$it_dir/load.out"
like "$(cat "$it_dir/load.out")" 'shop/one:1' "load takes a file as well"
fails "import no standard input" 2 berth image import -
like "$out" 'berth image load' "and names what does"
tar -C "$it_dir" -cf "$it_dir/plain.tar" one/c.json
fails "a file system is no image" 2 berth image load "$it_dir/plain.tar"
like "$out" 'plain.tar: it is no image archive.*berth image import.*docker save' "the refusal says what is one"
fails "what is no archive is refused" 2 berth image import /etc/passwd
like "$out" '/etc/passwd: ' "in words that name it"
out=$(berth image load </etc/passwd 2>&1)
is "$?" 2 "also through standard input"
like "$out" '^berth: standard input: |standard input: it is no tar' "which is called that"
fails "an image that is not here cannot go" 3 berth image rm shop/none:1
like "$out" 'berth image ls' "and the answer leads to those that are"

port=$((20000 + $$ % 20000))
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$it_dir" $port >"$it_dir/registry.yml"
docker-registry serve "$it_dir/registry.yml" >/dev/null 2>&1 &
registry=$!
for _ in $(seq 100); do
  (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && break
  sleep 0.1
done
skopeo copy -q --dest-tls-verify=false "docker-archive:$it_dir/one.tar" "docker://127.0.0.1:$port/one:1"
succeeds "an image is pulled" berth image pull 127.0.0.1:$port/one:1
like "$out" 'Already exists|Pull complete' "layer by layer"
fails "one that is not there is told" 3 berth image pull 127.0.0.1:$port/none:1
kill $registry
wait $registry 2>/dev/null
fails "a registry that is away as well" 8 berth image pull 127.0.0.1:$port/one:2
like "$out" 'this machine reaches it.*berth image import' "with the next step"

succeeds "a name is removed" berth image rm mine:7
unlike "$out" 'image' "and not called an image"
like "$(berth image ls -q | wc -l)" 2 "the image stays with its other one"
fails "it cannot go twice" 3 berth image rm mine:7
if command -v buildah >/dev/null && command -v crun >/dev/null; then
  berth image import "$it_dir/one.tar" base/only-here:1 >/dev/null
  mkdir -p "$it_dir/ctx"
  cat >"$it_dir/ctx/Dockerfile" <<'FILE'
ARG BASE=base/only-here
FROM ${BASE}:1 AS first
RUN ["/bin/busybox", "sh", "-c", "echo $KEPT >/kept"]
FROM scratch
COPY --from=first /kept /kept
COPY --from=base/only-here:1 /name /name
COPY --from=base/only-here:1 /bin /bin
FILE
  cat >"$it_dir/build.yaml" <<YAML
name: built
services:
  web: {build: {context: $it_dir/ctx}, image: it/built:1, deploy: {replicas: 0}}
YAML
  succeeds "a build that begins with an image that only the store has" berth up -f "$it_dir/build.yaml" --detach
  ok "$(wait_for 60 eval 'berth image ls --format json | jq -e ".[] | select(.tags[] == \"it/built:1\")"'; echo $?)" "makes its image"
  is "$(cat "$it_dir"/oci/images/l/*/kept | sort -u)" yes "in which the other's environment counts"
  ok "$([ "$(cat "$it_dir"/oci/images/l/*/name | grep -c "^one$")" -ge 2 ]; echo $?)" "and whose files are there"
  is "$(find "$it_dir/oci/images/tmp" -mindepth 1 | wc -l)" 0 "nothing of it is left"
  berth down built >/dev/null
fi

succeeds "what nobody uses is pruned" berth image prune
is "$(berth image ls --format json)" "[]" "nothing is left"
is "$(berth image prune)" "There was nothing to remove." "and a second time says so"
is "$(find "$it_dir/oci/images/layers/sha256" "$it_dir/oci/images/tmp" -mindepth 1 | wc -l)" 0 "nor in the store"
done_testing
