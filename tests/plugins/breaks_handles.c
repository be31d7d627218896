/* Leaves a timer of an hour behind for each message. */
#include "simple.h"

static void nothing(void *arg) { (void)arg; }

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  const struct berth_host_timer *timer = self->host->service(self->host, BERTH_HOST_TIMER);
  timer->after(self->host, 3600000, nothing, self);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
