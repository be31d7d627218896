/* Refuses what it does not like without a word. */
#include <berth/plugin.h>
#include <string.h>
static const struct berth_field fields[] = {{.name = "room", .type = BERTH_STRING, .fallback = "lobby", .doc = "The room."}, {0}};
static enum berth_code validate(const char *config_json, const char **why) {
  (void)why;
  return strstr(config_json, "etc/passwd") ? BERTH_INVALID : BERTH_OK;
}
#define SIMPLE_CONFIG fields
#define SIMPLE_MORE , .validate = validate
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
