# kill -9 of berthd before and after each step of create and delete over runtime-oci (tests/it/oci_crash.py): BENCH_ROUNDS times (200; the long run: 10,000)
# from BENCH_SEED, in as many network namespaces at once as there are processors. The figure: kills after which anything was left over or missing.
rounds=${BENCH_ROUNDS:-200} sides=$(nproc)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for ((side = 0; side < sides; side++)); do
  OCI_CRASH_ROUNDS=$((rounds / sides)) OCI_CRASH_SECONDS=0 OCI_CRASH_SEED=$((${BENCH_SEED:-7} + side)) OCI_CRASH_RESULT=$results/$side.json \
    bash "$BERTH_SRC/tests/it/test_oci_crash.sh" >"$results/$side.log" 2>&1 &
done
wait
sed 's/^/# /' "$results"/*.log >&2
jq -cs --argjson rounds $((rounds / sides * sides)) 'def sum(f): map(f) | add // 0;
  {bench: "oci-crash", value: (if length == 0 then null else sum(.left) end), unit: "left", floor: null, peer: null, ratio: null, reach: 0,
   ok: (sum(.rounds) == $rounds and sum(.left + .refused) == 0), rounds: sum(.rounds), kills: sum(.kills | add), seconds: (map(.seconds) | max),
   containers: sum(.containers), words: (map(.words[]) | .[:5])}' <(cat "$results"/*.json 2>/dev/null) | tee "$results/line"
jq -e .ok "$results/line" >/dev/null
