/* Disruption budgets: how many instances of a service may be taken away now by what is not its own change (a drain, a rebalancing, somebody of
 * higher priority). Its rollouts keep rules of their own. Pure. */
#ifndef BT_PLAN_BUDGET_H
#define BT_PLAN_BUDGET_H

#include "model/disruption.h"

/* wanted: instances that there should be; well: those that serve now. Shares are of wanted, and rounded up,
 * as those of Kubernetes' budgets are. Nothing said: one at a time may be missing; of a service of one instance, that one.
 * The instances that do not serve may go in any case. */
int bt_budget_left(const struct bt_disruption *said, int wanted, int well);

#endif
