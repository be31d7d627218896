/* The way of one service from what runs to what should run: which instances to make, to let go or to restart now, what to
 * wait for, and when it has succeeded or failed. A pure function over a view of the instances; it keeps nothing but the progress
 * that the caller stores. Level-triggered: called again with the same facts it asks for the same things.
 *
 * Slots count from 1 to the number of replicas: where there are more, scale_in.h says who goes and who takes over which.
 * "Current" is an instance of the wanted spec (and restart generation), everything else is old. Missing
 * slots are filled and surplus ones emptied at once; old ones are replaced in batches after update_config:
 * a batch begins when the one before is settled (ready, or counted as failed) and the delay is over; the last one is watched
 * for "monitor". Of a service without any check "ready" only means that it runs, so it must run for two seconds (or "monitor",
 * where that is shorter) before it counts as settled. A batch begins only while the gate (dependencies) is open, so that nothing old goes before its successor may start.
 *
 * A service may have another way (model/way.h). Blue-green: all new ones are made beside the old; when all stand, routes are switched; the old ones stay
 * for "keep", so that going back is a switch again. Canary: the batches stop where a step has its instances; it goes on when the step's pause is over, or
 * somebody promotes it. Either is watched until it is through, and goes back at the first failure too many. What routes are to send to new and to old
 * instances is in the progress: split and weight. */
#ifndef BT_PLAN_ROLLOUT_H
#define BT_PLAN_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/service.h"
#include "model/status.h"
#include "model/way.h"

/* An instance that nobody checks has to run so long until it is taken for one that stands, where it replaces another. */
#define BT_ROLLOUT_UNCHECKED_MS 2000

enum bt_rollout_state {
  BT_RO_START,    /* a new target: not looked at yet */
  BT_RO_FRESH,    /* first instances, or more of them: nothing old to replace */
  BT_RO_UPDATING,
  BT_RO_PAUSED,   /* failures went over max_failure_ratio: waits for a person, unless all become well and nothing old is kept beside them */
  BT_RO_FAILED,   /* first instances failed; they go on trying after their restart policy */
  BT_RO_ROLLBACK, /* failures went over the ratio and failure_action says rollback: the app's controller goes back */
  BT_RO_DONE
};

struct bt_rollout {
  enum bt_rollout_state state;
  bool batch_open;    /* a batch was begun and is not settled */
  int total, failed;  /* slots to replace when the update began; instances that failed in it */
  int64_t started_ms;
  int64_t batch_ms;   /* when the last batch settled */
  /* of other ways than rolling */
  int step;           /* canary: the step it is at; blue-green: 1 from the switch on */
  int64_t step_ms;    /* when that stood; 0: not yet */
  bool split;         /* routes tell new instances from old: */
  int weight;         /* the new ones get so many of 100 requests */
  /* what somebody asked for */
  bool held;          /* nothing further is begun, and no step is taken */
  bool go;            /* the step that it is at is over */
  bool abort;         /* it goes back */
};

enum bt_rollout_wish { BT_WISH_PAUSE, BT_WISH_PROMOTE, BT_WISH_ABORT };

/* One instance as the rollout sees it. */
struct bt_rollout_inst {
  int slot;
  enum bt_state state;
  bool current;     /* of the wanted spec and restart generation */
  bool restartable; /* old, but only its restart generation: restart in place */
  bool leaving;     /* was asked to go */
  bool changing;    /* current, or it is to be: its limits are being changed in place, and nothing is decided about it before that is through */
  bool ready, unhealthy;
  bool fell;        /* ended or failed since it was begun, and may start again */
  bool done;        /* ended well and will not start again (a task without restart) */
  bool final;       /* ended badly and will not start again */
  bool struck;      /* counted as failed in this rollout (BT_ROLL_STRIKE before) */
  bool lasting;     /* it cannot come up until a person does something */
  bool away;        /* it makes way: a successor may stand beside it in its slot, and takes the slot over when it stands */
  bool closing;     /* its node takes no new ones */
  uint32_t node;    /* a number that all there have in common; both are only asked for when the service has too many */
  bool lost;        /* its node is given up: it holds its slot no more, and goes when the slot's next one has a place */
  int failures;     /* since it was made or last well */
  int64_t begun_ms; /* made, or last asked to restart */
  int64_t assigned_ms, ready_ms; /* 0: not (yet) */
};

enum bt_roll_kind { BT_ROLL_CREATE, BT_ROLL_RELEASE, BT_ROLL_RESTART, BT_ROLL_STRIKE, BT_ROLL_SLOT /* another slot is its own from now on */ };
struct bt_roll_action {
  enum bt_roll_kind kind;
  int slot;           /* CREATE, SLOT */
  size_t index;       /* the others: into the instances */
  const char *reason; /* a literal */
};

struct bt_rollout_in {
  const struct bt_update *update;
  const struct bt_way *way; /* NULL: rolling */
  enum bt_order order;  /* in force: stop-first where the service cannot run twice in a slot */
  int replicas;
  int64_t deadline_ms;
  bool checked; /* it has a health check or a readiness probe: ready says something */
  bool gate_open;
  bool fixed_slots; /* a slot says more than a number: who has which does not change, and the highest go first */
  const struct bt_rollout_inst *insts;
  size_t ninsts;
  int64_t now_ms;
};

struct bt_rollout_out {
  BT_VEC(struct bt_roll_action) actions;
  int64_t wake_ms;  /* INT64_MAX: none */
  int waiting;      /* slots that are not settled */
  int outdated;     /* slots that still run what is old */
};

/* Takes the next step. progress is read and advanced; out is filled (bt_rollout_out_free). */
void bt_rollout_step(const struct bt_rollout_in *in, struct bt_rollout *progress, struct bt_rollout_out *out);
void bt_rollout_out_free(struct bt_rollout_out *out);
/* Somebody's wish about an update that goes on: heard at the next step. */
void bt_rollout_wish(struct bt_rollout *progress, enum bt_rollout_wish wish);
/* Where an update is in its way, in words ("canary step 2 of 3: 4 of 10 instances are new, …"); the caller frees. NULL: there is nothing to say. fresh:
 * instances that are new. */
char *bt_rollout_words(const struct bt_way *way, const struct bt_rollout *progress, int replicas, int fresh, int64_t now_ms);
const char *bt_rollout_name(enum bt_rollout_state state);
bool bt_rollout_parse(const char *name, enum bt_rollout_state *out);

#endif
