/* Claims a role that one alone can have. */
#define SIMPLE_ID "team-lead"
#define SIMPLE_MEMBERS .exclusive = roles
static const char *const roles[] = {"team.lead", (const char *)0};
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, NULL);
}
