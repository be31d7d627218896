/* A running container is its monitor: when the monitor's pidfd becomes readable, the container has ended. */
#include "config.h"
#include "engine.h"

#include <unistd.h>

static void ended(void *arg, int fd, int events) {
  (void)arg, (void)fd, (void)events;
}

void ro_watch(struct berth_instance *self, struct ro_container *c, int pidfd) {
  c->pidfd = pidfd;
  c->watch = self->fd->watch(self->host, pidfd, BERTH_FD_READ, ended, c);
}

void ro_unwatch(struct berth_instance *self, struct ro_container *c) {
  if (c->watch)
    self->fd->unwatch(self->host, c->watch);
  c->watch = 0;
}
