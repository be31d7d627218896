#include "config.h"
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "proc.h"

enum { max_words = 96, max_log = 1 << 20 };

/* dup2 of a descriptor onto itself would leave its close-on-exec flag. */
static void place(int from, int to) {
  if (from == to)
    fcntl(to, F_SETFD, 0);
  else
    dup2(from, to);
}

/* crun leaves the file that it binds itself to where it is killed: below the bundle it goes with the container, in /tmp it stays for ever. */
static void own_scratch(const struct ro_monspec *s) { setenv("_LIBCONTAINER_STATEDIR", s->bundle, 1); }

static _Noreturn void child(const struct ro_monspec *s, const char *const *argv, const struct ro_call *call, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent)
    _exit(127);
  ro_proc_plain_signals();
  own_scratch(s);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  place(call->in >= 0 ? call->in : null, 0);
  place(call->out >= 0 ? call->out : null, 1);
  place(call->err >= 0 ? call->err : null, 2);
  if (call->keep >= 0)
    fcntl(call->keep, F_SETFD, 0);
  execv(argv[0], (char *const *)(uintptr_t)argv);
  _exit(127);
}

/* Starts it (it is killed when the caller dies); its process, or -1. */
static pid_t spawn(const struct ro_monspec *s, const struct ro_call *call, struct ro_fail *why) {
  const char *argv[max_words + 1];
  size_t n = 0;
  for (size_t i = 0; i < s->nruntime; i++)
    argv[n++] = s->runtime[i];
  const char *const global[] = {"--root", s->runtime_root, "--log", call->log, "--log-format", "json"};
  for (size_t i = 0; i < PU_COUNT(global); i++)
    argv[n++] = global[i];
  for (size_t i = 0; call->words[i] && n < max_words; i++)
    argv[n++] = call->words[i];
  argv[n] = NULL;
  if (access(argv[0], X_OK) < 0) {
    ro_fail_errno(why, "cannot run the OCI runtime %s", argv[0]);
    return -1;
  }
  unlink(call->log);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0)
    child(s, argv, call, parent);
  if (pid < 0)
    ro_fail_errno(why, "cannot start %s for container %s", argv[0], s->id);
  return pid;
}

/* ---- why ---- */

static const char *code_of(const char *text) {
  static const struct {
    const char *words, *code;
  } known[] = {
      {"executable file", "not_found"}, {"not found in $PATH", "not_found"}, {"no such file", "not_found"},
      {"No such file", "not_found"},    {"ermission denied", "denied"},      {"open executable: Operation not permitted", "denied"},
      {"already exist", "conflict"},    {"No space left", "no_space"},       {"esource temporarily unavailable", "exhausted"},
      {"oo many open files", "exhausted"}, {"annot allocate memory", "exhausted"},
  };
  for (size_t i = 0; i < PU_COUNT(known); i++)
    if (strstr(text, known[i].words))
      return known[i].code;
  return "invalid";
}

/* The message of the last line that is an error. */
static char *last_words(const char *log) {
  char *out = NULL;
  for (const char *p = log; p && *p;) {
    size_t n = strcspn(p, "\n");
    PU_AUTO_JSON line = pu_json_parse(p, n);
    const char *msg = pu_str(line, "msg");
    if (msg && (pu_eq(pu_str_or(line, "level", "error"), "error") || pu_eq(pu_str(line, "level"), "fatal")))
      pu_set(&out, pu_strdup(msg));
    p += n + (p[n] == '\n');
  }
  return out;
}

/* crun says some things (a config.json that is none) only to its standard error. */
static char *spoken(int from) {
  char text[2048];
  ssize_t n = from >= 0 ? read(from, text, sizeof text - 1) : 0;
  size_t len = 0;
  for (ssize_t i = 0; i < n; i++) /* on one line */
    if ((unsigned char)text[i] > ' ')
      text[len++] = text[i];
    else if (len && text[len - 1] != ' ')
      text[len++] = ' ';
  while (len && text[len - 1] == ' ')
    len--;
  return len ? pu_strndup(text, len) : NULL;
}

/* The failure by what its log says; status is that of waitpid. Returns -1. */
static int fail_why(const struct ro_monspec *s, const struct ro_call *call, int status, struct ro_fail *why) {
  PU_AUTO_FREE log = ro_read_file(AT_FDCWD, call->log, max_log, NULL);
  PU_AUTO_FREE words = last_words(log);
  if (!words)
    words = spoken(call->words_from);
  const char *name = strrchr(s->runtime[0], '/') ? strrchr(s->runtime[0], '/') + 1 : s->runtime[0];
  if (words)
    return ro_fail(why, code_of(words), "%s: %s", name, words);
  if (WIFSIGNALED(status))
    return ro_fail(why, "unavailable", "%s was killed by signal %d while it worked for container %s", name, WTERMSIG(status), s->id);
  return ro_fail(why, "unavailable", "%s exited with %d for container %s and said nothing", name, WEXITSTATUS(status), s->id);
}

int ro_runtime_run(const struct ro_monspec *s, const struct ro_call *call, struct ro_fail *why) {
  pid_t pid = spawn(s, call, why);
  if (pid < 0)
    return -1;
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    unlink(call->log);
    return 0;
  }
  fail_why(s, call, status, why);
  unlink(call->log);
  return -1;
}
