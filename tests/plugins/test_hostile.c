/* Plug-ins that break every rule, each in a process of its own: their calls fail, they come again, and nobody else notices. */
#include "config.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "plugin/spawn.h"
#include "plugins/host.h"

enum { skipped = 77 };

static char *dir;

/* The hostile one, and one that behaves. */
static struct bt_plugin *load(const char *module, const char *more) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"bad\",\"plugin\":\"%s/%s.so\",\"isolation\":\"process\"%s},"
                                        "{\"name\":\"good\",\"plugin\":\"%s/bad_twice.so\",\"isolation\":\"none\"}]",
                                        dir, module, more, dir);
  test_load("[]");
  test_load(json);
  struct bt_plugin *bad = bt_plugins_named(T.plugins, "bad");
  if (!ok(bad && bt_plugin_status(bad) == BT_PLUGIN_OK, "%s starts", module))
    printf("# %s\n", bt_plugin_error(bad));
  return bad;
}

static json_t *listed(void) {
  json_t *list = bt_plugins_json(T.plugins), *o = json_incref(json_array_get(list, 0));
  json_decref(list);
  return o;
}

static void good_works(void) {
  TEST_CALL c = {0};
  test_send("good", "hello", NULL, 1000, &c);
  is_int(c.code, BT_OK, "the other plug-in works");
}

/* A call that ends the process, with this in its sentence; then it runs again. */
static void crashes(const char *module, const char *more, const char *why, int within_ms) {
  struct bt_plugin *bad = load(module, more);
  BT_AUTO_JSON before = listed();
  TEST_CALL c = {0};
  int64_t start = bt_clock_mono_ms();
  test_send("bad", "now", NULL, 30000, &c);
  if (!c.done)
    run_until(&c.done, within_ms);
  ok(c.done && c.code == BT_PLUGIN_CRASHED, "%s: the call fails with plugin_crashed", module);
  if (!strstr(c.message, why))
    printf("# got: %s\n", c.message);
  ok(strstr(c.message, why) != NULL, "it says: … %s …", why);
  ok(bt_clock_mono_ms() - start < within_ms, "within %d ms", within_ms);
  good_works();
  ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_OK), "it runs again");
  BT_AUTO_JSON o = listed();
  is_int(bt_json_int(o, "restarts", 0), bt_json_int(before, "restarts", 0) + 1, "after one restart");
  ok(strstr(bt_json_str(o, "last_failure"), why) != NULL, "and the failure is remembered");
  ok(T.published && strstr(T.published, "plugin.restarted"), "an event says so");
}

static void test_circuit(void) {
  struct bt_plugin *bad = load("bad_exit", "");
  int64_t start = bt_clock_mono_ms();
  for (int i = 0; i < 5; i++) {
    TEST_CALL c = {0};
    test_send("bad", "now", NULL, 5000, &c);
    is_int(c.code, BT_PLUGIN_CRASHED, "a crash");
    if (i < 4)
      ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_OK), "and it comes again");
  }
  ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_BROKEN), "after five it is left alone");
  ok(T.published && strstr(T.published, "plugin.broken"), "an event says so");
  ok(strstr(bt_plugin_error(bad), "5th failure in a row") != NULL, "and its error");
  TEST_CALL c = {0};
  test_send("bad", "now", NULL, 5000, &c);
  is_int(c.code, BT_UNAVAILABLE, "calls are refused meanwhile");
  good_works();
  ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_OK) && bt_clock_mono_ms() - start > 2500, "then it is tried again");
}

static void test_twice_and_never(void) {
  struct bt_plugin *bad = load("bad_twice", "");
  TEST_CALL c = {0};
  test_send("bad", "now", NULL, 5000, &c);
  run_for(50);
  ok(c.times == 1 && bt_json_bool(c.result, "queued", false), "the first of two ends counts");
  load("bad_never", "");
  TEST_CALL n = {0};
  test_send("bad", "now", NULL, 100, &n);
  is_int(n.code, BT_DEADLINE, "what never ends fails with the deadline");
  good_works();
  ok(bad && bt_plugin_status(bad) == BT_PLUGIN_OK, "neither is a crash");
}

/* A process that stands still answers nothing, not even that it lives. */
static void test_stopped(void) {
  struct bt_plugin *bad = load("bad_twice", "");
  BT_AUTO_JSON before = listed();
  pid_t pid = (pid_t)bt_json_int(before, "pid", 0);
  TEST_CALL c = {0};
  ok(pid > 0 && kill(pid, SIGSTOP) == 0, "its process is stopped");
  test_send("bad", "now", NULL, 30000, &c);
  if (!c.done)
    run_until(&c.done, 10000);
  ok(c.done && c.code == BT_PLUGIN_CRASHED && strstr(c.message, "hung"), "the call fails with plugin_crashed: %s", c.message);
  good_works();
  ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_OK), "another takes its place");
  BT_AUTO_JSON after = listed();
  ok(bt_json_int(after, "pid", 0) != pid && kill(pid, 0) == -1, "and the stopped one is gone");
}

/* Calls that are given up while their end is on its way: each ends once, and none stays. */
static void test_cancel_races(void) {
  enum { CALLS = 300 };
  static struct test_call calls[CALLS];
  struct bt_plugin *bad = load("bad_twice", "");
  const struct berth_chat *chat = bt_plugin_methods(bad, BERTH_CHAT);
  size_t ends = 0, once = 0, cancelled = 0;
  for (int i = 0; i < CALLS; i++) {
    struct bt_plugin_call call = {.method = "chat.send", .deadline_ms = 5000, .emit = test_emit, .done = test_done, .arg = &calls[i]};
    struct berth_chat_send request = {.size = sizeof request, .text = "now", .severity = "info"};
    berth_op op = bt_plugin_invoke(bad, chat, send, &call, &request);
    if (i % 4 == 1)
      run_for(i % 3);
    if (i % 4)
      bt_plugin_cancel(bad, op);
  }
  for (int i = 0; i < CALLS; i++)
    ends += run_until(&calls[i].done, 5000);
  run_for(100);
  for (int i = 0; i < CALLS; i++) {
    once += calls[i].times == 1 && (calls[i].code == BT_OK || calls[i].code == BT_CANCELLED);
    cancelled += calls[i].code == BT_CANCELLED;
    test_call_free(&calls[i]);
  }
  is_int(ends, CALLS, "all end");
  is_int(once, CALLS, "each once");
  ok(cancelled >= CALLS / 2, "those that were cancelled first as such (%zu)", cancelled);
  BT_AUTO_JSON o = listed();
  ok(bt_json_int(o, "in_flight", -1) == 0 && bt_plugin_status(bad) == BT_PLUGIN_OK, "and nothing stays");
}

static void test_limits(void) {
  load("bad_fdleak", ",\"files\":64");
  TEST_CALL c = {0};
  test_send("bad", "now", NULL, 5000, &c);
  long long opened = bt_json_int(c.result, "opened", 0);
  ok(c.code == BT_OK && opened > 20 && opened < 64, "descriptors end at the limit: %lld", opened);
  good_works();
}

static void test_confined(void) {
  load("bad_confined", "");
  TEST_CALL c = {0};
  test_send("bad", "now", NULL, 5000, &c);
  if (geteuid() == 0)
    ok(bt_json_int(c.result, "uid", 0) >= 58000 && bt_json_int(c.result, "uid", 0) < 59000, "it has a user of its own");
  static const char *const nothing[] = {"inet", "unix", "ptrace", "mount", "unshare", "uring", "privileges", "shadow", "home"};
  for (size_t i = 0; i < BT_COUNT(nothing); i++)
    ok(!bt_json_bool(c.result, nothing[i], true), "not for it: %s", nothing[i]);
  is_int(bt_json_int(c.result, "files", 9), 0, "no file of the server's is open in it");
}

static bool has_text(const json_t *list, const char *text) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    if (bt_streq(json_string_value(item), text))
      return true;
  }
  return false;
}

/* What is said of its walls is what the kernel knows. */
static void test_walls(void) {
  load("bad_confined", ",\"files\":77");
  BT_AUTO_JSON o = listed();
  const json_t *has = bt_json_arr(o, "confined"), *lacks = bt_json_arr(o, "unconfined");
  BT_AUTO_FREE char *path = bt_asprintf("/proc/%lld/status", bt_json_int(o, "pid", 0));
  BT_AUTO_FREE char *status = NULL;
  size_t len;
  BT_AUTO_ERR err = NULL;
  int rc = bt_file_read(path, 65536, &status, &len, &err);
  ok(rc == 0 && (strstr(status, "Seccomp:\t2") != NULL) == has_text(has, "seccomp"), "the filter of system calls is there, or not");
  ok(has_text(has, "no new privileges") && has_text(has, "no sockets") && has_text(has, "77 files"), "so are the others");
  ok(has_text(lacks, "user") == (geteuid() != 0) && !has_text(lacks, "memory-watch"), "what is missing is said");
  test_load("[{\"name\":\"bad\",\"plugin\":\"bad\",\"command\":[\"/bin/sleep\",\"9\"]}]");
  BT_AUTO_JSON silent = listed();
  is_int(json_array_size(bt_json_arr(silent, "confined")), 0, "before its hello nothing is said of a process");
}

/* As a service under ProtectProc=invisible and without the right to look into others: this program again, for one test. */
static int unseen(const char *self) {
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("proc", "/proc", "proc", 0, "hidepid=4") != 0 || prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0) != 0)
    return skipped;
  if (!freopen("/dev/null", "w", stdout))
    return skipped;
  execl(self, self, "unseen", NULL);
  return skipped;
}

/* The server sees the memory of a process whose folder in /proc it cannot see. */
static void test_memory_unseen(const char *self) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0)
    _exit(unseen(self));
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == skipped)
    printf("# /proc cannot be hidden here: no root, or no mounts\n");
  else
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "memory is watched where processes cannot be seen");
}

/* In there. */
static int be_unseen(void) {
  load("bad_memory", ",\"memory\":67108864");
  BT_AUTO_JSON o = listed();
  BT_AUTO_FREE char *folder = bt_asprintf("/proc/%lld/statm", bt_json_int(o, "pid", 0));
  if (geteuid() == 0)
    ok(access(folder, F_OK) != 0, "its folder cannot be seen");
#ifdef __SANITIZE_ADDRESS__ /* without the limit on allocations: only who watches sees it */
  crashes("bad_memory", ",\"memory\":67108864", "MiB of memory; its limit is 64 MiB", 10000);
#else
  crashes("bad_memory", ",\"memory\":67108864", "", 10000);
#endif
  test_free_server();
  free(dir);
  return done_testing();
}

static pid_t pid_now(void) {
  BT_AUTO_JSON o = listed();
  return (pid_t)bt_json_int(o, "pid", 0);
}

static void test_outside(void) {
  struct bt_plugin *bad = load("bad_twice", "");
  BT_AUTO_JSON before = listed();
  pid_t pid = (pid_t)bt_json_int(before, "pid", 0);
  ok(pid > 0 && pid != getpid() && !strcmp(bt_json_str(before, "isolation"), "process"), "it has a process");
  if (pid > 0) /* 0 would be this test and its like */
    kill(pid, SIGKILL);
  ok(test_wait(pid_now() != pid), "which somebody kills");
  ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_OK), "and which comes again");
  BT_AUTO_JSON after = listed();
  ok(bt_json_int(after, "pid", 0) != pid, "as another one");
  test_load("[]");
  ok(test_wait(kill((pid_t)bt_json_int(after, "pid", 0), 0) != 0), "and ends with the entry");
}

static void test_refusal(void) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"bad\",\"plugin\":\"%s/bad_ask.so\",\"isolation\":\"process\"}]", dir);
  test_load("[]");
  test_load(json);
  struct bt_plugin *bad = bt_plugins_named(T.plugins, "bad");
  struct bt_plugin_route route;
  is_int(bt_plugin_status(bad), BT_PLUGIN_FAILED, "one that asks for much and then refuses to start is failed, and not tried again");
  ok(!bt_plugins_route(T.plugins, "GET", "/ask", &route, NULL), "nothing is left of it");
}

/* Is such a program running? */
static bool sleeper_runs(void) { return system("pgrep -fx 'sleep 3599.25' >/dev/null") == 0; }

static void test_children(void) {
  load("bad_orphan", "");
  TEST_CALL c = {0}, crash = {0};
  test_send("bad", "child", NULL, 5000, &c);
  is_int(c.code, BT_OK, "it starts a program");
  ok(test_wait(sleeper_runs()), "which runs");
  test_send("bad", "abort", NULL, 5000, &crash);
  is_int(crash.code, BT_PLUGIN_CRASHED, "it crashes");
  ok(test_wait(!sleeper_runs()), "and the program ends with it");
}

static int processes_of(long long uid) {
  BT_AUTO_FREE char *command = bt_asprintf("pgrep -c -U %lld", uid);
  FILE *f = popen(command, "r");
  int n = 0;
  if (!f || fscanf(f, "%d", &n) != 1)
    n = -1;
  pclose(f);
  return n;
}

/* A process that left its parents and its group is still of the session; and a fork bomb is over when its plug-in is. */
static void test_escapes(void) {
  load("bad_orphan", "");
  TEST_CALL c = {0}, crash = {0}, bomb = {0};
  test_send("bad", "escape", NULL, 5000, &c);
  is_int(c.code, BT_OK, "it leaves a process behind");
  ok(test_wait(system("pgrep -fx 'sleep 3599.75' >/dev/null") == 0), "which runs");
  test_send("bad", "abort", NULL, 5000, &crash);
  is_int(crash.code, BT_PLUGIN_CRASHED, "it crashes");
  ok(test_wait(system("pgrep -fx 'sleep 3599.75' >/dev/null") != 0), "and what hid ends with it");
  if (geteuid() != 0)
    return; /* how many processes there may be is counted by user */
  struct bt_plugin *bad = load("bad_orphan", "");
  long long uid = 0, gid;
  struct bt_isolation own = {.process = true};
  ok(bt_spawn_user(&own, "bad", &uid, &gid, NULL) == 0, "its user is known");
  test_send("bad", "fork", NULL, 20000, &bomb);
  if (!bomb.done)
    run_until(&bomb.done, 20000);
  is_int(bomb.code, BT_PLUGIN_CRASHED, "a fork bomb hangs, and is ended");
  good_works();
  ok(test_wait(bt_plugin_status(bad) == BT_PLUGIN_OK), "the plug-in runs again");
  ok(test_wait(processes_of(uid) == 1), "and alone");
}

static void test_flood(void) {
  load("bad_flood", "");
  TEST_CALL c = {0};
  test_send("bad", "now", NULL, 5000, &c);
  T.publishes = 0;
  run_for(1000);
  ok(T.publishes >= 20 && T.publishes <= 600, "of a flood of events %d came through in a second", T.publishes);
  good_works();
}

static void test_commands(void) {
  test_load("[{\"name\":\"bad\",\"plugin\":\"bad\",\"command\":[\"/bin/echo\",\"hello world, this is no message\"]}]");
  struct bt_plugin *bad = bt_plugins_named(T.plugins, "bad");
  ok(test_wait(strstr(bt_plugin_error(bad), "sent garbage")), "a program that does not speak the wire");
  test_load("[{\"name\":\"bad\",\"plugin\":\"bad\",\"command\":[\"/bin/false\"]}]");
  ok(test_wait(strstr(bt_plugin_error(bad), "exited with status 1")), "one that ends at once");
  test_load("[{\"name\":\"bad\",\"plugin\":\"bad\",\"command\":[\"/nowhere/at/all\"]}]");
  ok(test_wait(strstr(bt_plugin_error(bad), "is no program that can be run")), "one that is not there");
}

int main(int argc, char **argv) {
  dir = test_modules("tests/plugins/.libs");
  BT_ASSERT(dir);
  test_open_server(NULL);
  if (argc > 1)
    return be_unseen();
#ifdef __SANITIZE_ADDRESS__
  crashes("bad_segv", "", "exited with status 1", 2000); /* the sanitizer's own end */
#else
  crashes("bad_segv", "", "was killed by signal 11 (Segmentation fault)", 2000);
#endif
  crashes("bad_abort", "", "was killed by signal 6 (Aborted)", 2000);
  crashes("bad_exit", "", "exited with status 7", 2000);
  crashes("bad_garbage", "", "sent garbage", 2000);
  crashes("bad_memory", ",\"memory\":67108864", "", 10000);
  crashes("bad_hang", "", "hung", 10000);
  test_memory_unseen(argv[0]);
  test_circuit();
  test_stopped();
  test_twice_and_never();
  test_cancel_races();
  test_limits();
  test_confined();
  test_walls();
  test_outside();
  test_refusal();
  test_children();
  test_escapes();
  test_flood();
  test_commands();
  test_free_server();
  free(dir);
  return done_testing();
}
