#define _GNU_SOURCE /* pipe2 */
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "manifest.h"

enum { max_report = 32 << 20, child_fds = 3, high = 32 };

static char *limits_text(const struct ri_tar_limits *l) {
  PU_AUTO_JSON o = json_pack("{s:I, s:I, s:I, s:i, s:i, s:b, s:b}", "max_bytes", (json_int_t)l->max_bytes, "max_entries", (json_int_t)l->max_entries,
                             "max_ratio", (json_int_t)l->max_ratio, "max_depth", l->max_depth, "devices", (int)l->devices, "bottom", l->bottom,
                             "plain", l->plain);
  return pu_json_text(o);
}

/* The four descriptors as 3 to 6; from above, so that none is overwritten before it is copied. */
static int start(struct ri_unpacker *u, const int fds[4], char *limits) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  sigset_t none;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attr);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
  int lifted[4] = {-1, -1, -1, -1}, error = 0;
  for (int i = 0; i < 4 && !error; i++) {
    lifted[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, high);
    error = lifted[i] < 0 ? errno : posix_spawn_file_actions_adddup2(&actions, lifted[i], child_fds + i);
  }
  char program[] = "berth-image", action[] = "unpack", path[] = "PATH=/usr/bin:/bin";
  char *argv[] = {program, action, limits, NULL}, *env[] = {path, NULL};
  if (!error)
    error = posix_spawn(&u->pid, "/proc/self/exe", &actions, &attr, argv, env);
  for (int i = 0; i < 4; i++)
    ri_fd_close(&lifted[i]);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attr);
  return error;
}

int ri_unpacker_start(struct ri_unpacker *u, int blob, int dir, const struct ri_tar_limits *limits, struct ri_why *why) {
  *u = (struct ri_unpacker){.tell = -1, .report = -1};
  PU_AUTO_FREE text = limits_text(limits);
  int told[2] = {-1, -1}, reported[2] = {-1, -1}, error = 0;
  if (pipe2(told, O_CLOEXEC) < 0 || pipe2(reported, O_CLOEXEC) < 0)
    error = errno;
  if (!error)
    error = start(u, (int[4]){blob, told[0], dir, reported[1]}, text);
  ri_fd_close(&told[0]);
  ri_fd_close(&reported[1]);
  if (error) {
    ri_fd_close(&told[1]);
    ri_fd_close(&reported[0]);
    u->pid = 0;
    return ri_why_errno(why, error, "the process that unpacks cannot be started");
  }
  fcntl(told[1], F_SETFL, O_NONBLOCK);
  u->tell = told[1];
  u->report = reported[0];
  return 0;
}

/* What does not fit is said again with the next; only the last word must arrive. */
void ri_unpacker_tell(struct ri_unpacker *u, int64_t available, bool last) {
  int64_t word = last ? -available - 1 : available;
  if (u->tell < 0)
    return;
  if (last)
    fcntl(u->tell, F_SETFL, 0);
  ssize_t n;
  while ((n = write(u->tell, &word, sizeof word)) < 0 && errno == EINTR)
    continue;
  u->gone |= n < 0 && errno == EPIPE;
  if (last)
    ri_fd_close(&u->tell);
}

static int wait_for(struct ri_unpacker *u) {
  int status = 0;
  while (u->pid && waitpid(u->pid, &status, 0) < 0 && errno == EINTR)
    continue;
  u->pid = 0;
  return status;
}

void ri_unpacker_kill(struct ri_unpacker *u) {
  ri_fd_close(&u->tell);
  if (u->pid)
    kill(u->pid, SIGKILL);
  wait_for(u);
  ri_fd_close(&u->report);
}

static void report_read(struct ri_unpacker *u, struct pu_buf *out) {
  char piece[16384];
  for (;;) {
    ssize_t n = read(u->report, piece, sizeof piece);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0 || out->len + (size_t)n > max_report)
      return;
    pu_buf_add(out, piece, (size_t)n);
  }
}

json_t *ri_unpacker_end(struct ri_unpacker *u, struct ri_why *why) {
  PU_AUTO_BUF text = {0};
  ri_fd_close(&u->tell);
  report_read(u, &text);
  ri_fd_close(&u->report);
  int status = wait_for(u);
  PU_AUTO_JSON report = pu_json_parse(text.data, text.len);
  const char *error = pu_str(report, "error");
  if (error) {
    ri_why_set(why, ri_code_named(pu_str_or(report, "code", "internal")), "%s", error);
    return NULL;
  }
  if (status || !ri_digest_good(pu_str(report, "diff_id"))) {
    ri_why_set(why, BERTH_INTERNAL, "the process that unpacks ended by %s %d without a word", WIFSIGNALED(status) ? "signal" : "exit code",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return NULL;
  }
  return json_incref(report);
}
