/* What a namespace's quota, range and defaults mean for a change that is asked for: what services do not say is filled in, and what goes over a limit
 * is refused in words that name the quota, what is used, who asks most, and the mend. What stands already is not refused anew. */
#include "config.h"

#include <stdio.h>

#include "control/draft.h"
#include "control/quota.h"

/* ---- defaults ---- */

/* Of the nearest namespace upwards that has any; *from: that one. */
static int64_t usual_of(const struct bt_control *c, const char *ns, int size, const struct bt_namespace **from) {
  for (const struct bt_namespace *n = ctl_namespace(c, ns); n; n = ctl_namespace_parent(c, n))
    if (n->usual[size]) {
      *from = n;
      return n->usual[size];
    }
  return 0;
}

/* As the Compose loader writes it. */
static json_t *canonical(int size, int64_t n) {
  if (size == BT_QUOTA_CPUS)
    return n % 1000 ? json_real((double)n / 1000) : json_integer(n / 1000);
  BT_AUTO_FREE char *text = bt_asprintf("%lld", (long long)n);
  return json_string(text);
}

static void fill(json_t *services, const char *name, int size, int64_t usual, const struct bt_namespace *from, json_t *filled) {
  json_t *service = json_deep_copy(json_object_get(services, name)), *o = json_object();
  bt_json_set(services, name, service);
  bt_json_set(bt_json_obj_in(bt_json_obj_in(bt_json_obj_in(service, "deploy"), "resources"), "reservations"), bt_quota_name((enum bt_quota_dim)size), canonical(size, usual));
  bt_json_set_str(o, "service", name);
  bt_json_set_str(o, "namespace", from->name);
  bt_json_set_str(o, "path", size == BT_QUOTA_CPUS ? "deploy.resources.reservations.cpus" : "deploy.resources.reservations.memory");
  bt_json_set(o, "value", canonical(size, usual));
  json_array_append_new(filled, o);
}

static bool says(const json_t *service, int size) {
  struct bt_resources reserved, limits;
  bt_service_resources(service, &reserved, &limits);
  return size == BT_QUOTA_CPUS ? reserved.cpus > 0 || limits.cpus > 0 : reserved.memory > 0 || limits.memory > 0;
}

static struct bt_strs silent(const json_t *services, int size) {
  struct bt_strs names = {0};
  const char *name;
  json_t *service;
  json_object_foreach((json_t *)(uintptr_t)services, name, service) if (json_is_object(service) && !says(service, size)) bt_strs_add(&names, name);
  return names;
}

json_t *ctl_quota_fill(const struct bt_control *c, const char *ns, json_t *model_steal, json_t **filled) {
  *filled = NULL;
  for (int size = 0; size < BT_QUOTA_SIZES; size++) {
    const struct bt_namespace *from = NULL;
    int64_t usual = usual_of(c, ns, size, &from);
    BT_AUTO_STRS names = {0};
    if (usual)
      names = silent(bt_json_obj(model_steal, "services"), size);
    if (names.len && !*filled) { /* the model may be another's: only the way down to what changes is copied */
      json_t *copy = json_copy(model_steal);
      bt_json_set(copy, "services", json_copy(bt_json_obj(model_steal, "services")));
      json_decref(model_steal);
      model_steal = copy;
      *filled = json_array();
    }
    bt_vec_each(&names, name) fill(bt_json_obj(model_steal, "services"), *name, size, usual, from, *filled);
  }
  return model_steal;
}

/* ---- words ---- */

static int64_t asks(const struct bt_service *s, enum bt_quota_dim dim) {
  struct bt_quota_amounts one = ctl_quota_one(s), all = {{0}};
  if (dim == BT_QUOTA_ROUTES)
    return (int64_t)s->routes.len;
  if (!bt_service_is_job(s))
    bt_quota_add(&all, &one, bt_service_least(s));
  return all.n[dim];
}

/* ": service web (compose.yaml:12) asks for most of it, 4 × 0.5 cpus" */
static void add_greediest(const struct ctl_rev *rev, enum bt_quota_dim dim, struct bt_buf *out) {
  const struct bt_service *most = NULL;
  bt_vec_each(&rev->specs, spec) if (!most || asks((*spec)->service, dim) > asks(most, dim)) most = (*spec)->service;
  if (!most || asks(most, dim) == 0)
    return;
  BT_AUTO_FREE char *who = ctl_rev_service_words(rev, most->name);
  char buf[64];
  struct bt_quota_amounts one = ctl_quota_one(most);
  bool limit = dim == BT_QUOTA_CPUS ? most->reserved.cpus <= 0 : dim == BT_QUOTA_MEMORY && most->reserved.memory <= 0;
  if (dim == BT_QUOTA_ROUTES || dim == BT_QUOTA_INSTANCES || bt_service_least(most) == 1)
    bt_buf_addf(out, "; service %s asks for most of it, %s", who, bt_quota_words(dim, asks(most, dim), buf));
  else
    bt_buf_addf(out, "; service %s asks for most of it, %d times %s", who, bt_service_least(most), bt_quota_words(dim, one.n[dim], buf));
  if (limit)
    bt_buf_adds(out, " (its limit, since it reserves none)");
}

static const char *mend_of(enum bt_quota_dim dim) {
  switch (dim) {
  case BT_QUOTA_CPUS: return "ask for fewer replicas or cpus";
  case BT_QUOTA_MEMORY: return "ask for fewer replicas or less memory";
  case BT_QUOTA_VOLUMES: return "remove volumes that nothing uses (berth volume rm)";
  case BT_QUOTA_ROUTES: return "take routes out";
  case BT_QUOTA_DEVICES: return "ask for fewer replicas or devices";
  default: return "ask for fewer replicas";
  }
}

static int deny(const struct ctl_rev *rev, const struct bt_quota_no *no, struct bt_err **err) {
  BT_AUTO_BUF b = {0};
  char more[64];
  ctl_quota_words(no, &b);
  bt_buf_addf(&b, "; app %s asks for %s more", rev->app->name, bt_quota_words(no->dim, no->asked, more));
  add_greediest(rev, no->dim, &b);
  return bt_err_set(err, BT_DENIED, "%s: %s, or have an operator raise namespaces.%s.quota.%s", b.data, mend_of(no->dim), no->space->name,
                    bt_quota_name(no->dim));
}

/* ---- how large an instance is ---- */

/* It stands already as it is, with as many. */
static bool stands(const struct ctl_rev *rev, const struct bt_service *s) {
  const struct ctl_rev *revs[CTL_CLAIMS + 1];
  size_t n = ctl_rev_claims(rev->app, revs);
  revs[n++] = ctl_rev_find(rev->app, rev->app->stable); /* what a failed one goes back to */
  for (size_t i = 0; i < n; i++) {
    const struct ctl_spec *old = ctl_spec_find(revs[i], s->name);
    if (!old || old->service->replicas < s->replicas)
      continue;
    struct bt_quota_amounts is = ctl_quota_one(s), was = ctl_quota_one(old->service);
    if (is.n[BT_QUOTA_CPUS] == was.n[BT_QUOTA_CPUS] && is.n[BT_QUOTA_MEMORY] == was.n[BT_QUOTA_MEMORY])
      return true;
  }
  return false;
}

static int outside(const struct ctl_rev *rev, const struct bt_service *s, const struct bt_namespace *n, int size, int64_t has, struct bt_err **err) {
  char is[64], bound[64];
  bool small = has < n->least[size];
  BT_AUTO_FREE char *who = ctl_rev_service_words(rev, s->name);
  return bt_err_set(err, BT_DENIED, "an instance of service %s asks for %s, and namespace %s allows %s %s (namespaces.%s.range.%s); %s", who,
                    bt_quota_words((enum bt_quota_dim)size, has, is), n->name, small ? "no less than" : "no more than",
                    bt_quota_words((enum bt_quota_dim)size, small ? n->least[size] : n->most[size], bound), n->name, bt_quota_name((enum bt_quota_dim)size),
                    small ? "ask for more" : "ask for less, and for more replicas where that will do");
}

static int unsized(const struct ctl_rev *rev, const struct bt_service *s, const struct bt_namespace *n, int size, struct bt_err **err) {
  const char *what = bt_quota_name((enum bt_quota_dim)size);
  const struct bt_namespace *from = NULL;
  BT_AUTO_FREE char *who = ctl_rev_service_words(rev, s->name);
  if (usual_of(rev->app->control, rev->app->ns, size, &from))
    return bt_err_set(err, BT_DENIED, "service %s says nothing of its %s, of which namespace %s has a %s: apply its file again, and the default of namespace %s is filled in", who,
                      what, n->name, n->limit[size] >= 0 ? "quota" : "range", from->name);
  return bt_err_set(err, BT_DENIED, "service %s says nothing of its %s, of which namespace %s has a %s: say deploy.resources.reservations.%s, or have an operator set namespaces.%s.defaults.%s",
                    who, what, n->name, n->limit[size] >= 0 ? "quota" : "range", what, n->name, what);
}

static int check_service(const struct ctl_rev *rev, const struct bt_service *s, struct bt_err **err) {
  const struct bt_control *c = rev->app->control;
  struct bt_quota_amounts one = ctl_quota_one(s);
  if (s->replicas == 0 || stands(rev, s))
    return 0;
  for (const struct bt_namespace *n = ctl_namespace(c, rev->app->ns); n; n = ctl_namespace_parent(c, n)) {
    for (int d = 0; d < BT_QUOTA_SIZES; d++) {
      bool counts = n->limit[d] >= 0 || n->least[d] > 0 || n->most[d] > 0;
      if (counts && one.n[d] == 0)
        return unsized(rev, s, n, d, err);
      if (one.n[d] < n->least[d] || (n->most[d] > 0 && one.n[d] > n->most[d]))
        return outside(rev, s, n, d, one.n[d], err);
    }
    for (int d = 0; d < BT_QUOTA_DIMS; d++) /* a job waits for room that may come; this never does */
      if (n->limit[d] >= 0 && one.n[d] > n->limit[d]) {
        struct bt_quota_no no = {bt_quota_space(c->quota, n->name), (enum bt_quota_dim)d, n->limit[d], 0, one.n[d]};
        no.used = bt_quota_int(no.space->used[d]);
        return deny(rev, &no, err);
      }
  }
  return 0;
}

/* ---- a change ---- */

int ctl_quota_check(const struct ctl_rev *rev, struct bt_err **err) {
  struct bt_quota_no no;
  if (ctl_namespace(rev->app->control, rev->app->ns))
    bt_vec_each(&rev->specs, spec) if (check_service(rev, (*spec)->service, err)) return -1;
  struct bt_quota_amounts claim = ctl_quota_claim_of(rev->app, rev, CTL_QUOTA_FORWARD);
  return bt_quota_may_claim(rev->app->quota, &claim, &no) ? 0 : deny(rev, &no, err);
}

int ctl_quota_run(const struct ctl_service *service, struct bt_err **err) {
  struct bt_quota_no no;
  if (ctl_quota_room(service->app, service->spec->service, &no))
    return 0;
  BT_AUTO_BUF b = {0};
  char one[64];
  ctl_quota_words(&no, &b);
  BT_AUTO_FREE char *who = ctl_rev_service_words(service->spec->rev, service->name);
  return bt_err_set(err, BT_DENIED, "%s; an instance of job %s asks for %s: run it when others have ended, or have an operator raise namespaces.%s.quota.%s", b.data, who,
                    bt_quota_words(no.dim, no.asked, one), no.space->name, bt_quota_name(no.dim));
}
