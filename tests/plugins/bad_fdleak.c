/* Opens descriptors until it may no more, and says how many there were. */
#include "simple.h"
#include <fcntl.h>
#include <stdio.h>

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  int n = 0;
  while (n < 100000 && open("/dev/null", O_RDONLY) >= 0)
    n++;
  char result[40];
  snprintf(result, sizeof result, "{\"opened\":%d}", n);
  self->ops->finish(self->host, op, BERTH_OK, NULL, result);
}
