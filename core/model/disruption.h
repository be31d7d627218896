/* What an app says of how many instances of a service others' needs may take away at once: x-berth.disruption. Read once from the canonical
 * service. Pure; what it comes to for a number of instances is in plan/budget.h. */
#ifndef BT_MODEL_DISRUPTION_H
#define BT_MODEL_DISRUPTION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

enum { BT_DISRUPTION_MOST = 100000 };

/* A number of instances, or a share of those that are wanted. */
struct bt_amount {
  int value; /* -1: not said */
  bool percent;
};

struct bt_disruption {
  struct bt_amount max_unavailable, min_available; /* where both are said, both hold */
};

/* "25%", from 0% to 100%, without a sign. */
bool bt_amount_percent(const char *text, int *out);
/* json may be NULL: nothing said. -1 with BT_INVALID and a sentence that names the service and the key. */
int bt_disruption_parse(const char *service, const json_t *json, struct bt_disruption *out, struct bt_err **err) BT_CHECK;

#endif
