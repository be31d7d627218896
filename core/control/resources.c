#include "config.h"

#include "base/plant.h"
#include "control/internal.h"

#define FIRST_PAUSE_MS 5000
#define MOST_PAUSE_MS 300000
#define PATIENCE_MS 10000 /* with a network that the engine does not remove, before its app goes without it */

static const char *const kinds[] = {"network", "volume"};
static const char *const model_keys[] = {"networks", "volumes"};

static char *res_key(enum ctl_res_kind kind, const char *ns, const char *name) {
  return bt_asprintf("%s/%s/%s", kinds[kind], ns, name);
}

struct ctl_res *ctl_res_find(const struct bt_control *c, enum ctl_res_kind kind, const char *ns, const char *name) {
  BT_AUTO_FREE char *key = res_key(kind, ns, name);
  return bt_map_get(c->resources, key);
}

struct ctl_res *ctl_res_attach(struct bt_control *c, enum ctl_res_kind kind, const char *ns, const char *name) {
  struct ctl_res *res = bt_new(struct ctl_res);
  res->kind = kind;
  res->ns = bt_strdup(ns);
  res->name = bt_strdup(name);
  res->id = bt_asprintf("%s/%s", ns, name);
  res->created_ms = ctl_wall(c);
  BT_AUTO_FREE char *key = res_key(kind, ns, name);
  bt_map_set(c->resources, key, res);
  return res;
}

void ctl_res_free(void *arg) {
  struct ctl_res *res = arg;
  char **strings[] = {&res->ns, &res->app, &res->key, &res->name, &res->id, &res->error, &res->node};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    free(*strings[i]);
  json_decref(res->spec);
  free(res);
}

static void save(struct bt_control *c, struct ctl_res *res) {
  ctl_put(c, kinds[res->kind], res->id, ctl_res_json(res));
}

static void forget(struct bt_control *c, struct ctl_res *res) {
  ctl_quota_volume(c, res, false);
  ctl_near_forget(c, res);
  ctl_del(c, kinds[res->kind], res->id);
  BT_AUTO_FREE char *key = res_key(res->kind, res->ns, res->name);
  bt_map_del(c->resources, key);
}

static void send_drop(struct bt_control *c, struct ctl_res *res, const char *node) {
  json_t *m = json_object();
  res->retry_ms = INT64_MAX;
  bt_json_set_str(m, "type", res->kind == CTL_NETWORK ? "network_drop" : "volume_drop");
  bt_json_set_str(m, "name", res->name);
  if (node)
    ctl_send(c, node, m);
  else
    ctl_broadcast(c, m);
}

static void drop(struct bt_control *c, struct ctl_res *res) {
  if (res->dropping)
    return;
  res->dropping = true;
  res->dropping_ms = c->now_ms;
  res->drops = 0;
  bt_str_set(&res->error, NULL);
  save(c, res);
  send_drop(c, res, NULL);
}

/* Says once that a network does not go. Its app need not wait for it. */
static void tell_stuck(struct bt_control *c, struct ctl_res *res) {
  struct ctl_app *app = res->app ? ctl_app_find(c, res->ns, res->app) : NULL;
  res->stuck = true;
  save(c, res);
  ctl_event(c, "warning", "network.stuck", res->ns, res->app, res->name, NULL,
            "%s: the container engine does not remove it, which is tried again from time to time; where no container is attached to it, restart the engine: %s",
            res->name, res->error);
  if (app)
    ctl_dirty(app);
}

void ctl_res_retry(struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);) {
    struct ctl_res *res = it.value;
    if (!res->dropping || !res->error)
      continue;
    if (!res->dropping_ms) /* of before a start */
      res->dropping_ms = c->now_ms;
    int64_t patience_ms = res->dropping_ms + PATIENCE_MS;
    if (res->kind == CTL_NETWORK && !res->stuck && patience_ms <= c->now_ms)
      tell_stuck(c, res);
    if (res->retry_ms <= c->now_ms)
      send_drop(c, res, NULL);
    c->wake_ms = BT_MIN(c->wake_ms, res->retry_ms);
    if (res->kind == CTL_NETWORK && !res->stuck)
      c->wake_ms = BT_MIN(c->wake_ms, patience_ms);
  }
}

/* A removal failed: the pause before the next one doubles. */
static void drop_failed(struct bt_control *c, struct ctl_res *res, const char *error) {
  bool said = bt_streq(res->error, error);
  int64_t pause_ms = (int64_t)FIRST_PAUSE_MS << BT_MIN(res->drops, 10);
  res->drops++;
  res->retry_ms = c->now_ms + BT_MIN(pause_ms, MOST_PAUSE_MS);
  bt_str_set(&res->error, error);
  if (!said)
    save(c, res);
  c->wake_ms = c->now_ms; /* ctl_res_retry finds the time */
}

void ctl_res_send_drops(struct bt_control *c, const char *node) {
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);)
    if (((struct ctl_res *)it.value)->dropping)
      send_drop(c, it.value, node);
}

json_t *ctl_res_labels(const struct ctl_res *res) {
  json_t *labels = json_object(), *own = bt_json_obj(res->spec, "labels");
  if (own)
    json_object_update(labels, own);
  bt_json_set_str(labels, "berth.namespace", res->ns);
  bt_json_set_str(labels, "berth.app", res->app);
  bt_json_set_str(labels, res->kind == CTL_NETWORK ? "berth.network" : "berth.volume", res->key);
  return labels;
}

/* Without what is of Berth's own making: the name and whether it is external. */
static json_t *spec_of(const struct ctl_rev *rev, enum ctl_res_kind kind, const char *key) {
  json_t *item = bt_json_obj(bt_json_obj(rev->model, model_keys[kind]), key);
  json_t *spec = item ? json_deep_copy(item) : json_object();
  json_object_del(spec, "name");
  json_object_del(spec, "external");
  return spec;
}

static void ensure_one(struct ctl_app *app, enum ctl_res_kind kind, const char *key) {
  struct bt_control *c = app->control;
  bool external;
  BT_AUTO_FREE char *name =
      kind == CTL_NETWORK ? ctl_network_name(app->target, key, &external) : ctl_volume_name(app->target, key, &external);
  if (external)
    return;
  struct ctl_res *res = ctl_res_find(c, kind, app->ns, name);
  if (res && !res->dropping && bt_streq(res->app, app->name))
    return;
  if (!res)
    res = ctl_res_attach(c, kind, app->ns, name);
  ctl_quota_volume(c, res, false);
  bt_str_set(&res->app, app->name);
  ctl_quota_volume(c, res, true);
  bt_str_set(&res->key, key);
  bt_str_set(&res->error, NULL);
  json_decref(res->spec);
  res->spec = spec_of(app->target, kind, key);
  res->dropping = res->stuck = false;
  save(c, res);
  ctl_broadcast(c, ctl_res_message(res));
}

void ctl_res_ensure(struct ctl_app *app) {
  for (int kind = CTL_NETWORK; kind <= CTL_VOLUME; kind++) {
    const char *key;
    json_t *item;
    json_object_foreach(bt_json_obj(app->target->model, model_keys[kind]), key, item) {
      (void)item;
      ensure_one(app, (enum ctl_res_kind)kind, key);
    }
  }
}

/* Whether an instance that is still there, or the target, uses it. */
static bool used_by_spec(const struct ctl_spec *spec, const struct ctl_res *res) {
  if (res->kind == CTL_NETWORK) {
    bt_vec_each(&spec->service->networks, use) if (bt_streq(use->network, res->key)) return true;
    return false;
  }
  bt_vec_each(&spec->service->volumes, use) if (bt_streq(use->type, "volume") && bt_streq(use->source, res->key)) return true;
  return false;
}

bool ctl_res_used(const struct ctl_inst *inst, const struct ctl_res *res) { return used_by_spec(inst->spec, res); }

static const char *user_of(const struct bt_control *c, const struct ctl_res *res) {
  const struct ctl_app *app = res->app ? ctl_app_find(c, res->ns, res->app) : NULL;
  if (!app || BT_PLANT(NETWORK_GONE))
    return NULL;
  bool target = app->state != CTL_APP_REMOVING && app->target &&
                bt_json_obj(bt_json_obj(app->target->model, model_keys[res->kind]), res->key);
  if (target)
    return app->name;
  bt_vec_each(&app->services, service) bt_vec_each(&(*service)->insts, inst) if (used_by_spec((*inst)->spec, res)) return (*inst)->id;
  return NULL;
}

void ctl_res_collect(struct ctl_app *app) {
  struct bt_control *c = app->control;
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);) {
    struct ctl_res *res = it.value;
    if (res->kind != CTL_NETWORK || !bt_streq(res->app, app->name) || !bt_streq(res->ns, app->ns))
      continue;
    if (!user_of(c, res))
      drop(c, res);
  }
}

bool ctl_res_drop_all(struct ctl_app *app, const char **error) {
  struct bt_control *c = app->control;
  bool done = true;
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);) {
    struct ctl_res *res = it.value;
    if (!bt_streq(res->app, app->name) || !bt_streq(res->ns, app->ns))
      continue;
    if (res->kind == CTL_VOLUME && !app->drop_volumes)
      continue;
    drop(c, res);
    if (res->stuck)
      continue;
    if (res->error)
      *error = res->error;
    done = false;
  }
  return done;
}

void ctl_res_dropped(struct bt_control *c, const json_t *m) {
  const char *kind = bt_json_str(m, "kind"), *name = bt_json_str(m, "name"), *error = bt_json_str(m, "error");
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);) {
    struct ctl_res *res = it.value;
    if (!bt_streq(kinds[res->kind], kind) || !bt_streq(res->name, name))
      continue;
    struct ctl_app *app = res->app ? ctl_app_find(c, res->ns, res->app) : NULL;
    if (app)
      ctl_dirty(app);
    if (!res->dropping) { /* wanted again before the node was through with it */
      ctl_broadcast(c, ctl_res_message(res));
    } else if (error) {
      drop_failed(c, res, error);
    } else {
      forget(c, res);
    }
    return;
  }
}

/* What a change would need another network or volume for; labels do not. */
static bool same_spec(const json_t *a, const json_t *b) {
  BT_AUTO_JSON x = json_deep_copy(a);
  BT_AUTO_JSON y = json_deep_copy(b);
  json_object_del(x, "labels");
  json_object_del(y, "labels");
  return bt_json_equal(x, y);
}

static int check_one(const struct ctl_rev *rev, enum ctl_res_kind kind, const char *key, struct bt_err **err) {
  bool external;
  BT_AUTO_FREE char *name = kind == CTL_NETWORK ? ctl_network_name(rev, key, &external) : ctl_volume_name(rev, key, &external);
  const struct ctl_res *res = external ? NULL : ctl_res_find(rev->app->control, kind, rev->app->ns, name);
  if (!res)
    return 0;
  if (res->app && !bt_streq(res->app, rev->app->name) && ctl_app_find(rev->app->control, res->ns, res->app))
    return bt_err_set(err, BT_CONFLICT, "%s %s belongs to app %s; to share it, say external: true", kinds[kind], name, res->app);
  BT_AUTO_JSON spec = spec_of(rev, kind, key);
  if (!res->dropping && !same_spec(spec, res->spec))
    return bt_err_set(err, BT_CONFLICT, "%s %s exists with other settings, which cannot be changed in place; give it another name, or remove it first (berth down%s)",
                      kinds[kind], name, kind == CTL_VOLUME ? " --volumes" : "");
  return 0;
}

int ctl_res_check(const struct ctl_rev *rev, struct bt_err **err) {
  for (int kind = CTL_NETWORK; kind <= CTL_VOLUME; kind++) {
    const char *key;
    json_t *item;
    json_object_foreach(bt_json_obj(rev->model, model_keys[kind]), key, item) {
      (void)item;
      if (check_one(rev, (enum ctl_res_kind)kind, key, err))
        return -1;
    }
  }
  return 0;
}

void ctl_res_request(struct bt_control *c, const struct bt_request *request, enum ctl_res_kind kind) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *name = bt_json_str_or(request->args, "name", "");
  struct ctl_res *res = ctl_res_find(c, kind, ns, name);
  if (!res) {
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no %s %s in namespace %s; see: berth %s ls", kinds[kind], name, ns, kinds[kind]);
    return;
  }
  const char *user = user_of(c, res);
  if (user) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "%s %s is in use by %s: take it out of the file and deploy that, or \"berth down\" the app",
                  kinds[kind], name, user);
    return;
  }
  if (!request->dry_run) {
    drop(c, res);
    if (res->error && res->retry_ms != INT64_MAX)
      send_drop(c, res, NULL); /* a person asks: no pause */
  }
  ctl_reply(c, request->id, json_object());
}
