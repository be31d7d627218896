/* A job's next steps: its completions are slots, each tried until one attempt ends with exit code 0, at most max_concurrent at a
 * time, failed attempts after a backoff until the limit. Pure. */
#ifndef BT_PLAN_JOBS_H
#define BT_PLAN_JOBS_H

#include "plan/rollout.h"

struct bt_job_in {
  int completions, max_concurrent;
  const bool *absent;  /* by slot - 1: there is no such slot; NULL: there are all */
  int max_attempts;    /* of one slot, the first included; 1: no retry */
  int64_t policy_delay_ms;
  const struct bt_rollout_inst *insts; /* done: ended with 0; final: ended badly; current: of the wanted spec */
  const int *attempts;                 /* of each instance, from 1 */
  const int64_t *finished_ms;
  size_t ninsts;
  int64_t now_ms;
};

struct bt_job_out {
  BT_VEC(struct bt_roll_action) actions; /* CREATE slot (index: the attempt's number), RELEASE index */
  int64_t wake_ms;
  int completed, running, failed; /* slots; failed: no attempt is left */
};

void bt_jobs_step(const struct bt_job_in *in, struct bt_job_out *out);
void bt_job_out_free(struct bt_job_out *out);

#endif
