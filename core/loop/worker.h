/* A pool of threads for work that may wait (files, DNS, compression, parsing large inputs). */
#ifndef BT_LOOP_WORKER_H
#define BT_LOOP_WORKER_H

#include "loop/loop.h"

struct bt_pool;

/* At most threads threads (0: 4), started when first needed, 256 KiB stacks or more where needed. */
struct bt_pool *bt_pool_new(struct bt_loop *loop, int threads);
void bt_pool_free(struct bt_pool **pool); /* waits for running work; queued work is run, its done is still called */
/* work(arg) in a thread, then done(arg) on the loop (done may be NULL). No order between items. */
void bt_pool_run(struct bt_pool *pool, const char *name, void (*work)(void *arg), void (*done)(void *arg), void *arg);

#endif
