#!/usr/bin/env bash
# kill -9 of berthd before and after steps of create and delete over runtime-oci, and of the start that follows: after one more start no orphan, duplicate, mount,
# namespace, control group, rule, address, lease, volume or link is left over. OCI_CRASH_ROUNDS of them (60); the long run: see CONTRIBUTING.md.
# timeout: 300
# Of the release build, where there is one: nothing is counted twice by the sanitizers, and the long run is quick.
[ -z "${BERTH_RELEASE:-}" ] || export BERTH_BUILD=$BERTH_RELEASE
# shellcheck source=tests/it/oci.sh
. "$(dirname "$0")/oci.sh" python3 nft
[ -f "$build/tests/plugins/.libs/steps.so" ] || make -C "$build" -s tests/plugins/steps.la >/dev/null 2>&1
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
rounds=${OCI_CRASH_ROUNDS:-60}
it_oci
it_stop
python3 "$src/tests/it/oci_crash.py" --config "$it_dir/berthd.yaml" --socket "$it_dir/run/berth.sock" --dir "$it_dir" --image "$it:1" \
  --steps "$build/tests/plugins/.libs/steps.so" --rounds "$rounds" --seed "${OCI_CRASH_SEED:-$$}" --seconds "${OCI_CRASH_SECONDS:-150}" >"$it_dir/result" 2>"$it_dir/words"
rc=$?
sed 's/^/# /' "$it_dir/words"
[ -z "${OCI_CRASH_RESULT:-}" ] || cp "$it_dir/result" "$OCI_CRASH_RESULT"
result() { jq -r "$1" "$it_dir/result"; }
echo "# $(result 'del(.words) | tostring')"
is $rc 0 "kills, starts and changes"
ok "$([ "$(result .rounds)" -ge 10 ]; echo $?)" "$(result .rounds) rounds in $(result .seconds) s"
is "$(result .left)" 0 "nothing is left over or missing after any of them"
is "$(result .refused)" 0 "no change is refused"
it_start # so that the app is taken down where it is still there
done_testing
