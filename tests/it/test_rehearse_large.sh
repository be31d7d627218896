#!/usr/bin/env bash
# berthd at a size that no engine of this machine has: more instances of one app than a page of the API's lists holds.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
it_sim 'node: {concurrency: 64}' 'delays: {image_pull: 5ms, create: "0", start: "0", stop: "0", remove: "0"}'
it_start
cat >compose.yaml <<YAML
name: large
services: {web: {image: "shop/web:1", deploy: {replicas: 1100}}}
YAML
said=$(timeout 100 berth up)
ok $? "an app of 1100 instances is up"
like "$said" "1100 instances ready" "up counts all of them"
is "$(grep -c ' removed$' <<<"$said")" 0 "and takes none for removed that is on another page"
is "$(it_json berth ps large --format json -- '[.[] | select(.ready)] | length')" 1100 "so does ps"
is "$(it_json berth ps large --format json -- '[.[].ip // .instance] | unique | length')" 1100 "each is its own"
succeeds "down" timeout 100 berth down large
done_testing
