/* Who goes when a service is to have fewer instances: those that do not serve first, then those on nodes that take no new ones, then where most of
 * the service are (so that it stays as spread as it was), then the youngest. Who stays with too high a slot takes over one of those that came free.
 * Pure; O(n log n). */
#ifndef BT_PLAN_SCALE_IN_H
#define BT_PLAN_SCALE_IN_H

#include "plan/rollout.h"

/* slots: for each instance the slot that it is to have, 0 where it is to go; those that leave already keep theirs. Instances of one slot
 * (an update under way) stay or go together. */
void bt_scale_in(const struct bt_rollout_inst *insts, size_t n, int replicas, int *slots);

#endif
