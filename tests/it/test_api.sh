#!/usr/bin/env bash
# The API as any HTTP client meets it: the socket, TCP with a token, tags, dry runs, pages, streams that resume, limits, its own
# description; what stands at rest; the keys that the command prints are those of its page.
# timeout: 400
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

app=$it
image=berth-$it/box:1
port=$((20000 + $$ * 16 % 12000))
it_listen=127.0.0.1:$port
it_server
it_image "$image"
sock=$it_dir/run/berth.sock
# api METHOD PATH [CURL-OPTION…]: the status is in $status, headers in $head, the body in $body.
api() {
  local method=$1 path=$2
  shift 2
  status=$(curl -s --max-time 30 --unix-socket "$sock" -X "$method" -D "$it_dir/head" -o "$it_dir/body" -w '%{http_code}' "$@" "http://localhost$path")
  head=$(tr -d '\r' <"$it_dir/head") body=$(cat "$it_dir/body")
}
header() { sed -n "s/^$1: //ip" <<<"$head" | head -n 1; }
of() { jq -r "$1" <<<"$body"; }

# --- who may come in
token=$it_dir/state/token
is "$(stat -c %a "$token") $(stat -c %a "$it_dir/state/secrets.key") $(stat -c %a "$it_dir/state/state.db")" "600 600 600" \
  "token, key and database are their owner's alone"
is "$(stat -c %a "$sock")" 660 "the socket is the owner's and the group's"
is "$(curl -s -o /dev/null -w '%{http_code}' "http://$it_listen/v1/apps")" 401 "TCP wants a token"
is "$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' "http://$it_listen/v1/apps")" 401 "the right one"
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $(cat "$token")" "http://$it_listen/v1/apps")" 200 "and then answers"
is "$(curl -s -o /dev/null -w '%{http_code}' "http://$it_listen/v1/health")" 200 "health is open"
is "$(BERTH_HOST=http://$it_listen BERTH_TOKEN_FILE=$token berth ls --format json)" "[]" "the command comes in by TCP too"
echo wrong >"$it_dir/wrong"
BERTH_HOST=http://$it_listen BERTH_TOKEN_FILE=$it_dir/wrong fails "with a wrong token its exit code is 5" 5 berth ls

# --- a change: dry, real, tagged
doc() { printf '{"compose": "name: %s\\nservices: {web: {image: \\"%s\\", command: [sleep, \\"3600\\"], init: true, stop_grace_period: 1s, labels: {n: \\"%s\\"}}, other: {image: \\"%s\\", command: [sleep, \\"3600\\"], init: true, stop_grace_period: 1s, volumes: [\\"data:/data\\"]}}\\nvolumes: {data: {}}"}' "$app" "$image" "$1" "$image"; }
apps=/v1/namespaces/default/apps
api POST "$apps?dryRun=true" -H 'Content-Type: application/json' -d "$(doc 1)"
is "$status $(of '[.plan[] | select(.kind == "service") | .action] | join(" ")')" "200 create create" "a dry run answers with the plan"
is "$(berth ls -q)" "" "and changes nothing"
api POST $apps -H 'Content-Type: application/json' -d "$(doc 1)"
is "${status:0:1} $(of .revision)" "2 1" "an app is applied"
all_ready() { [ "$(it_json berth ps "$app" --format json -- '[.[] | select(.ready)] | length')" = 2 ]; }
ok "$(wait_for 30 all_ready; echo $?)" "and comes up"
deployed() { [ "$(it_json berth ls --format json -- '.[0].state')" = running ]; }
wait_for 10 deployed
api GET "$apps/$app"
tag=$(header etag)
like "$tag" '^"1-[0-9]+"$' "one object carries a tag"
api GET "$apps/$app" -H "If-None-Match: $tag"
is "$status" 304 "which saves sending it again"
api POST $apps -H 'Content-Type: application/json' -H "If-Match: $tag" -d "$(doc 2)"
is "$status" 200 "a change on what was read"
api POST $apps -H 'Content-Type: application/json' -H "If-Match: $tag" -d "$(doc 3)"
is "$status $(of .code) $(header content-type)" "412 precondition application/problem+json" "another one on the same is refused"
api GET "$apps/nosuch"
is "$status $(header content-type) $(of .code)" "404 application/problem+json not_found" "errors are problem+json"
like "$(of .detail)" 'nosuch' "with a sentence that names the thing"
api POST $apps -H 'Content-Type: application/json' -d '{"compose": "name: x\nservices: {w: {image: a, nosuch: 1}}"}'
is "$status $(of '.diagnostics[0].line')" "400 2" "a Compose error has its line"
ok "$(wait_for 30 deployed; echo $?)" "the change is deployed"

# --- lists in pages
api GET "/v1/events?limit=1000"
all=$(of '[.items[].id] | join(" ")')
walk() {
  local cursor='' ids=()
  while :; do
    api GET "/v1/events?limit=2${cursor:+&cursor=$cursor}"
    ids+=($(of '.items[].id'))
    cursor=$(of '.next // empty' | jq -sRr '@uri "\(.)"' | sed 's/%0A$//')
    [ -n "$cursor" ] || break
  done
  echo "${ids[*]}"
}
is "$(walk)" "$all" "pages of two hold the same as one of all"

# --- streams resume
curl -sN --max-time 2 --unix-socket "$sock" "http://localhost/v1/events?follow=true&after=0" >"$it_dir/sse" 2>/dev/null
like "$(cat "$it_dir/sse")" '^id: [0-9]+' "events are Server-Sent Events with ids"
ids=($(sed -n 's/^id: //p' "$it_dir/sse" | tr -d '\r' | uniq))
middle=${ids[$((${#ids[@]} / 2))]}
curl -sN --max-time 2 --unix-socket "$sock" -H "Last-Event-ID: $middle" "http://localhost/v1/events?follow=true" >"$it_dir/sse2" 2>/dev/null
is "$(sed -n 's/^data: //p' "$it_dir/sse2" | jq -r .id | tr '\n' ' ')" \
  "$(awk -v after="$middle" '/^id: / { on = $2 + 0 > after + 0 } on' "$it_dir/sse" | sed -n 's/^data: //p' | jq -r .id | tr '\n' ' ')" \
  "Last-Event-ID resumes after what was read"
first=$(berth events --format json | head -n 1 | jq -r .revision)
like "$(curl -sN --max-time 1 --unix-socket "$sock" "http://localhost/v1/watch?kinds=app&after=$first" 2>/dev/null)" 'event: |data: ' "a watch resumes too"

# --- limits
raw() { # sends standard input, prints the answer's first line
  timeout 30 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(20)
s.sendall(sys.stdin.buffer.read())
print(s.makefile("rb").readline().decode().strip())' "$sock"
}
head -c 3200000 /dev/zero | tr '\0' ' ' >"$it_dir/large"
api POST $apps -H 'Content-Type: application/json' -H 'Expect:' --data-binary "@$it_dir/large"
is "$status" 413 "a body over 3 MB"
api GET /v1/version -H "X-Long: $(head -c 17000 /dev/zero | tr '\0' a)"
is "$status" 431 "a head over 16 KB"
api POST $apps -H 'Content-Type: application/json' -d "$(printf '[%.0s' $(seq 100))"
is "$status" 400 "nesting over 64"
like "$(printf 'POST /v1/apps HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' | raw)" ' 400 ' "CL with TE"
like "$(printf 'GET /v1/version HTTP/1.1\nHost: x\n\n' | raw)" ' 400 ' "bare line feeds"
start=$SECONDS
like "$(printf 'GET /v1/version HTTP/1.1\r\nHost: x\r\n' | raw)" ' 408 ' "a head that does not end"
took=$((SECONDS - start))
ok "$([ $took -ge 9 ] && [ $took -le 14 ]; echo $?)" "after 10 s ($took)"
succeeds "the server is well after all that" berth ls

# --- its own description
api GET /v1/openapi.json
cp "$it_dir/body" "$it_dir/openapi.json"
is "$(of .openapi)" 3.1.0 "OpenAPI 3.1"
is "$(of '[.. | objects | ."$ref"? // empty | ltrimstr("#/") | split("/")] as $refs | . as $doc | [$refs[] | select(. as $p | $doc | getpath($p) == null)] | length')" \
  0 "all of its references lead somewhere"
cat >"$it_dir/valid.py" <<'PY'
"""Is the document valid; do answers fit the schemas that it promises for them?"""
import json, sys
doc = json.load(open(sys.argv[1]))
try:
    from openapi_spec_validator import OpenAPIV31SpecValidator as V
    for e in V(doc).iter_errors():
        print("document:", e.message)
except ImportError:
    pass
import jsonschema
def fill(o):
    if isinstance(o, dict):
        return {k: ("#/$defs/" + v[21:] if k == "$ref" and isinstance(v, str) else fill(v)) for k, v in o.items()}
    return [fill(v) for v in o] if isinstance(o, list) else o
defs = fill(doc["components"]["schemas"])
for line in sys.stdin:
    path, text = line.rstrip("\n").split("\t", 1)
    ok = doc["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = dict(fill(ok), **{"$defs": defs, "$schema": "https://json-schema.org/draft/2020-12/schema"})
    for e in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(text)):
        print(path, list(e.absolute_path), e.message[:200])
PY
if python3 -c 'import jsonschema' 2>/dev/null; then
  for path in $(jq -r '.paths | to_entries[] | select(.value.get.responses."200".content."application/json") | .key' "$it_dir/openapi.json"); do
    real=${path//\{ns\}/default} real=${real//\{namespace\}/default} real=${real//\{app\}/$app} real=${real//\{service\}/web}
    real=${real//\{instance\}/$(berth ps "$app/web" -q | head -n 1)} real=${real//\{node\}/$(it_json berth node ls --format json -- '.[0].node')}
    real=${real//\{revision\}/1} real=${real//\{rev\}/1} real=${real//\{volume\}/${app}_data} real=${real//\{network\}/${app}_default}
    api GET "$real"
    if [ "$status" = 200 ]; then
      printf '%s\t%s\n' "$path" "$(jq -c . <<<"$body" 2>/dev/null)"
    fi
  done >"$it_dir/answers"
  is "$(python3 "$it_dir/valid.py" "$it_dir/openapi.json" <"$it_dir/answers" 2>&1)" "" "it is valid, and $(wc -l <"$it_dir/answers") answers are as it promises"
  ok "$([ "$(wc -l <"$it_dir/answers")" -ge 18 ]; echo $?)" "most paths were asked"
else
  skip "answers are as it promises" "python3-jsonschema is not installed"
fi

# --- secrets at rest and in answers
secret=plain-$it-$RANDOM$RANDOM
printf '%s' "$secret" | berth secret put quiet - >/dev/null
printf '%s' "$secret" | berth secret put "$app/quiet2" - >/dev/null 2>&1
is "$(grep -laF "$secret" "$it_dir"/state/* "$it_dir/berthd.log" 2>/dev/null)" "" "no file of the state holds a secret in plain"
for path in /v1/secrets /v1/namespaces/default/secrets /v1/namespaces/default/secrets/quiet /v1/events; do
  api GET "$path"
  unlike "$body" "$secret" "$path does not tell it"
done

# --- why, of all kinds of objects
instance=$(berth ps "$app/web" -q | head -n 1)
node=$(it_json berth node ls --format json -- '.[0].node')
for object in "$app" "$app/web" "$instance" "volume/${app}_data" "network/${app}_default" "node/$node"; do
  succeeds "why $object" berth why "$object" --format json
  is "$(jq -r '(.summary | length > 0) and (.reasons | type == "array") and (.kind | length > 0)' <<<"$out")" true "says it in words"
done
fails "why of what is not there" 3 berth why nosuch/nosuch

# --- exit codes
printf 'name: %s\nservices: {web: {image: "%s", nosuch: 1}}\n' "$app" "$image" >"$it_dir/bad.yaml"
fails "2: a wrong file" 2 berth up -f "$it_dir/bad.yaml"
fails "2: a wrong option" 2 berth ls --nosuch
fails "3: not found" 3 berth history nosuch
fails "4: a secret in use" 4 bash -c "printf x | berth secret put inuse - && printf 'name: ${app}s\nservices: {w: {image: $image, command: [sleep, \"99\"], init: true, stop_grace_period: 1s, secrets: [inuse]}}\nsecrets: {inuse: {external: true}}\n' >$it_dir/s.yaml && timeout 60 berth up -f $it_dir/s.yaml && berth secret rm inuse"
printf 'name: %sd\nservices: {web: {image: "%s", command: [sleep, "3600"], init: true, stop_grace_period: 1s, healthcheck: {test: [CMD, "false"], interval: 5s, start_period: 60s}}}\n' "$app" "$image" >"$it_dir/late.yaml"
fails "9: not in time" 9 berth up -f "$it_dir/late.yaml" --wait-timeout 1s
fails "8: no server" 8 env BERTH_HOST=unix:///nosuch/sock berth ls
fails "11: a file that cannot be written or read" 11 bash -c 'berth ls >/dev/full'

# --- the keys of the page are those that are printed
documented() { # HEADING: words in backquotes at the place where the page has the verb's keys
  awk -v verb="**\`berth $1" 'index($0, verb) == 1 { on = 1 } on && /^$/ && seen { exit } on && !/^$/ { seen = 1; print } on && /^\|/ { table = 1 }' \
    "$src/config/docs/cli.md" | grep -oE '`[a-z_]+`' | tr -d '`' | sort -u
}
table_keys() { sed -n '/^\*\*`berth ps`/,/^\*\*`berth ls`/p' "$src/config/docs/cli.md" | grep '^|' | cut -d'|' -f2 | grep -oE '`[a-z_]+`' | tr -d '`' | sort -u; }
undocumented() { # VERB… : keys that are printed and not on the page
  local page printed
  page=$([ "$1" = ps ] && table_keys || documented "$1")
  printed=$(berth "$@" --format json 2>/dev/null | jq -rs 'flatten | map(keys) | add // [] | unique | .[]' | sort -u)
  [ -n "$printed" ] || echo "$1 prints nothing"
  comm -13 <(echo "$page") <(echo "$printed") | tr '\n' ' '
}
for verb in ps ls "history $app" "node ls" "volume ls" "secret ls" "plugin ls" "events" "why $app" doctor; do
  # shellcheck disable=SC2086 # words are meant
  set -- $verb
  name=$1
  case $name in node | volume | secret | plugin) name="$1 $2" ;; esac
  if [ "$name" = "$1" ]; then
    is "$(undocumented "$@")" "" "every key of berth $verb is on the page"
  else
    printed=$(berth "$@" --format json | jq -rs 'flatten | map(keys) | add // [] | unique | .[]' | sort -u)
    is "$(comm -13 <(documented "$name") <(echo "$printed") | tr '\n' ' ')" "" "every key of berth $verb is on the page"
  fi
done
if [ "$(it_json berth top --once "$app" --format json -- length)" -gt 0 ]; then
  is "$(undocumented top --once "$app")" "" "every key of berth top is on the page"
else
  skip "every key of berth top is on the page" "the engine has no statistics here"
fi
for key in $(table_keys | grep -vE '^(run|leaving|restarting|ended|oom|lasting|detached|draining|drain_by)$'); do
  berth ps "$app" --format json | jq -e "map(has(\"$key\")) | all" >/dev/null || echo "$key"
done >"$it_dir/missing"
is "$(cat "$it_dir/missing")" "" "every key of the page is printed by berth ps"
# --- a reader of events outlives the server
timeout 60 berth events -f --after 0 --format json >"$it_dir/followed" 2>/dev/null &
reader=$!
wait_for 10 test -s "$it_dir/followed"
it_stop KILL
it_start
berth secret put later "$it_dir/wrong" >/dev/null
ok "$(wait_for 20 grep -q 'made secret later' "$it_dir/followed"; echo $?)" "berth events -f goes on after a kill -9 of the server"
kill "$reader"
wait "$reader" 2>/dev/null
is "$(jq -r .id "$it_dir/followed" | sort | uniq -d)" "" "nothing comes twice"
for one in "$app" "${app}s" "${app}d"; do
  succeeds "down" timeout 60 berth down "$one" --volumes
done
done_testing
