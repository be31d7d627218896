/* Plug-ins that were built with the frozen headers (abi-1), in the present host: loaded, configured, called in each shape, cancelled,
 * stopped. isolated.sh runs this once more with each of them in a process of its own. */
#include "config.h"

#include <berth/lb.h>
#include <berth/monitor.h>
#include <berth/runtime.h>
#include <berth/scm.h>

#include "plugins/host.h"

static struct bt_plugin *entry;

/* Calls a method and compares its result, as compact JSON. */
#define CALL(table, function, want, ...)                                                        \
  do {                                                                                          \
    TEST_CALL c_ = {0};                                                                         \
    struct bt_plugin_call call_ = {.method = #function, .emit = test_emit, .done = test_done, .arg = &c_}; \
    bt_plugin_invoke(entry, table, function, &call_ __VA_OPT__(, ) __VA_ARGS__);                \
    run_until(&c_.done, 5000);                                                                  \
    BT_AUTO_FREE char *got_ = c_.result ? bt_json_text(c_.result) : bt_strdup(c_.message);      \
    is_str(got_, want, #table "." #function);                                                   \
    is_int(c_.times, 1, #table "." #function " ends once");                                     \
  } while (0)

/* Starts the plug-in of an interface and gives its table. */
static const void *load(const char *dir, const char *kind, const char *interface) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"old\",\"plugin\":\"%s/abi_1_%s.so\",\"config\":{\"greeting\":\"hi\"}}]", dir, kind);
  test_load(json);
  test_settle();
  BT_AUTO_JSON list = bt_plugins_json(T.plugins);
  ok(bt_streq(bt_json_str(json_array_get(list, 0), "status"), "ok"), "%s of the frozen headers runs %s", kind,
     bt_json_str_or(json_array_get(list, 0), "error", ""));
  entry = bt_plugins_named(T.plugins, "old");
  const void *table = entry ? bt_plugin_methods(entry, interface) : NULL;
  ok(table != NULL, "it offers %s", interface);
  return table;
}

/* A method that runs until it is cancelled. */
static void test_stream(berth_op op, struct test_call *c, const char *emitted) {
  test_wait(*c->emitted);
  is_str(c->emitted, emitted, "it emits");
  ok(!c->done, "and goes on");
  bt_plugin_cancel(entry, op);
  run_until(&c->done, 5000);
  is_int(c->code, BT_CANCELLED, "until it is cancelled");
}

static void test_chat(const char *dir) {
  const struct berth_chat *chat = load(dir, "chat", BERTH_CHAT);
  struct berth_chat_send r = {.size = sizeof r, .channel = "ops", .text = "hello", .severity = "error"};
  CALL(chat, send, "{\"channel\":\"ops\",\"text\":\"hello\",\"severity\":\"error\",\"config\":{\"greeting\":\"hi\",\"wait\":2000}}", &r);
  CALL(chat, probe, "{\"status\":\"ok\"}");
}

static void test_monitor(const char *dir) {
  const struct berth_monitor *monitor = load(dir, "monitor", BERTH_MONITOR);
  CALL(monitor, probe, "{\"mode\":\"pull\",\"endpoints\":[],\"status\":\"ok\"}");
  struct berth_monitor_query q = {.size = sizeof q, .query = "up"};
  CALL(monitor, query, "plug-in old: it does not have the method query", &q);
}

static void test_registry(const char *dir) {
  const struct berth_registry *registry = load(dir, "registry", BERTH_REGISTRY);
  struct berth_registry_resolve r = {.size = sizeof r, .image = "old.example/web:1", .platform = "linux/amd64"};
  struct berth_registry_credentials c = {.size = sizeof c, .image = "old.example/web:1"};
  ok(registry->serves(bt_plugin_enter(entry), r.image), "it serves its images");
  bt_plugin_leave(entry);
  CALL(registry, resolve, "{\"digest\":\"sha256:0\",\"image\":\"old.example/web:1\",\"platform\":\"linux/amd64\"}", &r);
  CALL(registry, credentials, "{\"username\":\"old.example/web:1\",\"password\":\"pw\"}", &c);
}

static void test_runtime(const char *dir) {
  const struct berth_runtime *runtime = load(dir, "runtime", BERTH_RUNTIME);
  struct berth_runtime_create create = {.size = sizeof create, .spec_json = "{\"name\":\"web\"}"};
  struct berth_runtime_container stop = {
      .size = sizeof stop, .id = "c1", .signal = "SIGINT", .timeout_ms = 5000000000, .force = true, .volumes = false};
  struct berth_runtime_copy copy = {.size = sizeof copy, .id = "c1", .path = "/tmp", .tar = "a\0b", .tar_len = 3};
  struct berth_runtime_image image = {.size = sizeof image, .image = "web"};
  CALL(runtime, info, "{\"name\":\"old\"}");
  CALL(runtime, create, "{\"id\":\"c1\",\"spec\":{\"name\":\"web\"}}", &create);
  CALL(runtime, stop, "{\"id\":\"c1\",\"signal\":\"SIGINT\",\"timeout\":5000000000,\"force\":1,\"volumes\":0}", &stop);
  CALL(runtime, network_remove, "{\"name\":\"net\"}", "net");
  CALL(runtime, copy_in, "{\"path\":\"/tmp\",\"bytes\":3,\"last\":98}", &copy);
  TEST_CALL absent = {0}, logs = {0}, events = {0};
  struct bt_plugin_call call = {.method = "runtime.image_pull", .emit = test_emit, .done = test_done, .arg = &absent};
  bt_plugin_invoke(entry, runtime, image_pull, &call, &image);
  run_until(&absent.done, 5000);
  is_int(absent.code, BT_UNSUPPORTED, "a method that it does not have is unsupported");

  struct berth_runtime_logs r = {
      .size = sizeof r, .id = "c1", .follow = false, .timestamps = true, .tail = 10, .since_ms = 11, .until_ms = 12};
  call.arg = &logs;
  bt_plugin_invoke(entry, runtime, logs, &call, &r);
  run_until(&logs.done, 5000);
  is_str(logs.emitted, "[1 c1 01 10 11 12]", "what it emits comes before its end");
  struct berth_runtime_list all = {.size = sizeof all};
  call.arg = &events;
  test_stream(bt_plugin_invoke(entry, runtime, events, &call, &all), &events, "[4 {\"action\":\"connected\"}]");
}

static void test_lb(const char *dir) {
  const struct berth_lb *lb = load(dir, "lb", BERTH_LB);
  struct berth_lb_apply apply = {.size = sizeof apply, .state_json = "{\"revision\":1}"};
  struct berth_lb_update update = {.size = sizeof update, .changes_json = "{\"revision\":2}"};
  struct berth_lb_drain drain = {.size = sizeof drain, .endpoint = "web-1", .deadline_ms = 7};
  CALL(lb, apply, "{\"state\":{\"revision\":1}}", &apply);
  CALL(lb, update, "{\"changes\":{\"revision\":2}}", &update);
  CALL(lb, drain, "{\"endpoint\":\"web-1\",\"deadline\":7}", &drain);
  CALL(lb, stats, "the old plug-in does not do that");
  TEST_CALL events = {0};
  struct bt_plugin_call call = {.method = "lb.events", .emit = test_emit, .done = test_done, .arg = &events};
  test_stream(bt_plugin_invoke(entry, lb, events, &call), &events, "[1 {\"status\":\"ok\"}]");
}

static void test_scm(const char *dir) {
  const struct berth_scm *scm = load(dir, "scm", BERTH_SCM);
  struct berth_scm_resolve resolve = {.size = sizeof resolve, .repository = "https://h/r", .tag = "v*"};
  struct berth_scm_fetch fetch = {
      .size = sizeof fetch, .repository = "https://h/r", .commit = "abc", .ref = "refs/heads/main", .paths_json = "[\"f\"]", .signers = "k"};
  struct berth_scm_status status = {.size = sizeof status, .repository = "https://h/r", .commit = "abc", .state = "success",
                                    .context = "berth/a", .description = "up", .url = "http://b/"};
  CALL(scm, resolve, "{\"repository\":\"https://h/r\",\"branch\":\"none\",\"tag\":\"v*\"}", &resolve);
  CALL(scm, fetch, "{\"commit\":\"abc\",\"ref\":\"refs/heads/main\",\"paths\":[\"f\"],\"signers\":\"k\"}", &fetch);
  CALL(scm, status, "{\"state\":\"success\",\"context\":\"berth/a\",\"description\":\"up\",\"url\":\"http://b/\"}", &status);
}

int main(void) {
  static void (*const tests[])(const char *dir) = {test_chat, test_monitor, test_registry, test_runtime, test_lb, test_scm};
  BT_AUTO_FREE char *dir = test_modules("tests/plugins/.libs");
  BT_ASSERT(dir);
  for (size_t i = 0; i < BT_COUNT(tests); i++) {
    test_open_server(NULL);
    tests[i](dir);
    test_close_server();
  }
  test_free_server();
  return done_testing();
}
