# An image of 20 layers and 500 MB from a registry on loopback into an empty store, against skopeo copy and umoci unpack of the same (where
# umoci is not installed: podman pull); then a second image that shares all layers but one. The best of each side counts: what disturbs a
# machine only makes things slower.
. "$(dirname "$0")/lib.sh"
docker() { :; } # none is asked
layers=${BENCH_LAYERS:-20} megabytes=${BENCH_MEGABYTES:-500} rounds=${BENCH_ROUNDS:-3}
program=$BERTH_BUILD/plugins/runtime-oci/berth-image
for command in docker-registry skopeo openssl jq; do
  command -v $command >/dev/null || bench_fail "$command is not installed"
done
[ "$(id -u)" = 0 ] || bench_fail "it takes root"

# --- two images as OCI layouts: files of some size, which shrink by a quarter, as programs do about
layout=$it_dir/layout
mkdir -p "$layout/blobs/sha256"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
blob() { # FILE: into the layout; its digest and size in $digest and $size
  digest=$(sha256sum "$1" | cut -c1-64) size=$(stat -c %s "$1")
  mv "$1" "$layout/blobs/sha256/$digest"
}
layer() { # NUMBER
  local dir=$it_dir/files i
  mkdir -p "$dir/usr/lib/layer$1"
  for i in $(seq 50); do
    openssl enc -aes-128-ctr -pass "pass:$1-$i" -nosalt -in /dev/zero 2>/dev/null | base64 -w 76 2>/dev/null | head -c $((megabytes * 20000 / layers)) >"$dir/usr/lib/layer$1/file$i"
  done
  tar --sort=name --mtime=@0 -C "$dir" -cf "$it_dir/layer.tar" usr
  diffs+=("\"sha256:$(sha256sum "$it_dir/layer.tar" | cut -c1-64)\"")
  gzip -n -6 "$it_dir/layer.tar"
  blob "$it_dir/layer.tar.gz"
  blobs+=("{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$size}")
  rm -r "$dir"
}
image() { # NAME: of $diffs and $blobs
  local config manifest
  printf '{"os":"linux","architecture":"amd64","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$(IFS=,; echo "${diffs[*]}")" >"$it_dir/json"
  blob "$it_dir/json"
  config="{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$size}"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' "$config" "$(IFS=,; echo "${blobs[*]}")" >"$it_dir/json"
  blob "$it_dir/json"
  manifest="{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$size,\"annotations\":{\"org.opencontainers.image.ref.name\":\"$1\"}}"
  manifests+=("$manifest")
  printf '{"schemaVersion":2,"manifests":[%s]}' "$(IFS=,; echo "${manifests[*]}")" >"$layout/index.json"
}
diffs=() blobs=() manifests=()
for n in $(seq "$layers"); do layer "$n"; done
image first
unset "diffs[-1]" "blobs[-1]"
layer other
image second

# --- a registry
port=$((20000 + $$ % 20000))
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$it_dir" $port >"$it_dir/registry.yml"
docker-registry serve "$it_dir/registry.yml" >/dev/null 2>&1 &
registry=$!
trap 'kill $registry 2>/dev/null; it_cleanup' EXIT
for _ in $(seq 100); do
  (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && break
  sleep 0.1
done
for name in first second; do
  skopeo copy -q --dest-tls-verify=false "oci:$layout:$name" "docker://127.0.0.1:$port/bench:$name" || bench_fail "the registry takes no image"
done

pull() { # NAME: the seconds until it can be used, in $took
  local start=$EPOCHREALTIME answer
  answer=$(printf '{"root":"%s/store","image":"127.0.0.1:%s/bench:%s"}' "$it_dir" $port "$1" | "$program" pull | tail -n 1)
  took=$(calc "$EPOCHREALTIME - $start")
  jq -e .result >/dev/null <<<"$answer" || bench_fail "pull: $answer"
}
peer() {
  local start=$EPOCHREALTIME
  if command -v umoci >/dev/null; then
    peer_name="skopeo + umoci"
    skopeo copy -q --src-tls-verify=false "docker://127.0.0.1:$port/bench:first" "oci:$it_dir/peer:first" &&
      umoci unpack --image "$it_dir/peer:first" "$it_dir/bundle" >/dev/null 2>&1 || bench_fail "skopeo or umoci failed"
  else
    peer_name="podman pull"
    podman --root "$it_dir/peer" --runroot "$it_dir/bundle" pull -q --tls-verify=false "127.0.0.1:$port/bench:first" >/dev/null || bench_fail "podman failed"
    umount "$it_dir/peer/overlay" 2>/dev/null
  fi
  took=$(calc "$EPOCHREALTIME - $start")
  rm -rf "$it_dir/peer" "$it_dir/bundle"
}
mine=() theirs=() seconds=()
for _ in $(seq "$rounds"); do
  sync
  peer
  theirs+=("$took")
  sync
  pull first
  mine+=("$took")
  pull second
  seconds+=("$took")
  rm -rf "$it_dir/store"
done
value=$(smallest "${mine[@]}") floor=$(smallest "${theirs[@]}")
bench_line s "$value" null "$floor" "$(calc "$value / $floor")" 1.5 most \
  "{\"layers\": $layers, \"megabytes\": $megabytes, \"against\": \"$peer_name\", \"mine\": [$(IFS=,; echo "${mine[*]}")], \"theirs\": [$(IFS=,; echo "${theirs[*]}")], \"second_image\": $(smallest "${seconds[@]}")}"
