/* A server for tests of plug-ins: a loop, an HTTP client, a pool, and what berthd would fill in, as maps in memory. */
#ifndef BERTH_TESTS_HOST_H
#define BERTH_TESTS_HOST_H

#include <berth/chat.h>
#include <berth/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "loop/http_client.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "plugin/plugin.h"
#include "state/watch.h"
#include "tap.h"

static struct test_server {
  struct bt_loop *loop;
  struct bt_http *http;
  struct bt_pool *pool;
  struct bt_feed *feed;
  struct bt_plugins *plugins;
  struct bt_map *kv;      /* "entry\x1fkey" -> base64 */
  struct bt_map *secrets; /* name -> text */
  struct bt_map *answers; /* path -> JSON, of query */
  struct bt_plugin_server server;
  struct bt_timer *patience;
  bool late;
  int publishes;
  char *published; /* the last event of a plug-in's own */
  uint64_t revision;
  json_t *events;  /* all that were committed, with their revisions */
  uint64_t oldest; /* of those that are kept */
} T;

static void test_kv_put(void *arg, const char *entry, const char *key, const char *value,
                        void (*done)(void *done_arg, enum bt_code code, const char *message), void *done_arg) {
  (void)arg;
  BT_AUTO_FREE char *full = bt_asprintf("%s\x1f%s", entry, key);
  if (value)
    bt_map_set(T.kv, full, bt_strdup(value));
  else
    bt_map_del(T.kv, full);
  done(done_arg, BT_OK, "");
}

static int test_by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void test_kv_scan(void *arg, const char *entry, const char *prefix,
                         bool (*found)(void *found_arg, const char *key, const char *value), void *found_arg) {
  (void)arg;
  BT_AUTO_FREE char *full = bt_asprintf("%s\x1f%s", entry, prefix);
  BT_AUTO_STRS keys = {0};
  for (struct bt_map_iter it = bt_map_iter(T.kv); bt_map_next(&it);)
    if (bt_starts(it.key, full))
      bt_strs_add(&keys, it.key);
  if (keys.len)
    qsort(keys.items, keys.len, sizeof *keys.items, test_by_text);
  for (size_t i = 0; i < keys.len; i++)
    if (!found(found_arg, strchr(keys.items[i], '\x1f') + 1, bt_map_get(T.kv, keys.items[i])))
      return;
}

static void test_secret(void *arg, const char *name,
                        void (*done)(void *done_arg, enum bt_code code, const char *message, const void *value, size_t len),
                        void *done_arg) {
  (void)arg;
  const char *value = bt_map_get(T.secrets, name);
  if (value)
    done(done_arg, BT_OK, "", value, strlen(value));
  else
    done(done_arg, BT_NOT_FOUND, "no such secret", NULL, 0);
}

static void test_publish(void *arg, const char *entry, const char *type, const char *severity, const char *message,
                         const char *data_json) {
  (void)arg;
  T.publishes++;
  free(T.published);
  T.published = bt_asprintf("%s %s %s %s %s", entry, type, severity, message, data_json ? data_json : "-");
}

static json_t *test_past_events(void *arg, uint64_t after, bool *complete) {
  (void)arg;
  json_t *list = json_array(), *e;
  size_t i;
  json_array_foreach(T.events, i, e) {
    if ((uint64_t)bt_json_int(e, "revision", 0) > after)
      json_array_append(list, e);
  }
  *complete = after <= T.revision && after + 1 >= T.oldest;
  return list;
}

static bool test_reserved(void *arg, const char *method, const char *path) {
  (void)arg, (void)method;
  return bt_starts(path, "/v1/") && !bt_starts(path, "/v1/sd");
}

static void test_query(void *arg, const char *path,
                       void (*done)(void *done_arg, enum bt_code code, const char *message, const char *json), void *done_arg) {
  (void)arg;
  const char *json = bt_map_get(T.answers, path);
  if (json)
    done(done_arg, BT_OK, "", json);
  else
    done(done_arg, BT_NOT_FOUND, "no such path", NULL);
}

/* Tests that want other samples set this. */
static void (*test_samples)(void (*sample)(void *arg, const struct berth_metric_sample *s), void *arg);

static void test_collect(void *arg, int64_t max_age_ms,
                         void (*sample)(void *done_arg, const struct berth_metric_sample *sample),
                         void (*done)(void *done_arg, enum bt_code code, const char *message), void *done_arg) {
  (void)arg, (void)max_age_ms;
  struct berth_metric_sample s = {
      .size = sizeof s, .name = "berth_server_metric", .help = "One.", .kind = BERTH_GAUGE, .value = 1};
  if (test_samples)
    test_samples(sample, done_arg);
  else
    sample(done_arg, &s);
  done(done_arg, BT_OK, "");
}

static void test_late(void *arg) {
  (void)arg;
  T.late = true;
}

/* Turns the loop until *flag, at most ms. */
__attribute__((unused)) static bool run_until(const bool *flag, int ms);

static const bool *test_flag;
static void test_look(void *arg) {
  (void)arg;
  if (*test_flag || T.late)
    bt_loop_stop(T.loop);
}

struct test_poll {
  struct bt_timer *timer;
};
static struct test_poll test_poll;

static void test_tick(void *arg) {
  test_look(arg);
  while (T.feed && bt_feed_pump(T.feed, 100)) {
  }
  if (!*test_flag && !T.late)
    bt_timer_set(test_poll.timer, 1);
}

static bool run_until(const bool *flag, int ms) {
  T.late = false;
  test_flag = flag;
  bt_timer_set(T.patience, ms);
  bt_timer_set(test_poll.timer, 0);
  while (!*flag && !T.late)
    bt_loop_run(T.loop);
  bt_timer_clear(T.patience);
  bt_timer_clear(test_poll.timer);
  return *flag;
}

__attribute__((unused)) static void run_for(int ms) {
  bool never = false;
  run_until(&never, ms);
}

static void test_open_server(const char *const *dirs) {
  T.loop = bt_loop_new();
  T.http = bt_http_new(T.loop);
  T.pool = bt_pool_new(T.loop, 2);
  T.feed = bt_feed_new(0);
  bt_feed_start(T.feed, T.revision);
  T.events = T.events ? T.events : json_array();
  T.kv = T.kv ? T.kv : bt_map_new(free);
  T.secrets = T.secrets ? T.secrets : bt_map_new(free);
  T.answers = T.answers ? T.answers : bt_map_new(free);
  T.patience = bt_timer_new(T.loop, "test", test_late, NULL);
  test_poll.timer = bt_timer_new(T.loop, "test", test_tick, NULL);
  T.server = (struct bt_plugin_server){.kv_put = test_kv_put,
                                       .kv_scan = test_kv_scan,
                                       .secret = test_secret,
                                       .feed = T.feed,
                                       .past_events = test_past_events,
                                       .publish = test_publish,
                                       .path_reserved = test_reserved,
                                       .query = test_query,
                                       .collect = test_collect};
  struct bt_plugins_setup setup = {.loop = T.loop, .http = T.http, .pool = T.pool, .server = &T.server, .dirs = dirs, .retry_ms = 20};
  T.plugins = bt_plugins_new(&setup);
}

/* The daemon's order: plug-ins, workers, connections, loop. What is kept in maps outlives it, as a store would. */
static void test_close_server(void) {
  bt_plugins_free(&T.plugins);
  bt_pool_free(&T.pool);
  bt_http_free(&T.http);
  bt_feed_free(&T.feed);
  bt_timer_free(&T.patience);
  bt_timer_free(&test_poll.timer);
  bt_loop_free(&T.loop);
}

__attribute__((unused)) static void test_free_server(void) {
  test_close_server();
  bt_map_free(&T.kv);
  bt_map_free(&T.secrets);
  bt_map_free(&T.answers);
  json_decref(T.events);
  T.events = NULL;
  free(T.published);
  T.published = NULL;
}

__attribute__((unused)) static void test_event(const char *json) {
  BT_AUTO_FREE char *key = bt_asprintf("e%llu", (unsigned long long)++T.revision);
  json_t *e = json_loads(json, 0, NULL);
  bt_json_set_int(e, "revision", (long long)T.revision);
  json_array_append_new(T.events, e);
  if (T.feed)
    bt_feed_add(T.feed, T.revision, "event", key, json);
}

/* A call and its end. */
struct test_call {
  bool done;
  int times;
  enum bt_code code;
  char message[512];
  json_t *result;
  char emitted[256];
};

__attribute__((unused)) static void test_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct test_call *c = arg;
  c->done = true;
  c->times++;
  c->code = code;
  snprintf(c->message, sizeof c->message, "%s", message);
  json_decref(c->result);
  c->result = json_incref(result);
}

__attribute__((unused)) static size_t test_emit(void *arg, int channel, const void *data, size_t len) {
  struct test_call *c = arg;
  size_t n = strlen(c->emitted);
  if (len)
    snprintf(c->emitted + n, sizeof c->emitted - n, "[%d %.*s]", channel, (int)len, (const char *)data);
  return 0;
}

__attribute__((unused)) static void test_call_free(struct test_call *c) { json_decref(c->result); }
#define TEST_CALL __attribute__((cleanup(test_call_free))) struct test_call

static bool test_starting(void) {
  BT_AUTO_JSON list = bt_plugins_json(T.plugins);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) {
    if (bt_streq(bt_json_str(o, "status"), "starting") && json_integer_value(json_object_get(o, "pid")))
      return true;
  }
  return false;
}

/* Those that start in a process of their own say how it went later. */
__attribute__((unused)) static void test_settle(void) {
  for (int i = 0; i < 1000 && test_starting(); i++)
    run_for(10);
}

__attribute__((unused)) static bool test_isolated(void) { return bt_streq(getenv("BERTH_TEST_ISOLATION"), "process"); }

/* Turns the loop until the condition holds, 5 s at most: what another process has to say comes later. */
#define test_wait(condition)                       \
  ({                                               \
    for (int i_ = 0; i_ < 1000 && !(condition); i_++) \
      run_for(5);                                  \
    (condition);                                   \
  })

/* "isolation" of an entry, else what the environment says: every test of a plug-in runs both ways. */
static enum bt_plugin_mode test_mode(const json_t *entry) {
  const char *env = getenv("BERTH_TEST_ISOLATION");
  const char *mode = bt_json_str_or(entry, "isolation", env ? env : "none");
  return strcmp(mode, "process") == 0 ? BT_PLUGIN_MODE_PROCESS : BT_PLUGIN_MODE_NONE;
}

static const char *test_user(void) {
  const char *user = getenv("BERTH_TEST_USER");
  return user && *user ? user : NULL;
}

static struct bt_strs *test_texts(const json_t *list) {
  struct bt_strs *texts = list ? bt_new(struct bt_strs) : NULL;
  size_t i;
  json_t *text;
  json_array_foreach(list, i, text) bt_strs_add(texts, json_string_value(text));
  return texts;
}

static void test_texts_free(const struct bt_strs *texts) {
  if (texts)
    bt_strs_free((struct bt_strs *)(uintptr_t)texts);
  free((void *)(uintptr_t)texts);
}

/* Starts entries from JSON: [{"name","plugin","config","isolation","egress","command","memory","files"}]. */
__attribute__((unused)) static void test_load(const char *json) {
  BT_AUTO_JSON list = json_loads(json, 0, NULL);
  BT_ASSERT(list);
  struct bt_plugin_entry entries[16] = {0};
  size_t n = 0, i;
  json_t *o;
  json_array_foreach(list, i, o) {
    entries[n++] = (struct bt_plugin_entry){
        .name = bt_json_str(o, "name"), .plugin = bt_json_str(o, "plugin"), .config = bt_json_obj(o, "config")};
    entries[n - 1].isolation.mode = test_mode(o);
    BT_AUTO_JSON egress = getenv("BERTH_TEST_EGRESS") ? json_loads(getenv("BERTH_TEST_EGRESS"), 0, NULL) : NULL;
    entries[n - 1].isolation.egress = test_texts(bt_json_arr(o, "egress") ? bt_json_arr(o, "egress") : egress);
    entries[n - 1].isolation.command = test_texts(bt_json_arr(o, "command"));
    entries[n - 1].isolation.user = test_user();
    entries[n - 1].isolation.network = test_user() != NULL;
    entries[n - 1].isolation.memory = bt_json_int(o, "memory", 0);
    entries[n - 1].isolation.files = bt_json_int(o, "files", 0);
  }
  bt_plugins_load(T.plugins, entries, n);
  for (i = 0; i < n; i++) {
    test_texts_free(entries[i].isolation.egress);
    test_texts_free(entries[i].isolation.command);
  }
  test_settle();
}

/* Invokes chat.send of the entry and waits for its end. */
__attribute__((unused)) static void test_send(const char *name, const char *text, const char *channel, int64_t deadline_ms,
                                              struct test_call *c) {
  struct bt_plugin *entry = bt_plugins_named(T.plugins, name);
  const struct berth_chat *chat = bt_plugin_methods(entry, BERTH_CHAT);
  struct bt_plugin_call call = {
      .method = "chat.send", .deadline_ms = deadline_ms, .emit = test_emit, .done = test_done, .arg = c};
  struct berth_chat_send request = {.size = sizeof request, .text = text, .channel = channel, .severity = "info"};
  bt_plugin_invoke(entry, chat, send, &call, &request);
  ok(!c->done, "%s: done does not come from inside the call", text);
  run_until(&c->done, 5000);
}

/* The build's folder of a kind of modules. The caller frees. */
__attribute__((unused)) static char *test_modules(const char *folder) {
  const char *top = getenv("top_builddir");
  char *relative = bt_asprintf("%s/%s", top ? top : ".", folder);
  char *full = realpath(relative, NULL);
  free(relative);
  return full;
}

#endif
