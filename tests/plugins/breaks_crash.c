/* Trusts its arguments. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  volatile const char *text = request->text;
  self->ops->finish(self->host, op, *text ? BERTH_OK : BERTH_INVALID, "a message needs a text", NULL);
}
