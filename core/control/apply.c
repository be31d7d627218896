#include "config.h"

#include "control/internal.h"
#include "plan/diff.h"
#include "plan/place.h"
#include "plan/ports.h"

/* What becomes a revision: an apply, a rollback, a scale, a changed secret. */
struct draft {
  struct ctl_app *app;
  struct ctl_rev *rev; /* not among the app's revisions yet */
  bool new_app;
  json_t *contents;    /* as sent; borrowed; NULL where they are all stored */
};

int ctl_check_name(const char *what, const char *name, struct bt_err **err) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  size_t len = name ? strlen(name) : 0;
  if (len == 0 || len > CTL_ID_LEN || strspn(name, letters) != len || name[0] == '_' || name[0] == '-')
    return bt_err_set(err, BT_INVALID, "%s \"%.80s\": a name has at most %d of a-z, 0-9, _ and -, and begins with a letter or digit", what,
                      name ? name : "", CTL_ID_LEN);
  return 0;
}

/* What ended for good is started again; what still tries is given another chance. */
static void try_instance(struct ctl_inst *inst) {
  int64_t now = inst->service->app->control->now_ms;
  if (ctl_inst_done(inst) || inst->leaving)
    return;
  if (bt_service_is_job(inst->spec->service)) {
    if (inst->ended)
      ctl_release(inst, "its job is tried again"); /* attempts are counted anew */
    return;
  }
  if (inst->ended || inst->lasting) { /* at once: what was in the way may be mended */
    ctl_restart_inst(inst, "its rollout is tried again");
    return;
  }
  inst->struck = false;
  inst->begun_ms = now;
  inst->failures_before = inst->failures;
  if (inst->assigned_ms)
    inst->assigned_ms = now;
  ctl_touch_inst(inst);
}

/* hash: only those of this spec; NULL: all. From the end, since a release may take one out of the list. */
static void try_instances(struct ctl_service *service, const char *hash) {
  for (size_t i = service->insts.len; i-- > 0;) {
    struct ctl_inst *inst = service->insts.items[i];
    if ((inst->struck || inst->ended) && (!hash || bt_streq(inst->spec->hash, hash)))
      try_instance(inst);
  }
}

/* ---- drafts ---- */

static int next_number(const struct ctl_app *app) {
  const struct ctl_rev *latest = ctl_rev_latest(app);
  return latest ? latest->number + 1 : 1;
}

static void draft_start(struct draft *d, struct bt_control *c, const char *ns, const char *name) {
  d->app = ctl_app_find(c, ns, name);
  d->new_app = !d->app;
  if (d->new_app)
    d->app = ctl_app_new(c, ns, name);
  d->rev = bt_new(struct ctl_rev);
  d->rev->app = d->app;
  d->rev->number = next_number(d->app);
  d->rev->created_ms = ctl_wall(c);
  d->rev->state = CTL_REV_RESOLVING;
  d->rev->pins = json_object();
  d->rev->contents = json_object();
  const struct ctl_rev *latest = ctl_rev_latest(d->app);
  d->rev->salt = latest ? latest->salt : 0;
}

/* Nothing of it stays: a dry run, or it was not valid. */
static void draft_drop(struct draft *d) {
  if (d->rev)
    ctl_rev_free(d->rev);
  if (d->new_app && d->app)
    bt_map_del(d->app->control->apps, d->app->key);
  *d = (struct draft){0};
}

static void draft_words(struct draft *d, const char *actor, const char *message, const char *source, const char *build) {
  bt_str_set(&d->rev->actor, actor);
  bt_str_set(&d->rev->message, message);
  bt_str_set(&d->rev->source, source);
  bt_str_set(&d->rev->build, build);
}

/* Where it comes from, as the one who applies knows it; and whether Berth does so by itself. */
static void draft_origin(struct draft *d, const json_t *args) {
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

static int check_constraints(const struct ctl_rev *rev, struct bt_err **err) {
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    for (size_t i = 0; i < s->constraints.len; i++)
      if (bt_place_check(s->constraints.items[i], err))
        return bt_err_wrap(err, "service %s", s->name);
    if (ctl_check_name("service", s->name, NULL))
      return bt_err_set(err, BT_INVALID, "service \"%.80s\": a name has at most %d of a-z, 0-9, _ and -", s->name, CTL_ID_LEN);
  }
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
      return bt_err_set(err, BT_INVALID, "service %s shares the namespaces of service %s, which %s", s->name, with[i],
                        other ? "has 0 replicas; scale it up, or this one to 0 as well" : "is not in the file");
    }
  }
  return 0;
}

struct uses {
  BT_VEC(struct bt_port_use) v;
};

static void add_uses(struct uses *uses, const struct ctl_rev *rev) {
  bt_vec_each(&rev->specs, spec) bt_vec_each(&(*spec)->service->ports, port)
      bt_vec_push(&uses->v, ((struct bt_port_use){rev->app->key, (*spec)->service->name, port}));
}

static int check_ports(const struct ctl_rev *rev, struct bt_err **err) {
  struct uses uses = {0};
  for (struct bt_map_iter it = bt_map_iter(rev->app->control->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    if (app != rev->app && app->target && app->state != CTL_APP_REMOVING)
      add_uses(&uses, app->target);
  }
  size_t others = uses.v.len;
  add_uses(&uses, rev);
  const struct bt_port_use *one, *clash;
  int rc = 0;
  if (bt_ports_first_clash(uses.v.items, uses.v.len, others, &one, &clash))
    rc = bt_err_set(err, BT_CONFLICT, "service %s publishes port %d/%s, which is service %s's of app %s; choose another one", one->service,
                    one->port->published, one->port->protocol, clash->service, strchr(clash->app, '/') + 1);
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
static int draft_model(struct draft *d, json_t *model_steal, const char *text, struct bt_err **err) {
  BT_AUTO_JSON model = model_steal;
  if (check_size(d->app->name, bt_json_obj(model, "services"), err))
    return -1;
  d->rev->model_text = text ? bt_strdup(text) : bt_json_text(model);
  if ((text ? ctl_rev_load_model(d->rev, json_incref(model), err) : ctl_rev_load(d->rev, err)) || check_constraints(d->rev, err) || check_sharing(d->rev, err) || check_ports(d->rev, err) ||
      ctl_routes_check(d->rev, err) || ctl_res_check(d->rev, err))
    return -1;
  json_t *refs = ctl_content_refs(d->rev, d->contents, err);
  if (!refs)
    return -1;
  json_decref(d->rev->contents);
  d->rev->contents = refs;
  return 0;
}

static json_t *draft_plan(const struct draft *d, bool recreate) {
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

static struct ctl_rev *draft_commit(struct draft *d) {
  struct ctl_app *app = d->app;
  struct ctl_rev *rev = d->rev;
  int before = next_number(app) - 1;
  bt_vec_push(&app->revs, rev);
  app->updated_ms = ctl_wall(app->control);
  ctl_content_store(rev, d->contents);
  supersede(app, rev);
  ctl_touch_rev(rev);
  if (d->new_app || !app->target)
    ctl_set_state(app, CTL_APP_DEPLOYING, "images are being resolved");
  ctl_event(app->control, "info", "revision.created", app->ns, app->name, app->name, NULL, "%s: revision %d by %s%s%s", app->name, rev->number,
            rev->actor, rev->message ? ": " : "", rev->message ? rev->message : "");
  *d = (struct draft){0};
  ctl_source_revised(app, rev, before);
  ctl_resolve_begin(rev);
  ctl_dirty(app);
  return rev;
}

static json_t *apply_result(const struct ctl_app *app, int revision, bool changed, json_t *plan_steal) {
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
static void draft_finish(struct bt_control *c, struct draft *d, const struct bt_request *request, json_t *plan_steal) {
  json_t *result = apply_result(d->app, d->rev->number, true, plan_steal);
  add_warnings(result, d->rev);
  if (request->dry_run)
    draft_drop(d);
  else
    draft_commit(d);
  ctl_reply(c, request->id, result);
}

/* ---- an apply of what is there already ---- */

static bool stuck(const struct ctl_app *app) {
  bt_vec_each(&app->services, service)
      if ((*service)->spec && ((*service)->roll.state == BT_RO_PAUSED || (*service)->roll.state == BT_RO_FAILED))
        return true;
  return false;
}

/* Applying the same again is how a person says: try once more. */
static void try_again(struct ctl_app *app) {
  bt_vec_each(&app->services, s) {
    struct ctl_service *service = *s;
    if (service->roll.state != BT_RO_PAUSED && service->roll.state != BT_RO_FAILED)
      continue;
    service->roll = (struct bt_rollout){.state = BT_RO_START};
    bt_str_set(&service->note, NULL);
    try_instances(service, NULL);
  }
  ctl_rev_set_state(app->target, CTL_REV_ROLLING, NULL);
  ctl_touch_app(app);
  ctl_event(app->control, "info", "rollout.resumed", app->ns, app->name, app->name, NULL, "%s: the rollout of revision %d is tried again", app->name,
            app->target->number);
  ctl_dirty(app);
}

/* What was deployed and ended badly since, with no policy to start it: a person who says "up" wants it up. */
static void start_fallen(struct ctl_app *app) {
  bt_vec_each(&app->services, s)
    for (size_t i = (*s)->insts.len; i-- > 0;)
      if ((*s)->insts.items[i]->ended)
        try_instance((*s)->insts.items[i]);
  ctl_dirty(app);
}

static void apply_same(struct draft *d, const struct bt_request *request, json_t *plan_steal) {
  struct ctl_app *app = d->app;
  struct bt_control *c = app->control;
  int number = ctl_rev_latest(app)->number;
  draft_drop(d);
  if (!request->dry_run && !stuck(app) && ctl_rev_latest(app)->state == CTL_REV_DEPLOYED)
    start_fallen(app);
  if (stuck(app) && !request->dry_run) {
    try_again(app);
    ctl_reply(c, request->id, apply_result(app, number, false, plan_steal));
  } else if (request->dry_run || ctl_rev_latest(app)->state == CTL_REV_RESOLVING) {
    ctl_reply(c, request->id, apply_result(app, number, false, plan_steal));
  } else {
    json_decref(plan_steal);
    ctl_check_begin(app, request);
  }
}

static void refuse(struct bt_control *c, struct draft *d, const struct bt_request *request, const struct bt_err *err) {
  ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
  draft_drop(d);
}

static int check_app(const struct draft *d, const json_t *args, struct bt_err **err) {
  if (d->app->state == CTL_APP_REMOVING)
    return bt_err_set(err, BT_CONFLICT, "app %s is being removed; wait until it is gone", d->app->name);
  const json_t *if_match = json_object_get(args, "if_match");
  if (!json_is_integer(if_match))
    return 0;
  long long want = json_integer_value(if_match), is = next_number(d->app) - 1;
  if (want != is)
    return bt_err_set(err, BT_PRECONDITION, "app %s is at revision %lld, not %lld: somebody changed it meanwhile", d->app->name, is, want);
  return 0;
}

void ctl_apply(struct bt_control *c, const struct bt_request *request) {
  const json_t *args = request->args;
  const char *ns = bt_json_str_or(args, "namespace", "default"), *name = bt_json_str(args, "app");
  BT_AUTO_ERR err = NULL;
  struct draft d = {0};
  if (ctl_check_name("namespace", ns, &err) || ctl_check_name("app", name, &err)) {
    ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
    return;
  }
  draft_start(&d, c, ns, name);
  d.contents = bt_json_obj(args, "contents");
  draft_words(&d, request->actor, bt_json_str(args, "message"), bt_json_str(args, "source"), bt_json_str_or(args, "build", "missing"));
  draft_origin(&d, args);
  json_t *model = bt_json_obj(args, "model");
  if (check_app(&d, args, &err) || draft_model(&d, model ? json_incref(model) : json_object(), bt_json_str(args, "model_text"), &err)) {
    refuse(c, &d, request, err);
    return;
  }
  bool recreate = bt_json_bool(args, "recreate", false);
  json_t *plan = draft_plan(&d, recreate);
  const struct ctl_rev *latest = ctl_rev_latest(d.app);
  bool same = latest && !bt_diff_changes(plan) && (latest == d.app->target || latest->state == CTL_REV_RESOLVING);
  if (recreate)
    d.rev->salt = d.rev->number;
  if (same && !recreate)
    apply_same(&d, request, plan);
  else
    draft_finish(c, &d, request, plan);
}

/* A copy of a revision's content as a draft; -1 where it is not valid any more. */
static int draft_copy(struct draft *d, struct ctl_app *app, const struct ctl_rev *from, json_t *model_steal, struct bt_err **err) {
  draft_start(d, app->control, app->ns, app->name);
  take_pins(d->rev, from, model_steal);
  d->rev->salt = from->salt;
  d->rev->origin = from->origin ? json_incref(from->origin) : NULL;
  d->contents = from->contents; /* fingerprints of what is stored */
  return draft_model(d, model_steal, NULL, err);
}

static json_t *model_of(const struct ctl_rev *rev) {
  BT_AUTO_ERR err = NULL;
  json_t *model = bt_json_parse(rev->model_text, strlen(rev->model_text), 64u << 20, 0, "model", &err);
  BT_ASSERT(model); /* control wrote it */
  return model;
}

/* Services whose images moved get their new pins, and the plan says so. */
static void take_moved(struct draft *d, const struct ctl_rev *from, json_t *pins, json_t *plan) {
  const char *name;
  json_t *result;
  json_object_foreach(pins, name, result) {
    struct ctl_spec *spec = ctl_spec_find(d->rev, name);
    const struct ctl_spec *old = ctl_spec_find(from, name);
    size_t i;
    json_t *e;
    const char *digest = bt_json_str(result, "digest");
    if (!spec || !old || bt_streq(bt_json_str(result, "pinned"), old->pinned) || (digest && bt_streq(digest, old->digest)))
      continue;
    ctl_spec_pin(spec, result, ctl_wall(d->app->control));
    json_array_foreach(plan, i, e) if (bt_streq(bt_json_str(e, "name"), name) && bt_streq(bt_json_str(e, "kind"), "service")) {
      BT_AUTO_FREE char *reason = bt_asprintf("image %s now is %s", spec->image, spec->pinned);
      bt_json_set_str(e, "action", "update");
      bt_json_set_str(e, "reason", reason);
    }
  }
}

void ctl_apply_moved(struct ctl_app *app, struct ctl_check *check) {
  struct bt_control *c = app->control;
  struct ctl_rev *latest = ctl_rev_latest(app);
  struct draft d = {0};
  BT_AUTO_ERR err = NULL;
  struct bt_request request = {.id = check->request, .args = check->args, .actor = check->actor};
  if (draft_copy(&d, app, latest, model_of(latest), &err)) {
    refuse(c, &d, &request, err);
    return;
  }
  const char *message = bt_json_str(check->args, "message");
  draft_words(&d, check->actor, message ? message : "images moved", bt_json_str(check->args, "source"), "missing");
  draft_origin(&d, check->args);
  json_t *plan = draft_plan(&d, false);
  take_moved(&d, latest, check->pins, plan);
  draft_finish(c, &d, &request, plan);
}

void ctl_apply_again(struct ctl_app *app, const char *actor, const char *message) {
  struct draft d = {0};
  BT_AUTO_ERR err = NULL;
  struct ctl_rev *latest = ctl_rev_latest(app);
  if (draft_copy(&d, app, latest, model_of(latest), &err)) {
    ctl_event(app->control, "error", "app.stuck", app->ns, app->name, app->name, NULL, "%s: %s, but it cannot be applied again: %s", app->name, message,
              bt_err_message(err));
    draft_drop(&d);
    return;
  }
  draft_words(&d, actor, message, latest->source, "missing");
  bt_str_set(&d.rev->cause, "secret");
  draft_commit(&d);
}

/* ---- scale ---- */

static int set_scale(json_t *model, json_t *services, struct bt_err **err) {
  const char *name;
  json_t *value;
  json_object_foreach(services, name, value) {
    json_t *service = bt_json_obj(bt_json_obj(model, "services"), name);
    if (!service)
      return bt_err_set(err, BT_NOT_FOUND, "the app has no service %s", name);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
      return bt_err_set(err, BT_INVALID, "service %s: give the number of replicas as a whole number from 0", name);
    json_t *deploy = bt_json_obj(service, "deploy");
    if (bt_starts(bt_json_str_or(deploy, "mode", "replicated"), "global"))
      return bt_err_set(err, BT_INVALID, "service %s runs once per node (deploy.mode global); it cannot be scaled", name);
    if (!deploy)
      json_object_set_new(service, "deploy", deploy = json_object());
    json_object_set(deploy, "replicas", value);
    if (json_object_get(service, "scale"))
      json_object_set(service, "scale", value);
  }
  return 0;
}

static struct ctl_app *app_of(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *name = bt_json_str_or(request->args, "app", "");
  struct ctl_app *app = ctl_app_find(c, ns, name);
  if (!app)
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no app %s in namespace %s; see: berth ls", name, ns);
  else if (app->state == CTL_APP_REMOVING) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "app %s is being removed", name);
    app = NULL;
  }
  return app;
}

/* Newer tags and moved images of what stands, as update.c found them; after the admission. */
void ctl_apply_update(struct bt_control *c, const struct bt_request *request) {
  const json_t *args = request->args;
  struct ctl_app *app = app_of(c, request);
  const struct ctl_rev *from = app ? ctl_rev_find(app, (int)bt_json_int(args, "of", 0)) : NULL;
  if (app && (!from || from != app->target || ctl_rev_latest(app)->number != bt_json_int(args, "revision", 0)))
    ctl_reply_err(c, request->id, BT_CONFLICT, "app %s changed meanwhile", app->name);
  if (!app || !from || from != app->target || ctl_rev_latest(app)->number != bt_json_int(args, "revision", 0))
    return;
  BT_AUTO_ERR err = NULL;
  struct draft d = {0};
  BT_AUTO_JSON model = model_of(from);
  const char *name;
  json_t *image;
  json_object_foreach(bt_json_obj(args, "images"), name, image)
    if (bt_json_obj(bt_json_obj(model, "services"), name))
      json_object_set(bt_json_obj(bt_json_obj(model, "services"), name), "image", image);
  if (draft_copy(&d, app, from, json_incref(model), &err)) {
    refuse(c, &d, request, err);
    return;
  }
  draft_words(&d, request->actor, bt_json_str(args, "message"), from->source, "missing");
  bt_str_set(&d.rev->cause, "update");
  json_t *origin = d.rev->origin ? json_copy(d.rev->origin) : json_object();
  bt_json_set(origin, "images", json_deep_copy(bt_json_obj(args, "images") ? bt_json_obj(args, "images") : json_object()));
  json_decref(d.rev->origin);
  d.rev->origin = origin;
  json_t *plan = draft_plan(&d, false);
  take_moved(&d, from, bt_json_obj(args, "pins"), plan);
  draft_finish(c, &d, request, plan);
}

static void finish_or_same(struct bt_control *c, struct draft *d, const struct bt_request *request) {
  json_t *plan = draft_plan(d, false);
  struct ctl_app *app = d->app;
  if (bt_diff_changes(plan)) {
    draft_finish(c, d, request, plan);
    return;
  }
  draft_drop(d);
  ctl_reply(c, request->id, apply_result(app, ctl_rev_latest(app)->number, false, plan));
}

void ctl_scale(struct bt_control *c, const struct bt_request *request) {
  struct ctl_app *app = app_of(c, request);
  if (!app)
    return;
  BT_AUTO_ERR err = NULL;
  struct draft d = {0};
  struct ctl_rev *latest = ctl_rev_latest(app);
  BT_AUTO_JSON model = model_of(latest);
  if (set_scale(model, bt_json_obj(request->args, "services"), &err) || draft_copy(&d, app, latest, json_incref(model), &err)) {
    refuse(c, &d, request, err);
    return;
  }
  BT_AUTO_BUF message = {0};
  const char *name;
  json_t *n;
  bt_buf_adds(&message, "scale");
  json_object_foreach(bt_json_obj(request->args, "services"), name, n)
    bt_buf_addf(&message, " %s=%lld", name, (long long)json_integer_value(n));
  draft_words(&d, request->actor, message.data, latest->source, "missing");
  finish_or_same(c, &d, request);
}

/* ---- going back ---- */

/* The revision before the one that is in force: the last one that was deployed whole and is older. */
static struct ctl_rev *revision_before(const struct ctl_app *app) {
  const struct ctl_rev *latest = ctl_rev_latest(app);
  int below = latest->number;
  /* A revision that brings an earlier one back stands where that one stood, so that going back twice goes back two steps. */
  for (const struct ctl_rev *r = latest; r && r->rollback_of; r = ctl_rev_find(app, r->rollback_of))
    below = r->rollback_of;
  for (size_t i = app->revs.len; i-- > 0;) {
    struct ctl_rev *rev = app->revs.items[i];
    if (rev->number < below && rev->deployed)
      return rev;
  }
  return NULL;
}

void ctl_rollback(struct bt_control *c, const struct bt_request *request) {
  struct ctl_app *app = app_of(c, request);
  if (!app)
    return;
  const json_t *to = json_object_get(request->args, "to");
  struct ctl_rev *from = json_is_integer(to) ? ctl_rev_find(app, (int)json_integer_value(to)) : revision_before(app);
  if (!from) {
    if (json_is_integer(to))
      ctl_reply_err(c, request->id, BT_NOT_FOUND, "app %s has no revision %lld; see: berth history %s", app->name,
                    (long long)json_integer_value(to), app->name);
    else
      ctl_reply_err(c, request->id, BT_CONFLICT, "app %s has no earlier revision that was deployed", app->name);
    return;
  }
  BT_AUTO_ERR err = NULL;
  struct draft d = {0};
  if (draft_copy(&d, app, from, model_of(from), &err)) {
    refuse(c, &d, request, err);
    return;
  }
  BT_AUTO_FREE char *usual = bt_asprintf("back to revision %d", from->number);
  draft_words(&d, request->actor, bt_json_str_or(request->args, "message", usual), from->source, "missing");
  d.rev->rollback_of = from->number;
  json_t *plan = draft_plan(&d, false);
  draft_finish(c, &d, request, plan);
}

void ctl_rollback_auto(struct ctl_app *app, const char *why) {
  struct ctl_rev *failed = app->target, *from = ctl_rev_find(app, app->stable);
  ctl_rev_set_state(failed, CTL_REV_FAILED, why);
  BT_AUTO_ERR err = NULL;
  struct draft d = {0};
  if (!from || from == failed || draft_copy(&d, app, from, model_of(from), &err)) {
    ctl_event(app->control, "error", "rollout.failed", app->ns, app->name, app->name, NULL, "%s: revision %d failed and there is none to go back to: %s",
              app->name, failed->number, why);
    draft_drop(&d);
    bt_vec_each(&app->services, service) if ((*service)->roll.state == BT_RO_ROLLBACK) (*service)->roll.state = BT_RO_PAUSED;
    ctl_touch_app(app);
    return;
  }
  BT_AUTO_FREE char *message = bt_asprintf("back to revision %d, since revision %d failed", from->number, failed->number);
  draft_words(&d, "system", message, from->source, "missing");
  d.rev->rollback_of = from->number;
  d.rev->automatic = true;
  bt_str_set(&d.rev->cause, "rollback");
  ctl_event(app->control, "error", "rollout.rolled-back", app->ns, app->name, app->name, NULL, "%s: %s: %s", app->name, message, why);
  draft_commit(&d);
}

/* ---- the images are known ---- */

void ctl_resolved(struct ctl_rev *rev) {
  struct bt_control *c = rev->app->control;
  rev->hashing = 0;
  bt_vec_each(&c->hashing, other) if (*other == rev) return;
  bt_vec_push(&c->hashing, rev);
}

void ctl_hashed(struct ctl_rev *rev) {
  struct ctl_app *app = rev->app;
  struct ctl_rev *before = app->target;
  if (before && before != rev && before->state == CTL_REV_ROLLING)
    ctl_rev_set_state(before, CTL_REV_SUPERSEDED, "a newer revision came before it was through");
  app->target = rev;
  ctl_rev_set_state(rev, CTL_REV_ROLLING, NULL);
  bt_vec_each(&rev->specs, spec) {
    struct ctl_service *service = ctl_service_get(app, (*spec)->service->name);
    service->roll = (struct bt_rollout){.state = BT_RO_START};
    service->moved = false;
    bt_str_set(&service->note, NULL);
    /* What stays as it is gets a new chance with the new revision. */
    try_instances(service, (*spec)->hash);
  }
  ctl_link_specs(app);
  ctl_routes_changed(app);
  ctl_update_plan(app);
  ctl_set_state(app, rev->rollback_of ? CTL_APP_ROLLING_BACK : CTL_APP_DEPLOYING, "revision %d is rolled out", rev->number);
  ctl_dirty(app);
}

void ctl_resolve_failed(struct ctl_rev *rev, const char *why) {
  struct ctl_app *app = rev->app;
  ctl_rev_set_state(rev, CTL_REV_FAILED, why);
  ctl_calls_drop(app->control, app);
  ctl_event(app->control, "error", "revision.failed", app->ns, app->name, app->name, NULL, "%s: revision %d failed: %s", app->name, rev->number, why);
  if (!app->target)
    ctl_set_state(app, CTL_APP_FAILED, "%s", why);
  ctl_dirty(app);
}
