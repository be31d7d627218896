#!/usr/bin/env bash
# Load balancers that get in each other's way, and hostile routes: two entries that claim the one role, at --check, at a start and at a reload;
# what apps write that HAProxy's configuration could take for its own.
# timeout: 200
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
command -v haproxy >/dev/null || skip_all "haproxy is not installed"
docker version >/dev/null 2>&1 || skip_all "no Docker Engine answers"

base=$((20000 + $$ * 16 % 12000))
own=/dev/shm/berth-$it # a tmpfs that a user of the plug-in's own can have
end_balancers() {
  local rc=$? dir
  [ -z "$it_pid" ] || timeout 60 berth down "$it" >/dev/null 2>&1
  it_stop
  for dir in "$it_dir"/*/ "$own/"; do
    [ -f "$dir/haproxy.pid" ] && kill "$(cat "$dir/haproxy.pid")" 2>/dev/null
  done
  rm -rf "$own"
  (exit $rc)
  it_cleanup
}
trap end_balancers EXIT
entry() { echo "  - {name: $1, plugin: lb-haproxy, config: {dir: $it_dir/$1, http: ['127.0.0.1:$2'], https: ['127.0.0.1:$(($2 + 1))'], keep_running: false}}"; }
north=$(entry north "$base") south=$(entry south $((base + 2)))
role='south and north \(lb-haproxy\) both claim the role route.ingress, which one alone can have: remove one of them under plugins: in berthd.yaml'
of() { it_json berth plugin ls --format json -- ".[] | select(.name == \"$1\") | $2"; }

# --- the role
it_config "$north" "$south"
fails "--check refuses two load balancers" 2 berthd --config "$it_dir/berthd.yaml" --check
like "$out" "berthd.yaml:[0-9]+:[0-9]+: error: plug-in entry south: $role" "with a sentence and its place"
is "$(grep -c . <<<"$out")" 1 "one sentence"
it_config "$north"
succeeds "--check takes one" berthd --config "$it_dir/berthd.yaml" --check
it_start
it_config "$north" "$south"
kill -HUP "$it_pid"
ok "$(wait_for 20 eval '[ "$(of south .status)" = failed ]'; echo $?)" "at a reload the second does not start"
like "$(of south .error)" "^$role\$" "and says why"
is "$(of north .status)" ok "the first runs on"
is "$(grep -cE "plugin/south: failed: $role" "$it_dir/berthd.log")" 1 "the log says it once"
like "$(berth doctor 2>&1)" "north claims it as well" "the doctor knows it"
it_config "$south"
kill -HUP "$it_pid"
ok "$(wait_for 20 eval '[ "$(of south .status)" = ok ]'; echo $?)" "when the first is gone the second has the role"
is "$(of north .status)" "" "and the first is gone"

# --- hostile routes
image=berth-$it/box:1
it_image "$image"
mkdir -p "$it_dir/app" && cd "$it_dir/app" || exit 1
# app ROUTE… : a file with these routes
app() {
  {
    printf 'name: %s\nservices:\n  web:\n    image: %s\n    command: [httpd, -f, -p, "8080", -h, /www]\n    stop_grace_period: 1s\n    x-berth:\n      routes:\n' "$it" "$image"
    printf '        - %s\n' "$@"
    printf 'secrets: {cert: {file: ./cert.pem}}\n'
  } >compose.yaml
}
refused() { # ROUTE WHAT
  app "$1"
  fails "refused: $2" 2 berth config --check -f compose.yaml
  like "$out" "compose.yaml:9:[0-9]+: error: services.web.x-berth.routes\[0\]" "$2: with its place"
}
echo none >cert.pem
refused '{port: 8080, hosts: "a\n  use_backend x"}' "a line break in a host"
refused '{port: 8080, hosts: "a\" or { always_true } #"}' "a quote in a host"
refused '{port: 8080, hosts: "%[env(HOME)]"}' "a percent sign in a host"
refused '{port: 8080, paths: "/a b"}' "a blank in a path"
refused '{port: 8080, paths: "/%[path]"}' "a percent sign in a path"
refused '{port: 8080, paths: "/a\nglobal"}' "a line break in a path"
refused "{port: 8080, paths: /$(printf 'a%.0s' $(seq 300))}" "a path too long"
refused "{port: 8080, hosts: [$(seq -s, -f 'h%g.example' 65)]}" "too many hosts"
refused '{port: 8080, sticky: {cookie: "a domain .example"}}' "a blank in a cookie's name"
refused '{port: 8080, maintenance: {content_type: "text/plain\r\nX-Evil: 1"}}' "a line break in a content type"
refused '{port: 8080, maintenance: {allow: ["0.0.0.0/0 }"]}}' "a brace in an address"
refused '{port: 8080, rate_limit: {requests: 99999999999}}' "a number too large"
refused '{port: 99999999999999999999}' "a port beyond all numbers"

# What may hold anything is only text: a page with all that HAProxy's language knows, and as many addresses and hosts as there may be.
page='%[src] %{+Q}o \\n ${HOME} "quoted" it'"'"'s # no comment'
written=${page//\'/\'\'}
app "{port: 8080, hosts: page.example, maintenance: {body: '${written//\$/\$\$}', content_type: 'text/x; a=%[src] # b', allow: [$(seq -s, -f '"10.1.%g.0/24"' 64)]}}" \
  "{port: 8080, hosts: [$(seq -s, -f 'h%g.example' 64)]}" '{port: 8080, hosts: tls.example, tls: cert}'
succeeds "what may hold anything is deployed" timeout 60 berth up
get() { curl -s --max-time 5 -H "Host: $1" "http://127.0.0.1:$((base + 2))/" "${@:2}"; }
ok "$(wait_for 15 eval '[ "$(get page.example)" = "$page" ]'; echo $?)" "the page is what was written, byte by byte"
like "$(get page.example -D - -o /dev/null)" 'text/x; a=%\[src\] # b' "and so is its type"
is "$(get h64.example -o /dev/null -w '%{http_code}')" 404 "the last of 64 hosts leads to the instance (which has no page)"
row() { berth route ls --format json | jq -r ".[] | select(.route == \"$1\") | $2"; }
is "$(row tls.example/ .state)" refused "a secret that is no certificate: its route is refused, and no other"

# Certificate and key that do not belong together, and a key alone
for cn in one two; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$cn" -keyout "$cn.key" -out "$cn.crt" 2>/dev/null
done
broken() { # WHAT
  timeout 60 berth up >/dev/null 2>&1
  ok "$(wait_for 15 eval '[ "$(row tls.example/ .state)" = refused ]'; echo $?)" "$1: refused"
  is "$(get page.example)" "$page" "$1: the others are served"
  is "$(grep -c 'PRIVATE KEY' "$it_dir/berthd.log")" 0 "$1: no key is in the log"
}
cat one.crt two.key >cert.pem
broken "the key of another certificate"
cat one.key >cert.pem
broken "a key without a certificate"
head -c 300000 /dev/urandom | base64 >cert.pem
broken "a large secret that means nothing"
cat one.crt one.key >cert.pem
timeout 60 berth up >/dev/null 2>&1
ok "$(wait_for 15 eval '[ "$(row tls.example/ .state)" = serving ]'; echo $?)" "mended, it is served"

# --- HAProxy stands still: its sockets take connections and answer nothing
worker=$(pgrep -P "$(cat "$it_dir/south/haproxy.pid")")
kill -STOP "$worker"
timeout 60 berth scale web=2 >/dev/null 2>&1
before=$EPOCHREALTIME
berth ls >/dev/null
ok "$(awk "BEGIN { exit !($EPOCHREALTIME - $before < 2) }"; echo $?)" "the server answers while HAProxy hangs"
kill -CONT "$worker"
ok "$(wait_for 30 eval '[ "$(row h1.example/ .state)" != "" ] && [ "$(row page.example/ .state)" = maintenance ]'; echo $?)" "and goes on with it afterwards"
is "$(get page.example)" "$page" "it serves"
timeout 60 berth down >/dev/null 2>&1

# --- a user of its own, without a right that others have not
if [ "$(id -u)" = 0 ]; then
  it_stop
  user=$((58000 + $$ % 1000))
  mkdir -m 700 "$own" && chown "$user" "$own"
  it_config "  - {name: own, plugin: lb-haproxy, isolation: process, user: $user, network: true, limits: {files: 4096}, config: {dir: $own, http: ['127.0.0.1:$((base + 2))'],
       https: [], keep_running: false}}"
  it_start
  app '{port: 8080, hosts: own.example, rate_limit: {requests: 1000}, maintenance: {body: "mine"}}'
  timeout 60 berth up >/dev/null 2>&1
  ok "$(wait_for 20 eval '[ "$(get own.example)" = mine ]'; echo $?)" "HAProxy serves as a user of its own"
  status=/proc/$(cat "$own/haproxy.pid")/status
  is "$(awk '/^(Uid|CapEff|NoNewPrivs):/ { printf "%s ", $2 }' "$status")" "$user 0000000000000000 1 " "without any capability, and it can get none"
fi
done_testing
