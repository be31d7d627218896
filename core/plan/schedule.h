/* Whether a run of a job begins now: by its schedule, or after the jobs that it follows. One run at a time is decided; of several that
 * were due and could not begin, the last one stands for all. Pure; times are of the wall clock, in milliseconds since 1970. */
#ifndef BT_PLAN_SCHEDULE_H
#define BT_PLAN_SCHEDULE_H

#include "model/job.h"

#define BT_SCHEDULE_MOST_ACTIVE 100 /* runs of one job at the same time, whatever it allows */
#define BT_SCHEDULE_MOST_MISSED 100 /* so many are counted */

enum bt_schedule_verdict {
  BT_SCHED_IDLE,    /* nothing is due */
  BT_SCHED_START,   /* a run begins now */
  BT_SCHED_REPLACE, /* those that are active are to be ended; then ask again */
  BT_SCHED_WAIT,    /* one is due and has to wait */
  BT_SCHED_MISSED   /* what was due may not begin any more */
};

struct bt_schedule_in {
  const struct bt_job *job;
  const struct bt_tz *tz; /* of job->time_zone; NULL: UTC */
  int64_t now_ms;
  int64_t considered_ms;  /* what was due until then is dealt with */
  bool followed;          /* without a schedule: what it follows has succeeded since its last run began */
  int active;             /* runs that are not over; those whose containers are still being stopped count */
};

struct bt_schedule_out {
  enum bt_schedule_verdict verdict;
  int64_t due_ms;        /* of START, REPLACE, WAIT and MISSED */
  int64_t considered_ms; /* from now on */
  int64_t next_ms;       /* when the next run is due that is not yet; INT64_MAX: not known */
  int64_t wake_ms;       /* when to ask again at the latest; INT64_MAX: when something changes */
  int missed;            /* due times, up to now, that no run comes of */
};

void bt_schedule_step(const struct bt_schedule_in *in, struct bt_schedule_out *out);

#endif
