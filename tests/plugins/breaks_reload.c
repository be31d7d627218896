/* Its reload() believes that a configuration always has a member. */
#include <berth/plugin.h>
#include <string.h>
static const struct berth_field fields[] = {{.name = "room", .type = BERTH_STRING, .fallback = "lobby", .doc = "The room."}, {0}};
static enum berth_code reload(struct berth_instance *self, const char *config_json, const char **why) {
  (void)self, (void)why;
  const volatile char *room = strstr(config_json, "\"room\"");
  return *room ? BERTH_OK : BERTH_INVALID;
}
#define SIMPLE_CONFIG fields
#define SIMPLE_MORE , .reload = reload
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
