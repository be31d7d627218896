/* berth-monitor with a real OCI runtime: start, log, exit, and what is left when something goes wrong. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>

#include "../../plugins/runtime-oci/monitor/hooks.h"
#include "oci.h"

static const char *text(const json_t *v, const char *key) {
  const char *s = json_string_value(json_object_get(v, key));
  return s ? s : "";
}
static long long number(const json_t *v, const char *key) { return json_integer_value(json_object_get(v, key)); }

static void runs_and_exits(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo out; echo err >&2; printf end; exit 3\"]"});
  json_t *started = box_start(&b);
  ok(number(started, "pid") > 0 && number(started, "monitor") > 0, "it says who the container and the monitor are");
  ok(strlen(text(started, "started_at")) == 30, "and when it was started: %s", text(started, "started_at"));
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 3, "the exit code is kept");
  ok(json_is_false(json_object_get(end, "oom_killed")), "nobody was short of memory");
  is_str(text(end, "error"), "", "nothing went wrong");
  ok(strlen(text(end, "finished_at")) == 30, "finished at %s", text(end, "finished_at"));
  char *log = box_log(&b);
  ok(strstr(log, "Z stdout F out\n") && strstr(log, "Z stderr F err\n") && strstr(log, "Z stdout P end\n"), "both streams are in the log, also what has no newline");
  free(log);
  json_decref(started);
  json_decref(end);
  box_end(&b, "a container that exits");
}

static void dies_of_a_signal(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; exec sleep 1000\"]"});
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "it is up");
  ok(box_signal(&b, SIGKILL), "killed by the pid in the record");
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 137, "128 + signal");
  ok(json_is_false(json_object_get(end, "oom_killed")), "SIGKILL alone is no lack of memory");
  json_decref(end);
  box_end(&b, "a killed container");
}

static void lacks_memory(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"x=a; while true; do x=$x$x; done\"]", .resources = "{\"memory\":{\"limit\":16777216,\"swap\":16777216}}"});
  json_decref(box_start(&b));
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 137, "killed");
  ok(json_is_true(json_object_get(end, "oom_killed")), "for want of memory");
  json_decref(end);
  box_end(&b, "a container without memory");
}

static void fails_to_start(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"no-such-thing\"]"});
  json_t *v = box_start(&b), *end = box_wait(&b);
  is_str(text(v, "code"), "not_found", "no such command");
  ok(strstr(text(v, "error"), "no-such-thing") != NULL, "in words: %s", text(v, "error"));
  is_int(number(end, "exit_code"), 127, "exit.json has it as well");
  is_str(text(end, "error"), text(v, "error"), "with the same words");
  json_decref(v);
  json_decref(end);
  box_end(&b, "no such command");

  box_new(&b, &(struct box_options){.args = "[\"true\"]"});
  char *config = box_path(&b, "config.json");
  oci_put(config, "{\"ociVersion\":");
  v = box_start(&b);
  ok(*text(v, "code"), "a config.json that is none: %s", text(v, "code"));
  ok(strlen(text(v, "error")) > 10, "in words: %s", text(v, "error"));
  json_decref(v);
  free(config);
  box_end(&b, "bad config");

  box_new(&b, &(struct box_options){.args = "[\"true\"]"});
  char *layer = oci_text("%s/layer", oci_dir), *away = oci_text("%s/away", oci_dir);
  rename(layer, away);
  v = box_start(&b);
  rename(away, layer);
  is_str(text(v, "code"), "not_found", "a layer is not there");
  json_decref(v);
  free(layer);
  free(away);
  box_end(&b, "no layer");
}

/* Nothing of ours is open in there: neither the lock nor the run folder (CVE-2024-21626 was such a descriptor). */
static void keeps_nothing_open(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"ls /proc/1/fd >/tmp/fds; cat /tmp/fds; readlink /proc/1/fd/0; readlink /proc/1/fd/3\"]"});
  json_decref(box_start(&b));
  json_decref(box_wait(&b));
  char *log = box_log(&b);
  ok(strstr(log, " F 2\n") && strstr(log, " F /dev/null\n") && !strstr(log, " F 3\n"), "the container has its three descriptors");
  if (strstr(log, " F 3\n"))
    printf("# %s\n", log);
  free(log);
  box_end(&b, "descriptors");
}

static void on_terminal(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"test -t 0 && test -t 1 && stty size; exit 8\"]", .process = ",\"consoleSize\":{\"height\":20,\"width\":70}", .monitor = ",\"tty\":true"});
  json_decref(box_start(&b));
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 8, "a container with a terminal");
  char *log = box_log(&b);
  ok(strstr(log, "stdout F 20 70") != NULL, "of its size, and its output is in the log: %s", log);
  free(log);
  json_decref(end);
  box_end(&b, "a terminal");
  box_new(&b, &(struct box_options){.args = "[\"no-such-thing\"]", .monitor = ",\"tty\":true"});
  json_t *v = box_start(&b);
  is_str(text(v, "code"), "not_found", "no such command on a terminal");
  json_decref(v);
  box_end(&b, "no such command on a terminal");
}

static void open_input(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; cat; echo over\"]", .monitor = ",\"stdin_open\":true"});
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "a container whose input is held open");
  oci_nap(100);
  char *log = box_log(&b);
  ok(!strstr(log, "over"), "waits for input");
  free(log);
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  box_end(&b, "open input");
}

static void has_networks(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"ip addr; ip route\"]",
                                    .network = "{\"mode\":\"new\",\"interfaces\":[{\"name\":\"eth0\",\"host\":\"vberthmon0\",\"mac\":\"02:42:0a:59:00:05\",\"addresses\":[\"10.89.0.5/24\"],\"gateway\":\"10.89.0.1\"}]}"});
  json_t *v = box_start(&b);
  is_str(text(v, "error"), "", "a container with an interface");
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 0, "that ends well");
  json_decref(end);
  char *log = box_log(&b);
  ok(strstr(log, "10.89.0.5/24") && strstr(log, "default via 10.89.0.1 dev eth0"), "has its address and its way out");
  if (!strstr(log, "10.89.0.5/24"))
    printf("# %s\n", log);
  free(log);
  json_decref(v);
  box_end(&b, "an interface");
  box_new(&b, &(struct box_options){.args = "[\"ip\",\"-o\",\"link\"]"});
  json_decref(box_start(&b));
  json_decref(box_wait(&b));
  log = box_log(&b);
  ok(strstr(log, "1: lo") && !strstr(log, "2: "), "without networks there is lo alone");
  free(log);
  box_end(&b, "no network");
}

static void many_layers(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"ls /layers | tr '\\\\n' ' '; echo new >/layers/0\"]"});
  char *path = box_path(&b, "monitor.json");
  json_t *v = json_load_file(path, 0, NULL), *lower = json_array();
  for (int i = 0; i < 400; i++) { /* names long enough that they would never fit in one page of options */
    char *dir = oci_text("%s/layers:%0100d,with/layers", b.data, i), *file = oci_text("%s/%d", dir, i % 3);
    ro_make_dirs(dir, 0755);
    oci_put(file, "x");
    dir[strlen(dir) - strlen("/layers")] = 0;
    json_array_append_new(lower, json_string(dir));
    free(dir);
    free(file);
  }
  json_t *rootfs = json_object_get(v, "rootfs");
  json_array_extend(lower, json_object_get(rootfs, "lower"));
  json_object_set_new(rootfs, "lower", lower);
  json_dump_file(v, path, 0);
  json_decref(v);
  v = box_start(&b);
  is_str(text(v, "error"), "", "401 layers with long names, colons and commas");
  json_decref(box_wait(&b));
  char *log = box_log(&b), *new = oci_text("%s/upper/layers/0", b.data), *got = oci_get(new);
  ok(strstr(log, " P 0 1 2 ") != NULL, "are one tree: %s", log);
  is_str(got, "new\n", "and what is written goes to the top");
  free(got);
  free(new);
  free(log);
  free(path);
  json_decref(v);
  box_end(&b, "many layers");
}

/* What the container mounts in a shared bind is seen outside, and nothing else is. */
static void shares_mounts(void) {
  struct box b;
  char *shared = oci_text("%s/shared", oci_dir), *mounts = oci_text(",{\"destination\":\"/tmp\",\"source\":\"%s\",\"type\":\"bind\",\"options\":[\"rbind\",\"rshared\"]}", shared);
  ro_make_dirs(shared, 0755);
  if (mount("none", shared, "tmpfs", 0, "size=64k") < 0 || mount(NULL, shared, NULL, MS_SHARED, NULL) < 0) {
    ok(false, "a shared mount: %s", strerror(errno));
    return;
  }
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"mkdir -p /tmp/m && busybox mount -t tmpfs none /tmp/m && echo there >/tmp/m/file; echo $?; exec sleep 1000\"]",
                                    .mounts = mounts, .linux_part = ",\"rootfsPropagation\":\"shared\"", .monitor = ",\"propagation\":\"shared\"",
                                    .process = ",\"capabilities\":{\"bounding\":[\"CAP_SYS_ADMIN\"],\"effective\":[\"CAP_SYS_ADMIN\"],\"permitted\":[\"CAP_SYS_ADMIN\"]}"});
  json_decref(box_start(&b));
  ok(box_says(&b, " F 0"), "a container mounts something");
  char *file = oci_text("%s/m/file", shared), *got = oci_get(file);
  is_str(got, "there\n", "and it is seen outside");
  is_int(oci_count_mounts(b.id), 0, "its root file system is not");
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  umount2(shared, MNT_DETACH);
  free(file);
  free(got);
  free(shared);
  free(mounts);
  box_end(&b, "shared mounts");
}

/* config.json's "hooks", with something for the state beside them. */
static char *hooks_of(const struct box *b, const char *list) {
  return oci_text(",\"hooks\":{\"poststop\":[%s]},\"annotations\":{\"at\":\"%s\"}", list, b->run);
}

#define HOOK(script, rest) "{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"" script "\"],\"env\":[\"PATH=/usr/bin:/bin\",\"OF=operator\"]" rest "}"

static void runs_hooks_after(void) {
  struct box b;
  struct box_options o = {.args = "[\"sh\",\"-c\",\"echo up; exec sleep 1000\"]"};
  box_new(&b, &o);
  char *hooks = hooks_of(&b, HOOK("cat >>state; echo $OF >>state; ls exit.json >>state", "") "," HOOK("exit 7", "") "," HOOK("sleep 1000", ",\"timeout\":1") ","
                                 "{\"path\":\"/none/such\"}," HOOK("echo last >>state", ""));
  o.hooks = hooks;
  char *state = box_path(&b, "state"), *mark = box_path(&b, RO_POSTSTOP);
  for (int life = 0; life < 2; life++) { /* each life has its own */
    box_write_config(&b, &o);
    json_decref(box_start(&b));
    ok(box_says(&b, "up") && access(state, F_OK) < 0, "hooks poststop wait for the end");
    box_signal(&b, SIGKILL);
    json_t *end = box_wait(&b);
    is_int(number(end, "exit_code"), 137, "which they do not change");
    json_decref(end);
    char *said = oci_get(state), *sad = oci_get(mark);
    ok(said && strstr(said, b.id) && strstr(said, "\"stopped\"") && strstr(said, "\"at\""), "they get the state of the container: %s", said ? said : "none");
    ok(said && strstr(said, "operator\nexit.json\nlast\n"), "have their environment, come after the exit code, and one that fails hinders no other");
    ok(sad && strstr(sad, "/bin/sh exited with 7\n/bin/sh was killed, as it took over ") && strstr(sad, "\n/none/such could not be begun: No such file"), "the failures are told: %s", sad ? sad : "none");
    free(said);
    free(sad);
    unlink(state);
    ro_sweep_run(b.run, NULL);
    ok(access(state, F_OK) < 0, "a sweep runs them no more");
    box_write_spec(&b, &o);
  }
  free(state);
  free(mark);
  free(hooks);
  box_end(&b, "hooks");
}

static void all(const char *runtime) {
  oci_runtime = runtime;
  printf("# %s\n", runtime);
  runs_and_exits();
  dies_of_a_signal();
  lacks_memory();
  fails_to_start();
  keeps_nothing_open();
  on_terminal();
  open_input();
  has_networks();
  many_layers();
  shares_mounts();
  runs_hooks_after();
}

int main(void) {
  const char *why = oci_hindrance();
  if (why)
    return skip_all(why);
  oci_setup();
  /* Links and mounts of the tests stay out of the host's. */
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    return skip_all("no network namespace may be made here");
  all("/usr/bin/crun");
  if (access("/usr/sbin/runc", X_OK) == 0)
    all("/usr/sbin/runc");
  oci_teardown();
  return done_testing();
}
