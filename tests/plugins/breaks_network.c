/* Looks for its product while the configuration is being checked. */
#include <berth/plugin.h>
#include <sys/socket.h>
#include <unistd.h>
static enum berth_code validate(const char *config_json, const char **why) {
  (void)config_json, (void)why;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd > 2)
    close(fd);
  return BERTH_OK;
}
#define SIMPLE_MORE , .validate = validate
#include "simple.h"

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
