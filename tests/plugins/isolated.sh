#!/usr/bin/env bash
# The tests of plug-ins once more, each plug-in in a process of its own: nothing of it may be seen.
set -uo pipefail
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
export BERTH_TEST_ISOLATION=process

for program in unit/test_plugin_calls unit/test_plugin_services plugins/test_abi plugins/test_chat_webhook plugins/test_monitor_prometheus \
  plugins/test_registry_oci plugins/test_lb_haproxy plugins/test_runtime_docker; do
  # One that reads files of the machine (build contexts, profiles) and asks a socket who listens there (for its limits) needs a user who
  # may, and sockets of its own.
  user=
  unset BERTH_TEST_EGRESS
  case $program in
    plugins/test_runtime_docker | plugins/test_lb_haproxy) user=root ;;
    plugins/test_registry_oci) export BERTH_TEST_EGRESS='["127.0.0.1"]' ;; # registries are named by images, not by its configuration
  esac
  out=$(BERTH_TEST_USER=$user timeout 300 "${top_builddir:-.}/tests/$program" 2>&1)
  rc=$?
  ok $rc "${program##*/} with each plug-in in a process of its own"
  [ $rc -eq 0 ] || grep -aE -A4 '^(not ok|==|SUMMARY)' <<<"$out" | head -n 40 | sed 's/^/# /'
done
done_testing
