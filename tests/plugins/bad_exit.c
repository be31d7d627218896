/* Calls exit, as programs that became libraries do. */
#include "simple.h"
#include <unistd.h>

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
  _exit(7);
}
