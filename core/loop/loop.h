/* The event loop: libevent wrapped once. Timers, descriptors, posts from other threads, a watch on stalls. The loop's thread is
 * the one that calls bt_loop_run; but for bt_loop_post and bt_loop_stop everything here is for that thread only.
 *
 * A callback that holds the loop over 50 ms is a defect: the loop logs it with the name that was given at registration
 * and keeps the worst in bt_loop_stats. Names are string literals or live as long as the handle. On a machine with more work than
 * processors a callback may stand in the queue for one longer than it runs: that is told apart, and is no defect of the callback. */
#ifndef BT_LOOP_LOOP_H
#define BT_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct event_base;
struct bt_loop;
struct bt_timer;
struct bt_watch;

struct bt_loop *bt_loop_new(void);
void bt_loop_free(struct bt_loop **loop);
void bt_loop_run(struct bt_loop *loop);           /* until bt_loop_stop */
void bt_loop_stop(struct bt_loop *loop);          /* any thread, signal-safe */
struct event_base *bt_loop_base(struct bt_loop *loop);

/* Runs fn(arg) in the loop's thread, in order of posting. Any thread. name for the stall watch. */
void bt_loop_post(struct bt_loop *loop, const char *name, void (*fn)(void *arg), void *arg);

struct bt_timer *bt_timer_new(struct bt_loop *loop, const char *name, void (*fn)(void *arg), void *arg);
void bt_timer_set(struct bt_timer *timer, int64_t ms); /* once, ms from now; replaces an earlier setting; 0: next turn */
void bt_timer_clear(struct bt_timer *timer);
void bt_timer_free(struct bt_timer **timer);

enum { BT_WATCH_READ = 1, BT_WATCH_WRITE = 2 };
struct bt_watch *bt_watch_new(struct bt_loop *loop, const char *name, int fd, int events,
                              void (*fn)(void *arg, int fd, int events), void *arg); /* level-triggered */
void bt_watch_free(struct bt_watch **watch);                                         /* does not close fd */

/* SIGTERM and the like as loop callbacks; valid for the loop's life. */
void bt_loop_on_signal(struct bt_loop *loop, int signo, void (*fn)(void *arg), void *arg);

/* Brackets for callbacks that reach us by another way (bufferevents, evhttp, curl): enter before, leave after. Nest. */
void bt_loop_enter(struct bt_loop *loop, const char *name);
void bt_loop_leave(struct bt_loop *loop);

struct bt_loop_stats {
  int64_t worst_us;       /* longest callback since the start or the last reset, by the wall clock */
  char worst_name[64];
  int64_t worst_cpu_us;   /* what of it the thread was on a processor */
  int64_t own_us;         /* the longest without what it waited for a processor: computing, and blocked in a call. Where the kernel
                           * does not tell that wait (no schedstat) this is the wall clock, too. Up to 1 ms too long. */
  char own_name[64];
  int64_t own_cpu_us;     /* what of that one was on a processor; where it is much less, the callback waits for something */
  uint64_t stalls;        /* callbacks over 50 ms, by the wall clock */
  uint64_t descheduled;   /* those of them that were not over it without the wait for a processor */
  uint64_t callbacks;
};
void bt_loop_stats(const struct bt_loop *loop, struct bt_loop_stats *out);
void bt_loop_stats_reset(struct bt_loop *loop);

#endif
