#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "control/internal.h"

/* An instance that load balancers send requests to is not stopped under them: they are asked to let go of it, and its release or
 * restart goes to the node when they have, or when its stop_grace_period is over. Nobody has to answer: the time ends it. */

#define SLACK_MS 2000 /* for the answer of whoever keeps the deadline itself */

static void call_drain(struct ctl_inst *inst, int64_t grace_ms) {
  struct bt_control *c = inst->service->app->control;
  char key[24];
  uint64_t id = ++c->call_seq;
  snprintf(key, sizeof key, "%" PRIu64, id);
  bt_map_set(c->drains, key, bt_strdup(inst->id));
  json_t *args = json_object();
  bt_json_set_str(args, "instance", inst->id);
  bt_json_set_int(args, "grace_ms", grace_ms);
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = id, .kind = "lb.drain", .args = args}));
}

bool ctl_drain_begin(struct ctl_inst *inst) {
  struct ctl_app *app = inst->service->app;
  if (inst->draining)
    return true; /* it was to restart, and now it leaves, or the other way round: one drain serves both */
  if (inst->lb != CTL_LB_READY)
    return false;
  int64_t grace_ms = inst->spec->service->stop_grace_ms;
  inst->draining = true;
  ctl_see(inst)->drain_by_ms = app->control->now_ms + grace_ms + SLACK_MS;
  ctl_wake(app, inst->seen->drain_by_ms);
  ctl_touch_inst(inst);
  call_drain(inst, grace_ms);
  return true;
}

static void drained(struct ctl_inst *inst) {
  inst->draining = false;
  ctl_touch_inst(inst);
  if (inst->leaving)
    ctl_send_release(inst);
  else if (inst->restarting)
    ctl_send_restart(inst);
}

bool ctl_drain_done(struct bt_control *c, uint64_t call) {
  char key[24];
  snprintf(key, sizeof key, "%" PRIu64, call);
  BT_AUTO_FREE char *id = bt_map_take(c->drains, key);
  struct ctl_inst *inst = ctl_inst_find(c, id);
  if (inst && inst->draining)
    drained(inst);
  return id != NULL;
}

void ctl_drains_check(struct ctl_app *app) {
  int64_t now = app->control->now_ms;
  if (!app->routed)
    return;
  bt_vec_each(&app->services, service) bt_vec_each(&(*service)->insts, i) {
    struct ctl_inst *inst = *i;
    if (inst->draining && ctl_seen(inst)->drain_by_ms <= now)
      drained(inst);
    else if (inst->draining)
      ctl_wake(app, ctl_seen(inst)->drain_by_ms);
  }
}

void ctl_drains_resume(struct bt_control *c) {
  for (struct ctl_insts it = ctl_insts(c); ctl_insts_next(&it);) {
    struct ctl_inst *inst = it.inst;
    inst->service->app->routed = inst->service->app->routed || inst->draining;
    if (inst->draining)
      call_drain(inst, BT_MAX(0, ctl_seen(inst)->drain_by_ms - SLACK_MS - c->now_ms));
  }
}
