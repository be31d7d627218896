#include "config.h"

#include "plan/budget.h"

#include <stdint.h>

#include "base/mem.h"

static int amount(const struct bt_amount *a, int wanted) {
  return a->percent ? (int)(((int64_t)wanted * a->value + 99) / 100) : a->value;
}

int bt_budget_left(const struct bt_disruption *said, int wanted, int well) {
  bool silent = said->max_unavailable.value < 0 && said->min_available.value < 0;
  int floor = 0;
  if (silent)
    floor = BT_MAX(0, wanted - 1);
  if (said->max_unavailable.value >= 0)
    floor = BT_MAX(floor, wanted - amount(&said->max_unavailable, wanted));
  if (said->min_available.value >= 0)
    floor = BT_MAX(floor, amount(&said->min_available, wanted));
  return BT_MAX(0, well - floor);
}
