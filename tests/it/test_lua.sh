#!/usr/bin/env bash
# Plug-ins in Lua: the example runs from its text alone, hears events, posts through the server, keeps its number; scripts that break
# the rules fail alone and say where; one that never returns is ended; the sandbox holds nothing that leads out.
# timeout: 120
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"
[ -x "$build/core/berth-plugin-lua" ] || skip_all "berth-plugin-lua is not built"
chmod 755 "$it_dir" # programs of plug-ins run as users of their own
mkdir "$it_dir/plugins"
cp "$src/plugin-api/examples/lua/greeter.lua" "$it_dir/plugins/"
# script NAME: a plug-in of the text on standard input, which stands in the table it returns.
script() { { echo 'local T = { id = "chat-x", version = "1.0.0", summary = "A test.", license = "MIT", interfaces = { ["berth.chat/1"] = { send = function(op) berth.finish(op) end } } }'; cat; echo 'return T'; } >"$it_dir/plugins/$1.lua"; }
script syntax <<<'local = 1'
script raises <<<'error("no good")'
script nomanifest <<<'T = 7'
script refuses <<<'T.start = function() return nil, "not today" end'
script binary <<<''
printf '\033Lua' >"$it_dir/plugins/binary.lua"
script open <<<'' && chmod 666 "$it_dir/plugins/open.lua"
script loops <<<'T.start = function() berth.after(100, function() while true do end end) end'
script eats <<<'T.start = function() local ok, why = pcall(string.rep, "x", 1 << 40); berth.log("warn", "eats: " .. why) end'
script box <<'LUA'
for _, name in ipairs{ "io", "os", "debug", "load", "loadstring", "loadfile", "dofile", "require", "package", "collectgarbage" } do
  assert(_G[name] == nil, name)
end
assert(string.dump == nil and getmetatable("").__index == string)
T.config = { { name = "n", type = "int", default = 7, doc = "A number." }, { name = "list", type = "list", default = { "a" }, doc = "A list." } }
T.start = function(config)
  assert(config.n == 7 and config.list[1] == "a", "defaults")
  berth.route{ method = "POST", path = "/hooks/box", summary = "Says what it hears.", open = true, handle = function(r)
    if r.body == "fail" then error("on purpose") end
    return 201, r.method .. " " .. r.path .. " " .. r.query .. " " .. r.body, { ["X-Box"] = r.headers["x-box"] }
  end }
end
T.interfaces["berth.chat/1"].probe = function(op)
    local j = berth.json
    assert(j.encode({}) == "{}" and j.encode(berth.array({})) == "[]" and j.encode(j.decode("[[],{},[null],1,1.5]")) == "[[],{},[null],1,1.5]")
    assert(not pcall(j.encode, { print }) and not pcall(j.encode, { x = 0 / 0 }) and not pcall(j.encode, { [true] = 1 }))
    local loop = {}; loop.loop = loop
    assert(not pcall(j.encode, loop))
    assert(j.decode("{") == nil)
    berth.kv.put("a/1", "one", function(code)
      assert(code == "ok", code)
      berth.kv.put("a/2", "", function()
        berth.kv.scan("a/", function(_, _, values)
          assert(values["a/1"] == "one" and values["a/2"] == "", "scan")
          berth.kv.delete("a/1", function()
            berth.query("/v1/apps", function(code, message, apps)
              assert(code == "ok" and type(apps) == "table", message)
              berth.metric{ name = "berth_chat_box", help = "It ran.", kind = "gauge", value = 1 }
              berth.publish("box-ran", "info", "the box ran", { n = 1 })
              local never = berth.after(1, error)
              berth.forget(never)
              berth.after(5, function() berth.finish(op, "ok", nil, { status = "ok", queued = 0, dropped = 0, detail = "all" }) end)
            end)
          end)
        end)
      end)
    end)
  end
LUA
entries=
for name in syntax raises nomanifest refuses binary open loops eats box; do
  entries+="  - {path: $it_dir/plugins/$name.lua}"$'\n'
done
port=$(shuf -i 20000-31999 -n 1)
mkdir -p "$it_dir/web/cgi-bin"
printf '#!/bin/sh\ncat >>%s/got\necho >>%s/got\necho "Content-Type: text/plain"\necho\necho ok\n' "$it_dir" "$it_dir" >"$it_dir/web/cgi-bin/hook"
chmod 755 "$it_dir/web/cgi-bin/hook"
busybox httpd -f -p "127.0.0.1:$port" -h "$it_dir/web" 2>/dev/null &
web=$!
trap 'rc=$?; kill "$web" 2>/dev/null; (exit $rc); it_cleanup' EXIT

yaml="  - {path: $it_dir/plugins/greeter.lua, config: {greeting: \"hi: \", url: \"http://127.0.0.1:$port/cgi-bin/hook\"}}"
it_config "$yaml"
succeeds "--check takes it" berthd --config "$it_dir/berthd.yaml" --check
it_config "${yaml/greeting/greting}"
fails "--check knows its fields" 2 berthd --config "$it_dir/berthd.yaml" --check
like "$out" 'unknown key "greting"; did you mean "greeting"' "and names the nearest"
it_config "${yaml/path/isolation: none, path}"
fails "it has a process of its own" 2 berthd --config "$it_dir/berthd.yaml" --check
like "$out" "scripts in Lua need a process" "and isolation: none is refused"

it_server "$yaml" "$entries"
plugin() { it_json berth plugin ls --format json -- ".[] | select(.name == \"$1\") | $2"; }
is_ok() { [ "$(plugin "$1" .status)" = ok ]; }
failed() { [ "$(plugin "$1" .status)" = failed ]; }
wait_for 15 is_ok greeter
ok $? "the example runs, under the name of its file"
for name in syntax raises nomanifest refuses binary; do
  wait_for 15 failed $name
done
like "$(plugin syntax .error)" "syntax\.lua:2: .*expected near '='" "a mistake of syntax has its line"
like "$(plugin raises .error)" "raises\.lua:2: no good" "an error has its line"
like "$(plugin nomanifest .error)" "must return a table" "what returns no table"
like "$(plugin refuses .error)" "not today" "the script's own word"
like "$(plugin binary .error)" "attempt to load a binary chunk" "only text is read"
like "$(plugin open .error)" "writable by others: chmod go-w" "one that others may write"
said() { grep -q -- "$1" "$it_dir/berthd.log"; }
wait_for 15 said "eats: .*\(memory\|too large\)"
ok $? "what asks for too much memory is told so"
wait_for 15 is_ok box
ok $? "the sandbox has nothing that leads out"
is "$(it_json berth doctor --format json -- '.[] | select(.element == "box (berth.chat/1)") | .verdict')" ok "keys, queries, metrics, timers, JSON"
is "$(berth events -A --type 'plugin.box-ran' --format json 2>/dev/null | jq -r '.message // empty' | head -n 1)" "the box ran" "and an event of its own"

ask() { curl -s --max-time 10 -i --unix-socket "$it_dir/run/berth.sock" -H "X-Box: yes" -d "$1" "http://berth/hooks/box?q=1" | tr -d '\r'; }
said=$(ask hello)
like "$said" "^HTTP/1.1 201" "a route of its own"
like "$said" "^X-Box: yes" "with headers"
like "$said" "^POST /hooks/box q=1 hello$" "and bodies"
like "$(ask fail)" "^HTTP/1.1 500" "one that raises is a 500"
received() { grep -qF -- "$1" "$it_dir/got"; }
image=berth-$it/box:1
it_image "$image"
mkdir "$it_dir/app" && cd "$it_dir/app" || exit 1
cat >compose.yaml <<YAML
name: $it
services:
  web: {image: "$image", command: [sleep, "3600"], init: true, stop_grace_period: 1s}
YAML
succeeds "an app" berth up -f compose.yaml
wait_for 15 received "{\"text\":\"hi: $it: revision 1 is deployed\"}"
ok $? "its events leave through the server"
is "$(it_json berth doctor --format json -- '.[] | select(.element == "greeter (berth.chat/1)") | .verdict')" ok "a call: the doctor asks how it does"
wait_for 20 said "plugin/loops: it hung"
ok $? "one that never returns is ended"
process() { sed -n 's/.*chat-greeter 1.0.0 started in process //p' "$it_dir/berthd.log" | tail -n 1; }
pid=$(process)
is "$(sed -n 's/^Seccomp:\t//p' "/proc/$pid/status") $(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")" "2 1" "behind the filter of system calls"
kill -9 "$pid"
again() { is_ok greeter && [ "$(process)" != "$pid" ]; }
wait_for 15 again
ok $? "killed, it comes back"
before=$(process)
sed -i 's/hi: /ho: /' "$it_dir/berthd.yaml" && kill -HUP "$it_pid"
succeeds "down" berth down "$it"
wait_for 15 received "ho: $it"
ok $? "and takes another configuration"
is "$(process)" "$before" "without a new process"
done_testing
