/* Takes a message when its caller gives up, and says that it went well. */
#define SIMPLE_CANCEL(self, op)                                                           \
  do {                                                                                    \
    if ((self)->rounds == (int)(op))                                                      \
      (self)->ops->finish((self)->host, (op), BERTH_OK, NULL, "{\"queued\":true}");       \
    (self)->rounds = 0;                                                                   \
  } while (0)
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->rounds = (int)op;
}
