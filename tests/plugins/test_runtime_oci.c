/* runtime-oci alone: what an engine's daemon would keep, kept by records and monitors. The plug-in goes away in the midst of everything and comes
 * back; what others left behind is swept; containers, networks and volumes that hang on each other. */
#include "config.h"

#include <sys/file.h>

#include "plugins/runtime.h"

static void away(void) { test_load("[]"); }

static void back(void) {
  BT_AUTO_FREE char *config = oci_config();
  rt_load(config);
}

static bool exited(const char *id) {
  for (int i = 0; i < 500; i++) {
    BT_AUTO_FREE char *state = seen(id, "state");
    if (bt_streq(state, "\"exited\""))
      return true;
    run_for(20);
  }
  return false;
}

static pid_t monitor_of(const char *id) {
  BT_AUTO_FREE char *text = sh_line("jq .pid %s/run/%s/monitor.pid", R.dir, id);
  return (pid_t)strtol(text, NULL, 10);
}

/* ---------------------------------------------------------------- adoption */

static void test_adoption(void) {
  char *id = make("stays", "{\"command\":[\"sh\",\"-c\",\"trap 'echo poked' USR1; echo begin; while :; do sleep 0.05; done\"],\"stop_signal\":\"SIGKILL\"}", NULL);
  char *ends = make("ends", "{\"command\":[\"sh\",\"-c\",\"sleep 0.5; echo last; exit 7\"]}", NULL);
  char *paused = make("paused", "{\"command\":[\"sleep\",\"600\"],\"stop_signal\":\"SIGKILL\"}", NULL);
  start(id);
  start(ends);
  start(paused);
  RT freeze = {0}, thaw = {0};
  container(&freeze, pause, .id = paused);
  rt_is(&freeze, BT_OK, "pause");
  BT_AUTO_FREE char *pid = seen(id, "pid");
  BT_AUTO_FREE char *networks = seen(id, "networks");
  away();
  usleep(1200000);
  back();
  seen_is(id, "state", "\"running\"");
  seen_is(id, "pid", pid);
  seen_is(id, "networks", networks);
  seen_is(ends, "state", "\"exited\"");
  seen_is(ends, "exit_code", "7");
  seen_is(paused, "state", "\"paused\"");
  container(&thaw, unpause, .id = paused);
  rt_is(&thaw, BT_OK, "unpause one that was adopted");
  struct berth_runtime_logs request = {.size = sizeof request, .id = id, .follow = true, .tail = -1};
  RT logs = {0}, poke = {0}, stop = {0};
  rt_begin(&logs, logs, &request);
  ok(rt_wait(&logs, rt_want_text, "begin", 10000), "its log is there");
  container(&poke, kill, .id = id, .signal = "SIGUSR1");
  ok(rt_wait(&logs, rt_want_text, "poked", 10000), "and goes on");
  inside(id, "echo in", "in");
  container(&stop, stop, .id = id, .timeout_ms = 1000);
  rt_is(&stop, BT_OK, "it is stopped as any other");
  run_until(&logs.done, 10000);
  rt_is(&logs, BT_OK, "which ends its log");
  discard(id);
  discard(ends);
  discard(paused);
}

static void test_monitor_killed(void) {
  char *id = make("orphan", "{\"command\":[\"sleep\",\"600\"]}", NULL);
  start(id);
  BT_AUTO_FREE char *pid = seen(id, "pid");
  kill(monitor_of(id), SIGKILL);
  ok(exited(id), "a container whose monitor is killed ends");
  seen_is(id, "exit_code", "255");
  ok(sh("[ ! -e /proc/%s ] || grep -q '^State:.Z' /proc/%s/status", pid, pid), "with all its processes");
  BT_AUTO_FREE char *error = seen(id, "error");
  ok(strstr(error, "monitor"), "and says why: %s", error);
  start(id);
  seen_is(id, "state", "\"running\"");
  away();
  kill(monitor_of(id), SIGKILL);
  back();
  ok(exited(id), "also where nobody was there to see it");
  discard(id);
}

/* ---------------------------------------------------------------- left-overs */

static void test_leftovers(void) {
  char *id = make("lost", "{\"command\":[\"sleep\",\"600\"]}", NULL);
  start(id);
  pid_t monitor = monitor_of(id);
  away();
  ok(sh("set -e; cd %s; rm oci/containers/%s/container.json; h=$(printf 'a%%.0s' $(seq 64)); mkdir -p oci/containers/$h/upper/deep oci/volumes/half/_data/x; echo x >oci/containers/$h/upper/deep/f",
        R.dir, id), "a crash in the middle of create, of remove, of a volume");
  back();
  RT c = {0};
  container(&c, inspect, .id = id);
  rt_is(&c, BT_NOT_FOUND, "a container without a record is gone");
  ok(kill(monitor, 0) != 0 || sh("grep -q '^State:.Z' /proc/%d/status", (int)monitor), "with its monitor");
  ok(sh("[ -z \"$(ls %s/oci/containers)\" ] && [ ! -e %s/oci/volumes/half ] && [ ! -e %s/run/%s ]", R.dir, R.dir, R.dir, id), "and nothing of it is left");
  free(id);
}

/* What a container wrote is not thrown away for a record that somebody or some disk spoilt. */
static void test_damaged(void) {
  char *id = make("spoilt", "{\"command\":[\"sh\",\"-c\",\"echo precious >/tmp/kept; sleep 600\"],\"stop_signal\":\"SIGKILL\"}", NULL);
  start(id);
  inside(id, "cat /tmp/kept", "precious");
  pid_t monitor = monitor_of(id);
  away();
  ok(sh("cd %s/oci/containers/%s && cp container.json saved && printf '{' >container.json", R.dir, id), "a record is spoilt");
  back();
  RT c = {0};
  container(&c, inspect, .id = id);
  rt_is(&c, BT_NOT_FOUND, "its container is not known");
  ok(kill(monitor, 0) != 0 || sh("grep -q '^State:.Z' /proc/%d/status", (int)monitor), "and does not run beside whoever replaces it");
  ok(sh("grep -q precious $(find %s/oci/containers/%s -name kept)", R.dir, id), "but what it wrote is there");
  away();
  ok(sh("cd %s/oci/containers/%s && mv saved container.json", R.dir, id), "the record is put back");
  back();
  start(id);
  seen_is(id, "state", "\"running\"");
  discard(id);
}

static void test_one_server(void) {
  away();
  BT_AUTO_FREE char *lock = bt_asprintf("%s/oci/lock", R.dir);
  int fd = open(lock, O_RDWR | O_CLOEXEC);
  ok(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0, "the lock is free when nobody runs");
  BT_AUTO_FREE char *config = oci_config();
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"engine\",\"plugin\":\"runtime-oci\",\"config\":%s}]", config);
  BT_AUTO_FREE char *root = bt_asprintf("%s/oci is in use by another berthd (process 4711): stop that one, or", R.dir);
  ok(ftruncate(fd, 0) == 0 && pwrite(fd, "4711\n", 5, 0) == 5, "another server's number is in it");
  test_load(json);
  R.entry = bt_plugins_named(T.plugins, "engine");
  ok(R.entry && bt_plugin_status(R.entry) == BT_PLUGIN_FAILED, "with folders that another server uses the entry does not start");
  ok(R.entry && strstr(bt_plugin_error(R.entry), root), "and says which, whose, and what to do: %s", R.entry ? bt_plugin_error(R.entry) : "");
  close(fd);
  away();
  back();
  BT_AUTO_FREE char *owner = sh_line("cat %s", lock);
  is_int(strtol(owner, NULL, 10), getpid(), "it starts once the other one is gone, and is named itself");
  RT again = {0};
  rt(&again, info);
  rt_is(&again, BT_OK, "and works");
}

/* ---------------------------------------------------------------- ends of containers */

static void test_oom(void) {
  RT events = {0};
  struct berth_runtime_list all = {.size = sizeof all, .label = R.full};
  rt_begin(&events, events, &all);
  ok(rt_wait(&events, rt_want_object, "\"connected\"", 10000), "events");
  char *id = make("oom", "{\"command\":[\"sh\",\"-c\",\"head -c 200000000 /dev/zero | tail -c 190000000 | wc -c; exit 0\"],\"mem_limit\":\"16777216\",\"memswap_limit\":\"16777216\"}", NULL);
  start(id);
  ok(rt_wait(&events, rt_want_object, "\"oom\"", 30000), "a container that has no memory left is told");
  ok(rt_wait(&events, rt_want_object, "\"die\"", 30000), "as is its end");
  seen_is(id, "oom_killed", "true");
  discard(id);
  bt_plugin_cancel(R.entry, events.op);
  run_until(&events.done, 5000);
}

static void test_at_once(void) {
  char *id = make("busy", "{\"command\":[\"sleep\",\"600\"]}", NULL);
  struct berth_runtime_container request = {.size = sizeof request, .id = id, .timeout_ms = 60000};
  RT starting = {0}, stopping = {0}, again = {0}, removing = {0}, late = {0};
  rt_begin(&starting, start, &request);
  rt_begin(&stopping, stop, &request);
  run_until(&starting.done, 30000);
  rt_is(&starting, BT_OK, "a start");
  ok(!stopping.done, "a stop that came meanwhile waits for it, and for the container");
  request.force = true;
  rt_begin(&removing, remove, &request);
  rt_begin(&again, start, &request);
  run_until(&stopping.done, 30000);
  rt_is(&stopping, BT_OK, "force does not wait for its grace");
  run_until(&removing.done, 30000);
  rt_is(&removing, BT_OK, "and removes it");
  run_until(&again.done, 30000);
  rt_is(&again, BT_NOT_FOUND, "who comes behind finds nothing");
  rt(&late, inspect, &request);
  rt_is(&late, BT_NOT_FOUND, "it is gone");
  free(id);
}

static void test_cancelled_start(void) {
  char *id = make("cancelled", "{\"command\":[\"sleep\",\"600\"],\"stop_signal\":\"SIGKILL\"}", NULL);
  struct berth_runtime_container request = {.size = sizeof request, .id = id};
  RT c = {0}, stop = {0};
  rt_begin(&c, start, &request);
  bt_plugin_cancel(R.entry, c.op);
  run_until(&c.done, 5000);
  rt_is(&c, BT_CANCELLED, "a start that nobody waits for");
  container(&stop, stop, .id = id, .timeout_ms = 100);
  rt_is(&stop, BT_OK, "is in order with what comes behind it");
  discard(id);
}

/* ---------------------------------------------------------------- volumes */

static void test_volume_mounts(void) {
  BT_AUTO_FREE char *name = bt_asprintf("%s-mem", R.label);
  struct berth_runtime_volume request = {.size = sizeof request, .name = name, .labels_json = "{}",
                                         .spec_json = "{\"driver_opts\":{\"type\":\"tmpfs\",\"device\":\"tmpfs\",\"o\":\"size=1m,noexec\"}}"};
  RT made = {0}, gone = {0};
  rt(&made, volume_ensure, &request);
  rt_is(&made, BT_OK, "a volume in memory");
  BT_AUTO_FREE char *mounts = bt_asprintf("\"mounts\":[{\"type\":\"volume\",\"source\":\"%s\",\"target\":\"/data\"}]", name);
  char *one = make("vol1", "{\"command\":[\"sleep\",\"600\"],\"init\":true}", mounts);
  char *two = make("vol2", "{\"command\":[\"sleep\",\"600\"],\"init\":true}", mounts);
  start(one);
  start(two);
  inside(one, "echo shared >/data/f; df -k /data | awk 'NR>1{print $2}'", "1024");
  inside(two, "cat /data/f", "shared");
  discard(one);
  ok(sh("grep -q '%s/_data tmpfs' /proc/mounts", name), "it stays while one uses it");
  discard(two);
  ok(sh("! grep -q '%s/_data' /proc/mounts", name), "and goes with the last");
  rt(&gone, volume_remove, name);
  rt_is(&gone, BT_OK, "volume_remove");
}

static void test_anonymous(void) {
  char *id = make("anon", "{\"command\":[\"sh\",\"-c\",\"echo x >/kept/f; sleep 600\"],\"init\":true}", "\"mounts\":[{\"type\":\"volume\",\"target\":\"/kept\"}]");
  ok(sh("[ $(ls %s/oci/volumes | wc -l) -eq 1 ]", R.dir), "a volume without a name is made");
  start(id);
  run_for(200);
  RT stop = {0};
  container(&stop, stop, .id = id, .timeout_ms = 1000);
  start(id);
  inside(id, "cat /kept/f", "x");
  discard(id);
  ok(sh("[ $(ls %s/oci/volumes | wc -l) -eq 0 ]", R.dir), "and goes with its container");
}

/* A crash between a volume without a name and its container's record, whichever of both comes or goes. */
static void test_anonymous_orphan(void) {
#define ANONYMOUS "\"mounts\":[{\"type\":\"volume\",\"target\":\"/kept\"}]"
  char *lost = make("lost", "{\"command\":[\"sleep\",\"600\"]}", ANONYMOUS), *stays = make("stays", "{\"command\":[\"sleep\",\"600\"]}", ANONYMOUS);
  char *there = make("there", "{\"command\":[\"sleep\",\"600\"]}", ANONYMOUS);
  RT gone = {0};
  container(&gone, remove, .id = stays);
  rt_is(&gone, BT_OK, "removed without its volumes");
  away();
  ok(sh("rm -r %s/oci/containers/%s", R.dir, lost), "a container that never came to be");
  back();
  RT known = {0};
  container(&known, inspect, .id = lost);
  rt_is(&known, BT_NOT_FOUND, "is not known");
  ok(sh("[ $(ls %s/oci/volumes | wc -l) -eq 2 ]", R.dir), "its volume goes, those that are used or were to stay do not");
  start(there);
  inside(there, "echo x >/kept/f && cat /kept/f", "x");
  discard(there);
  ok(sh("[ $(ls %s/oci/volumes | wc -l) -eq 1 ] && rm -r %s/oci/volumes/*", R.dir, R.dir), "one stays");
  free(lost);
  free(stays);
}

int main(void) {
  setenv("BERTH_TEST_RUNTIME", "oci", 1);
  if (!rt_setup())
    return skip_all("it needs root, crun, busybox-static and network namespaces");
  test_adoption();
  test_monitor_killed();
  test_leftovers();
  test_damaged();
  test_one_server();
  test_oom();
  test_at_once();
  test_cancelled_start();
  test_volume_mounts();
  test_anonymous();
  test_anonymous_orphan();
  return rt_finish();
}
