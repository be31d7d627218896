/* runtime-docker on a real engine: logs, exec, events, copies; what streams. */
#include "config.h"

#include "plugins/runtime.h"

/* ---------------------------------------------------------------- logs */

static void logs(struct rt *c, const char *id, bool timestamps, int64_t tail) {
  struct berth_runtime_logs request = {.size = sizeof request, .id = id, .timestamps = timestamps, .tail = tail};
  rt(c, logs, &request);
  rt_is(c, BT_OK, "logs");
}

static void test_logs(void) {
  char *id = make("logs", "{\"command\":[\"sh\",\"-c\",\"echo one; echo two >&2; echo three; printf end\"]}", NULL);
  start(id);
  rt_ended(id);
  RT all = {0}, tail = {0}, lines = {0}, none = {0};
  logs(&all, id, false, -1);
  is_str(all.out.data, "one\nthree\nend", "standard output apart");
  is_str(all.err.data, "two\n", "from standard error");
  logs(&tail, id, false, 1);
  ok(tail.out.len + tail.err.len <= 13, "the tail only");
  if (rt_has(!R.podman, "a tail of one line", "Podman may give one more where the last line has no end"))
    ok(tail.out.len + tail.err.len <= 6, "a tail of one line");
  logs(&lines, id, true, -1);
  is_int(json_array_size(lines.objects), 4, "four lines");
  bool stamped = true, two = false;
  size_t i;
  json_t *line;
  json_array_foreach(lines.objects, i, line) {
    stamped = stamped && bt_starts(bt_json_str(line, "time"), "20") && strchr(bt_json_str(line, "time"), 'T');
    two = two || (bt_streq(bt_json_str(line, "line"), "two") && bt_streq(bt_json_str(line, "stream"), "stderr"));
  }
  ok(stamped, "each with its time");
  ok(two, "and its stream");
  struct berth_runtime_logs late = {.size = sizeof late, .id = id, .tail = -1, .since_ms = 4102444800000};
  rt(&none, logs, &late);
  ok(!none.code && !none.out.len, "nothing since tomorrow");
  discard(id);
  RT gone = {0};
  struct berth_runtime_logs missing = {.size = sizeof missing, .id = "berth-test-none", .tail = -1};
  rt(&gone, logs, &missing);
  rt_is(&gone, BT_NOT_FOUND, "logs of nobody");
}

static void test_logs_follow(void) {
  char *id = make("follow", "{\"command\":[\"sh\",\"-c\",\"trap 'echo poked' USR1; echo begin; while :; do sleep 0.05; done\"]}", NULL);
  start(id);
  struct berth_runtime_logs request = {.size = sizeof request, .id = id, .follow = true, .tail = -1};
  RT c = {0}, poke = {0}, other = {0};
  rt_begin(&c, logs, &request);
  ok(rt_wait(&c, rt_want_text, "begin", 10000), "what was printed comes");
  container(&poke, kill, .id = id, .signal = "SIGUSR1");
  ok(rt_wait(&c, rt_want_text, "poked", 10000), "what is printed later comes as well");
  rt_begin(&other, logs, &request);
  ok(rt_wait(&other, rt_want_text, "begin", 10000), "a second follower");
  bt_plugin_cancel(R.entry, other.op);
  run_until(&other.done, 5000);
  rt_is(&other, BT_CANCELLED, "is cancelled");
  RT kill = {0};
  container(&kill, kill, .id = id);
  run_until(&c.done, 10000);
  rt_is(&c, BT_OK, "the end of the container is the end of its log");
  discard(id);
}

static void test_logs_tty(void) {
  char *id = make("tty", "{\"command\":[\"sh\",\"-c\",\"echo out; echo err >&2; tty\"],\"tty\":true}", NULL);
  start(id);
  rt_ended(id);
  RT all = {0}, lines = {0};
  logs(&all, id, false, -1);
  ok(all.out.data && strstr(all.out.data, "out\r\nerr\r\n/dev/"), "a tty's output is one stream");
  is_int(all.err.len, 0, "and no other");
  logs(&lines, id, true, -1);
  is_int(json_array_size(lines.objects), 3, "three lines");
  is_str(bt_json_str(json_array_get(lines.objects, 1), "line"), "err", "without the return");
  discard(id);
}

/* A host that is slow, then fast: nothing is lost. */
static void test_logs_slow(void) {
  char *id = make("much", "{\"command\":[\"sh\",\"-c\",\"head -c 6000000 /dev/zero | tr '\\\\\\\\0' x | fold -w 99\"]}", NULL);
  start(id);
  rt_ended(id);
  struct berth_runtime_logs request = {.size = sizeof request, .id = id, .tail = -1};
  RT c = {.waiting = 2 << 20};
  rt_begin(&c, logs, &request);
  run_for(300);
  size_t early = c.out.len;
  ok(!c.done && early < 200000, "a slow host gets %zu bytes, and no more until it asks for them", early);
  c.waiting = 0;
  run_until(&c.done, 30000);
  rt_is(&c, BT_OK, "a fast one all");
  is_int(c.out.len, 6000000 + 6000000 / 99, "of it");
  discard(id);
}

/* ---------------------------------------------------------------- exec */

static void test_exec(const char *id) {
  RT c = {0}, user = {0}, missing = {0}, nobody = {0}, word = {0};
  run_in(&c, id, "echo out; echo err >&2; exit 3");
  rt_is(&c, BT_OK, "exec");
  is_str(c.out.data, "out\n", "its output");
  is_str(c.err.data, "err\n", "its errors");
  is_int(bt_json_int(c.result, "exit_code", -1), 3, "its exit code");
  struct berth_runtime_exec request = {.size = sizeof request, .id = id, .command_json = "[\"sh\",\"-c\",\"id -u; pwd; echo $X\"]", .env_json = "{\"X\":\"a b\"}",
                                       .user = "65534", .workdir = "/tmp"};
  rt(&user, exec, &request);
  is_str(user.out.data, "65534\n/tmp\na b\n", "user, folder and environment");
  request = (struct berth_runtime_exec){.size = sizeof request, .id = id, .command_json = "[\"/not/there\"]"};
  rt(&missing, exec, &request);
  ok(missing.code ? missing.code != BT_OK : bt_json_int(missing.result, "exit_code", 0) >= 126, "a command that is not there: %s%d", missing.message,
     (int)bt_json_int(missing.result, "exit_code", 0));
  request.id = "berth-test-none";
  rt(&nobody, exec, &request);
  rt_is(&nobody, BT_NOT_FOUND, "a container that is not there");
  request.command_json = "\"ls\"";
  rt(&word, exec, &request);
  rt_is(&word, BT_INVALID, "a command that is no list");
}

static size_t say(struct rt *c, const char *text, size_t len) {
  const struct berth_runtime *table = bt_plugin_methods(R.entry, BERTH_RUNTIME);
  size_t n = table->input(bt_plugin_enter(R.entry), c->op, text, len);
  bt_plugin_leave(R.entry);
  return n;
}

static void test_exec_stdin(const char *id) {
  struct berth_runtime_exec request = {.size = sizeof request, .id = id, .command_json = "[\"sh\",\"-c\",\"cat; echo done >&2; exit 4\"]", .stdin_open = true};
  RT c = {0};
  rt_begin(&c, exec, &request);
  say(&c, "early\n", 6);
  ok(rt_wait(&c, rt_want_text, "early\n", 10000), "input that came before the connection stood");
  say(&c, "later\n", 6);
  ok(rt_wait(&c, rt_want_text, "later\n", 10000), "input that came after");
  say(&c, "", 0);
  run_until(&c.done, 10000);
  rt_is(&c, BT_OK, "the end of the input is seen");
  is_str(c.err.data, "done\n", "and output comes on after it");
  is_int(bt_json_int(c.result, "exit_code", -1), 4, "then the exit code");
  request.command_json = "[\"sh\",\"-c\",\"wc -c\"]";
  BT_AUTO_FREE char *block = bt_calloc(1, 65536);
  for (int open = 0; open < 2; open++) {
    RT big = {0};
    rt_begin(&big, exec, &request);
    if (open)
      run_for(500);
    for (int i = 0; i < 64; i++)
      say(&big, block, 65536);
    say(&big, "", 0);
    run_until(&big.done, 30000);
    is_str(big.out.data, "4194304\n", open ? "4 MiB of input arrive whole" : "also those that came before the connection stood");
  }
  RT quick = {0};
  request.command_json = "[\"sh\",\"-c\",\"read x; echo got $x\"]";
  rt_begin(&quick, exec, &request);
  say(&quick, "word\n", 5);
  say(&quick, "", 0);
  run_until(&quick.done, 10000);
  is_str(quick.out.data, "got word\n", "input that ended before the connection stood");
}

static void test_exec_tty(const char *id) {
  struct berth_runtime_exec request = {.size = sizeof request, .id = id, .command_json = "[\"sh\"]", .stdin_open = true, .tty = true, .rows = 40, .cols = 100};
  RT c = {0};
  rt_begin(&c, exec, &request);
  bool sized = false;
  for (int i = 0; i < 20 && !sized; i++) { /* the size arrives a moment after the shell */
    say(&c, "stty size\n", 10);
    sized = rt_wait(&c, rt_want_text, "40 100", 250);
  }
  ok(sized, "a tty of the size asked for");
  const struct berth_runtime *table = bt_plugin_methods(R.entry, BERTH_RUNTIME);
  table->resize(bt_plugin_enter(R.entry), c.op, 50, 132);
  bt_plugin_leave(R.entry);
  sized = false;
  for (int i = 0; i < 20 && !sized; i++) {
    say(&c, "stty size\n", 10);
    sized = rt_wait(&c, rt_want_text, "50 132", 250);
  }
  ok(sized, "that can be resized");
  say(&c, "tty; exit 9\n", 12);
  run_until(&c.done, 10000);
  rt_is(&c, BT_OK, "exec with a tty");
  ok(c.out.data && strstr(c.out.data, "/dev/pts/"), "it has a tty");
  is_int(c.err.len, 0, "all output is one stream");
  is_int(bt_json_int(c.result, "exit_code", -1), 9, "its exit code");
}

static void test_exec_cancel(const char *id) {
  struct berth_runtime_exec request = {.size = sizeof request, .id = id, .command_json = "[\"sh\",\"-c\",\"echo up; sleep 30\"]"};
  for (int i = 0; i < 2; i++) {
    request.stdin_open = i;
    RT c = {0};
    rt_begin(&c, exec, &request);
    ok(rt_wait(&c, rt_want_text, "up", 10000), "a command that runs %s", i ? "with input" : "without");
    bt_plugin_cancel(R.entry, c.op);
    run_until(&c.done, 5000);
    rt_is(&c, BT_CANCELLED, "is let go");
    if (rt_has(R.oci, "and ends", "the API of engines has no way to end a command that nobody waits for")) {
      run_for(500);
      inside(id, "ps -o args | grep -c '^sleep 3[0]$'", "0");
    }
  }
}

/* ---------------------------------------------------------------- copy */

static void test_copy(const char *id) {
  BT_AUTO_FREE char *tar = bt_asprintf("%s/in.tar", R.dir);
  sh("cd %s && echo hello >greeting && tar -cf %s greeting", R.dir, tar);
  char bytes[20480];
  FILE *f = fopen(tar, "r");
  size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
  if (f)
    fclose(f);
  struct berth_runtime_copy in = {.size = sizeof in, .id = id, .path = "/data", .tar = bytes, .tar_len = n};
  RT c = {0}, out = {0}, nowhere = {0}, nothing = {0};
  rt(&c, copy_in, &in);
  rt_is(&c, BT_OK, "copy_in");
  inside(id, "cat /data/greeting", "hello");
  in.path = "/no/such/folder";
  rt(&nowhere, copy_in, &in);
  if (rt_has(!R.podman, "a copy into a folder that is not there", "Podman 4 makes the folder"))
    rt_is(&nowhere, BT_NOT_FOUND, "a folder that is not there");
  struct berth_runtime_copy from = {.size = sizeof from, .id = id, .path = "/data/greeting"};
  rt(&out, copy_out, &from);
  rt_is(&out, BT_OK, "copy_out");
  ok(out.out.len >= 1024 && !strcmp(out.out.data, "greeting") && !strncmp(out.out.data + 512, "hello\n", 6), "gives a tar of %zu bytes", out.out.len);
  from.path = "/no/such/file";
  rt(&nothing, copy_out, &from);
  rt_is(&nothing, BT_NOT_FOUND, "a file that is not there");
}

/* ---------------------------------------------------------------- events */

static void frozen(const char *id, bool freeze) {
  RT c = {0};
  if (!R.oci)
    sh(DOCKER "%s %s >/dev/null", R.socket, freeze ? "pause" : "unpause", id);
  else if (freeze)
    container(&c, pause, .id = id);
  else
    container(&c, unpause, .id = id);
  ok(!R.oci || !c.code, "%s %s", freeze ? "pause" : "unpause", c.message ? c.message : "");
}

static void test_events(void) {
  struct berth_runtime_list request = {.size = sizeof request, .label = R.full};
  RT c = {0};
  rt_begin(&c, events, &request);
  ok(rt_wait(&c, rt_want_object, "\"connected\"", 10000), "the stream says when it stands");
  char *id = make("events",
                  "{\"command\":[\"sh\",\"-c\",\"sleep 30\"],\"healthcheck\":{\"test\":[\"CMD-SHELL\",\"echo bad; exit 1\"],\"interval\":\"100ms\",\"timeout\":\"5s\",\"retries\":1},"
                  "\"init\":true}", NULL);
  start(id);
  ok(rt_wait(&c, rt_want_object, "\"start\"", 10000), "start");
  is_str(bt_json_str(c.last, "id"), id, "of the container");
  if (rt_has(!R.podman, "health checks", "Podman runs them by timers of systemd, which is not there; the server's own probes do not need them")) {
    ok(rt_wait(&c, rt_want_object, "\"health\":\"unhealthy\"", 20000), "a check that fails");
    seen_is(id, "health", "\"unhealthy\"");
    seen_is(id, "health_output", "\"bad\\n\"");
  }
  RT paused = {0};
  frozen(id, true);
  ok(rt_wait(&c, rt_want_object, "\"pause\"", 10000), "pause");
  seen_is(id, "state", "\"paused\"");
  frozen(id, false);
  ok(rt_wait(&c, rt_want_object, "\"unpause\"", 10000), "unpause");
  container(&paused, stop, .id = id, .timeout_ms = 1000);
  ok(rt_wait(&c, rt_want_object, "\"die\"", 10000), "die");
  ok(bt_json_int(c.last, "exit_code", -1) > 0, "with its exit code");
  discard(id);
  ok(rt_wait(&c, rt_want_object, "\"destroy\"", 10000), "destroy");
  bool labelled = true;
  size_t k;
  json_t *e;
  json_array_foreach(c.objects, k, e)
    if (!bt_streq(bt_json_str(e, "action"), "connected"))
      labelled = labelled && bt_streq(bt_json_str(bt_json_obj(e, "labels"), "berth.test"), R.label) && bt_json_int(e, "time_ms", 0) > 0;
  ok(labelled, "each with labels and time");
  bt_plugin_cancel(R.entry, c.op);
  run_until(&c.done, 5000);
  rt_is(&c, BT_CANCELLED, "until it is cancelled");
}

int main(void) {
  if (!rt_setup())
    return skip_all("no container engine answers at /var/run/docker.sock, or docker or busybox-static is missing");
  RUN(test_logs);
  RUN(test_logs_follow);
  RUN(test_logs_tty);
  RUN(test_logs_slow);
  char *id = make("exec", "{\"command\":[\"sleep\",\"600\"],\"init\":true}", NULL);
  start(id);
  RUN(test_exec, id);
  RUN(test_exec_stdin, id);
  RUN(test_exec_tty, id);
  RUN(test_exec_cancel, id);
  RUN(test_copy, id);
  discard(id);
  RUN(test_events);
  return rt_finish();
}
