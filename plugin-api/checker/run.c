#include "config.h"
#include "run.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "report.h"

enum { output_lines = 20, output_max = 1 << 20 };
static const rlim_t memory_max = 4ull << 30; /* one that eats all fails its test, and nothing else */

/* ---------------------------------------------------------------- the child */

/* Where it happened, for those who have no sanitizer; then the signal does what it does. */
static void on_crash(int signo) {
  void *frames[40];
  check_scope(false);
  backtrace_symbols_fd(frames, backtrace(frames, BT_COUNT(frames)), STDERR_FILENO);
  signal(signo, SIG_DFL);
  raise(signo);
}

static void watch_crashes(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  void *frame;
  backtrace(&frame, 1); /* the first call allocates */
  for (size_t i = 0; i < BT_COUNT(signals); i++)
    signal(signals[i], on_crash);
}

static _Noreturn void child(void (*fn)(void *arg), void *arg, int report, FILE *output, char *step) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing is left behind when the checker itself is killed */
  struct rlimit none = {0, 0}, memory;
  setrlimit(RLIMIT_CORE, &none);
  if (check_alloc_on()) { /* sanitizers map terabytes that they never touch, and tell of crashes themselves */
    getrlimit(RLIMIT_AS, &memory);
    memory.rlim_cur = BT_MIN(memory_max, memory.rlim_max);
    setrlimit(RLIMIT_AS, &memory);
    watch_crashes();
  }
  signal(SIGPIPE, SIG_IGN);
  dup2(fileno(output), STDOUT_FILENO);
  dup2(fileno(output), STDERR_FILENO);
  check_report_to(report, step);
  fn(arg);
  fflush(NULL);
  check_step("%s", "");
  _exit(0);
}

/* ---------------------------------------------------------------- what came of it */

static void take_lines(struct check_result *r, char *text) {
  char *save = NULL;
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    if (*line == 'F')
      bt_strs_add(&r->fails, line + 1);
    else if (*line == 'W')
      bt_strs_add(&r->warns, line + 1);
    else if (*line == 'N')
      bt_strs_add(&r->notes, line + 1);
    else if (*line == 'S' && !r->skip)
      r->skip = bt_strdup(line + 1);
  }
}

static void fail(struct check_result *r, char *sentence_steal) { bt_vec_push(&r->fails, sentence_steal); }

static void judge(struct check_result *r, int status, bool late, int limit_s, const char *step) {
  const char *at = *step ? step : "an unnamed step";
  if (late)
    fail(r, bt_asprintf("took over %d s and was killed, in: %s", limit_s, at));
  else if (WIFSIGNALED(status))
    fail(r, bt_asprintf("died of SIG%s in: %s", sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?", at));
  else if (*step || WEXITSTATUS(status))
    fail(r, bt_asprintf("the process ended by itself, with exit code %d, in: %s", WEXITSTATUS(status), at));
}

/* What the child had started in groups of its own has become ours (main makes it so): it ends with the test. */
static void end_orphans(void) {
  char text[4096];
  for (int tries = 0; tries < 100; tries++) {
    FILE *f = fopen("/proc/thread-self/children", "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
      fclose(f);
    text[n] = '\0';
    char *save = NULL;
    for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
      kill((pid_t)atoi(p), SIGKILL);
    if (!n || waitpid(-1, NULL, 0) < 0)
      return;
  }
}

/* Reads until the child is gone or the time is over; then kills what is left of its group. */
static int follow(pid_t pid, int report, int limit_s, struct bt_buf *lines, bool *late) {
  int64_t until = bt_clock_mono_ms() + limit_s * 1000ll;
  for (;;) {
    int64_t left = until - bt_clock_mono_ms();
    struct pollfd p = {.fd = report, .events = POLLIN};
    if (left <= 0) {
      *late = true;
      break;
    }
    if (poll(&p, 1, (int)BT_MIN(left, 1000)) <= 0)
      continue;
    char chunk[4096];
    ssize_t n = read(report, chunk, sizeof chunk);
    if (n > 0 && lines->len < output_max)
      bt_buf_add(lines, chunk, (size_t)n);
    if (n == 0 || (n < 0 && errno != EINTR))
      break;
  }
  int status = 0;
  if (*late)
    kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  kill(-pid, SIGKILL);
  end_orphans();
  return status;
}

static void keep_output(struct check_result *r, FILE *output) {
  char line[512];
  rewind(output);
  while (fgets(line, sizeof line, output)) {
    line[strcspn(line, "\n")] = '\0';
    if (r->output.len == output_lines) {
      free(r->output.items[0]);
      bt_vec_remove(&r->output, 0);
    }
    bt_strs_add(&r->output, line);
  }
}

void check_run(void (*fn)(void *arg), void *arg, int limit_s, struct check_result *r) {
  int pipes[2];
  *r = (struct check_result){0};
  FILE *output = tmpfile();
  char *step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  BT_ASSERT(output && step != MAP_FAILED && pipe2(pipes, O_CLOEXEC) == 0);
  snprintf(step, CHECK_STEP_ROOM, "the beginning");
  fflush(NULL);
  pid_t pid = fork();
  BT_ASSERT(pid >= 0);
  if (pid == 0) {
    close(pipes[0]);
    child(fn, arg, pipes[1], output, step);
  }
  setpgid(pid, pid);
  close(pipes[1]);
  bool late = false;
  BT_AUTO_BUF lines = {0};
  int status = follow(pid, pipes[0], limit_s, &lines, &late);
  if (lines.data)
    take_lines(r, lines.data);
  judge(r, status, late, limit_s, step);
  keep_output(r, output);
  r->ok = r->fails.len == 0;
  close(pipes[0]);
  fclose(output);
  munmap(step, 4096);
}

void check_result_free(struct check_result *r) {
  free(r->skip);
  bt_strs_free(&r->fails);
  bt_strs_free(&r->warns);
  bt_strs_free(&r->notes);
  bt_strs_free(&r->output);
}
