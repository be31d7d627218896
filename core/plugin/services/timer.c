/* berth.host.timer/1 and berth.host.fd/1 over the loop's timers and watches. */
#include "config.h"

#include "base/clock.h"
#include "loop/loop.h"
#include "plugin/internal.h"

struct timer {
  struct bt_resource base;
  struct bt_timer *timer;
  void (*cb)(void *arg);
  void *arg;
};

static int64_t timer_mono(const struct berth_host *host) {
  (void)host;
  return bt_clock_mono_ms();
}

static int64_t timer_wall(const struct berth_host *host) {
  (void)host;
  return bt_clock_wall_ms();
}

static void timer_release(struct timer *t) {
  bt_timer_free(&t->timer);
  free(t);
}

static void timer_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  (void)entry;
  timer_release((struct timer *)resource);
}

static const struct bt_resource_kind timer_kind = {.name = "timer", .detach = timer_detach};

/* The loop brackets this with the entry's label already. */
static void timer_fired(void *arg) {
  struct timer *t = arg;
  void (*cb)(void *) = t->cb;
  void *cb_arg = t->arg;
  bt_resource_del(&t->base);
  timer_release(t);
  cb(cb_arg);
}

static berth_handle timer_after(const struct berth_host *host, int64_t ms, void (*cb)(void *arg), void *arg) {
  struct bt_plugin *entry = bt_host_entry_live(host, "timer.after");
  if (!entry || !cb)
    return 0;
  struct timer *t = bt_new(struct timer);
  t->cb = cb;
  t->arg = arg;
  t->timer = bt_timer_new(entry->plugins->loop, entry->cell->label, timer_fired, t);
  bt_timer_set(t->timer, ms > 0 ? ms : 0);
  bt_resource_add(entry, &t->base, &timer_kind);
  return t->base.id;
}

static void timer_cancel(const struct berth_host *host, berth_handle id) {
  struct bt_plugin *entry = bt_host_entry(host, "timer.cancel");
  struct bt_resource *resource = entry ? bt_resource_get(entry, id, &timer_kind) : NULL;
  if (!resource)
    return;
  bt_resource_del(resource);
  timer_release((struct timer *)resource);
}

const struct berth_host_timer bt_service_timer = {.size = sizeof bt_service_timer,
                                                  .mono_ms = timer_mono,
                                                  .wall_ms = timer_wall,
                                                  .after = timer_after,
                                                  .cancel = timer_cancel};

/* ---------------------------------------------------------------- descriptors */

struct watch {
  struct bt_resource base;
  struct bt_watch *watch;
  void (*cb)(void *arg, int fd, int events);
  void *arg;
};

static void watch_release(struct watch *w) {
  bt_watch_free(&w->watch);
  free(w);
}

static void watch_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  (void)entry;
  watch_release((struct watch *)resource);
}

static const struct bt_resource_kind watch_kind = {.name = "fd", .detach = watch_detach};

static void watch_ready(void *arg, int fd, int events) {
  struct watch *w = arg;
  int ready = (events & BT_WATCH_READ ? BERTH_FD_READ : 0) | (events & BT_WATCH_WRITE ? BERTH_FD_WRITE : 0);
  w->cb(w->arg, fd, ready);
}

static berth_handle fd_watch(const struct berth_host *host, int fd, int events, void (*cb)(void *arg, int fd, int events),
                             void *arg) {
  struct bt_plugin *entry = bt_host_entry_live(host, "fd.watch");
  if (!entry || !cb || fd < 0 || !(events & (BERTH_FD_READ | BERTH_FD_WRITE)))
    return 0;
  struct watch *w = bt_new(struct watch);
  w->cb = cb;
  w->arg = arg;
  int wanted = (events & BERTH_FD_READ ? BT_WATCH_READ : 0) | (events & BERTH_FD_WRITE ? BT_WATCH_WRITE : 0);
  w->watch = bt_watch_new(entry->plugins->loop, entry->cell->label, fd, wanted, watch_ready, w);
  bt_resource_add(entry, &w->base, &watch_kind);
  return w->base.id;
}

static void fd_unwatch(const struct berth_host *host, berth_handle id) {
  struct bt_plugin *entry = bt_host_entry(host, "fd.unwatch");
  struct bt_resource *resource = entry ? bt_resource_get(entry, id, &watch_kind) : NULL;
  if (!resource)
    return;
  bt_resource_del(resource);
  watch_release((struct watch *)resource);
}

const struct berth_host_fd bt_service_fd = {.size = sizeof bt_service_fd, .watch = fd_watch, .unwatch = fd_unwatch};
