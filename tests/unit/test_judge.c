/* Filters and scores of policy files: what they see, what they answer, how they fail, what stops them, and who hears that they changed. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "policy/judge.h"
#include "policy/policy.h"
#include "tap.h"

static char dir[] = "/tmp/bt_judge_XXXXXX";

static void write_file(const char *name, const char *text) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  BT_AUTO_ERR err = NULL;
  if (bt_file_write(path, text, strlen(text), 0600, &err) < 0)
    ok(false, "%s", bt_err_message(err));
}

static void remove_file(const char *name) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  unlink(path);
}

static void take(void *arg, struct bt_judge *judge) {
  struct bt_judge **to = arg;
  bt_judge_free(to);
  *to = judge;
}

static const char web[] = "{'image':'docker.io/library/nginx:1.25','labels':{'tier':'front'},'deploy':{'placement':{'constraints':['node.labels.a == b']},"
                          "'resources':{'reservations':{'cpus':0.5,'memory':'536870912'},'limits':{'cpus':1,'pids':100}}},'x-berth':{'placement':{"
                          "'strategy':'spread'}}}";

static json_t *parse(const char *text) {
  BT_AUTO_FREE char *json = bt_strdup(text);
  for (char *p = json; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  json_t *o = json_loads(json, 0, NULL);
  BT_ASSERT(o);
  return o;
}

static json_t *web_seen(void) {
  BT_AUTO_JSON json = parse(web);
  BT_AUTO_ERR err = NULL;
  struct bt_service *service = NULL;
  BT_ASSERT(bt_service_parse("web", json, &service, &err) == 0);
  json_t *seen = bt_judge_service("team", "shop", service);
  bt_service_free(&service);
  return seen;
}

static json_t *node(const char *more) {
  json_t *o = parse("{'labels':{'zone':'east'},'pool':'gpu','role':'worker','platform':{'os':'linux','arch':'amd64'},'capacity':{'cpus':4.0,'memory':8589934592},"
                    "'taints':[{'key':'gpu','value':'1','effect':'no-schedule'}]}");
  BT_AUTO_JSON extra = parse(more);
  json_object_update(o, extra);
  return o;
}

/* What a file says of web on that node. */
static struct bt_judgement says(const char *text, const char *more) {
  struct bt_judge *judge = NULL;
  struct bt_policy *policy = NULL;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON service = web_seen(), *on = node(more);
  struct bt_judgement out;
  write_file("p.lua", text);
  BT_ASSERT(bt_policy_load(dir, NULL, &policy, &err) == 0);
  bt_policy_on_change(policy, take, &judge);
  bt_judge_ask(judge, service, on, &out);
  bt_judge_free(&judge);
  bt_policy_free(&policy);
  return out;
}

static void refused(const char *text, const char *why, const char *name) {
  struct bt_judgement out = says(text, "{}");
  ok(!out.allowed, "refused: %s", name);
  is_str(out.why, why, name);
}

static void test_answers(void) {
  struct bt_judgement out = says("return { filter = function(service, node) return node.labels.zone == 'east' end }", "{}");
  ok(out.allowed && !out.failed && out.score == 0, "a filter allows");
  refused("return {\n  filter = function(service, node)\n    if node.pool == 'gpu' then\n      return false, 'only for ' .. service.app\n    end\n    return true\n  end\n}",
          "is refused by the policy p.lua:4 (only for shop)", "with file, line and sentence");
  refused("local function no(what) return false,\n  what end\nreturn { filter = function(s, n) return no('never') end }",
          "is refused by the policy p.lua:2 (never)", "the line is the one that decided, in a helper too");
  refused("return { filter = function() return false end }", "is refused by the policy p.lua:1 (it does not say why)", "a sentence is not a must");
  refused("return { filter = function() return false, 'two\\nlines' end }", "is refused by the policy p.lua:1 (two lines)", "it is one line");
  out = says("return { filter = function() return false, ('ä'):rep(500) end }", "{}");
  BT_AUTO_JSON text = json_string(out.why);
  ok(text != NULL, "a long one is cut, but not within a letter");
  out = says("return { score = function(s, n) return n.capacity.cpus * 10 end }", "{}");
  is_int(out.score, 40, "a score");
  out = says("return { filter = function() return true end, score = function() return -1000 end }", "{}");
  is_int(out.score, -1000, "both");
}

static void test_sees(void) {
  const char *const yes[] = {"service.namespace == 'team' and service.app == 'shop' and service.name == 'web'",
                             "service.image == 'docker.io/library/nginx:1.25' and image(service.image).tag == '1.25'",
                             "service.labels.tier == 'front'",
                             "service.resources.reservations.cpus == 0.5 and service.resources.reservations.memory == bytes('512m')",
                             "service.resources.limits.pids == 100 and service.resources.limits.memory == nil",
                             "service.placement.constraints[1] == 'node.labels.a == b' and service.placement.strategy == 'spread'",
                             "service.model.deploy.resources.limits.cpus == 1",
                             "node.role == 'worker' and node.platform.arch == 'amd64'",
                             "node.taints[1].key == 'gpu' and #node.taints == 1"};
  for (size_t i = 0; i < BT_COUNT(yes); i++) {
    BT_AUTO_FREE char *text = bt_asprintf("return { filter = function(service, node) return %s end }", yes[i]);
    struct bt_judgement out = says(text, "{}");
    if (!ok(out.allowed, "%s", yes[i]))
      printf("# %s\n", out.why);
  }
}

static void test_failures(void) {
  refused("return { filter = function(s, n) return n.label.x end }",
          "is refused, since a policy failed (p.lua:1: there is no field \"label\"; did you mean \"labels\"?, in filter)", "a slip refuses");
  refused("return { filter = function() end }", "is refused, since a policy failed (p.lua: filter returns true, or false and why, in filter)", "no answer does not allow");
  refused("return { score = function() return 'much' end }", "is refused, since a policy failed (p.lua: score returns a number from -1000 to 1000, in score)", "nor a text");
  refused("return { score = function() return 0/0 end }", "is refused, since a policy failed (p.lua: score returns a number from -1000 to 1000, in score)", "nor no number");
  refused("return { score = function() return 1001 end }", "is refused, since a policy failed (p.lua: score returns a number from -1000 to 1000, in score)", "nor too much");
  refused("return { filter = function(s) s.app = 'x' return true end }", "is refused, since a policy failed (p.lua:1: cannot set app: a filter only looks, in filter)", "it cannot change");
  refused("return { filter = function() deny('x') end }", "is refused, since a policy failed (p.lua:1: deny can only be called from a hook, in filter)", "deny is for admission");
  refused("return {", "is refused, since a policy failed (p.lua:1: unexpected symbol near <eof>)", "broken policies allow nothing");
}

/* Endless in Lua, and in each way to make a C function work long. */
static void test_limits(void) {
  const char *const endless[] = {"while true do end",
                                 "while true do local x = ('a'):rep(1000):upper() end",
                                 "local s = ('a'):rep(200000) while true do local x = s:lower() end",
                                 "local s, t = ('a'):rep(200000), {} for i = 1, 1e9 do t[i % 10] = s .. i end",
                                 "local t = {} for i = 1, 2000 do t[i] = -i end while true do table.sort(t) end",
                                 "local t = {} for i = 1, 2000 do t[i] = i end while true do table.concat(t, ',') end",
                                 "local t = {} for i = 1, 9000 do t[i] = i end while true do table.move(t, 1, 9000, 2) end",
                                 "for i = 1, 1e9 do (('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(30)) end",
                                 "while true do for k in pairs(node) do end end"};
  for (size_t i = 0; i < BT_COUNT(endless); i++) {
    BT_AUTO_FREE char *text = bt_asprintf("return { filter = function(service, node) %s return true end }", endless[i]);
    int64_t begin = bt_clock_mono_us();
    struct bt_judgement a = says(text, "{}"), b = says(text, "{}");
    int64_t took = bt_clock_mono_us() - begin;
    ok(!a.allowed && a.failed && strstr(a.why, "50000 instructions"), "%s: %s", endless[i], a.why);
    is_str(b.why, a.why, "and the same a second time");
    ok(took < 1000000, "within %lld us", (long long)took);
  }
  refused("return { filter = function() local t = {} for i = 1, 1e9 do t[i] = i end end }",
          "is refused, since a policy failed (p.lua: a text, a table or a recursion larger than 256 KiB, in filter)", "memory");
}

static void test_given_up(void) {
  struct bt_judge *judge = NULL;
  struct bt_policy *policy = NULL;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON service = web_seen(), *on = node("{}"), *off = node("{'pool':null}");
  struct bt_judgement out;
  write_file("p.lua", "return { filter = function(s, n) while n.pool == 'gpu' do end return true end }");
  BT_ASSERT(bt_policy_load(dir, NULL, &policy, &err) == 0);
  bt_policy_on_change(policy, take, &judge);
  for (int i = 1; i < BT_JUDGE_BREACHES; i++)
    bt_judge_ask(judge, service, on, &out);
  bt_judge_ask(judge, service, off, &out);
  ok(out.allowed, "what broke its limits is asked again");
  bt_judge_ask(judge, service, on, &out);
  bt_judge_ask(judge, service, off, &out);
  ok(!out.allowed && strstr(out.why, "not asked again before it changes"), "but not for ever: %s", out.why);
  write_file("p.lua", "return { filter = function(s, n) return n.pool ~= 'gpu', 'no gpu' end }");
  is_int(bt_policy_refresh(policy, &err), 1, "it is mended");
  bt_judge_ask(judge, service, off, &out);
  ok(out.allowed, "and asked again");
  bt_judge_ask(judge, service, on, &out);
  is_str(out.why, "is refused by the policy p.lua:1 (no gpu)", "by its new words");
  write_file("p.lua", "return {{");
  is_int(bt_policy_refresh(policy, &err), -1, "it is broken");
  bt_judge_ask(judge, service, off, &out);
  ok(out.allowed, "the good ones stay in force");
  bt_err_free(&err);
  write_file("p.lua", "return { filter = function(s, n) return n.pool ~= 'gpu', 'no gpu' end }");
  write_file("q.lua", "return { score = function(s, n) return 900 end }");
  write_file("r.lua", "return { score = function(s, n) return 900 end }");
  is_int(bt_policy_refresh(policy, &err), 1, "more files");
  bt_judge_ask(judge, service, off, &out);
  is_int(out.score, 1000, "scores add up, to a most");
  remove_file("p.lua");
  remove_file("q.lua");
  remove_file("r.lua");
  is_int(bt_policy_refresh(policy, &err), 1, "none any more");
  ok(!bt_judge_any(judge), "has nothing to say");
  bt_judge_free(&judge);
  bt_policy_free(&policy);
}

/* The runner of "berth policy test". */
static void test_runner(void) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON results = NULL;
  const char *const want[] = {"", "", "a refusal was expected", "a score of 3 was expected; it is 4", "no refusal was expected, but: \"is refused by the policy p.lua:2 (not here)\"",
                              "a score is of a service on a node", "", "it is refused, since a policy failed (p.lua:1"};
  write_file("p.lua", "local function bad(n) return n.x end return { filter = function(s, n) if n.labels.bad then bad(n) end\n return not n.pool, 'not here' end, score = function() return 4 end }");
  write_file("p_test.lua",
             "return { { name = 'a', service = { image = 'x' }, node = {}, score = 4 }, { name = 'b', service = { image = 'x' }, node = { pool = 'g' }, deny = 'not here' },"
             "{ name = 'c', service = { image = 'x' }, node = {}, deny = true }, { name = 'd', service = { image = 'x' }, node = {}, score = 3 },"
             "{ name = 'e', service = { image = 'x' }, node = { pool = 'g' } }, { name = 'f', service = { image = 'x' }, score = 3 },"
             "{ name = 'g', service = { image = 'x' }, node = { labels = { bad = '1' } }, fails = 'no field' },"
             "{ name = 'h', service = { image = 'x' }, node = { labels = { bad = '1' } } } }");
  is_int(bt_policy_test(dir, NULL, &results, &err), 0, "tests run");
  is_int(json_array_size(results), BT_COUNT(want), "all of them");
  for (size_t i = 0; i < BT_COUNT(want); i++) {
    const char *said = bt_json_str_or(json_array_get(results, i), "message", "");
    ok(bt_starts(said, want[i]) && !*said == !*want[i], "case %zu: %s", i, said);
  }
  remove_file("p.lua");
  remove_file("p_test.lua");
}

int main(void) {
  if (!mkdtemp(dir))
    return 1;
  test_answers();
  test_sees();
  test_failures();
  test_limits();
  test_given_up();
  test_runner();
  remove_file("p.lua");
  rmdir(dir);
  return done_testing();
}
