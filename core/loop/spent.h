/* Where a thread's time goes: on a processor, waiting for one, or asleep. The wall clock alone cannot tell a callback that computes
 * for 60 ms from one that the machine left standing in its queue for 60 ms. Knows nothing of the loop. */
#ifndef BT_LOOP_SPENT_H
#define BT_LOOP_SPENT_H

#include <stdint.h>

struct bt_spent {
  int64_t cpu_ns;  /* on a processor: CLOCK_THREAD_CPUTIME_ID */
  int64_t wait_ns; /* ready to run, but no processor free; always 0 where the kernel does not say */
};

/* The calling thread's account for bt_spent_read, to be closed with close(); -1 where the kernel keeps none. */
int bt_spent_open(void);
/* What the calling thread spent since it began. fd: of bt_spent_open by the same thread, or -1. Costs 1 to 2 µs. */
struct bt_spent bt_spent_read(int fd);

#endif
