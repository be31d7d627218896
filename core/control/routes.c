#include "config.h"

#include <stdio.h>

#include "control/internal.h"

/* The table of routes: never stored, always made of the apps' revisions in force and of their instances. A service that is being
 * removed keeps its routes until its last instance is gone, so that what it still has to answer is answered. */

/* ---------------------------------------------------------------- who takes part */

static const struct bt_routes *routes_of(const struct ctl_service *service) {
  static const struct bt_routes none;
  if (service->spec)
    return &service->spec->service->routes;
  return service->insts.len ? &service->insts.items[0]->spec->service->routes : &none;
}

static bool is_routed(const struct ctl_service *service) { return routes_of(service)->len > 0; }

static bool goes(const struct ctl_service *service) { return !service->spec || service->app->state == CTL_APP_REMOVING; }

static enum ctl_lb lb_of(const struct ctl_inst *inst) {
  if (!is_routed(inst->service))
    return CTL_LB_NONE;
  if (inst->draining)
    return CTL_LB_DRAIN;
  return inst->ready && !inst->leaving && !inst->restarting ? CTL_LB_READY : CTL_LB_NONE;
}

/* While an update sends its own share of requests to what is new, what is old is a pool by itself. */
static char *pool_id(const struct ctl_service *service, const struct bt_route *route, bool old) {
  return bt_asprintf("%s/%s/%s:%d%s", service->app->ns, service->app->name, service->name, route->port, old ? "/old" : "");
}

/* An instance of another revision listens where that revision says, if it has the route. */
static int port_of(const struct ctl_inst *inst, const struct bt_route *route) {
  const struct ctl_spec *now = inst->service->spec;
  if (!now || inst->spec == now || bt_streq(inst->spec->hash, now->hash))
    return route->port;
  bt_vec_each(&inst->spec->service->routes, own) if (bt_route_same(own, route)) return own->port;
  return route->port;
}

/* Its container's own address; who lives on the machine's network, or in another's, is found there. */
static const char *address_of(const struct ctl_inst *inst) {
  const struct ctl_seen *seen = ctl_seen(inst);
  if (seen->ip)
    return seen->ip;
  const struct ctl_inst *with = ctl_inst_find(inst->service->app->control, seen->co_network);
  if (with && ctl_seen(with)->ip)
    return with->seen->ip;
  return bt_streq(inst->spec->service->network_mode, "host") ? "127.0.0.1" : NULL;
}

static json_t *endpoint_json(const struct ctl_inst *inst, const struct bt_route *route, enum ctl_lb state) {
  json_t *o = json_object();
  bt_json_set_str(o, "address", address_of(inst));
  bt_json_set_int(o, "port", port_of(inst, route));
  bt_json_set_str(o, "state", state == CTL_LB_READY ? "ready" : "drain");
  return o;
}

/* ---------------------------------------------------------------- changes */

void ctl_routes_changed(struct ctl_app *app) {
  if (!app->routed)
    return;
  bt_vec_each(&app->services, service) bt_vec_each(&(*service)->insts, inst)(*inst)->lb = (uint8_t)lb_of(*inst);
  app->control->fx->routes = true;
}

static void add_change(struct bt_control *c, const struct ctl_inst *inst, const struct bt_route *route, enum ctl_lb state) {
  BT_AUTO_FREE char *pool = pool_id(inst->service, route, ctl_way_old(inst));
  json_t *o = state == CTL_LB_NONE ? json_object() : endpoint_json(inst, route, state);
  bt_json_set_str(o, "pool", pool);
  bt_json_set_str(o, "endpoint", inst->id);
  if (state == CTL_LB_NONE)
    bt_json_set_str(o, "state", "gone");
  if (!c->fx->endpoints)
    c->fx->endpoints = json_array();
  json_array_append_new(c->fx->endpoints, o);
}

void ctl_routes_inst(struct ctl_inst *inst, bool gone) {
  struct bt_control *c = inst->service->app->control;
  enum ctl_lb state = gone ? CTL_LB_NONE : lb_of(inst);
  if (state != CTL_LB_NONE && !address_of(inst))
    state = CTL_LB_NONE;
  if (state == CTL_LB_NONE && inst->lb == CTL_LB_NONE)
    return;
  inst->lb = (uint8_t)state;
  bt_vec_each(routes_of(inst->service), route) add_change(c, inst, route, state);
}

/* ---------------------------------------------------------------- admission */

static const char *where_of(const struct ctl_app *other, const struct ctl_app *mine, char buf[160]) {
  if (bt_streq(other->ns, mine->ns))
    snprintf(buf, 160, "app %s", other->name);
  else
    snprintf(buf, 160, "app %s of namespace %s", other->name, other->ns);
  return buf;
}

/* A host is one namespace's with all its paths and the names under its star: else whoever asks for a longer path or the whole name
 * would get what another tenant's clients send. */
static int check_host(const struct ctl_rev *rev, const struct bt_service *s, const struct bt_route *r, const struct ctl_app *app,
                      const struct bt_route *other, struct bt_err **err) {
  BT_AUTO_FREE char *host = bt_streq(app->ns, rev->app->ns) ? NULL : bt_route_common_host(r, other);
  char where[160];
  if (!host)
    return 0;
  BT_AUTO_FREE char *mine = ctl_rev_service_words(rev, s->name);
  return bt_err_set(err, BT_CONFLICT, "service %s has a route for %s, and so has %s; a host, with its paths and the names under its star, is of one namespace: choose another host",
                    mine, host, where_of(app, rev->app, where));
}

/* Two services may share a route that means the same to both, with the same settings; two apps only where both say so. */
static int check_pair(const struct ctl_rev *rev, const struct bt_service *s, const struct bt_route *r, const struct ctl_rev *target,
                      const struct bt_service *os, const struct bt_route *other, struct bt_err **err) {
  const struct ctl_app *app = target->app;
  BT_AUTO_FREE char *both = bt_route_overlap(r, other);
  char where[160];
  if (!both)
    return check_host(rev, s, r, app, other, err);
  bool own = app == rev->app, alike = bt_streq(app->ns, rev->app->ns);
  const char *differs = bt_route_differs(r, other);
  if ((own || (r->share && bt_streq(r->share, other->share) && alike)) && bt_route_same(r, other) && !differs)
    return 0;
  BT_AUTO_FREE char *mine = ctl_rev_service_words(rev, s->name), *theirs = ctl_rev_service_words(target, os->name);
  where_of(app, rev->app, where);
  if (!own && !(r->share && bt_streq(r->share, other->share) && alike))
    return bt_err_set(err, BT_CONFLICT, "service %s has a route for %s, which is that of service %s of %s; choose another host or path%s", mine, both, theirs,
                      where, alike ? ", or give both routes the same \"share\"" : "");
  if (!bt_route_same(r, other))
    return bt_err_set(err, BT_CONFLICT, "service %s has a route for %s and so has service %s%s%s, but with other hosts or paths besides; to share it, write the same lists in both",
                      mine, both, theirs, own ? "" : " of ", own ? "" : where);
  return bt_err_set(err, BT_CONFLICT, "service %s shares the route %s with service %s%s%s, so its \"%s\" must be the same; only port and weight may differ",
                    mine, both, theirs, own ? "" : " of ", own ? "" : where, differs);
}

static int check_against(const struct ctl_rev *rev, const struct bt_service *s, const struct ctl_rev *target, struct bt_err **err) {
  bt_vec_each(&target->specs, spec) {
    const struct bt_service *os = (*spec)->service;
    if (os == s)
      continue;
    bt_vec_each(&s->routes, r) bt_vec_each(&os->routes, other) if (check_pair(rev, s, r, target, os, other, err)) return -1;
  }
  return 0;
}

int ctl_routes_check(const struct ctl_rev *rev, struct bt_err **err) {
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    if (!s->routes.len)
      continue;
    if (bt_service_is_job(s))
      return bt_err_set(err, BT_INVALID, "service %s is a job that ends, so x-berth.routes cannot lead to it", s->name);
    if (bt_streq(s->network_mode, "none"))
      return bt_err_set(err, BT_INVALID, "service %s has network_mode none, so x-berth.routes cannot lead to it", s->name);
    if (check_against(rev, s, rev, err))
      return -1;
    for (struct bt_map_iter it = bt_map_iter(rev->app->control->apps); bt_map_next(&it);) {
      const struct ctl_app *app = it.value;
      if (app == rev->app || app->state == CTL_APP_REMOVING)
        continue;
      const struct ctl_rev *claims[CTL_CLAIMS];
      for (size_t i = 0, n = ctl_rev_claims(app, claims); i < n; i++)
        if (check_against(rev, s, claims[i], err))
          return -1;
    }
  }
  return 0;
}

/* ---------------------------------------------------------------- the table */

/* Services that have the same route. */
struct group {
  const struct bt_route *route; /* of the first of them, whose settings count */
  const struct ctl_service *first;
  BT_VEC(const struct ctl_service *) services;
  BT_VEC(const struct bt_route *) routes; /* of each service */
};

static void group_free(void *arg) {
  struct group *g = arg;
  bt_vec_free(&g->services);
  bt_vec_free(&g->routes);
  free(g);
}

static void group_service(struct bt_map *groups, const struct ctl_service *service) {
  bt_vec_each(routes_of(service), route) {
    struct group *g = bt_map_get(groups, route->key);
    if (!g) {
      g = bt_new(struct group);
      g->route = route;
      g->first = service;
      bt_map_set(groups, route->key, g);
    }
    bt_vec_push(&g->services, service);
    bt_vec_push(&g->routes, route);
  }
}

/* Those that stay first: where an app took over what another is giving up, its settings count. */
static struct bt_map *group_all(const struct bt_control *c) {
  struct bt_map *groups = bt_map_new(group_free);
  for (int going = 0; going <= 1; going++)
    for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
      const struct ctl_app *app = it.value;
      if (app->routed)
        bt_vec_each(&app->services, service) if (goes(*service) == (going == 1)) group_service(groups, *service);
    }
  return groups;
}

static json_t *pool_json(const struct ctl_service *service, const struct bt_route *route, const char *id, bool old) {
  json_t *o = json_object(), *endpoints = json_array();
  bt_json_set_str(o, "id", id);
  bt_vec_each(&service->insts, inst) {
    enum ctl_lb state = lb_of(*inst);
    if (state == CTL_LB_NONE || !address_of(*inst) || ctl_way_old(*inst) != old)
      continue;
    json_t *e = endpoint_json(*inst, route, state);
    bt_json_set_str(e, "id", (*inst)->id);
    json_array_append_new(endpoints, e);
  }
  bt_json_set(o, "endpoints", endpoints);
  return o;
}

/* The content that holds certificate and key: of the revision that the service is of. */
static json_t *certificate_json(const struct ctl_service *service, const struct bt_route *route) {
  const struct ctl_spec *spec = service->spec ? service->spec : service->insts.items[0]->spec;
  BT_AUTO_FREE char *ref = bt_asprintf("secrets/%s", route->secret);
  const json_t *content = bt_json_obj(spec->rev->contents, ref);
  const char *print = bt_json_str_or(content, "fingerprint", "-");
  BT_AUTO_FREE char *key = bt_json_bool(content, "external", false)
                               ? bt_asprintf("secrets/-/%s", bt_json_str_or(content, "name", route->secret))
                               : bt_asprintf("secrets/%s/%s/%s", service->app->name, route->secret, print);
  BT_AUTO_FREE char *name = bt_asprintf("%s/%s/%s@%s", service->app->ns, service->app->name, route->secret, print);
  json_t *o = json_object();
  bt_json_set_str(o, "name", name);
  bt_json_set_str(o, "namespace", service->app->ns);
  bt_json_set_str(o, "key", key);
  return o;
}

struct table {
  json_t *routes, *pools, *certificates;
  struct bt_map *seen; /* pools and certificates that are in already */
};

static bool seen(struct table *t, const char *kind, const char *id) {
  BT_AUTO_FREE char *key = bt_asprintf("%s %s", kind, id);
  if (bt_map_get(t->seen, key))
    return true;
  bt_map_set(t->seen, key, t);
  return false;
}

static void add_tls(struct table *t, json_t *o, const struct group *g) {
  json_t *certificate = certificate_json(g->first, g->route), *tls = json_object();
  const char *name = bt_json_str(certificate, "name");
  bt_json_set_str(tls, "certificate", name);
  bt_json_set_bool(tls, "redirect", bt_json_bool(bt_json_obj(g->route->json, "tls"), "redirect", true));
  bt_json_set(o, "tls", tls);
  if (!seen(t, "certificate", name))
    json_array_append(t->certificates, certificate);
  json_decref(certificate);
}

/* Weights are whole numbers: shares of small ones would be lost. */
static double scale_of(const struct group *g) {
  enum { most = 1000 };
  int largest = 0;
  bool split = false;
  for (size_t i = 0; i < g->services.len; i++) {
    split = split || g->services.items[i]->roll.split;
    largest = BT_MAX(largest, g->routes.items[i]->weight);
  }
  return split && largest > 0 ? (double)most / largest : 1;
}

static void add_target(struct table *t, json_t *targets, const struct group *g, size_t i, bool old, double weight) {
  BT_AUTO_FREE char *pool = pool_id(g->services.items[i], g->routes.items[i], old);
  json_t *target = json_object();
  bt_json_set_str(target, "pool", pool);
  bt_json_set_int(target, "weight", (long long)(weight + 0.5));
  json_array_append_new(targets, target);
  if (!seen(t, "pool", pool))
    json_array_append_new(t->pools, pool_json(g->services.items[i], g->routes.items[i], pool, old));
}

static void add_group(struct table *t, const struct group *g) {
  json_t *o = bt_route_lb_json(g->route), *targets = json_array();
  BT_AUTO_FREE char *id = bt_asprintf("%s/%s", g->first->app->ns, g->route->key);
  bt_json_set_str(o, "id", id);
  if (g->route->secret)
    add_tls(t, o, g);
  for (size_t i = 0; i < g->services.len; i++) {
    const struct bt_rollout *roll = &g->services.items[i]->roll;
    double weight = g->routes.items[i]->weight * scale_of(g);
    add_target(t, targets, g, i, false, roll->split ? weight * roll->weight / 100 : weight);
    if (roll->split)
      add_target(t, targets, g, i, true, weight * (100 - roll->weight) / 100);
  }
  bt_json_set(o, "targets", targets);
  json_array_append_new(t->routes, o);
}

json_t *bt_control_routes(const struct bt_control *c) {
  BT_AUTO_MAP groups = group_all(c);
  BT_AUTO_MAP names = bt_map_new(NULL);
  struct table t = {json_array(), json_array(), json_array(), names};
  for (struct bt_map_iter it = bt_map_iter(groups); bt_map_next(&it);)
    add_group(&t, it.value);
  json_t *o = json_object();
  bt_json_set_int(o, "revision", (long long)c->revision);
  bt_json_set(o, "routes", t.routes);
  bt_json_set(o, "pools", t.pools);
  bt_json_set(o, "certificates", t.certificates);
  return o;
}

/* ---------------------------------------------------------------- rows for readers */

static json_t *service_row(const struct ctl_service *service, const struct bt_route *route, int *ready, int *total) {
  json_t *o = json_object();
  int own = 0;
  bt_vec_each(&service->insts, inst) own += lb_of(*inst) == CTL_LB_READY;
  bt_json_set_str(o, "app", service->app->name);
  bt_json_set_str(o, "service", service->name);
  bt_json_set_int(o, "port", route->port);
  bt_json_set_int(o, "weight", route->weight);
  if (service->roll.split)
    bt_json_set_int(o, "new_weight", service->roll.weight);
  bt_json_set_int(o, "ready", own);
  bt_json_set_int(o, "endpoints", (long long)service->insts.len);
  *ready += own;
  *total += (int)service->insts.len;
  return o;
}

/* "serving", or why it is not. */
static void set_state(const struct bt_control *c, json_t *o, const char *id, const struct group *g, int ready) {
  const char *refused = bt_json_str(bt_json_obj(c->lb, "refused"), id), *lb = bt_json_str_or(c->lb, "status", "absent");
  const char *state = "serving", *message = NULL;
  if (bt_streq(lb, "absent")) {
    state = "unserved";
    message = "no load balancer plug-in runs: name one under plugins: in berthd.yaml";
  } else if (refused) {
    state = "refused";
    message = refused;
  } else if (!bt_streq(lb, "ok")) {
    state = "unserved";
    message = bt_json_str_or(c->lb, "message", "the load balancer does not answer");
  } else if (bt_json_obj(g->route->json, "maintenance")) {
    state = "maintenance";
    message = "its maintenance page answers, as the file says";
  } else if (ready == 0) {
    state = "no-endpoint";
    message = "none of its instances is ready";
  }
  bt_json_set_str(o, "state", state);
  bt_json_set(o, "message", message ? bt_json_string(message) : json_null());
}

static json_t *group_row(const struct bt_control *c, const struct group *g) {
  json_t *o = bt_route_lb_json(g->route), *services = json_array();
  const struct ctl_app *app = g->first->app;
  int ready = 0, total = 0;
  BT_AUTO_FREE char *id = bt_asprintf("%s/%s", app->ns, g->route->key);
  BT_AUTO_FREE char *url = bt_route_url(g->route);
  for (size_t i = 0; i < g->services.len; i++)
    json_array_append_new(services, service_row(g->services.items[i], g->routes.items[i], &ready, &total));
  json_object_del(o, "port");
  bt_json_set_str(o, "route", g->route->key);
  bt_json_set_str(o, "namespace", app->ns);
  bt_json_set_str(o, "app", app->name);
  bt_json_set_str(o, "service", g->first->name);
  bt_json_set_str(o, "url", url);
  if (g->route->tcp)
    bt_json_set_int(o, "listen", g->route->listen);
  bt_json_set_int(o, "port", g->route->port);
  bt_json_set(o, "tls", g->route->secret ? json_string(g->route->secret) : json_null());
  bt_json_set(o, "services", services);
  bt_json_set_int(o, "ready", ready);
  bt_json_set_int(o, "endpoints", total);
  set_state(c, o, id, g, ready);
  return o;
}

static bool has_app(const struct group *g, const char *app) {
  bt_vec_each(&g->services, service) if (bt_streq((*service)->app->name, app)) return true;
  return false;
}

/* Rows of the table as objects.md has them; all of them where ns is NULL. New reference. */
static json_t *rows_of(const struct bt_control *c, const char *ns, const char *app) {
  BT_AUTO_MAP groups = group_all(c);
  json_t *rows = json_array();
  for (struct bt_map_iter it = bt_map_iter(groups); bt_map_next(&it);) {
    const struct group *g = it.value;
    if ((!ns || bt_streq(ns, g->first->app->ns)) && (!app || has_app(g, app)))
      json_array_append_new(rows, group_row(c, g));
  }
  return rows;
}

static int by_route(const void *a, const void *b) {
  const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
  int ns = strcmp(bt_json_str_or(x, "namespace", ""), bt_json_str_or(y, "namespace", ""));
  return ns ? ns : strcmp(bt_json_str_or(x, "route", ""), bt_json_str_or(y, "route", ""));
}

json_t *ctl_routes_list(const struct bt_control *c, const struct bt_query *q, char **next) {
  enum { usual = 500, most = 5000 };
  BT_AUTO_JSON rows = rows_of(c, q->namespace_ && *q->namespace_ ? q->namespace_ : NULL, q->app && *q->app ? q->app : NULL);
  size_t n = json_array_size(rows), limit = (size_t)(q->limit > 0 ? BT_MIN(q->limit, most) : usual);
  BT_AUTO_FREE json_t **sorted = (json_t **)bt_newn(void *, n + 1);
  for (size_t i = 0; i < n; i++)
    sorted[i] = json_array_get(rows, i);
  if (n > 1)
    qsort(sorted, n, sizeof *sorted, by_route);
  json_t *page = json_array();
  for (size_t i = 0; i < n; i++) {
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s", bt_json_str(sorted[i], "namespace"), bt_json_str(sorted[i], "route"));
    if (q->cursor && strcmp(key, q->cursor) <= 0)
      continue;
    if (json_array_size(page) == limit) {
      if (next) {
        const json_t *last = json_array_get(page, limit - 1);
        *next = bt_asprintf("%s/%s", bt_json_str(last, "namespace"), bt_json_str(last, "route"));
      }
      break;
    }
    json_array_append(page, sorted[i]);
  }
  return page;
}

json_t *ctl_route_named(const struct bt_control *c, const char *ns, const char *name) {
  BT_AUTO_MAP groups = group_all(c);
  BT_AUTO_FREE char *with_slash = bt_asprintf("%s/", name);
  const struct group *g = bt_map_get(groups, name);
  if (!g)
    g = bt_map_get(groups, with_slash);
  return g && bt_streq(g->first->app->ns, ns) ? group_row(c, g) : NULL;
}

/* ---------------------------------------------------------------- what the load balancer says */

static void tell_refused(struct bt_control *c, const char *id, const char *message, bool refused) {
  const char *key = strchr(id, '/');
  BT_AUTO_FREE char *ns = key ? bt_strndup(id, (size_t)(key - id)) : NULL;
  BT_AUTO_JSON row = key ? ctl_route_named(c, ns, key + 1) : NULL;
  BT_AUTO_FREE char *subject = bt_asprintf("route/%s", key ? key + 1 : id);
  if (!row)
    return;
  if (refused)
    ctl_event(c, "error", "route.refused", ns, bt_json_str(row, "app"), subject, NULL, "the route %s is not served: %s", key + 1, message);
  else
    ctl_event(c, "info", "route.accepted", ns, bt_json_str(row, "app"), subject, NULL, "the route %s is served again", key + 1);
}

void ctl_lb_report(struct bt_control *c, const struct bt_request *request) {
  BT_AUTO_JSON before = c->lb;
  c->lb = json_deep_copy(request->args);
  const json_t *was = bt_json_obj(before, "refused"), *is = bt_json_obj(c->lb, "refused");
  const char *id;
  json_t *message;
  json_object_foreach((json_t *)(uintptr_t)is, id, message) if (!bt_streq(bt_json_str(was, id), json_string_value(message)))
      tell_refused(c, id, json_string_value(message), true);
  json_object_foreach((json_t *)(uintptr_t)was, id, message) if (!json_object_get(is, id)) tell_refused(c, id, NULL, false);
  ctl_reply(c, request->id, json_object());
}
