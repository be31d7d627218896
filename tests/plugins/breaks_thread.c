/* Sets a timer from a thread of its own. */
#include <pthread.h>

#include "simple.h"

static void nothing(void *arg) { (void)arg; }

static void *in_thread(void *arg) {
  struct berth_instance *self = arg;
  const struct berth_host_timer *timer = self->host->service(self->host, BERTH_HOST_TIMER);
  if (timer)
    timer->after(self->host, 1, nothing, self);
  return NULL;
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  pthread_t thread;
  if (pthread_create(&thread, NULL, in_thread, self) == 0)
    pthread_join(thread, NULL);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
