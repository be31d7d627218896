/* Calls and their ends: exactly once, whatever the plug-in does. */
#include "config.h"

#include "plugins/host.h"

static char *dir;

static void load(void) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"p\",\"plugin\":\"%s/bad_finish.so\"}]", dir);
  test_load(json);
}

static json_int_t stat_of(const char *key) {
  BT_AUTO_JSON list = bt_plugins_json(T.plugins);
  return bt_json_int(json_array_get(list, 0), key, -1);
}

static void test_ends(void) {
  TEST_CALL good = {0}, error = {0}, garbage = {0}, list = {0}, code = {0}, dbl = {0};
  test_send("p", "ok", NULL, 0, &good);
  ok(good.code == BT_OK && bt_json_bool(good.result, "queued", false), "a result");
  test_send("p", "error", NULL, 0, &error);
  is_int(error.code, BT_CONFLICT, "an error's code");
  is_str(error.message, "the room is locked: unlock it", "and sentence");
  test_send("p", "garbage", NULL, 0, &garbage);
  is_int(garbage.code, BT_PLUGIN_CRASHED, "a garbled result is the plug-in's fault");
  test_send("p", "list", NULL, 0, &list);
  is_int(list.code, BT_PLUGIN_CRASHED, "a result must be an object");
  test_send("p", "code", NULL, 0, &code);
  is_int(code.code, BT_INTERNAL, "a code of the future is internal");
  test_send("p", "double", NULL, 0, &dbl);
  run_for(10);
  ok(dbl.times == 1 && bt_json_bool(dbl.result, "first", false), "the first finish counts, the second is dropped");
  is_int(stat_of("in_flight"), 0, "nothing is in flight");
  is_int(stat_of("calls"), 6, "calls are counted");
  is_int(stat_of("errors"), 4, "and errors");
}

static void test_streams(void) {
  TEST_CALL emit = {0}, thread = {0}, flood = {0};
  test_send("p", "emit", NULL, 0, &emit);
  is_str(emit.emitted, "[7 one][7 two]", "emits come in order, before the end");
  test_send("p", "thread", NULL, 0, &thread);
  is_str(thread.emitted, "[1 from a thread]", "emits from a thread");
  ok(bt_json_bool(thread.result, "thread", false), "and a finish");
  test_send("p", "flood", NULL, 0, &flood);
  is_int(flood.code, BT_PLUGIN_CRASHED, "2 MiB at once end the call");
}

static void test_deadline(void) {
  TEST_CALL keep = {0}, cancels = {0}, late = {0};
  test_send("p", "keep", NULL, 30, &keep);
  is_int(keep.code, BT_DEADLINE, "the host owns the deadline");
  is_str(keep.message, "plug-in p did not finish chat.send in time", "and says so");
  test_send("p", "cancels", NULL, 0, &cancels);
  is_int(bt_json_int(cancels.result, "cancels", 0), 1, "cancel was called once");
  is_int(stat_of("in_flight"), 0, "a cancelled op that was finished is over");
  TEST_CALL never = {0};
  test_send("p", "never", NULL, 30, &never);
  is_int(stat_of("in_flight"), 1, "one that ignores the cancel is still owed");
  test_send("p", "late", NULL, 0, &late);
  run_for(10);
  ok(never.times == 1 && never.code == BT_DEADLINE, "its late finish is dropped");
  is_int(stat_of("in_flight"), 0, "and settles it");
}

static berth_op begin(const char *text, struct test_call *c) {
  struct bt_plugin *p = bt_plugins_named(T.plugins, "p");
  const struct berth_chat *chat = bt_plugin_methods(p, BERTH_CHAT);
  struct bt_plugin_call call = {.method = "chat.send", .done = test_done, .arg = c};
  struct berth_chat_send request = {.size = sizeof request, .text = text};
  return bt_plugin_invoke(p, chat, send, &call, &request);
}

static void test_cancel(void) {
  struct bt_plugin *p = bt_plugins_named(T.plugins, "p");
  TEST_CALL cancelled = {0}, abandoned = {0}, raced = {0};
  berth_op op = begin("keep", &cancelled);
  bt_plugin_cancel(p, op);
  bt_plugin_cancel(p, op);
  ok(!cancelled.done, "done does not come from inside cancel");
  ok(run_until(&cancelled.done, 1000) && cancelled.code == BT_CANCELLED, "but then");
  op = begin("keep", &abandoned);
  bt_plugin_abandon(p, op);
  op = begin("ok", &raced);
  bt_plugin_cancel(p, op);
  ok(run_until(&raced.done, 1000) && raced.code == BT_CANCELLED && raced.times == 1, "a cancel wins over a finish on its way");
  run_for(10);
  ok(!abandoned.done, "an abandoned call has no end");
  is_int(stat_of("in_flight"), 0, "all settled");
  bt_plugin_cancel(p, op);
  bt_plugin_cancel(p, 12345);
  ok(true, "ended and invented ops are fine");
}

static void test_missing(void) {
  TEST_CALL c = {0};
  struct bt_plugin *p = bt_plugins_named(T.plugins, "p");
  const struct berth_registry *none = bt_plugin_methods(p, BERTH_REGISTRY);
  ok(!none, "it is no registry");
  struct bt_plugin_call call = {.method = "registry.probe", .done = test_done, .arg = &c};
  bt_plugin_invoke(p, none, probe, &call);
  ok(run_until(&c.done, 1000) && c.code == BT_UNSUPPORTED, "a method that it lacks is unsupported");
  struct berth_chat old = *(const struct berth_chat *)bt_plugin_methods(p, BERTH_CHAT);
  old.size = offsetof(struct berth_chat, probe);
  TEST_CALL o = {0};
  call.arg = &o;
  bt_plugin_invoke(p, &old, probe, &call);
  ok(run_until(&o.done, 1000) && o.code == BT_UNSUPPORTED, "a shorter table of an older plug-in, too");
}

static void test_stall(void) {
  struct bt_loop_stats stats;
  bt_loop_stats_reset(T.loop);
  TEST_CALL block = {0};
  test_send("p", "block", NULL, 0, &block);
  bt_loop_stats(T.loop, &stats);
  if (test_isolated()) {
    ok(stats.worst_us < 75000, "a plug-in elsewhere holds its own loop only");
    return;
  }
  ok(stats.worst_us >= 75000, "a plug-in that holds the loop for 80 ms is seen");
  is_str(stats.worst_name, "plugin/p", "by its name");
}

static void test_stop(void) {
  TEST_CALL open = {0};
  struct bt_plugin *p = bt_plugins_named(T.plugins, "p");
  begin("keep", &open);
  test_load("[]");
  ok(open.times == 1 && open.code == BT_CANCELLED, "a stop ends open calls");
  is_int(bt_plugin_status(p), BT_PLUGIN_REMOVED, "it is removed");
  ok(!bt_plugins_named(T.plugins, "p") && !bt_plugins_find(T.plugins, BERTH_CHAT, 0), "and not found");
}

static void test_gone(void) {
  TEST_CALL c = {0};
  struct bt_plugin_call call = {.method = "chat.send", .done = test_done, .arg = &c};
  load();
  struct bt_plugin *p = bt_plugins_named(T.plugins, "p");
  test_load("[]");
  const struct berth_chat *chat = bt_plugin_methods(p, BERTH_CHAT);
  bt_plugin_invoke(p, chat, probe, &call);
  ok(run_until(&c.done, 1000) && c.code == BT_UNAVAILABLE, "a call of a removed plug-in ends as unavailable");
  is_str(c.message, "plug-in p does not run: it was removed from the configuration", "with the reason");
  load();
  ok(bt_plugins_named(T.plugins, "p") == p && bt_plugin_status(p) == BT_PLUGIN_OK, "it can come back");
}

static bool probed;
static void on_probe(void *arg, json_t *report) {
  json_t **out = arg;
  *out = report;
  probed = true;
}

static void test_probe(void) {
  json_t *report = NULL;
  bt_plugins_probe(T.plugins, 1000, on_probe, &report);
  ok(run_until(&probed, 2000) && json_array_size(report) == 1, "every plug-in is probed");
  json_t *o = json_array_get(report, 0);
  is_str(bt_json_str(o, "name"), "p", "by name");
  is_str(bt_json_str(bt_json_obj(o, "result"), "status"), "ok", "with its own word");
  json_decref(report);
}

static void test_speed(void) {
  enum { rounds = 20000 };
  struct bt_plugin *p = bt_plugins_named(T.plugins, "p");
  const struct berth_chat *chat = bt_plugin_methods(p, BERTH_CHAT);
  TEST_CALL c = {0};
  struct bt_plugin_call call = {.method = "chat.probe", .done = test_done, .arg = &c};
  for (int i = 0; i < rounds; i++) {
    bt_plugin_invoke(p, chat, probe, &call);
    if (i % 100 == 0) {
      c.done = false;
      run_until(&c.done, 1000);
    }
  }
  is_int(test_wait(c.times == rounds), true, "all have ended");
  is_int(c.times, rounds, "20,000 calls, 20,000 ends");
}

int main(void) {
  dir = test_modules("tests/plugins/.libs");
  BT_ASSERT(dir);
  test_open_server(NULL);
  load();
  test_ends();
  test_streams();
  test_deadline();
  test_cancel();
  test_missing();
  test_stall();
  test_probe();
  test_speed();
  test_stop();
  test_gone();
  TEST_CALL open = {0};
  begin("keep", &open);
  test_free_server();
  ok(open.times == 1 && open.code == BT_CANCELLED, "the end of the server ends open calls");
  free(dir);
  return done_testing();
}
