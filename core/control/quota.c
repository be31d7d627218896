/* What apps claim of their namespaces' quotas and what they hold, told plan/quota when it changes: an instance when it gets a place and when it gives
 * it back, a volume when it is made and when it is gone, an app's claim when the app is stored. Nothing is summed over instances. */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "base/plant.h"
#include "control/quota.h"

/* ---- settings ---- */

const struct bt_namespace *ctl_namespace(const struct bt_control *c, const char *name) { return bt_map_get(c->namespaces_by_name, name); }

const struct bt_namespace *ctl_namespace_parent(const struct bt_control *c, const struct bt_namespace *n) {
  return n->parent ? ctl_namespace(c, n->parent) : NULL;
}

static void take_rules(struct bt_control *c) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE struct bt_quota_rule *rules = bt_newn(struct bt_quota_rule, c->namespaces.len + 1);
  for (size_t i = 0; i < c->namespaces.len; i++) {
    const struct bt_namespace *n = &c->namespaces.items[i];
    rules[i] = (struct bt_quota_rule){.name = n->name, .parent = n->parent};
    memcpy(rules[i].limit, n->limit, sizeof n->limit);
  }
  if (bt_quota_rules(c->quota, rules, c->namespaces.len, &err)) /* the configuration's check lets none through; without limits nobody is stopped */
    BT_ASSERT(bt_quota_rules(c->quota, NULL, 0, NULL) == 0);
}

void ctl_quota_take(struct bt_control *c, const json_t *section) {
  if (!c->quota)
    c->quota = bt_quota_new();
  bt_map_free(&c->namespaces_by_name);
  bt_namespaces_free(&c->namespaces);
  c->namespaces = bt_namespaces_of(section);
  c->namespaces_by_name = bt_map_new(NULL);
  bt_vec_each(&c->namespaces, n) bt_map_set(c->namespaces_by_name, n->name, n);
  take_rules(c);
  bt_vec_each(&c->quota_waiting, app)(*app)->quota_waits = NULL; /* their namespaces may be gone; who takes settings looks at all apps */
  c->quota_waiting.len = 0;
}

void ctl_quota_free(struct bt_control *c) {
  bt_map_free(&c->namespaces_by_name);
  bt_namespaces_free(&c->namespaces);
  bt_vec_free(&c->quota_waiting);
  bt_quota_free(&c->quota);
}

/* ---- amounts ---- */

static int64_t thousandths(double cpus) { return cpus > 0 ? (int64_t)ceil(BT_MIN(cpus, 1e12) * 1000 - 1e-6) : 0; }

struct bt_quota_amounts ctl_quota_one(const struct bt_service *s) {
  struct bt_quota_amounts one = {{0}};
  one.n[BT_QUOTA_CPUS] = thousandths(bt_service_cpus(s));
  one.n[BT_QUOTA_MEMORY] = BT_MAX(bt_service_memory(s), 0);
  one.n[BT_QUOTA_INSTANCES] = 1;
  bt_vec_each(&s->devices.requests, r) one.n[BT_QUOTA_DEVICES] += r->count > 0 ? r->count : 1;
  return one;
}

/* What the services of a revision ask for, but for jobs, which count when they run; without volumes. */
static struct bt_quota_amounts asked_by(const struct ctl_rev *rev) {
  struct bt_quota_amounts all = {{0}};
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    struct bt_quota_amounts one = ctl_quota_one(s);
    if (!bt_service_is_job(s))
      bt_quota_add(&all, &one, bt_service_least(s));
    all.n[BT_QUOTA_ROUTES] += (int64_t)s->routes.len;
  }
  return all;
}

/* Beside the volumes of the app that are there already, those that the revision would have made. */
static int64_t volumes_of(const struct ctl_app *app, const struct ctl_rev *rev) {
  int64_t n = 0;
  const char *key;
  json_t *item;
  json_object_foreach(bt_json_obj(rev->model, "volumes"), key, item) {
    bool external;
    BT_AUTO_FREE char *name = ctl_volume_name(rev, key, &external);
    n += !external && !ctl_res_find(app->control, CTL_VOLUME, app->ns, name);
  }
  return n + bt_quota_int(app->quota->held[BT_QUOTA_VOLUMES]);
}

/* Kept with the revision: it never changes, and an app is stored at every step of a rollout. */
static struct bt_quota_amounts amounts_of(const struct ctl_app *app, struct ctl_rev *rev) {
  if (!rev->asks) {
    rev->asks = bt_new(struct bt_quota_amounts);
    *rev->asks = asked_by(rev);
  }
  struct bt_quota_amounts a = *rev->asks;
  a.n[BT_QUOTA_VOLUMES] = volumes_of(app, rev);
  return a;
}

struct bt_quota_amounts ctl_quota_claim_of(const struct ctl_app *app, const struct ctl_rev *rev, enum ctl_quota_with with) {
  const struct ctl_rev *revs[CTL_CLAIMS];
  struct bt_quota_amounts claim = {{0}};
  for (size_t i = 0, n = with == CTL_QUOTA_ALONE ? 0 : ctl_rev_claims(app, revs); i < n; i++) {
    bool back = revs[i] != app->target && revs[i]->state != CTL_REV_RESOLVING;
    if (back && with != CTL_QUOTA_WAY_BACK)
      continue;
    struct bt_quota_amounts a = amounts_of(app, (struct ctl_rev *)(uintptr_t)revs[i]);
    bt_quota_most(&claim, &a);
  }
  if (rev) {
    struct bt_quota_amounts a = amounts_of(app, (struct ctl_rev *)(uintptr_t)rev);
    bt_quota_most(&claim, &a);
  }
  return claim;
}

/* ---- who waits ---- */

/* The apps that a limit of this namespace, or of one above it, keeps waiting are looked at again. */
static void came_free(struct bt_control *c, const struct bt_quota_space *space) {
  size_t kept = 0;
  for (size_t i = 0; i < c->quota_waiting.len; i++) {
    struct ctl_app *app = c->quota_waiting.items[i];
    if (!bt_quota_within(space, app->quota_waits)) {
      c->quota_waiting.items[kept++] = app;
      continue;
    }
    app->quota_waits = NULL;
    ctl_dirty(app);
    ctl_wake(app, c->now_ms);
  }
  c->quota_waiting.len = kept;
}

static void wait_for(struct ctl_app *app, const struct bt_quota_space *space) {
  if (!app->quota_waits)
    bt_vec_push(&app->control->quota_waiting, app);
  app->quota_waits = space;
}

/* ---- apps, instances, volumes ---- */

void ctl_quota_app_new(struct ctl_app *app) { app->quota = bt_quota_user(app->control->quota, app->ns, app->name); }

void ctl_quota_app(struct ctl_app *app) {
  struct bt_quota_amounts claim = {{0}};
  bool there = app->state != CTL_APP_REMOVING, less = false;
  if (there)
    claim = ctl_quota_claim_of(app, NULL, CTL_QUOTA_WAY_BACK);
  if (there && !bt_quota_may_claim(app->quota, &claim, NULL)) /* others took what it once had */
    claim = ctl_quota_claim_of(app, NULL, CTL_QUOTA_FORWARD);
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    less = less || claim.n[d] < app->quota->claim.n[d];
  bt_quota_claim(app->quota, &claim);
  if (less)
    came_free(app->control, app->quota->space);
}

void ctl_quota_loaded(struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    struct ctl_app *app = it.value;
    struct bt_quota_amounts claim = {{0}};
    if (app->state != CTL_APP_REMOVING)
      claim = ctl_quota_claim_of(app, NULL, CTL_QUOTA_FORWARD);
    bt_quota_claim(app->quota, &claim);
  }
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
    ctl_quota_app(it.value);
}

void ctl_quota_app_gone(struct ctl_app *app) {
  struct bt_control *c = app->control;
  for (size_t i = c->quota_waiting.len; app->quota_waits && i-- > 0;)
    if (c->quota_waiting.items[i] == app)
      bt_vec_remove(&c->quota_waiting, i);
  bt_quota_claim(app->quota, &(struct bt_quota_amounts){{0}});
  came_free(c, app->quota->space);
  (void)bt_quota_user_drop(c->quota, app->ns, app->name); /* stays where volumes of it do */
}

void ctl_quota_keep(struct ctl_app *app, const struct ctl_spec *spec, bool kept) {
  struct bt_quota_amounts one = ctl_quota_one(spec->service);
  if (kept) {
    bt_quota_hold(app->quota, &one);
    return;
  }
  bt_quota_release(app->quota, &one);
  came_free(app->control, app->quota->space);
}

void ctl_quota_lent_back(struct ctl_app *app, const struct ctl_spec *spec) {
  struct bt_quota_amounts one = ctl_quota_one(spec->service);
  bt_quota_release(app->quota, &one);
}

void ctl_quota_look(struct bt_control *c) {
  bt_vec_each(&c->quota_waiting, app) {
    (*app)->quota_waits = NULL;
    ctl_dirty(*app);
    ctl_wake(*app, c->now_ms);
  }
  c->quota_waiting.len = 0;
}

void ctl_quota_held(const struct ctl_inst *inst) { ctl_quota_keep(inst->service->app, inst->spec, true); }

void ctl_quota_gone(const struct ctl_inst *inst) { ctl_quota_keep(inst->service->app, inst->spec, false); }

void ctl_quota_volume(struct bt_control *c, const struct ctl_res *res, bool there) {
  const struct bt_quota_amounts one = {.n = {[BT_QUOTA_VOLUMES] = 1}};
  if (res->kind != CTL_VOLUME || !res->app)
    return;
  struct bt_quota_user *user = bt_quota_user(c->quota, res->ns, res->app);
  if (there) {
    bt_quota_hold(user, &one);
    return;
  }
  bt_quota_release(user, &one);
  came_free(c, user->space);
  struct ctl_app *app = ctl_app_find(c, res->ns, res->app);
  if (app)
    ctl_touch_app(app); /* its claim counts volumes that are there */
  else
    (void)bt_quota_user_drop(c->quota, res->ns, res->app);
}

/* ---- when instances begin ---- */

bool ctl_quota_room_for(const struct ctl_app *app, const struct bt_service *service, size_t n) {
  struct bt_quota_amounts one = ctl_quota_one(service), all = {{0}};
  bt_quota_add(&all, &one, (int64_t)n);
  return bt_quota_may_hold(app->quota, &all, NULL);
}

bool ctl_quota_room(const struct ctl_app *app, const struct bt_service *service, struct bt_quota_no *no) {
  struct bt_quota_amounts one = ctl_quota_one(service);
  return bt_quota_may_hold(app->quota, &one, no);
}

static void words_of(const struct bt_quota_no *no, char *why, size_t size) {
  char limit[64];
  snprintf(why, size, "waits for the quota of namespace %s, which is %s", no->space->name, bt_quota_words(no->dim, no->limit, limit));
}

/* Where old and new of a slot have no room side by side, the old one goes first, whatever the order says; but for an update that goes another way than slot by slot
 * (blue-green, canary), which needs both and waits. */
static void hand_over(const struct ctl_inst *inst) {
  struct ctl_service *service = inst->service;
  struct bt_control *c = service->app->control;
  if (service->roll.state != BT_RO_UPDATING || ctl_way(service) || c->room <= 0 || bt_service_is_job(inst->spec->service))
    return;
  bt_vec_each(&service->insts, i) {
    struct ctl_inst *old = *i;
    if (old == inst || old->slot != inst->slot || old->leaving || !old->node || ctl_inst_current(old))
      continue;
    struct bt_quota_amounts less = ctl_quota_one(old->spec->service), more = ctl_quota_one(inst->spec->service);
    for (int d = 0; d < BT_QUOTA_DIMS; d++)
      more.n[d] -= less.n[d];
    if (!bt_quota_may_hold(service->app->quota, &more, NULL))
      return;
    c->room--;
    ctl_release(old, "its namespace's quota has no room for its successor beside it");
    return;
  }
}

bool ctl_quota_may(const struct ctl_inst *inst, char *why, size_t size) {
  struct bt_quota_no no;
  if (BT_PLANT(QUOTA_IGNORED) || ctl_quota_room(inst->service->app, inst->spec->service, &no))
    return true;
  words_of(&no, why, size);
  wait_for(inst->service->app, no.space);
  hand_over(inst);
  return false;
}

bool ctl_quota_may_change(const struct ctl_inst *inst, const struct ctl_spec *to, char *why, size_t size) {
  struct bt_quota_amounts less = ctl_quota_one(inst->spec->service), more = ctl_quota_one(to->service);
  struct bt_quota_no no;
  bool grows = false;
  for (int d = 0; d < BT_QUOTA_DIMS; d++) {
    more.n[d] -= less.n[d];
    grows = grows || more.n[d] > 0;
  }
  if (!grows || inst->seat == BT_FLEET_NONE || bt_quota_may_hold(inst->service->app->quota, &more, &no))
    return true;
  words_of(&no, why, size);
  wait_for(inst->service->app, no.space);
  return false;
}

bool ctl_quota_over(struct ctl_service *service) {
  struct bt_quota_no no;
  if (!bt_quota_over(service->app->quota, &no))
    return false;
  wait_for(service->app, no.space);
  if (service->roll.state == BT_RO_UPDATING) {
    char limit[64];
    service->blocked = service->blocked ? service->blocked
                                        : bt_asprintf("is not updated while namespace %s is over its quota, which is %s", no.space->name,
                                                      bt_quota_words(no.dim, no.limit, limit));
  }
  return true;
}
