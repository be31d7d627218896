/* Which nodes are given up, and when: tells machines that fail from a network that is cut, by how many are gone at once. The rule is that of
 * Kubernetes' node lifecycle controller ("Nodes: Rate limits on eviction"; Borg's master limits the rate at which it finds new places for tasks of
 * machines that it cannot reach for the same reason): a zone's nodes are given up one by one at a steady rate; where more than 55 % of a zone's, and
 * three at least, are gone, at a tenth of it, or where the zone has at most 50, not at all; a zone that is gone whole while others are well, at
 * the usual rate. Beyond it, the same limit holds for all nodes together, and where none is left, none is given up. Pure. */
#ifndef BT_PLAN_LOST_H
#define BT_PLAN_LOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

enum { BT_LOST_SHARE = 55, BT_LOST_FEW = 50, BT_LOST_SLOWER = 10, BT_LOST_LEAST = 3 };
#define BT_LOST_FORGOTTEN_MS ((int64_t)3600 * 1000) /* a node that was given up so long ago counts no more as one that is gone now */

enum bt_lost_verdict {
  BT_LOST_NOT,   /* it is there, or was given up before */
  BT_LOST_GRACE, /* not for long enough yet */
  BT_LOST_TURN,  /* others go first */
  BT_LOST_HELD,  /* too many are gone at once: the network, rather than they */
  BT_LOST_NOW
};

struct bt_lost_node {
  const char *name, *zone; /* zone: "" where it says none */
  bool up;
  int64_t down_ms;  /* since when it is not */
  int64_t given_ms; /* when it was given up; 0: it was not */
  enum bt_lost_verdict verdict; /* out */
};

struct bt_lost_in {
  int64_t after_ms, every_ms; /* between two of a zone */
  int64_t now_ms;
};

/* Zones' last times, kept by the caller between two calls. */
struct bt_lost_pace {
  struct bt_map *zones; /* name -> int64_t; NULL: none yet */
};
void bt_lost_pace_free(struct bt_lost_pace *pace);

/* Sets each node's verdict; those of BT_LOST_NOW count as given up from now on. Returns when to ask again, INT64_MAX: when something changes. */
int64_t bt_lost_step(const struct bt_lost_in *in, struct bt_lost_node *nodes, size_t n, struct bt_lost_pace *pace);

#endif
