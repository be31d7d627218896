#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "monitor.h"

enum { max_report = 65536 };

/* ---- the monitor's side ---- */

/* Only the end of its container ends a monitor. */
static void leave_session(void) {
  setsid();
  static const int ignored[] = {SIGHUP, SIGPIPE, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ};
  for (size_t i = 0; i < PU_COUNT(ignored); i++)
    signal(ignored[i], SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd < 3; fd++)
    dup2(null, fd);
  if (null > 2)
    close(null);
  if (chdir("/") < 0)
    _exit(1);
}

static void report(int to, const char *text) {
  ro_write_all(to, text, strlen(text)); /* the starter may be dead: the container runs all the same */
  close(to);
}

static void report_failure(int to, const struct ro_fail *why) {
  PU_AUTO_JSON v = json_pack("{s:o, s:s}", "error", pu_json_string(why->text), "code", why->code);
  PU_AUTO_FREE text = pu_json_text(v);
  report(to, text);
}

static void report_running(int to, const struct ro_watch *w) {
  PU_AUTO_FREE text = pu_asprintf("{\"pid\":%ld,\"monitor\":%ld,\"started_at\":\"%s\"}", (long)w->self.init, (long)w->self.pid, w->self.started_at);
  report(to, text);
}

static int live(const char *dir, int to) {
  struct ro_watch w = {.dir = dir, .lock = -1, .in = -1, .out = -1, .err = -1};
  struct ro_fail why = {0};
  leave_session();
  if (ro_begin_lock(&w, &why) < 0 || ro_monspec_read(dir, &w.spec, &why) < 0 || ro_begin(&w, &why) < 0) {
    report_failure(to, &why);
    ro_fail_clear(&why);
    ro_monspec_free(&w.spec);
    return 1;
  }
  report_running(to, &w);
  malloc_trim(0); /* what the start needed and a long life does not */
  ro_watch(&w);
  ro_monspec_free(&w.spec);
  return 0;
}

/* ---- the starter's side ---- */

static int say(const char *line, bool good) {
  printf("%s\n", line);
  return fflush(stdout) == 0 && good ? 0 : 1;
}

static int relay(int from, pid_t monitor) {
  char text[max_report];
  size_t have = 0;
  ssize_t n;
  while (have < sizeof text - 1 && ((n = read(from, text + have, sizeof text - 1 - have)) > 0 || (n < 0 && errno == EINTR)))
    have += n > 0 ? (size_t)n : 0;
  text[have] = 0;
  close(from);
  int status = 0;
  bool failed = strncmp(text, "{\"error\"", 8) == 0;
  if (have && !failed)
    return say(text, true);
  while (waitpid(monitor, &status, 0) < 0 && errno == EINTR) /* so that the next start finds nothing locked */
    continue;
  if (failed)
    return say(text, false);
  PU_AUTO_FREE sad = pu_asprintf("{\"error\":\"the monitor ended without a word (%s %d)\",\"code\":\"unavailable\"}",
                                 WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return say(sad, false);
}

int ro_start(const char *dir) {
  int p[2];
  if (pipe2(p, O_CLOEXEC) < 0)
    return say("{\"error\":\"cannot make a pipe: too many files are open\",\"code\":\"exhausted\"}", false);
  pid_t monitor = fork();
  if (monitor < 0)
    return say("{\"error\":\"cannot start a monitor: too many processes, or too little memory\",\"code\":\"exhausted\"}", false);
  if (monitor == 0) {
    close(p[0]);
    exit(live(dir, p[1]));
  }
  close(p[1]);
  return relay(p[0], monitor);
}
