/* Updates that go another way than rolling, or are held: a line for each below "berth ps". */
#ifndef BT_CLI_ROLLOUT_H
#define BT_CLI_ROLLOUT_H

#include "cli/cli.h"

/* Of those of the app here among services, or of all where it is NULL; nothing where there are none. */
void bt_rollouts_print(const json_t *services, const char *here);

#endif
