/* Which instances would have better places than they have: whose rules no longer hold where they are (a label changed: they stay all the same,
 * as Kubernetes has it with "IgnoredDuringExecution", until they are moved), whose wishes a node meets better, and who are many on one node
 * and few on another although their service is to be spread. What is packed is not moved to pack it better. Pure: tried on the fleet, and taken back. */
#ifndef BT_PLAN_REBALANCE_H
#define BT_PLAN_REBALANCE_H

#include "plan/fleet.h"

enum bt_rebalance_kind { BT_REBALANCE_RULE, BT_REBALANCE_WISH, BT_REBALANCE_EVEN };
enum {
  BT_REBALANCE_RULE_GAIN = 10000, /* a rule that holds again */
  BT_REBALANCE_EVEN_GAIN = 10,    /* for each of its service that there are fewer beside it */
  BT_REBALANCE_LEAST = 10,        /* a gain below is not worth a move */
};

struct bt_rebalance_move {
  uint32_t instance; /* its number in the fleet, which stays */
  uint32_t from, to;
  enum bt_rebalance_kind kind;
  int64_t gain;      /* of its worth (bt_fleet_worth), all told */
  struct bt_worth before, after;
};

/* Finds moves for the given instances, each after those found before it, those of most gain first; at most max. Returns how many. The fleet is as
 * before. Some microseconds per instance. */
size_t bt_rebalance(struct bt_fleet *fleet, const uint32_t *instances, size_t n, struct bt_rebalance_move *out, size_t max);
const char *bt_rebalance_name(enum bt_rebalance_kind kind); /* "rule", "wish", "even" */

#endif
