#!/usr/bin/env bash
# Neighbours of a log flood, a fork bomb and a memory bomb: a web service beside them answers, its own log is whole, and what the three may take is
# what their services say.
# timeout: 180
[ -z "${BERTH_RELEASE:-}" ] || export BERTH_BUILD=$BERTH_RELEASE
# shellcheck source=tests/it/oci.sh
. "$(dirname "$0")/oci.sh" curl
it_oci
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $it
x-all: &all {image: "$it:1", pull_policy: never, init: true, stop_grace_period: 0s}
services:
  web:
    <<: *all
    ports: ["127.0.0.1:8080:80"]
    command: [sh, -c, "mkdir /www; echo here >/www/index.html; echo begin; exec httpd -f -p 80 -h /www"]
    deploy: {resources: {limits: {cpus: "1", memory: 64M}}}
  flood:
    <<: *all
    network_mode: none
    # A line of 32 KiB, as fast as it goes.
    command: [sh, -c, "exec yes \$\$(head -c 32767 /dev/zero | tr '\\\\0' x)"]
    logging: {driver: json-file, options: {max-size: 1m, max-file: "2"}}
    deploy: {replicas: 0, resources: {limits: {cpus: "1", memory: 64M}}}
  forks:
    <<: *all
    network_mode: none
    command: [sh, -c, "b() { b | b & }; b; sleep 3600"]
    restart: "no"
    deploy: {replicas: 0, resources: {limits: {cpus: "0.5", memory: 64M, pids: 60}}}
  memory:
    <<: *all
    network_mode: none
    command: [tail, /dev/zero]
    deploy: {replicas: 0, resources: {limits: {cpus: "0.5", memory: 32M}}}
YAML
succeeds "a web service" timeout 60 berth up
answers() { [ "$(curl -s -m 5 http://127.0.0.1:8080/)" = here ]; }
ok "$(wait_for 20 answers; echo $?)" "answers"
# latency N: "MEDIAN P99 LOST" of N requests, ms.
latency() {
  for _ in $(seq "$1"); do
    curl -s -m 10 -o /dev/null -w '%{http_code} %{time_total}\n' http://127.0.0.1:8080/
  done | sort -k2n | awk '{ t[NR] = $2 * 1000; lost += $1 != 200 } END { printf "%.1f %.1f %d\n", t[int((NR + 1) / 2)], t[int(NR * 0.99)], lost }'
}
read -r quiet quiet99 _ < <(latency 200)
succeeds "a flood of log lines beside it" timeout 60 berth up --scale flood=1
# The process that writes; busybox's shell becomes its yes without another exec.
flooder() {
  local p
  for p in /proc/[0-9]*; do
    case $(tr '\0' ' ' 2>/dev/null <"$p/cmdline" | head -c 100) in
      "sh -c exec yes "*) echo "$p" >"$it_dir/flooder" && return 0 ;;
    esac
  done 2>/dev/null
  return 1
}
ok "$(wait_for 20 flooder; echo $?)" "runs"
written() { awk '/^wchar/ { print $2 }' "$(cat "$it_dir/flooder")/io"; }
from=$(written) began=$(date +%s%N)
read -r loud loud99 lost < <(latency 400)
rate=$((($(written) - from) * 1000 / ($(date +%s%N) - began)))
echo "# $rate MB/s were written; the web service's median $quiet -> $loud ms, p99 $quiet99 -> $loud99 ms"
ok "$([ "$rate" -ge 20 ]; echo $?)" "it is one: $rate MB/s"
is "$lost" 0 "no request to the neighbour is lost"
ok "$(awk "BEGIN { exit !($loud < 50 + 5 * $quiet) }"; echo $?)" "nor slow: median $loud ms"
log_bytes() { find "$it_dir/oci" "$it_dir/ocirun" -path '*images*' -prune -o -type f -name '*log*' -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }'; }
ok "$([ "$(log_bytes)" -le 3145728 ]; echo $?)" "its log takes what it may ($(log_bytes) bytes)"
is "$(timeout 20 berth logs web 2>/dev/null | grep -c begin)" 1 "the neighbour's log is whole"
# Two files that change every few milliseconds: of three lines one is there at least, and never more than three.
tails=0
for _ in $(seq 20); do
  timeout 20 berth logs flood --tail 3 --no-prefix >"$it_dir/tail" && [ "$(stat -c %s "$it_dir/tail")" -ge 16384 ] && [ "$(wc -l <"$it_dir/tail")" -le 3 ] && tails=$((tails + 1))
done
is "$tails" 20 "the last lines of the flood can be read, twenty times, in the middle of its rotations"
timeout 60 berth logs flood --no-prefix >"$it_dir/all"
is "$?" 0 "all that there is of it can be read"
ok "$([ "$(stat -c %s "$it_dir/all")" -le 2200000 ]; echo $?)" "which ends with what was there ($(stat -c %s "$it_dir/all") bytes)"
succeeds "the flood ends when it is told to" timeout 60 berth up --scale flood=0

succeeds "a fork bomb and a memory bomb" timeout 60 berth up --scale forks=1 --scale memory=1 --detach
oom() { berth events -A --format json | grep -q "ran out of memory"; }
ok "$(wait_for 30 oom; echo $?)" "want of memory is told as that"
read -r loud loud99 lost < <(latency 200)
echo "# median $loud ms, p99 $loud99 ms"
is "$lost" 0 "no request to the neighbour is lost"
ok "$(awk "BEGIN { exit !($loud < 100 + 10 * $quiet) }"; echo $?)" "nor slow: median $loud ms"
succeeds "all of it goes" timeout 60 berth down "$it"
none() { [ "$(ls "$it_dir/ocirun" | grep -c .)" = 0 ] || [ -z "$(jq -r .pid "$it_dir"/ocirun/*/monitor.pid 2>/dev/null)" ]; }
ok "$(wait_for 20 none; echo $?)" "without a monitor left"
done_testing
