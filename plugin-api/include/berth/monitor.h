/* berth/monitor.h: berth.monitor/1, monitoring systems. A monitor mostly lives on the host's services: it reads
 * berth.host.metrics/1 and berth.host.query/1, and serves (Prometheus) or pushes (OpenTelemetry, Graphite). What can also be asked has
 * query(), by which services scale (x-berth.autoscale); it was shaped with Prometheus (GET /api/v1/query, which VictoriaMetrics has, too) and
 * Graphite (GET /render) in hand. */
#ifndef BERTH_MONITOR_H
#define BERTH_MONITOR_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_MONITOR "berth.monitor/1"

struct berth_monitor_query {
  size_t size;
  const char *query; /* in the product's own language: PromQL, MetricsQL, a target of Graphite's; at most 16 KiB */
};

struct berth_monitor {
  size_t size;
  /* Result: {"mode": "pull"|"push", "endpoints": ["/metrics", …], "last_ms": wall ms of the last scrape or push or 0,
   * "status": "ok"|…, "detail": "…"}; for berth doctor. */
  void (*probe)(struct berth_instance *self, berth_op op);
  /* What the product knows now. Result: {"series": [{"labels": {name: text}, "value": number, "at_ms": wall ms}]}: the last value of each series
   * that matches, at most 100; none is no error. Values that are no finite number are null. Errors: INVALID (the query; with the product's own
   * words), UNSUPPORTED (the entry is not configured to be asked), UNAUTHENTICATED, DENIED, UNAVAILABLE, DEADLINE, TOO_LARGE. An entry
   * without it cannot be asked. */
  void (*query)(struct berth_instance *self, berth_op op, const struct berth_monitor_query *request);
};

#ifdef __cplusplus
}
#endif

#endif
