/* A plug-in in a process of its own that knows the wire and abuses it: the server's loop is never held, its memory does not grow, its
 * log stays readable, and nobody else's operation is touched. */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void); /* its header is not everywhere */
#endif

#include "base/clock.h"
#include "plugins/host.h"

/* A sanitizer makes each allocation some times as dear. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { held_ms = 200 };
#else
enum { held_ms = 50 };
#endif

static char *dir;
static char log_path[] = "/tmp/berth-test-attack-XXXXXX";

static struct bt_plugin *load(const char *more) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"bad\",\"plugin\":\"%s/bad_wire.so\",\"isolation\":\"process\"%s},"
                                        "{\"name\":\"good\",\"plugin\":\"%s/bad_twice.so\",\"isolation\":\"none\"}]",
                                        dir, more, dir);
  test_load("[]");
  test_load(json);
  struct bt_plugin *bad = bt_plugins_named(T.plugins, "bad");
  if (!ok(bad && bt_plugin_status(bad) == BT_PLUGIN_OK, "the hostile one starts"))
    printf("# %s\n", bt_plugin_error(bad));
  return bad;
}

static void begin(const char *text, struct test_call *c, int64_t deadline_ms) {
  struct bt_plugin *entry = bt_plugins_named(T.plugins, "bad");
  const struct berth_chat *chat = bt_plugin_methods(entry, BERTH_CHAT);
  struct bt_plugin_call call = {.method = "chat.send", .deadline_ms = deadline_ms, .done = test_done, .arg = c};
  struct berth_chat_send request = {.size = sizeof request, .text = text, .severity = "info"};
  bt_plugin_invoke(entry, chat, send, &call, &request);
}

/* The attack, and how long the loop was held by it: what any other request waits at most. */
static void attack(const char *text, struct test_call *c, int64_t deadline_ms) {
  struct bt_loop_stats stats;
  bt_loop_stats_reset(T.loop);
  begin(text, c, deadline_ms);
  run_until(&c->done, 30000);
  run_for(300); /* what is behind the answer */
  bt_loop_stats(T.loop, &stats);
  if (!ok(stats.own_us < held_ms * 1000, "%s: the loop is never held for %d ms", text, held_ms))
    printf("# %lld ms by %s\n", (long long)stats.own_us / 1000, stats.own_name);
  else
    printf("# %lld us by %s\n", (long long)stats.own_us, stats.own_name);
}

static long long used_mib(void) {
#ifdef __SANITIZE_ADDRESS__ /* what was freed stays with it for a while */
  return (long long)__sanitizer_get_current_allocated_bytes() >> 20;
#endif
  long long pages = 0;
  FILE *f = fopen("/proc/self/statm", "re");
  if (!f || fscanf(f, "%*s %lld", &pages) != 1)
    pages = 0;
  if (f)
    fclose(f);
  return pages * sysconf(_SC_PAGESIZE) >> 20;
}

static void test_results(void) {
  load("");
  TEST_CALL large = {0}, text = {0}, values = {0}, dropped = {0};
  attack("large", &large, 20000);
  is_int(large.code, BT_OK, "a large result arrives");
  ok(json_array_size(bt_json_arr(large.result, "a")) > 50000, "whole");
  attack("long", &dropped, 20000);
  is_int(dropped.code, BT_OK, "as does a long one");
  attack("text", &text, 20000);
  is_int(text.code, BT_PLUGIN_CRASHED, "one that is larger than any result may be is none");
  ok(strstr(text.message, "more than the limit of 16777216"), "and says so: %s", text.message);
  attack("values", &values, 20000);
  is_int(values.code, BT_PLUGIN_CRASHED, "nor is one whose tree would be a hundred times its text");
  ok(strstr(values.message, "more than 250000 values"), "and says so: %s", values.message);
  TEST_CALL gone = {0}, late = {0};
  begin("large", &gone, 20000);
  begin("long", &late, 20000);
  test_load("[]");
  ok(gone.times == 1 && late.times == 1, "an entry that goes ends what was under way");
  run_for(300);
  is_int(gone.times + late.times, 2, "once");
}

static void test_heads(void) {
  struct bt_plugin *bad = load("");
  TEST_CALL c = {0};
  attack("heads", &c, 20000);
  ok(c.code == BT_PLUGIN_CRASHED && strstr(c.message, "sent garbage"), "messages that are work and no word end it: %s", c.message);
  ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_OK), "it comes again");
}

/* 4 MiB a call, so that it takes few of them. */
static void test_deaf(void) {
  struct bt_plugin *bad = load("");
  TEST_CALL c = {0};
  struct test_call more[100] = {{0}};
  char *text = bt_calloc(1, 3 << 20);
  memset(text, 'x', (3 << 20) - 1);
  begin("deaf", &c, 60000);
  run_for(50);
  long long before = used_mib(), most = 0;
  int64_t start = bt_clock_mono_ms();
  for (int i = 0; i < 100 && bt_plugin_status(bad) == BT_PLUGIN_OK; i++) {
    begin(text, &more[i], 60000);
    run_for(20);
    most = BT_MAX(most, used_mib());
  }
  ok(test_wait(c.done), "who reads nothing and says that it is well is ended");
  ok(strstr(c.message, "does not read"), "for that: %s", c.message);
  ok(most - before < 600, "what waits for it is bounded: %lld MiB more", most - before);
  printf("# after %lld ms\n", (long long)(bt_clock_mono_ms() - start));
  free(text);
  test_load("[]");
  for (size_t i = 0; i < BT_COUNT(more); i++)
    json_decref(more[i].result);
}

static void test_others(void) {
  load("");
  struct bt_plugin *good = bt_plugins_named(T.plugins, "good");
  const struct berth_chat *chat = bt_plugin_methods(good, BERTH_CHAT);
  TEST_CALL c = {0}, held = {0};
  attack("others", &c, 20000);
  ok(c.code == BT_OK && bt_json_bool(c.result, "mine", false), "answers for others' operations are dropped, one's own counts");
  struct bt_plugin_call call = {.method = "chat.send", .done = test_done, .arg = &held};
  struct berth_chat_send request = {.size = sizeof request, .text = "now", .severity = "info"};
  bt_plugin_invoke(good, chat, send, &call, &request);
  run_until(&held.done, 5000);
  ok(held.times == 1 && !bt_json_bool(held.result, "stolen", false), "another plug-in's operation is its own");
}

/* What was written to standard error during the attack. */
static size_t logged(const char *text, size_t *lines) {
  TEST_CALL c = {0};
  int saved = dup(2), fd = open(log_path, O_RDWR | O_TRUNC | O_CLOEXEC);
  dup2(fd, 2);
  attack(text, &c, 30000);
  run_for(1200); /* a count of what was left out follows */
  dup2(saved, 2);
  close(saved);
  struct stat st;
  fstat(fd, &st);
  BT_AUTO_FREE char *all = bt_calloc(1, (size_t)st.st_size + 1);
  ssize_t n = pread(fd, all, (size_t)st.st_size, 0);
  close(fd);
  *lines = 0;
  for (ssize_t i = 0; i < n; i++)
    *lines += all[i] == '\n';
  ok(c.done, "%s: the call ends", text); /* who writes for longer than a hang may last is ended */
  if (!ok(strstr(all, " more lines ") != NULL, "%s: the log says how much was left out", text))
    printf("# %.300s\n", all);
  return (size_t)st.st_size;
}

static void test_log(void) {
  size_t lines;
  load("");
  size_t size = logged("metrics", &lines);
  ok(lines < 300 && size < 100000, "ten thousand malformed metrics: %zu lines, %zu bytes", lines, size);
  size = logged("logs", &lines);
  ok(lines < 3000 && size < 2000000, "a hundred thousand lines, and long ones: %zu lines, %zu bytes", lines, size);
}

static void test_memory(void) {
  load(",\"memory\":134217728");
  TEST_CALL c = {0}, hidden = {0}, bodies = {0};
  attack("share", &c, 20000);
  ok(c.code == BT_PLUGIN_CRASHED && strstr(c.message, "its limit is 128 MiB"), "shared memory counts: %s", c.message);
  ok(test_wait(bt_plugin_status(bt_plugins_named(T.plugins, "bad")) == BT_PLUGIN_OK), "it comes again");
  attack("hidden", &hidden, 5000);
  is_int(bt_json_int(hidden.result, "kinds", 9), 0, "memory that no process shows cannot be had");
  BT_AUTO_CLOSE int mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  BT_ASSERT(bind(mute, (struct sockaddr *)&at, len) == 0 && listen(mute, 64) == 0 && getsockname(mute, (struct sockaddr *)&at, &len) == 0);
  BT_AUTO_FREE char *egress = bt_asprintf(",\"egress\":[\"127.0.0.1:%d\"]", ntohs(at.sin_port));
  BT_AUTO_FREE char *text = bt_asprintf("bodies %d", ntohs(at.sin_port));
  load(egress);
  long long before = used_mib();
  attack(text, &bodies, 20000);
  long long more = used_mib() - before;
#ifdef __SANITIZE_THREAD__ /* its shadows count, too */
  more = 0;
#endif
  ok(more < 200, "of 480 MiB of bodies few are kept: %lld MiB", more);
  ok(bodies.done, "and the call ends"); /* on a slow machine as that of one who hangs */
  test_load("[]");
}

int main(void) {
  dir = test_modules("tests/plugins/.libs");
  BT_ASSERT(dir);
  int fd = mkstemp(log_path);
  BT_ASSERT(fd >= 0);
  close(fd);
  test_open_server(NULL);
  test_results();
  test_heads();
  test_deaf();
  test_others();
  test_log();
  test_memory();
  test_free_server();
  unlink(log_path);
  free(dir);
  return done_testing();
}
