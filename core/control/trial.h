/* Trials on the planner's own fleet: places are taken within a step and given back before it ends, so that a forecast says what would really happen.
 * Between forecast.c, inplace.c and simulate.c only. */
#ifndef BT_CONTROL_TRIAL_H
#define BT_CONTROL_TRIAL_H

#include "control/draft.h"

struct ctl_trial {
  struct bt_control *c;
  BT_VEC(uint32_t) placed;          /* in the fleet, by the trial */
  BT_VEC(struct ctl_inst *) lifted; /* that would go, and hold nothing while it lasts */
  struct ctl_picks *picks;          /* who would be pushed out by a draft's services; NULL: nobody is */
};

void ctl_trial_begin(struct ctl_trial *t, struct bt_control *c);
/* Whether instances of a spec get places together or not at all, since none of them has one. */
bool ctl_trial_gang(const struct ctl_spec *spec);
/* Takes places for n instances of a spec: {"service","instances","unplaced","rule","nodes","preempts","reason","mend"}. preempts: left out where nobody is pushed
 * out. New reference. */
json_t *ctl_trial_service(struct ctl_trial *t, struct ctl_spec *spec, int n);
/* Changes instances of a service in place, as far as they can be: how many of *all cannot, and in why (a bt_buf) why the first of them. */
int ctl_trial_inplace(struct ctl_trial *t, const struct ctl_service *service, struct ctl_spec *to, struct bt_buf *why, int *all);
/* The steps of a draft's plan: what goes makes room first. An array of those. New reference. */
json_t *ctl_trial_plan(struct ctl_trial *t, const struct ctl_draft *d, const json_t *plan);
void ctl_trial_end(struct ctl_trial *t); /* everything is as it was */

#endif
