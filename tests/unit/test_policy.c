/* Policies: verdicts, changes, round trips of JSON through Lua, limits, escapes, reload, the test runner. */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "policy/diff.h"
#include "policy/policy.h"
#include "policy/rules.h"
#include "tap.h"

static char dir[] = "/tmp/bt_policy_XXXXXX";
static struct bt_policy_limits limits = {.timeout_ms = 400, .max_memory = 0}; /* room for sanitizers */

static const char shop[] =
    "{\"name\":\"shop\",\"services\":{"
    "\"web\":{\"image\":\"docker.io/library/nginx:1.25\",\"command\":null,\"ports\":[{\"target\":80,\"published\":\"8080\"}],"
    "\"labels\":{\"com.example.team\":\"web\"},\"cap_drop\":[],\"environment\":{},\"list\":[1,null,2.0,true]},"
    "\"db\":{\"image\":\"registry.example:5000/pg:15\",\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"536870912\",\"cpus\":0.5}}}}"
    "},\"networks\":{\"default\":{\"name\":\"shop_default\",\"ipam\":{}}}}";

static void write_file(const char *name, const char *text) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  BT_AUTO_ERR err = NULL;
  if (bt_file_write(path, text, strlen(text), 0600, &err) < 0)
    ok(false, "%s", bt_err_message(err));
}

static void empty_folder(void) {
  DIR *d = opendir(dir);
  for (struct dirent *e; d && (e = readdir(d));) {
    BT_AUTO_FREE char *path = bt_path_join(dir, e->d_name);
    unlink(path);
  }
  closedir(d);
}

/* The verdict of one policy over the shop; -1 leaves the sentence in *err. */
static int ask_op(const char *text, const char *operation, struct bt_verdict *verdict, struct bt_err **err) {
  empty_folder();
  write_file("p.lua", text);
  struct bt_policy *policy = NULL;
  if (bt_policy_load(dir, &limits, &policy, err) < 0)
    return -1;
  BT_AUTO_JSON model = json_loads(shop, 0, NULL), *context = json_object();
  bt_json_set_str(context, "operation", operation);
  bt_json_set_str(context, "namespace", "default");
  bt_json_set_str(context, "app", "shop");
  bt_json_set(context, "current", json_null());
  int rc = bt_policy_check(policy, model, context, verdict, err);
  bt_policy_free(&policy);
  return rc;
}

static int ask(const char *text, struct bt_verdict *verdict, struct bt_err **err) {
  return ask_op(text, "create", verdict, err);
}

/* What the first denial says, "" where there is none, or the failure. The caller frees. */
static char *denial(const char *text) {
  BT_AUTO_ERR err = NULL;
  struct bt_verdict verdict;
  if (ask(text, &verdict, &err) < 0)
    return bt_asprintf("failed: %s", bt_err_message(err));
  char *said = bt_strdup(verdict.denials.len ? verdict.denials.items[0] : "");
  bt_verdict_free(&verdict);
  return said;
}

static void says(const char *text, const char *want, const char *name) {
  BT_AUTO_FREE char *said = denial(text);
  is_str(said, want, name);
}

static void says_about(const char *text, const char *part, const char *name) {
  BT_AUTO_FREE char *said = denial(text);
  if (!ok(strstr(said, part), "%s", name))
    printf("#   got: %s\n#  part: %s\n", said, part);
}

#define APP(body) "return { validate_app = function(app, ctx) " body " end }"
#define SERVICE(body) "return { name = 'rule', validate_service = function(svc, ctx) " body " end }"
#define MUTATE(body) "return { mutate_app = function(app, ctx) " body " end }"

static void test_verdicts(void) {
  says(SERVICE("if not get(svc, 'deploy.resources.limits.memory') then deny('no memory limit') end"),
       "p.lua: rule: service web: no memory limit", "a denial names file, rule and service");
  says(APP("deny('never')"), "p.lua: p: never", "an app's has no service; the name is the file's by default");
  says(SERVICE("if ctx.service == 'db' and ctx.namespace == 'default' and ctx.model.services.web.image then deny(ctx.app) end"),
       "p.lua: rule: service db: shop", "the context tells service, namespace, app and the whole model");
  says(APP("if ctx.current == nil and ctx.operation == 'create' then deny('new') end"), "p.lua: p: new", "current is nil at first");
  says_about(APP("return ctx.curent"), "p.lua:1: there is no field \"curent\"; did you mean \"current\"?", "a slip is named");
  says_about(APP("return false"), "validate_app returned a value: call deny", "so is a result that would be ignored");
  says_about(APP("app.services.web.image = 'x'"), "cannot set image: a validate hook only looks", "validate cannot change");
  says_about(APP("table.insert(app.services.web.ports, 1)"), "a validate hook only looks", "nor can table functions");
  says_about(APP("ctx.user = 'root'"), "cannot set user: the context only tells", "nor can anybody change the context");
  says_about(APP("svc.x = 1"), "there is no \"svc\" here", "an unknown name is an error");
  says_about(APP("strin.len('')"), "did you mean \"string\"?", "with a hint");
  says_about(APP("x = 1"), "\"x\" would outlive the call: make it local", "globals are for the file, not for calls");
  says("local function f() return 'helped' end function g() return f() end " APP("deny(g())"), "p.lua: p: helped",
       "helpers of the file work");
  struct bt_verdict verdict;
  BT_AUTO_ERR err = NULL;
  is_int(ask(SERVICE("warn('careful')"), &verdict, &err), 0, "warnings do not refuse");
  is_int(verdict.warnings.len, 2, "one each");
  is_str(verdict.warnings.len ? verdict.warnings.items[1] : NULL, "p.lua: service db: careful", "in order of the model");
  bt_verdict_free(&verdict);
  is_int(ask_op(APP("deny('no')"), "remove", &verdict, &err), 0, "removal");
  is_int(verdict.denials.len, 0, "asks only those who say so");
  bt_verdict_free(&verdict);
  is_int(ask_op("return { operations = {'remove'}, validate_app = function() deny('keep') end }", "remove", &verdict, &err), 0, "as");
  is_int(verdict.denials.len, 1, "this one");
  bt_verdict_free(&verdict);
}

static void test_broken(void) {
  says_about("return {", "refused: p.lua:1:", "a syntax error is named with its line");
  says_about("return { validate_servce = function() end }", "did you mean \"validate_service\"?", "an unknown hook is named");
  says_about("return { validate_service = 1 }", "validate_service: a function", "a hook is a function");
  says_about("return 1", "a policy ends with: return {", "a policy returns a table");
  says_about("return {}", "without a hook", "with a hook");
  says_about("return { operations = {'delete'}, validate_app = function() end }", "\"delete\" is none of", "operations are known");
  says_about("deny('x') " APP(""), "deny can only be called from a hook", "deny belongs into a hook");
  says_about("\n\n" APP("local x = app.services.none.image"),
             "failed: p.lua:3: attempt to index a nil value (field 'none') (in validate_app); the request is refused",
             "a rule that fails refuses, with file:line");
  says_about(SERVICE("error({})"), "failed with a value that is no text (in validate_service of service web)", "error takes tables too");
  says_about("while true do end", "it ran for more than 400 ms and was stopped", "a file that never ends");
  says_about("\x1bLua", "attempt to load a binary chunk", "bytecode is refused");
}

/* ---- round trips and changes ---- */

static void test_round_trip(void) {
  struct bt_verdict verdict;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON model = json_loads(shop, 0, NULL);
  is_int(ask(MUTATE(""), &verdict, &err), 0, "a mutate that changes nothing");
  ok(!verdict.changed && json_array_size(verdict.changes) == 0, "changes nothing");
  BT_AUTO_FREE char *before = bt_json_text(model), *after = bt_json_text(verdict.model);
  is_str(after, before, "nulls, empty lists and maps, floats, order of keys: all as it was");
  bt_verdict_free(&verdict);
  is_int(ask(MUTATE("local copy = {} for k, v in pairs(app) do copy[k] = v end copy.services = app.services return copy"), &verdict,
             &err), 0, "a mutate may return a new table");
  BT_AUTO_FREE char *copied = bt_json_text(verdict.model);
  is_str(copied, before, "and a plain copy is no change");
  bt_verdict_free(&verdict);
}

static void changes_are(const char *text, const char *want, const char *name) {
  struct bt_verdict verdict;
  BT_AUTO_ERR err = NULL;
  if (ask(text, &verdict, &err) < 0) {
    ok(false, "%s: %s", name, bt_err_message(err));
    return;
  }
  BT_AUTO_BUF b = {0};
  size_t i;
  json_t *change;
  json_array_foreach(verdict.changes, i, change) {
    BT_AUTO_FREE char *from = bt_json_text(json_object_get(change, "from")), *to = bt_json_text(json_object_get(change, "to"));
    bt_buf_addf(&b, "%s%s: %s -> %s", i ? "; " : "", bt_json_str(change, "path"), from, to);
  }
  is_str(b.data ? b.data : "", want, name);
  is_int(verdict.changed, *want != 0, "changed says so");
  bt_verdict_free(&verdict);
}

static void test_changes(void) {
  changes_are("return { mutate_service = function(svc) set(svc, 'deploy.resources.limits.cpus', 2) end }",
              "services.web.deploy: null -> {\"resources\":{\"limits\":{\"cpus\":2}}}; "
              "services.db.deploy.resources.limits.cpus: 0.5 -> 2",
              "changes have paths, before and after");
  changes_are(MUTATE("app.services.web.labels['a.b'] = 'c' app.services.web.labels['com.example.team'] = nil"),
              "services.web.labels[\"com.example.team\"]: \"web\" -> null; services.web.labels[\"a.b\"]: null -> \"c\"",
              "keys with dots are quoted");
  changes_are(MUTATE("table.insert(app.services.web.cap_drop, 'ALL')"), "services.web.cap_drop[0]: null -> \"ALL\"",
              "an empty list takes members");
  changes_are(MUTATE("app.services.web.ports = {}"), "services.web.ports[0]: {\"target\":80,\"published\":\"8080\"} -> null",
              "{} in the place of a list is a list");
  changes_are(MUTATE("app.services.db.ports = array{} app.services.db.labels = {}"),
              "services.db.labels: null -> {}; services.db.ports: null -> []", "a new {} is a map, array{} a list");
  changes_are(MUTATE("app.services.db.command = null"), "services.db.command: null -> null", "null can be set");
  changes_are(MUTATE("app.services.proxy = { image = 'x' }"), "services.proxy: null -> {\"image\":\"x\"}", "services can be added");
  says_about(MUTATE("app.services.web.f = function() end"), "the app.services.web.f: a function", "functions are no data");
  says_about(MUTATE("app.x = { 1, a = 2 }"), "the app.x: a table that is half a list and half a map", "nor are mixed tables");
  says_about(MUTATE("app.x = { [1] = 1, [3] = 3 }"), "the app.x: a list with holes", "nor lists with holes");
  says_about(MUTATE("app.services.web.ports.x = 1"), "a list with a named member", "a list stays a list");
  says_about(MUTATE("app.self = app"), "nested deeper than 64 levels (or within itself)", "nor what contains itself");
  says_about(MUTATE("local t = {} for i = 1, 40 do t = {t, t} end app.x = t"), "more than 200,000 values", "nor what explodes");
  says_about(MUTATE("app.x = 0/0"), "the app.x: a number that is not finite", "nor NaN");
  says_about(MUTATE("app.x = '\\xff'"), "the app.x: a text that is no valid UTF-8", "nor bytes");
  says_about(MUTATE("app['\\xff'] = 1"), "no valid UTF-8", "in keys as well");
  says_about(MUTATE("app.x = 'a\\0b'"), "the app.x: a text with a NUL", "nor NUL");
  says_about(MUTATE("app.x = ctx"), "within itself", "a view is what it shows");
  says_about(MUTATE("return 1"), "or returns a table in its place", "nor a number in the app's place");
}

/* ---- the library ---- */

static void test_library(void) {
  static const struct {
    const char *expression, *want;
  } rows[] = {
      {"tostring(get({a={b={1,2}}}, 'a.b.2'))", "2"},
      {"tostring(get({}, 'a.b.c'))", "nil"},
      {"tostring(get(nil, 'a'))", "nil"},
      {"tostring(contains({'a','b'}, 'b'))", "true"},
      {"tostring(contains(nil, 'b'))", "false"},
      {"tostring(glob('ghcr.io/acme/*', 'ghcr.io/acme/web'))", "true"},
      {"tostring(glob('ghcr.io/acme/*', 'ghcr.io/acme/team/web'))", "false"},
      {"tostring(glob('ghcr.io/acme/**', 'ghcr.io/acme/team/web'))", "true"},
      {"tostring(glob('*', nil))", "false"},
      {"image('nginx').name", "docker.io/library/nginx"},
      {"image('r.example:5000/a/b:1').tag", "1"},
      {"image('r.example:5000/a/b:1').domain", "r.example:5000"},
      {"tostring(image('***'))", "nil"},
      {"tostring(semver.compare('1.2.3', '1.10.0'))", "-1"},
      {"tostring(semver.compare('v2', '2.0.0'))", "0"},
      {"tostring(semver.compare('1.0.0-rc.2', '1.0.0-rc.10'))", "-1"},
      {"tostring(semver.compare('1.0.0', '1.0.0-rc.1'))", "1"},
      {"tostring(semver.compare('latest', '1.0.0'))", "nil"},
      {"tostring(bytes('512m'))", "536870912"},
      {"tostring(bytes('1.5g'))", "1610612736"},
      {"tostring(bytes('lots'))", "nil"},
      {"tostring(cpus('0.5') + cpus('250m'))", "0.75"},
      {"tostring(cpus('many'))", "nil"},
      {"tostring(duration('1m30s'))", "90.0"},
      {"tostring(duration(nil))", "nil"},
      {"tostring(starts_with('abc', 'ab'))", "true"},
      {"tostring(ends_with('abc', 'ab'))", "false"},
      {"type(next)", "function"},
      {"tostring(next({}))", "nil"},
      {"#app.services.web.ports .. app.services.web.ports[1].target", "180"},
      {"tostring(app.services == app.services)", "true"},
      {"type(app.services.web.command)", "nil"},
      {"tostring(app.services.web.list[2] == null)", "true"},
      {"math.type(app.services.web.list[3])", "float"},
      {"table.concat({'a', 'b'}, ',')", "a,b"},
      {"(function() local s = '' for k in pairs({b=1, a=2, [3]=1, [1]=1}) do s = s .. k end return s end)()", "13ab"},
      {"(function() local s = '' for k, v in pairs(app.services) do s = s .. k .. v.image:sub(1, 3) end return s end)()",
       "dbregwebdoc"},
      {"('x'):rep(3, '-')", "x-x-x"},
      {"('k=v; a=b'):gsub('(%w+)=(%w+)', '%2=%1')", "v=k; b=a"},
      {"('hello world'):gsub('o', {o='0'})", "hell0 w0rld"},
      {"('abc'):gsub('%w', function(c) return c:upper() .. '.' end)", "A.B.C."},
      {"('abc'):gsub('', '-')", "-a-b-c-"},
      {"('f(a(b)c)d'):match('%b()')", "(a(b)c)"},
      {"('THE (quick) fox'):find('%((%a+)%)')", "5"},
      {"('  trim  '):match('^%s*(.-)%s*$')", "trim"},
      {"('a.b'):find('.', 1, true)", "2"},
      {"('2026-11-23'):match('(%d+)-(%d+)-(%d+)')", "2026"},
      {"('abc'):match('()c')", "3"},
      {"('aXb'):match('%u')", "X"},
      {"('[x]'):match('[]]')", "]"},
      {"('a-b'):match('[a%-]+')", "a-"},
      {"('abcabc'):match('(abc)%1')", "abc"},
      {"('THE END'):gsub('%f[%a]%a+', 'w')", "w w"},
      {"(function() local s = '' for w in ('one two'):gmatch('%a+') do s = s .. w .. '.' end return s end)()", "one.two."},
      {"(function() local s = '' for k, v in ('a=1,b=2'):gmatch('(%w)=(%w)') do s = s .. v .. k end return s end)()", "1a2b"},
      {"tostring(('abc'):match('x'))", "nil"},
      {"('caf\\xc3\\xa9'):len() .. utf8.len('caf\\xc3\\xa9')", "54"},
  };
  for (size_t i = 0; i < BT_COUNT(rows); i++) {
    BT_AUTO_FREE char *text = bt_asprintf(APP("local r = %s deny(tostring(r))"), rows[i].expression);
    BT_AUTO_FREE char *said = denial(text), *want = bt_asprintf("p.lua: p: %s", rows[i].want);
    is_str(said, want, rows[i].expression);
  }
}

/* The library's own patterns are the reference: every pair gives the same there and here. Random patterns over a small alphabet. */
#include <lauxlib.h>
#include <lualib.h>

#include "policy/box.h"

static const char compare_source[] =
    "local ours, theirs, seed = ...\n"
    "local function rnd(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 % n end\n"
    "local bits = {'a', 'b', '.', '%a', '[ab]', '[^a]', '(', ')', '*', '+', '-', '?', '$', '%1', '%b()', '%f[a]', '()', 'x', '%%', '^', '[a-', ']'}\n"
    "local texts = {'', 'a', 'ab', 'aab', 'ba(b)a', 'abab', 'xxab%', 'aaa'}\n"
    "for i = 1, 6000 do\n"
    "  local p = ''\n"
    "  for _ = 1, 1 + rnd(6) do p = p .. bits[1 + rnd(#bits)] end\n"
    "  local t = texts[1 + rnd(#texts)]\n"
    "  for _, f in ipairs{'find', 'match', 'gsub'} do\n"
    "    local a = table.pack(pcall(ours[f], t, p, f == 'gsub' and '<%0>' or nil))\n"
    "    local b = table.pack(pcall(theirs[f], t, p, f == 'gsub' and '<%0>' or nil))\n"
    "    local same = a.n == b.n and a[1] == b[1]\n"
    "    for j = 2, a.n do same = same and (a[j] == b[j] or not a[1]) end\n"
    "    if not same then return f .. ' ' .. t .. ' ' .. p .. ': ' .. tostring(a[2]) .. ' / ' .. tostring(b[2]) end\n"
    "  end\n"
    "end\n"
    "return 'same'\n";

static void test_patterns(void) {
  struct bt_box *box = bt_box_new("x", &limits);
  lua_State *L = box->L;
  bt_box_lift(L, true);
  luaL_openlibs(L);
  BT_ASSERT(luaL_loadstring(L, compare_source) == LUA_OK);
  bt_box_push_library(L, "string");
  luaL_requiref(L, "theirs", luaopen_string, 0);
  lua_pushinteger(L, 42);
  int rc = lua_pcall(L, 3, 1, 0);
  is_str(lua_tostring(L, -1), "same", "6000 random patterns do what Lua's own do");
  is_int(rc, LUA_OK, "without failing");
  bt_box_free(&box);
}

/* ---- limits and escapes ---- */

static void stopped(const char *body, const char *part, const char *name) {
  BT_AUTO_FREE char *text = bt_asprintf("local big = ('x'):rep(3000000)\nlocal t = {}\n" APP("%s"), body);
  int64_t start = bt_clock_mono_ms();
  BT_AUTO_FREE char *said = denial(text);
  int64_t took = bt_clock_mono_ms() - start;
  if (!ok(strstr(said, part) && took < 10 * limits.timeout_ms, "%s (%lld ms)", name, (long long)took))
    printf("#  got: %s\n", said);
}

static void test_limits(void) {
  const char *late = "the policies have 400 ms for a request; they were stopped here", *memory = "it used more than", *large = "larger than 4 MiB";
  stopped("while true do end", late, "an endless loop is stopped");
  stopped("local function f() return f() end f()", late, "endless tail calls");
  stopped("('a'):rep(60):find(('a?'):rep(60) .. ('a'):rep(60))", late, "a pattern that explodes");
  stopped("big:find('.-.-.-.-y')", late, "one that is merely slow");
  stopped("big:match('.*.*.*y')", late, "a greedy one");
  stopped("big:gsub('.-.-y', '')", late, "in gsub");
  stopped("for _ in big:gmatch('x*x*x*y') do end", late, "in gmatch");
  stopped("local p = '[' .. ('a'):rep(1000000) .. ']*y' big:find(p)", late, "a set of a million members");
  stopped("while true do big:find('y', 1, true) end", late, "long plain searches");
  stopped("while true do local u = big:upper() end", late, "long copies");
  stopped("while true do local u = (big .. 'a') == (big .. 'b') end", late, "long comparisons");
  stopped("for i = 1, 250000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end", late, "long shifts");
  stopped("while true do table.sort({3,2,1}, function(a, b) while true do end end) end", late, "a comparison without end");
  stopped("('x'):rep(1e9)", "string.rep: the result is larger", "a long text is refused");
  stopped("(''):rep(1e15)", "", "nothing, very often, is nothing");
  stopped("table.move({}, 1, 1e15, 2)", "table.move: at most", "a long move is refused");
  stopped("for i = 1, 30000 do t[i] = i end table.sort(t)", "table.sort: at most", "a long sort as well");
  stopped("local s = 'xxxxxxxx' while true do s = s .. s end", large, "a text that doubles is refused");
  limits.timeout_ms = 20000; /* so that on a busy machine it is memory that ends first */
  stopped("for i = 1, 1e9 do t[i] = ('x'):rep(2000000) end", memory, "memory is capped");
  stopped("local n for i = 1, 1e9 do n = {n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20} end", memory, "also of tables");
  limits.timeout_ms = 400;
  stopped("for i = 1, 1e9 do t[i] = i end", large, "one table is capped");
  stopped("local function f() return f() + 1 end f()", large, "recursion too");
  stopped("('a'):rep(40):match(('(a'):rep(33))", "too many captures", "captures too");
  stopped("('x'):rep(1000):match(('x-'):rep(300))", "pattern too complex", "depth of patterns too");
  stopped("big:gsub('x', function(c) return ('y'):rep(1000) end)", "", "results of gsub too");
}

static void test_escapes(void) {
  static const char *const absent[] = {"io",       "os",     "debug",  "load",        "loadstring",   "dofile",       "loadfile",
                                       "require",  "package", "collectgarbage", "pcall", "xpcall",    "coroutine",    "setmetatable",
                                       "getmetatable", "rawset", "rawget", "rawequal", "rawlen",      "_G",           "print",
                                       "string.dump", "string.pack", "math.random", "_ENV.io"};
  for (size_t i = 0; i < BT_COUNT(absent); i++) {
    BT_AUTO_FREE char *text = bt_asprintf(APP("local x = %s if x ~= nil then deny('reached') end"), absent[i]);
    BT_AUTO_FREE char *said = denial(text), *name = bt_asprintf("%s is out of reach", absent[i]);
    ok(!strstr(said, "reached"), "%s", name);
  }
  says_about(APP("('').x.y = 1"), "attempt to index a nil value", "texts have no more than their library");
  says("string.len = function() return 7 end " APP("deny(('abc'):len())"), "p.lua: p: 7", "a file can only fool itself");
  empty_folder();
  write_file("a.lua", "string.len = nil shared = 1 return { validate_app = function() end }");
  write_file("b.lua", APP("deny(('abc'):len() .. (function() local e = _ENV return tostring(contains({'shared'}, 'x')) end)())"));
  struct bt_policy *policy = NULL;
  struct bt_verdict verdict;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON model = json_loads(shop, 0, NULL), *context = json_object();
  ok(bt_policy_load(dir, &limits, &policy, &err) == 0 && bt_policy_check(policy, model, context, &verdict, &err) == 0, "two files");
  is_str(verdict.denials.len ? verdict.denials.items[0] : NULL, "b.lua: b: 3false", "have nothing in common");
  bt_verdict_free(&verdict);
  bt_policy_free(&policy);
}

/* A rule that was stopped works again at the next request. */
static void test_recovery(void) {
  empty_folder();
  write_file("p.lua", "local n = 0 " APP("n = n + 1 if ctx.user == 'bad' then while true do end end deny(n)"));
  struct bt_policy *policy = NULL;
  struct bt_verdict verdict;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON model = json_loads(shop, 0, NULL), *good = json_pack("{s:s}", "user", "ann"), *bad = json_pack("{s:s}", "user", "bad");
  ok(bt_policy_load(dir, &limits, &policy, &err) == 0, "load");
  is_int(bt_policy_check(policy, model, bad, &verdict, &err), -1, "a rule that hangs refuses");
  is_int(bt_err_code(err), BT_DENIED, "as denied");
  is_int(bt_policy_check(policy, model, good, &verdict, &err), 0, "the next request is asked again");
  is_str(verdict.denials.len ? verdict.denials.items[0] : NULL, "p.lua: p: 1", "of a rule that begins afresh");
  bt_verdict_free(&verdict);
  BT_AUTO_JSON list = bt_policy_list(policy);
  json_t *row = json_array_get(list, 0);
  is_int(bt_json_int(row, "calls", 0), 2, "calls are counted");
  is_int(bt_json_int(row, "denials", 0), 1, "denials too");
  is_str(json_string_value(json_array_get(bt_json_arr(row, "hooks"), 0)), "validate_app", "hooks are listed");
  bt_policy_free(&policy);
}

/* ---- reload ---- */

static void touch_on(const char *name, const char *text) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  unlink(path); /* another inode: a change is seen also within one tick of the clock */
  write_file(name, text);
}

static int denials(struct bt_policy *policy) {
  BT_AUTO_ERR err = NULL;
  struct bt_verdict verdict;
  BT_AUTO_JSON model = json_loads(shop, 0, NULL), *context = json_object();
  if (bt_policy_check(policy, model, context, &verdict, &err) < 0)
    return -1;
  int n = (int)verdict.denials.len;
  bt_verdict_free(&verdict);
  return n;
}

static void test_reload(void) {
  empty_folder();
  BT_AUTO_ERR err = NULL;
  struct bt_policy *policy = NULL;
  write_file("a.lua", APP("deny('a')"));
  write_file("a_test.lua", "this is no policy");
  write_file(".hidden.lua", "nor is this");
  ok(bt_policy_load(dir, &limits, &policy, &err) == 0 && denials(policy) == 1, "a folder with one policy");
  is_int(bt_policy_refresh(policy, &err), 0, "nothing changed");
  write_file("b.lua", APP("deny('b')"));
  is_int(bt_policy_refresh(policy, &err), 1, "a new file is loaded");
  is_int(denials(policy), 2, "and asked");
  touch_on("b.lua", "return {{{");
  is_int(bt_policy_refresh(policy, &err), -1, "a broken file");
  ok(strstr(bt_err_message(err), "b.lua:1:") && strstr(bt_err_message(err), "stay in force"), "says so");
  is_int(denials(policy), 2, "and the last good ones stay in force");
  BT_AUTO_JSON list = bt_policy_list(policy);
  is_str(bt_json_str(json_array_get(list, 1), "status"), "broken", "the list says so as well");
  is_str(bt_json_str(json_array_get(list, 0), "status"), "ok", "of that file only");
  bt_err_free(&err);
  is_int(bt_policy_refresh(policy, &err), 0, "and it is said once");
  touch_on("b.lua", APP(""));
  is_int(bt_policy_refresh(policy, &err), 1, "a mended file");
  is_int(denials(policy), 1, "takes over");
  bt_policy_free(&policy);
  touch_on("b.lua", "return {{{");
  ok(bt_policy_load(dir, &limits, &policy, &err) == 0 && denials(policy) == -1, "broken at the first load: all is refused");
  touch_on("b.lua", APP(""));
  is_int(bt_policy_refresh(policy, &err), 1, "until it is mended");
  is_int(denials(policy), 1, "then it is asked");
  bt_policy_free(&policy);
  ok(bt_policy_load("/tmp/bt_no_such_folder", NULL, &policy, &err) == 0 && denials(policy) == 0, "no folder: no policies");
  bt_policy_free(&policy);
}

/* ---- the test runner ---- */

static void test_runner(void) {
  empty_folder();
  write_file("p.lua", "return { name = 'p', mutate_service = function(svc) svc.init = true end,"
                      " validate_service = function(svc) if not svc.image then deny('no image') end warn('seen') end }");
  write_file("p_test.lua", "return {"
                           " { name = 'good', service = { image = 'x' }, warn = 'seen', result = { init = true } },"
                           " { name = 'denied', service = {}, deny = 'no image' },"
                           " { name = 'wrong deny', service = {}, deny = 'other' },"
                           " { name = 'unexpected deny', service = {} },"
                           " { name = 'wrong result', service = { image = 'x' }, result = { init = false } },"
                           " { name = 'misspelt', servce = {} },"
                           " { name = 'fails', service = 1, fails = 'attempt to index' },"
                           " { name = 'app', app = { services = { a = { image = 'x' } } }, changed = true, warn = {'seen'} } }");
  write_file("q_test.lua", "return {}");
  write_file("r_test.lua", "return { policy = 'none.lua', tests = { { name = 'x', service = {} } } }");
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON results = NULL;
  is_int(bt_policy_test(dir, &limits, &results, &err), 0, "the runner runs");
  BT_AUTO_BUF b = {0};
  size_t i;
  json_t *result;
  json_array_foreach(results, i, result)
    bt_buf_addf(&b, "%s%s", i ? ", " : "", bt_json_bool(result, "ok", false) ? bt_json_str(result, "name") : "!");
  is_str(b.data, "good, denied, !, !, !, !, fails, app, !, !", "what is right passes, what is wrong fails");
  ok(strstr(bt_json_str_or(json_array_get(results, 2), "message", ""), "\"p.lua: p: service test: no image\""), "and says what was");
  ok(strstr(bt_json_str_or(json_array_get(results, 4), "message", ""), "differs at init"), "where the result differs");
  ok(strstr(bt_json_str_or(json_array_get(results, 5), "message", ""), "did you mean \"service\"?"), "and what was misspelt");
}

/* The policies that ship with Berth pass their own tests. */
static void test_shipped(void) {
  const char *src = getenv("srcdir");
  BT_AUTO_FREE char *shipped = bt_path_join(src ? src : ".", "config/policies");
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON results = NULL;
  ok(bt_policy_test(shipped, &limits, &results, &err) == 0 && json_array_size(results) >= 20, "the shipped policies have tests");
  size_t i;
  json_t *result;
  json_array_foreach(results, i, result)
    if (!ok(bt_json_bool(result, "ok", false), "%s: %s", bt_json_str(result, "file"), bt_json_str(result, "name")))
      printf("# %s\n", bt_json_str(result, "message"));
}

int main(void) {
  if (!mkdtemp(dir))
    return 1;
  test_verdicts();
  test_broken();
  test_round_trip();
  test_changes();
  test_library();
  test_patterns();
  test_limits();
  test_escapes();
  test_recovery();
  test_reload();
  test_runner();
  test_shipped();
  empty_folder();
  rmdir(dir);
  return done_testing();
}
