/* Who waits for whom: the order of services by depends_on, and whether a dependency's condition holds. Pure. */
#ifndef BT_PLAN_DEPS_H
#define BT_PLAN_DEPS_H

#include <stdbool.h>
#include <stddef.h>

#include "model/service.h"

/* Writes the services' indexes so that each comes after what it depends on (ties keep their order). -1 with BT_INVALID for a
 * cycle (named whole) or a required dependency that is not among them. Names are unique. Linear in services and dependencies. */
int bt_deps_order(struct bt_service *const *services, size_t n, size_t *order, struct bt_err **err) BT_CHECK;

/* What a dependency's instances of the wanted spec look like now. */
struct bt_dep_facts {
  bool exists;     /* it is part of what is deployed */
  int wanted;      /* slots */
  int started;     /* slots whose instance runs or has run */
  int ready;
  int completed;   /* ended with exit code 0 */
  int failed;      /* ended badly for good */
  int failing;     /* that ended badly, or fail again and again */
  bool updating;   /* old instances are still being replaced */
};
/* Whether the condition holds; else why holds "waits for db to be healthy", in words. why: at least 160 bytes. */
bool bt_deps_met(const struct bt_depend *depend, const struct bt_dep_facts *facts, char *why, size_t size);
/* Whether a condition that does not hold will not hold by waiting alone: the dependency fails. */
bool bt_deps_hopeless(const struct bt_depend *depend, const struct bt_dep_facts *facts);

#endif
