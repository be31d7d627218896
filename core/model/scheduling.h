/* The section "scheduling" of berthd.yaml: how the server places, moves and takes away, as far as no app says otherwise. */
#ifndef BT_MODEL_SCHEDULING_H
#define BT_MODEL_SCHEDULING_H

#include <jansson.h>
#include <stdbool.h>

#include "base/diag.h"
#include "base/yaml.h"
#include "model/scheduling_change.h"

struct bt_scheduling {
  const char *strategy; /* "binpack" or "spread" (literals) of services that say none; NULL: binpack where they reserve something, else spread */
  bool preemption;      /* who is of higher priority and has no place gets one of somebody lower */
  struct bt_scheduling_change change;
};

/* The section as canonical JSON (new reference); what is wrong goes to diags with its place. */
json_t *bt_scheduling_read(const struct bt_yaml *section, struct bt_diags *diags);
json_t *bt_scheduling_schema(void); /* new reference */
struct bt_scheduling bt_scheduling_of(const json_t *canonical); /* NULL: the defaults */

#endif
