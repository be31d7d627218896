/* How many instances a service has, by what was observed: Kubernetes' HorizontalPodAutoscaler v2 as its documentation and
 * pkg/controller/podautoscaler/{horizontal,replica_calculator}.go (1.30) have it, with KEDA's sleep at 0 and its schedules. Pure.
 *
 * Each metric proposes a number; the highest counts.
 *   cpu, memory   ratio = average use of the ready instances / request / target; proposes ceil(ratio * instances). Of instances that run and say
 *                 nothing is assumed what changes least: the whole request (or the target, where that is more) before going down, nothing
 *                 before going up. Those that are not ready yet count as using nothing before going up, and not at all else.
 *   query         per instance: ceil(value / target), by ratio = value / (target * current); total: ceil(value / target * ready).
 *                 At 0 instances a value up to "activation" keeps it there, and any above it wakes at least one.
 *   Lua           the number it returned; no number: no opinion.
 * While |ratio - 1| is within the tolerance the metric proposes what there is. A metric without a value holds the number against going
 * down; where all of them are without, nothing changes. So what fails never leads to 0.
 *
 * Then the windows: going down takes the highest of what was proposed within down.window, going up the lowest within up.window. Then the limits: of
 * each, the number at the beginning of its period moved by so many instances or percent; "max" takes the limit that lets most through.
 * Last the bounds, which hold at once.
 *
 * The past is kept coarse: in parts of a sixteenth of the window, so that its size does not depend on how often one looks. */
#ifndef BT_PLAN_AUTOSCALE_H
#define BT_PLAN_AUTOSCALE_H

#include <stddef.h>

#include "model/autoscale.h"

enum { BT_SCALE_PAST = 32, BT_SCALE_WORDS = 320 };

/* What one metric came to. */
struct bt_scale_seen {
  const char *missing; /* why there is no value; NULL: there is one */
  double value;        /* of cpu (cpus) and memory (bytes) the use of all measured instances together; of a query its value; of Lua the number (NaN: none) */
  int measured;        /* of cpu and memory */
};

struct bt_scale_part {
  int64_t from_ms, to_ms;
  int low, high; /* proposals; or instances that went, came */
};

struct bt_scale_past {
  struct bt_scale_part asked[BT_SCALE_PAST], moves[BT_SCALE_PAST];
  int nasked, nmoves;
};

struct bt_scale_in {
  const struct bt_autoscale *spec;
  int current;           /* the number in force */
  int ready, starting;   /* of its instances: ready; to become so */
  double request_cpus;   /* of one instance */
  double request_memory;
  const struct bt_scale_seen *seen; /* as many as spec has metrics; NULL: not looked (only the bounds are taken into account) */
  const struct bt_tz *const *zones; /* as many as spec has schedules */
  int64_t now_ms;        /* of an even clock */
  int64_t wall_ms;       /* for the schedules */
};

enum bt_scale_why {
  BT_SCALE_STEADY,  /* the metrics ask for what there is */
  BT_SCALE_CHANGED, /* they ask for another number, and get it */
  BT_SCALE_WAITING, /* a window holds it back */
  BT_SCALE_LIMITED, /* it goes as far as the limits let it */
  BT_SCALE_BOUND,   /* a bound holds it, or makes it move */
  BT_SCALE_MISSING, /* there is no value */
};

struct bt_scale_out {
  int replicas;  /* from now on */
  int wanted;    /* by the metrics, before windows, limits and bounds; -1: none of them has a say */
  int min, max;  /* in force */
  int by;        /* the metric that decides; -1: none */
  enum bt_scale_why why;
  char reason[BT_SCALE_WORDS]; /* a sentence without its end */
  int64_t wake_ms; /* by the wall clock: when a schedule next changes the bounds; INT64_MAX: none does */
};

/* One look. past is read, and remembers this one. */
void bt_scale_step(const struct bt_scale_in *in, struct bt_scale_past *past, struct bt_scale_out *out);
/* Somebody set the number: from then on it counts as what was asked for. */
void bt_scale_set(struct bt_scale_past *past, const struct bt_autoscale *spec, int from, int to, int64_t now_ms);
/* Bounds in force at the time, and when they change. */
void bt_scale_bounds(const struct bt_autoscale *spec, const struct bt_tz *const *zones, int64_t wall_ms, int *min, int *max, int64_t *wake_ms);
const char *bt_scale_why_name(enum bt_scale_why why);

#endif
