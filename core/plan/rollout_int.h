/* Between rollout.c and rollout_way.c only: one look at a service. */
#ifndef BT_PLAN_ROLLOUT_INT_H
#define BT_PLAN_ROLLOUT_INT_H

#include "base/mem.h"
#include "plan/rollout.h"

/* What a slot holds; indexes + 1, 0: none. */
struct ro_slot {
  size_t current, old;
  size_t away; /* makes way for one of those, or for one that is to come */
  size_t lost; /* was here */
  bool leaving;
};

struct ro_pass {
  const struct bt_rollout_in *in;
  struct bt_rollout *progress;
  struct bt_rollout_out *out;
  struct ro_slot *slots; /* in->replicas of them */
  int *slot_of;          /* of each instance; 0: it is to go. NULL: as they say */
  int64_t last_ready_ms;
  int struck;  /* slots whose instance counts as failed, of now or before */
  int renewed; /* slots that have a new one */
  int paired;  /* and an old one beside it */
  bool restarts; /* what is old is so for a restart alone, which goes no other way than rolling */
};

/* rollout.c */
void ro_act(struct ro_pass *p, enum bt_roll_kind kind, int slot, size_t index, const char *reason);
void ro_wake(struct ro_pass *p, int64_t at_ms);
/* The next batch of old ones, at most so many, once the one before has settled and its delay is over. Nothing is waited for. */
void ro_next_batch(struct ro_pass *p, int most);
void ro_finish(struct ro_pass *p);

/* rollout_way.c */
/* Whether what is old stays beside what is new until the way says otherwise. */
bool ro_keeps_old(const struct ro_pass *p);
bool ro_only_restarts(const struct ro_pass *p);
/* Whether this update goes another way than rolling. */
bool ro_has_way(const struct ro_pass *p);
void ro_step_way(struct ro_pass *p);
void ro_go_back(struct ro_pass *p); /* it failed, or was aborted: requests go to what is old */

#endif
