/* Puts its argument into a header as it stands. */
#include "simple.h"

static void done(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  (void)arg, (void)code, (void)message, (void)status, (void)body, (void)len;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  const struct berth_host_http *http = self->host->service(self->host, BERTH_HOST_HTTP);
  struct berth_pair header = {"X-Channel", request->channel ? request->channel : "none"};
  struct berth_http_request get = {.size = sizeof get, .method = "GET", .url = "http://127.0.0.1:9/", .headers = &header, .nheaders = 1, .done = done};
  http->request(self->host, &get);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
