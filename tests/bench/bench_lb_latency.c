/* bench lb-latency: an endpoint is reported ready or unready, with 1,000 servers behind the route, until HAProxy has acknowledged what it
 * acts on from then. Through the balancer, lb-haproxy and a real HAProxy; what the server adds before (a step and a commit, under 1 ms)
 * has a bench of its own. Every hundredth change is looked up in HAProxy itself. And lb-loop: the longest that any of it held the loop,
 * with those servers, and then with as many routes of one server each; without what it waited for a processor. */
#include <berth/lb.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench.h"
#include "node/balancer.h"
#include "tests/plugins/host.h"

enum { SERVERS = 1000, CHANGES = 1000, LOOKS = 100 };

static char *dir;
static struct bt_balancer *balancer;

static json_t *endpoint(int i, const char *key) {
  char id[32], address[32];
  snprintf(id, sizeof id, "s%04d", i);
  snprintf(address, sizeof address, "127.1.%d.%d", i / 250, i % 250 + 1);
  return json_pack("{s:s,s:s,s:i,s:s,s:s}", key, id, "address", address, "port", 9, "state", "ready", "pool", "p");
}

static bool many; /* routes, of one server each */

static json_t *many_routes(void) {
  json_t *routes = json_array(), *pools = json_array();
  for (int i = 0; i < SERVERS; i++) {
    BT_AUTO_FREE char *id = bt_asprintf("default/r%d.example/", i), *host = bt_asprintf("r%d.example", i), *pool = bt_asprintf("p%d", i);
    json_array_append_new(routes, json_pack("{s:s,s:s,s:[s],s:[{s:s,s:i}],s:{s:i,s:i}}", "id", id, "protocol", "http", "hosts", host, "targets", "pool", pool,
                                            "weight", 100, "rate_limit", "requests", 100, "period_ms", 1000));
    json_array_append_new(pools, json_pack("{s:s,s:[o]}", "id", pool, "endpoints", endpoint(i, "id")));
  }
  return json_pack("{s:i,s:o,s:o,s:[]}", "revision", 2, "routes", routes, "pools", pools, "certificates");
}

static json_t *table(void *arg) {
  (void)arg;
  if (many)
    return many_routes();
  json_t *endpoints = json_array();
  for (int i = 0; i < SERVERS; i++)
    json_array_append_new(endpoints, endpoint(i, "id"));
  return json_pack("{s:i,s:[{s:s,s:s,s:[s],s:[{s:s,s:i}]}],s:[{s:s,s:o}],s:[]}", "revision", 1, "routes", "id", "default/bench.example/", "protocol",
                   "http", "hosts", "bench.example", "targets", "pool", "p", "weight", 100, "pools", "id", "p", "endpoints", endpoints,
                   "certificates");
}

static int content(void *arg, const char *namespace_, const char *key, void **data, size_t *len, struct bt_err **err) {
  (void)arg, (void)namespace_, (void)key, (void)data, (void)len;
  return bt_err_set(err, BT_NOT_FOUND, "none");
}

static bool served;
static void report(void *arg, json_t *args_steal) {
  (void)arg;
  served = bt_streq(bt_json_str(args_steal, "status"), "ok");
  if (bt_json_str(args_steal, "message"))
    fprintf(stderr, "%s\n", bt_json_str(args_steal, "message"));
  json_decref(args_steal);
}

/* Calls that the plug-in has finished; the one that runs as long as it lives (events) does not count. */
static long long finished(void) {
  BT_AUTO_JSON list = bt_plugins_json(T.plugins);
  const json_t *o = json_array_get(list, 0);
  return bt_json_int(o, "calls", 0) - bt_json_int(o, "in_flight", 0);
}

static bool ask(const char *line, char *out, size_t room) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s/admin.sock", dir);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  size_t at = 0;
  bool good = connect(fd, (struct sockaddr *)&un, sizeof un) == 0 && write(fd, line, strlen(line)) > 0;
  for (ssize_t n; good && at < room - 1 && (n = read(fd, out + at, room - 1 - at)) > 0;)
    at += (size_t)n;
  out[at] = 0;
  close(fd);
  return good;
}

/* Does HAProxy itself say so? */
static bool looked_up(int i, bool ready) {
  static char text[1 << 20];
  char mark[64];
  if (!ask("show servers state\n", text, sizeof text))
    return false;
  snprintf(mark, sizeof mark, " s%04d 127.1.%d.%d ", i, i / 250, i % 250 + 1);
  const char *row = strstr(text, mark);
  return ready ? row != NULL : row == NULL || strtol(row + strlen(mark) + 2, NULL, 10) != 0;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/* Until the plug-in has finished another call; in ms. */
static double call(bool whole, const json_t *changes, int64_t limit_us) {
  long long before = finished();
  int64_t start = bt_clock_mono_us();
  bt_balancer_changed(balancer, whole, changes);
  while (finished() == before && bt_clock_mono_us() - start < limit_us)
    event_base_loop(bt_loop_base(T.loop), EVLOOP_ONCE);
  return (double)(bt_clock_mono_us() - start) / 1000;
}

static double one(int i, bool ready) {
  BT_AUTO_JSON list = json_array();
  json_t *e = endpoint(i, "endpoint");
  if (!ready)
    bt_json_set_str(e, "state", "gone");
  json_array_append_new(list, e);
  if (many)
    json_object_set_new(e, "pool", json_sprintf("p%d", i));
  return call(false, list, 5000000);
}

/* Somebody's server may have any port, and keep it: the first that is free from there on, below those that the system gives. */
static int free_port(int from) {
  for (int port = from; port < 32000; port++) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = bind(fd, (struct sockaddr *)&in, sizeof in) == 0;
    close(fd);
    if (good)
      return port;
  }
  return from;
}

static int print_loop(double reload_ms) {
  struct bt_loop_stats stats;
  bt_loop_stats(T.loop, &stats);
  BT_AUTO_FREE char *more = bt_asprintf(", \"callback\": \"%s\", \"on_processor\": %.1f, \"routes\": %d, \"reload_ms\": %.0f", stats.own_name, (double)stats.own_cpu_us / 1000,
                                        SERVERS, reload_ms);
  struct bench_result result = {.name = "lb-loop", .unit = "ms", .value = (double)stats.own_us / 1000, .floor = NAN, .peer = NAN, .ratio = NAN, .reach = 50, .more = more};
  return bench_print(&result);
}

int main(void) {
  char template[] = "/tmp/berth-bench-lb-XXXXXX";
  dir = mkdtemp(template);
  test_open_server(NULL);
  BT_AUTO_FREE char *listen = bt_asprintf("127.0.0.1:%d", free_port(20000 + (int)getpid() % 11000));
  json_t *config = json_pack("{s:s,s:[s],s:[],s:s}", "dir", dir, "http", listen, "https", "stats_interval", "1s");
  struct bt_plugin_entry entry = {.name = "lb", .plugin = "lb-haproxy", .config = config};
  bt_plugins_load(T.plugins, &entry, 1);
  struct bt_balancer_options options = {.loop = T.loop, .plugins = T.plugins, .table = table, .content = content, .report = report};
  balancer = bt_balancer_new(&options);
  bt_loop_stats_reset(T.loop);
  bt_balancer_changed(balancer, true, NULL);
  run_until(&served, 30000);
  if (!served)
    fprintf(stderr, "HAProxy does not serve after 30 s\n");
  static double took[CHANGES];
  int wrong = 0;
  for (int n = 0; n < CHANGES && served; n++) { /* one goes, and comes back */
    int i = n / 2 * 37 % SERVERS;
    took[n] = one(i, n % 2 == 1);
    if (n % (2 * CHANGES / LOOKS) < 2 && !looked_up(i, n % 2 == 1))
      wrong++;
  }
  qsort(took, CHANGES, sizeof *took, by_value);
  BT_AUTO_FREE char *more = bt_asprintf(", \"median\": %.3f, \"worst\": %.3f, \"servers\": %d, \"changes\": %d, \"wrong\": %d", took[CHANGES / 2],
                                        took[CHANGES - 1], SERVERS, CHANGES, wrong);
  struct bench_result result = {.name = "lb-latency", .unit = "ms", .floor = NAN, .peer = NAN, .ratio = NAN, .reach = 50, .more = more};
  result.value = served && !wrong ? took[CHANGES * 99 / 100] : 1e9;
  int rc = bench_print(&result);
  many = true;
  double reload_ms = call(true, NULL, 30000000);
  for (int n = 0; n < CHANGES / 10 && served; n++)
    one(n / 2 * 37 % SERVERS, n % 2 == 1);
  run_for(1500); /* what follows a change a moment later: the file, statistics */
  rc = print_loop(reload_ms) || rc;
  bt_balancer_free(&balancer);
  test_free_server();
  json_decref(config);
  BT_AUTO_FREE char *pid_file = bt_path_join(dir, "haproxy.pid");
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  if (bt_file_read(pid_file, 64, &text, &len, NULL) == 0)
    kill(atoi(text), SIGTERM);
  BT_AUTO_FREE char *sweep = bt_asprintf("umount %s/certs; rm -rf %s", dir, dir);
  return system(sweep) != 0 || rc;
}
