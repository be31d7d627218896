#include "config.h"

#include "control/internal.h"
#include "control/queue.h"

#define DEFAULT_LIMIT 500
#define MAX_LIMIT 5000

/* ---- lists: collect what matches, order it by its key, cut out a page ---- */

struct hit {
  char *key;
  const void *item;
};

struct hits {
  BT_VEC(struct hit) v;
  const struct bt_query *q;
};

static void hit(struct hits *hits, const void *item, char *key_steal) {
  bt_vec_push(&hits->v, ((struct hit){key_steal, item}));
}

static bool want(const char *filter, const char *value) { return !filter || !*filter || bt_streq(filter, value); }

static bool want_app(const struct hits *h, const struct ctl_app *app) {
  return want(h->q->namespace_, app->ns) && want(h->q->app, app->name);
}

static void find_apps(const struct bt_control *c, struct hits *h) {
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
    if (want_app(h, it.value))
      hit(h, it.value, bt_strdup(it.key));
}

static void find_revisions(const struct bt_control *c, struct hits *h) {
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    if (want_app(h, app))
      bt_vec_each(&app->revs, rev) hit(h, *rev, bt_asprintf("%s/%08d", app->key, (*rev)->number));
  }
}

static void find_services(const struct bt_control *c, struct hits *h) {
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    if (want_app(h, app))
      bt_vec_each(&app->services, s) if (want(h->q->service, (*s)->name)) hit(h, *s, bt_asprintf("%s/%s", app->key, (*s)->name));
  }
}

static void find_instances(const struct bt_control *c, struct hits *h) {
  for (struct ctl_insts it = ctl_insts(c); ctl_insts_next(&it);) {
    const struct ctl_inst *inst = it.inst;
    const struct ctl_app *app = inst->service->app;
    if (want_app(h, app) && want(h->q->service, inst->service->name) && want(h->q->node, inst->node ? inst->node->name : NULL))
      hit(h, inst, bt_asprintf("%s/%s/%08d/%s", app->key, inst->service->name, inst->slot, inst->id));
  }
}

static void find_nodes(const struct bt_control *c, struct hits *h) {
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    if (want(h->q->node, it.key))
      hit(h, it.value, bt_strdup(it.key));
}

static void find_resources(const struct bt_control *c, struct hits *h, enum ctl_res_kind kind) {
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);) {
    const struct ctl_res *res = it.value;
    if (res->kind == kind && want(h->q->namespace_, res->ns) && want(h->q->app, res->app))
      hit(h, res, bt_strdup(res->id));
  }
}

static void find_contents(const struct bt_control *c, struct hits *h, bool config) {
  for (struct bt_map_iter it = bt_map_iter(c->contents); bt_map_next(&it);) {
    const struct ctl_content *content = it.value;
    if (content->config == config && want(h->q->namespace_, content->ns) && want(h->q->app, content->app))
      hit(h, content, bt_strdup(it.key));
  }
}

static void find_namespaces(const struct bt_control *c, struct hits *h) {
  BT_AUTO_MAP seen = bt_map_new(NULL);
  bt_map_set(seen, "default", c->server_id);
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
    bt_map_set(seen, ((struct ctl_app *)it.value)->ns, it.value);
  for (struct bt_map_iter it = bt_map_iter(c->contents); bt_map_next(&it);)
    bt_map_set(seen, ((struct ctl_content *)it.value)->ns, it.value);
  for (struct bt_map_iter it = bt_map_iter(seen); bt_map_next(&it);)
    hit(h, it.value, bt_strdup(it.key));
}

static void find_sources(const struct bt_control *c, struct hits *h) {
  for (struct bt_map_iter it = bt_map_iter(c->sources); bt_map_next(&it);) {
    const struct ctl_source *s = it.value;
    if (want(h->q->namespace_, s->ns) && want(h->q->app, s->app))
      hit(h, s, bt_strdup(it.key));
  }
}

enum kind { K_NAMESPACES, K_APPS, K_REVISIONS, K_SERVICES, K_INSTANCES, K_NODES, K_VOLUMES, K_NETWORKS, K_SECRETS, K_CONFIGS, K_SOURCES, K_ROUTES, K_EVENTS, K_QUOTAS, K_NONE };
static const char *const kind_names[] = {"namespaces", "apps", "revisions", "services", "instances", "nodes",
                                         "volumes", "networks", "secrets", "configs", "sources", "routes", "events", "quotas"};

static enum kind kind_of(const char *name) {
  for (size_t i = 0; i < BT_COUNT(kind_names); i++)
    if (bt_streq(kind_names[i], name))
      return (enum kind)i;
  return K_NONE;
}

static void find_all(const struct bt_control *c, enum kind kind, struct hits *h) {
  switch (kind) {
  case K_NAMESPACES:
    find_namespaces(c, h);
    break;
  case K_APPS:
    find_apps(c, h);
    break;
  case K_REVISIONS:
    find_revisions(c, h);
    break;
  case K_SERVICES:
    find_services(c, h);
    break;
  case K_INSTANCES:
    find_instances(c, h);
    break;
  case K_NODES:
    find_nodes(c, h);
    break;
  case K_VOLUMES:
  case K_NETWORKS:
    find_resources(c, h, kind == K_VOLUMES ? CTL_VOLUME : CTL_NETWORK);
    break;
  case K_SECRETS:
  case K_CONFIGS:
    find_contents(c, h, kind == K_CONFIGS);
    break;
  case K_SOURCES:
    find_sources(c, h);
    break;
  case K_ROUTES:
  case K_EVENTS:
  case K_QUOTAS:
  case K_NONE:
    break;
  }
}

static json_t *item_json(const struct bt_control *c, enum kind kind, const struct hit *h, bool whole) {
  switch (kind) {
  case K_NAMESPACES: {
    json_t *o = json_object();
    bt_json_set_str(o, "namespace", h->key);
    return o;
  }
  case K_APPS:
    return ctl_show_app(h->item);
  case K_REVISIONS:
    return ctl_show_rev(h->item, whole);
  case K_SERVICES:
    return ctl_show_service(h->item);
  case K_INSTANCES:
    return ctl_show_inst(h->item);
  case K_NODES:
    return ctl_show_node(c, h->item);
  case K_VOLUMES:
  case K_NETWORKS:
    return ctl_show_res(c, h->item);
  case K_SECRETS:
  case K_CONFIGS:
    return ctl_content_json(h->item);
  case K_SOURCES:
    return ctl_source_json(c, h->item);
  case K_ROUTES:
  case K_EVENTS:
  case K_QUOTAS:
  case K_NONE:
    break;
  }
  return json_null();
}

static int by_key(const void *a, const void *b) { return strcmp(((const struct hit *)a)->key, ((const struct hit *)b)->key); }

static json_t *page(const struct bt_control *c, enum kind kind, struct hits *h, char **next) {
  size_t limit = (size_t)(h->q->limit > 0 ? BT_MIN(h->q->limit, MAX_LIMIT) : DEFAULT_LIMIT), i = 0;
  json_t *list = json_array();
  if (h->v.len > 1)
    qsort(h->v.items, h->v.len, sizeof *h->v.items, by_key);
  while (h->q->cursor && i < h->v.len && strcmp(h->v.items[i].key, h->q->cursor) <= 0)
    i++;
  for (; i < h->v.len && json_array_size(list) < limit; i++)
    json_array_append_new(list, item_json(c, kind, &h->v.items[i], false));
  if (next && i < h->v.len)
    *next = bt_strdup(h->v.items[i - 1].key);
  return list;
}

/* "app.*", "*" or a whole name. */
static bool glob(const char *pattern, const char *text) {
  if (!pattern || !*pattern)
    return true;
  const char *star = strchr(pattern, '*');
  if (!star)
    return bt_streq(pattern, text);
  size_t head = (size_t)(star - pattern), tail = strlen(star + 1), len = strlen(text);
  return len >= head + tail && strncmp(pattern, text, head) == 0 && strcmp(text + len - tail, star + 1) == 0;
}

static json_t *list_events(const struct bt_control *c, const struct bt_query *q, char **next, struct bt_err **err) {
  long long cursor = 0;
  if (q->cursor && !bt_parse_i64(q->cursor, 0, INT64_MAX, &cursor)) {
    bt_err_set(err, BT_INVALID, "\"%.40s\" is no cursor of events", q->cursor);
    return NULL;
  }
  size_t limit = (size_t)(q->limit > 0 ? BT_MIN(q->limit, MAX_LIMIT) : DEFAULT_LIMIT);
  json_t *list = json_array();
  uint64_t last = 0;
  for (size_t i = 0; i < c->events_len; i++) {
    const struct ctl_event *event = &c->events[(c->events_first + i) % (size_t)c->keep_events];
    if (event->revision <= q->after || event->id <= (uint64_t)cursor || !want(q->namespace_, event->ns) || !want(q->app, event->app) ||
        !glob(q->type, event->type))
      continue;
    if (json_array_size(list) == limit) {
      if (next)
        *next = bt_asprintf("%llu", (unsigned long long)last);
      break;
    }
    last = event->id;
    json_array_append_new(list, json_loads(event->text, 0, NULL));
  }
  return list;
}

json_t *bt_control_list(const struct bt_control *c, const char *kind_name, const struct bt_query *query, char **next, struct bt_err **err) {
  static const struct bt_query everything;
  const struct bt_query *q = query ? query : &everything;
  enum kind kind = kind_of(kind_name);
  if (next)
    *next = NULL;
  if (kind == K_NONE) {
    bt_err_set(err, BT_NOT_FOUND, "there is no kind \"%.40s\"", kind_name);
    return NULL;
  }
  if (q->app && *q->app && q->namespace_ && *q->namespace_ && kind != K_EVENTS && !ctl_app_find(c, q->namespace_, q->app)) {
    bt_err_set(err, BT_NOT_FOUND, "there is no app %s in namespace %s; see: berth ls", q->app, q->namespace_);
    return NULL;
  }
  if (kind == K_EVENTS)
    return list_events(c, q, next, err);
  if (kind == K_ROUTES)
    return ctl_routes_list(c, q, next);
  if (kind == K_QUOTAS)
    return ctl_quota_list(c, q, next);
  struct hits h = {.q = q};
  find_all(c, kind, &h);
  json_t *list = page(c, kind, &h, next);
  bt_vec_each(&h.v, item) free(item->key);
  bt_vec_free(&h.v);
  return list;
}

/* ---- one object's text ---- */

static const char *lend(struct bt_control *c, json_t *o_steal) {
  free(c->scratch);
  c->scratch = bt_json_text(o_steal);
  json_decref(o_steal);
  return c->scratch;
}

static const char *get_app(struct bt_control *c, const char *ns, const char *name, uint64_t *revision, struct bt_err **err) {
  struct ctl_app *app = ctl_app_find(c, ns, name);
  if (!app) {
    bt_err_set(err, BT_NOT_FOUND, "there is no app %s in namespace %s; see: berth ls", name, ns);
    return NULL;
  }
  uint64_t changed = ctl_app_changed(app);
  if (!app->text || app->text_at != changed) {
    json_t *o = ctl_show_app(app);
    free(app->text);
    app->text = bt_json_text(o);
    app->text_at = changed;
    json_decref(o);
  }
  *revision = changed;
  return app->text;
}

/* "web" where one app of the namespace has it, else "app.web". */
struct ctl_service *ctl_service_named(const struct bt_control *c, const char *ns, const char *name, struct bt_err **err) {
  const char *dot = strchr(name, '.');
  BT_AUTO_FREE char *app_name = dot ? bt_strndup(name, (size_t)(dot - name)) : NULL;
  const char *short_name = dot ? dot + 1 : name;
  struct ctl_service *found = NULL;
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    struct ctl_service *service = ctl_service_find(app, short_name);
    if (!service || !bt_streq(app->ns, ns) || (app_name && !bt_streq(app->name, app_name)))
      continue;
    if (found) {
      bt_err_set(err, BT_CONFLICT, "more than one app has a service %s: write %s.%s or %s.%s", name, found->app->name, name, app->name, name);
      return NULL;
    }
    found = service;
  }
  if (!found)
    bt_err_set(err, BT_NOT_FOUND, "there is no service %s in namespace %s", name, ns);
  return found;
}

static const char *get_service(struct bt_control *c, const char *ns, const char *name, uint64_t *revision, struct bt_err **err) {
  struct ctl_service *service = ctl_service_named(c, ns, name, err);
  if (!service)
    return NULL;
  if (!service->text || service->text_at != service->changed) {
    json_t *o = ctl_show_service(service);
    free(service->text);
    service->text = bt_json_text(o);
    service->text_at = service->changed;
    json_decref(o);
  }
  *revision = service->changed;
  return service->text;
}

static const char *get_revision(struct bt_control *c, const char *ns, const char *name, uint64_t *revision, struct bt_err **err) {
  const char *slash = strchr(name, '/');
  BT_AUTO_FREE char *app_name = slash ? bt_strndup(name, (size_t)(slash - name)) : bt_strdup(name);
  const struct ctl_app *app = ctl_app_find(c, ns, app_name);
  long long number = 0;
  const struct ctl_rev *rev = app && slash && bt_parse_i64(slash + 1, 1, INT32_MAX, &number) ? ctl_rev_find(app, (int)number) : NULL;
  if (!rev) {
    bt_err_set(err, BT_NOT_FOUND, "there is no revision %s in namespace %s", name, ns);
    return NULL;
  }
  *revision = rev->changed;
  BT_AUTO_FREE char *text = ctl_rev_text(rev);
  free(c->scratch);
  c->scratch = bt_asprintf("%.*s,\"current\":%s}", (int)strlen(text) - 1, text, rev == app->target ? "true" : "false");
  return c->scratch;
}

static const char *get_content(struct bt_control *c, bool config, const char *ns, const char *name, uint64_t *revision, struct bt_err **err) {
  const struct ctl_content *content = ctl_content_named(c, ns, config, name, err);
  if (!content)
    return NULL;
  *revision = c->revision; /* as of other things that are used */
  return lend(c, ctl_content_view(c, content));
}

static const void *find_one(const struct bt_control *c, enum kind kind, const char *ns, const char *name) {
  if (kind == K_INSTANCES) {
    const struct ctl_inst *inst = ctl_inst_find(c, name);
    return inst && bt_streq(inst->service->app->ns, ns) ? inst : NULL;
  }
  if (kind == K_NODES)
    return bt_map_get(c->nodes, name);
  if (kind == K_SOURCES)
    return ctl_source_find(c, ns, name);
  if (kind == K_VOLUMES || kind == K_NETWORKS)
    return ctl_res_find(c, kind == K_VOLUMES ? CTL_VOLUME : CTL_NETWORK, ns, name);
  return NULL;
}

const char *bt_control_get(struct bt_control *c, const char *kind_name, const char *ns, const char *name, uint64_t *revision,
                           struct bt_err **err) {
  enum kind kind = kind_of(kind_name);
  uint64_t ignored;
  if (!revision)
    revision = &ignored;
  *revision = 0;
  if (kind == K_APPS)
    return get_app(c, ns, name, revision, err);
  if (kind == K_SERVICES)
    return get_service(c, ns, name, revision, err);
  if (kind == K_REVISIONS)
    return get_revision(c, ns, name, revision, err);
  json_t *route = kind == K_ROUTES ? ctl_route_named(c, ns, name) : NULL;
  if (route) {
    *revision = c->revision;
    return lend(c, route);
  }
  if (kind == K_SECRETS || kind == K_CONFIGS)
    return get_content(c, kind == K_CONFIGS, ns, name, revision, err);
  const void *item = find_one(c, kind, ns, name);
  if (!item) {
    bt_err_set(err, BT_NOT_FOUND, "there is no %.*s %s%s%s", (int)strlen(kind_name) - (kind == K_NONE ? 0 : 1), kind_name, name,
               kind == K_NODES ? "" : " in namespace ", kind == K_NODES ? "" : ns);
    return NULL;
  }
  /* What uses it, what it carries: that changes with the apps, so only the newest revision of all never lies. */
  *revision = kind == K_INSTANCES ? ((const struct ctl_inst *)item)->changed : c->revision;
  return lend(c, item_json(c, kind, &(struct hit){.item = item}, true));
}

json_t *bt_control_counts(const struct bt_control *c) {
  json_t *o = json_object(), *instances = json_object(), *rollouts = json_object();
  int states[BT_ST_COUNT] = {0}, rolls[BT_RO_DONE + 1] = {0}, services = 0;
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    bt_vec_each(&app->services, s) {
      services++;
      rolls[(*s)->roll.state]++;
      bt_vec_each(&(*s)->insts, inst) states[(*inst)->state]++;
    }
  }
  for (int i = 0; i < BT_ST_REMOVED; i++)
    bt_json_set_int(instances, bt_state_name((enum bt_state)i), states[i]);
  for (int i = 0; i <= BT_RO_DONE; i++)
    bt_json_set_int(rollouts, bt_rollout_name((enum bt_rollout_state)i), rolls[i]);
  bt_json_set_int(o, "apps", (long long)bt_map_len(c->apps));
  bt_json_set_int(o, "services", services);
  bt_json_set(o, "instances", instances);
  bt_json_set(o, "rollouts", rollouts);
  bt_json_set_int(o, "events", (long long)c->event_seq);
  bt_json_set_int(o, "requests", (long long)c->requests);
  bt_json_set_int(o, "steps", (long long)c->steps);
  return o;
}
