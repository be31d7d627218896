/* Waits in a callback of the loop. */
#include <time.h>

#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
