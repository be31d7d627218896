/* One of two that need each other; and a leader besides. */
#include <berth/plugin.h>
#define SIMPLE_ID "team-pair-a"
#define SIMPLE_MEMBERS .depends = depends
static const struct berth_depend depends[] = {{"team-pair-b", NULL, false, "to be two"}, {"team-lead", NULL, false, "to be led"}, {0}};
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, NULL);
}
