/* chat-webhook against a receiver of the test: batches, filters, failures, restarts, and that nothing else waits. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>

#include "base/clock.h"
#include "base/file.h"
#include "plugins/host.h"
#include "plugins/web.h"

/* What the receiver got, and what it shall answer. */
static struct receiver {
  pthread_mutex_t lock;
  char texts[8192]; /* of all accepted messages, each in brackets */
  int posts, status, failures; /* failures: how many requests to refuse with status */
  char headers[256];
} R = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void receive(void *arg, const struct web_request *r, struct web_answer *a) {
  (void)arg;
  pthread_mutex_lock(&R.lock);
  if (R.failures) {
    R.failures--;
    a->status = R.status;
    snprintf(a->headers, sizeof a->headers, "%s", R.headers);
  } else {
    json_t *o = json_loadb(r->body, r->body_len, 0, NULL);
    const char *text = json_string_value(json_object_get(o, "text")), *channel = json_string_value(json_object_get(o, "channel"));
    size_t n = strlen(R.texts);
    snprintf(R.texts + n, sizeof R.texts - n, "[%s%s%s]", channel ? channel : "", channel ? ": " : "", text ? text : "(none)");
    R.posts++;
    json_decref(o);
  }
  pthread_mutex_unlock(&R.lock);
}

static void receiver_set(int failures, int status, const char *headers) {
  pthread_mutex_lock(&R.lock);
  R.texts[0] = '\0';
  R.posts = 0;
  R.failures = failures;
  R.status = status;
  snprintf(R.headers, sizeof R.headers, "%s", headers);
  pthread_mutex_unlock(&R.lock);
}

static char *folder, *want;
static bool arrived;
static bool any_batches; /* what stands in one message and what in the next is not looked at */

/* Under the lock. */
static void join_batches(void) {
  for (char *p = R.texts; any_batches && (p = strstr(p, "][")) != NULL;) {
    *p = '\n';
    memmove(p + 1, p + 2, strlen(p + 2) + 1);
  }
}

static void look(void *arg) {
  struct bt_timer **timer = arg;
  pthread_mutex_lock(&R.lock);
  join_batches();
  arrived = strcmp(R.texts, want) == 0;
  pthread_mutex_unlock(&R.lock);
  if (!arrived)
    bt_timer_set(*timer, 2);
}

/* Waits until the receiver has exactly these texts. */
static void receives(const char *texts, const char *name) {
  struct bt_timer *timer = NULL;
  timer = bt_timer_new(T.loop, "test", look, &timer);
  free(want);
  want = bt_strdup(texts);
  arrived = false;
  bt_timer_set(timer, 0);
  run_until(&arrived, 5000);
  bt_timer_free(&timer);
  pthread_mutex_lock(&R.lock);
  is_str(R.texts, texts, name);
  pthread_mutex_unlock(&R.lock);
}

static void load(int port, const char *more) {
  BT_AUTO_FREE char *json =
      bt_asprintf("[{\"name\":\"c\",\"plugin\":\"%s/chat-webhook.so\",\"config\":{\"url\":\"http://127.0.0.1:%d/hook/T0PS3CRET\","
                  "\"batch_window\":\"20ms\",\"retry_min\":\"10ms\",\"retry_max\":\"40ms\"%s%s}}]",
                  folder, port, *more ? "," : "", more);
  test_load(json);
  struct bt_plugin *c = bt_plugins_named(T.plugins, "c");
  if (bt_plugin_status(c) != BT_PLUGIN_OK || *bt_plugin_error(c))
    printf("# %s\n", bt_plugin_error(c));
  BT_ASSERT(bt_plugin_status(c) == BT_PLUGIN_OK);
}

static void event(const char *severity, const char *app, const char *message) {
  BT_AUTO_FREE char *json = bt_asprintf("{\"type\":\"app.x\",\"severity\":\"%s\",\"namespace\":\"default\",\"app\":\"%s\",\"message\":"
                                        "\"%s\",\"time\":\"2026-11-23T06:00:00.000Z\"}",
                                        severity, app, message);
  test_event(json);
}

static json_t *probe(void) {
  struct bt_plugin *c = bt_plugins_named(T.plugins, "c");
  const struct berth_chat *table = bt_plugin_methods(c, BERTH_CHAT);
  TEST_CALL call_ = {0};
  struct bt_plugin_call call = {.method = "chat.probe", .done = test_done, .arg = &call_};
  bt_plugin_invoke(c, table, probe, &call);
  run_until(&call_.done, 1000);
  return json_incref(call_.result);
}

static void test_messages(int port) {
  receiver_set(0, 0, "");
  load(port, "\"severity\":\"warning\",\"apps\":[\"shop*\"]");
  event("warning", "shop", "one <b>");
  event("info", "shop", "too little");
  event("error", "other", "another app");
  event("error", "shop2", "two");
  receives("[[warning] one &lt;b&gt;\n[error] two]", "one batch of what the filters let through");
  receiver_set(0, 0, "");
  TEST_CALL c = {0}, d = {0};
  test_send("c", "a & b", "#ops", 0, &c);
  ok(bt_json_bool(c.result, "queued", false), "send() queues");
  test_send("c", "c", NULL, 0, &d);
  receives("[#ops: a &amp; b][c]", "a channel's messages go apart");
  BT_AUTO_JSON p = probe();
  is_str(bt_json_str(p, "status"), "ok", "a probe");
}

static void test_failures(int port) {
  receiver_set(3, 503, "");
  load(port, "\"types\":[\"*\",\"!plugin.*\"]");
  event("info", "a", "again");
  receives("[[info] again]", "after three failures it arrives");
  ok(T.published && strstr(T.published, "c plugin.webhook-recovered info 127.0.0.1"), "failing and recovered are told");
  receiver_set(1, 429, "Retry-After: 1\r\n");
  int64_t began = bt_clock_mono_ms();
  event("info", "a", "later");
  receives("[[info] later]", "a limit of the receiver's");
  ok(bt_clock_mono_ms() - began >= 1000, "is waited for as long as it says");
  receiver_set(1, 400, "");
  event("info", "a", "broken");
  run_for(60);
  event("info", "a", "fine");
  receives("[[info] fine]", "a message that is refused does not block the next");
  BT_AUTO_JSON p = probe();
  is_int(bt_json_int(p, "dropped", 0), 1, "and is counted");
}

static void test_full(int port) {
  receiver_set(1000, 500, "");
  load(port, "\"max_queue\":3,\"batch_max\":1");
  for (int i = 0; i < 8; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    event("info", "a", text);
  }
  run_for(60);
  BT_AUTO_JSON p = probe();
  is_int(bt_json_int(p, "queued", 0), 3, "the queue is bounded");
  is_str(bt_json_str(p, "status"), "failing", "a probe says it");
  TEST_CALL full = {0};
  test_send("c", "more", NULL, 0, &full);
  is_int(full.code, BT_EXHAUSTED, "send() is refused");
  receiver_set(0, 0, "");
  receives("[[info] 0][[info] 1][[info] 2][[info] 3][[info] 4][[info] 5][[info] 6][[info] 7]",
           "when the receiver is back, every event comes, in order");
}

static void restart(int port) {
  test_close_server();
  test_open_server(NULL);
  load(port, "");
}

static void test_restart(int port) {
  receiver_set(1000, 500, "");
  load(port, "");
  event("info", "a", "queued");
  run_for(60);
  test_close_server();
  event("info", "a", "meanwhile");
  test_open_server(NULL);
  receiver_set(0, 0, "");
  load(port, "");
  any_batches = true; /* the second may come before or after the batch of the first was closed */
  receives("[[info] queued\n[info] meanwhile]", "what was queued and what happened meanwhile arrive after a restart");
  any_batches = false;
  run_for(30);
  receiver_set(0, 0, "");
  restart(port);
  event("info", "a", "new");
  receives("[[info] new]", "and nothing twice");
  run_for(30);
  pthread_mutex_lock(&R.lock);
  is_int(R.posts, 1, "one request");
  pthread_mutex_unlock(&R.lock);
  size_t left = 0;
  for (struct bt_map_iter it = bt_map_iter(T.kv); bt_map_next(&it);)
    left += strstr(it.key, "\x1fq/") != NULL;
  is_int(left, 0, "the stored queue is empty");
}

/* A receiver that never answers beside one that does. */
static void test_dead(int port) {
  struct web hole = {.hole = true};
  ok(web_start(&hole), "a receiver that never answers");
  receiver_set(0, 0, "");
  BT_AUTO_FREE char *json = bt_asprintf(
      "[{\"name\":\"c\",\"plugin\":\"%s/chat-webhook.so\",\"config\":{\"url\":\"http://127.0.0.1:%d/x\",\"batch_window\":\"1ms\"}},"
      "{\"name\":\"d\",\"plugin\":\"%s/chat-webhook.so\",\"config\":{\"url\":\"http://127.0.0.1:%d/y\",\"batch_window\":\"1ms\"}}]",
      folder, hole.port, folder, port);
  test_load(json);
  bt_loop_stats_reset(T.loop);
  event("info", "a", "fast");
  receives("[[info] fast]", "the other one gets its message");
  struct bt_loop_stats stats;
  bt_loop_stats(T.loop, &stats);
  is_int(stats.stalls, 0, "and the loop never waits");
  test_load("[]");
  web_stop(&hole);
}

static void test_old(int port) {
  receiver_set(1000, 500, "");
  load(port, "\"max_age\":\"150ms\",\"retry_max\":\"60ms\",\"retry_min\":\"60ms\"");
  event("info", "a", "stale");
  run_for(400);
  receiver_set(0, 0, "");
  event("info", "a", "fresh");
  receives("[[info] fresh]", "what is older than max_age is given up");
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  char log[] = "/tmp/berth-test-XXXXXX";
  int fd = mkstemp(log), err = dup(2);
  dup2(fd, 2);
  folder = test_modules("plugins/chat-webhook/.libs");
  BT_ASSERT(folder);
  struct web w = {.handle = receive};
  ok(web_start(&w), "a receiver");
  test_open_server(NULL);
  test_messages(w.port);
  test_failures(w.port);
  test_full(w.port);
  test_restart(w.port);
  test_dead(w.port);
  test_old(w.port);
  test_free_server();
  web_stop(&w);
  /* A dead port, with an error that might name the URL. */
  test_open_server(NULL);
  load(w.port, "");
  event("info", "a", "nobody");
  run_for(60);
  test_free_server();
  dup2(err, 2);
  char *text = NULL;
  BT_AUTO_ERR error = NULL;
  int rc = bt_file_read(log, 1 << 20, &text, NULL, &error);
  ok(rc == 0 && strstr(text, "does not take messages") && !strstr(text, "T0PS3CRET"), "the URL's path stands nowhere in the log");
  unlink(log);
  free(text);
  free(folder);
  free(want);
  return done_testing();
}
