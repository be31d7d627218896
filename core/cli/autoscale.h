/* Services whose number of instances follows what is observed: their list. */
#ifndef BT_CLI_AUTOSCALE_H
#define BT_CLI_AUTOSCALE_H

#include "cli/cli.h"

/* The table of those among the services (as GET …/services answers) that the verb's arguments mean (here: the app of the current project, or NULL),
 * after an empty line; nothing where there are none. */
void bt_autoscale_print(const struct bt_cli *cli, const json_t *services, const char *here, int64_t now_ms);
/* Those whose use is watched, and what they are recommended to reserve, of the services that the arguments mean: berth scale --recommend. */
int bt_autoscale_recommend(struct bt_cli *cli, struct bt_err **err) BT_CHECK;

#endif
