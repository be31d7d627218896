/* Forgets the copy of each message. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  volatile char *copy = request->text ? strdup(request->text) : NULL;
  self->ops->finish(self->host, op, copy ? BERTH_OK : BERTH_INVALID, "a message needs a text", NULL);
}
