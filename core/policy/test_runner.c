#include "config.h"
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "policy/file.h"
#include "policy/folder.h"
#include "policy/judge.h"
#include "policy/policy.h"

/* bt_policy_test: a test file beside a policy returns a list of cases, or { policy = "file.lua", tests = {…} }. A case is a
 * service or an app, and what the policy must say to it; or a service and a node. */

static const char *const case_members[] = {"name", "service", "app", "context", "deny", "warn", "result", "changed", "fails", "node", "score", NULL};

struct tests {
  const char *dir, *file;
  const struct bt_policy_limits *limits;
  struct bt_policy_file *policy;
  json_t *results;
};

static void report(struct tests *t, const char *name, const char *problem) {
  json_t *result = json_object();
  bt_json_set_str(result, "file", t->file);
  bt_json_set(result, "name", bt_json_string(name));
  bt_json_set_bool(result, "ok", !problem);
  bt_json_set(result, "message", bt_json_string(problem ? problem : ""));
  json_array_append_new(t->results, result);
}

/* ---- what is expected ---- */

/* Does value hold all that want asks for? Maps may hold more; lists have the same length; null also means absent. */
static bool holds(const json_t *value, const json_t *want, struct bt_buf *path) {
  size_t before = path->len;
  if (json_is_null(want))
    return !value || json_is_null(value);
  if (json_is_object(want) && (json_is_object(value) || (json_is_array(value) && !json_object_size(want)))) {
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)want, key, member) {
      bt_buf_addf(path, "%s%s", path->len ? "." : "", key);
      if (!holds(json_object_get(value, key), member, path))
        return false;
      bt_buf_truncate(path, before);
    }
    return json_is_object(value) || json_array_size(value) == 0;
  }
  if (!json_is_array(want) || json_array_size(want) != json_array_size(value))
    return json_is_number(want) && json_is_number(value) ? json_number_value(want) == json_number_value(value)
                                                         : json_equal(value, want);
  for (size_t i = 0; i < json_array_size(want); i++) {
    bt_buf_addf(path, "[%zu]", i + 1);
    if (!holds(json_array_get(value, i), json_array_get(want, i), path))
      return false;
    bt_buf_truncate(path, before);
  }
  return true;
}

static char *joined(const struct bt_strs *said) {
  BT_AUTO_BUF b = {0};
  for (size_t i = 0; i < said->len; i++)
    bt_buf_addf(&b, "%s\"%s\"", i ? ", " : "", said->items[i]);
  return bt_buf_steal(&b);
}

static bool said_it(const struct bt_strs *said, const json_t *want) {
  for (size_t i = 0; json_is_string(want) && i < said->len; i++)
    if (strstr(said->items[i], json_string_value(want)))
      return true;
  return false;
}

/* want: a text that must be in one of them, a list of such, true (any), false (none). The problem, or NULL. */
static char *check_said(const struct bt_strs *said, const json_t *want, const char *what) {
  BT_AUTO_FREE char *all = joined(said);
  if (json_is_false(want))
    return said->len ? bt_asprintf("no %s was expected, but: %s", what, all) : NULL;
  if (json_is_true(want))
    return said->len ? NULL : bt_asprintf("a %s was expected", what);
  if (json_is_string(want))
    return said_it(said, want) ? NULL
                               : bt_asprintf("a %s with \"%s\" was expected, but there was %s", what, json_string_value(want),
                                             said->len ? all : "none");
  if (!json_is_array(want))
    return bt_asprintf("%s: a text, a list of texts, true or false", what);
  for (size_t i = 0; i < json_array_size(want); i++) {
    char *problem = check_said(said, json_array_get(want, i), what);
    if (problem)
      return problem;
  }
  return NULL;
}

static char *check_result(const json_t *test, const struct bt_verdict *verdict) {
  const json_t *want = json_object_get(test, "result"), *got = verdict->model, *changed = json_object_get(test, "changed");
  BT_AUTO_BUF path = {0};
  if (json_object_get(test, "service"))
    got = json_object_get(bt_json_obj(got, "services"), "test");
  if (changed && json_is_true(changed) != verdict->changed)
    return bt_asprintf("the policy was expected to change %s", json_is_true(changed) ? "something" : "nothing");
  if (!want || holds(got, want, &path))
    return NULL;
  BT_AUTO_FREE char *text = bt_json_canonical(got ? got : json_null());
  return bt_asprintf("the result differs at %s; it is %.1000s", path.data && path.len ? path.data : "the top", text);
}

static char *check_verdict(const json_t *test, const struct bt_verdict *verdict) {
  const json_t *deny = json_object_get(test, "deny"), *warn = json_object_get(test, "warn");
  BT_AUTO_JSON none = json_false();
  char *problem = check_said(&verdict->denials, deny ? deny : none, "denial");
  if (!problem && warn)
    problem = check_said(&verdict->warnings, warn, "warning");
  return problem ? problem : check_result(test, verdict);
}

/* ---- running ---- */

static json_t *model_of(const json_t *test) {
  const json_t *app = json_object_get(test, "app"), *service = json_object_get(test, "service");
  if (app)
    return json_deep_copy(app);
  return json_pack("{s:s, s:{s:o}}", "name", "test", "services", "test", service ? json_deep_copy(service) : json_object());
}

static json_t *context_of(const json_t *test) {
  json_t *context = json_pack("{s:s, s:s, s:s, s:s, s:s}", "namespace", "default", "app", "test", "user", "tester", "operation",
                              "create", "time", "2026-01-01T00:00:00.000Z");
  json_object_update(context, bt_json_obj(test, "context"));
  return context;
}

static int ask(struct tests *t, const json_t *test, struct bt_verdict *verdict, struct bt_err **err) {
  BT_AUTO_JSON context = context_of(test);
  verdict->model = model_of(test);
  verdict->changes = json_array();
  int64_t until_us = bt_policy_until(t->limits);
  int rc = bt_policy_file_turn(t->policy, true, context, until_us, verdict, err);
  return rc == 0 ? bt_policy_file_turn(t->policy, false, context, until_us, verdict, err) : rc;
}

/* ---- a place: a service and a node, and what the filter and the score must say ---- */

static json_t *node_of(const json_t *test) {
  json_t *node = json_pack("{s:{}, s:s, s:{s:s, s:s}, s:{}, s:[]}", "labels", "role", "worker", "platform", "os", "linux", "arch", "amd64", "capacity",
                           "taints");
  json_object_update(node, json_object_get(test, "node"));
  return node;
}

static char *check_judgement(const json_t *test, const struct bt_judgement *said) {
  const char *fails = bt_json_str(test, "fails");
  const json_t *deny = json_object_get(test, "deny"), *score = json_object_get(test, "score");
  BT_AUTO_JSON none = json_false();
  BT_AUTO_STRS refusals = {0};
  if (said->failed || fails)
    return said->failed && fails && strstr(said->why, fails) ? NULL : bt_asprintf(said->failed ? "it %s" : "a failure with \"%s\" was expected",
                                                                                 said->failed ? said->why : fails);
  if (!said->allowed)
    bt_strs_add(&refusals, said->why);
  char *problem = check_said(&refusals, deny ? deny : none, "refusal");
  if (!problem && score && json_number_value(score) != said->score)
    problem = bt_asprintf("a score of %g was expected; it is %d", json_number_value(score), said->score);
  return problem;
}

static char *run_place(struct tests *t, const json_t *test) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON context = context_of(test), *json = json_deep_copy(json_object_get(test, "service")), *node = node_of(test);
  struct bt_service *service = NULL;
  if (bt_service_parse("test", json, &service, &err) < 0)
    return bt_strdup(bt_err_message(err));
  BT_AUTO_JSON seen = bt_judge_service(bt_json_str(context, "namespace"), bt_json_str(context, "app"), service);
  struct bt_judge *judge = bt_judge_new();
  struct bt_judgement said;
  bt_judge_add(judge, t->policy);
  bt_judge_ask(judge, seen, node, &said);
  bool any = bt_judge_any(judge);
  bt_judge_free(&judge);
  bt_service_free(&service);
  return any ? check_judgement(test, &said) : bt_strdup("the policy has no filter and no score, which a case with a node is about");
}

static char *run_case(struct tests *t, const json_t *test) {
  const char *fails = bt_json_str(test, "fails"), *key;
  json_t *member;
  char hint[96];
  json_object_foreach((json_t *)(uintptr_t)test, key, member) {
    const char *const *known = case_members;
    while (*known && !bt_streq(*known, key))
      known++;
    if (!*known)
      return bt_asprintf("a case has no \"%s\"%s", key, bt_nearest_hint(bt_nearest_of(key, case_members), hint));
  }
  if (!json_object_get(test, "service") == !json_object_get(test, "app"))
    return bt_strdup("a case has either a service or an app");
  if (json_object_get(test, "node"))
    return json_is_object(json_object_get(test, "service")) && json_is_object(json_object_get(test, "node"))
               ? run_place(t, test)
               : bt_strdup("a case with a node has a service, and both are maps");
  if (json_object_get(test, "score"))
    return bt_strdup("a score is of a service on a node");
  BT_AUTO_ERR err = NULL;
  struct bt_verdict verdict = {0};
  int rc = ask(t, test, &verdict, &err);
  char *problem = NULL;
  if (rc < 0 && (!fails || !strstr(bt_err_message(err), fails)))
    problem = bt_strdup(bt_err_message(err));
  else if (rc == 0)
    problem = fails ? bt_asprintf("a failure with \"%s\" was expected", fails) : check_verdict(test, &verdict);
  bt_verdict_free(&verdict);
  return problem;
}

static void run_cases(struct tests *t, const json_t *cases) {
  size_t i;
  json_t *test;
  if (!json_array_size(cases))
    report(t, "cases", "a test returns a list of cases, or { policy = \"file.lua\", tests = { … } }");
  json_array_foreach((json_t *)(uintptr_t)cases, i, test) {
    BT_AUTO_FREE char *number = bt_asprintf("case %zu", i + 1);
    BT_AUTO_FREE char *problem = json_is_object(test) ? run_case(t, test) : bt_strdup("a case is a map");
    report(t, bt_json_str_or(test, "name", number), problem);
  }
}

static char *policy_of(const struct tests *t, const json_t *table) {
  const char *named = bt_json_str(table, "policy");
  return named ? bt_strdup(named) : bt_asprintf("%.*s.lua", (int)(strlen(t->file) - strlen("_test.lua")), t->file);
}

static void run_file(struct tests *t) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON table = NULL;
  if (bt_policy_table_read(t->dir, t->file, t->limits, &table, &err) < 0) {
    report(t, "load", bt_err_message(err));
    return;
  }
  BT_AUTO_FREE char *policy = policy_of(t, table);
  if (strchr(policy, '/') || bt_policy_file_open(t->dir, policy, t->limits, &t->policy, &err) < 0) {
    report(t, policy, err ? bt_err_message(err) : "a policy's name is a file beside the test");
    return;
  }
  run_cases(t, json_is_array(table) ? table : bt_json_arr(table, "tests"));
  bt_policy_file_free(&t->policy);
}

int bt_policy_test(const char *dir, const struct bt_policy_limits *limits, json_t **results, struct bt_err **err) {
  BT_AUTO_STRS names = {0};
  if (bt_policy_folder(dir, true, &names, NULL, err) < 0)
    return -1;
  *results = json_array();
  for (size_t i = 0; i < names.len; i++) {
    struct tests tests = {.dir = dir, .file = names.items[i], .limits = limits, .results = *results};
    run_file(&tests);
  }
  return 0;
}
