# Every decoder of what comes from outside under a fuzzer, with a line for each (tests/fuzz/long, which keeps a build of its own):
# BENCH_ROUNDS executions of each (20,000; the long run: 10,000,000), at most BENCH_SECONDS in all.
exec "$BERTH_SRC/tests/fuzz/long" -n "${BENCH_ROUNDS:-20000}" ${BENCH_SECONDS:+-s "$BENCH_SECONDS"}
