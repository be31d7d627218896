#!/usr/bin/env bash
# Routes with real containers and a real HAProxy: hosts and paths, TLS by name, redirects, stickiness, limits, pages, TCP, the client's
# address, drains, HAProxy killed, refused configurations.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
command -v haproxy >/dev/null || skip_all "haproxy is not installed"

work=$it_dir/work lb=$it_dir/lb
mkdir -p "$work" && cd "$work" || exit 1
base=$((20000 + $$ * 16 % 12000))
http=$base https=$((base + 1)) tcp=$((base + 2)) tcp_proxy=$((base + 3)) taken=$((base + 4))
image=berth-$it/box:1
# It serves on without berthd: so berthd ends first, and then HAProxy, where there is something left to serve.
end_haproxy() {
  local rc=$? app
  for app in $(timeout 20 berth ls -q 2>/dev/null); do
    timeout 60 berth down "$app" --volumes >/dev/null 2>&1
  done
  it_stop
  [ -f "$lb/haproxy.pid" ] && kill "$(cat "$lb/haproxy.pid")" 2>/dev/null
  (exit $rc)
  it_cleanup
}
trap end_haproxy EXIT
it_server "  - plugin: lb-haproxy
    config: {dir: $lb, http: ['127.0.0.1:$http'], https: ['127.0.0.1:$https'], tcp_address: 127.0.0.1, stats_interval: 500ms,
             accept_proxy_from: ['127.9.0.0/16']}
  - plugin: monitor-prometheus"
it_image "$image"

# certificate NAME : a key and a certificate for it, in one file
certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -addext "subjectAltName=DNS:$1" -keyout "$1.key" \
    -out "$1.crt" 2>/dev/null
  cat "$1.crt" "$1.key" >"$1.pem"
}
certificate shop.example
certificate other.example

# get HOST PATH CURL-OPTION… : the body, asked for at the plain port
get() {
  local host=$1 path=$2
  shift 2
  curl -s --max-time 5 -H "Host: $host" "$@" "http://127.0.0.1:$http$path"
}
status() { get "$@" -o /dev/null -w '%{http_code}'; }
row() { berth route ls --format json | jq -r ".[] | select(.route == \"$1\") | $2"; }
# A web server whose CGI tells who it is and what it was asked; /cgi-bin/slow takes a while.
cat >who <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "$HOSTNAME from $HTTP_X_FORWARDED_FOR proto $HTTP_X_FORWARDED_PROTO path $REQUEST_URI"
CGI
cat >slow <<'CGI'
#!/bin/sh
sleep 3
printf 'Content-Type: text/plain\r\n\r\n'
echo "slow $HOSTNAME"
CGI
cat >start <<'SH'
mkdir -p /www/cgi-bin
cp /who /www/cgi-bin/who; cp /slow /www/cgi-bin/slow
chmod 755 /www/cgi-bin/*
mkdir -p /www/api /www/api/deep; echo api >/www/api/index.html; echo deep >/www/api/deep/index.html
echo "$NAME" >/www/index.html
HOSTNAME=$(hostname); export HOSTNAME
exec httpd -f -p 8080 -h /www
SH
cat >compose.yaml <<YAML
name: $it
x-box: &box
  image: $image
  command: [sh, /start]
  stop_grace_period: 6s
  configs:
    - {source: start, target: /start}
    - {source: who, target: /who}
    - {source: slow, target: /slow}
services:
  web:
    <<: *box
    environment: {NAME: web}
    deploy: {replicas: 2}
    x-berth:
      routes:
        - {hosts: [shop.example, "*.shop.example"], port: 8080}
        - {hosts: secure.example, port: 8080, tls: cert}
        - {hosts: sticky.example, port: 8080, sticky: true}
        - {hosts: limited.example, port: 8080, rate_limit: {requests: 3, period: 10s}}
        - {hosts: closed.example, port: 8080, maintenance: {body: "back soon", status: 503, retry_after: 2m}}
        - {hosts: shared.example, port: 8080, weight: 90}
        - {protocol: tcp, listen: $tcp, port: 8080}
        - {protocol: tcp, listen: $tcp_proxy, port: 8080, accept_proxy: true}
  api:
    <<: *box
    environment: {NAME: api}
    x-berth:
      routes:
        - {hosts: shop.example, paths: [/api], port: 8080}
        - {hosts: shared.example, port: 8080, weight: 10}
        - {hosts: other.example, port: 8080, tls: {secret: cert2, redirect: false}}
configs: {start: {file: ./start}, who: {file: ./who}, slow: {file: ./slow}}
secrets: {cert: {file: ./shop.example.pem}, cert2: {file: ./other.example.pem}}
YAML
succeeds "up" timeout 90 berth up
ok "$(wait_for 10 eval '[ "$(status shop.example /)" = 200 ]'; echo $?)" "a route leads to an instance"

# --- hosts and paths
is "$(get shop.example /)" web "the host leads to its service"
is "$(get a.b.shop.example /)" web "a star stands for the names under it"
is "$(get shop.example /api/)" api "the longer path goes first"
is "$(get shop.example /api/deep/)" deep "and what is under it"
is "$(status shop.example /apix)" 404 "a path that only begins alike is another one"
is "$(get a.shop.example /api/)" api "the star has no such path: web answers with its own"
is "$(get nobody.example / -o /dev/null -w '%{http_code}')" 404 "a host without a route gets 404"
is "$(for i in 1 2 3 4 5 6; do get shop.example /cgi-bin/who | cut -d' ' -f1; done | sort -u | wc -l)" 2 "both instances answer in turn"

# --- the client's address
like "$(get shop.example /cgi-bin/who -H 'X-Forwarded-For: 6.6.6.6')" "from 127.0.0.1 proto http " "X-Forwarded-For is the client's address; what it claims is replaced"

# --- TLS
secure() { curl -s --max-time 5 --cacert "$1.crt" --connect-to "$2:$https:127.0.0.1:$https" "https://$2:$https$3"; }
cp shop.example.crt ca.crt
is "$(curl -sk --max-time 5 --connect-to "secure.example:$https:127.0.0.1:$https" "https://secure.example:$https/")" web "TLS"
like "$(openssl s_client -connect "127.0.0.1:$https" -servername secure.example </dev/null 2>/dev/null | openssl x509 -noout -subject)" "shop.example" "the certificate goes by the name asked for"
like "$(openssl s_client -connect "127.0.0.1:$https" -servername other.example </dev/null 2>/dev/null | openssl x509 -noout -subject)" "other.example" "another name, another certificate"
is "$(secure other.example other.example /)" api "the other one"
is "$(get secure.example /x?y=1 -o /dev/null -w '%{http_code} %{redirect_url}')" "308 https://secure.example:$https/x?y=1" "plain requests are sent to https"
is "$(get other.example /)" api "but where the route says otherwise"
is "$(find "$lb" -name '*.pem' -perm 600 | wc -l) $(stat -f -c %T "$lb/certs")" "2 tmpfs" "keys lie on a tmpfs, readable by nobody else"

# --- stickiness
get sticky.example /cgi-bin/who -c jar -o /dev/null
is "$(for i in 1 2 3 4 5 6; do get sticky.example /cgi-bin/who -b jar | cut -d' ' -f1; done | sort -u | wc -l)" 1 "who has the cookie stays"

# --- limits, pages, weights
is "$(for i in 1 2 3 4 5; do status limited.example /; echo; done | sort | uniq -c | tr -s ' \n' ' ')" " 3 200 2 429 " "more than the limit is refused with 429"
is "$(get closed.example / -w ' %{http_code}')" "back soon 503" "the maintenance page"
like "$(get closed.example / -D -)" "[Rr]etry-[Aa]fter: 120" "says when to come again"
n=$(for _ in $(seq 50); do get shared.example /; done | grep -c api)
ok "$([ "$n" -ge 3 ] && [ "$n" -le 8 ]; echo $?)" "a tenth of 50 requests goes to the lighter service ($n)"

# --- TCP
is "$(curl -s --max-time 5 "http://127.0.0.1:$tcp/")" web "a TCP route"
is "$(curl -s --max-time 5 --haproxy-protocol "http://127.0.0.1:$tcp_proxy/")" web "with a PROXY protocol header"
is "$(curl -s --max-time 5 "http://127.0.0.1:$tcp_proxy/")" "" "which is needed there"
is "$(curl -s --max-time 5 --interface 127.9.0.1 --haproxy-protocol -H 'Host: shop.example' "http://127.0.0.1:$http/")" web "networks that the operator named may speak for clients"

# --- what people see
is "$(row shop.example/ '"\(.state) \(.ready)/\(.endpoints) \(.requests > 5)"')" "serving 2/2 true" "route ls counts"
is "$(row closed.example/ .state)" maintenance "and says what is in maintenance"
like "$(berth route ls)" "https://secure.example/ .*web.* 8080 .*cert" "as a table"
like "$(berth why route/shop.example/)" "leads to 2 of 2 instances" "why tells"
ok "$(wait_for 5 eval "curl -s --unix-socket '$it_dir/run/berth.sock' http://x/metrics | grep -q 'berth_lb_requests_total{.*route=\"default/shop.example/\".*} [1-9]'"; echo $?)" "/metrics has the counters"
is "$(it_json berth doctor --format json -- '.[] | select(.element == "lb-haproxy (berth.lb/1)") | "\(.verdict): \(.found)"')" "ok: it runs, and has what it should" "the doctor asked HAProxy"

# --- another app
mkdir -p second && cat >second/compose.yaml <<YAML
name: ${it}b
services:
  web:
    image: $image
    x-berth: {routes: [{hosts: [x.example, shop.example], port: 1}]}
YAML
(cd second && timeout 60 berth up 2>&1) >second/out
like "$(cat second/out)" "compose.yaml:[0-9]+. has a route for shop.example/, which is that of service web .*compose.yaml:[0-9]+. of app $it" "what another app has is refused, by its name"

# --- scaling and drains
reloads() { curl -s --unix-socket "$it_dir/run/berth.sock" http://x/metrics | sed -n 's/^berth_lb_reloads_total{.*} //p'; }
worker() { pgrep -P "$(cat "$lb/haproxy.pid")"; }
before=$(reloads) process=$(worker)
timeout 60 berth scale web=4 >/dev/null
ok "$(wait_for 5 eval '[ "$(row shop.example/ .ready)" = 4 ] && [ "$(for i in 1 2 3 4 5 6 7 8; do get shop.example /cgi-bin/who | cut -d" " -f1; done | sort -u | wc -l)" = 4 ]'; echo $?)" "new instances get requests"
for _ in 1 2 3 4; do get shop.example /cgi-bin/slow >>slow.out & done
sleep 0.5
timeout 60 berth scale web=1 >/dev/null
is "$(for _ in 1 2 3; do get shop.example /cgi-bin/who | cut -d' ' -f1; done | sort -u | wc -l)" 1 "who leaves gets no new request"
wait $(jobs -p | grep -v "^$it_pid\$")
is "$(grep -c slow slow.out)" 4 "and what it had is answered before it stops"
is "$(reloads)" "$before" "without a reload"
is "$(worker)" "$process" "it is the same process"

# --- HAProxy dies
kill -9 "$(cat "$lb/haproxy.pid")"
ok "$(wait_for 10 eval '[ "$(get shop.example /)" = web ]'; echo $?)" "killed, it is back with what it had"
ok "$(wait_for 5 eval "berth events -A | grep -q 'it is started again'"; echo $?)" "and an event told"

# --- the server dies: HAProxy serves on, and is found again
pid=$(cat "$lb/haproxy.pid")
it_stop KILL
is "$(get shop.example /)" web "without the server it serves on"
it_start
ok "$(wait_for 10 eval '[ "$(row shop.example/ .state)" = serving ]'; echo $?)" "a new server knows it"
is "$(cat "$lb/haproxy.pid")" "$pid" "it is the same HAProxy"
timeout 60 berth scale web=3 >/dev/null
ok "$(wait_for 5 eval '[ "$(for i in 1 2 3 4 5 6; do get shop.example /cgi-bin/who | cut -d" " -f1; done | sort -u | wc -l)" = 3 ]'; echo $?)" "and follows the instances"

# --- what HAProxy does not take
{ echo '-----BEGIN CERTIFICATE-----'; echo bm9uZQ==; echo '-----END CERTIFICATE-----'; } >shop.example.pem
timeout 60 berth up >/dev/null 2>&1
ok "$(wait_for 10 eval '[ "$(row secure.example/ .state)" = refused ]'; echo $?)" "a broken certificate: its route is refused"
like "$(row secure.example/ .message)" "HAProxy refuses it: .*(certificate|PEM)" "in HAProxy's words"
is "$(get shop.example /) $(secure other.example other.example /)" "web api" "all others are served"
like "$(berth events)" "route secure.example/ is not served" "an event says so"
like "$(berth why route/secure.example/)" "refuses it" "and why"
like "$(berth doctor --format json | jq -r '.[] | select(.element == "routes") | .verdict + ": " + .found')" \
  "^warning: 1 of [0-9]+ are not: secure.example/ of app $it: HAProxy refuses it" "the doctor knows"
cp shop.example.crt good.pem && cat shop.example.key >>good.pem && cp good.pem shop.example.pem
timeout 60 berth up >/dev/null 2>&1
ok "$(wait_for 10 eval '[ "$(row secure.example/ .state)" = serving ]'; echo $?)" "mended, it is served again"
is "$(berth doctor --format json | jq -r '.[] | select(.element == "routes") | .verdict')" ok "and the doctor content"
python3 -m http.server --bind 127.0.0.1 "$taken" >/dev/null 2>&1 &
server=$!
wait_for 5 eval "curl -s -o /dev/null http://127.0.0.1:$taken/"
sed "s/listen: $tcp,/listen: $taken,/" compose.yaml >compose.new && mv compose.new compose.yaml
timeout 60 berth up >/dev/null 2>&1
ok "$(wait_for 10 eval '[ "$(row tcp/$taken .state)" = refused ]'; echo $?)" "a port that somebody has: refused"
like "$(row "tcp/$taken" .message)" "127.0.0.1:$taken cannot be listened on: Address already in use" "with the reason"
kill $server
wait $server 2>/dev/null
ok "$(wait_for 15 eval '[ "$(curl -s --max-time 2 http://127.0.0.1:$taken/)" = web ]'; echo $?)" "it is served as soon as the port is free"

# --- errors of the file
cat >bad.yaml <<YAML
name: $it
services:
  web:
    image: $image
    x-berth:
      routes:
        - {hosts: "a b", port: 8080}
        - {port: 0}
        - {protocol: tcp, port: 1, tls: nothing}
        - {protocol: http, listen: 3, port: 5, colour: red}
YAML
out=$(berth up -f bad.yaml 2>&1)
like "$out" "bad.yaml:7:19: error: services.web.x-berth.routes\[0\].hosts.*must be a host's name" "errors have their place"
like "$out" "bad.yaml:8:.*routes\[1\].port must be an integer from 1 to 65535" "ports"
like "$out" "bad.yaml:9:.*needs \"listen\"" "what is missing"
like "$out" "bad.yaml:10:.*colour is not known" "unknown keys"
succeeds "down" timeout 60 berth down
ok "$(wait_for 10 eval '! curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$http/"'; echo $?)" "nothing to serve: nobody listens"
done_testing
