/* Updates that go another way than rolling, or are held: a line for each below "berth ps". */
#ifndef BT_CLI_ROLLOUT_H
#define BT_CLI_ROLLOUT_H

#include "cli/cli.h"

/* Of those of the app here among services, or of all where it is NULL; nothing where there are none. */
void bt_rollouts_print(const json_t *services, const char *here);
/* NULL where there is nothing to say of the service; the caller frees. Pure. */
char *bt_rollout_line(const json_t *service);

#endif
