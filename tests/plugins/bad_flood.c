/* From its start on says more than anybody can listen to: events, log lines, metrics. */
#define SIMPLE_NEEDS BERTH_HOST_OPS, BERTH_HOST_EVENTS, BERTH_HOST_TIMER
#include "simple.h"

static void flood(void *arg) {
  struct berth_instance *self = arg;
  const struct berth_host_events *events = self->host->service(self->host, BERTH_HOST_EVENTS);
  const struct berth_host_timer *timer = self->host->service(self->host, BERTH_HOST_TIMER);
  for (int i = 0; i < 500; i++)
    events->publish(self->host, "flood", "info", "much ado", NULL);
  timer->after(self->host, 5, flood, self);
}

/* 100,000 events a second. */
static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  flood(self);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
