/* How many instances a service is to have now. */
#include "config.h"

#include "control/internal.h"

/* On a node that takes nothing new: what is there stays there, and counts. */
static int held(const struct ctl_service *service) {
  int n = 0;
  bt_vec_each(&service->insts, i) {
    const struct ctl_inst *inst = *i;
    const struct ctl_node *node = inst->leaving ? NULL : inst->node;
    bool goes = node && (node->vacate || node->lost_ms);
    n += node && !goes && ctl_inst_current(inst) && !ctl_node_open(node);
  }
  return n;
}

int ctl_wanted(const struct ctl_service *service) {
  if (!service->spec)
    return 0;
  if (ctl_once(service->spec))
    return ctl_once_wanted(service);
  if (service->spec->service->mode != BT_MODE_GLOBAL)
    return ctl_replicas(service);
  return (int)ctl_fleet_hosts(service->spec) + held(service);
}
