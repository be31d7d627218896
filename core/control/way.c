/* Ways of rollouts beside rolling: what is asked for, stored, shown, and told to routes. The way itself is plan/rollout_way.c. */
#include "config.h"

#include "control/internal.h"

const struct bt_way *ctl_way(const struct ctl_service *service) {
  const struct ctl_spec *spec = service->spec;
  return spec && !spec->rev->rollback_of && spec->service->way.kind != BT_WAY_ROLLING ? &spec->service->way : NULL;
}

bool ctl_way_old(const struct ctl_inst *inst) { return inst->service->roll.split && !ctl_inst_current(inst); }

bool ctl_way_aborted(const struct ctl_app *app) {
  bt_vec_each(&app->services, service) if ((*service)->roll.abort && (*service)->roll.state == BT_RO_ROLLBACK) return true;
  return false;
}

static int fresh(const struct ctl_service *service) {
  int n = 0;
  bt_vec_each(&service->insts, inst) n += !(*inst)->leaving && ctl_inst_current(*inst);
  return n;
}

char *ctl_way_words(const struct ctl_service *service, int64_t now_ms) {
  return service->spec ? bt_rollout_words(ctl_way(service), &service->roll, ctl_wanted(service), fresh(service), now_ms) : NULL;
}

void ctl_way_noted(struct ctl_service *service, const struct bt_rollout *before) {
  struct ctl_app *app = service->app;
  const struct bt_rollout *now = &service->roll;
  if (before->split != now->split || (now->split && before->weight != now->weight))
    ctl_routes_changed(app);
  if (now->state != BT_RO_UPDATING || !ctl_way(service) || (before->step == now->step && before->step_ms == now->step_ms))
    return;
  BT_AUTO_FREE char *words = ctl_way_words(service, app->control->now_ms);
  if (words && now->step_ms)
    ctl_event(app->control, "info", "rollout.step", app->ns, app->name, service->name, NULL, "%s: %s: %s", app->name, service->name, words);
}

void ctl_way_left(struct ctl_service *service, const struct ctl_spec *next) {
  const struct bt_rollout *roll = &service->roll;
  if (!roll->split || roll->step == 0 || !ctl_way(service) || ctl_way(service)->kind != BT_WAY_BLUE_GREEN)
    return;
  for (size_t i = service->insts.len; i-- > 0;) {
    struct ctl_inst *inst = service->insts.items[i];
    if (!ctl_inst_current(inst) && !bt_streq(inst->spec->hash, next->hash))
      ctl_release(inst, "a newer revision came after the switch");
  }
}

/* ---- forms ---- */

void ctl_way_json(const struct ctl_service *service, json_t *o) {
  const struct bt_control *c = service->app->control;
  const struct bt_rollout *roll = &service->roll;
  const struct bt_way *way = ctl_way(service);
  if (way) {
    bt_json_set_str(o, "strategy", bt_way_name(way->kind));
    bt_json_set_int(o, "step", roll->step);
    bt_json_set_int(o, "steps", (long long)way->steps.len);
  }
  if (roll->step_ms)
    ctl_set_time(o, "step_at", ctl_to_wall(c, roll->step_ms));
  if (roll->split)
    bt_json_set_int(o, "weight", roll->weight);
  const struct {
    const char *key;
    bool set;
  } wishes[] = {{"held", roll->held}, {"go", roll->go}, {"abort", roll->abort}};
  for (size_t i = 0; i < BT_COUNT(wishes); i++)
    if (wishes[i].set)
      bt_json_set_bool(o, wishes[i].key, true);
}

void ctl_way_load(struct ctl_service *service, const json_t *o) {
  struct bt_rollout *roll = &service->roll;
  roll->step = (int)bt_json_int(o, "step", 0);
  roll->step_ms = ctl_from_wall(service->app->control, ctl_get_time(o, "step_at"));
  roll->split = json_is_integer(json_object_get(o, "weight"));
  roll->weight = (int)bt_json_int(o, "weight", 0);
  roll->held = bt_json_bool(o, "held", false);
  roll->go = bt_json_bool(o, "go", false);
  roll->abort = bt_json_bool(o, "abort", false);
}

/* ---- what somebody asks for ---- */

static bool read_wish(const char *text, enum bt_rollout_wish *out) {
  static const char *const names[] = {"pause", "promote", "abort"};
  for (size_t i = 0; i < BT_COUNT(names); i++)
    if (bt_streq(text, names[i])) {
      *out = (enum bt_rollout_wish)i;
      return true;
    }
  return false;
}

static void wish(struct ctl_service *service, enum bt_rollout_wish wish, const char *actor) {
  static const char *const did[] = {"holds", "promotes", "aborts"};
  struct ctl_app *app = service->app;
  bt_rollout_wish(&service->roll, wish);
  BT_AUTO_FREE char *note = bt_asprintf("%s %s the update of %s", actor, did[wish], service->name);
  if (wish == BT_WISH_ABORT)
    bt_str_set(&service->note, note);
  else
    ctl_event(app->control, "info", wish == BT_WISH_PAUSE ? "rollout.held" : "rollout.promoted", app->ns, app->name, service->name, NULL, "%s: %s", app->name,
              note);
}

/* Whether the app goes back by itself already, or is about to; doing so a second time would take back the going back. */
static bool goes_back(const struct ctl_app *app) {
  const struct ctl_rev *latest = ctl_rev_latest(app);
  bt_vec_each(&app->services, service) if ((*service)->spec && (*service)->roll.abort && (*service)->roll.state == BT_RO_UPDATING) return true;
  return latest && latest->automatic && latest->rollback_of && (latest->state == CTL_REV_RESOLVING || latest->state == CTL_REV_ROLLING);
}

/* The wish becomes that of each service that is being updated; their names, a new reference. */
static json_t *wish_all(struct ctl_app *app, const char *only, enum bt_rollout_wish what, const struct bt_request *request) {
  json_t *services = json_array();
  bt_vec_each(&app->services, s) {
    struct ctl_service *service = *s;
    if (!service->spec || service->roll.state != BT_RO_UPDATING || (only && !bt_streq(only, service->name)))
      continue;
    json_array_append_new(services, bt_json_string(service->name));
    if (!request->dry_run)
      wish(service, what, request->actor);
  }
  return services;
}

void ctl_way_ask(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *name = bt_json_str_or(request->args, "app", "");
  const char *only = bt_json_str(request->args, "service"), *action = bt_json_str_or(request->args, "action", "");
  struct ctl_app *app = ctl_app_find(c, ns, name);
  enum bt_rollout_wish what;
  if (!read_wish(action, &what)) {
    ctl_reply_err(c, request->id, BT_INVALID, "an update can be paused, promoted or aborted; \"%.60s\" is none of pause, promote, abort", action);
    return;
  }
  if (!app || (only && !ctl_service_find(app, only))) {
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no %s%s%s in namespace %s; see: berth ls", name, only ? "/" : "", only ? only : "", ns);
    return;
  }
  if (what == BT_WISH_ABORT && goes_back(app)) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "%s goes back already; nothing was changed; see: berth why %s", name, name);
    return;
  }
  json_t *services = wish_all(app, only, what, request);
  if (!json_array_size(services)) {
    json_decref(services);
    ctl_reply_err(c, request->id, BT_CONFLICT, "nothing of %s%s%s is being updated; see: berth why %s", name, only ? "/" : "", only ? only : "", name);
    return;
  }
  if (!request->dry_run) {
    ctl_touch_app(app);
    ctl_dirty(app);
    app->looked_ms = 0;
  }
  json_t *result = json_object();
  bt_json_set_str(result, "app", app->name);
  bt_json_set_str(result, "action", action);
  bt_json_set(result, "services", services);
  ctl_reply(c, request->id, result);
}
