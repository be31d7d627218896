/* Takes memory until there is none, or, where nobody stops it, 2 GiB, and keeps it for a while: who watches looks now and then. */
#include "simple.h"

#include <unistd.h>

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  for (int n = 0; n < 2048; n++) {
    char *piece = malloc(1 << 20);
    if (!piece)
      abort();
    for (size_t i = 0; i < 1 << 20; i += 4096)
      ((volatile char *)piece)[i] = 1;
  }
  for (int i = 0; i < 200; i++)
    usleep(100000);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
