#include "config.h"

#include "control/draft.h"

#include "plan/diff.h"
#include "model/rule.h"
#include "plan/ports.h"

int ctl_check_name(const char *what, const char *name, struct bt_err **err) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  size_t len = name ? strlen(name) : 0;
  if (len == 0 || len > CTL_ID_LEN || strspn(name, letters) != len || name[0] == '_' || name[0] == '-')
    return bt_err_set(err, BT_INVALID, "%s \"%.80s\": a name has at most %d of a-z, 0-9, _ and -, and begins with a letter or digit", what,
                      name ? name : "", CTL_ID_LEN);
  return 0;
}

/* ---- drafts ---- */

int ctl_next_number(const struct ctl_app *app) {
  const struct ctl_rev *latest = ctl_rev_latest(app);
  return latest ? latest->number + 1 : 1;
}

void ctl_draft_start(struct ctl_draft *d, struct bt_control *c, const char *ns, const char *name) {
  d->app = ctl_app_find(c, ns, name);
  d->new_app = !d->app;
  if (d->new_app)
    d->app = ctl_app_new(c, ns, name);
  d->rev = bt_new(struct ctl_rev);
  d->rev->app = d->app;
  d->rev->number = ctl_next_number(d->app);
  d->rev->created_ms = ctl_wall(c);
  d->rev->state = CTL_REV_RESOLVING;
  d->rev->pins = json_object();
  d->rev->contents = json_object();
  const struct ctl_rev *latest = ctl_rev_latest(d->app);
  d->rev->salt = latest ? latest->salt : 0;
}

/* Nothing of it stays: a dry run, or it was not valid. */
void ctl_draft_drop(struct ctl_draft *d) {
  json_decref(d->filled);
  if (d->rev)
    ctl_rev_free(d->rev);
  if (d->new_app && d->app)
    bt_map_del(d->app->control->apps, d->app->key);
  *d = (struct ctl_draft){0};
}

void ctl_draft_words(struct ctl_draft *d, const char *actor, const char *message, const char *source, const char *build) {
  bt_str_set(&d->rev->actor, actor);
  bt_str_set(&d->rev->message, message);
  bt_str_set(&d->rev->source, source);
  bt_str_set(&d->rev->build, build);
}

/* Where it comes from, as the one who applies knows it; and whether Berth does so by itself. */
void ctl_draft_origin(struct ctl_draft *d, const json_t *args) {
  json_t *origin = bt_json_obj(args, "origin");
  if (origin) {
    json_decref(d->rev->origin);
    d->rev->origin = json_deep_copy(origin);
  }
  bt_str_set(&d->rev->cause, bt_json_str(args, "cause"));
}

/* The pins of another revision hold as long as the image is called the same; the hash is made again, since contents may differ. */
static void take_pins(struct ctl_rev *rev, const struct ctl_rev *from, const json_t *model) {
  const char *name;
  json_t *pin;
  json_object_foreach(from->pins, name, pin) {
    const char *image = bt_json_str(bt_json_obj(bt_json_obj(model, "services"), name), "image");
    if (image && bt_json_str(pin, "image") && !bt_streq(image, bt_json_str(pin, "image")))
      continue;
    json_t *copy = json_deep_copy(pin);
    json_object_del(copy, "hash");
    bt_json_set(rev->pins, name, copy);
  }
}

static int check_needs(const struct bt_service *s, struct bt_err **err) {
  for (size_t i = 0; i < s->constraints.len; i++)
    if (bt_rule_check(s->constraints.items[i], true, err))
      return bt_err_wrap(err, "service %s", s->name);
  if (s->reserved.memory > BT_FLEET_MAX)
    return bt_err_set(err, BT_INVALID, "service %s reserves %lld GiB of memory; that is more than any machine has", s->name,
                      (long long)(s->reserved.memory >> 30));
  if (s->reserved.cpus > (double)BT_FLEET_MAX / 1000)
    return bt_err_set(err, BT_INVALID, "service %s reserves %g cpus; that is more than any machine has", s->name, s->reserved.cpus);
  if (ctl_check_name("service", s->name, NULL))
    return bt_err_set(err, BT_INVALID, "service \"%.80s\": a name has at most %d of a-z, 0-9, _ and -", s->name, CTL_ID_LEN);
  return 0;
}

static int check_constraints(const struct ctl_rev *rev, struct bt_err **err) {
  bt_vec_each(&rev->specs, spec) if (check_needs((*spec)->service, err)) return ctl_rev_placed(rev, (*spec)->service->name, err);
  return 0;
}

/* Who lives in another's namespaces needs that other to be there. */
static int check_sharing(const struct ctl_rev *rev, struct bt_err **err) {
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    const char *const with[] = {s->co_network, s->co_pid, s->co_ipc};
    for (size_t i = 0; i < BT_COUNT(with); i++) {
      const struct ctl_spec *other = with[i] ? ctl_spec_find(rev, with[i]) : NULL;
      if (!with[i] || s->replicas == 0 || (other && other->service->replicas > 0))
        continue;
      bt_err_set(err, BT_INVALID, "service %s shares the namespaces of service %s, which %s", s->name, with[i],
                 other ? "has 0 replicas; scale it up, or this one to 0 as well" : "is not in the file");
      return ctl_rev_placed(rev, s->name, err);
    }
  }
  return 0;
}

/* How often it is to complete is said by the nodes. */
static int check_once(const struct ctl_rev *rev, struct bt_err **err) {
  bt_vec_each(&rev->specs, spec) {
    const json_t *job = bt_json_obj(bt_json_obj((*spec)->service->json, "x-berth"), "job");
    if (ctl_once(*spec) && json_object_get(job, "completions")) {
      bt_err_set(err, BT_INVALID, "service %s runs once on each node (deploy.mode global-job); leave x-berth.job.completions out, or make it a replicated-job",
                 (*spec)->service->name);
      return ctl_rev_placed(rev, (*spec)->service->name, err);
    }
  }
  return 0;
}

struct uses {
  BT_VEC(struct bt_port_use) v;
};

static void add_uses(struct uses *uses, const struct ctl_rev *rev) {
  bt_vec_each(&rev->specs, spec) bt_vec_each(&(*spec)->service->ports, port)
      bt_vec_push(&uses->v, ((struct bt_port_use){rev->app->key, (*spec)->service->name, port, rev}));
}

static int check_ports(const struct ctl_rev *rev, struct bt_err **err) {
  struct uses uses = {0};
  for (struct bt_map_iter it = bt_map_iter(rev->app->control->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    if (app == rev->app || app->state == CTL_APP_REMOVING)
      continue;
    const struct ctl_rev *claims[CTL_CLAIMS];
    for (size_t i = 0, n = ctl_rev_claims(app, claims); i < n; i++)
      add_uses(&uses, claims[i]);
  }
  size_t others = uses.v.len;
  add_uses(&uses, rev);
  const struct bt_port_use *one, *clash;
  int rc = 0;
  if (bt_ports_first_clash(uses.v.items, uses.v.len, others, &one, &clash)) {
    BT_AUTO_FREE char *mine = ctl_rev_service_words(rev, one->service), *theirs = ctl_rev_service_words(clash->owner, clash->service);
    rc = bt_err_set(err, BT_CONFLICT, "service %s publishes port %d/%s, which is that of service %s of app %s; choose another one", mine,
                    one->port->published, one->port->protocol, theirs, strchr(clash->app, '/') + 1);
  }
  bt_vec_free(&uses.v);
  return rc;
}

/* The step that takes an app, and the one that hashes a service's ports, hold the loop; up to here for under 50 ms. */
enum { MOST_SERVICES = 2000, MOST_PORTS = 10000 };

static int check_size(const char *app, const json_t *services, struct bt_err **err) {
  size_t n = json_object_size(services), ports = 0;
  const char *name;
  json_t *service;
  if (n == 0)
    return bt_err_set(err, BT_INVALID, "app %s has no services (or all of them are in profiles that are not active)", app);
  if (n > MOST_SERVICES)
    return bt_err_set(err, BT_INVALID, "app %s has %zu services, and an app has %d at the most; make several apps of it", app, n, MOST_SERVICES);
  json_object_foreach((json_t *)(uintptr_t)services, name, service) {
    ports += json_array_size(bt_json_arr(service, "ports"));
    if (ports > MOST_PORTS)
      return bt_err_set(err, BT_INVALID, "app %s publishes more than %d ports up to service %s, which is the most for one app; use network_mode: host for such ranges, or make several apps of it",
                        app, MOST_PORTS, name);
  }
  return 0;
}

/* Reads and checks the model; steals it either way. text: the text that it was read from, where the caller knows it; else NULL: it
 * is written and read back, so that nothing is taken that could not be loaded again. */
int ctl_draft_model(struct ctl_draft *d, json_t *model_steal, const char *text, struct bt_err **err) {
  bool filled;
  BT_AUTO_JSON model = ctl_vertical_fill(d->app, model_steal, &filled);
  if (filled)
    text = NULL;
  if (check_size(d->app->name, bt_json_obj(model, "services"), err))
    return -1;
  d->rev->model_text = text ? bt_strdup(text) : bt_json_text(model);
  if ((text ? ctl_rev_load_model(d->rev, json_incref(model), err) : ctl_rev_load(d->rev, err)) || check_constraints(d->rev, err) || check_sharing(d->rev, err) || check_once(d->rev, err) || check_ports(d->rev, err) ||
      ctl_routes_check(d->rev, err) || ctl_res_check(d->rev, err) || ctl_zones_check(d->rev, err) || ctl_quota_check(d->rev, err))
    return -1;
  json_t *refs = ctl_content_refs(d->rev, d->contents, err);
  if (!refs)
    return -1;
  json_decref(d->rev->contents);
  d->rev->contents = refs;
  return 0;
}

json_t *ctl_draft_plan(const struct ctl_draft *d, bool recreate) {
  const struct ctl_rev *latest = ctl_rev_latest(d->app);
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON before = !latest         ? NULL
                        : latest->model ? json_incref(latest->model)
                                        : bt_json_parse(latest->model_text, strlen(latest->model_text), 64u << 20, 0, "model", &err);
  json_t *plan = bt_diff_plan(&(struct bt_diff_in){
      .from = before,
      .to = d->rev->model,
      .from_contents = latest ? latest->contents : NULL,
      .to_contents = d->rev->contents,
      .recreate = recreate,
  });
  if (latest)
    ctl_hash_plan(plan, latest, d->rev);
  if (latest)
    ctl_inplace_plan(plan, latest, d->rev);
  return plan;
}

/* ---- from a draft to a revision ---- */

static void supersede(struct ctl_app *app, const struct ctl_rev *by) {
  bt_vec_each(&app->revs, r) {
    struct ctl_rev *rev = *r;
    if (rev == by || rev->number == app->stable)
      continue;
    if (rev->state == CTL_REV_RESOLVING || (rev->state == CTL_REV_ROLLING && rev != app->target))
      ctl_rev_set_state(rev, CTL_REV_SUPERSEDED, rev->reason);
  }
}

struct ctl_rev *ctl_draft_commit(struct ctl_draft *d) {
  struct ctl_app *app = d->app;
  struct ctl_rev *rev = d->rev;
  int before = ctl_next_number(app) - 1;
  json_decref(d->filled);
  bt_vec_push(&app->revs, rev);
  app->updated_ms = ctl_wall(app->control);
  ctl_content_store(rev, d->contents);
  supersede(app, rev);
  ctl_touch_rev(rev);
  if (d->new_app || !app->target)
    ctl_set_state(app, CTL_APP_DEPLOYING, "images are being resolved");
  ctl_event(app->control, "info", "revision.created", app->ns, app->name, app->name, NULL, "%s: revision %d by %s%s%s", app->name, rev->number,
            rev->actor, rev->message ? ": " : "", rev->message ? rev->message : "");
  *d = (struct ctl_draft){0};
  ctl_source_revised(app, rev, before);
  ctl_resolve_begin(rev);
  ctl_dirty(app);
  return rev;
}

json_t *ctl_apply_result(const struct ctl_app *app, int revision, bool changed, json_t *plan_steal) {
  json_t *result = json_object(), *warnings = json_array();
  bt_json_set_str(result, "app", app->name);
  bt_json_set_int(result, "revision", revision);
  bt_json_set_bool(result, "changed", changed);
  bt_json_set(result, "plan", plan_steal);
  bt_json_set(result, "warnings", warnings);
  return result;
}

static void add_warnings(json_t *result, const struct ctl_rev *rev) {
  json_t *warnings = bt_json_arr(result, "warnings");
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    const char *why = bt_service_exclusive(s);
    if (!why || s->update.order != BT_START_FIRST)
      continue;
    BT_AUTO_FREE char *text = bt_asprintf("service %s: update_config.order start-first is done as stop-first: %s", s->name, why);
    json_array_append_new(warnings, json_string(text));
  }
}

/* Answers with the plan and, unless it is a dry run, makes the revision. Takes the draft. */
void ctl_draft_finish(struct bt_control *c, struct ctl_draft *d, const struct bt_request *request, json_t *plan_steal) {
  json_t *result = ctl_apply_result(d->app, d->rev->number, true, plan_steal);
  add_warnings(result, d->rev);
  if (d->filled)
    bt_json_set(result, "defaults", json_incref(d->filled));
  if (request->dry_run) {
    json_t *forecast = ctl_forecast(d, plan_steal);
    bt_json_set(forecast, "quota", ctl_quota_forecast(d));
    bt_json_set(result, "forecast", forecast);
  }
  if (request->dry_run)
    ctl_draft_drop(d);
  else
    ctl_draft_commit(d);
  ctl_reply(c, request->id, result);
}

json_t *ctl_rev_model(const struct ctl_rev *rev) {
  BT_AUTO_ERR err = NULL;
  json_t *model = bt_json_parse(rev->model_text, strlen(rev->model_text), 64u << 20, 0, "model", &err);
  BT_ASSERT(model); /* control wrote it */
  return model;
}

/* A copy of a revision's content as a draft; -1 where it is not valid any more. */
int ctl_draft_copy(struct ctl_draft *d, struct ctl_app *app, const struct ctl_rev *from, json_t *model_steal, struct bt_err **err) {
  ctl_draft_start(d, app->control, app->ns, app->name);
  take_pins(d->rev, from, model_steal);
  d->rev->salt = from->salt;
  d->rev->origin = from->origin ? json_incref(from->origin) : NULL;
  d->contents = from->contents; /* fingerprints of what is stored */
  return ctl_draft_model(d, model_steal, NULL, err);
}

void ctl_draft_refuse(struct bt_control *c, struct ctl_draft *d, const struct bt_request *request, const struct bt_err *err) {
  ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
  ctl_draft_drop(d);
}
