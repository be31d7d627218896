#!/usr/bin/env bash
# config/quickstart as a person types it: up, again, the page answers, an instance is killed, a server is killed, and down leaves
# nothing.
# timeout: 900
src=${BERTH_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
# shellcheck source=tests/tap.sh
. "$src/tests/tap.sh"
set -uo pipefail

home=/var/lib/berth-quickstart
[ "$(id -u)" = 0 ] || skip_all "it needs root"
[ ! -e $home ] || skip_all "$home is in use"
unset BERTH_HOST BERTH_NAMESPACE
finish() {
  local rc=$?
  trap - EXIT
  "$src/config/quickstart" --down >/dev/null 2>&1
  exit $rc
}
trap finish EXIT

left() { # what of the quickstart is there
  ls -d $home /run/berth-quickstart 2>/dev/null
  grep -E 'berth-quickstart' /proc/mounts
  pgrep -af '^berthd --config /var/lib/berth-quickstart'
  pgrep -af '^/var/lib/berth-quickstart/'
  pgrep -af '^haproxy .*berth-quickstart'
  docker ps -aq --filter name=berth-sample
  docker network ls -q --filter name=berth-sample
  docker volume ls -q --filter name=berth-sample
  docker image ls -q 'berth-sample/*'
}

# --- where process 1 waits for nobody, what has ended stays in the list: it must not be taken for a server or an engine
# shellcheck source=config/lib/machine.sh
. "$src/config/lib/machine.sh"
ended=${TMPDIR:-/tmp}/ended$$
cp "$(command -v sleep)" "$ended"
bash -c "'$ended' 0.3 & echo \$!; exec sleep 60" >"$ended.pid" &
keeper=$!
wait_for 5 test -s "$ended.pid"
process_runs "${ended##*/}"
ok $? "a process runs"
wait_for 5 grep -q '^State:.*Z' "/proc/$(cat "$ended.pid")/status"
ok "$(! process_runs "${ended##*/}"; echo $?)" "one that has ended does not, though nobody waited for it"
kill $keeper
wait $keeper 2>/dev/null
rm -f "$ended" "$ended.pid"

before=$(cd "$src" && git status --porcelain --ignored 2>/dev/null)
succeeds "config/quickstart" timeout 800 "$src/config/quickstart"
like "$out" 'berth-sample, revision 1 is up: 6 instances ready' "deploys the sample"
like "$out" 'visits 1$' "and fetches its page"
like "$out" 'curl http://shop.localhost:[0-9]+/.*through its route' "also through its route"
like "$out" 'visits 3$' "which leads to the same app"
succeeds "a second call" timeout 120 "$src/config/quickstart"
like "$out" 'nothing to change' "changes nothing"
is "$(cd "$src" && git status --porcelain --ignored 2>/dev/null)" "$before" "the tree is as it was"

# shellcheck source=/dev/null
. $home/env
visits() { curl -fs --max-time 10 "http://127.0.0.1:$SHOP_PORT/" | sed -n 's,.*<b>\(.*\)</b>.*,\1,p'; }
answers=$(for _ in 1 2 3 4 5 6; do curl -fs --max-time 10 "http://127.0.0.1:$SHOP_PORT/" | grep 'page by'; done | sort -u | wc -l)
is "$answers" 3 "all three instances answer in turn"

like "$(berth logs berth-sample)" 'visit [0-9]+, counted by' "the instances say something"
last=$(visits)
docker kill "$(berth ps berth-sample/store --format json | jq -r '.[0].container_id')" >/dev/null
counted() { visits | grep -q '[0-9]'; }
wait_for 60 counted
ok $? "the store is killed and comes back"
[ "$(visits)" -gt "$last" ]
ok $? "with the number of visits it had"

containers=$(docker ps -q --filter name=berth-sample | sort)
kill -9 "$(cat $home/berthd.pid)"
visits >/dev/null
ok $? "with berthd killed the page still answers"
succeeds "config/quickstart starts it again" timeout 120 "$src/config/quickstart"
is "$(docker ps -q --filter name=berth-sample | sort)" "$containers" "no container was touched"

succeeds "config/quickstart --down" timeout 120 "$src/config/quickstart" --down
is "$(left)" "" "leaves nothing"
succeeds "a second --down is harmless" "$src/config/quickstart" --down
done_testing
