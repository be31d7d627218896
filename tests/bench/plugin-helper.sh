# Memory and start of a plug-in's process.
cd "$BERTH_BUILD" && BENCH_ONLY=plugin-helper tests/bench/tool_plugin
