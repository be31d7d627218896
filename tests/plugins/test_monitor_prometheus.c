/* monitor-prometheus in the plug-in host: its routes, and whether Prometheus' own checker takes the text. */
#include "config.h"

#include "base/buf.h"
#include "base/file.h"
#include <berth/monitor.h>

#include "plugins/host.h"

struct reply {
  bool done;
  int status;
  enum bt_code code;
  char type[128];
  char *body;
};

static void replied(void *arg, enum bt_code code, const char *message, int status, const struct berth_pair *headers,
                    size_t nheaders, const void *body, size_t len) {
  struct reply *r = arg;
  (void)message;
  r->done = true;
  r->code = code;
  r->status = status;
  for (size_t i = 0; i < nheaders; i++)
    if (!strcmp(headers[i].name, "content-type"))
      snprintf(r->type, sizeof r->type, "%s", headers[i].value);
  r->body = bt_strndup(body ? body : "", len);
}

static void get(const char *path, const char *accept, struct reply *r) {
  struct bt_plugin_route route;
  struct berth_pair header = {"accept", accept ? accept : "*/*"};
  struct berth_route_request request = {
      .size = sizeof request, .method = "GET", .path = path, .query = "", .headers = &header, .nheaders = 1};
  bool found = bt_plugins_route(T.plugins, "GET", path, &route, NULL);
  if (!ok(found, "%s is there", path))
    return;
  bt_plugins_route_call(&route, &request, replied, r);
  run_until(&r->done, 5000);
}

static char *folder;

static void load(const char *config) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"m\",\"plugin\":\"%s/monitor-prometheus.so\",\"config\":%s}]", folder, config);
  test_load(json);
}

static bool promtool(const char *text) {
  char path[] = "/tmp/berth-test-XXXXXX";
  int fd = mkstemp(path);
  bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  BT_AUTO_FREE char *command = bt_asprintf("promtool check metrics <%s >/dev/null 2>%s.err; rc=$?; sed 's/^/# /' %s.err; rm %s.err; "
                                           "exit $rc",
                                           path, path, path, path);
  int rc = written ? system(command) : -1;
  unlink(path);
  return rc == 0;
}

static void test_metrics(void) {
  struct reply plain = {0}, open = {0};
  get("/metrics", NULL, &plain);
  is_int(plain.status, 200, "plain text");
  is_str(plain.type, "text/plain; version=0.0.4; charset=utf-8", "with its type");
  ok(strstr(plain.body, "berth_server_metric 1\n") && strstr(plain.body, "berth_plugin_up{plugin=\"m\"} 1\n") &&
         strstr(plain.body, "berth_prometheus_dropped_series 0\n") && strstr(plain.body, "berth_prometheus_scrapes_total{plugin=\"m\"} 1"),
     "metrics of the server, of the host, of its own");
  if (system("command -v promtool >/dev/null") == 0)
    ok(promtool(plain.body), "promtool finds nothing to complain of");
  get("/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", &open);
  is_str(open.type, "application/openmetrics-text; version=1.0.0; charset=utf-8", "OpenMetrics where it is preferred");
  ok(bt_ends(open.body, "# EOF\n"), "with its end");
  free(plain.body);
  free(open.body);
}

static void many(void (*sample)(void *arg, const struct berth_metric_sample *s), void *arg) {
  for (int i = 0; i < 150; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    struct berth_pair label = {"instance", text};
    struct berth_metric_sample s = {
        .size = sizeof s, .name = "many", .help = "Many.", .kind = BERTH_GAUGE, .labels = &label, .nlabels = 1, .value = i};
    sample(arg, &s);
  }
}

static void test_bound(void) {
  struct reply r = {0};
  load("{\"max_series\":100}");
  test_samples = many;
  get("/metrics", NULL, &r);
  ok(strstr(r.body, "many{instance=\"99\"} 99\n") && !strstr(r.body, "many{instance=\"100\"}"), "100 series and no more");
  ok(strstr(r.body, "berth_prometheus_dropped_series 55\n") != NULL, "the rest is counted");
  test_samples = NULL;
  free(r.body);
  load("{}");
}

static void test_discovery(void) {
  bt_map_set(T.answers, "/v1/instances?limit=1000",
             bt_strdup("{\"items\":[{\"instance\":\"shop-api-1\",\"namespace\":\"default\",\"app\":\"shop\",\"service\":\"api\","
                       "\"revision\":3,\"state\":\"running\",\"ip\":\"10.1.0.2\",\"ready\":true}],\"next\":\"a/b\"}"));
  bt_map_set(T.answers, "/v1/instances?limit=1000&cursor=a%2Fb",
             bt_strdup("{\"items\":[{\"instance\":\"shop-web-1\",\"namespace\":\"default\",\"app\":\"shop\",\"service\":\"web\","
                       "\"revision\":3,\"state\":\"running\",\"ip\":\"10.1.0.3\",\"ready\":true},"
                       "{\"instance\":\"gone-x-1\",\"namespace\":\"default\",\"app\":\"gone\",\"service\":\"x\",\"revision\":1,"
                       "\"state\":\"running\",\"ip\":\"10.1.0.4\"}],\"next\":null}"));
  bt_map_set(T.answers, "/v1/namespaces/default/apps/shop/revisions/3",
             bt_strdup("{\"model\":{\"services\":{\"api\":{\"labels\":{\"berth.prometheus.port\":\"9100\",\"team\":\"a\"}},"
                       "\"web\":{\"deploy\":{\"labels\":{\"berth.prometheus.port\":\"80\"}}}}}}"));
  for (int i = 0; i < 2; i++) { /* the second time from the cache */
    struct reply r = {0};
    get("/v1/sd", NULL, &r);
    is_str(r.type, "application/json", "JSON");
    BT_AUTO_JSON groups = json_loads(r.body, 0, NULL);
    is_int(json_array_size(groups), 2, "two targets");
    BT_AUTO_FREE char *first = bt_json_text(json_object_get(json_array_get(groups, 0), "targets"));
    is_str(first, "[\"10.1.0.2:9100\"]", "the address and the label's port");
    is_str(bt_json_str(bt_json_obj(json_array_get(groups, 0), "labels"), "__meta_berth_label_team"), "a", "other labels");
    BT_AUTO_FREE char *second = bt_json_text(json_object_get(json_array_get(groups, 1), "targets"));
    is_str(second, "[\"10.1.0.3:80\"]", "labels under deploy count, too");
    free(r.body);
  }
  bt_map_del(T.answers, "/v1/instances?limit=1000");
  struct reply r = {0};
  get("/v1/sd", NULL, &r);
  is_int(r.status, 503, "without a list there is no answer: an empty one would remove all targets");
  free(r.body);
}

static void test_settings(void) {
  struct bt_plugin *m = bt_plugins_named(T.plugins, "m");
  struct bt_plugin_route route;
  load("{\"metrics_path\":\"/m\",\"open\":true}");
  ok(bt_plugins_route(T.plugins, "GET", "/m", &route, NULL) && route.open, "another path, open");
  ok(!bt_plugins_route(T.plugins, "GET", "/metrics", &route, NULL), "the old one is gone");
  load("{\"metrics_path\":\"m\"}");
  ok(strstr(bt_plugin_error(m), "are paths as") != NULL, "a path begins with a slash");
  BT_AUTO_FREE char *two = bt_asprintf("[{\"name\":\"m\",\"plugin\":\"%s/monitor-prometheus.so\"},{\"name\":\"n\",\"plugin\":"
                                       "\"%s/monitor-prometheus.so\"}]",
                                       folder, folder);
  test_load(two);
  struct bt_plugin *n = bt_plugins_named(T.plugins, "n");
  if (bt_plugin_status(n) == BT_PLUGIN_OK) { /* in processes of their own either may be the first */
    struct bt_plugin *first = n;
    n = m;
    m = first;
  }
  ok(bt_plugin_status(n) == BT_PLUGIN_FAILED && strstr(bt_plugin_error(n), "is taken"), "two cannot serve one path");
  TEST_CALL c = {0};
  const struct berth_monitor *table = bt_plugin_methods(m, BERTH_MONITOR);
  struct bt_plugin_call call = {.method = "monitor.probe", .done = test_done, .arg = &c};
  bt_plugin_invoke(m, table, probe, &call);
  run_until(&c.done, 1000);
  is_str(bt_json_str(c.result, "mode"), "pull", "a probe");
}

static void question(enum bt_code code, const char *words, const char *name) {
  TEST_CALL c = {0};
  struct bt_plugin *m = bt_plugins_named(T.plugins, "m");
  test_settle();
  const struct berth_monitor *table = bt_plugin_methods(m, BERTH_MONITOR);
  struct berth_monitor_query request = {.size = sizeof request, .query = "up"};
  struct bt_plugin_call call = {.method = "monitor.query", .done = test_done, .arg = &c};
  bt_plugin_invoke(m, table, query, &call, &request);
  run_until(&c.done, 5000);
  if (!ok(c.code == code && strstr(c.message, words), "%s", name))
    printf("# %d: %s\n", (int)c.code, c.message);
}

static void test_queries(void) {
  question(BT_UNSUPPORTED, "give its address as url", "without an address it cannot be asked");
  load("{\"url\":\"http://127.0.0.1:1\",\"token\":\"t\"}");
  question(BT_UNAVAILABLE, "Prometheus at http://127.0.0.1:1 does not answer", "nobody answers there");
  load("{\"url\":\"127.0.0.1:1\"}");
  ok(strstr(bt_plugin_error(bt_plugins_named(T.plugins, "m")), "is Prometheus' address such as") != NULL, "an address has a scheme");
  load("{}");
}

int main(void) {
  folder = test_modules("plugins/monitor-prometheus/.libs");
  BT_ASSERT(folder);
  test_open_server(NULL);
  load("{}");
  is_int(bt_plugin_status(bt_plugins_named(T.plugins, "m")), BT_PLUGIN_OK, "it runs");
  test_metrics();
  test_bound();
  test_discovery();
  test_queries();
  test_settings();
  test_free_server();
  free(folder);
  return done_testing();
}
