#include "config.h"
#include "loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "loop/internal.h"
#include "loop/spent.h"

enum { STALL_US = 50000, MAX_DEPTH = 8, MARK_NS = 1000000 };

struct post {
  struct post *next;
  const char *name;
  void (*fn)(void *arg);
  void *arg;
};

/* A callback that runs now. Nested ones are timed too, so that a stall can name the inner one that took the time. */
struct frame {
  const char *name;
  int64_t start_ns;
  const char *inner;
  int64_t inner_ns;
};

struct sig {
  struct bt_loop *loop;
  struct event *ev;
  void (*fn)(void *arg);
  void *arg;
};

struct bt_loop {
  struct event_base *base;
  int wake_fd;
  struct event *wake_ev;
  pthread_mutex_t lock; /* guards the queue of posts */
  struct post *head, **tail;
  _Atomic bool stop;
  int depth;
  struct frame frames[MAX_DEPTH];
  struct bt_loop_stats stats;
  int spent_fd;
  int64_t mark_ns; /* when mark was read: at most MARK_NS before the callback that runs now began */
  struct bt_spent mark;
  BT_VEC(struct sig *) signals;
};

struct bt_timer {
  struct bt_loop *loop;
  struct event *ev;
  const char *name;
  void (*fn)(void *arg);
  void *arg;
};

struct bt_watch {
  struct bt_loop *loop;
  struct event *ev;
  const char *name;
  void (*fn)(void *arg, int fd, int events);
  void *arg;
};

static int64_t now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts); /* vDSO: no system call */
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Not read for each callback: that would cost more than many of them do. */
static void mark(struct bt_loop *loop, int64_t now) {
  if (now - loop->mark_ns < MARK_NS)
    return;
  loop->mark_ns = now;
  loop->mark = bt_spent_read(loop->spent_fd);
}

void bt_loop_enter(struct bt_loop *loop, const char *name) {
  int d = loop->depth++;
  int64_t now = now_ns();
  if (d == 0)
    mark(loop, now);
  if (d < MAX_DEPTH)
    loop->frames[d] = (struct frame){.name = name, .start_ns = now};
}

static void warn_stall(const char *name, int64_t us, int64_t cpu_us, int64_t own_us) {
  if (own_us <= STALL_US)
    bt_warn("loop", "the callback %s took %lld ms, %lld ms of them waiting for a processor: the machine is busy", name, (long long)us / 1000,
            (long long)(us - own_us) / 1000);
  else
    bt_warn("loop", "the callback %s held the loop for %lld ms: %lld ms on a processor, %lld ms waiting for one, %lld ms blocked", name,
            (long long)us / 1000, (long long)cpu_us / 1000, (long long)(us - own_us) / 1000, (long long)BT_MAX(0, own_us - cpu_us) / 1000);
}

/* What the mark is older than the callback counts as the callback's own. */
static void note_long(struct bt_loop *loop, const struct frame *f, int64_t took) {
  struct bt_loop_stats *st = &loop->stats;
  struct bt_spent spent = bt_spent_read(loop->spent_fd);
  int64_t wait = BT_MAX(0, spent.wait_ns - loop->mark.wait_ns - (f->start_ns - loop->mark_ns));
  int64_t us = took / 1000, own_us = BT_MAX(0, took - wait) / 1000, cpu_us = BT_MIN(took, spent.cpu_ns - loop->mark.cpu_ns) / 1000;
  char name[sizeof st->worst_name];
  bool inner = f->inner && f->inner_ns / 1000 > us / 2;
  snprintf(name, sizeof name, "%s%s%s", f->name, inner ? "/" : "", inner ? f->inner : "");
  if (us > st->worst_us) {
    st->worst_us = us;
    st->worst_cpu_us = cpu_us;
    snprintf(st->worst_name, sizeof st->worst_name, "%s", name);
  }
  if (own_us > st->own_us) {
    st->own_us = own_us;
    st->own_cpu_us = cpu_us;
    snprintf(st->own_name, sizeof st->own_name, "%s", name);
  }
  if (us <= STALL_US)
    return;
  st->stalls++;
  st->descheduled += own_us <= STALL_US;
  warn_stall(name, us, cpu_us, own_us);
}

void bt_loop_leave(struct bt_loop *loop) {
  BT_ASSERT(loop->depth > 0);
  int d = --loop->depth;
  if (d >= MAX_DEPTH)
    return;
  struct frame *f = &loop->frames[d];
  int64_t took = now_ns() - f->start_ns;
  if (d > 0) {
    struct frame *outer = &loop->frames[d - 1];
    if (took > outer->inner_ns) {
      outer->inner_ns = took;
      outer->inner = f->name;
    }
    return;
  }
  loop->stats.callbacks++;
  if (took / 1000 > loop->stats.own_us || took > (int64_t)STALL_US * 1000) /* own_us is never over worst_us */
    note_long(loop, f, took);
}

static struct post *post_pop(struct bt_loop *loop) {
  pthread_mutex_lock(&loop->lock);
  struct post *p = loop->head;
  if (p) {
    loop->head = p->next;
    if (!loop->head)
      loop->tail = &loop->head;
  }
  pthread_mutex_unlock(&loop->lock);
  return p;
}

static size_t post_count(struct bt_loop *loop) {
  size_t n = 0;
  pthread_mutex_lock(&loop->lock);
  for (struct post *p = loop->head; p; p = p->next)
    n++;
  pthread_mutex_unlock(&loop->lock);
  return n;
}

static void wake(struct bt_loop *loop) {
  int saved = errno;
  uint64_t one = 1;
  if (write(loop->wake_fd, &one, sizeof one) < 0) { /* EAGAIN: the counter is full, so it is awake */
  }
  errno = saved;
}

/* Runs what was queued when it began, so that posts which post again cannot starve the descriptors. */
static void on_wake(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  struct bt_loop *loop = arg;
  uint64_t n;
  if (read((int)fd, &n, sizeof n) < 0) {
  }
  for (size_t left = post_count(loop); left > 0 && !loop->stop; left--) {
    struct post *p = post_pop(loop);
    if (!p)
      break;
    struct post run = *p;
    free(p);
    bt_loop_enter(loop, run.name);
    run.fn(run.arg);
    bt_loop_leave(loop);
  }
  if (loop->stop)
    event_base_loopbreak(loop->base);
}

void bt_loop_post(struct bt_loop *loop, const char *name, void (*fn)(void *arg), void *arg) {
  struct post *p = bt_new(struct post);
  p->name = name;
  p->fn = fn;
  p->arg = arg;
  pthread_mutex_lock(&loop->lock);
  *loop->tail = p;
  loop->tail = &p->next;
  pthread_mutex_unlock(&loop->lock);
  wake(loop);
}

void bt_loop_unpost(struct bt_loop *loop, void (*fn)(void *arg), const void *arg) {
  pthread_mutex_lock(&loop->lock);
  loop->tail = &loop->head;
  while (*loop->tail) {
    struct post *p = *loop->tail;
    if (p->fn == fn && p->arg == arg) {
      *loop->tail = p->next;
      free(p);
    } else {
      loop->tail = &p->next;
    }
  }
  pthread_mutex_unlock(&loop->lock);
}

struct bt_loop *bt_loop_new(void) {
  struct bt_loop *loop = bt_new(struct bt_loop);
  signal(SIGPIPE, SIG_IGN); /* a peer that goes away is an error of write(), not the end of the process */
  struct event_config *cfg = event_config_new();
  BT_ASSERT(cfg);
  event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
  loop->base = event_base_new_with_config(cfg);
  event_config_free(cfg);
  BT_ASSERT(loop->base);
  pthread_mutex_init(&loop->lock, NULL);
  loop->tail = &loop->head;
  loop->spent_fd = bt_spent_open();
  loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  BT_ASSERT(loop->wake_fd >= 0);
  loop->wake_ev = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
  event_add(loop->wake_ev, NULL);
  return loop;
}

void bt_loop_free(struct bt_loop **ploop) {
  if (!*ploop)
    return;
  struct bt_loop *loop = bt_steal(*ploop);
  bt_vec_each(&loop->signals, s) {
    event_free((*s)->ev);
    free(*s);
  }
  bt_vec_free(&loop->signals);
  for (struct post *p; (p = post_pop(loop));)
    free(p);
  event_free(loop->wake_ev);
  close(loop->wake_fd);
  close(loop->spent_fd); /* -1 does no harm */
  event_base_free(loop->base);
  pthread_mutex_destroy(&loop->lock);
  free(loop);
}

void bt_loop_run(struct bt_loop *loop) {
  close(loop->spent_fd); /* of the thread that made the loop, which need not be the one that runs it */
  loop->spent_fd = bt_spent_open();
  loop->mark_ns = 0;
  if (post_count(loop)) /* left over by a stop that came between them */
    wake(loop);
  while (!loop->stop) /* event_base_loop may return on an error of its backend: go on */
    event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
  loop->stop = false;
}

void bt_loop_stop(struct bt_loop *loop) {
  loop->stop = true;
  wake(loop);
}

struct event_base *bt_loop_base(struct bt_loop *loop) { return loop->base; }

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct bt_timer *timer = arg;
  struct bt_loop *loop = timer->loop; /* fn may free the timer */
  bt_loop_enter(loop, timer->name);
  timer->fn(timer->arg);
  bt_loop_leave(loop);
}

struct bt_timer *bt_timer_new(struct bt_loop *loop, const char *name, void (*fn)(void *arg), void *arg) {
  struct bt_timer *timer = bt_new(struct bt_timer);
  *timer = (struct bt_timer){.loop = loop, .name = name, .fn = fn, .arg = arg};
  timer->ev = evtimer_new(loop->base, on_timer, timer);
  BT_ASSERT(timer->ev);
  return timer;
}

void bt_timer_set(struct bt_timer *timer, int64_t ms) {
  if (ms < 0)
    ms = 0;
  struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};
  evtimer_add(timer->ev, &tv);
}

void bt_timer_clear(struct bt_timer *timer) { evtimer_del(timer->ev); }

void bt_timer_free(struct bt_timer **timer) {
  if (!*timer)
    return;
  event_free((*timer)->ev);
  free(*timer);
  *timer = NULL;
}

static void on_fd(evutil_socket_t fd, short what, void *arg) {
  struct bt_watch *watch = arg;
  struct bt_loop *loop = watch->loop; /* fn may free the watch */
  int events = (what & EV_READ ? BT_WATCH_READ : 0) | (what & EV_WRITE ? BT_WATCH_WRITE : 0);
  bt_loop_enter(loop, watch->name);
  watch->fn(watch->arg, (int)fd, events);
  bt_loop_leave(loop);
}

struct bt_watch *bt_watch_new(struct bt_loop *loop, const char *name, int fd, int events,
                              void (*fn)(void *arg, int fd, int events), void *arg) {
  struct bt_watch *watch = bt_new(struct bt_watch);
  *watch = (struct bt_watch){.loop = loop, .name = name, .fn = fn, .arg = arg};
  short what = EV_PERSIST;
  what |= events & BT_WATCH_READ ? EV_READ : 0;
  what |= events & BT_WATCH_WRITE ? EV_WRITE : 0;
  watch->ev = event_new(loop->base, fd, what, on_fd, watch);
  BT_ASSERT(watch->ev);
  event_add(watch->ev, NULL);
  return watch;
}

void bt_watch_free(struct bt_watch **watch) {
  if (!*watch)
    return;
  event_free((*watch)->ev);
  free(*watch);
  *watch = NULL;
}

static void on_signal(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct sig *sig = arg;
  bt_loop_enter(sig->loop, "signal");
  sig->fn(sig->arg);
  bt_loop_leave(sig->loop);
}

void bt_loop_on_signal(struct bt_loop *loop, int signo, void (*fn)(void *arg), void *arg) {
  struct sig *sig = bt_new(struct sig);
  *sig = (struct sig){.loop = loop, .fn = fn, .arg = arg};
  sig->ev = evsignal_new(loop->base, signo, on_signal, sig);
  BT_ASSERT(sig->ev);
  evsignal_add(sig->ev, NULL);
  bt_vec_push(&loop->signals, sig);
}

void bt_loop_stats(const struct bt_loop *loop, struct bt_loop_stats *out) { *out = loop->stats; }
void bt_loop_stats_reset(struct bt_loop *loop) { loop->stats = (struct bt_loop_stats){0}; }
