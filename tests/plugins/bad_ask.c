/* Asks for everything in start, and then refuses to start. */
#define SIMPLE_NEEDS BERTH_HOST_OPS, BERTH_HOST_KV, BERTH_HOST_HTTP, BERTH_HOST_EVENTS, BERTH_HOST_ROUTES
#define SIMPLE_START(self) refuse(self)
#include <berth/host.h>
static enum berth_code refuse(struct berth_instance *self);
#include "simple.h"

static void done(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  (void)arg, (void)code, (void)message, (void)status, (void)body, (void)len;
}
static bool event(void *arg, const struct berth_event *e) {
  (void)arg, (void)e;
  return true;
}
static void handle(void *arg, berth_op reply, const struct berth_route_request *request) { (void)arg, (void)reply, (void)request; }

static enum berth_code refuse(struct berth_instance *self) {
  const struct berth_host *host = self->host;
  const struct berth_host_kv *kv = host->service(host, BERTH_HOST_KV);
  const struct berth_host_http *http = host->service(host, BERTH_HOST_HTTP);
  const struct berth_host_events *events = host->service(host, BERTH_HOST_EVENTS);
  const struct berth_host_routes *routes = host->service(host, BERTH_HOST_ROUTES);
  struct berth_http_request request = {.size = sizeof request, .method = "GET", .url = "http://192.0.2.1:9/", .done = done};
  struct berth_route route = {.size = sizeof route, .method = "GET", .path = "/ask", .handle = handle};
  kv->put(host, "a", "b", 1, NULL, NULL);
  http->request(host, &request);
  events->subscribe(host, 0, event, self);
  routes->add(host, &route);
  return BERTH_UNSUPPORTED;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
}
