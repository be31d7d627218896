/* Where an instance goes: which nodes meet its constraints and have room, and if none does, why not, in words. Pure.
 * Constraints are those of deploy.placement: node.hostname, node.id, node.role, node.platform.os, node.platform.arch,
 * node.labels.X and engine.labels.X, with == or !=. */
#ifndef BT_PLAN_PLACE_H
#define BT_PLAN_PLACE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "model/service.h"

struct bt_place_node {
  const char *name;
  const json_t *info; /* of hello: labels, os, arch, cpus, memory */
  bool ready;
  double cpus_used;   /* reserved by what is there */
  int64_t memory_used;
  int instances;
  /* Who has a port ("tcp/8080") that the engine would have to publish; NULL: nobody. */
  const char *(*port_owner)(const void *arg, const char *port);
  const void *arg;
  int siblings;       /* of the service that is being placed, as they will stay */
};

/* The index of the node with most room, or -1 with why (at least 240 bytes) saying what is in the way. */
int bt_place(const struct bt_service *service, const struct bt_place_node *nodes, size_t n, char *why, size_t size);
/* Whether a constraint is well-formed; -1 with BT_INVALID otherwise. */
int bt_place_check(const char *constraint, struct bt_err **err) BT_CHECK;

#endif
