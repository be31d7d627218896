#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "../../common/util.h"
#include "../spec/path.h"
#include "console.h"
#include "files.h"
#include "fuse.h"
#include "hooks.h"
#include "monitor.h"
#include "netns.h"
#include "root.h"
#include "runtime.h"
#include "sweep.h"

/* ---- one monitor a container ---- */

int ro_begin_lock(struct ro_watch *w, struct ro_fail *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/monitor.lock", w->dir);
  w->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (w->lock < 0)
    return ro_fail_errno(why, "cannot open %s", path);
  if (flock(w->lock, LOCK_EX | LOCK_NB) == 0)
    return 0;
  if (errno == EWOULDBLOCK)
    return ro_fail(why, "conflict", "the container of %s has a monitor already: it runs, or is being started", w->dir);
  return ro_fail_errno(why, "cannot lock %s", path);
}

/* What an earlier life left, and who we are: from here on a sweep finds everything we make. */
static int take_over(struct ro_watch *w, struct ro_fail *why) {
  if (unlink(w->spec.exit) < 0 && errno != ENOENT)
    return ro_fail_errno(why, "cannot remove %s", w->spec.exit);
  if (ro_hooks_renew(w->dir) < 0)
    return ro_fail_errno(why, "cannot remove %s/" RO_POSTSTOP, w->dir);
  w->self.pid = getpid();
  w->self.started = ro_proc_started(w->self.pid);
  if (ro_monitor_write(w->dir, &w->self) < 0)
    return ro_fail_errno(why, "cannot write %s/monitor.pid", w->dir);
  return ro_sweep(w->spec.id, w->spec.runtime_root, w->spec.cgroup, why);
}

/* ---- its descriptors ---- */

struct ends {
  int in, out, err; /* the container's */
};

/* Reads must not block us; the container's own end stays as programs expect it. */
static int pipe_from(int *ours, int *theirs, struct ro_fail *why) {
  int p[2];
  if (pipe2(p, O_CLOEXEC) < 0)
    return ro_fail_errno(why, "cannot make a pipe for the container's output");
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  *ours = p[0];
  *theirs = p[1];
  return 0;
}

static int make_pipes(struct ro_watch *w, struct ends *e, struct ro_fail *why) {
  if (w->spec.stdin_open) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
      return ro_fail_errno(why, "cannot make a pipe for the container's input");
    e->in = p[0];
    w->in = p[1];
  }
  if (!w->spec.log)
    return 0;
  return pipe_from(&w->out, &e->out, why) < 0 || pipe_from(&w->err, &e->err, why) < 0 ? -1 : 0;
}

static void close_ends(const struct ends *e) {
  const int fds[] = {e->in, e->out, e->err};
  for (size_t i = 0; i < PU_COUNT(fds); i++)
    if (fds[i] >= 0)
      close(fds[i]);
}

/* ---- the runtime ---- */

static int learn_init(struct ro_watch *w, const char *pid_file, struct ro_fail *why) {
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, pid_file, 64, NULL);
  w->self.init = text ? (pid_t)strtol(text, NULL, 10) : 0;
  unlink(pid_file);
  if (w->self.init <= 0)
    return ro_fail(why, "unavailable", "%s started container %s and wrote no process into %s", w->spec.runtime[0], w->spec.id, pid_file);
  w->self.init_started = ro_proc_started(w->self.init);
  ro_time_text(ro_now_ns(), w->self.started_at);
  return 0;
}

static int run(struct ro_watch *w, const struct ends *e, const char *console, struct ro_fail *why) {
  PU_AUTO_FREE pid_file = pu_asprintf("%s/init.pid", w->dir);
  PU_AUTO_FREE log = pu_asprintf("%s/runtime.log", w->dir);
  const char *words[12] = {"run", "--detach", "--bundle", w->spec.bundle, "--pid-file", pid_file};
  size_t n = 6;
  if (console) {
    words[n++] = "--console-socket";
    words[n++] = console;
  }
  words[n] = w->spec.id;
  /* The runtime holds the lock as well: where we are killed half-way, a sweep waits for its end (and for its child to become the container). */
  struct ro_call call = {.words = words, .in = e->in, .out = e->out, .err = e->err, .keep = w->lock, .log = log, .words_from = w->err};
  unlink(pid_file);
  if (ro_runtime_run(&w->spec, &call, why) < 0)
    return -1;
  return learn_init(w, pid_file, why);
}

static int run_on_terminal(struct ro_watch *w, struct ro_fail *why) {
  struct ro_console console;
  struct ends e = {-1, -1, -1};
  if (pipe_from(&w->err, &e.err, why) < 0) /* only the runtime's: the container has its terminal */
    return -1;
  int rc = ro_console_listen(&console, w->dir, why);
  if (rc == 0 && (rc = run(w, &e, console.path, why)) < 0)
    ro_console_close(&console);
  close(e.err);
  close(w->err);
  w->err = -1;
  if (rc < 0)
    return -1;
  w->out = ro_console_take(&console, why);
  if (w->out < 0)
    return -1;
  fcntl(w->out, F_SETFL, O_RDWR | O_NONBLOCK);
  return 0;
}

static int run_on_pipes(struct ro_watch *w, struct ro_fail *why) {
  struct ends e = {-1, -1, -1};
  int rc = make_pipes(w, &e, why);
  if (rc == 0)
    rc = run(w, &e, NULL, why);
  close_ends(&e);
  return rc;
}

/* What the translation asks for of paths and volumes: see spec/path.h. */
static int prepare(struct ro_watch *w, struct ro_fail *why) {
  const char *code = "unavailable";
  PU_AUTO_FREE text = NULL;
  return ro_path_prepare(w->spec.json, w->spec.target, &code, &text) < 0 ? ro_fail(why, code, "%s", text) : 0;
}

static int build(struct ro_watch *w, struct ro_fail *why) {
  if (ro_netns_config(&w->spec, w->dir, why) < 0 || ro_netns_make(&w->spec, w->dir, why) < 0 || ro_root_mount(&w->spec, &w->server, why) < 0 || prepare(w, why) < 0)
    return -1;
  ro_root_hide_unified();
  if ((w->spec.tty ? run_on_terminal(w, why) : run_on_pipes(w, why)) < 0)
    return -1;
  if (ro_monitor_write(w->dir, &w->self) < 0)
    return ro_fail_errno(why, "cannot write %s/monitor.pid", w->dir);
  return 0;
}

int ro_begin(struct ro_watch *w, struct ro_fail *why) {
  if (take_over(w, why) == 0 && build(w, why) == 0)
    return 0;
  ro_fuse_end(w->spec.target, w->server);
  ro_finish(w, pu_eq(why->code, "not_found") ? 127 : 126, false, why, 0);
  ro_sweep(w->spec.id, w->spec.runtime_root, w->spec.cgroup, NULL);
  return -1;
}
