/* Other limits and reservations without another container. Where nothing but those tells an instance's spec from the one that its service asks for, the
 * instance takes that one over: its name, its node and its container stay; what it holds of the node and of its quota changes in the same step, and the
 * node is told (an assignment, as a sync would bring it). Level-triggered: what the node did not confirm is told again with the next sync. What a node
 * cannot do, has no room for or refuses is replaced, as the rollout says. */
#include "config.h"

#include "control/trial.h"
#include "model/inplace.h"

static const char *const names[] = {NULL, NULL, "sent", "refused"};

const char *ctl_inplace_name(int inplace) { return names[inplace]; }

int ctl_inplace_of(const char *name) {
  for (int i = CTL_INPLACE_SENT; name && i <= CTL_INPLACE_REFUSED; i++)
    if (bt_streq(name, names[i]))
      return i;
  return CTL_INPLACE_NONE;
}

bool ctl_inplace_waits(const struct ctl_inst *inst) { return inst->inplace == CTL_INPLACE_WAITS || inst->inplace == CTL_INPLACE_SENT; }

/* ---- whether it can be ---- */

static bool has_feature(const struct ctl_node *node) {
  size_t i;
  json_t *feature;
  json_array_foreach(bt_json_arr(node->info, "features"), i, feature) if (bt_streq(json_string_value(feature), "update")) return true;
  return false;
}

/* Whether an engine has anything to do: reservations of cpu are ours alone. */
static bool engine_matters(const struct ctl_spec *from, const struct ctl_spec *to) {
  BT_AUTO_JSON is = bt_inplace_wanted(from->service->json);
  BT_AUTO_JSON wanted = bt_inplace_wanted(to->service->json);
  return !bt_json_equal(is, wanted);
}

/* Whether there is a change that could be made in place at all. */
static bool is_candidate(const struct ctl_inst *inst, const struct ctl_spec *to) {
  return inst->node && !inst->leaving && !inst->ended && !ctl_inst_lost(inst) && !ctl_move_of(inst) && !bt_service_is_job(to->service) &&
         !bt_service_is_job(inst->spec->service);
}

bool ctl_inplace_may(const struct ctl_inst *inst, struct ctl_spec *to, struct bt_buf *why) {
  const char *lost = NULL;
  if (!is_candidate(inst, to))
    return false;
  if (!bt_inplace_reachable(inst->spec->service->json, to->service->json, &lost)) {
    bt_buf_addf(why, "%s, which no engine does while it runs", lost);
    return false;
  }
  if (engine_matters(inst->spec, to) && !has_feature(inst->node)) {
    bt_buf_addf(why, "the engine of node %s cannot change what runs", inst->node->name);
    return false;
  }
  return ctl_fleet_fits(inst, to, why);
}

/* ---- doing it ---- */

static void set_unfit(struct ctl_inst *inst, const char *why) {
  const struct ctl_app *app = inst->service->app;
  if (bt_streq(ctl_seen(inst)->unfit, why))
    return;
  bt_str_set(&ctl_see(inst)->unfit, why);
  ctl_touch_inst(inst);
  if (why)
    ctl_event(app->control, "warning", "instance.not-resized", app->ns, app->name, inst->id, NULL, "%s is not changed in place, but replaced: %s", inst->id, why);
}

/* From here on it is one of the new spec. Where the hash is the same, its node has nothing to do. */
static void take_over(struct ctl_inst *inst, struct ctl_spec *to) {
  struct bt_control *c = inst->service->app->control;
  bool same = bt_streq(inst->spec->hash, to->hash);
  ctl_fleet_release(inst);
  inst->spec->rev->uses--;
  inst->spec = to;
  to->rev->uses++;
  inst->revision = to->rev->number;
  inst->inplace = same ? CTL_INPLACE_NONE : CTL_INPLACE_SENT;
  ctl_fleet_hold(inst);
  set_unfit(inst, NULL);
  ctl_touch_inst(inst);
  if (same)
    return;
  json_t *m = json_object();
  bt_json_set_str(m, "type", "assign");
  bt_json_set(m, "instance", ctl_assignment(inst));
  ctl_send_to(c, inst->node, m);
}

static bool differs_in_place_only(struct ctl_spec *is, struct ctl_spec *to) {
  if (!is->hash || !to->hash)
    return false;
  if (bt_streq(is->hash, to->hash))
    return bt_inplace_reserves_differ(is->service, to->service);
  return bt_streq(ctl_hash_frame(is), ctl_hash_frame(to));
}

/* False: there is no room for it in this step. */
static bool change(struct ctl_inst *inst, struct ctl_spec *to) {
  BT_AUTO_BUF why = {0};
  char wait[240];
  if (!ctl_inplace_may(inst, to, &why)) {
    if (!why.len || bt_streq(ctl_seen(inst)->unfit, why.data))
      return true;
    if (!ctl_has_room(inst->service->app))
      return false;
    inst->service->app->control->room--;
    set_unfit(inst, why.data);
    if (bt_streq(inst->spec->hash, to->hash))
      inst->inplace = CTL_INPLACE_REFUSED; /* its hash alone would say that it is what it should be */
    return true;
  }
  if (!ctl_quota_may_change(inst, to, wait, sizeof wait)) {
    inst->inplace = CTL_INPLACE_WAITS;
    return true;
  }
  if (!inst->unsaved && !ctl_has_room(inst->service->app))
    return false;
  inst->service->app->control->room -= !inst->unsaved;
  take_over(inst, to);
  return true;
}

bool ctl_inplace_step(struct ctl_service *service) {
  struct ctl_spec *to = service->spec;
  const struct ctl_spec *last = NULL;
  bool same = false, all = true;
  bt_vec_each(&service->insts, i) {
    struct ctl_inst *inst = *i;
    if (inst->inplace == CTL_INPLACE_WAITS)
      inst->inplace = CTL_INPLACE_NONE;
    if (inst->spec == to)
      continue;
    if (inst->spec != last)
      same = differs_in_place_only(inst->spec, to);
    last = inst->spec;
    if (same && !change(inst, to))
      all = false;
    last = inst->spec == to ? NULL : last;
  }
  return all;
}

/* ---- what the node says ---- */

bool ctl_inplace_report(struct ctl_inst *inst, const json_t *report) {
  const struct ctl_app *app = inst->service->app;
  const json_t *refused = bt_json_obj(report, "refused");
  if (inst->inplace == CTL_INPLACE_NONE)
    return false;
  if (refused && bt_streq(bt_json_str(refused, "hash"), inst->spec->hash)) {
    if (inst->inplace == CTL_INPLACE_REFUSED)
      return false;
    inst->inplace = CTL_INPLACE_REFUSED;
    set_unfit(inst, bt_json_str_or(refused, "why", "its node could not change it"));
    return true;
  }
  if (!bt_streq(bt_json_str(report, "hash"), inst->spec->hash))
    return false;
  inst->inplace = CTL_INPLACE_NONE;
  set_unfit(inst, NULL);
  BT_AUTO_JSON nothing = json_object();
  BT_AUTO_FREE char *words = bt_inplace_words(nothing, inst->spec->service->json);
  ctl_event(app->control, "info", "instance.resized", app->ns, app->name, inst->id, NULL, "%s was changed in place: %s", inst->id, words ? words : "no limits");
  return true;
}

void ctl_inplace_unheard(struct ctl_inst *inst) {
  if (!inst->ended || inst->inplace != CTL_INPLACE_SENT)
    return;
  inst->inplace = CTL_INPLACE_NONE;
  ctl_touch_inst(inst);
  ctl_dirty(inst->service->app);
}

char *ctl_inplace_words(const struct ctl_inst *inst) {
  const char *unfit = ctl_seen(inst)->unfit;
  const struct ctl_node *node = inst->node;
  if (inst->inplace == CTL_INPLACE_SENT)
    return bt_asprintf(node && node->connected ? "its limits are being changed in place on %s" : "its limits are changed in place once node %s is connected", node ? node->name : "?");
  if (inst->inplace == CTL_INPLACE_WAITS)
    return bt_strdup("its limits are changed in place once the quota of its namespace has room for that");
  return unfit && !ctl_inst_current(inst) ? bt_asprintf("it could not be changed in place, and is replaced: %s", unfit) : NULL;
}

/* ---- what a plan says ---- */

static void say(json_t *step, const struct ctl_service *service, struct ctl_spec *to) {
  BT_AUTO_FREE char *words = bt_strdup(bt_json_str(step, "in_place")), *rest = bt_strdup(bt_json_str(step, "beside"));
  BT_AUTO_BUF why = {0}, b = {0};
  bool known = to->shape != BT_FLEET_NONE;
  struct ctl_trial t;
  ctl_trial_begin(&t, service->app->control);
  int all, n = ctl_trial_inplace(&t, service, to, &why, &all);
  ctl_trial_end(&t);
  if (!known) { /* its hash, which is part of what it asks for, is not known yet */
    ctl_fleet_forget(to);
    to->shape = BT_FLEET_NONE;
  }
  json_object_del(step, "in_place");
  if (all == 0)
    return;
  if (n == all) {
    bt_buf_addf(&b, "%s; not in place: %s", words, why.data);
  } else {
    bt_buf_addf(&b, "changes in place: %s", words);
    if (n > 0)
      bt_buf_addf(&b, "; %d of %d %s replaced: %s", n, all, n == 1 ? "is" : "are", why.data);
    bt_json_set_bool(step, "in_place", true);
    json_object_del(step, "way");
  }
  if (rest)
    bt_buf_addf(&b, "; %s", rest);
  bt_json_set_str(step, "reason", b.data);
}

void ctl_inplace_plan(json_t *plan, const struct ctl_rev *from, const struct ctl_rev *to) {
  size_t i;
  json_t *step;
  json_array_foreach(plan, i, step) {
    const char *name = bt_json_str(step, "name");
    const struct ctl_service *service = bt_json_str(step, "in_place") ? ctl_service_find(to->app, name) : NULL;
    struct ctl_spec *is = service ? ctl_spec_find(from, name) : NULL, *next = service ? ctl_spec_find(to, name) : NULL;
    if (is && next && !bt_service_is_job(next->service) && !bt_service_is_job(is->service) && ctl_hash_same_frame(is, next))
      say(step, service, next);
    else
      json_object_del(step, "in_place");
    json_object_del(step, "beside");
  }
}
