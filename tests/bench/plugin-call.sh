# A call of a plug-in's method, in process and through the helper.
cd "$BERTH_BUILD" && BENCH_ONLY=plugin-call tests/bench/tool_plugin
