/* Starts a program that would run for an hour, tells its number by an event, and aborts when it is asked to. */
#define SIMPLE_NEEDS BERTH_HOST_OPS, BERTH_HOST_CHILD
#include "simple.h"

static void over(void *arg, int exit_status, const char *out, size_t out_len, const char *err, size_t err_len) {
  (void)arg, (void)exit_status, (void)out, (void)out_len, (void)err, (void)err_len;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  if (strcmp(request->text, "abort") == 0)
    abort();
  const struct berth_host_child *child = self->host->service(self->host, BERTH_HOST_CHILD);
  static const char *const argv[] = {"sleep", "3599.25", NULL}, *const none[] = {"no-such-program", NULL};
  struct berth_child_request nobody = {.size = sizeof nobody, .argv = none, .done = over};
  struct berth_child_request sleeper = {.size = sizeof sleeper, .argv = argv, .timeout_ms = 3600000, .done = over};
  bool fine = child->spawn(self->host, &nobody) == 0 && child->spawn(self->host, &sleeper) != 0;
  self->ops->finish(self->host, op, fine ? BERTH_OK : BERTH_INTERNAL, "a program is missing, or is there that should not be", "{}");
}
