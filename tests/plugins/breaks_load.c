/* Opens a descriptor as soon as it is loaded. */
#include <fcntl.h>

#include "simple.h"

static int opened;
__attribute__((constructor)) static void on_load(void) { opened = open("/dev/null", O_RDONLY | O_CLOEXEC); }

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, opened < 0 ? "{}" : "{\"queued\":true}");
}
