#include "config.h"

#include "control/internal.h"
#include "plan/deps.h"

struct ctl_rev *ctl_rev_find(const struct ctl_app *app, int number) {
  bt_vec_each(&app->revs, rev) if ((*rev)->number == number) return *rev;
  return NULL;
}

struct ctl_rev *ctl_rev_latest(const struct ctl_app *app) { return app->revs.len ? app->revs.items[app->revs.len - 1] : NULL; }

/* Keeps them rising: stored ones come in any order. */
struct ctl_rev *ctl_rev_new(struct ctl_app *app, int number) {
  struct ctl_rev *rev = bt_new(struct ctl_rev);
  rev->app = app;
  rev->number = number;
  rev->created_ms = ctl_wall(app->control);
  bt_vec_push(&app->revs, rev);
  for (size_t i = app->revs.len - 1; i > 0 && app->revs.items[i - 1]->number > number; i--) {
    app->revs.items[i] = app->revs.items[i - 1];
    app->revs.items[i - 1] = rev;
  }
  return rev;
}

static void spec_free(struct ctl_spec *spec) {
  if (!spec)
    return;
  bt_service_free(&spec->service);
  char **strings[] = {&spec->image, &spec->pinned, &spec->digest, &spec->source, &spec->pull, &spec->hash};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    free(*strings[i]);
  json_decref(spec->cls);
  free(spec);
}

static void unload(struct ctl_rev *rev) {
  bt_vec_each(&rev->specs, spec) spec_free(*spec);
  bt_vec_free(&rev->specs);
  json_decref(rev->model);
  rev->model = NULL;
}

void ctl_rev_free(struct ctl_rev *rev) {
  unload(rev);
  char **strings[] = {&rev->actor, &rev->message, &rev->reason, &rev->source, &rev->model_text, &rev->build, &rev->cause};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    free(*strings[i]);
  json_decref(rev->contents);
  json_decref(rev->origin);
  json_decref(rev->pins);
  free(rev);
}

/* What was pinned before comes back from the stored form. */
static struct ctl_spec *spec_new(struct ctl_rev *rev, struct bt_service *service) {
  struct ctl_spec *spec = bt_new(struct ctl_spec);
  spec->rev = rev;
  spec->service = service;
  spec->image = service->image ? bt_strdup(service->image) : bt_asprintf("%s-%s", rev->app->name, service->name);
  const json_t *pin = bt_json_obj(rev->pins, service->name);
  if (pin && bt_json_str(pin, "pinned")) {
    spec->pinned = bt_strdup(bt_json_str(pin, "pinned"));
    spec->digest = bt_strdup(bt_json_str(pin, "digest"));
    spec->source = bt_strdup(bt_json_str(pin, "source"));
    spec->pull = bt_strdup(bt_json_str(pin, "pull"));
    spec->hash = bt_strdup(bt_json_str(pin, "hash"));
    spec->resolved_ms = ctl_get_time(pin, "resolved_at");
  }
  return spec;
}

struct services {
  BT_VEC(struct bt_service *) v;
};

static int parse_services(const json_t *model, struct services *out, struct bt_err **err) {
  const char *name;
  json_t *item;
  json_object_foreach(bt_json_obj(model, "services"), name, item) {
    struct bt_service *service = NULL;
    if (bt_service_parse(name, item, &service, err))
      return -1;
    bt_vec_push(&out->v, service);
  }
  return 0;
}

static int order_specs(struct ctl_rev *rev, struct services *services, struct bt_err **err) {
  BT_AUTO_FREE size_t *order = bt_newn(size_t, services->v.len + 1);
  if (bt_deps_order(services->v.items, services->v.len, order, err))
    return -1;
  for (size_t i = 0; i < services->v.len; i++) {
    bt_vec_push(&rev->specs, spec_new(rev, services->v.items[order[i]]));
    services->v.items[order[i]] = NULL;
  }
  return 0;
}

int ctl_rev_load(struct ctl_rev *rev, struct bt_err **err) {
  if (rev->model)
    return 0;
  json_t *model = bt_json_parse(rev->model_text, strlen(rev->model_text), 64u << 20, 0, "model", err);
  if (!model)
    return -1;
  struct services services = {0};
  int rc = parse_services(model, &services, err);
  if (rc == 0)
    rc = order_specs(rev, &services, err);
  bt_vec_each(&services.v, service) bt_service_free(service);
  bt_vec_free(&services.v);
  if (rc == 0)
    rev->model = model;
  else
    json_decref(model);
  return rc;
}

struct ctl_spec *ctl_spec_find(const struct ctl_rev *rev, const char *service) {
  if (rev)
    bt_vec_each(&rev->specs, spec) if (bt_streq((*spec)->service->name, service)) return *spec;
  return NULL;
}

void ctl_rev_set_state(struct ctl_rev *rev, enum ctl_rev_state state, const char *reason) {
  if (rev->state == state && bt_streq(rev->reason, reason))
    return;
  rev->state = state;
  bt_str_set(&rev->reason, reason);
  if (state != CTL_REV_RESOLVING && state != CTL_REV_ROLLING)
    rev->finished_ms = ctl_wall(rev->app->control);
  ctl_touch_rev(rev);
  ctl_source_rev_state(rev);
}

static bool needed(const struct ctl_app *app, const struct ctl_rev *rev) {
  return rev == app->target || rev == ctl_rev_latest(app) || rev->number == app->stable || rev->uses > 0;
}

/* Forgets the oldest revisions over the limit, but never one that runs, that is rolled out or that one would go back to. */
bool ctl_revs_prune(struct ctl_app *app) {
  size_t before = app->revs.len;
  struct bt_control *c = app->control;
  bt_vec_each(&app->revs, r) if ((*r)->model && !needed(app, *r)) unload(*r);
  for (size_t i = 0; i < app->revs.len && app->revs.len > (size_t)c->keep_revisions;) {
    struct ctl_rev *rev = app->revs.items[i];
    if (needed(app, rev)) {
      i++;
      continue;
    }
    BT_AUTO_FREE char *key = bt_asprintf("%s/%d", app->key, rev->number);
    ctl_del(c, "revision", key);
    bt_vec_remove(&app->revs, i);
    ctl_rev_free(rev);
  }
  return app->revs.len < before;
}
