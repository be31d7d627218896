/* How many instances of a service may go now for others' needs, by what it says and by how it stands. */
#include "config.h"

#include "base/plant.h"
#include "control/internal.h"
#include "plan/budget.h"

int ctl_budget(const struct ctl_service *service) {
  int well = 0;
  if (!service->spec || bt_service_is_job(service->spec->service) || BT_PLANT(BUDGET_IGNORED))
    return INT32_MAX; /* nothing serves there */
  const struct bt_service *s = service->spec->service;
  bt_vec_each(&service->insts, inst) well += (*inst)->ready && !(*inst)->leaving && !(*inst)->restarting;
  return bt_budget_left(&s->disruption, ctl_wanted(service), well);
}

void ctl_budget_tell(const struct ctl_service *service) {
  const struct ctl_app *app = service->app;
  int left = ctl_budget(service);
  bt_fleet_budget(app->control->fleet, app->ns, app->name, service->name, left == INT32_MAX ? BT_FLEET_NONE : (uint32_t)left);
}
