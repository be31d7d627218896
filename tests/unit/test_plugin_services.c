/* Every service of the host, through a plug-in that uses it; configuration, reload, routes. */
#include "config.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "plugins/host.h"

static char *dir;

static void load_config(const char *config) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"s\",\"plugin\":\"%s/chat_services.so\",\"config\":%s,"
                                        "\"egress\":[\"127.0.0.1\",\"localhost\"]}]",
                                        dir, config);
  test_load(json);
}

/* Sends and compares the result's text; where the call fails, its code and sentence. */
static void gives(const char *what, const char *arg, const char *want) {
  TEST_CALL c = {0};
  test_send("s", what, arg, 2000, &c);
  BT_AUTO_FREE char *got =
      c.result ? bt_json_text(c.result) : bt_asprintf("%s: %s", c.done ? bt_code_name(c.code) : "no end", c.message);
  is_str(got, want, what);
}

static void test_simple(void) {
  gives("timer", NULL, "{\"timer\":true}");
  gives("fd", NULL, "{\"fd\":true}");
  gives("worker", NULL, "{\"worker\":true}");
  gives("child", NULL, "{\"status\":3,\"out\":\"in\"}");
  gives("metrics", NULL, "{\"samples\":102,\"code\":0}");
  gives("publish", NULL, "{}");
  is_str(T.published, "s plugin.greeting info Hello. {\"n\":1}", "an event of its own has the prefix");
}

static void test_kv(void) {
  gives("put", "a/1", "{\"put\":true}");
  gives("put", "a/2", "{\"put\":true}");
  gives("put", "b/1", "{\"put\":true}");
  gives("scan", NULL, "{\"a/1\":\"v\",\"a/2\":\"v\"}");
  gives("delete", "a/1", "{\"put\":true}");
  gives("scan", NULL, "{\"a/2\":\"v\"}");
  gives("put", "", "invalid: a key has 1 to 256 bytes, a value at most 64 KiB");
  char key[300];
  memset(key, 'k', sizeof key - 1);
  key[sizeof key - 1] = '\0';
  gives("put", key, "invalid: a key has 1 to 256 bytes, a value at most 64 KiB");
}

static void test_secrets(void) {
  gives("secret", "elsewhere", "denied: the configuration of this plug-in does not name that secret");
  gives("secret", "pw", "{\"secret\":\"hunter2\"}");
}

static void test_events_service(void) {
  test_event("{\"type\":\"app.applied\",\"severity\":\"info\",\"namespace\":\"default\",\"app\":\"shop\",\"message\":\"m\","
             "\"time_ms\":7,\"data\":{\"x\":1}}");
  bt_feed_add(T.feed, ++T.revision, "app", "default/shop", "{}");
  test_event("{\"type\":\"app.removed\",\"severity\":\"info\",\"app\":\"shop\"}");
  gives("event", "1", "{\"type\":\"app.removed\",\"app\":\"shop\",\"revision\":3,\"data\":{}}");
}

/* After a restart the feed is empty: what is older comes out of the store, and a gap where even that is gone. */
static void test_past(void) {
  test_event("{\"type\":\"app.stored\",\"app\":\"x\"}");
  test_event("{\"type\":\"app.later\",\"app\":\"x\"}");
  uint64_t first = T.revision - 1;
  test_close_server();
  test_open_server(NULL);
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"pw\"}}");
  char after[24];
  snprintf(after, sizeof after, "%d", (int)first - 1);
  BT_AUTO_FREE char *want = bt_asprintf("{\"type\":\"app.stored\",\"app\":\"x\",\"revision\":%d,\"data\":{}}", (int)first);
  gives("event", after, want);
  T.oldest = first + 1;
  BT_AUTO_FREE char *gap = bt_asprintf("{\"type\":\"gap\",\"app\":\"\",\"revision\":%d,\"data\":{}}", (int)T.revision);
  gives("event", after, gap);
  snprintf(after, sizeof after, "%d", (int)T.revision);
  TEST_CALL none = {0};
  test_send("s", "event", after, 50, &none);
  is_int(none.code, BT_DEADLINE, "up to date: nothing comes");
}

static void test_queries(void) {
  bt_map_set(T.answers, "/v1/version", bt_strdup("{\"version\":\"0\"}"));
  gives("query", "/v1/version", "{\"version\":\"0\"}");
  gives("query", "/v1/nothing", "not_found: no such path");
}

/* One answer of a server on a free port. */
static int served_fd;
static void *serve(void *arg) {
  (void)arg;
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
  char buf[4096];
  int fd = accept(served_fd, NULL, NULL);
  if (fd >= 0 && read(fd, buf, sizeof buf) > 0 && write(fd, answer, sizeof answer - 1) < 0)
    perror("write");
  close(fd);
  return NULL;
}

static void test_http_service(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  served_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ok(bind(served_fd, (struct sockaddr *)&a, len) == 0 && listen(served_fd, 1) == 0 &&
         getsockname(served_fd, (struct sockaddr *)&a, &len) == 0,
     "a server");
  pthread_t t;
  ok(pthread_create(&t, NULL, serve, NULL) == 0, "and its thread");
  BT_AUTO_FREE char *url = bt_asprintf("http://127.0.0.1:%d/", ntohs(a.sin_port));
  gives("http", url, "{\"status\":200,\"body\":\"hi\"}");
  pthread_join(t, NULL);
  close(served_fd);
  gives("http", "http://127.0.0.2/", "denied: egress does not allow 127.0.0.2:80");
  TEST_CALL c = {0};
  test_send("s", "http", url, 2000, &c);
  is_int(c.code, BT_UNAVAILABLE, "nobody there");
}

/* ---------------------------------------------------------------- routes */

struct reply {
  bool done;
  int times, status;
  enum bt_code code;
  char body[64];
};

static void replied(void *arg, enum bt_code code, const char *message, int status, const struct berth_pair *headers,
                    size_t nheaders, const void *body, size_t len) {
  struct reply *r = arg;
  (void)message, (void)headers, (void)nheaders;
  r->done = true;
  r->times++;
  r->code = code;
  r->status = status;
  snprintf(r->body, sizeof r->body, "%.*s", (int)len, (const char *)body);
}

static void test_routes_service(void) {
  struct bt_plugin_route route;
  bool other = false;
  ok(bt_plugins_route(T.plugins, "GET", "/test/x", &route, &other) && route.open, "the prefix is found");
  ok(!bt_plugins_route(T.plugins, "POST", "/test/x", &route, &other) && other, "not under another method, which is said");
  ok(!bt_plugins_route(T.plugins, "GET", "/tes", &route, &other) && !other, "nor another path");
  bool found = bt_plugins_route(T.plugins, "GET", "/test/twice", &route, &other);
  struct reply r = {0}, silent = {0};
  struct berth_route_request request = {.size = sizeof request, .method = "GET", .path = "/test/twice", .query = ""};
  bt_plugins_route_call(&route, &request, replied, &r);
  ok(found && !r.done, "the answer does not come from inside the call");
  ok(run_until(&r.done, 1000) && r.status == 200 && !strcmp(r.body, "/test/twice"), "but then");
  run_for(5);
  is_int(r.times, 1, "a second reply is dropped");
  struct reply split = {0};
  request.path = "/test/split";
  bt_plugins_route_call(&route, &request, replied, &split);
  ok(run_until(&split.done, 1000) && split.code == BT_INTERNAL, "a header with a line break is no answer");
  request.path = "/test/silent";
  bt_plugins_route_call(&route, &request, replied, &silent);
  run_for(5);
  ok(!silent.done, "a silent one keeps the caller waiting");
  load_config("{\"room\":\"other\"}");
  ok(silent.times == 1 && silent.code == BT_CANCELLED, "until the plug-in stops");
}

/* What comes to /hooks/<entry> proves itself with that entry's secret, so nobody else may hear it, not even while the entry is away. */
static void test_hooks_are_the_entrys(void) {
  struct bt_plugin_route route;
  gives("route", "/hooks/s", "{\"route\":true}");
  gives("route", "/hooks/s/push", "{\"route\":true}");
  gives("route", "/hooks/s/*", "{\"route\":true}");
  gives("route", "/hooks/other", "{\"route\":false}");
  gives("route", "/hooks/sx", "{\"route\":false}");
  gives("route", "/hooks/*", "{\"route\":false}");
  gives("route", "/hooks", "{\"route\":false}");
  gives("route", "/*", "{\"route\":true}");
  ok(bt_plugins_route(T.plugins, "POST", "/hooks/s/any", &route, NULL) && route.open, "its own hooks come to it");
  ok(!bt_plugins_route(T.plugins, "POST", "/hooks/other", &route, NULL), "others' do not, though its prefix is /");
  ok(bt_plugins_route(T.plugins, "POST", "/elsewhere", &route, NULL), "what else is under that does");
}

/* ---------------------------------------------------------------- configuration */

static void test_config(void) {
  struct bt_plugin *s = bt_plugins_named(T.plugins, "s");
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"pw\"}}");
  is_int(bt_plugin_status(s), BT_PLUGIN_OK, "an immutable field changed: a new start");
  gives("config", NULL,
        "{\"greeting\":\"hello\",\"room\":\"r\",\"password\":\"hunter2\",\"interval\":10000,\"buffer\":65536,\"retries\":3,"
        "\"loud\":false}");
  gives("reloads", NULL, "{\"reloads\":0}");
  load_config("{\"room\":\"r\",\"greeting\":\"hi\",\"password\":{\"secret\":\"pw\"}}");
  gives("reloads", NULL, "{\"reloads\":1}");
  load_config("{\"room\":\"r\",\"greeting\":\"hi\",\"password\":{\"secret\":\"pw\"}}");
  gives("reloads", NULL, "{\"reloads\":1}");
  load_config("{\"room\":\"r\",\"greting\":\"hi\"}");
  is_int(bt_plugin_status(s), BT_PLUGIN_OK, "a broken new configuration leaves the old one in force");
  ok(strstr(bt_plugin_error(s), "did you mean \"greeting\"?") != NULL, "and says why");
  gives("reloads", NULL, "{\"reloads\":1}");
  load_config("{\"room\":\"r\",\"greeting\":\"forbidden\"}");
  ok(test_wait(strstr(bt_plugin_error(s), "is not to be said")) != NULL, "validate can refuse as well");
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"missing\"}}");
  ok(strstr(bt_plugin_error(s), "secret \"missing\": no such secret") != NULL, "a secret that is missing");
  test_load("[]");
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"missing\"}}");
  is_int(bt_plugin_status(s), BT_PLUGIN_FAILED, "from nothing it is failed");
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"pw\"}}");
  is_int(bt_plugin_status(s), BT_PLUGIN_OK, "and runs with the next good one");
}

/* New values reach the plug-ins that name them, and nobody else. */
static void test_secret_changes(void) {
  struct bt_plugin *s = bt_plugins_named(T.plugins, "s");
  static const char with[] = "{\"greeting\":\"hello\",\"room\":\"r\",\"password\":\"%s\",\"interval\":10000,\"buffer\":65536,"
                             "\"retries\":3,\"loud\":false}";
  BT_AUTO_FREE char *before = bt_asprintf(with, "hunter2"), *after = bt_asprintf(with, "hunter3");
  bt_map_set(T.secrets, "pw", bt_strdup("hunter3"));
  bt_plugins_secret_changed(T.plugins, "other");
  gives("config", NULL, before);
  bt_plugins_secret_changed(T.plugins, "pw");
  gives("config", NULL, after);
  gives("reloads", NULL, "{\"reloads\":1}");
  bt_map_set(T.secrets, "pw", bt_strdup("hunter2"));
  bt_plugins_secret_changed(T.plugins, NULL);
  gives("config", NULL, before);
  test_load("[]");
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"missing\"}}");
  is_int(bt_plugin_status(s), BT_PLUGIN_FAILED, "an entry that waits for a secret");
  bt_map_set(T.secrets, "missing", bt_strdup("found"));
  bt_plugins_secret_changed(T.plugins, "missing");
  ok(test_wait(bt_plugin_status(s) == BT_PLUGIN_OK), "starts when it comes");
  test_load("[]");
  bt_plugins_secret_changed(T.plugins, "missing");
  is_int(bt_plugin_status(s), BT_PLUGIN_REMOVED, "what was removed stays away");
}

static void test_metrics_list(void *arg, const struct berth_metric_sample *s) {
  struct bt_buf *b = arg;
  bt_buf_addf(b, "%s{%s=%s}=%g ", s->name, s->labels[0].name, s->labels[0].value, s->value);
}

static void count_many(void *arg, const struct berth_metric_sample *s) { *(int *)arg += strcmp(s->name, "test_many") == 0; }

/* Series are bounded by their number and by what they take. */
static void test_many_series(void) {
  int many = 0;
  if (test_isolated())
    return; /* so many messages are a test of the link */
  load_config("{\"room\":\"short\"}");
  gives("series", "1", "{}");
  bt_plugins_metrics(T.plugins, count_many, &many);
  is_int(many, 10000, "no more than 10,000");
  many = 0;
  test_load("[]");
  load_config("{\"room\":\"long\"}");
  gives("series", "1000", "{}");
  bt_plugins_metrics(T.plugins, count_many, &many);
  ok(many > 1000 && many < 4000, "of 2 KB each %d, in 4 MiB", many);
  test_load("[]");
}

int main(void) {
  dir = test_modules("tests/plugins/.libs");
  BT_ASSERT(dir);
  test_open_server(NULL);
  bt_map_set(T.secrets, "pw", bt_strdup("hunter2"));
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"pw\"}}");
  test_simple();
  test_kv();
  test_secrets();
  test_events_service();
  test_queries();
  test_http_service();
  BT_AUTO_BUF metrics = {0};
  bt_plugins_metrics(T.plugins, test_metrics_list, &metrics);
  ok(strstr(metrics.data, "berth_plugin_up{plugin=s}=1") && strstr(metrics.data, "test_rounds{plugin=s}=2"),
     "metrics of plug-ins and about them");
  test_past();
  test_routes_service();
  test_hooks_are_the_entrys();
  test_config();
  test_secret_changes();
  test_many_series();
  load_config("{\"room\":\"r\",\"password\":{\"secret\":\"pw\"}}");
  TEST_CALL open = {0};
  test_send("s", "long timer", NULL, 20, &open);
  is_int(open.code, BT_DEADLINE, "an open timer");
  test_free_server();
  free(dir);
  return done_testing();
}
