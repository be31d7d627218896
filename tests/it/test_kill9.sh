#!/usr/bin/env bash
# kill -9 of berthd 200 times at random moments, while clients write and containers come and go: no acknowledged change is
# lost or done twice, no container twice or left over, no other container touched. The long run: see CONTRIBUTING.md.
# timeout: 560
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
docker version >/dev/null 2>&1 || skip_all "no Docker Engine answers"
command -v python3 >/dev/null || skip_all "python3 is not installed"

it_level=warn it_config
it_image "$it:1"
python3 "$src/tests/it/kill9.py" --config "$it_dir/berthd.yaml" --socket "$it_dir/run/berth.sock" --log "$it_dir/berthd.log" \
  --prefix "$it" --image "$it:1" --rounds "${KILL9_ROUNDS:-200}" --seed "${KILL9_SEED:-7}" --seconds 400 >"$it_dir/result" 2>"$it_dir/words"
rc=$?
sed 's/^/# /' "$it_dir/words"
result() { jq -r "$1" "$it_dir/result"; }
echo "# $(result 'del(.words) | tostring')"
is $rc 0 "kills, starts and changes"
ok "$([ "$(result .rounds)" -ge $((${KILL9_ROUNDS:-200})) ]; echo $?)" "$(result .rounds) rounds in $(result .seconds) s"
ok "$([ "$(result .acknowledged)" -gt "$(result .rounds)" ]; echo $?)" "$(result .acknowledged) changes were acknowledged, $(result .scaled) of containers"
is "$(result .lost)" 0 "no acknowledged change is lost"
is "$(result .twice)" 0 "none is there twice"
is "$(result .refused)" 0 "none is refused"
is "$(result .duplicates)" 0 "no instance has two containers"
is "$(result .orphans)" 0 "no container is left over, none is missing"
is "$(result .touched)" 0 "containers of an app that nobody changed ran on through all of it"

it_start # so that the apps are taken down
for app in $(berth ls -q); do
  timeout 60 berth down "$app" >/dev/null 2>&1 || true
done
is "$(docker ps -aq --filter label=berth.app --filter "name=$it" | wc -l)" 0 "after that nothing is left"
done_testing
