/* berth/monitor.h: berth.monitor/1, monitoring systems. A monitor mostly lives on the host's services: it reads
 * berth.host.metrics/1 and berth.host.query/1, and serves (Prometheus) or pushes (OpenTelemetry, Graphite). */
#ifndef BERTH_MONITOR_H
#define BERTH_MONITOR_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_MONITOR "berth.monitor/1"

struct berth_monitor {
  size_t size;
  /* Result: {"mode": "pull"|"push", "endpoints": ["/metrics", …], "last_ms": wall ms of the last scrape or push or 0,
   * "status": "ok"|…, "detail": "…"}; for berth doctor. */
  void (*probe)(struct berth_instance *self, berth_op op);
};

#ifdef __cplusplus
}
#endif

#endif
