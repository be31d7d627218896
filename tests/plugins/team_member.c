/* Works with a leader only, of a certain version, and never beside a stranger. */
#include <berth/plugin.h>
#define SIMPLE_ID "team-member"
#define SIMPLE_MEMBERS .depends = depends, .conflicts = conflicts
static const struct berth_depend depends[] = {{"team-lead", ">=1 <2", false, "to know what to do"}, {0}};
static const char *const conflicts[] = {"team-stranger", NULL};
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, NULL);
}
