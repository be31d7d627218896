/* A pool of threads for work that may wait (files, DNS, compression, parsing large inputs). */
#ifndef BT_LOOP_WORKER_H
#define BT_LOOP_WORKER_H

#include "loop/loop.h"

struct bt_pool;

/* At most threads threads (0: 4), started when first needed, 256 KiB stacks or more where needed. */
struct bt_pool *bt_pool_new(struct bt_loop *loop, int threads);
/* Ends the threads: waits for running work, runs what is queued, calls every done(). The pool stays: what is asked of it from now on is
 * done at once, on the caller's thread. For the end of a program, while all that done() needs is still there. */
void bt_pool_finish(struct bt_pool *pool);
void bt_pool_free(struct bt_pool **pool); /* finishes it first */
/* work(arg) in a thread, then done(arg) on the loop (done may be NULL). No order between items. */
void bt_pool_run(struct bt_pool *pool, const char *name, void (*work)(void *arg), void (*done)(void *arg), void *arg);

#endif
