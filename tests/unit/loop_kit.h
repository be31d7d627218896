/* For tests on a loop: runs it until something stops it, with a bound. */
#ifndef BT_TESTS_LOOP_KIT_H
#define BT_TESTS_LOOP_KIT_H

#include "loop/loop.h"

static struct bt_loop *loop;

static void stop(void *arg) {
  (void)arg;
  bt_loop_stop(loop);
}

static inline void run_at_most(int64_t ms) {
  struct bt_timer *guard = bt_timer_new(loop, "guard", stop, NULL);
  bt_timer_set(guard, ms);
  bt_loop_run(loop);
  bt_timer_free(&guard);
}

/* Bounds every test: a callback that never comes ends the loop, and the check after it fails. */
static inline void run(void) { run_at_most(10000); }

#endif
