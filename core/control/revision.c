#include "config.h"

#include "control/internal.h"
#include "plan/deps.h"

struct ctl_rev *ctl_rev_find(const struct ctl_app *app, int number) {
  bt_vec_each(&app->revs, rev) if ((*rev)->number == number) return *rev;
  return NULL;
}

struct ctl_rev *ctl_rev_latest(const struct ctl_app *app) { return app->revs.len ? app->revs.items[app->revs.len - 1] : NULL; }

size_t ctl_rev_claims(const struct ctl_app *app, const struct ctl_rev *out[CTL_CLAIMS]) {
  const struct ctl_rev *latest = ctl_rev_latest(app);
  struct ctl_rev *stable = app->target && app->target->state == CTL_REV_ROLLING ? ctl_rev_find(app, app->stable) : NULL;
  size_t n = 0;
  if (app->target)
    out[n++] = app->target;
  if (latest && latest != app->target && latest->state == CTL_REV_RESOLVING)
    out[n++] = latest;
  if (stable && stable != app->target && ctl_rev_load(stable, NULL) == 0)
    out[n++] = stable;
  return n;
}

int bt_control_latest(const struct bt_control *c, const char *ns, const char *name) {
  const struct ctl_app *app = ctl_app_find(c, ns, name);
  const struct ctl_rev *latest = app ? ctl_rev_latest(app) : NULL;
  return latest ? latest->number : 0;
}

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
  ctl_fleet_forget(spec);
  bt_service_free(&spec->service);
  char **strings[] = {&spec->image, &spec->pinned, &spec->digest, &spec->source, &spec->pull, &spec->hash, &spec->frame};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    free(*strings[i]);
  json_decref(spec->cls);
  json_decref(spec->common);
  free(spec);
}

static void named_free(void *arg) {
  struct ctl_named *named = arg;
  bt_strs_free(&named->aliases);
  bt_vec_free(&named->after);
  free(named);
}

static void unload(struct ctl_rev *rev) {
  bt_map_free(&rev->by_name);
  bt_map_free(&rev->named);
  bt_vec_each(&rev->specs, spec) spec_free(*spec);
  bt_vec_free(&rev->specs);
  json_decref(rev->model);
  rev->model = NULL;
}

void ctl_rev_free(struct ctl_rev *rev) {
  struct bt_control *c = rev->app->control;
  for (size_t i = c->hashing.len; i-- > 0;)
    if (c->hashing.items[i] == rev)
      bt_vec_remove(&c->hashing, i);
  unload(rev);
  char **strings[] = {&rev->actor, &rev->message, &rev->reason, &rev->source, &rev->model_text, &rev->build, &rev->cause};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    free(*strings[i]);
  json_decref(rev->contents);
  json_decref(rev->origin);
  json_decref(rev->pins);
  free(rev->asks);
  free(rev);
}

/* What was pinned before comes back from the stored form. */
static struct ctl_spec *spec_new(struct ctl_rev *rev, struct bt_service *service) {
  struct ctl_spec *spec = bt_new(struct ctl_spec);
  spec->rev = rev;
  spec->service = service;
  spec->shape = spec->group = BT_FLEET_NONE;
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

static int parse_services(const struct ctl_rev *rev, const json_t *model, struct services *out, struct bt_err **err) {
  const char *name;
  json_t *item;
  json_object_foreach(bt_json_obj(model, "services"), name, item) {
    struct bt_service *service = NULL;
    if (bt_service_parse(name, item, &service, err))
      return ctl_rev_placed(rev, name, err);
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

static struct ctl_named *named_of(struct ctl_rev *rev, const char *service) {
  if (!rev->named)
    rev->named = bt_map_new(named_free);
  struct ctl_named *named = bt_map_get(rev->named, service);
  if (!named) {
    named = bt_new(struct ctl_named);
    bt_map_set(rev->named, service, named);
  }
  return named;
}

static void note_links(struct ctl_rev *rev, const struct bt_service *s) {
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(s->json, "links"), i, item) {
    const char *link = json_string_value(item), *colon = link ? strchr(link, ':') : NULL;
    if (!colon)
      continue;
    BT_AUTO_FREE char *name = bt_strndup(link, (size_t)(colon - link));
    bt_strs_add(&named_of(rev, name)->aliases, colon + 1);
  }
}

/* Services of one image share its pin, so that an app never runs two images under one name; one of them asks: the one that
 * builds it, else the first. */
static void join_alike(struct bt_map *speakers, struct ctl_spec *spec) {
  BT_AUTO_FREE char *key = bt_asprintf("%s\n%s", spec->image, spec->service->platform ? spec->service->platform : "");
  struct ctl_spec *speaker = bt_map_get(speakers, key);
  spec->alike = speaker ? speaker->alike : spec;
  if (speaker)
    speaker->alike = spec;
  if (speaker && (speaker->service->build || !spec->service->build))
    return;
  if (speaker)
    speaker->speaker = false;
  spec->speaker = true;
  bt_map_set(speakers, key, spec);
}

/* A job with a schedule, or after a job that recurs. What it depends on comes before it, and is known. */
static bool recurs(const struct ctl_rev *rev, const struct bt_service *s) {
  if (!bt_service_is_job(s))
    return false;
  bt_vec_each(&s->depends, dep) {
    const struct ctl_spec *on = dep->condition == BT_DEP_COMPLETED ? ctl_spec_find(rev, dep->service) : NULL;
    if (on && on->recurs)
      return true;
  }
  return s->job.schedule;
}

/* What would otherwise be looked for among all services for each of them. */
static void index_specs(struct ctl_rev *rev) {
  BT_AUTO_MAP speakers = bt_map_new(NULL);
  if (rev->specs.len > CTL_FEW)
    rev->by_name = bt_map_new(NULL);
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    if (rev->by_name)
      bt_map_set(rev->by_name, s->name, *spec);
    (*spec)->recurs = recurs(rev, s);
    join_alike(speakers, *spec);
    note_links(rev, s);
    bt_vec_each(&s->depends, dep) if (dep->restart) bt_vec_push(&named_of(rev, dep->service)->after, *spec);
  }
}

int ctl_rev_load_model(struct ctl_rev *rev, json_t *model_steal, struct bt_err **err) {
  BT_AUTO_JSON model = model_steal;
  struct services services = {0};
  int rc = parse_services(rev, model, &services, err);
  if (rc == 0)
    rc = order_specs(rev, &services, err);
  bt_vec_each(&services.v, service) bt_service_free(service);
  bt_vec_free(&services.v);
  if (rc == 0) {
    rev->model = bt_steal(model);
    index_specs(rev);
  }
  return rc;
}

int ctl_rev_load(struct ctl_rev *rev, struct bt_err **err) {
  if (rev->model)
    return 0;
  json_t *model = bt_json_parse(rev->model_text, strlen(rev->model_text), 64u << 20, 0, "model", err);
  return model ? ctl_rev_load_model(rev, model, err) : -1;
}

struct ctl_spec *ctl_spec_find(const struct ctl_rev *rev, const char *service) {
  if (rev && rev->by_name)
    return bt_map_get(rev->by_name, service);
  if (rev)
    bt_vec_each(&rev->specs, spec) if (bt_streq((*spec)->service->name, service)) return *spec;
  return NULL;
}

const struct ctl_named *ctl_rev_named(const struct ctl_rev *rev, const char *service) { return bt_map_get(rev->named, service); }

static bool has_links_of(const struct ctl_rev *a, const struct ctl_rev *b) {
  for (struct bt_map_iter it = bt_map_iter(b->named); b->named && bt_map_next(&it);) {
    const struct ctl_named *theirs = it.value, *ours = ctl_rev_named(a, it.key);
    if ((ours ? ours->aliases.len : 0) != theirs->aliases.len)
      return false;
    for (size_t i = 0; ours && i < ours->aliases.len; i++)
      if (!bt_streq(ours->aliases.items[i], theirs->aliases.items[i]))
        return false;
  }
  return true;
}

bool ctl_rev_same_links(const struct ctl_rev *a, const struct ctl_rev *b) { return has_links_of(a, b) && has_links_of(b, a); }

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

char *ctl_rev_service_words(const struct ctl_rev *rev, const char *name) {
  const json_t *place = bt_json_obj(bt_json_obj(rev->origin, "services"), name);
  const char *file = bt_json_str(place, "file");
  return file ? bt_asprintf("%s (%s:%lld)", name, file, bt_json_int(place, "line", 0)) : bt_strdup(name);
}

/* ---------------------------------------------------------------- images */

/* What it runs, is becoming, was last whole, and the one whole before that: where a rollback goes. */
static bool pins_count(const struct ctl_app *app, const struct ctl_rev *rev, const struct ctl_rev *back) {
  return rev == app->target || rev == back || rev->number == app->stable || rev == ctl_rev_latest(app);
}

static void add_pins(json_t *set, const struct ctl_rev *rev) {
  const char *service;
  json_t *pin;
  json_object_foreach(rev->pins, service, pin) {
    const char *const names[] = {bt_json_str(pin, "pinned"), bt_json_str(pin, "image")};
    for (size_t i = 0; i < BT_COUNT(names); i++)
      if (names[i])
        json_object_set_new(set, names[i], json_true());
  }
}

json_t *bt_control_images(const struct bt_control *c) {
  BT_AUTO_JSON set = json_object();
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    const struct ctl_rev *back = NULL;
    bt_vec_each(&app->revs, rev) if ((*rev)->deployed && *rev != app->target) back = *rev;
    bt_vec_each(&app->revs, rev) if (pins_count(app, *rev, back)) add_pins(set, *rev);
  }
  json_t *list = json_array(), *v;
  const char *name;
  json_object_foreach(set, name, v) json_array_append_new(list, json_string(name));
  return list;
}

int ctl_rev_placed(const struct ctl_rev *rev, const char *name, struct bt_err **err) {
  const json_t *place = bt_json_obj(bt_json_obj(rev->origin, "services"), name);
  const char *file = bt_json_str(place, "file");
  return file ? bt_err_wrap(err, "%s:%lld", file, bt_json_int(place, "line", 0)) : -1;
}
