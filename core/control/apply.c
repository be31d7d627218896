#include "config.h"

#include "base/plant.h"
#include "control/draft.h"
#include "plan/diff.h"

/* What ended for good is started again; what still tries is given another chance. */
static void try_instance(struct ctl_inst *inst) {
  int64_t now = inst->service->app->control->now_ms;
  if (ctl_inst_done(inst) || inst->leaving || inst->run) /* runs are tried again when they are due again */
    return;
  if (bt_service_is_job(inst->spec->service)) {
    if (inst->ended)
      ctl_release(inst, "its job is tried again"); /* attempts are counted anew */
    return;
  }
  if (inst->ended || ctl_seen(inst)->lasting) { /* at once: what was in the way may be mended */
    ctl_restart_inst(inst, "its rollout is tried again");
    return;
  }
  inst->struck = false;
  inst->begun_ms = now;
  if (inst->seen)
    inst->seen->failures_before = inst->seen->failures;
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

static void apply_same(struct ctl_draft *d, const struct bt_request *request, json_t *plan_steal) {
  struct ctl_app *app = d->app;
  struct bt_control *c = app->control;
  int number = ctl_rev_latest(app)->number;
  ctl_draft_drop(d);
  if (!request->dry_run && !stuck(app) && ctl_rev_latest(app)->state == CTL_REV_DEPLOYED)
    start_fallen(app);
  if (stuck(app) && !request->dry_run) {
    try_again(app);
    ctl_reply(c, request->id, ctl_apply_result(app, number, false, plan_steal));
  } else if (request->dry_run || ctl_rev_latest(app)->state == CTL_REV_RESOLVING) {
    ctl_reply(c, request->id, ctl_apply_result(app, number, false, plan_steal));
  } else {
    json_decref(plan_steal);
    ctl_check_begin(app, request);
  }
}

static int check_app(const struct ctl_draft *d, const json_t *args, struct bt_err **err) {
  if (d->app->state == CTL_APP_REMOVING)
    return bt_err_set(err, BT_CONFLICT, "app %s is being removed; wait until it is gone", d->app->name);
  const json_t *if_match = json_object_get(args, "if_match");
  if (!json_is_integer(if_match))
    return 0;
  long long want = json_integer_value(if_match), is = ctl_next_number(d->app) - 1;
  if (want != is)
    return bt_err_set(err, BT_PRECONDITION, "app %s is at revision %lld, not %lld: somebody changed it meanwhile", d->app->name, is, want);
  return 0;
}

int ctl_draft_open(struct ctl_draft *d, struct bt_control *c, const struct bt_request *request, struct bt_err **err) {
  const json_t *args = request->args;
  const char *ns = bt_json_str_or(args, "namespace", "default");
  ctl_draft_start(d, c, ns, bt_json_str(args, "app"));
  ctl_zones_take(c, bt_json_obj(args, "zones"));
  d->contents = bt_json_obj(args, "contents");
  ctl_draft_words(d, request->actor, bt_json_str(args, "message"), bt_json_str(args, "source"), bt_json_str_or(args, "build", "missing"));
  ctl_draft_origin(d, args);
  if (check_app(d, args, err))
    return -1;
  json_t *model = bt_json_obj(args, "model");
  model = ctl_quota_fill(c, ns, model ? json_incref(model) : json_object(), &d->filled);
  return ctl_draft_model(d, model, d->filled ? NULL : bt_json_str(args, "model_text"), err);
}

void ctl_apply(struct bt_control *c, const struct bt_request *request) {
  const json_t *args = request->args;
  const char *ns = bt_json_str_or(args, "namespace", "default"), *name = bt_json_str(args, "app");
  BT_AUTO_ERR err = NULL;
  struct ctl_draft d = {0};
  if (ctl_check_name("namespace", ns, &err) || ctl_check_name("app", name, &err)) {
    ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
    return;
  }
  if (ctl_draft_open(&d, c, request, &err)) {
    ctl_draft_refuse(c, &d, request, err);
    return;
  }
  bool recreate = bt_json_bool(args, "recreate", false);
  json_t *plan = ctl_draft_plan(&d, recreate);
  const struct ctl_rev *latest = ctl_rev_latest(d.app);
  bool same = latest && !bt_diff_changes(plan) && (latest == d.app->target || latest->state == CTL_REV_RESOLVING);
  if (recreate)
    d.rev->salt = d.rev->number;
  if (same && !recreate)
    apply_same(&d, request, plan);
  else
    ctl_draft_finish(c, &d, request, plan);
}

/* Services whose images moved get their new pins, and the plan says so. */
static void take_moved(struct ctl_draft *d, const struct ctl_rev *from, json_t *pins, json_t *plan) {
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
  struct ctl_draft d = {0};
  BT_AUTO_ERR err = NULL;
  struct bt_request request = {.id = check->request, .args = check->args, .actor = check->actor};
  if (ctl_draft_copy(&d, app, latest, ctl_rev_model(latest), &err)) {
    ctl_draft_refuse(c, &d, &request, err);
    return;
  }
  const char *message = bt_json_str(check->args, "message");
  ctl_draft_words(&d, check->actor, message ? message : "images moved", bt_json_str(check->args, "source"), "missing");
  ctl_draft_origin(&d, check->args);
  json_t *plan = ctl_draft_plan(&d, false);
  take_moved(&d, latest, check->pins, plan);
  ctl_draft_finish(c, &d, &request, plan);
}

void ctl_apply_again(struct ctl_app *app, const char *actor, const char *message) {
  struct ctl_draft d = {0};
  BT_AUTO_ERR err = NULL;
  struct ctl_rev *latest = ctl_rev_latest(app);
  if (ctl_draft_copy(&d, app, latest, ctl_rev_model(latest), &err)) {
    ctl_event(app->control, "error", "app.stuck", app->ns, app->name, app->name, NULL, "%s: %s, but it cannot be applied again: %s", app->name, message,
              bt_err_message(err));
    ctl_draft_drop(&d);
    return;
  }
  ctl_draft_words(&d, actor, message, latest->source, "missing");
  bt_str_set(&d.rev->cause, "secret");
  ctl_draft_commit(&d);
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
    if (bt_starts(bt_json_str_or(bt_json_obj(service, "deploy"), "mode", "replicated"), "global"))
      return bt_err_set(err, BT_INVALID, "service %s runs once per node (deploy.mode global); it cannot be scaled", name);
    bt_autoscale_replicas(service, value);
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
  struct ctl_draft d = {0};
  BT_AUTO_JSON model = ctl_rev_model(from);
  const char *name;
  json_t *image;
  json_object_foreach(bt_json_obj(args, "images"), name, image)
    if (bt_json_obj(bt_json_obj(model, "services"), name))
      json_object_set(bt_json_obj(bt_json_obj(model, "services"), name), "image", image);
  if (ctl_draft_copy(&d, app, from, json_incref(model), &err)) {
    ctl_draft_refuse(c, &d, request, err);
    return;
  }
  ctl_draft_words(&d, request->actor, bt_json_str(args, "message"), from->source, "missing");
  bt_str_set(&d.rev->cause, "update");
  json_t *origin = d.rev->origin ? json_copy(d.rev->origin) : json_object();
  bt_json_set(origin, "images", json_deep_copy(bt_json_obj(args, "images") ? bt_json_obj(args, "images") : json_object()));
  json_decref(d.rev->origin);
  d.rev->origin = origin;
  json_t *plan = ctl_draft_plan(&d, false);
  take_moved(&d, from, bt_json_obj(args, "pins"), plan);
  ctl_draft_finish(c, &d, request, plan);
}

static void finish_or_same(struct bt_control *c, struct ctl_draft *d, const struct bt_request *request) {
  json_t *plan = ctl_draft_plan(d, false);
  struct ctl_app *app = d->app;
  if (bt_diff_changes(plan)) {
    ctl_draft_finish(c, d, request, plan);
    return;
  }
  ctl_draft_drop(d);
  ctl_reply(c, request->id, ctl_apply_result(app, ctl_rev_latest(app)->number, false, plan));
}

/* ---- scale of services that scale by themselves: the number is set within its bounds, and goes on from there; no revision is made ---- */

struct by_hand {
  json_t *plan, *others; /* others: services whose number is the file's */
  bool any;
};

static void add_step(json_t *plan, const char *name, int from, int to) {
  BT_AUTO_FREE char *reason = bt_asprintf(from == to ? "it has %d" : "scaled from %d to %d; it goes on by its load from there", from, to);
  json_t *e = json_object();
  bt_json_set_str(e, "action", from == to ? "keep" : "scale");
  bt_json_set_str(e, "kind", "service");
  bt_json_set_str(e, "name", name);
  bt_json_set_str(e, "reason", reason);
  bt_json_set(e, "changes", json_array());
  bt_json_set_int(e, "instances", to);
  json_array_append_new(plan, e);
}

static int part(const struct ctl_app *app, const struct bt_request *request, struct by_hand *out, struct bt_err **err) {
  const char *name;
  json_t *n;
  json_object_foreach(bt_json_obj(request->args, "services"), name, n) {
    const struct ctl_service *service = ctl_service_find(app, name);
    bool follows = service && service->spec && ctl_scales(service) && json_is_integer(n);
    if (!follows || (json_integer_value(n) == 0 && service->spec->service->autoscale->min > 0)) { /* 0 switches it off: by the file */
      json_object_set(out->others, name, n);
      continue;
    }
    if (ctl_scale_check(service, json_integer_value(n), err))
      return -1;
    add_step(out->plan, name, ctl_replicas(service), (int)json_integer_value(n));
    out->any = true;
  }
  return 0;
}

static void set_by_hand(const struct ctl_app *app, const struct bt_request *request, const json_t *others) {
  const char *name;
  json_t *n;
  json_object_foreach(bt_json_obj(request->args, "services"), name, n) if (!json_object_get(others, name))
      ctl_scale_by_hand(ctl_service_find(app, name), (int)json_integer_value(n), request->actor);
}

/* True where nothing is left to do. */
static bool scale_by_hand(struct bt_control *c, struct ctl_app *app, const struct bt_request *request, json_t *others) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON plan = json_array();
  struct by_hand hand = {.plan = plan, .others = others};
  if (part(app, request, &hand, &err)) {
    ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
    return true;
  }
  if (hand.any && json_object_size(others) > 0) {
    ctl_reply_err(c, request->id, BT_INVALID, "of these services some scale by themselves and others do not: scale them one after the other");
    return true;
  }
  if (!hand.any)
    return false;
  if (!request->dry_run)
    set_by_hand(app, request, others);
  ctl_reply(c, request->id, ctl_apply_result(app, ctl_rev_latest(app)->number, false, bt_steal(plan)));
  return true;
}

void ctl_scale(struct bt_control *c, const struct bt_request *request) {
  struct ctl_app *app = app_of(c, request);
  BT_AUTO_JSON others = json_object();
  if (!app || scale_by_hand(c, app, request, others))
    return;
  BT_AUTO_ERR err = NULL;
  struct ctl_draft d = {0};
  struct ctl_rev *latest = ctl_rev_latest(app);
  BT_AUTO_JSON model = ctl_rev_model(latest);
  if (set_scale(model, bt_json_obj(request->args, "services"), &err) || ctl_draft_copy(&d, app, latest, json_incref(model), &err)) {
    ctl_draft_refuse(c, &d, request, err);
    return;
  }
  BT_AUTO_BUF message = {0};
  const char *name;
  json_t *n;
  bt_buf_adds(&message, "scale");
  json_object_foreach(bt_json_obj(request->args, "services"), name, n)
    bt_buf_addf(&message, " %s=%lld", name, (long long)json_integer_value(n));
  ctl_draft_words(&d, request->actor, message.data, latest->source, "missing");
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
  struct ctl_draft d = {0};
  if (ctl_draft_copy(&d, app, from, ctl_rev_model(from), &err)) {
    ctl_draft_refuse(c, &d, request, err);
    return;
  }
  BT_AUTO_FREE char *usual = bt_asprintf("back to revision %d", from->number);
  ctl_draft_words(&d, request->actor, bt_json_str_or(request->args, "message", usual), from->source, "missing");
  d.rev->rollback_of = from->number;
  json_t *plan = ctl_draft_plan(&d, false);
  ctl_draft_finish(c, &d, request, plan);
}

void ctl_rollback_auto(struct ctl_app *app, const char *why) {
  struct ctl_rev *failed = app->target, *from = ctl_rev_find(app, app->stable);
  ctl_rev_set_state(failed, CTL_REV_FAILED, why);
  BT_AUTO_ERR err = NULL;
  struct ctl_draft d = {0};
  if (!from || from == failed || ctl_draft_copy(&d, app, from, ctl_rev_model(from), &err)) {
    ctl_event(app->control, "error", "rollout.failed", app->ns, app->name, app->name, NULL, "%s: revision %d failed and there is none to go back to: %s",
              app->name, failed->number, why);
    ctl_draft_drop(&d);
    bt_vec_each(&app->services, service) if ((*service)->roll.state == BT_RO_ROLLBACK) (*service)->roll.state = BT_RO_PAUSED;
    ctl_touch_app(app);
    if (!BT_PLANT(NO_WAY_BACK))
      ctl_set_state(app, CTL_APP_FAILED, "%s", why);
    return;
  }
  bool aborted = ctl_way_aborted(app); /* then the message says why */
  BT_AUTO_FREE char *message = aborted ? bt_asprintf("back to revision %d: %s", from->number, why)
                                       : bt_asprintf("back to revision %d, since revision %d failed", from->number, failed->number);
  ctl_draft_words(&d, "system", message, from->source, "missing");
  d.rev->rollback_of = from->number;
  d.rev->automatic = true;
  bt_str_set(&d.rev->cause, "rollback");
  ctl_event(app->control, "error", "rollout.rolled-back", app->ns, app->name, app->name, NULL, "%s: %s%s%s", app->name, message,
            aborted ? "" : ": ", aborted ? "" : why);
  ctl_draft_commit(&d);
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
    ctl_way_left(service, *spec);
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
