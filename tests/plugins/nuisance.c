/* Behaves until it has started; then crashes, hangs or floods the server with events, as its configuration says. For the bench. */
#include <berth/host.h>
static const struct berth_field nuisance_fields[] = {
    {.name = "how", .type = BERTH_STRING, .required = true, .doc = "crash, hang or flood."}, {.name = NULL}};
#define SIMPLE_CONFIG nuisance_fields
#define SIMPLE_NEEDS BERTH_HOST_OPS, BERTH_HOST_EVENTS, BERTH_HOST_TIMER
#define SIMPLE_START(self) begin((self), config)
struct berth_instance;
static enum berth_code begin(struct berth_instance *self, const char *config);
#include "simple.h"
#include <unistd.h>

static void crash(void *arg) {
  (void)arg;
  abort();
}

static void hang(void *arg) {
  (void)arg;
  for (;;)
    pause();
}

/* 100,000 events a second. */
static void flood(void *arg) {
  struct berth_instance *self = arg;
  const struct berth_host_events *events = self->host->service(self->host, BERTH_HOST_EVENTS);
  const struct berth_host_timer *timer = self->host->service(self->host, BERTH_HOST_TIMER);
  for (int i = 0; i < 500; i++)
    events->publish(self->host, "flood", "info", "much ado", NULL);
  timer->after(self->host, 5, flood, self);
}

static enum berth_code begin(struct berth_instance *self, const char *config) {
  const struct berth_host_timer *timer = self->host->service(self->host, BERTH_HOST_TIMER);
  timer->after(self->host, 20, strstr(config, "crash") ? crash : strstr(config, "hang") ? hang : flood, self);
  return BERTH_OK;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
