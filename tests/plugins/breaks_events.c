/* Copies an event's message into a small place. */
#define SIMPLE_START(self) listen_to(self)
#include <berth/plugin.h>
static enum berth_code listen_to(struct berth_instance *self);
#include "simple.h"

static bool on_event(void *arg, const struct berth_event *event) {
  (void)arg;
  if (strlen(event->message) > 1000)
    abort(); /* as a fortified copy would */
  return true;
}

static enum berth_code listen_to(struct berth_instance *self) {
  const struct berth_host_events *events = self->host->service(self->host, BERTH_HOST_EVENTS);
  events->subscribe(self->host, 0, on_event, self);
  return BERTH_OK;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
