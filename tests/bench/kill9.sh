# kill -9 of berthd at random moments while clients write and containers come and go (tests/it/kill9.py): BENCH_ROUNDS times
# (200; the long run: 2,000) from BENCH_SEED. The figure: acknowledged changes that are lost.
. "$(dirname "$0")/lib.sh"
rounds=${BENCH_ROUNDS:-200}
docker version >/dev/null 2>&1 || bench_fail "no Docker Engine answers"
it_level=warn bench_config
it_image "$it:1"
python3 "$BERTH_SRC/tests/it/kill9.py" --config "$it_dir/berthd.yaml" --socket "$socket" --log "$it_dir/berthd.log" \
  --prefix "$it" --image "$it:1" --rounds "$rounds" --seed "${BENCH_SEED:-7}" >"$it_dir/result" &
wait $! || bench_fail "the run broke; see above" # in the background, so that a signal ends it at once
result=$(cat "$it_dir/result")
it_start >&2 # so that the apps are taken down
good=$(jq "[.twice, .duplicates, .orphans, .touched, .refused] == [0, 0, 0, 0, 0] and .rounds == $rounds and .acknowledged > .rounds" <<<"$result")
bench_line lost "$(jq .lost <<<"$result")" null null null 0 most "$(jq -c 'del(.lost)' <<<"$result")" "$good"
