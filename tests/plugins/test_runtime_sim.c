/* The pretended runtime in the real host: no engine is needed, nothing runs. */
#include "config.h"

#include "plugins/runtime.h"

#include "base/clock.h"

#define SERVICE(ns_app, slot, service)                                                                                        \
  "{\"name\":\"" ns_app "-" slot "\",\"image\":\"web\",\"labels\":{\"berth.app\":\"" ns_app "\",\"berth.service\":\"web\",\"berth.slot\":\"" slot \
  "\"},\"service\":" service "}"

/* Starts the entry anew, as a restart of berthd does. */
static void load(const char *config) {
  if (T.plugins)
    test_close_server();
  BT_AUTO_FREE char *modules = test_modules("plugins");
  const char *dirs[] = {modules, NULL};
  test_open_server(dirs);
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"engine\",\"plugin\":\"runtime-sim\",\"config\":%s}]", config);
  test_load(json);
  R.entry = bt_plugins_named(T.plugins, "engine");
  BT_ASSERT(R.entry);
}

static void loads(const char *config) {
  load(config);
  ok(bt_plugin_status(R.entry) == BT_PLUGIN_OK, "it runs %s", bt_plugin_error(R.entry));
}

static void refused(const char *config, const char *why) {
  load(config);
  ok(bt_plugin_status(R.entry) != BT_PLUGIN_OK && strstr(bt_plugin_error(R.entry), why), "%s: %s", config, bt_plugin_error(R.entry));
}

static void has(const char *text, const char *part, const char *what) {
  ok(text && strstr(text, part), "%s", what);
  if (!text || !strstr(text, part))
    printf("# %s\n", text ? text : "(nothing)");
}

#define QUICK "\"delays\":{\"image_pull\":\"0\",\"create\":\"0\",\"start\":\"0\",\"stop\":\"0\",\"remove\":\"0\",\"exec\":\"0\"}"

static void pull(const char *name, char digest[128]) {
  RT c = {0};
  struct berth_runtime_image request = {.size = sizeof request, .image = name};
  rt(&c, image_pull, &request);
  rt_is(&c, BT_OK, "pull");
  const char *d = json_string_value(json_array_get(bt_json_arr(c.result, "digests"), 0));
  snprintf(digest, 128, "%s", d ? d : "");
}

/* Its id, or "" and the code. The caller frees. */
static char *create(const char *spec, enum bt_code want) {
  RT c = {0};
  struct berth_runtime_create request = {.size = sizeof request, .spec_json = spec};
  rt(&c, create, &request);
  rt_is(&c, want, "create");
  return bt_strdup(rt_str(&c, "id"));
}

static enum bt_code begin(const char *id) {
  RT c = {0};
  container(&c, start, .id = id);
  return c.code;
}

/* ---------------------------------------------------------------- */

static void test_settings(void) {
  refused("{\"delays\":{\"pull\":\"1s\"}}", "\"pull\" is no method; there are info, image_inspect");
  refused("{\"delays\":{\"start\":\"2s..1s\"}}", "delays.start: \"2s..1s\" ends before it begins");
  refused("{\"delays\":{\"start\":\"5\"}}", "is neither a time");
  refused("{\"delays\":{\"start\":\"90000h\"}}", "of a day at most");
  refused("{\"failures\":{\"start\":\"120%\"}}", "is no share");
  refused("{\"failures\":{\"start\":\"5% sadly\"}}", "is no share such as 5%, with io");
  refused("{\"failures\":{\"events\":\"5%\"}}", "is no method");
  refused("{\"crashes_per_hour\":\"nan\"}", "crashes_per_hour: \"nan\" is no number");
  refused("{\"crash_exits\":{\"1\":\"60%\",\"2\":\"60%\"}}", "over 100% together");
  refused("{\"job_exits\":{\"256\":\"1%\"}}", "\"256\" is neither an exit code");
  refused("{\"state\":\"relative\"}", "no absolute path");
  refused("{\"spread\":\"odd\"}", "neither even nor tail");
  refused("{\"state\":\"/nonexistent/sim/state\"}", "its folder must exist");
}

static void test_images(void) {
  char first[128], again[128], other[128];
  loads("{" QUICK ",\"missing_images\":[\"*/gone:*\"]}");
  pull("web", first);
  pull("docker.io/library/web:latest", again);
  pull("web:2", other);
  ok(strlen(first) == strlen("docker.io/library/web@sha256:") + 64 && strcmp(first, again) == 0, "one digest for one image: %s", first);
  ok(strcmp(first, other) != 0, "another for another tag");
  RT c = {0};
  struct berth_runtime_image request = {.size = sizeof request, .image = first};
  rt(&c, image_inspect, &request);
  rt_is(&c, BT_OK, "it is found by its digest");
  RT none = {0};
  request.image = "team/gone:1";
  rt(&none, image_pull, &request);
  rt_is(&none, BT_NOT_FOUND, "an image that is said to be missing is");
  has(none.message, "this is a rehearsal", "and says why");
  loads("{" QUICK ",\"seed\":99}");
  pull("web", again);
  is_str(again, first, "digests do not hang on the seed");
  RT unused = {0};
  struct berth_runtime_list all = {.size = sizeof all};
  rt(&unused, image_prune, &all);
  ok(json_array_size(bt_json_arr(unused.result, "removed")) == 1, "what nobody uses is pruned");
}

static void test_container(void) {
  char digest[128];
  loads("{" QUICK ",\"log_every\":\"10ms\",\"ready_after\":\"60ms\"}");
  free(create(SERVICE("shop", "1", "{}"), BT_NOT_FOUND));
  pull("web", digest);
  RT ev = {0};
  struct berth_runtime_list all = {.size = sizeof all, .label = "berth.app=shop"};
  rt_begin(&ev, events, &all);
  ok(rt_wait(&ev, rt_want_object, "connected", 2000), "events stand");
  BT_AUTO_FREE char *id = create(SERVICE("shop", "1", "{\"healthcheck\":{\"test\":[\"CMD\",\"true\"]}}"), BT_OK);
  free(create(SERVICE("shop", "1", "{}"), BT_CONFLICT));
  seen_is(id, "state", "\"created\"");
  ok(begin(id) == BT_OK && begin(id) == BT_OK, "it starts, and starting what runs is fine");
  seen_is(id, "health", "\"starting\"");
  ok(rt_wait(&ev, rt_want_object, "\"start\"", 2000), "the start is told");
  ok(rt_wait(&ev, rt_want_object, "\"healthy\"", 2000), "then that it is healthy");
  seen_is(id, "health", "\"healthy\"");

  RT logs = {0};
  struct berth_runtime_logs request = {.size = sizeof request, .id = id, .follow = true, .tail = -1};
  rt_begin(&logs, logs, &request);
  ok(rt_wait(&logs, rt_want_text, "shop/web/1: line 12\n", 5000), "lines come as time goes by");
  has(logs.out.data, "nothing really runs", "and say what they are");

  RT run = {0};
  run_in(&run, id, "true");
  rt_is(&run, BT_OK, "exec");
  ok(bt_json_int(run.result, "exit_code", -1) == 0 && strstr(run.out.data, "pretends to run"), "an exec is answered");
  RT cat = {0};
  struct berth_runtime_exec exec = {.size = sizeof exec, .id = id, .command_json = "[\"cat\"]", .stdin_open = true};
  rt_begin(&cat, exec, &exec);
  const struct berth_runtime *table = bt_plugin_methods(R.entry, BERTH_RUNTIME);
  ok(rt_wait(&cat, rt_want_text, "pretends", 2000), "one with input waits for it");
  struct berth_instance *self = bt_plugin_enter(R.entry);
  table->input(self, cat.op, "hello", 5);
  table->input(self, cat.op, NULL, 0);
  bt_plugin_leave(R.entry);
  ok(rt_wait(&cat, rt_want_text, "hello", 2000) || strstr(cat.out.data, "hello"), "and gives it back");

  RT stats = {0};
  container(&stats, stats, .id = id);
  ok(bt_json_int(stats.result, "cpu_ns", 0) > 0 && bt_json_int(stats.result, "memory", 0) > 0, "figures of its use");
  RT stop = {0};
  container(&stop, stop, .id = id, .timeout_ms = -1);
  rt_is(&stop, BT_OK, "stop");
  ok(rt_wait(&ev, rt_want_object, "\"die\"", 2000) && bt_json_int(ev.last, "exit_code", 0) == 143, "its end is told");
  run_until(&logs.done, 2000);
  has(logs.out.data, "it ends with exit code 143", "who follows the logs reads it, too");
  RT rest = {0};
  container(&rest, remove, .id = id);
  RT again = {0};
  container(&again, remove, .id = id);
  ok(rest.code == BT_OK && again.code == BT_OK, "what is gone is removed again without a word");
  ok(rt_wait(&ev, rt_want_object, "\"destroy\"", 2000), "and its removal is told once");
  bt_plugin_abandon(R.entry, ev.op);
}

static void test_ports_and_networks(void) {
  char digest[128];
  loads("{" QUICK ",\"externals\":[\"front*\"]}");
  pull("web", digest);
  static const char *const specs[] = {
      "{\"name\":\"a\",\"image\":\"web\",\"ports\":[{\"target\":80,\"published\":8080,\"host_ip\":\"127.0.0.1\",\"protocol\":\"tcp\"}]}",
      "{\"name\":\"b\",\"image\":\"web\",\"ports\":[{\"target\":81,\"published\":8080,\"host_ip\":\"0.0.0.0\",\"protocol\":\"tcp\"}]}",
      "{\"name\":\"c\",\"image\":\"web\",\"networks\":[{\"name\":\"net\"}],\"mounts\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/d\"}]}"};
  BT_AUTO_FREE char *a = create(specs[0], BT_OK), *b = create(specs[1], BT_OK), *c = create(specs[2], BT_OK);
  ok(begin(a) == BT_OK && begin(b) == BT_EXHAUSTED, "a port is taken once");
  ok(begin(c) == BT_NOT_FOUND, "a network must be there");
  RT net = {0}, same = {0}, other = {0}, ext = {0}, noext = {0}, vol = {0}, used = {0}, busy = {0};
  struct berth_runtime_network n = {.size = sizeof n, .name = "net", .spec_json = "{\"driver\":\"bridge\"}", .labels_json = "{\"berth.server\":\"x\"}"};
  rt(&net, network_ensure, &n);
  rt(&same, network_ensure, &n);
  ok(bt_json_bool(net.result, "created", false) && !bt_json_bool(same.result, "created", true), "made once");
  n.labels_json = "{\"berth.server\":\"y\"}";
  rt(&other, network_ensure, &n);
  rt_is(&other, BT_CONFLICT, "another server's");
  n = (struct berth_runtime_network){.size = sizeof n, .name = "front-1", .spec_json = "{\"external\":true}"};
  rt(&ext, network_ensure, &n);
  rt_is(&ext, BT_OK, "an external one that is said to be there is");
  n.name = "back";
  rt(&noext, network_ensure, &n);
  rt_is(&noext, BT_NOT_FOUND, "another is not");
  struct berth_runtime_volume v = {.size = sizeof v, .name = "data"};
  rt(&vol, volume_ensure, &v);
  ok(begin(c) == BT_OK, "now it starts");
  BT_AUTO_FREE char *nets = seen(c, "networks");
  has(nets, "\"ip\":\"127.", "with an address that is nobody else's");
  rt(&used, volume_remove, "data");
  rt(&busy, network_remove, "net");
  ok(used.code == BT_CONFLICT && busy.code == BT_CONFLICT, "what is in use stays");
}

/* What has become of the slots of a service, each started tries times: a letter each. The caller frees. */
static char *fates(const char *config, int slots, int tries) {
  char digest[128];
  loads(config);
  pull("web", digest);
  BT_AUTO_BUF out = {0};
  for (int i = 0; i < slots; i++) {
    BT_AUTO_FREE char *spec = bt_asprintf("{\"name\":\"x%lld-%d\",\"image\":\"web\",\"labels\":{\"berth.app\":\"a\",\"berth.service\":\"s\","
                                          "\"berth.slot\":\"%d\"},\"service\":{}}",
                                          (long long)bt_clock_mono_ms(), i, i); /* names are other ones each time */
    RT c = {0};
    struct berth_runtime_create request = {.size = sizeof request, .spec_json = spec};
    rt(&c, create, &request);
    for (int k = 0; k < tries; k++)
      bt_buf_adds(&out, begin(rt_str(&c, "id")) == BT_OK ? "." : "F");
  }
  return bt_buf_steal(&out);
}

static void test_failures(void) {
  BT_AUTO_FREE char *one = fates("{" QUICK ",\"failures\":{\"start\":\"30%\"}}", 40, 3);
  BT_AUTO_FREE char *same = fates("{" QUICK ",\"failures\":{\"start\":\"30%\"}}", 40, 3);
  BT_AUTO_FREE char *seeded = fates("{" QUICK ",\"seed\":2,\"failures\":{\"start\":\"30%\"}}", 40, 3);
  is_str(same, one, "the same seed, the same failures");
  ok(strcmp(one, seeded) != 0, "another seed, others");
  int failed = 0;
  for (const char *p = one; *p; p++)
    failed += *p == 'F';
  ok(failed > 20 && failed < 55, "%d of 120 starts failed, where 30%% were asked for", failed);
  loads("{" QUICK ",\"failures\":{\"info\":\"100% unavailable\",\"list\":\"100% hang\"}}");
  RT info = {0}, list = {0};
  rt(&info, info);
  rt_is(&info, BT_UNAVAILABLE, "a failure may have a code");
  has(info.message, "injected by runtime-sim", "its sentence says whose it is");
  struct berth_runtime_list all = {.size = sizeof all};
  rt_begin(&list, list, &all);
  run_for(50);
  ok(!list.done, "a call that hangs hangs");
  bt_plugin_cancel(R.entry, list.op);
  run_until(&list.done, 2000);
  rt_is(&list, BT_CANCELLED, "until it is cancelled");
}

static void test_fates(void) {
  char digest[128];
  loads("{" QUICK ",\"job_time\":\"20ms..40ms\",\"job_exits\":{\"7\":\"100%\"},\"crashes_per_hour\":\"72000\",\"crash_exits\":{\"oom\":\"100%\"},\"jobs\":[\"named/web\"]}");
  pull("web", digest);
  RT ev = {0};
  struct berth_runtime_list all = {.size = sizeof all};
  rt_begin(&ev, events, &all);
  BT_AUTO_FREE char *web = create(SERVICE("shop", "1", "{\"restart\":\"always\"}"), BT_OK);
  ok(begin(web) == BT_OK && rt_wait(&ev, rt_want_object, "\"oom\"", 5000), "a running container crashes");
  ok(rt_wait(&ev, rt_want_object, "\"exit_code\":137", 2000), "as crash_exits has it");
  seen_is(web, "oom_killed", "true");
  bt_plugin_abandon(R.entry, ev.op);
  loads("{" QUICK ",\"job_time\":\"20ms..40ms\",\"job_exits\":{\"7\":\"100%\"},\"jobs\":[\"named/web\"],\"never_ready\":\"100%\"}");
  pull("web", digest);
  RT jobs = {0};
  rt_begin(&jobs, events, &all);
  static const char *const specs[] = {SERVICE("a", "1", "{\"deploy\":{\"mode\":\"replicated-job\"}}"), SERVICE("b", "1", "{\"restart\":\"on-failure\"}"),
                                      SERVICE("named", "1", "{}")};
  for (size_t i = 0; i < BT_COUNT(specs); i++) {
    BT_AUTO_FREE char *id = create(specs[i], BT_OK);
    ok(begin(id) == BT_OK && rt_wait(&jobs, rt_want_object, "\"exit_code\":7", 5000), "a job ends by itself, with its exit code");
  }
  BT_AUTO_FREE char *sick = create(SERVICE("c", "1", "{\"restart\":\"on-failure\",\"healthcheck\":{\"test\":[\"CMD\",\"x\"]}}"), BT_OK);
  ok(begin(sick) == BT_OK && rt_wait(&jobs, rt_want_object, "unhealthy", 5000), "one that never becomes ready is unhealthy, and no job");
  RT run = {0};
  run_in(&run, sick, "probe");
  ok(bt_json_int(run.result, "exit_code", 0) == 1, "its probes fail");
  bt_plugin_abandon(R.entry, jobs.op);
}

static void test_outage(void) {
  loads("{" QUICK ",\"outages_per_hour\":\"36000\",\"outage\":\"100ms\"}");
  RT ev = {0};
  struct berth_runtime_list all = {.size = sizeof all};
  rt_begin(&ev, events, &all);
  ok(rt_wait(&ev, rt_want_object, "\"gap\"", 5000), "an outage is told");
  RT info = {0};
  rt(&info, info);
  rt_is(&info, BT_UNAVAILABLE, "nothing is answered meanwhile");
  ok(rt_wait(&ev, rt_want_object, "\"connected\"", 5000), "it ends");
  bt_plugin_abandon(R.entry, ev.op);
}

static void test_state(void) {
  char digest[128];
  char dir[] = "/tmp/berth-sim-XXXXXX";
  BT_ASSERT(mkdtemp(dir));
  BT_AUTO_FREE char *config = bt_asprintf("{" QUICK ",\"state\":\"%s/state\",\"job_time\":\"80ms\",\"job_exits\":{\"3\":\"100%%\"}}", dir);
  loads(config);
  pull("web", digest);
  BT_AUTO_FREE char *web = create(SERVICE("shop", "1", "{}"), BT_OK);
  BT_AUTO_FREE char *job = create(SERVICE("shop", "2", "{\"deploy\":{\"mode\":\"replicated-job\"}}"), BT_OK);
  BT_AUTO_FREE char *gone = create(SERVICE("shop", "3", "{}"), BT_OK);
  ok(begin(web) == BT_OK && begin(job) == BT_OK, "two run");
  RT rm = {0};
  container(&rm, remove, .id = gone, .force = true);
  BT_AUTO_FREE char *before = seen(web, "started_at");
  test_close_server(); /* the job ends with nobody there to look */
  for (int64_t until = bt_clock_mono_ms() + 120; bt_clock_mono_ms() < until;)
    usleep(5000);
  loads(config);
  seen_is(web, "state", "\"running\"");
  seen_is(web, "started_at", before);
  seen_is(job, "exit_code", "3");
  RT c = {0}, image = {0};
  container(&c, inspect, .id = gone);
  rt_is(&c, BT_NOT_FOUND, "what was removed stays so");
  struct berth_runtime_image request = {.size = sizeof request, .image = "web"};
  rt(&image, image_inspect, &request);
  rt_is(&image, BT_OK, "images stay");
  ok(sh("printf '{\"run\":\"torn' >>%s/state", dir), "a line is torn");
  loads(config);
  seen_is(web, "state", "\"running\"");
  ok(sh("echo important >%s/state", dir), "the file is somebody else's");
  refused(config, "is not of runtime-sim");
  ok(sh("grep -q important %s/state && rm -rf %s", dir, dir), "and is left alone");
}

static enum bt_code limits(const char *id, const char *json) {
  RT c = {0};
  struct berth_runtime_update request = {.size = sizeof request, .id = id, .resources_json = json};
  rt(&c, update, &request);
  return c.code;
}

static void test_update(void) {
  char dir[] = "/tmp/berth-sim-update-XXXXXX", digest[128];
  BT_ASSERT(mkdtemp(dir));
  BT_AUTO_FREE char *config = bt_asprintf("{" QUICK ",\"state\":\"%s/state\"}", dir);
  loads(config);
  pull("web", digest);
  BT_AUTO_FREE char *id = create(SERVICE("shop", "1", "{\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"1g\",\"cpus\":2}}}}"), BT_OK);
  ok(begin(id) == BT_OK, "it runs");
  seen_is(id, "resources", "{\"cpus\":2.0,\"memory\":1073741824,\"memory_reservation\":0,\"pids\":0}");
  is_int(limits(id, "{\"memory\":2147483648,\"pids\":5}"), BT_OK, "other limits");
  seen_is(id, "resources", "{\"cpus\":2.0,\"memory\":2147483648,\"memory_reservation\":0,\"pids\":5}");
  is_int(limits(id, "{\"memory\":1048576}"), BT_INVALID, "less than it pretends to use");
  is_int(limits("nobody", "{}"), BT_NOT_FOUND, "nobody");
  is_int(limits(id, "7"), BT_INVALID, "no object");
  test_close_server();
  loads(config);
  seen_is(id, "resources", "{\"cpus\":2.0,\"memory\":2147483648,\"memory_reservation\":0,\"pids\":5}");
  ok(sh("rm -rf %s", dir), "the scratch folder goes");
}

int main(void) {
  test_update();
  test_settings();
  test_images();
  test_container();
  test_ports_and_networks();
  test_failures();
  test_fates();
  test_outage();
  test_state();
  test_free_server();
  return done_testing();
}
