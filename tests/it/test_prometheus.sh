#!/usr/bin/env bash
# monitor-prometheus and a real Prometheus: it scrapes the server, finds an app's instances by HTTP service discovery, and
# follows when the app is scaled.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
command -v prometheus >/dev/null || skip_all "prometheus is missing: apt-get install prometheus"

free_port() {
  local port
  for port in $(shuf -i 20000-31999 -n 20); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
api=$(free_port) prom=$(free_port)
it_listen=127.0.0.1:$api
it_server "  - plugin: monitor-prometheus" "    config: {max_age: 0s}"
image=berth-$it/box:1
it_image "$image"
token=$it_dir/state/token

is "$(curl -so /dev/null -w '%{http_code}' "http://$it_listen/metrics")" 401 "without a token the metrics are not told"
metrics() { curl -sf -H "Authorization: Bearer $(cat "$token")" "$@" "http://$it_listen/metrics"; }
metrics >"$it_dir/metrics"
like "$(cat "$it_dir/metrics")" '^berth_plugin_up\{plugin="monitor-prometheus"\} 1$' "with it they are"
succeeds "promtool finds nothing to complain of" promtool check metrics <"$it_dir/metrics"
is "$(metrics -H 'Accept: application/openmetrics-text; version=1.0.0' | tail -n 1)" "# EOF" "OpenMetrics on demand"

mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $it
services:
  exporter:
    image: $image
    command: [httpd, -f, -p, "9100", -h, /www]
    labels:
      berth.prometheus.port: "9100"
      team: shop
    configs:
      - {source: metrics, target: /www/metrics}
    deploy: {replicas: 2}
    stop_grace_period: 1s
  quiet:
    image: $image
    command: [sleep, "3600"]
    stop_grace_period: 1s
    init: true
configs:
  metrics:
    content: |
      # TYPE app_answer gauge
      app_answer 42
YAML
succeeds "an app with metrics of its own" berth up -f compose.yaml

cat >"$it_dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: berth
    authorization: {credentials_file: $token}
    static_configs: [{targets: ["$it_listen"]}]
  - job_name: apps
    http_sd_configs:
      - url: http://$it_listen/v1/sd
        refresh_interval: 1s
        authorization: {type: Bearer, credentials_file: $token} # 2.42 leaves the default type out here
    relabel_configs:
      - {source_labels: [__meta_berth_app], target_label: app}
      - {source_labels: [__meta_berth_service], target_label: service}
      - {source_labels: [__meta_berth_label_team], target_label: team}
YAML
prometheus --config.file="$it_dir/prometheus.yml" --storage.tsdb.path="$it_dir/tsdb" --web.listen-address="127.0.0.1:$prom" \
  >"$it_dir/prometheus.log" 2>&1 </dev/null &
prom_pid=$!
trap 'rc=$?; kill $prom_pid 2>/dev/null; wait $prom_pid 2>/dev/null; (exit $rc); it_cleanup' EXIT

# query PROMQL : the sum of what Prometheus knows now, or nothing.
query() {
  curl -sfG "http://127.0.0.1:$prom/api/v1/query" --data-urlencode "query=$1" |
    jq -r 'if (.data.result | length) == 0 then "" else [.data.result[].value[1] | tonumber] | add end'
}
settles() { # NAME WANT PROMQL
  wait_for 30 eval "[ \"\$(query '$3')\" = '$2' ]"
  is "$(query "$3")" "$2" "$1"
}
settles "Prometheus scrapes the server" 1 'up{job="berth"}'
settles "instances are there, with their labels" 2 "berth_instance_up{app=\"$it\",service=\"exporter\"}"
settles "their memory is known" 3 "count(berth_instance_memory_bytes{app=\"$it\"} > 0)"
settles "nothing was left out" 0 'berth_prometheus_dropped_series'
settles "instances that ask for it are scraped, the others are not" 2 'count(up{job="apps"} == 1)'
settles "with the labels of their service" 84 "app_answer{app=\"$it\",service=\"exporter\",team=\"shop\"}"
succeeds "the service is scaled" berth scale -p "$it" exporter=3
settles "and the third one is found" 3 'count(up{job="apps"} == 1)'
unlike "$(cat "$it_dir/prometheus.log")" 'level=(warn|error)' "Prometheus has nothing to complain of"
succeeds "the app goes" berth down "$it"
wait_for 30 eval "[ \"\$(curl -s -H \"Authorization: Bearer \$(cat $token)\" http://$it_listen/v1/sd)\" = '[]' ]"
ok $? "and so do its targets"
done_testing
