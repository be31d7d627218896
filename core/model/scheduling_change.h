/* What the section "scheduling" of berthd.yaml says of changes: nodes that are lost, nodes that are drained, rebalancing. */
#ifndef BT_MODEL_SCHEDULING_CHANGE_H
#define BT_MODEL_SCHEDULING_CHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/yaml.h"

struct bt_scheduling_change {
  int64_t lost_after_ms; /* so long without a connection until a node is given up */
  int64_t lost_every_ms; /* between two nodes of a zone that are given up */
  int64_t drain_timeout_ms; /* how long jobs may run on where a node is drained */
  int drain_parallel;       /* instances that are on their way at once */
  bool rebalance;           /* by itself */
  int moves_per_hour;
};

/* Its keys of the section, canonical, into out; what is wrong goes to diags with its place. */
void bt_scheduling_change_read(const struct bt_yaml *section, json_t *out, struct bt_diags *diags);
void bt_scheduling_change_schema(json_t *properties);
struct bt_scheduling_change bt_scheduling_change_of(const json_t *canonical); /* NULL: the defaults */

#endif
