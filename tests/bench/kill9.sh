# kill -9 of berthd at random points while 16 clients write and containers come and go: BENCH_ROUNDS times (200; the long
# run: 2,000). At the end: every acknowledged change is there, no instance runs twice, no container is left over.
. "$(dirname "$0")/lib.sh"
rounds=${BENCH_ROUNDS:-200} clients=16
RANDOM=${BENCH_SEED:-7}
bench_server
bench_app busy 2
acks=$it_dir/acks
: >"$acks"

# One app without containers a client; its label counts. And one app whose replicas go up and down.
body='{"bundle": null, "compose": "name: k%c\nservices:\n  s:\n    image: '$it':1\n    pull_policy: never\n    network_mode: none\n    labels: {n: \"%n\"}\n    deploy: {replicas: 0}\n"}'
body=${body/'"bundle": null, '/}
apply() {
  jq -n --rawfile compose "$it_dir/busy.yaml" --argjson n "$1" '{compose: ($compose | sub("replicas: [0-9]+"; "replicas: \($n)"))}' |
    curl -sS -m 2 --unix-socket "$socket" -X PUT -H 'Content-Type: application/json' -d @- http://berth/v1/namespaces/default/apps/busy >/dev/null 2>&1
}

first=1 answered=0
for round in $(seq 1 "$rounds"); do
  "$tools/tool_http" -u "$socket" -c $clients -d 60000 -a "$acks" -s $first PUT "/v1/namespaces/default/apps/k%c" "$body" >/dev/null 2>&1 &
  load=$!
  apply $((RANDOM % 4)) &
  writer=$!
  read -rt "$(calc "0.02 + $RANDOM / 32768 * 0.4")" <> <(:) || true
  it_stop KILL
  wait $load $writer
  first=$(($(awk '{ if ($2 > m) m = $2 } END { print m + 0 }' "$acks") + 2)) # one may be written, yet not acknowledged
  it_start >&2
done

# label APP: the label of the newest revision that is known.
label() {
  local target
  target=$(api "/v1/namespaces/default/apps/$1" 2>/dev/null | jq '.target // 0')
  api "/v1/namespaces/default/apps/$1/revisions/${target:-0}" 2>/dev/null | jq -r '.model.services.s.labels.n // 0' | grep . || echo 0
}

apply 3
wait_for 60 sh -c "[ \$(curl -sS --unix-socket $socket 'http://berth/v1/namespaces/default/instances?limit=1000' | jq '[.items[] | select(.app == \"busy\" and .state == \"running\")] | length') = 3 ]"
lost=0
for client in $(seq 0 $((clients - 1))); do
  acked=$(awk -v c="$client" '$1 == c && $3 < 300 && $2 > m { m = $2 } END { print m + 0 }' "$acks")
  have=$(label "k$client")
  [ "$have" -ge "$acked" ] || { lost=$((lost + 1)); echo "k$client: acknowledged $acked, has $have" >&2; }
  answered=$((answered + $(awk -v c="$client" '$1 == c && $3 < 300' "$acks" | wc -l)))
done
known=$(api "/v1/namespaces/default/instances?limit=1000" | jq -r '.items[].instance' | sort)
there=$(docker ps -a --filter label=berth.app=busy --format '{{.Label "berth.instance"}}' | sort)
duplicates=$(uniq -d <<<"$there" | grep -c .)
orphans=$(comm -13 <(uniq <<<"$known") <(uniq <<<"$there") | grep -c .)
bench_line lost "$lost" null null null 0 most \
  "{\"rounds\": $rounds, \"acknowledged\": $answered, \"duplicates\": $duplicates, \"orphans\": $orphans}" \
  "$([ "$duplicates" = 0 ] && [ "$orphans" = 0 ] && [ "$answered" -gt "$rounds" ] && echo true || echo false)"
