/* Never finishes a message, but where it is cancelled. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
}
