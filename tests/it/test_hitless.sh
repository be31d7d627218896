#!/usr/bin/env bash
# Constant load through 20 rollouts, 50 scalings, 10 reloads of the load balancer and 10 killed instances: no request is lost but
# those that a killed instance held. The same as "make bench BENCH=lb-hitless", of which BENCH_TIMES=10 is the long run.
# timeout: 300
# alone
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
docker version >/dev/null 2>&1 || skip_all "no Docker Engine answers"
command -v haproxy >/dev/null || skip_all "haproxy is not installed"

line=$(BERTH_SRC=$src BERTH_BUILD=${BERTH_RELEASE:-$build} timeout 280 bash "$src/tests/bench/lb-hitless.sh" 2>"$it_dir/words" | tail -n 1)
of() { jq -r "$1" <<<"$line" 2>/dev/null; }
ok "$([ "$(of .ok)" = true ]; echo $?)" "the bench is content" || sed 's/^/# /' "$it_dir/words" | tail -n 20
echo "# $line"
is "$(of '"\(.rollouts) \(.scalings) \(.reloads) \(.kills)"')" "20 50 10 10" "rollouts, scalings, reloads, kills"
is "$(of .value)" 0 "no request is lost"
ok "$([ "$(of .load.requests)" -gt 5000 ] 2>/dev/null; echo $?)" "of $(of .load.requests)"
done_testing
