/* berth.monitor/1 as of the frozen headers. */
#include <berth/monitor.h>

#include "abi-1/old.h"

static void probe(struct berth_instance *self, berth_op op) { say(self, op, "{\"mode\":\"pull\",\"endpoints\":[],\"status\":\"ok\"}"); }

static const struct berth_monitor monitor = {.size = sizeof monitor, .probe = probe};
OLD_PLUGIN("monitor-old", BERTH_MONITOR, monitor);
