/* Follows a pointer to nowhere in a method. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
  int *volatile nowhere = (int *)8;
  *nowhere = 1;
}
