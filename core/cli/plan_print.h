/* A plan in words: what an apply does or would do, and why. */
#ifndef BT_CLI_PLAN_PRINT_H
#define BT_CLI_PLAN_PRINT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

/* Adds one line per step of plan (control's result, control/control.h) with its changes below it; steps that keep what is there only
 * where all is true. Returns how many steps change something. */
size_t bt_plan_print(const json_t *plan, bool all, bool fancy, struct bt_buf *out);
/* One line per change that a policy made to the app (policy_changes of an apply's result): which policy, where, from what to what. */
void bt_plan_policies(const json_t *changes, bool fancy, struct bt_buf *out);
/* What the defaults of namespaces fill in (defaults of a result). */
void bt_plan_defaults(const json_t *defaults, bool fancy, struct bt_buf *out);

/* A line for each instance that a service of a forecast would push out. */
void bt_plan_victims(const json_t *service, bool fancy, struct bt_buf *out);
/* Where the steps would go, who would be pushed out, and what would be reserved where (forecast of a dry run's result). Of one node only what does not fit and
 * what is reserved is said. NULL: nothing. */
void bt_plan_forecast(const json_t *forecast, bool fancy, struct bt_buf *out);
/* How many instances have no place in it. */
long long bt_plan_unplaced(const json_t *forecast);

#endif
