#include "config.h"

#include "base/plant.h"
#include "control/internal.h"

/* Stored objects come in any order; apps and revisions are needed before instances, so instances wait for the last load: inst_row.c. */

static void load_rollout(struct ctl_service *service, const json_t *o) {
  const json_t *roll = bt_json_obj(o, "rollout");
  bt_rollout_parse(bt_json_str(roll, "state"), &service->roll.state);
  service->roll.batch_open = bt_json_bool(roll, "batch_open", false);
  service->roll.total = (int)bt_json_int(roll, "total", 0);
  service->roll.failed = (int)bt_json_int(roll, "failed", 0);
  const struct bt_control *c = service->app->control;
  service->roll.started_ms = ctl_from_wall(c, ctl_get_time(roll, "started_at"));
  service->roll.batch_ms = ctl_from_wall(c, ctl_get_time(roll, "batch_at"));
  bt_str_set(&service->note, bt_json_str(roll, "message"));
  ctl_way_load(service, roll);
  service->gen = (int)bt_json_int(o, "generation", 0);
  service->moved = bt_json_bool(o, "moved", false);
  ctl_jobs_load(service, bt_json_obj(o, "job"));
  ctl_scaler_load(service, bt_json_obj(o, "autoscale"));
}

static struct ctl_app *app_of(struct bt_control *c, const json_t *o) {
  const char *ns = bt_json_str_or(o, "namespace", "default"), *name = bt_json_str_or(o, "app", "");
  struct ctl_app *app = ctl_app_find(c, ns, name);
  return app ? app : ctl_app_new(c, ns, name);
}

static int load_app(struct bt_control *c, const json_t *o, struct bt_err **err) {
  struct ctl_app *app = app_of(c, o);
  int state = ctl_app_state_of(bt_json_str(o, "state"));
  if (state < 0)
    return bt_err_set(err, BT_INTERNAL, "app %s has an unknown state", app->key);
  app->state = (enum ctl_app_state)state;
  bt_str_set(&app->message, bt_json_str(o, "message"));
  app->stable = (int)bt_json_int(o, "stable", 0);
  app->target_number = (int)bt_json_int(o, "target", 0);
  app->drop_volumes = bt_json_bool(o, "drop_volumes", false);
  app->created_ms = ctl_get_time(o, "created_at");
  app->updated_ms = ctl_get_time(o, "updated_at");
  const char *name;
  json_t *item;
  json_object_foreach(bt_json_obj(o, "services"), name, item) load_rollout(ctl_service_get(app, name), item);
  return 0;
}

static int load_revision(struct bt_control *c, const json_t *o, struct bt_err **err) {
  int number = (int)bt_json_int(o, "revision", 0), state = ctl_rev_state_of(bt_json_str(o, "state"));
  const json_t *model = bt_json_obj(o, "model");
  if (number < 1 || state < 0 || !model)
    return bt_err_set(err, BT_INTERNAL, "a revision is not what control wrote");
  struct ctl_rev *rev = ctl_rev_new(app_of(c, o), number);
  rev->state = (enum ctl_rev_state)state;
  bt_str_set(&rev->reason, bt_json_str(o, "reason"));
  bt_str_set(&rev->actor, bt_json_str(o, "actor"));
  bt_str_set(&rev->message, bt_json_str(o, "message"));
  bt_str_set(&rev->source, bt_json_str(o, "source"));
  bt_str_set(&rev->build, bt_json_str(o, "build"));
  bt_str_set(&rev->cause, bt_json_str(o, "cause"));
  rev->origin = bt_json_obj(o, "origin") ? json_deep_copy(bt_json_obj(o, "origin")) : NULL;
  rev->created_ms = ctl_get_time(o, "created_at");
  rev->finished_ms = ctl_get_time(o, "finished_at");
  rev->rollback_of = (int)bt_json_int(o, "rollback_of", 0);
  rev->automatic = bt_json_bool(o, "automatic", false);
  rev->deployed = bt_json_bool(o, "deployed", false);
  rev->salt = (int)bt_json_int(o, "salt", 0);
  json_t *pins = bt_json_obj(o, "services"), *contents = bt_json_obj(o, "contents");
  rev->pins = pins ? json_deep_copy(pins) : json_object();
  rev->contents = contents ? json_deep_copy(contents) : json_object();
  rev->model_text = bt_json_text(model);
  return 0;
}

static int load_resource(struct bt_control *c, enum ctl_res_kind kind, const json_t *o) {
  struct ctl_res *res = ctl_res_attach(c, kind, bt_json_str_or(o, "namespace", "default"), bt_json_str_or(o, "name", ""));
  bt_str_set(&res->app, bt_json_str(o, "app"));
  ctl_quota_volume(c, res, true);
  bt_str_set(&res->key, bt_json_str(o, "key"));
  bt_str_set(&res->node, bt_json_str(o, "node"));
  bt_str_set(&res->error, bt_json_str(o, "error"));
  res->dropping = bt_streq(bt_json_str(o, "state"), "removing");
  res->stuck = bt_json_bool(o, "stuck", false);
  res->created_ms = ctl_get_time(o, "created_at");
  json_t *spec = bt_json_obj(o, "spec");
  res->spec = spec ? json_deep_copy(spec) : json_object();
  return 0;
}

static int load_node(struct bt_control *c, const char *key, const json_t *o) {
  struct ctl_node *node = ctl_node_get(c, key);
  ctl_node_describe(node, json_deep_copy(o));
  static const char *const own[] = {"node", "status", "message", "cordoned", "lost_at", "drain"};
  node->cordoned = bt_json_bool(o, "cordoned", false);
  node->lost_ms = ctl_get_time(o, "lost_at");
  c->lost += node->lost_ms != 0;
  ctl_vacate_load(c, node, bt_json_obj(o, "drain"));
  for (size_t i = 0; i < BT_COUNT(own); i++)
    json_object_del(node->info, own[i]);
  ctl_fleet_node(c, node);
  return 0;
}

int bt_control_load(struct bt_control *c, const char *kind, const char *key, const char *value, size_t len, struct bt_err **err) {
  if (bt_streq(kind, "server"))
    return 0;
  if (bt_streq(kind, "instance"))
    return ctl_inst_load(c, value, len, err) ? bt_err_wrap(err, "stored %s", kind) : 0;
  BT_AUTO_JSON o = bt_json_parse(value, len, 128u << 20, 0, key, err);
  if (!o)
    return bt_err_wrap(err, "stored %s", kind);
  int rc = 0;
  if (bt_streq(kind, "app"))
    rc = load_app(c, o, err);
  else if (bt_streq(kind, "revision"))
    rc = load_revision(c, o, err);
  else if (bt_streq(kind, "network") || bt_streq(kind, "volume"))
    rc = load_resource(c, bt_streq(kind, "volume") ? CTL_VOLUME : CTL_NETWORK, o);
  else if (bt_streq(kind, "secret") || bt_streq(kind, "config") || bt_streq(kind, "blob"))
    rc = ctl_content_load(c, key, o, err);
  else if (bt_streq(kind, "node"))
    rc = load_node(c, key, o);
  else if (bt_streq(kind, "event"))
    ctl_event_load(c, o, value, len);
  else if (bt_streq(kind, "source"))
    rc = ctl_source_load(c, o, err);
  else if (bt_streq(kind, "kv"))
    bt_map_set(c->kv, key, bt_strdup(bt_json_str_or(o, "data", "")));
  else if (bt_streq(kind, "meta") && bt_streq(key, "zones"))
    ctl_zones_take(c, o);
  else if (bt_streq(kind, "meta"))
    c->instance_seq = BT_PLANT(ID_AGAIN) ? 0 : (uint64_t)bt_json_int(o, "instances", 0);
  return rc;
}

static void load_specs(struct ctl_app *app) {
  BT_AUTO_ERR err = NULL;
  struct ctl_rev *latest = ctl_rev_latest(app);
  app->target = ctl_rev_find(app, app->target_number);
  if (app->target && ctl_rev_load(app->target, &err))
    app->target = NULL;
  if (latest && ctl_rev_load(latest, &err))
    latest->state = CTL_REV_FAILED;
  if (!app->target)
    return;
  ctl_link_specs(app);
}

void bt_control_loaded(struct bt_control *c, uint64_t revision) {
  c->revision = revision;
  c->zones_unsaved = false;
  c->call_seq = revision << 20;
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
    load_specs(it.value);
  ctl_quota_loaded(c);
  ctl_near_loaded(c);
  ctl_insts_loaded(c);
  c->wake_ms = 0;
}
