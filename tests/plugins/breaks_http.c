/* Believes that every answer has a header and is a sentence. */
#include "simple.h"

struct job {
  struct berth_instance *self;
  berth_op op;
};

static void done(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct job job = *(struct job *)arg;
  free(arg);
  (void)len;
  if (code == BERTH_OK && status == 200 && body[0] != '{')
    abort();
  job.self->ops->finish(job.self->host, job.op, code, message, NULL);
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  const struct berth_host_http *http = self->host->service(self->host, BERTH_HOST_HTTP);
  struct job *job = malloc(sizeof *job);
  *job = (struct job){self, op};
  struct berth_http_request get = {.size = sizeof get, .method = "GET", .url = "http://127.0.0.1:9/", .done = done, .arg = job};
  http->request(self->host, &get);
}
