/* What follows a change of an app: its plan and warnings shown, its revision watched. */
#ifndef BT_CLI_APPS_H
#define BT_CLI_APPS_H

#include "cli/cli.h"

/* Shows control's result of an apply, scale or rollback as the verb's options ask: JSON, the plan of a dry run, one line and the way
 * until it is up (unless --detach). Returns the exit code. */
int bt_apps_follow(struct bt_cli *cli, const json_t *result, struct bt_err **err) BT_CHECK;

/* What --wait-timeout says: "30" (seconds) or "1m30s"; 0: no end. */
int bt_apps_wait_ms(const struct bt_args *args, long long *out, struct bt_err **err) BT_CHECK;
/* POST to the path, with the verb's --dry-run, and on with its result as above. */
int bt_apps_post(struct bt_cli *cli, const char *path, json_t *body_steal, struct bt_err **err) BT_CHECK;

/* Whether nothing is to be done: --dry-run, or the verb is "plan". */
bool bt_apps_dry(const struct bt_args *args);

#endif
