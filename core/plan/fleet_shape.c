#include "config.h"

#include "plan/fleet_int.h"

#include <stdio.h>

static struct bt_rule rule_copy(struct bt_fleet *f, const struct bt_rule *from) {
  struct bt_rule to = {.text = bt_strdup(from->text), .key = bt_strdup(from->key), .op = from->op};
  for (size_t i = 0; i < from->values.len; i++)
    bt_strs_add(&to.values, from->values.items[i]);
  if (!bt_rule_names_node(from))
    fl_key(f, from->key);
  return to;
}

static struct fl_service *service_of(struct bt_fleet *f, const char *ns, const char *app, const char *service) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s/%s", ns, app, service);
  struct fl_service *of = bt_map_get(f->services, key);
  if (!of) {
    of = bt_new(struct fl_service);
    of->may_go = BT_FLEET_NONE;
    bt_map_set(f->services, key, of);
  }
  return of;
}

static uint32_t number_new(struct bt_fleet *f, struct fl_shape *s) {
  if (f->free_shapes.len) {
    uint32_t n = f->free_shapes.items[--f->free_shapes.len];
    f->shapes.items[n] = s;
    return n;
  }
  bt_vec_push(&f->shapes, s);
  return (uint32_t)f->shapes.len - 1;
}

/* A copy that lives as long as the shape; NULL of NULL. */
static const char *own(struct fl_shape *s, const char *text) {
  if (!text)
    return NULL;
  bt_strs_add(&s->texts, text);
  return s->texts.items[s->texts.len - 1];
}

static struct fl_shape *copy_need(struct bt_fleet *f, const struct bt_need *need) {
  struct fl_shape *s = bt_new(struct fl_shape);
  if (need->discount && !f->discounted)
    fl_layers_drop(f); /* they did not tell namespaces apart */
  f->discounted = f->discounted || need->discount;
  *s = (struct fl_shape){.namespace_ = bt_strdup(need->namespace_ ? need->namespace_ : ""),
                         .app = bt_strdup(need->app ? need->app : ""),
                         .service = bt_strdup(need->service ? need->service : ""),
                         .priority = need->priority,
                         .discount = need->discount,
                         .confined = need->confined,
                         .strategy = need->strategy,
                         .tag = need->tag,
                         .ntolerations = need->ntolerations,
                         .head = BT_FLEET_NONE};
  memcpy(s->need, need->request, sizeof need->request);
  for (int scope = 0; scope < 3; scope++) {
    char target[FL_TARGET_MAX];
    fl_target_text(target, sizeof target, (enum bt_scope)scope, s->namespace_, s->app, s->service);
    s->targets[scope] = bt_strdup(target);
  }
  for (size_t i = 0; i < need->nrules; i++) {
    struct bt_rule copy = rule_copy(f, &need->rules[i]);
    if (bt_rule_names_node(&copy))
      bt_vec_push(&s->names, copy);
    else
      bt_vec_push(&s->rules, copy);
  }
  for (size_t i = 0; i < need->nprefers; i++)
    bt_vec_push(&s->prefers, ((struct bt_prefer){rule_copy(f, &need->prefers[i].rule), need->prefers[i].weight}));
  s->tolerations = bt_newn(struct bt_toleration, need->ntolerations + 1);
  for (size_t i = 0; i < need->ntolerations; i++) {
    const struct bt_toleration *t = &need->tolerations[i];
    s->tolerations[i] = (struct bt_toleration){own(s, t->key), own(s, t->value)};
  }
  return s;
}

static void smaller(struct bt_fleet *f, const struct fl_shape *s) {
  for (uint32_t d = 0; d < fl_ndims(f); d++)
    if (s->need[d] > 0 && (f->smallest[d] == 0 || s->need[d] < f->smallest[d]))
      f->smallest[d] = s->need[d];
}

/* Somewhat late: a stale one only makes packing a little worse. */
static void smallest_again(struct bt_fleet *f) {
  if (f->free_shapes.len % 1024)
    return;
  memset(f->smallest, 0, sizeof f->smallest);
  bt_vec_each(&f->shapes, s) {
    if (*s)
      smaller(f, *s);
  }
}

int bt_fleet_shape_new(struct bt_fleet *f, const struct bt_need *need, uint32_t *out, struct bt_err **err) {
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    if (need->request[d] < 0 || need->request[d] > BT_FLEET_MAX)
      return bt_err_set(err, BT_INVALID, "service %s: it asks for %lld of a resource; that is more than any machine has", need->service,
                        (long long)need->request[d]);
  struct fl_shape *s = copy_need(f, need);
  uint32_t n = *out = number_new(f, s);
  smaller(f, s);
  s->of = service_of(f, s->namespace_, s->app, s->service);
  bt_vec_push(&s->of->shapes, n);
  fl_tie_all(f, n, need);
  return 0;
}

static void keys_put(struct bt_fleet *f, const struct fl_shape *s) {
  bt_vec_each(&s->rules, r) fl_key_put(f, r->key);
  bt_vec_each(&s->prefers, p) {
    if (!bt_rule_names_node(&p->rule))
      fl_key_put(f, p->rule.key);
  }
}

static void ties_put(struct bt_fleet *f, struct fl_ties *ties) {
  bt_vec_each(ties, t) {
    if (t->watch)
      fl_watch_put(f, t->mark, t->watch);
    fl_mark_put(f, t->mark);
  }
  ties->len = 0;
}

int bt_fleet_shape_drop(struct bt_fleet *f, uint32_t shape) {
  struct fl_shape *s = f->shapes.items[shape];
  if (s->head != BT_FLEET_NONE)
    return -1;
  struct fl_ties *all[] = {&s->bars, &s->wants, &s->follows, &s->soft, &s->zbars, &s->zwants, &s->zsoft};
  for (size_t i = 0; i < BT_COUNT(all); i++)
    ties_put(f, all[i]);
  bt_vec_each(&s->skews, k) fl_mark_put(f, k->mark);
  if (s->level) {
    fl_watch_put(f, s->level_mark, s->level);
    fl_mark_put(f, s->level_mark);
  }
  bt_vec_each(&s->marks, m) fl_mark_put(f, *m);
  for (size_t i = 0; i < s->of->shapes.len; i++)
    if (s->of->shapes.items[i] == shape) {
      bt_vec_remove(&s->of->shapes, i);
      break;
    }
  if (s->of->shapes.len == 0) {
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s/%s", s->namespace_, s->app, s->service);
    bt_vec_free(&s->of->shapes);
    free(bt_map_take(f->services, key));
  }
  keys_put(f, s);
  fl_shape_free(s);
  f->shapes.items[shape] = NULL;
  bt_vec_push(&f->free_shapes, shape);
  smallest_again(f);
  return 0;
}

void fl_shape_free(struct fl_shape *s) {
  if (!s)
    return;
  fl_groups_free(s);
  bt_vec_each(&s->rules, r) bt_rule_free(r);
  bt_vec_each(&s->names, r) bt_rule_free(r);
  bt_vec_each(&s->prefers, p) bt_rule_free(&p->rule);
  struct fl_ties *all[] = {&s->bars, &s->wants, &s->follows, &s->soft, &s->zbars, &s->zwants, &s->zsoft};
  for (size_t i = 0; i < BT_COUNT(all); i++)
    bt_vec_free(all[i]);
  bt_vec_free(&s->groups);
  bt_vec_free(&s->rules);
  bt_vec_free(&s->names);
  bt_vec_free(&s->prefers);
  bt_vec_free(&s->marks);
  bt_vec_free(&s->skews);
  free(s->doms);
  bt_vec_free(&s->out);
  bt_vec_free(&s->in);
  bt_vec_free(&s->terms);
  bt_vec_free(&s->verdicts);
  bt_vec_free(&s->wish_from);
  bt_strs_free(&s->told);
  bt_fit_set_free(&s->only);
  bt_fit_set_free(&s->never);
  bt_strs_free(&s->texts);
  for (int scope = 0; scope < 3; scope++)
    free(s->targets[scope]);
  free(s->tolerations);
  free(s->namespace_);
  free(s->app);
  free(s->service);
  free(s);
}

void bt_fleet_shape_ask(struct bt_fleet *f, uint32_t shape, int dim, int64_t amount) {
  struct fl_shape *s = f->shapes.items[shape];
  BT_ASSERT(amount >= 0 && amount <= BT_FLEET_MAX);
  int64_t more = amount - s->need[dim];
  if (more == 0)
    return;
  for (uint32_t i = s->head; i != BT_FLEET_NONE; i = f->insts.items[i].shape_next)
    f->nodes.items[f->insts.items[i].node].used[dim] += more;
  s->need[dim] = amount;
  smaller(f, s);
  s->gen = 0;
  f->dirty = true; /* rare: what is free on many nodes changed */
  f->epoch++;
}

void *bt_fleet_shape_tag(const struct bt_fleet *f, uint32_t shape) { return f->shapes.items[shape]->tag; }
