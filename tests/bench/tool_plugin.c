/* What a call of a plug-in costs beyond its own work: a method that ends at once, in this process and in one of its own; and what such a
 * process takes. Three lines: a call in process; through the helper, beyond a bare round trip between two processes ("floor"; "call" is the whole
 * of it); and the helper itself. */
#include "config.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "bench.h"
#include "plugins/host.h"

enum { calls = 200000, batch = 100, trips = 20000, warm = 1000, starts = 20 };

static double now_us(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static struct bench {
  struct bt_plugin *entry;
  int open, left, n;
  double start;
  double *took;
} B;

static void call(void (*done)(void *arg, enum bt_code code, const char *message, json_t *result)) {
  const struct berth_chat *chat = bt_plugin_methods(B.entry, BERTH_CHAT);
  struct bt_plugin_call c = {.method = "chat.probe", .done = done};
  bt_plugin_invoke(B.entry, chat, probe, &c);
}

/* Many at once: what the loop's turn costs is shared, as in a server that has work. */
static void many_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  (void)arg, (void)message, (void)result;
  BT_ASSERT(code == BT_OK);
  if (--B.open)
    return;
  if (B.left <= 0) {
    bt_loop_stop(T.loop);
    return;
  }
  B.left -= batch;
  B.open = batch;
  for (int i = 0; i < batch; i++)
    call(many_done);
}

/* One after the other: the way there and back. */
static void one_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  (void)arg, (void)message, (void)result;
  BT_ASSERT(code == BT_OK);
  double now = now_us();
  if (B.n >= warm)
    B.took[B.n - warm] = now - B.start;
  if (++B.n == warm + trips) {
    bt_loop_stop(T.loop);
    return;
  }
  B.start = now_us();
  call(one_done);
}

static void load(const char *dir, const char *isolation) {
  BT_AUTO_FREE char *json =
      bt_asprintf("[{\"name\":\"p\",\"plugin\":\"%s/bad_twice.so\",\"isolation\":\"%s\"}]", dir, isolation);
  test_load(json);
  B.entry = bt_plugins_named(T.plugins, "p");
  BT_ASSERT(bt_plugin_status(B.entry) == BT_PLUGIN_OK);
}

static int bench_in_process(const char *dir) {
  load(dir, "none");
  double best = 1e9;
  for (int round = 0; round < 5; round++) {
    B.left = calls - batch;
    B.open = batch;
    double start = now_us();
    for (int i = 0; i < batch; i++)
      call(many_done);
    bt_loop_run(T.loop);
    double us = (now_us() - start) / calls;
    best = us < best ? us : best;
  }
  struct bench_result r = {.name = "plugin-call", .unit = "us", .value = best, .floor = NAN, .peer = NAN, .ratio = NAN, .reach = 1,
                           .more = ", \"mode\": \"in process\""};
  return bench_print(&r);
}

/* What answers a byte with a byte, in a process of its own, until the other side is gone. */
static void echo(int fd) {
  char byte;
  while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
    ;
  _exit(0);
}

/* The floor: a byte there and back over a socket pair, no loop, no message, nothing but the kernel. On a machine at rest that is mostly
 * the waking of a halted processor, twice. */
static double bare_trip(double *p99) {
  int pair[2];
  BT_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  pid_t pid = fork();
  BT_ASSERT(pid >= 0);
  if (pid == 0) {
    close(pair[0]);
    echo(pair[1]);
  }
  close(pair[1]);
  double *took = bt_newn(double, trips);
  for (int i = -warm; i < trips; i++) {
    char byte = 0;
    double start = now_us();
    BT_ASSERT(write(pair[0], &byte, 1) == 1 && read(pair[0], &byte, 1) == 1);
    if (i >= 0)
      took[i] = now_us() - start;
  }
  close(pair[0]);
  waitpid(pid, NULL, 0);
  double median = bench_median(took, trips);
  *p99 = took[trips * 99 / 100];
  free(took);
  return median;
}

/* The overhead is what a call takes beyond the floor of the same run. */
static int bench_helper_call(const char *dir) {
  double floor_p99, floor = bare_trip(&floor_p99);
  load(dir, "process");
  B.took = bt_newn(double, trips);
  B.n = 0;
  B.start = now_us();
  call(one_done);
  bt_loop_run(T.loop);
  double median = bench_median(B.took, trips), p99 = B.took[trips * 99 / 100];
  double over_p99 = p99 > floor_p99 ? p99 - floor_p99 : 0;
  char more[192];
  snprintf(more, sizeof more, ", \"mode\": \"helper\", \"call\": %.4g, \"call_p99\": %.4g, \"floor_p99\": %.4g, \"p99\": %.4g, \"p99_reach\": 120",
           median, p99, floor_p99, over_p99);
  struct bench_result r = {.name = "plugin-call", .unit = "us", .value = median > floor ? median - floor : 0, .floor = floor, .peer = NAN,
                           .ratio = NAN, .reach = over_p99 <= 120 ? 40 : -1, .more = more};
  free(B.took);
  return bench_print(&r);
}

static double pss_kib(int pid) {
  char path[40], line[256];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  FILE *f = fopen(path, "re");
  double kib = NAN;
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "Pss: %lf", &kib) == 1)
      break;
  if (f)
    fclose(f);
  return kib;
}

static struct bt_timer *look;
static void on_look(void *arg) {
  (void)arg;
  B.entry = bt_plugins_named(T.plugins, "p");
  if (B.entry && bt_plugin_status(B.entry) == BT_PLUGIN_OK)
    bt_loop_stop(T.loop);
  else
    bt_timer_set(look, 0);
}

static int bench_helper(const char *dir) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/bad_twice.so", dir);
  double took[starts], pss[starts];
  look = bt_timer_new(T.loop, "bench", on_look, NULL);
  for (int i = 0; i < starts; i++) {
    struct bt_plugin_entry entry = {.name = "p", .plugin = path, .isolation.mode = BT_PLUGIN_MODE_PROCESS};
    bt_plugins_load(T.plugins, NULL, 0);
    run_for(20);
    double start = now_us();
    bt_plugins_load(T.plugins, &entry, 1);
    bt_timer_set(look, 0);
    bt_loop_run(T.loop);
    took[i] = (now_us() - start) / 1000;
    BT_AUTO_JSON list = bt_plugins_json(T.plugins);
    pss[i] = pss_kib((int)bt_json_int(json_array_get(list, 0), "pid", 0)) / 1024;
  }
  bt_timer_free(&look);
  double start_ms = bench_median(took, starts), mib = bench_median(pss, starts);
  char more[96];
  snprintf(more, sizeof more, ", \"start_ms\": %.4g, \"start_reach\": 20", start_ms);
  struct bench_result r = {.name = "plugin-helper", .unit = "MiB", .value = mib, .floor = NAN, .peer = NAN, .ratio = NAN,
                           .reach = start_ms <= 20 ? 4 : -1, .more = more};
  return bench_print(&r);
}

int main(void) {
  BT_AUTO_FREE char *dir = test_modules("tests/plugins/.libs");
  const char *only = getenv("BENCH_ONLY");
  BT_ASSERT(dir);
  bt_log_setup(BT_LOG_ERROR, false);
  test_open_server(NULL);
  int rc = 0;
  if (!only || strcmp(only, "plugin-call") == 0)
    rc |= bench_in_process(dir) | bench_helper_call(dir);
  if (!only || strcmp(only, "plugin-helper") == 0)
    rc |= bench_helper(dir);
  test_free_server();
  return rc;
}
