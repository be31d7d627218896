#!/usr/bin/env bash
# A plug-in that is a program: the example in Python runs, hears events, takes calls, comes back when it is killed; one that talks
# garbage, one that others may write and one that is not there fail alone and say why.
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/python3 ] || skip_all "python3 is not installed"
chmod 755 "$it_dir" # programs of plug-ins run as users of their own
mkdir "$it_dir/plugins" "$it_dir/bad"
cp "$src/plugin-api/examples/python/notify.py" "$it_dir/plugins/"
cp "$src/plugin-api/examples/python/notify.py" "$it_dir/bad/open.py" && chmod 666 "$it_dir/bad/open.py"
printf '#!/bin/sh\necho this is no message; echo a line of its own >&2; exec cat\n' >"$it_dir/bad/garbage"
printf '#!/bin/sh\necho cannot find my things >&2; exit 3\n' >"$it_dir/bad/ends"
printf '#!/bin/sh\nyes noise | head -n 5000 >&2; sleep 1.2; echo after the noise >&2; exec sleep 3600\n' >"$it_dir/bad/noisy"
chmod 755 "$it_dir/bad/garbage" "$it_dir/bad/ends" "$it_dir/bad/noisy"
port=$(shuf -i 20000-31999 -n 1)
mkdir -p "$it_dir/web/cgi-bin"
printf '#!/bin/sh\ncat >>%s/got\necho >>%s/got\necho "Content-Type: text/plain"\necho\necho ok\n' "$it_dir" "$it_dir" >"$it_dir/web/cgi-bin/hook"
chmod 755 "$it_dir/web/cgi-bin/hook"
busybox httpd -f -p "127.0.0.1:$port" -h "$it_dir/web" 2>/dev/null &
web=$!
trap 'rc=$?; kill "$web" 2>/dev/null; (exit $rc); it_cleanup' EXIT
touch "$it_dir/notices" && chmod 666 "$it_dir/notices"
yaml="  - name: notify
    command: [python3, $it_dir/plugins/notify.py]
    config: {file: $it_dir/notices}"
bad="  - {name: open, command: [python3, $it_dir/bad/open.py], config: {file: $it_dir/notices}}
  - {name: absent, command: [berth-no-such-program]}
  - {name: relative, command: [./notify.py]}
  - {name: garbage, command: [$it_dir/bad/garbage]}
  - {name: ends, command: [$it_dir/bad/ends]}
  - {name: empty, command: [python3, $it_dir/plugins/notify.py]}"

it_config "$yaml"
succeeds "--check takes it" berthd --config "$it_dir/berthd.yaml" --check
it_config "    # in its place: a wrong key" "${yaml/file:/fiel:}"
fails "--check knows its fields" 2 berthd --config "$it_dir/berthd.yaml" --check
like "$out" 'unknown key "fiel"; did you mean "file"' "and names the nearest"
it_config "$yaml" "$bad"
fails "--check refuses those that cannot run" 2 berthd --config "$it_dir/berthd.yaml" --check
like "$out" "open\.py is writable by others: chmod go-w it" "a script that others may write"
like "$out" "there is no program berth-no-such-program in /usr/local/bin:" "a program that is not there"
like "$out" "\./notify\.py is neither an absolute path nor a program's name" "a relative path"
like "$out" "entry garbage: .*garbage" "one that talks garbage"
like "$out" "entry ends: .*ended before it answered; its last words: cannot find my things" "one that ends, with its last words"
like "$out" "entry empty: .*it needs a file or a url" "the plug-in's own word on its configuration"

it_server "$yaml" "$bad" "  - {name: noisy, command: [$it_dir/bad/noisy]}
  - {name: post, command: [/usr/bin/python3, -u, $it_dir/plugins/notify.py], config: {url: \"http://127.0.0.1:$port/cgi-bin/hook\"}}"
plugin() { it_json berth plugin ls --format json -- ".[] | select(.name == \"$1\") | $2"; }
runs() { [ "$(plugin notify .status)" = ok ]; }
wait_for 15 runs
ok $? "the plug-in in Python runs"
like "$(plugin open '.status + ": " + .error')" "^failed: .*writable by others" "the script that others may write does not"
like "$(plugin absent '.status + ": " + .error')" "^failed: .*there is no program" "nor what is not there"
said() { grep -q "$1" "$it_dir/berthd.log"; }
wait_for 15 said 'garbage: it sent garbage'
ok $? "garbage ends the one that sends it"
wait_for 5 said 'garbage.*a line of its own'
ok $? "standard error is in the log"
wait_for 15 said 'ends.*cannot find my things'
ok $? "with the name of the entry"

told() { grep -q -- "$1" "$it_dir/notices"; }
image=berth-$it/box:1
it_image "$image"
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $it
services:
  web: {image: "$image", command: [sleep, "3600"], init: true, stop_grace_period: 1s}
YAML
succeeds "an app" berth up -f compose.yaml
wait_for 15 told "^app.deployed: $it: revision 1 is deployed"
ok $? "its events reach the plug-in"
posted() { grep -qF "{\"text\": \"app.deployed: $it: revision 1 is deployed\"}" "$it_dir/got"; }
wait_for 15 posted
ok $? "and an address, through the server"
wait_for 15 said 'noisy: [0-9]* more lines for the log within a second; dropped'
ok $? "noise on standard error is cut"
is "$(($(grep -c 'noisy: noise' "$it_dir/berthd.log") <= 1000))" 1 "to lines that a log can bear"
is "$(it_json berth doctor --format json -- '.[] | select(.element == "notify (berth.chat/1)") | .verdict')" ok "a call: the doctor asks how it does"

process() { sed -n 's/.*plugin.notify: chat-notify 1.0.0 started in process //p' "$it_dir/berthd.log" | tail -n 1; }
pid=$(process)
is "$(stat -c %u "/proc/$pid" | grep -c '^58')" "$([ "$(id -u)" = 0 ] && echo 1 || echo 0)" "it runs as a user of its own"
is "$(sed -n 's/^Seccomp:\t//p' "/proc/$pid/status") $(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")" "2 1" "behind the filter of system calls"
kill -9 "$pid"
again() { runs && [ "$(process)" != "$pid" ]; }
wait_for 15 again
ok $? "killed, it comes back"
succeeds "down" berth down "$it"
wait_for 15 told "^app.removed"
ok $? "and hears events again"
done_testing
