#include "config.h"

#include "base/clock.h"
#include "control/internal.h"

static const char *const app_states[] = {"deploying", "running", "degraded", "failed", "rolling-back", "removing"};
static const char *const rev_states[] = {"resolving", "rolling-out", "deployed", "failed", "superseded"};
static const char *const healths[] = {"", "starting", "healthy", "unhealthy"};

const char *ctl_app_state_name(enum ctl_app_state state) { return app_states[state]; }

const char *ctl_rev_state_name(enum ctl_rev_state state) { return rev_states[state]; }

const char *ctl_health_name(int health) { return healths[health]; }

static int index_of(const char *const *names, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (bt_streq(names[i], name))
      return (int)i;
  return -1;
}

int ctl_app_state_of(const char *name) { return index_of(app_states, BT_COUNT(app_states), name); }

int ctl_rev_state_of(const char *name) { return index_of(rev_states, BT_COUNT(rev_states), name); }

int ctl_health_of(const char *name) { return BT_MAX(0, index_of(healths, BT_COUNT(healths), name)); }

void ctl_set_time(json_t *obj, const char *key, int64_t ms) {
  char buf[32];
  json_object_set_new(obj, key, ms ? json_string(bt_clock_format(ms, buf)) : json_null());
}

int64_t ctl_get_time(const json_t *obj, const char *key) {
  int64_t ms = 0;
  const char *text = bt_json_str(obj, key);
  return text && bt_clock_parse(text, &ms) ? ms : 0;
}

int64_t ctl_to_wall(const struct bt_control *c, int64_t own_ms) { return own_ms ? own_ms + c->skew_ms : 0; }

int64_t ctl_from_wall(const struct bt_control *c, int64_t wall_ms) { return wall_ms ? wall_ms - c->skew_ms : 0; }

int64_t ctl_wall(const struct bt_control *c) { return c->now_ms + c->skew_ms; }

static void set_or_null(json_t *obj, const char *key, const char *text) {
  bt_json_set(obj, key, text ? bt_json_string(text) : json_null());
}

/* Flags that are rarely set: left out where false. */
static void set_flag(json_t *obj, const char *key, bool on) {
  if (on)
    bt_json_set_bool(obj, key, true);
}

static json_t *roll_json(const struct ctl_service *service) {
  const struct bt_rollout *roll = &service->roll;
  json_t *o = json_object();
  bt_json_set_str(o, "state", bt_rollout_name(roll->state));
  set_flag(o, "batch_open", roll->batch_open);
  bt_json_set_int(o, "total", roll->total);
  bt_json_set_int(o, "failed", roll->failed);
  ctl_set_time(o, "started_at", ctl_to_wall(service->app->control, roll->started_ms));
  ctl_set_time(o, "batch_at", ctl_to_wall(service->app->control, roll->batch_ms));
  set_or_null(o, "message", service->note);
  ctl_way_json(service, o);
  return o;
}

json_t *ctl_service_roll_json(const struct ctl_service *service) {
  json_t *o = json_object();
  bt_json_set(o, "rollout", roll_json(service));
  bt_json_set_int(o, "generation", service->gen);
  set_flag(o, "moved", service->moved);
  if (service->scaler)
    bt_json_set(o, "autoscale", ctl_scaler_json(service));
  if (service->jobs)
    bt_json_set(o, "job", ctl_jobs_json(service));
  return o;
}

json_t *ctl_app_json(const struct ctl_app *app) {
  json_t *o = json_object(), *services = json_object();
  bt_json_set_str(o, "namespace", app->ns);
  bt_json_set_str(o, "app", app->name);
  bt_json_set_str(o, "state", app_states[app->state]);
  set_or_null(o, "message", app->message);
  const struct ctl_rev *latest = ctl_rev_latest(app);
  bt_json_set_int(o, "revision", latest ? latest->number : 0);
  bt_json_set_int(o, "target", app->target ? app->target->number : 0);
  bt_json_set_int(o, "stable", app->stable);
  ctl_set_time(o, "created_at", app->created_ms);
  ctl_set_time(o, "updated_at", app->updated_ms);
  set_flag(o, "drop_volumes", app->drop_volumes);
  bt_vec_each(&app->services, service) bt_json_set(services, (*service)->name, ctl_service_roll_json(*service));
  bt_json_set(o, "services", services);
  return o;
}

static json_t *rev_head(const struct ctl_rev *rev) {
  json_t *o = json_object();
  bt_json_set_str(o, "namespace", rev->app->ns);
  bt_json_set_str(o, "app", rev->app->name);
  bt_json_set_int(o, "revision", rev->number);
  bt_json_set_str(o, "state", rev_states[rev->state]);
  set_or_null(o, "reason", rev->reason);
  set_or_null(o, "actor", rev->actor);
  set_or_null(o, "message", rev->message);
  set_or_null(o, "source", rev->source);
  ctl_set_time(o, "created_at", rev->created_ms);
  ctl_set_time(o, "finished_at", rev->finished_ms);
  if (rev->rollback_of)
    bt_json_set_int(o, "rollback_of", rev->rollback_of);
  set_flag(o, "automatic", rev->automatic);
  set_flag(o, "deployed", rev->deployed);
  bt_json_set_str(o, "cause", rev->cause);
  if (rev->origin)
    bt_json_set(o, "origin", json_incref(rev->origin));
  if (rev->salt)
    bt_json_set_int(o, "salt", rev->salt);
  bt_json_set_str(o, "build", rev->build);
  bt_json_set(o, "services", json_incref(rev->pins));
  bt_json_set(o, "contents", json_incref(rev->contents));
  return o;
}

json_t *ctl_rev_json(const struct ctl_rev *rev) {
  json_t *o = rev_head(rev);
  BT_AUTO_ERR err = NULL;
  json_t *model = rev->model ? json_incref(rev->model) : bt_json_parse(rev->model_text, strlen(rev->model_text), 0, 0, "model", &err);
  bt_json_set(o, "model", model ? model : json_null());
  return o;
}

char *ctl_rev_text(const struct ctl_rev *rev) {
  BT_AUTO_JSON head = rev_head(rev);
  BT_AUTO_FREE char *text = bt_json_text(head);
  BT_AUTO_BUF out = {0};
  bt_buf_add(&out, text, strlen(text) - 1); /* without its last brace */
  bt_buf_adds(&out, ",\"model\":");
  bt_buf_adds(&out, rev->model_text);
  bt_buf_addc(&out, '}');
  return bt_buf_steal(&out);
}

json_t *ctl_res_json(const struct ctl_res *res) {
  json_t *o = json_object();
  bt_json_set_str(o, "namespace", res->ns);
  bt_json_set_str(o, "name", res->name);
  set_or_null(o, "app", res->app);
  set_or_null(o, "key", res->key);
  bt_json_set_str(o, "state", res->dropping ? "removing" : "present");
  bt_json_set_str(o, "driver", bt_json_str_or(res->spec, "driver", res->kind == CTL_VOLUME ? "local" : "bridge"));
  if (res->node)
    bt_json_set_str(o, "node", res->node);
  set_flag(o, "stuck", res->stuck);
  set_or_null(o, "error", res->error);
  ctl_set_time(o, "created_at", res->created_ms);
  bt_json_set(o, "spec", json_incref(res->spec));
  return o;
}

static const char *node_status(const struct ctl_node *node) {
  if (!node->connected)
    return node->lost_ms ? "lost" : "disconnected";
  if (!node->ready)
    return "unavailable";
  if (node->vacate)
    return node->vacate->done ? "drained" : "draining";
  return node->cordoned ? "cordoned" : "ready";
}

json_t *ctl_node_json(const struct bt_control *c, const struct ctl_node *node) {
  json_t *o = json_copy(node->info);
  bt_json_set_str(o, "node", node->name);
  bt_json_set_str(o, "status", node_status(node));
  if (node->lost_ms)
    ctl_set_time(o, "lost_at", node->lost_ms);
  if (node->vacate)
    bt_json_set(o, "drain", ctl_vacate_json(c, node));
  bt_json_set_bool(o, "cordoned", node->cordoned);
  set_or_null(o, "message", node->message);
  return o;
}
