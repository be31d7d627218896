/* Writes what is no message into whatever descriptors it finds: one of them is its link. */
#include "simple.h"
#include <unistd.h>

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
  for (int fd = 3; fd < 16; fd++)
    if (write(fd, "GET / HTTP/1.1\r\n\r\n", 18) < 0)
      continue;
}
