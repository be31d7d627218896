/* One look at an app: what its rollouts and jobs want done next is done, what left the file goes, and its state is told. When and
 * where new instances begin is in place.c. Level-triggered: whatever changed, the whole app is looked at again. */
#include "config.h"

#include <stdio.h>

#include "control/internal.h"

/* ---- views of instances for the plans ---- */

/* Whoever lives in another's network must be made anew when that other was replaced; with its volumes or in other namespaces of it, when it has
 * gone to another node. What is done, and the attempts of jobs, have no use for that. */
static bool partner_moved(const struct ctl_inst *inst) {
  if (!ctl_seen(inst)->co_network) {
    bool lasting = inst->node && !inst->ended && ctl_group_follows(inst->spec) && !bt_service_is_job(inst->spec->service);
    const struct ctl_inst *with = lasting ? ctl_group_partner(inst) : NULL;
    return with && with->node && with->node != inst->node;
  }
  const struct ctl_inst *now = ctl_partner(inst, inst->spec->service->co_network);
  return now && now->node && !bt_streq(now->id, inst->seen->co_network);
}

bool ctl_inst_current(const struct ctl_inst *inst) {
  const struct ctl_spec *want = inst->service->spec;
  return want && bt_streq(inst->spec->hash, want->hash) && inst->inplace != CTL_INPLACE_REFUSED && !partner_moved(inst);
}

bool ctl_inst_done(const struct ctl_inst *inst) { return inst->ended && inst->state == BT_ST_EXITED && ctl_seen(inst)->exit_code == 0; }

struct bt_rollout_inst ctl_inst_view(const struct ctl_inst *inst) {
  const struct ctl_seen *seen = ctl_seen(inst);
  bool same = ctl_inst_current(inst) || inst->inplace == CTL_INPLACE_WAITS, newest = inst->gen >= inst->service->gen;
  return (struct bt_rollout_inst){
      .slot = inst->slot,
      .state = (enum bt_state)inst->state,
      .current = same && newest,
      .restartable = same && !newest,
      .leaving = inst->leaving,
      .changing = ctl_inplace_waits(inst),
      .ready = inst->ready,
      .unhealthy = inst->health == 3,
      .fell = !inst->restarting && (inst->state == BT_ST_EXITED || inst->state == BT_ST_FAILED) && seen->finished_ms >= inst->begun_ms,
      .done = ctl_inst_done(inst),
      .final = inst->ended && !ctl_inst_done(inst),
      .struck = inst->struck,
      .lasting = seen->lasting && !inst->ready && !inst->restarting,
      .away = ctl_move_of(inst) != NULL,
      .lost = ctl_inst_lost(inst),
      .failures = seen->failures - seen->failures_before,
      .begun_ms = inst->begun_ms,
      .assigned_ms = inst->assigned_ms,
      .ready_ms = seen->ready_ms,
  };
}

/* The caller frees. */
static struct bt_rollout_inst *views(const struct ctl_service *service) {
  struct bt_rollout_inst *v = bt_newn(struct bt_rollout_inst, service->insts.len + 1);
  bool surplus = false;
  int wanted = ctl_wanted(service);
  for (size_t i = 0; i < service->insts.len; i++) {
    v[i] = ctl_inst_view(service->insts.items[i]);
    surplus = surplus || v[i].slot > wanted;
  }
  for (size_t i = 0; surplus && i < service->insts.len; i++) { /* where they are says who goes */
    const struct ctl_node *node = service->insts.items[i]->node;
    v[i].node = node ? node->number : BT_FLEET_NONE;
    v[i].closing = node && !ctl_node_open(node);
  }
  return v;
}

/* Those that share namespaces, or volumes of containers, find each other by their slots. */
static bool fixed_slots(const struct ctl_service *service) {
  const struct bt_service *s = service->spec->service;
  if (s->co_network || s->co_pid || s->co_ipc || s->volumes_from.len)
    return true;
  bt_vec_each(&service->app->services, other) {
    const struct bt_service *o = (*other)->spec ? (*other)->spec->service : NULL;
    if (o && (bt_streq(o->co_network, s->name) || bt_streq(o->co_pid, s->name) || bt_streq(o->co_ipc, s->name)))
      return true;
    if (o)
      bt_vec_each(&o->volumes_from, from) if (bt_streq(from->service, s->name)) return true;
  }
  return false;
}

/* ---- effects on instances ---- */

void ctl_release(struct ctl_inst *inst, const char *reason) {
  if (inst->leaving)
    return;
  if (!inst->node) {
    ctl_inst_delete(inst);
    return;
  }
  inst->leaving = true;
  ctl_fleet_hold(inst); /* its place will be free */
  ctl_word_set(inst->service->app->control, &inst->reason, reason);
  ctl_touch_inst(inst);
  if (!ctl_drain_begin(inst))
    ctl_send_release(inst);
}

void ctl_restart_inst(struct ctl_inst *inst, const char *reason) {
  int64_t now = inst->service->app->control->now_ms;
  inst->gen = inst->service->gen;
  inst->begun_ms = now;
  inst->struck = false;
  if (inst->seen) {
    inst->seen->lasting = false;
    inst->seen->failures_before = inst->seen->failures;
    inst->seen->ready_ms = 0;
  }
  ctl_touch_inst(inst);
  if (!inst->node)
    return; /* it was not started yet */
  inst->restarting = true;
  inst->ready = false;
  inst->ended = false;
  ctl_fleet_hold(inst);
  inst->assigned_ms = now;
  inst->state = BT_ST_STOPPING;
  ctl_word_set(inst->service->app->control, &inst->reason, reason);
  if (!ctl_drain_begin(inst))
    ctl_send_restart(inst);
}

static void create(struct ctl_service *service, int slot, int attempt) {
  service->app->control->room--;
  struct ctl_inst *inst = ctl_inst_new(service, service->spec, slot);
  inst->attempt = attempt;
}

static void strike(struct ctl_inst *inst, const char *reason) {
  const struct ctl_app *app = inst->service->app;
  inst->struck = true;
  ctl_touch_inst(inst);
  const char *error = ctl_seen(inst)->error;
  const char *why = error && bt_starts(error, reason) ? "" : reason; /* said once */
  BT_AUTO_FREE char *note = bt_asprintf("%s failed: %s%s%s", inst->id, error ? error : "", error && *why ? "; " : "", why);
  bt_str_set(&inst->service->note, note);
  ctl_event(app->control, "error", "rollout.instance-failed", app->ns, app->name, inst->id, NULL, "%s", note);
}

/* A step starts and ends so many; the loop takes its turn before the next one. Only what is done takes room, so each step gets on. */
bool ctl_has_room(struct ctl_app *app) {
  if (app->control->room > 0)
    return true;
  app->looked_ms = 0; /* a crowd, too, is looked at again at once */
  ctl_wake(app, app->control->now_ms);
  return false;
}

static void take_slot(struct ctl_inst *inst, int slot) {
  inst->slot = slot; /* its id keeps the number that it was made with */
  ctl_touch_inst(inst);
}

/* Actions name instances by their index, so those are looked up before any of them changes the list. */
static void carry_out(struct ctl_service *service, const struct bt_roll_action *actions, size_t n) {
  BT_AUTO_FREE struct ctl_inst **who = (struct ctl_inst **)bt_newn(void *, n + 1);
  for (size_t i = 0; i < n; i++)
    who[i] = actions[i].kind == BT_ROLL_CREATE ? NULL : service->insts.items[actions[i].index];
  for (size_t i = 0; i < n; i++) {
    const struct bt_roll_action *a = &actions[i];
    if (a->kind == BT_ROLL_CREATE && service->roll.state == BT_RO_FRESH && !ctl_has_room(service->app))
      break; /* its slots are found empty again */
    if (a->kind == BT_ROLL_CREATE)
      create(service, a->slot, (int)a->index);
    else if (a->kind == BT_ROLL_RESTART)
      ctl_restart_inst(who[i], a->reason);
    else if (a->kind == BT_ROLL_STRIKE)
      strike(who[i], a->reason);
    else if (a->kind == BT_ROLL_SLOT)
      take_slot(who[i], a->slot);
    else
      ctl_release(who[i], a->reason);
    service->moved = service->moved || (service->roll.state == BT_RO_UPDATING && a->kind != BT_ROLL_STRIKE && a->kind != BT_ROLL_SLOT);
  }
}

/* ---- one service ---- */

static enum bt_order order_of(const struct ctl_service *service, const struct bt_update *update) {
  return bt_service_exclusive(service->spec->service) ? BT_STOP_FIRST : update->order;
}

static void note_rollout(struct ctl_service *service, enum bt_rollout_state before) {
  struct ctl_app *app = service->app;
  enum bt_rollout_state now = service->roll.state;
  app->stepped = true;
  if (now == before)
    return;
  if (now == BT_RO_ROLLBACK && service->roll.abort) {
    ctl_event(app->control, "warning", "rollout.aborted", app->ns, app->name, service->name, NULL, "%s: %s", app->name, service->note);
  } else if (now == BT_RO_PAUSED || now == BT_RO_ROLLBACK) {
    BT_AUTO_FREE char *note = bt_asprintf("%d of %d updated instances failed: %s", service->roll.failed, service->roll.total,
                                          service->note ? service->note : "no reason given");
    bt_str_set(&service->note, note);
    ctl_event(app->control, "error", "rollout.paused", app->ns, app->name, service->name, NULL, "%s: the update of %s stopped: %s", app->name,
              service->name, note);
  } else if (now == BT_RO_UPDATING) {
    ctl_event(app->control, "info", "rollout.started", app->ns, app->name, service->name, NULL, "%s: %s is being updated, %d instance%s", app->name,
              service->name, service->roll.total, service->roll.total == 1 ? "" : "s");
  } else if (now == BT_RO_DONE) {
    bt_str_set(&service->note, NULL);
  }
}

static bool roll_equal(const struct bt_rollout *a, const struct bt_rollout *b) {
  return a->state == b->state && a->batch_open == b->batch_open && a->total == b->total && a->failed == b->failed &&
         a->started_ms == b->started_ms && a->batch_ms == b->batch_ms && a->step == b->step && a->step_ms == b->step_ms && a->split == b->split &&
         a->weight == b->weight && a->held == b->held && a->go == b->go && a->abort == b->abort;
}

void ctl_roll_noted(struct ctl_service *service, const struct bt_rollout *before) {
  if (!roll_equal(before, &service->roll))
    note_rollout(service, before->state);
}

static void step_service(struct ctl_service *service) {
  if (!ctl_inplace_step(service))
    return; /* before what is left of it is taken for old */
  const struct bt_service *s = service->spec->service;
  const struct ctl_rev *rev = service->spec->rev;
  struct bt_update update = rev->rollback_of ? s->rollback : s->update;
  if (bt_streq(rev->cause, "update")) /* nobody watches it: it goes back where it fails */
    update.on_failure = BT_FAIL_ROLLBACK;
  struct bt_rollout before = service->roll;
  BT_AUTO_FREE struct bt_rollout_inst *insts = views(service);
  struct bt_rollout_out out;
  char why[240];
  bt_rollout_step(
      &(struct bt_rollout_in){
          .update = &update,
          .way = ctl_way(service),
          .order = order_of(service, &update),
          .replicas = ctl_wanted(service),
          .deadline_ms = s->deadline_ms,
          .checked = s->healthcheck || s->readiness,
          .gate_open = ctl_gate_open(service, true, why, sizeof why) && !ctl_quota_over(service),
          .fixed_slots = fixed_slots(service),
          .insts = insts,
          .ninsts = service->insts.len,
          .now_ms = service->app->control->now_ms,
      },
      &service->roll, &out);
  carry_out(service, out.actions.items, out.actions.len);
  ctl_roll_noted(service, &before);
  ctl_way_noted(service, &before);
  ctl_wake(service->app, out.wake_ms);
  bt_rollout_out_free(&out);
}

/* ---- services that go ---- */

/* Who depends on it is stopped first: how many instances there are that depend on each service. What stays in the file counts by its
 * new words: it may have given the dependency up. */
struct needs {
  struct bt_map *by_name; /* -> int; made only where a service goes */
};

static void count_needs(struct needs *needs, const struct ctl_service *service, int one) {
  bt_vec_each(&service->insts, inst) {
    const struct ctl_spec *spec = service->spec ? service->spec : (*inst)->spec;
    bt_vec_each(&spec->service->depends, dep) {
      int *n = bt_map_get(needs->by_name, dep->service);
      if (!n) {
        n = bt_new(int);
        bt_map_set(needs->by_name, dep->service, n);
      }
      *n += bt_streq(dep->service, service->name) ? 0 : one;
    }
  }
}

static bool needed(const struct needs *needs, const char *name) {
  const int *n = bt_map_get(needs->by_name, name);
  return n && *n > 0;
}

static void release_all(struct ctl_service *service, const char *reason) {
  struct bt_control *c = service->app->control;
  for (size_t i = service->insts.len; i-- > 0;) {
    if (service->insts.items[i]->leaving)
      continue;
    if (!ctl_has_room(service->app))
      return;
    c->room--;
    ctl_release(service->insts.items[i], reason);
  }
}

/* What was never given to a node is gone at once, and then its dependencies may go. */
static void drop_service(struct needs *needs, struct ctl_service *service, const char *reason) {
  struct ctl_app *app = service->app;
  if (service->insts.len > 0 && !needs->by_name) {
    needs->by_name = bt_map_new(free);
    bt_vec_each(&app->services, other) count_needs(needs, *other, 1);
  }
  if (service->insts.len > 0 && !needed(needs, service->name)) {
    count_needs(needs, service, -1);
    release_all(service, reason);
    count_needs(needs, service, 1);
  }
  if (service->insts.len == 0) {
    ctl_service_delete(service);
    ctl_touch_app(app);
    ctl_dirty(app);
  }
}

static void drop_services(struct ctl_app *app, const char *reason) {
  struct needs needs = {0};
  for (size_t i = app->services.len; i-- > 0;)
    if (!app->services.items[i]->spec)
      drop_service(&needs, app->services.items[i], reason);
  bt_map_free(&needs.by_name);
}

/* ---- the whole app ---- */

void ctl_link_specs(struct ctl_app *app) {
  bt_vec_each(&app->services, service)(*service)->spec = ctl_spec_find(app->target, (*service)->name);
  bt_vec_each(&app->target->specs, spec) {
    ctl_service_get(app, (*spec)->service->name)->spec = *spec;
    app->routed = app->routed || (*spec)->service->routes.len > 0;
    app->scheduled = app->scheduled || (*spec)->service->job.schedule;
  }
}

/* "restart: true": dependents of what was replaced or restarted are restarted after it is through. */
static void follow_restarts(struct ctl_app *app, struct ctl_service *moved) {
  const struct ctl_named *named = ctl_rev_named(app->target, moved->name);
  moved->moved = false;
  ctl_touch_app(app);
  for (size_t i = 0; named && i < named->after.len; i++) {
    const struct ctl_spec *spec = named->after.items[i];
    struct ctl_service *service = ctl_service_get(app, spec->service->name);
    if (service->insts.len == 0 || bt_service_is_job(spec->service))
      continue;
    service->gen++;
    /* What is not started yet is new enough, and a task that is done has no use for a restart. */
    bt_vec_each(&service->insts, inst) if (!ctl_seen(*inst)->started_ms || ctl_inst_done(*inst)) {
      (*inst)->gen = service->gen;
      ctl_touch_inst(*inst);
    }
    ctl_dirty(app);
  }
}

static bool service_well(const struct ctl_service *service) {
  int well = 0;
  if (service->spec->recurs)
    return true; /* its runs come and go */
  bt_vec_each(&service->insts, inst) if (!(*inst)->leaving && ctl_inst_current(*inst)) well += (*inst)->ready || ctl_inst_done(*inst);
  return well >= ctl_wanted(service) - ctl_scaler_grows(service);
}

static void deployed(struct ctl_app *app) {
  struct ctl_rev *rev = app->target;
  struct ctl_rev *before = ctl_rev_find(app, app->stable);
  if (rev->state == CTL_REV_DEPLOYED)
    return;
  rev->deployed = true;
  app->stable = rev->number;
  ctl_rev_set_state(rev, CTL_REV_DEPLOYED, NULL);
  if (before && before != rev && before->state == CTL_REV_DEPLOYED)
    ctl_rev_set_state(before, CTL_REV_SUPERSEDED, NULL);
  ctl_touch_app(app);
  ctl_event(app->control, "info", "app.deployed", app->ns, app->name, app->name, NULL, "%s: revision %d is deployed", app->name, rev->number);
}

static const char *worst_note(const struct ctl_app *app, enum bt_rollout_state *worst, char *buf, size_t size) {
  const char *note = NULL;
  *worst = BT_RO_DONE;
  bt_vec_each(&app->services, s) {
    const struct ctl_service *service = *s;
    enum bt_rollout_state state = service->roll.state;
    if (!service->spec || state == BT_RO_DONE)
      continue;
    if (service->blocked && (*worst == BT_RO_DONE || *worst == BT_RO_FRESH || *worst == BT_RO_UPDATING || *worst == BT_RO_START)) {
      *worst = BT_RO_FAILED;
      snprintf(buf, size, "%s %s", service->name, service->blocked);
      note = buf;
      continue;
    }
    bool bad = state == BT_RO_PAUSED || state == BT_RO_FAILED || state == BT_RO_ROLLBACK;
    bool have_bad = *worst == BT_RO_PAUSED || *worst == BT_RO_FAILED || *worst == BT_RO_ROLLBACK;
    if (bad || (!have_bad && *worst == BT_RO_DONE)) {
      *worst = state;
      note = service->note ? service->note : service->name;
    }
    if (state == BT_RO_ROLLBACK)
      break;
  }
  return note;
}

static void derive_running(struct ctl_app *app) {
  const struct ctl_rev *latest = ctl_rev_latest(app);
  deployed(app);
  bt_vec_each(&app->services, service) if ((*service)->spec && !service_well(*service)) {
    ctl_set_state(app, CTL_APP_DEGRADED, "%s: not all instances are ready", (*service)->name);
    return;
  }
  if (latest != app->target && latest->state == CTL_REV_FAILED)
    ctl_set_state(app, CTL_APP_RUNNING, "revision %d runs; revision %d failed: %s", app->target->number, latest->number,
                  latest->reason ? latest->reason : "no reason given");
  else if (app->target->automatic)
    ctl_set_state(app, CTL_APP_RUNNING, "%s", app->target->message);
  else
    ctl_set_state(app, CTL_APP_RUNNING, "all instances are ready");
}

static void derive_state(struct ctl_app *app) {
  enum bt_rollout_state worst;
  char buf[320];
  const char *note = worst_note(app, &worst, buf, sizeof buf);
  struct ctl_rev *rev = app->target;
  if (worst == BT_RO_ROLLBACK && ctl_rev_latest(app) == rev) {
    BT_AUTO_FREE char *why = bt_strdup(note);
    ctl_rollback_auto(app, why);
  } else if (worst == BT_RO_PAUSED || worst == BT_RO_FAILED || worst == BT_RO_ROLLBACK) {
    ctl_rev_set_state(rev, CTL_REV_FAILED, note);
    ctl_set_state(app, CTL_APP_FAILED, "%s", note);
  } else if (worst == BT_RO_DONE) {
    derive_running(app);
  } else {
    ctl_set_state(app, rev->rollback_of ? CTL_APP_ROLLING_BACK : CTL_APP_DEPLOYING, "revision %d is rolled out", rev->number);
  }
}

static void reconcile_removing(struct ctl_app *app) {
  bt_vec_each(&app->services, service)(*service)->spec = NULL;
  drop_services(app, "the app is removed");
  const char *stuck = NULL;
  if (app->services.len > 0 || !ctl_res_drop_all(app, &stuck)) {
    if (stuck)
      ctl_set_state(app, CTL_APP_REMOVING, "%s", stuck);
    return;
  }
  struct bt_control *c = app->control;
  ctl_event(c, "info", "app.removed", app->ns, app->name, app->name, NULL, "%s is removed", app->name);
  ctl_content_collect(app, true);
  ctl_app_delete(app);
}

static void reconcile_service(struct ctl_service *service) {
  bt_str_set(&service->blocked, NULL);
  ctl_autoscale_settle(service);
  if (bt_service_is_job(service->spec->service)) {
    ctl_job_step(service);
  } else {
    ctl_jobs_free(&service->jobs);
    step_service(service);
  }
  ctl_moves_step(service);
  if (service->moved && service->roll.state == BT_RO_DONE)
    follow_restarts(service->app, service);
  ctl_place_pending(service);
  ctl_budget_tell(service);
}

void ctl_reconcile(struct ctl_app *app) {
  app->looked_ms = app->control->now_ms;
  app->wake_ms = INT64_MAX;
  app->wants_nodes = false;
  ctl_drains_check(app);
  if (app->state == CTL_APP_REMOVING) {
    reconcile_removing(app);
    return;
  }
  if (!app->target)
    return;
  ctl_link_specs(app);
  ctl_res_ensure(app);
  bt_vec_each(&app->target->specs, spec) {
    if (!ctl_has_room(app)) /* those that are through cost little when it is their turn again */
      return;
    reconcile_service(ctl_service_get(app, (*spec)->service->name));
    app->wants_nodes = app->wants_nodes || (*spec)->service->mode == BT_MODE_GLOBAL || ctl_once(*spec);
  }
  if (app->stepped)
    ctl_touch_app(app);
  app->stepped = false;
  drop_services(app, "its service is no longer in the file");
  ctl_res_collect(app);
  derive_state(app);
  if (ctl_revs_prune(app))
    ctl_content_collect(app, false);
}
