/* core/loop/loop.h as the simulator has it: timers and posts are events of the world's queue, descriptors are looked at when the world says
 * so, and time is the world's. */
#include "config.h"

#include <poll.h>

#include "sim.h"

struct bt_timer {
  struct bt_loop *loop;
  void (*fn)(void *arg);
  void *arg;
  uint64_t armed; /* 0: not */
};

struct bt_watch {
  struct bt_loop *loop;
  int fd;
  void (*fn)(void *arg, int fd, int events);
  void *arg;
};

struct bt_loop {
  struct sim *s;
  uint64_t arms;
  BT_VEC(struct bt_timer *) timers;
  BT_VEC(struct bt_watch *) watches;
};

static struct sim *world;

void sim_loop_of(struct sim *s) { world = s; }
int64_t sim_mono_ms(void) { return world->now_ms - world->started_ms + 1000; }
int64_t sim_wall_ms(void) { return world->now_ms + world->skew_ms; }

struct bt_loop *sim_loop_new(struct sim *s) {
  struct bt_loop *loop = bt_new(struct bt_loop);
  loop->s = s;
  return loop;
}

void bt_loop_free(struct bt_loop **ploop) {
  struct bt_loop *loop = bt_steal(*ploop);
  if (!loop)
    return;
  BT_ASSERT(loop->timers.len == 0 && loop->watches.len == 0);
  bt_vec_free(&loop->timers);
  bt_vec_free(&loop->watches);
  free(loop);
}

void bt_loop_post(struct bt_loop *loop, const char *name, void (*fn)(void *arg), void *arg) {
  (void)name;
  struct sim_event *event = sim_at(loop->s, 0, SIM_POST);
  event->life = loop->s->life;
  event->post = fn;
  event->arg = arg;
}

struct bt_timer *bt_timer_new(struct bt_loop *loop, const char *name, void (*fn)(void *arg), void *arg) {
  (void)name;
  struct bt_timer *timer = bt_new(struct bt_timer);
  *timer = (struct bt_timer){loop, fn, arg, 0};
  bt_vec_push(&loop->timers, timer);
  return timer;
}

void bt_timer_set(struct bt_timer *timer, int64_t ms) {
  struct sim *s = timer->loop->s;
  timer->armed = ++timer->loop->arms;
  struct sim_event *event = sim_at(s, BT_MIN(BT_MAX(ms, 0), 1000LL * 86400 * 365), SIM_TIMER);
  event->life = s->life;
  event->id = timer->armed;
}

void bt_timer_clear(struct bt_timer *timer) { timer->armed = 0; }

void bt_timer_free(struct bt_timer **ptimer) {
  struct bt_timer *timer = bt_steal(*ptimer);
  if (!timer)
    return;
  for (size_t i = 0; i < timer->loop->timers.len; i++)
    if (timer->loop->timers.items[i] == timer) {
      bt_vec_remove(&timer->loop->timers, i);
      break;
    }
  free(timer);
}

void sim_loop_timer(struct bt_loop *loop, uint64_t armed) {
  bt_vec_each(&loop->timers, timer) if ((*timer)->armed == armed) {
    (*timer)->armed = 0;
    (*timer)->fn((*timer)->arg);
    return;
  }
}

struct bt_watch *bt_watch_new(struct bt_loop *loop, const char *name, int fd, int events, void (*fn)(void *arg, int fd, int events), void *arg) {
  (void)name, (void)events;
  struct bt_watch *watch = bt_new(struct bt_watch);
  *watch = (struct bt_watch){loop, fd, fn, arg};
  bt_vec_push(&loop->watches, watch);
  return watch;
}

void bt_watch_free(struct bt_watch **pwatch) {
  struct bt_watch *watch = bt_steal(*pwatch);
  if (!watch)
    return;
  for (size_t i = 0; i < watch->loop->watches.len; i++)
    if (watch->loop->watches.items[i] == watch) {
      bt_vec_remove(&watch->loop->watches, i);
      break;
    }
  free(watch);
}

static bool rings(const struct bt_watch *watch) {
  struct pollfd p = {.fd = watch->fd, .events = POLLIN};
  return poll(&p, 1, 0) == 1;
}

bool sim_loop_poll(struct bt_loop *loop) {
  bool more = false;
  for (size_t i = 0; i < loop->watches.len; i++) {
    struct bt_watch *watch = loop->watches.items[i];
    if (!rings(watch))
      continue;
    watch->fn(watch->arg, watch->fd, BT_WATCH_READ);
    more = more || (i < loop->watches.len && rings(loop->watches.items[i]));
  }
  return more;
}
