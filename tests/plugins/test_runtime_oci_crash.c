/* berth-monitor when something is killed, comes twice or comes late: after one sweep nothing is left. BERTH_CRASH_ROUNDS: how often the
 * random ones are tried (60). */
#define _GNU_SOURCE
#include <sched.h>

#include "oci.h"

static const char *text(const json_t *v, const char *key) {
  const char *s = json_string_value(json_object_get(v, key));
  return s ? s : "";
}
static long long number(const json_t *v, const char *key) { return json_integer_value(json_object_get(v, key)); }

static const struct box_options sleeper = {.args = "[\"sh\",\"-c\",\"echo up; sleep 1000 & sleep 1000\"]"};

/* Starts without waiting; the starter's process. */
static pid_t start_aside(const struct box *b) {
  char *program = oci_text("%s/plugins/runtime-oci/berth-monitor", getenv("top_builddir") ? getenv("top_builddir") : ".");
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    execl(program, program, "start", b->run, NULL);
    _exit(127);
  }
  free(program);
  return pid;
}

static int end_of(pid_t pid) {
  int status;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void twice(void) {
  struct box b;
  box_new(&b, &sleeper);
  pid_t first = start_aside(&b), second = start_aside(&b);
  int codes = end_of(first) + end_of(second);
  is_int(codes, 1, "of two starts at once one works");
  json_t *third = box_start(&b);
  is_str(text(third, "code"), "conflict", "a third is told so");
  ok(strlen(text(third, "error")) > 20, "in words: %s", text(third, "error"));
  json_decref(third);
  ok(box_says(&b, "up"), "the one that works is unharmed");
  box_signal(&b, SIGTERM);
  box_signal(&b, SIGKILL);
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 137, "and ends as one");
  json_decref(end);
  json_t *again = box_start(&b);
  is_str(text(again, "error"), "", "then it can be started again");
  json_decref(again);
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  box_end(&b, "two starts");
}

static void starter_dies(void) {
  struct box b;
  box_new(&b, &sleeper);
  pid_t starter = start_aside(&b);
  struct ro_monitor m = {0};
  while (!ro_monitor_read(b.run, &m) && kill(starter, 0) == 0)
    oci_nap(1);
  kill(starter, SIGKILL);
  end_of(starter);
  ok(box_says(&b, "up"), "the starter is killed, the container starts");
  kill(m.pid, SIGTERM);
  kill(m.pid, SIGHUP);
  kill(m.pid, SIGINT);
  oci_nap(50);
  ok(ro_proc_started(m.pid) == m.started, "no polite signal ends a monitor");
  box_signal(&b, SIGKILL);
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 137, "its exit code is kept");
  json_decref(end);
  box_end(&b, "a dead starter");
}

static void monitor_dies(void) {
  struct box b;
  box_new(&b, &sleeper);
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "a container runs");
  struct ro_monitor m;
  ro_monitor_read(b.run, &m);
  kill(m.pid, SIGKILL);
  struct ro_fail why = {0};
  ok(ro_sweep_run(b.run, &why) == 0, "its monitor is killed, and one sweep: %s", why.text ? why.text : "all gone");
  ro_fail_clear(&why);
  box_end(&b, "a dead monitor");
}

static void monitor_dies_before_hooks(void) {
  struct box b;
  struct box_options o = sleeper;
  o.hooks = ",\"hooks\":{\"poststop\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"echo run >>ran\"]}]}";
  box_new(&b, &o);
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "a container with a hook poststop runs");
  struct ro_monitor m;
  ro_monitor_read(b.run, &m);
  kill(m.pid, SIGKILL);
  ok(ro_sweep_run(b.run, NULL) == 0 && ro_sweep_run(b.run, NULL) == 0, "its monitor is killed, and two sweeps");
  char *path = box_path(&b, "ran"), *ran = oci_get(path);
  is_str(ran ? ran : "", "run\n", "the first runs the hook");
  free(ran);
  free(path);
  box_end(&b, "a dead monitor with hooks");
}

/* A fork bomb without its monitor: the sweep must be faster than it. */
static void bomb(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; f() { f & f & }; while true; do f; done\"]", .resources = "{\"pids\":{\"limit\":200}}"});
  json_decref(box_start(&b));
  box_says(&b, "up");
  struct ro_monitor m;
  ro_monitor_read(b.run, &m);
  kill(m.pid, SIGKILL);
  struct ro_fail why = {0};
  ok(ro_sweep_run(b.run, &why) == 0, "a fork bomb is swept: %s", why.text ? why.text : "all gone");
  ro_fail_clear(&why);
  box_end(&b, "a fork bomb");
}

/* Whoever it is, and whenever: what a sweep leaves is nothing, and the next start works. */
static void at_random(int rounds) {
  unsigned seed = (unsigned)getpid();
  int left = 0, ran = 0, stuck = 0;
  struct box b;
  box_new(&b, &sleeper);
  for (int i = 0; i < rounds; i++) {
    box_write_spec(&b, &sleeper); /* as the plug-in does before every start */
    pid_t starter = start_aside(&b);
    long long us = rand_r(&seed) % 40000;
    nanosleep(&(struct timespec){0, us * 1000}, NULL);
    struct ro_monitor m;
    bool known = ro_monitor_read(b.run, &m);
    if (i % 3 != 2 && known)
      ro_proc_signal(m.pid, m.started, SIGKILL);
    if (i % 3 != 1)
      kill(starter, SIGKILL);
    if (known && m.init)
      ran++;
    end_of(starter);
    struct ro_fail why = {0};
    stuck += ro_sweep_run(b.run, &why) < 0;
    if (why.text)
      printf("# %s\n", why.text);
    ro_fail_clear(&why);
    oci_nap(i % 5 ? 0 : 150); /* a monitor that had not begun would have by now */
    left += oci_count_cgroups(b.cgroup) + oci_count_mounts(b.id) != 0;
  }
  is_int(stuck, 0, "no sweep fails");
  is_int(left, 0, "a monitor or its starter is killed at any time, and one sweep leaves nothing");
  printf("# %d rounds, in %d the container ran already\n", rounds, ran);
  oci_nap(300);
  ok(box_clean(&b), "no process, cgroup, mount or state");
  box_write_spec(&b, &sleeper);
  json_t *again = box_start(&b);
  is_str(text(again, "error"), "", "and it can be started");
  json_decref(again);
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  box_end(&b, "deaths at random");
}

/* The signal comes when it is about to end by itself. */
static void ends_by_itself(void) {
  int odd = 0, own = 0, killed = 0;
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"exit 3\"]"});
  for (int i = 0; i < 25; i++) {
    json_decref(box_start(&b));
    box_signal(&b, SIGKILL);
    json_t *end = box_wait(&b);
    long long code = number(end, "exit_code");
    own += code == 3;
    killed += code == 137;
    odd += !end || (code != 3 && code != 137);
    json_decref(end);
  }
  is_int(odd, 0, "a kill and an exit at once: one of both is told");
  printf("# %d exited, %d were killed\n", own, killed);
  box_end(&b, "kill and exit at once");
}

/* The exit is known only with the record whole: whoever sees exit.json can start again at once. */
static void restarts(void) {
  struct box b;
  int refused = 0;
  box_new(&b, &(struct box_options){.args = "[\"true\"]"});
  for (int i = 0; i < 25; i++) {
    json_t *v = box_start(&b);
    refused += *text(v, "error") != 0;
    json_decref(v);
    json_decref(box_wait(&b));
  }
  is_int(refused, 0, "25 restarts one after the other");
  box_end(&b, "restarts");
}

/* A runtime that is killed leaves its scratch file: it must lie where the container's other files do. A runtime that only tells where it would put it. */
static void scratch(void) {
  struct box b;
  box_new(&b, &sleeper);
  char *fake = box_path(&b, "tells"), *told = box_path(&b, "told");
  char *script = oci_text("#!/bin/sh\nprintf %%s \"$_LIBCONTAINER_STATEDIR\" >%s\nexit 1\n", told);
  oci_put(fake, script);
  chmod(fake, 0700);
  char *path = box_path(&b, "monitor.json");
  json_t *spec = json_load_file(path, 0, NULL);
  json_object_set_new(spec, "runtime", json_pack("[s]", fake));
  json_dump_file(spec, path, 0);
  json_decref(spec);
  json_decref(box_start(&b));
  char *where = oci_get(told);
  is_str(where ? where : "it was not run", b.run, "what the runtime leaves where it is killed lies in the bundle");
  free(where);
  free(path);
  free(script);
  free(told);
  free(fake);
  box_end(&b, "a runtime's scratch");
}

int main(void) {
  const char *why = oci_hindrance(), *rounds = getenv("BERTH_CRASH_ROUNDS");
  if (why)
    return skip_all(why);
  oci_setup();
  twice();
  starter_dies();
  monitor_dies();
  monitor_dies_before_hooks();
  scratch();
  bomb();
  ends_by_itself();
  restarts();
  at_random(rounds ? atoi(rounds) : 60);
  oci_teardown();
  return done_testing();
}
