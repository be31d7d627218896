/* Built for another major: another symbol. */
#define SIMPLE_SYMBOL berth_plugin_v2
#define SIMPLE_ABI 2
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, NULL);
}
