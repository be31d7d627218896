/* How long a container that failed waits for its next start: the first restart comes at once, further ones after 10 s,
 * doubling to 5 min, and the count begins anew once it has been well for 10 s. One function for the node agent and for
 * job attempts. Pure; knows nothing of clocks. */
#ifndef BT_PLAN_BACKOFF_H
#define BT_PLAN_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BT_BACKOFF_FIRST_MS 10000
#define BT_BACKOFF_MAX_MS 300000
#define BT_BACKOFF_WELL_MS 10000 /* ready (healthy, or running where it has no checks) for so long: the count begins anew */

/* Milliseconds from a failure to the next start. failures: in a row, this one included (0 counts as 1). policy_ms: the restart
 * policy's own delay, a lower bound of every restart (0: none). */
int64_t bt_backoff_delay_ms(int failures, int64_t policy_ms);
/* Whether a container is started again. condition: "none", "on-failure", "any" (NULL: none). ok: it ended with exit code 0.
 * attempts: restarts that the policy counts so far; max_attempts 0: no limit. */
bool bt_backoff_restarts(const char *condition, bool ok, int attempts, int max_attempts);

#endif
