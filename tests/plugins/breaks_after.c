/* Goes on with the host in a worker's done(), whether the entry lives or not. */
#include <time.h>

#include "simple.h"

static const struct berth_host_timer *timer;

static void nothing(void *arg) { (void)arg; }

static void work(void *arg) {
  (void)arg;
  nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

static void done(void *arg) { timer->after(arg, 1, nothing, NULL); }

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  const struct berth_host_worker *worker = self->host->service(self->host, BERTH_HOST_WORKER);
  timer = self->host->service(self->host, BERTH_HOST_TIMER);
  worker->run(self->host, work, done, (void *)(uintptr_t)self->host);
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{}");
}
