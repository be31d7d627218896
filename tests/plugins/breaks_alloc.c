/* Uses what malloc gave without a look. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  volatile char *copy = malloc(100);
  copy[0] = 'x';
  free((char *)(uintptr_t)copy);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
