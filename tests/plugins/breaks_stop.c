/* Opens a descriptor in start() and keeps it after stop(). */
#include <fcntl.h>
#define SIMPLE_START(self) ((self)->rounds = open("/dev/null", O_RDONLY | O_CLOEXEC), BERTH_OK)
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
