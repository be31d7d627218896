/* What x-berth.autoscale of a service says: by which figures the number of its instances follows the load, between which bounds, how fast, and
 * at which times the bounds are others; and whether Berth watches what an instance needs. The words are those of Kubernetes'
 * HorizontalPodAutoscaler v2 (behaviour), KEDA (schedules, activation) and VerticalPodAutoscaler. Read once from the canonical
 * service; texts are borrowed from its JSON. Pure; knows nothing of instances or of where figures come from. */
#ifndef BT_MODEL_AUTOSCALE_H
#define BT_MODEL_AUTOSCALE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"
#include "model/cron.h"

enum {
  BT_SCALE_MOST_METRICS = 16,
  BT_SCALE_MOST_SCHEDULES = 16,
  BT_SCALE_MOST_LIMITS = 4,     /* of one direction */
  BT_SCALE_MOST = 100000,       /* instances */
  BT_SCALE_MOST_TEXT = 16384,   /* bytes of a query or of a Lua chunk */
};

enum bt_scale_source { BT_SCALE_CPU, BT_SCALE_MEMORY, BT_SCALE_QUERY, BT_SCALE_LUA };

struct bt_scale_metric {
  enum bt_scale_source source;
  const char *name;   /* for people and for Lua: as given, else "cpu", "memory", "query", "lua" */
  double target;      /* of cpu and memory: share of the request (0.7); of a query: what one instance bears, or the whole (total) */
  bool total;         /* the value is about the whole, not to be divided among instances */
  double activation;  /* of a query: at 0 instances, a value above it wakes the service */
  const char *plugin; /* of a query: entry of the monitor plug-in; NULL: the only one */
  const char *text;   /* query or Lua chunk; NULL: cpu, memory */
};

struct bt_scale_limit {
  bool percent; /* else instances */
  int value;
  int64_t period_ms;
};

enum bt_scale_select { BT_SCALE_SELECT_MAX, BT_SCALE_SELECT_MIN, BT_SCALE_SELECT_DISABLED };

/* One direction. */
struct bt_scale_way {
  int64_t window_ms; /* stabilisation: of what was asked for in it, the one nearest to what is */
  enum bt_scale_select select;
  struct bt_scale_limit limits[BT_SCALE_MOST_LIMITS];
  int nlimits;
};

/* From each time of start until the next one of end the bounds are these. */
struct bt_scale_schedule {
  struct bt_cron start, end;
  const char *start_text, *end_text, *time_zone; /* NULL: UTC */
  int min, max; /* -1: as else */
};

struct bt_scale_vertical {
  bool on, automatic;
  double cpus_min, cpus_max;       /* bounds of what is recommended; max 0: none */
  int64_t memory_min, memory_max;
  int64_t every_ms;                /* automatic: not more often */
};

struct bt_autoscale {
  bool horizontal; /* the number follows something: there are metrics or schedules */
  int min, max;
  int64_t interval_ms;
  double tolerance;
  struct bt_scale_way up, down;
  BT_VEC(struct bt_scale_metric) metrics;
  BT_VEC(struct bt_scale_schedule) schedules;
  struct bt_scale_vertical vertical;
};

/* Reads x-berth.autoscale; json NULL: *out is NULL. -1 with BT_INVALID and a sentence that names the service and the key. */
int bt_autoscale_parse(const char *service, const json_t *json, struct bt_autoscale **out, struct bt_err **err) BT_CHECK;
void bt_autoscale_free(struct bt_autoscale **autoscale);
/* Puts other reservations into a canonical service: cpus and memory 0: as they are. Limits keep their proportion to them, and are never below. Changes the JSON. */
void bt_autoscale_reserve(json_t *service, double cpus, int64_t memory);
/* Sets deploy.replicas of a canonical service, and "scale" where it is there; n is borrowed. */
void bt_autoscale_replicas(json_t *service, json_t *n);
/* "70%", "12.5%": a share above 0 and up to 1,000 %. */
bool bt_scale_percent(const char *text, double *share);

#endif
