/* A field whose default is not of its type. */
#include <berth/plugin.h>
static const struct berth_field fields[] = {
    {.name = "interval", .type = BERTH_DURATION, .fallback = "ten", .doc = "How often."}, {0}};
#define SIMPLE_CONFIG fields
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, NULL);
}
