/* The other of the two. */
#include <berth/plugin.h>
#define SIMPLE_ID "team-pair-b"
#define SIMPLE_MEMBERS .depends = depends
static const struct berth_depend depends[] = {{"team-pair-a", NULL, false, "to be two"}, {0}};
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, NULL);
}
