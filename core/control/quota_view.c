/* Quotas for readers: the list, what a plan would make of it, and why something waits. */
#include "config.h"

#include <stdlib.h>

#include "control/draft.h"
#include "control/quota.h"

void ctl_quota_words(const struct bt_quota_no *no, struct bt_buf *out) {
  char limit[64], used[64];
  bt_buf_addf(out, "the quota of namespace %s is %s, and %s %s used", no->space->name, bt_quota_words(no->dim, no->limit, limit),
              no->used == 0 ? "none" : bt_quota_words(no->dim, no->used, used),
              no->dim == BT_QUOTA_MEMORY || no->used == 0 || no->used == (no->dim == BT_QUOTA_CPUS ? 1000 : 1) ? "is" : "are");
}

/* ---- amounts in the units of the configuration ---- */

static json_t *amount_json(int dim, int64_t n) { return dim == BT_QUOTA_CPUS ? json_real((double)n / 1000) : json_integer(n); }

static json_t *limits_json(const struct bt_quota_space *s) {
  json_t *o = json_object();
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    if (s->limit[d] >= 0)
      bt_json_set(o, bt_quota_name((enum bt_quota_dim)d), amount_json(d, s->limit[d]));
  return o;
}

static json_t *sums_json(const bt_quota_sum sums[BT_QUOTA_DIMS]) {
  json_t *o = json_object();
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    bt_json_set(o, bt_quota_name((enum bt_quota_dim)d), amount_json(d, bt_quota_int(sums[d])));
  return o;
}

static json_t *over_json(const struct bt_quota_space *s) {
  json_t *list = json_array();
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    if (s->limit[d] >= 0 && s->used[d] > s->limit[d])
      json_array_append_new(list, json_string(bt_quota_name((enum bt_quota_dim)d)));
  return list;
}

static long long waiting_for(const struct bt_control *c, const struct bt_quota_space *s) {
  long long n = 0;
  bt_vec_each(&c->quota_waiting, app) n += (*app)->quota_waits == s;
  return n;
}

static json_t *row(const struct bt_control *c, const struct bt_quota_space *s) {
  const json_t *said = bt_json_obj(bt_json_obj(c->settings, "namespaces"), s->name);
  const struct bt_namespace *n = ctl_namespace(c, s->name);
  json_t *o = json_object(), *usual = bt_json_obj(said, "defaults"), *range = bt_json_obj(said, "range");
  bt_json_set_str(o, "namespace", s->name);
  bt_json_set(o, "parent", s->parent ? json_string(s->parent->name) : json_null());
  bt_json_set(o, "quota", limits_json(s));
  bt_json_set(o, "used", sums_json(s->used));
  bt_json_set(o, "held", sums_json(s->held));
  bt_json_set(o, "over", over_json(s));
  bt_json_set_int(o, "waiting", waiting_for(c, s));
  bt_json_set(o, "defaults", usual ? json_incref(usual) : json_object());
  bt_json_set(o, "range", range ? json_incref(range) : json_object());
  bt_json_set_int(o, "weight", n ? n->weight : 1);
  bt_json_set_int(o, "priority", n ? n->priority : 0);
  return o;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const struct bt_quota_space *const *)a)->name, (*(const struct bt_quota_space *const *)b)->name);
}

json_t *ctl_quota_list(const struct bt_control *c, const struct bt_query *q, char **next) {
  enum { USUAL = 500, MOST = 5000 };
  BT_VEC(const struct bt_quota_space *) all = {0};
  for (struct bt_map_iter it = bt_map_iter(bt_quota_spaces(c->quota)); bt_map_next(&it);)
    if (!q->namespace_ || !*q->namespace_ || bt_streq(q->namespace_, it.key))
      bt_vec_push(&all, it.value);
  if (all.len > 1)
    qsort(all.items, all.len, sizeof *all.items, by_name);
  size_t limit = (size_t)(q->limit > 0 ? BT_MIN(q->limit, MOST) : USUAL), i = 0;
  json_t *list = json_array();
  while (q->cursor && i < all.len && strcmp(all.items[i]->name, q->cursor) <= 0)
    i++;
  for (; i < all.len && json_array_size(list) < limit; i++)
    json_array_append_new(list, row(c, all.items[i]));
  if (next && i < all.len)
    *next = bt_strdup(all.items[i - 1]->name);
  bt_vec_free(&all);
  return list;
}

/* ---- before and after a change ---- */

static json_t *forecast_row(const struct bt_quota_space *s, int d, bt_quota_sum more) {
  json_t *o = json_object();
  bt_json_set_str(o, "namespace", s->name);
  bt_json_set_str(o, "resource", bt_quota_name((enum bt_quota_dim)d));
  bt_json_set(o, "limit", amount_json(d, s->limit[d]));
  bt_json_set(o, "before", amount_json(d, bt_quota_int(s->used[d])));
  bt_json_set(o, "after", amount_json(d, bt_quota_int(s->used[d] + more)));
  return o;
}

json_t *ctl_quota_forecast(const struct ctl_draft *d) {
  const struct bt_quota_user *user = d->app->quota;
  struct bt_quota_amounts after = ctl_quota_claim_of(d->app, d->rev, CTL_QUOTA_ALONE);
  json_t *list = json_array();
  for (const struct bt_quota_space *s = user->space; s; s = s->parent)
    for (int dim = 0; dim < BT_QUOTA_DIMS; dim++)
      if (s->limit[dim] >= 0)
        json_array_append_new(list, forecast_row(s, dim, after.n[dim] - BT_MAX((bt_quota_sum)user->claim.n[dim], user->held[dim])));
  return list;
}

/* ---- why ---- */

bool ctl_quota_why(const struct ctl_service *service, struct bt_buf *why, struct bt_buf *next) {
  struct bt_quota_no no;
  bool pending = false;
  const struct bt_service *s = NULL;
  bt_vec_each(&service->insts, inst) if (!(*inst)->node && !(*inst)->leaving) {
    pending = true;
    s = (*inst)->spec->service;
  }
  bool over = service->spec && service->roll.state == BT_RO_UPDATING && bt_quota_over(service->app->quota, &no);
  if (!over && (!pending || ctl_quota_room(service->app, s, &no)))
    return false;
  ctl_quota_words(&no, why);
  char one[64];
  if (over)
    bt_buf_adds(why, ": what runs goes on, and nothing new starts until it is below again");
  else
    bt_buf_addf(why, "; an instance of %s asks for %s", service->name, bt_quota_words(no.dim, no.asked, one));
  bt_buf_addf(next, "see who uses it: berth quota ls; scale something down, or have an operator raise namespaces.%s.quota.%s", no.space->name, bt_quota_name(no.dim));
  return true;
}
