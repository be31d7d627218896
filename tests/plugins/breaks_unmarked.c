/* A password that is not marked as a secret. */
#include <berth/plugin.h>
static const struct berth_field fields[] = {{.name = "password", .type = BERTH_STRING, .doc = "The password."}, {0}};
#define SIMPLE_CONFIG fields
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
