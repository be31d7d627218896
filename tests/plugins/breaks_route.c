/* Answers each request twice. */
#define SIMPLE_START(self) add_route(self)
#include <berth/plugin.h>
static enum berth_code add_route(struct berth_instance *self);
#include "simple.h"

static const struct berth_host_routes *routes;

static void handle(void *arg, berth_op reply, const struct berth_route_request *request) {
  const struct berth_instance *self = arg;
  (void)request;
  routes->reply(self->host, reply, 200, NULL, 0, "ok", 2);
  routes->reply(self->host, reply, 500, NULL, 0, "no", 2);
}

static enum berth_code add_route(struct berth_instance *self) {
  routes = self->host->service(self->host, BERTH_HOST_ROUTES);
  struct berth_route route = {.size = sizeof route, .method = "POST", .path = "/hooks/check", .handle = handle, .arg = self};
  return routes->add(self->host, &route) ? BERTH_OK : BERTH_CONFLICT;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
