/* Cancels a timer that it never got. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  const struct berth_host_timer *timer = self->host->service(self->host, BERTH_HOST_TIMER);
  timer->cancel(self->host, 4711);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
