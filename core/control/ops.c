#include "config.h"

#include "base/plant.h"
#include "control/internal.h"

void ctl_reply(struct bt_control *c, uint64_t request, json_t *result_steal) {
  bt_vec_push(&c->fx->replies, ((struct bt_reply){.request = request, .code = BT_OK, .result = result_steal}));
}

void ctl_reply_err(struct bt_control *c, uint64_t request, enum bt_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  bt_vec_push(&c->fx->replies, ((struct bt_reply){.request = request, .code = code, .message = bt_vasprintf(fmt, ap)}));
  va_end(ap);
}

void ctl_set_state(struct ctl_app *app, enum ctl_app_state state, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *message = bt_vasprintf(fmt, ap);
  va_end(ap);
  if (app->state == state && bt_streq(app->message, message))
    return;
  bool moved = app->state != state;
  app->state = state;
  bt_str_set(&app->message, message);
  ctl_touch_app(app);
  if (!moved)
    return;
  BT_AUTO_FREE char *type = bt_asprintf("app.%s", ctl_app_state_name(state));
  bool bad = state == CTL_APP_FAILED || state == CTL_APP_DEGRADED;
  ctl_event(app->control, bad ? "error" : "info", type, app->ns, app->name, app->name, NULL, "%s is %s: %s", app->name, ctl_app_state_name(state),
            message);
}

static struct ctl_app *find_app(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *name = bt_json_str_or(request->args, "app", "");
  struct ctl_app *app = ctl_app_find(c, ns, name);
  if (!app)
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no app %s in namespace %s; see: berth ls", name, ns);
  return app;
}

/* ---- restart ---- */

static bool restart_service(struct bt_control *c, struct ctl_app *app, const char *name, const struct bt_request *request) {
  struct ctl_service *service = ctl_service_find(app, name);
  if (!service || !service->spec) {
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "app %s has no service %s", app->name, name);
    return false;
  }
  if (service->spec->recurs) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "service %s is a job that runs when it is due; to run it now: berth job run %s/%s", name, app->name, name);
    return false;
  }
  return true;
}

static void bump(struct ctl_service *service) {
  service->gen++;
  if (service->roll.state == BT_RO_PAUSED || service->roll.state == BT_RO_FAILED)
    service->roll = (struct bt_rollout){.state = BT_RO_START};
}

static void restart_app(struct bt_control *c, const struct bt_request *request) {
  struct ctl_app *app = find_app(c, request);
  json_t *names = bt_json_arr(request->args, "services"), *restarted = json_array();
  size_t i;
  json_t *item;
  if (app && (app->state == CTL_APP_REMOVING || !app->target)) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "app %s is %s", app->name, ctl_app_state_name(app->state));
    app = NULL;
  }
  bool fine = app != NULL;
  json_array_foreach(names, i, item) fine = fine && restart_service(c, app, json_is_string(item) ? json_string_value(item) : "", request);
  if (!fine) {
    json_decref(restarted);
    return;
  }
  bt_vec_each(&app->services, s) {
    bool chosen = !names && (*s)->spec && !(*s)->spec->recurs;
    json_array_foreach(names, i, item) chosen = chosen || bt_streq(json_string_value(item), (*s)->name);
    if (!chosen)
      continue;
    json_array_append_new(restarted, json_string((*s)->name));
    if (!request->dry_run || BT_PLANT(DRY_RUN_ACTS))
      bump(*s);
  }
  if (!request->dry_run) {
    ctl_touch_app(app);
    ctl_dirty(app);
    app->looked_ms = 0;
    ctl_event(c, "info", "app.restart", app->ns, app->name, app->name, NULL, "%s restarts %s%s", request->actor, app->name,
              names ? " in part" : "");
  }
  json_t *result = json_object();
  bt_json_set_str(result, "app", app->name);
  bt_json_set(result, "services", restarted);
  ctl_reply(c, request->id, result);
}

static void restart_instance(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *id = bt_json_str_or(request->args, "instance", "");
  struct ctl_inst *inst = ctl_inst_find(c, id);
  if (!inst || !bt_streq(inst->service->app->ns, ns)) {
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no instance %s in namespace %s", id, ns);
    return;
  }
  if (inst->leaving || !inst->node) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "instance %s is %s", id, inst->leaving ? "leaving" : "not on a node yet");
    return;
  }
  if (inst->ended && bt_service_is_job(inst->spec->service)) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "instance %s is an attempt of a job that has ended; to run the job again: berth job run %s/%s", id,
                  inst->service->app->name, inst->service->name);
    return;
  }
  if (!request->dry_run) {
    int gen = inst->gen;
    ctl_restart_inst(inst, "a restart was asked for");
    inst->gen = gen;
    ctl_dirty(inst->service->app);
    ctl_event(c, "info", "instance.restart", ns, inst->service->app->name, id, NULL, "%s restarts %s", request->actor, id);
  }
  json_t *result = json_object();
  bt_json_set_str(result, "instance", id);
  ctl_reply(c, request->id, result);
}

/* ---- remove ---- */

static void remove_app(struct bt_control *c, const struct bt_request *request) {
  struct ctl_app *app = find_app(c, request);
  if (!app)
    return;
  json_t *result = json_object();
  bt_json_set_str(result, "app", app->name);
  if (!request->dry_run) {
    ctl_source_forget(c, app->ns, app->name, request->actor);
    app->drop_volumes = app->drop_volumes || bt_json_bool(request->args, "volumes", false);
    ctl_calls_drop(c, app);
    ctl_set_state(app, CTL_APP_REMOVING, "%s removes it", request->actor);
    ctl_touch_app(app);
    ctl_dirty(app);
    app->looked_ms = 0;
  }
  ctl_reply(c, request->id, result);
}

static void add_event(struct bt_control *c, const struct bt_request *request) {
  static const char *const keys[] = {"type", "severity", "namespace", "app", "subject", "message", "data"};
  json_t *event = json_object();
  for (size_t i = 0; i < BT_COUNT(keys); i++) {
    json_t *value = json_object_get(request->args, keys[i]);
    if (value && !json_is_null(value))
      bt_json_set(event, keys[i], json_deep_copy(value));
  }
  ctl_event_add(c, event);
  ctl_reply(c, request->id, json_object());
}

static void delete_volume(struct bt_control *c, const struct bt_request *request) { ctl_res_request(c, request, CTL_VOLUME); }

static void delete_network(struct bt_control *c, const struct bt_request *request) { ctl_res_request(c, request, CTL_NETWORK); }

void ctl_request(struct bt_control *c, const struct bt_request *request) {
  static const struct {
    const char *op;
    void (*run)(struct bt_control *c, const struct bt_request *request);
  } ops[] = {
      {"app.apply", ctl_apply},          {"app.rollback", ctl_rollback},   {"app.scale", ctl_scale},           {"app.resources", ctl_apply_resources},
      {"app.restart", restart_app},      {"app.rollout", ctl_way_ask},      {"app.remove", remove_app},       {"instance.restart", restart_instance},
      {"secret.put", ctl_secret_put},    {"secret.delete", ctl_secret_delete}, {"volume.delete", delete_volume},
      {"source.put", ctl_source_put},    {"source.delete", ctl_source_delete}, {"source.sync", ctl_source_sync},
      {"source.push", ctl_source_push},  {"app.update", ctl_apply_update},  {"image.pushed", ctl_image_pushed},
      {"network.delete", delete_network}, {"event.add", add_event},        {"kv.put", ctl_kv_put},
      {"lb.report", ctl_lb_report},      {"job.run", ctl_job_run},          {"zones.put", ctl_zones_put},
      {"node.cordon", ctl_node_cordon},  {"node.drain", ctl_node_drain},  {"settings.put", ctl_settings_put},
      {"simulate", ctl_simulate},
      {"policy.changed", ctl_judge_changed},
  };
  c->requests++;
  for (size_t i = 0; i < BT_COUNT(ops); i++)
    if (bt_streq(request->op, ops[i].op)) {
      ops[i].run(c, request);
      return;
    }
  ctl_reply_err(c, request->id, BT_UNSUPPORTED, "control knows no operation %s", request->op);
}
