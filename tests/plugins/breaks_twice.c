/* Finishes each message twice. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"queued\":true}");
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"queued\":true}");
}
