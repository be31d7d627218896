/* Leaves a timer behind and says no. */
#define SIMPLE_START(self) start_badly(self, why)
#include <berth/host.h>
static enum berth_code start_badly(struct berth_instance *self, const char **why);
#include "simple.h"

static void never(void *arg) {
  (void)arg;
  abort();
}

static enum berth_code start_badly(struct berth_instance *self, const char **why) {
  const struct berth_host_timer *timer = self->host->service(self->host, BERTH_HOST_TIMER);
  timer->after(self->host, 1, never, self);
  free(self);
  *why = "the product behind it has a version from the future";
  return BERTH_UNSUPPORTED;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
}
