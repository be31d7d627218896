#!/usr/bin/env bash
# Pulls that go wrong, as their user sees them: a disk that fills up during the download and during the unpacking, and a registry that sends the
# client to the machine's metadata service. What was there stays, nothing half is left, and the same pull goes through when there is room.
# timeout: 300
# shellcheck source=tests/it/oci.sh
. "$(dirname "$0")/oci.sh" docker-registry skopeo python3
mkdir -p "$it_dir/oci" "$it_dir/policies"
mount -t tmpfs -o size=24m,mode=700 tmpfs "$it_dir/oci" 2>/dev/null || skip_all "this machine mounts no tmpfs"
cat >"$it_dir/berthd.yaml" <<YAML
state: {path: $it_dir/state/state.db}
run_dir: $it_dir/run
plugin_dir: $build/plugins
api: {tcp: {listen: null}}
policies: {dir: $it_dir/policies}
plugins:
  - plugin: registry-oci
  - plugin: runtime-oci
    config: {root: $it_dir/oci, run: $it_dir/ocirun}
YAML
it_start

printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:5000"}\n' "$it_dir" >"$it_dir/registry.yml"
docker-registry serve "$it_dir/registry.yml" >/dev/null 2>&1 &
registry=$!
listens() { (exec 3<>/dev/tcp/127.0.0.1/"$1") 2>/dev/null; }
wait_for 20 listens 5000
push() {
  oci_archive "$1" "$it_dir/push.tar" "${2:-}"
  skopeo copy -q --dest-tls-verify=false "docker-archive:$it_dir/push.tar" "docker://127.0.0.1:5000/$1"
  rm "$it_dir/push.tar"
}
push it/small:1
push it/large:1 'head -c 40000000 /dev/urandom >data/random'
push it/wide:1 'head -c 60000000 /dev/zero >data/zeros'
there() { berth image ls --format json | jq -r '[.[].tags[]] | sort | join(" ")'; }
halves() { find "$it_dir/oci/images/tmp" -mindepth 1 2>/dev/null | wc -l; }
used() { df --output=used -B1 "$it_dir/oci" | tail -1; }

succeeds "an image that there is room for" berth image pull 127.0.0.1:5000/it/small:1
before=$(used)
fails "a download that fills the disk up" 7 timeout 120 berth image pull 127.0.0.1:5000/it/large:1
like "$out" 'no room is left on the disk: make room' "is told, with the mend"
fails "a layer that fills it up as it is unpacked" 7 timeout 120 berth image pull 127.0.0.1:5000/it/wide:1
like "$out" 'no room is left on the disk: make room' "is told as well"
is "$(there)" "127.0.0.1:5000/it/small:1" "the image that was there is the only one"
is "$(halves)" 0 "nothing half is left"
ok "$([ $(($(used) - before)) -lt 1000000 ]; echo $?)" "and the room is free again ($(($(used) - before)) bytes more than before)"
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $it
services:
  web: {image: "127.0.0.1:5000/it/small:1", command: [sleep, "3600"], network_mode: none, stop_grace_period: 0s}
YAML
succeeds "what was there runs" timeout 60 berth up
mount -o remount,size=256m "$it_dir/oci"
succeeds "with more room the download goes through" timeout 120 berth image pull 127.0.0.1:5000/it/large:1
succeeds "and the other" timeout 120 berth image pull 127.0.0.1:5000/it/wide:1
is "$(stat -c %s "$it_dir"/oci/images/l/*/data/random "$it_dir"/oci/images/l/*/data/zeros | sort -u | xargs)" "40000000 60000000" "whole"
kill $registry
wait $registry 2>/dev/null

# The metadata service of a cloud, and a registry whose blobs, token and manifests are said to be there.
ip addr add 169.254.169.254/32 dev lo
cat >"$it_dir/liar.py" <<'PY'
import http.server, sys, threading, urllib.parse
class Metadata(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1], "a") as f: f.write(self.path + "\n")
        self.send_response(200); self.send_header("Content-Length", "6"); self.end_headers(); self.wfile.write(b"secret")
    def log_message(self, *a): pass
class Liar(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, there = self.path, "http://169.254.169.254/latest/meta-data/"
        if path.startswith("/v2/token/") and "Authorization" not in self.headers:
            self.send_response(401); self.send_header("WWW-Authenticate", 'Bearer realm="%s",service="x"' % there)
        elif path == "/v2/" or path.startswith("/v2/blob/") and "/manifests/" in path:
            body = b'{}' if path == "/v2/" else MANIFEST
            self.send_response(200); self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body); return
        else:
            self.send_response(307); self.send_header("Location", there + urllib.parse.quote(path))
        self.send_header("Content-Length", "0"); self.end_headers()
    do_HEAD = do_GET
    def log_message(self, *a): pass
D = "sha256:" + "a" * 64
MANIFEST = ('{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":6},'
            '"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"%s","size":6}]}' % (D, D)).encode()
threading.Thread(target=http.server.ThreadingHTTPServer(("169.254.169.254", 80), Metadata).serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 5001), Liar).serve_forever()
PY
: >"$it_dir/hits"
python3 "$it_dir/liar.py" "$it_dir/hits" &
liar=$!
wait_for 20 listens 5001
is "$(curl -s http://169.254.169.254/control)" secret "a metadata service answers here"
for what in manifest blob token; do
  timeout 60 berth image pull "127.0.0.1:5001/$what/x:1" >"$it_dir/out" 2>&1
  ok "$([ $? -ne 0 ]; echo $?)" "a registry that leads to it for its $what is refused"
  like "$(cat "$it_dir/out")" '169\.254\.169\.254|redirect|address' "in words: $(tail -1 "$it_dir/out")"
done
is "$(cat "$it_dir/hits")" "/control" "nobody asked it"
kill $liar
wait $liar 2>/dev/null
berth down "$it" >/dev/null 2>&1
it_stop
umount "$it_dir/oci" 2>/dev/null
done_testing
