/* Starts a program that would run for an hour, and aborts when it is asked to. Asked to escape, it leaves one that hides: a grandchild without its
 * parents, in a session and a group of its own as far as that is allowed. Asked to fork, it forks and forks. */
#define SIMPLE_NEEDS BERTH_HOST_OPS, BERTH_HOST_CHILD
#include "simple.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void over(void *arg, int exit_status, const char *out, size_t out_len, const char *err, size_t err_len) {
  (void)arg, (void)exit_status, (void)out, (void)out_len, (void)err, (void)err_len;
}

static void escape(void) {
  pid_t child = fork();
  if (child > 0)
    waitpid(child, NULL, 0);
  if (child != 0)
    return;
  if (fork() != 0)
    _exit(0);
  setsid();
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, 0);
  close(0);
  close(1);
  close(2);
  execlp("sleep", "sleep", "3599.75", (char *)NULL);
  _exit(1);
}

/* For half a minute at most, whatever becomes of the test. */
static void bomb(void) {
  for (time_t until = time(NULL) + 30; time(NULL) < until;)
    if (fork() == 0)
      setpgid(0, 0);
  _exit(0);
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  if (strcmp(request->text, "abort") == 0)
    abort();
  if (strcmp(request->text, "escape") == 0) {
    escape();
    self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
    return;
  }
  if (strcmp(request->text, "fork") == 0)
    bomb();
  const struct berth_host_child *child = self->host->service(self->host, BERTH_HOST_CHILD);
  static const char *const argv[] = {"sleep", "3599.25", NULL}, *const none[] = {"no-such-program", NULL};
  struct berth_child_request nobody = {.size = sizeof nobody, .argv = none, .done = over};
  struct berth_child_request sleeper = {.size = sizeof sleeper, .argv = argv, .timeout_ms = 3600000, .done = over};
  bool fine = child->spawn(self->host, &nobody) == 0 && child->spawn(self->host, &sleeper) != 0;
  self->ops->finish(self->host, op, fine ? BERTH_OK : BERTH_INTERNAL, "a program is missing, or is there that should not be", "{}");
}
