#!/usr/bin/env bash
# Plug-ins in the real server: those that cannot run leave the rest running and say why; a webhook gets events, also those of while it
# was away and of before a kill -9; a reload changes, adds and removes entries.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

free_port() {
  local port
  for port in $(shuf -i 20000-31999 -n 20); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
hook=$(free_port)
mkdir -p "$it_dir/web/cgi-bin"
cat >"$it_dir/web/cgi-bin/hook" <<SH
#!/bin/sh
cat >>$it_dir/got
echo >>$it_dir/got
echo "Content-Type: text/plain"
echo
echo ok
SH
chmod 755 "$it_dir/web/cgi-bin/hook"
receiver_start() {
  busybox httpd -f -p "127.0.0.1:$hook" -h "$it_dir/web" 2>/dev/null &
  receiver_pid=$!
}
receiver_stop() { kill "$receiver_pid" 2>/dev/null && wait "$receiver_pid" 2>/dev/null; }
trap 'rc=$?; receiver_stop; (exit $rc); it_cleanup' EXIT
touch "$it_dir/got"
receiver_start

mkdir "$it_dir/bad"
echo "no elf" >"$it_dir/bad/text.so"
cp "$build/plugins/chat-webhook/.libs/chat-webhook.so" "$it_dir/bad/open.so" && chmod 666 "$it_dir/bad/open.so"
bad="  - {name: text, path: $it_dir/bad/text.so}
  - {name: open, path: $it_dir/bad/open.so}
  - {name: absent, plugin: chat-absent}
  - {name: typo, plugin: monitor-prometheus, config: {metric_path: /m}}"
chat="  - name: ops
    plugin: chat-webhook
    config: {url: \"http://127.0.0.1:$hook/cgi-bin/hook\", batch_window: 100ms, retry_min: 100ms, retry_max: 500ms, types: [\"app.*\", \"secret.*\"],
             template: \"<{{type}}> {{message}}\"}"
it_server "$bad" "$chat"

plugin() { it_json berth plugin ls --format json -- ".[] | select(.name == \"$1\") | $2"; }
is "$(plugin runtime-docker .status) $(plugin registry-oci .status) $(plugin ops .status)" "ok ok ok" "sound plug-ins run"
like "$(plugin text '.status + ": " + .error')" "^failed: .*cannot be loaded: .*(file too short|invalid ELF header)" "a text is no plug-in"
like "$(plugin open '.status + ": " + .error')" "^failed: .* is writable by others: chmod go-w it" "one that others may write is refused"
like "$(plugin absent '.status + ": " + .error')" "^failed: no plug-in chat-absent is installed" "one that is not there"
like "$(plugin typo '.status + ": " + .error')" 'unknown key "metric_path"; did you mean "metrics_path"' "a typo in a configuration"
like "$(berth plugin ls)" "ops +chat-webhook" "the table shows them"

doctor=$(berth doctor --format json)
is "$(jq -r '.[] | select(.element == "ops (berth.chat/1)") | .verdict' <<<"$doctor")" ok "the doctor asks plug-ins how their products do"
is "$(jq -r '.[] | select(.element == "typo plug-in") | .verdict' <<<"$doctor")" error "and names those that do not run"

received() { grep -qF -- "$1" "$it_dir/got"; }
app=$it
image=berth-$it/box:1
it_image "$image"
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $app
services:
  web: {image: "$image", command: [sleep, "3600"], init: true, stop_grace_period: 1s}
YAML
succeeds "an app" berth up -f compose.yaml
wait_for 15 received "<app.deployed> $app: revision 1 is deployed"
ok $? "the webhook hears of it"

told() { [ "$(failures)" -ge "$1" ]; }
failures() { grep -c "127.0.0.1:$hook does not take messages" "$it_dir/berthd.log"; }
before=$(failures)
receiver_stop
succeeds "a secret is written while the receiver is away" berth secret put first - <<<one
wait_for 15 told $((before + 2))
ok $? "the server tries, and says so"
unlike "$(cat "$it_dir/berthd.log")" "cgi-bin/hook" "without the webhook's path"
it_stop KILL
it_start
receiver_start
wait_for 15 received "<secret.created>"
ok $? "after a kill -9 of the server and the receiver's return the message arrives"
is "$(grep -cF '<secret.created>' "$it_dir/got")" 1 "once"
is "$(grep -cF "<app.deployed> $app: revision 1" "$it_dir/got")" 1 "and nothing that was sent before comes again"

# One entry is mended, one changed, one gone, one new.
it_config "  - {name: typo, plugin: monitor-prometheus, config: {metrics_path: /m}}" "${chat/secret.\*/app.*}" \
  "  - {name: second, plugin: chat-webhook, config: {url: {secret: hook}}}"
succeeds "the new configuration is sound" berthd --config "$it_dir/berthd.yaml" --check
kill -HUP "$it_pid"
mended() { [ "$(plugin typo .status)" = ok ]; }
wait_for 15 mended
ok $? "a reload starts what was mended"
is "$(plugin absent .name)" "" "drops what is gone"
like "$(plugin second '.status + ": " + .error')" '^failed: .*secret "hook"' "a secret that is missing is named"
printf 'http://127.0.0.1:%s/cgi-bin/hook' "$hook" >"$it_dir/url"
succeeds "the secret is written" berth secret put hook - <"$it_dir/url"
second() { [ "$(plugin second .status)" = ok ]; }
wait_for 15 second
ok $? "and the entry that waited for it starts"
done_testing
