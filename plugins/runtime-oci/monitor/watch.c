#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../common/util.h"
#include "cgroup.h"
#include "files.h"
#include "fuse.h"
#include "hooks.h"
#include "monitor.h"
#include "sweep.h"

/* hold_ms: how long an unended line waits for its end. rest_reads: how much is still read when the container is gone: a pipe and a bit,
 * so that whoever holds its other end cannot keep us here for ever. */
enum { hold_ms = 50, rest_reads = 64 };

/* Too big for the stack, and never more than one. Pages that no output touched cost nothing. */
static struct ro_logstream streams[2];
static struct ro_logwriter writer;

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* False where there is nothing to read any more: then *fd is closed. */
static bool take(int *fd, struct ro_logstream *s) {
  ssize_t n = read(*fd, s->bytes + s->have, sizeof s->bytes - s->have);
  if (n > 0) {
    ro_logwriter_took(&writer, s, (size_t)n, now_ms());
    return true;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return true;
  ro_logwriter_piece(&writer, s); /* end of file, or EIO of a terminal that nobody has open any more */
  close(*fd);
  *fd = -1;
  return false;
}

/* Until when we may sleep: the first unended line that has waited long enough. */
static int patience(long long now) {
  int wait = -1;
  for (size_t i = 0; i < PU_COUNT(streams); i++) {
    if (!streams[i].have)
      continue;
    long long left = streams[i].since_ms + hold_ms - now;
    if (left <= 0) {
      ro_logwriter_piece(&writer, &streams[i]);
      continue;
    }
    if (wait < 0 || left < wait)
      wait = (int)left;
  }
  return wait;
}

static void reap(struct ro_watch *w) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    if (pid == w->self.init) {
      w->ended = true;
      w->status = status;
    } else if (pid == w->server) { /* no file can be read any more */
      w->server = -1;
      ro_proc_signal(w->self.init, w->self.init_started, SIGKILL);
    }
}

static void loop(struct ro_watch *w, int signals) {
  while (!w->ended) {
    struct pollfd p[] = {{.fd = signals, .events = POLLIN}, {.fd = w->out, .events = POLLIN}, {.fd = w->err, .events = POLLIN}};
    if (poll(p, PU_COUNT(p), patience(now_ms())) < 0)
      continue;
    if (p[0].revents) {
      struct signalfd_siginfo info;
      while (read(signals, &info, sizeof info) > 0)
        continue;
      reap(w);
    }
    if (p[1].revents)
      take(&w->out, &streams[0]);
    if (p[2].revents)
      take(&w->err, &streams[1]);
  }
}

/* What the container wrote last is still in the pipes. */
static void drain(int *fd, struct ro_logstream *s) {
  for (int i = 0; *fd >= 0 && i < rest_reads; i++) {
    struct pollfd p = {.fd = *fd, .events = POLLIN};
    if (poll(&p, 1, 0) != 1 || !take(fd, s))
      break;
  }
  ro_logwriter_piece(&writer, s);
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

void ro_finish(const struct ro_watch *w, int exit_code, bool oom_killed, const struct ro_fail *why, uint64_t lost) {
  char now[32];
  ro_time_text(ro_now_ns(), now);
  PU_AUTO_JSON v = json_pack("{s:i, s:b, s:s, s:o}", "exit_code", exit_code, "oom_killed", oom_killed, "finished_at", now, "error",
                             pu_json_string(why && why->text ? why->text : ""));
  if (why && why->code)
    json_object_set_new(v, "code", json_string(why->code));
  if (lost)
    json_object_set_new(v, "log_lost", json_integer((json_int_t)lost));
  PU_AUTO_FREE text = pu_json_text(v);
  ro_write_file(w->spec.exit, text, strlen(text), 0600);
}

void ro_watch(struct ro_watch *w) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  streams[0].name = "stdout";
  streams[1].name = "stderr";
  if (w->spec.log)
    ro_logwriter_open(&writer, w->spec.log, w->spec.log_max_size, w->spec.log_max_files);
  reap(w); /* it may have ended before the signal was ours */
  loop(w, signals);
  bool oom = w->spec.cgroup && ro_cgroup_oom_killed(w->spec.cgroup);
  drain(&w->out, &streams[0]);
  drain(&w->err, &streams[1]);
  uint64_t lost = writer.lost;
  if (w->spec.log)
    ro_logwriter_close(&writer);
  struct ro_fail why = {0};
  if (w->server < 0)
    ro_fail(&why, "unavailable", "fuse-overlayfs, which had the files of container %s, ended before it", w->spec.id);
  ro_finish(w, code_of(w->status), oom, &why, lost);
  ro_sweep(w->spec.id, w->spec.runtime_root, w->spec.cgroup, NULL);
  ro_hooks_poststop(w->dir, &w->spec);
  ro_fuse_end(w->spec.target, w->server);
  ro_fail_clear(&why);
  close(signals);
}
