/* Tells its password in an error. */
#include <berth/plugin.h>
static const struct berth_field fields[] = {
    {.name = "password", .type = BERTH_STRING, .required = true, .secret = true, .doc = "The password."}, {0}};
#define SIMPLE_CONFIG fields
#define SIMPLE_START(self) ((self)->rounds = 1, BERTH_OK)
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_UNAUTHENTICATED, "the password berth-check-secret is wrong", NULL);
}
