/* Takes memory until there is none. */
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
  for (;;) {
    char *piece = malloc(1 << 20);
    if (!piece)
      abort();
    for (size_t i = 0; i < 1 << 20; i += 4096)
      ((volatile char *)piece)[i] = 1;
  }
}
