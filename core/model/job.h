/* What x-berth.job of a service says beyond how often it has to complete: when it runs, and what becomes of its runs. The words are
 * those of Kubernetes' CronJob. Pure. */
#ifndef BT_MODEL_JOB_H
#define BT_MODEL_JOB_H

#include <jansson.h>

#include "model/cron.h"

enum bt_concurrency { BT_CONCUR_ALLOW, BT_CONCUR_FORBID, BT_CONCUR_REPLACE };

struct bt_job {
  const char *schedule;  /* as written, borrowed from the JSON; NULL: none */
  const char *time_zone; /* likewise; NULL: UTC */
  struct bt_cron cron;
  enum bt_concurrency concurrency;
  int64_t starting_deadline_ms; /* how late a run may begin; 0: however late */
  int64_t active_deadline_ms;   /* how long it may take; 0: for ever */
  bool suspend;
  int keep_succeeded, keep_failed; /* runs that ended, whose instances and logs stay */
};

/* Reads x-berth.job of the service; json NULL: all defaults. -1 with BT_INVALID. */
int bt_job_parse(const char *service, const json_t *json, struct bt_job *out, struct bt_err **err) BT_CHECK;
const char *bt_concurrency_name(enum bt_concurrency concurrency);
bool bt_concurrency_of(const char *name, enum bt_concurrency *out);

#endif
