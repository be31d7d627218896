#!/usr/bin/env bash
# Jobs with a schedule on a real engine: runs come when they are due, each container knows its index, who follows runs after them, what is
# over its deadline ends, history is kept within limits, and all of it outlives a restart of the server.
# timeout: 240
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

it_server "  - plugin: monitor-prometheus"
app=$it
image=$it/box:1
it_image "$image"
mkdir -p "$it_dir/work/out" && cd "$it_dir/work" || exit 1
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "$image", init: true, volumes: ["./out:/out"]}
x-job: &job {mode: replicated-job}
services:
  tick:
    <<: *box
    command: [sh, -c, 'echo "\$\$BERTH_JOB_RUN \$\$BERTH_JOB_INDEX \$\$BERTH_JOB_SCHEDULED_AT" >>/out/tick']
    deploy: *job
    x-berth: {job: {schedule: "@every 4s", completions: 2, max_concurrent: 2, concurrency: forbid, successful_history_limit: 2}}
  after:
    <<: *box
    command: [sh, -c, 'echo "\$\$BERTH_JOB_RUN" >>/out/after']
    deploy: *job
    depends_on: {tick: {condition: service_completed_successfully}}
  each:
    <<: *box
    command: [sh, -c, 'echo each >>/out/each']
    deploy: {mode: global-job}
  slow:
    <<: *box
    command: [sh, -c, 'echo slow >>/out/slow; exec sleep 600']
    stop_grace_period: 1s
    deploy: *job
    x-berth: {job: {schedule: "0 0 1 1 *", time_zone: Europe/Berlin, active_deadline: 2s}}
YAML
lines() { [ -f "out/$1" ] && wc -l <"out/$1" || echo 0; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }

succeeds "up, which waits for no run" timeout 60 berth up
is "$(berth ls --format json | jq -r '.[0].state')" running "the app runs at once"
ok "$(wait_for 40 has_lines tick 4; echo $?)" "two runs of two completions came"
is "$(lines each)" 1 "a job of each node ran once, on the only one"
is "$(sort -u out/tick | awk '{print $1, $2}' | head -n 4 | paste -sd,)" "1 0,1 1,2 0,2 1" "each container knows its run and its index"
ok "$(grep -qE '^1 0 20[0-9-]+T[0-9:.]+Z$' out/tick; echo $?)" "and when it was due"
ok "$(wait_for 40 has_lines after 2; echo $?)" "who follows ran after each of them"
like "$(berth ps)" "tick .*@every 4s .*succeeded" "ps has a table of jobs"
like "$(berth why "$app/tick")" "the next run is due at|runs" "why says when it is due"

is "$(berth inspect "$app/slow" | jq -r '.job.schedule')" "0 0 1 1 *" "inspect of a job that has no container yet"
is "$(berth logs "$app/slow" 2>&1)" "" "nor has it logs"
like "$(berth restart "$app/slow" 2>&1)" "berth job run $app/slow" "a job with a schedule is not restarted, but run"
like "$(curl -s --unix-socket "$it_dir/run/berth.sock" http://berth/metrics)" "berth_job_last_success_timestamp_seconds\{.*service=\"tick\"\} 1[0-9.e+]+" "metrics say when a job last succeeded"
succeeds "a run by hand" berth job run "$app/slow"
ok "$(wait_for 20 has_lines slow 1; echo $?)" "begins"
failed() { berth job ls --format json | jq -e '.[] | select(.service == "slow") | .job.last_run.state == "failed"' >/dev/null; }
ok "$(wait_for 30 failed; echo $?)" "and fails at its deadline"
like "$(berth why "$app/slow")" "active_deadline of 2s" "which is said"
gone() { [ -z "$(docker ps -q --filter "name=$app-slow-")" ]; }
ok "$(wait_for 20 gone; echo $?)" "its container is gone"
next=$(berth job ls --format json | jq -r '.[] | select(.service == "slow") | .job.next_run')
is "$(date -u -d "$next" +%H:%M)" "23:00" "new year in Berlin"

ok "$(wait_for 60 has_lines tick 10; echo $?)" "runs go on"
few() { [ "$(docker ps -aq --filter "name=$app-tick-" | wc -l)" -le 6 ]; }
ok "$(wait_for 20 few; echo $?)" "two runs that succeeded, and the one that may run now, have containers"
before=$(lines tick)
it_stop
it_start
more() { [ "$(lines tick)" -gt $((before + 1)) ]; }
ok "$(wait_for 40 more; echo $?)" "and after a restart of the server"
is "$(sort out/tick | awk '{print $1, $2}' | uniq -d)" "" "no completion came twice"

sed -i 's/schedule: "@every 4s",/schedule: "61 * * * *",/' compose.yaml
fails "a schedule that is none" 2 berth up
like "$(berth up 2>&1)" 'compose.yaml:[0-9]+:[0-9]+: error: services.tick.x-berth.job.schedule: .*the minute "61"' "with its place"
sed -i 's/schedule: "61 \* \* \* \*",/schedule: "@daily", time_zone: Mars\/Olympus,/' compose.yaml
like "$(berth up 2>&1)" 'no time zone "Mars/Olympus"' "a time zone that is none"
succeeds "down" timeout 60 berth down --volumes

# the sample: a graph of jobs, each after the one before
sed -e "s|berth-sample/store:.*|$image|" -e "s/^name: .*/name: $app-night/" "$src/config/sample/jobs.yaml" >jobs.yaml
succeeds "the sample of jobs" timeout 60 berth up -f jobs.yaml
succeeds "its first job by hand" berth job run "$app-night/extract"
reported() { berth logs "$app-night/report" 2>/dev/null | grep -q "100 orders"; }
ok "$(wait_for 60 reported; echo $?)" "the last one reports what four containers shared"
is "$(lines each)" 1 "the job of each node did not run again"
done_testing
