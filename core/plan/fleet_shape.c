#include "config.h"

#include "plan/fleet_int.h"

#include <stdio.h>

#define PREFER_NOT_WEIGHT 100

/* ---- ties to marks ---- */

static uint32_t term_of(struct fl_shape *s, uint32_t topo) {
  for (uint32_t i = 0; i < s->terms.len; i++)
    if (s->terms.items[i] == topo)
      return i;
  bt_vec_push(&s->terms, topo);
  return (uint32_t)s->terms.len - 1;
}

/* Ties the shape to a mark, whose reference the tie takes over. */
static void tie(struct bt_fleet *f, struct fl_shape *s, struct fl_ties *near, struct fl_ties *far, struct fl_tie t) {
  uint32_t topo = f->marks.items[t.mark].topo;
  if (topo == 0)
    t.watch = fl_watch_get(f, t.mark, t.min, false);
  else
    t.term = term_of(s, topo);
  bt_vec_push(topo == 0 ? near : far, t);
  if (near == &s->wants || near == &s->follows)
    f->marks.items[t.mark].wanted = true;
  if (near == &s->follows)
    f->marks.items[t.mark].followed = true;
  s->gen = 0;
}

static bool tied(const struct fl_ties *ties, uint32_t mark) {
  bt_vec_each(ties, t) {
    if (t->mark == mark)
      return true;
  }
  return false;
}

/* The shape's instances leave this mark, those that are there already too. Takes the reference over. */
static void leaves(struct bt_fleet *f, uint32_t shape, uint32_t mark) {
  struct fl_shape *s = f->shapes.items[shape];
  bt_vec_each(&s->marks, m) {
    if (*m == mark) {
      fl_mark_put(f, mark);
      return;
    }
  }
  if (s->head != BT_FLEET_NONE)
    fl_ensure(f); /* first: it counts what a shape leaves */
  bt_vec_push(&s->marks, mark);
  for (uint32_t i = s->head; i != BT_FLEET_NONE; i = f->insts.items[i].shape_next)
    fl_mark_add(f, mark, f->insts.items[i].node, 1);
}

/* ---- who an affinity speaks of ---- */

static void target_text(char *out, size_t size, enum bt_scope scope, const char *ns, const char *app, const char *service) {
  if (scope == BT_SCOPE_SERVICE)
    snprintf(out, size, "s:%s/%s/%s", ns, app, service);
  else if (scope == BT_SCOPE_APP)
    snprintf(out, size, "a:%s/%s", ns, app);
  else
    snprintf(out, size, "n:%s", ns);
}

#define TARGET_MAX 256
static bool is_target(const struct fl_shape *s, const char *target) {
  return bt_streq(s->targets[0], target) || bt_streq(s->targets[1], target) || bt_streq(s->targets[2], target);
}

/* Calls it for each shape that such an affinity speaks of. */
static void each_target(struct bt_fleet *f, const char *target, void (*call)(struct bt_fleet *, uint32_t, uint32_t), uint32_t mark) {
  const struct fl_service *of = target[0] == 's' ? bt_map_get(f->services, target + 2) : NULL;
  if (of) {
    for (size_t i = 0; i < of->shapes.len; i++)
      call(f, of->shapes.items[i], mark);
    return;
  }
  for (uint32_t i = 0; target[0] != 's' && i < f->shapes.len; i++)
    if (f->shapes.items[i] && is_target(f->shapes.items[i], target))
      call(f, i, mark);
}

static void bar(struct bt_fleet *f, uint32_t shape, uint32_t repel) {
  struct fl_shape *s = f->shapes.items[shape];
  const struct fl_mark *m = &f->marks.items[repel];
  if (!tied(&s->bars, repel) && !tied(&s->zbars, repel))
    tie(f, s, &s->bars, &s->zbars, (struct fl_tie){.mark = fl_mark_get(f, m->name, m->topo), .min = 1});
}

static void leave(struct bt_fleet *f, uint32_t shape, uint32_t mark) {
  f->marks.items[mark].refs++;
  leaves(f, shape, mark);
}

/* What affinities of others that were there before mean for a new shape. */
static void meet_others(struct bt_fleet *f, uint32_t shape) {
  struct fl_shape *s = f->shapes.items[shape];
  for (uint32_t topo = 0; topo < f->topos.len; topo++)
    for (int scope = 0; scope < 3 && (topo == 0 || f->topos.items[topo].refs > 0); scope++) {
      char key[TARGET_MAX + 16];
      snprintf(key, sizeof key, "%u %s", topo, s->targets[scope]);
      if (bt_map_get(f->marks_by, key))
        leaves(f, shape, fl_mark_get(f, s->targets[scope], topo));
      snprintf(key, sizeof key, "%u !%s", topo, s->targets[scope]);
      if (bt_map_get(f->marks_by, key))
        tie(f, s, &s->bars, &s->zbars, (struct fl_tie){.mark = fl_mark_get(f, strchr(key, '!'), topo), .min = 1});
    }
}

static void affinity(struct bt_fleet *f, uint32_t shape, const struct bt_affinity *a) {
  struct fl_shape *s = f->shapes.items[shape];
  char target[TARGET_MAX], repel[TARGET_MAX + 1];
  target_text(target, sizeof target, a->scope, a->namespace_, a->app, a->service);
  uint32_t topo = fl_topo_get(f, a->topology), mark = fl_mark_get(f, target, topo);
  each_target(f, target, leave, mark);
  struct fl_tie t = {.mark = mark, .min = 1, .weight = a->anti ? -a->weight : a->weight};
  if (!a->hard)
    tie(f, s, &s->soft, &s->zsoft, t);
  else if (!a->anti)
    tie(f, s, &s->wants, &s->zwants, t);
  else
    tie(f, s, &s->bars, &s->zbars, t);
  if (!a->hard || !a->anti || !bt_streq(a->namespace_, s->namespace_))
    return; /* who shuns another namespace keeps away, but keeps nobody away */
  snprintf(repel, sizeof repel, "!%s", target);
  uint32_t away = fl_mark_get(f, repel, topo);
  leaves(f, shape, away);
  each_target(f, target, bar, away); /* itself too, where it is its own target: that says the same again */
}

/* The mark of all instances of the shape's service. */
static uint32_t service_mark(struct bt_fleet *f, const struct fl_shape *s, uint32_t topo) {
  uint32_t mark = fl_mark_get(f, s->targets[BT_SCOPE_SERVICE], topo);
  each_target(f, s->targets[BT_SCOPE_SERVICE], leave, mark);
  return mark;
}

static void spread(struct bt_fleet *f, uint32_t shape, const struct bt_spread *sp) {
  struct fl_shape *s = f->shapes.items[shape];
  uint32_t topo = fl_topo_get(f, sp->topology), mark = service_mark(f, s, topo);
  if (topo == 0) { /* over nodes: on none a second time before each has one */
    tie(f, s, &s->soft, &s->zsoft, (struct fl_tie){.mark = mark, .min = 1, .weight = -PREFER_NOT_WEIGHT});
    return;
  }
  bt_vec_push(&s->skews, ((struct fl_skew){mark, term_of(s, topo), BT_MAX(sp->max_skew, 1), sp->hard}));
}

/* Of strategy spread: on no node a further one before all others have as many. */
static void level(struct bt_fleet *f, uint32_t shape) {
  struct fl_shape *s = f->shapes.items[shape];
  s->level_mark = service_mark(f, s, 0);
  s->level = fl_watch_get(f, s->level_mark, 1, true);
  if (!f->headroom)
    f->headroom = f->dirty = true;
}

/* Of one generation: what an update replaces does not count, else it could not start the new one first. */
static void at_most(struct bt_fleet *f, uint32_t shape, const char *generation, int n) {
  struct fl_shape *s = f->shapes.items[shape];
  uint32_t mark;
  if (generation) {
    BT_AUTO_FREE char *name = bt_asprintf("%s/%s", s->targets[BT_SCOPE_SERVICE], generation);
    mark = fl_mark_get(f, name, 0);
    f->marks.items[mark].refs++;
    leaves(f, shape, mark);
  } else {
    mark = service_mark(f, s, 0);
  }
  tie(f, s, &s->bars, &s->zbars, (struct fl_tie){.mark = mark, .min = (uint32_t)n});
}

static void ties(struct bt_fleet *f, uint32_t shape, const struct bt_need *need) {
  struct fl_shape *s = f->shapes.items[shape];
  for (size_t i = 0; i < need->nmarks; i++)
    leaves(f, shape, fl_mark_get(f, need->marks[i], 0));
  for (size_t i = 0; i < need->nalone; i++) {
    leaves(f, shape, fl_mark_get(f, need->alone[i], 0));
    tie(f, s, &s->bars, &s->zbars, (struct fl_tie){.mark = fl_mark_get(f, need->alone[i], 0), .min = 1});
  }
  for (size_t i = 0; i < need->nbars; i++)
    tie(f, s, &s->bars, &s->zbars, (struct fl_tie){.mark = fl_mark_get(f, need->bars[i], 0), .min = 1});
  for (size_t i = 0; i < need->nwants; i++)
    tie(f, s, &s->wants, &s->zwants, (struct fl_tie){.mark = fl_mark_get(f, need->wants[i], 0), .min = 1});
  for (size_t i = 0; i < need->nfollows; i++)
    tie(f, s, &s->follows, &s->zwants, (struct fl_tie){.mark = fl_mark_get(f, need->follows[i], 0), .min = 1});
  for (size_t i = 0; i < need->nlikes; i++)
    tie(f, s, &s->soft, &s->zsoft, (struct fl_tie){.mark = fl_mark_get(f, need->likes[i], 0), .min = 1, .weight = 1});
  if (need->max_per_node > 0)
    at_most(f, shape, need->generation, need->max_per_node);
}

/* ---- life ---- */

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
    char target[TARGET_MAX];
    target_text(target, sizeof target, (enum bt_scope)scope, s->namespace_, s->app, s->service);
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
  meet_others(f, n);
  ties(f, n, need);
  for (size_t i = 0; i < need->naffinities; i++)
    affinity(f, n, &need->affinities[i]);
  for (size_t i = 0; i < need->nspreads; i++)
    spread(f, n, &need->spreads[i]);
  if (s->strategy == BT_SPREAD)
    level(f, n);
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

static void groups_free(struct fl_shape *s) {
  bt_vec_each(&s->groups, g) bt_vec_free(&g->ranges);
  s->groups.len = 0;
}

void fl_shape_free(struct fl_shape *s) {
  if (!s)
    return;
  groups_free(s);
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
size_t bt_fleet_shape_count(const struct bt_fleet *f, uint32_t shape) { return f->shapes.items[shape]->count; }

/* ---- verdicts on classes ---- */

static bool tolerates(const struct fl_shape *s, const struct bt_taint *taint) {
  for (size_t i = 0; i < s->ntolerations; i++) {
    const struct bt_toleration *t = &s->tolerations[i];
    if ((!t->key || bt_streq(t->key, taint->key)) && (!t->value || bt_streq(t->value, taint->value)))
      return true;
  }
  return false;
}

/* The score that taints, rules and wishes give, or FL_REFUSED with why. */
static int by_rules(const struct fl_shape *s, const struct fl_node *node, char *why, size_t size) {
  int score = 0;
  for (uint32_t i = 0; i < node->ntaints; i++) {
    const struct bt_taint *t = &node->taints[i];
    if (tolerates(s, t))
      continue;
    if (t->effect == BT_TAINT_NO_SCHEDULE) {
      snprintf(why, size, "has the taint %s=%s, which it does not tolerate", t->key, t->value);
      return FL_REFUSED;
    }
    score -= PREFER_NOT_WEIGHT;
  }
  bt_vec_each(&s->rules, r) {
    const char *value = fl_attr(node, r->key);
    if (!bt_rule_holds(r, value)) {
      snprintf(why, size, "does not meet %.120s (%s %.80s)", r->text, value ? "it has" : "it has no", value ? value : r->key);
      return FL_REFUSED;
    }
  }
  bt_vec_each(&s->prefers, p) score += bt_rule_holds(&p->rule, fl_attr(node, p->rule.key)) ? p->weight : 0;
  return BT_MAX(-FL_SCORE_MAX, BT_MIN(FL_SCORE_MAX, score));
}

/* Keeps a sentence of the judge's, and returns the verdict that stands for it. */
static int tell(struct fl_shape *s, const char *why) {
  size_t i = 0;
  while (i < s->told.len && !bt_streq(s->told.items[i], why))
    i++;
  if (i == FL_TOLD_MAX)
    return FL_TOLD + FL_TOLD_MAX; /* refused, for a reason that is told of none */
  if (i == s->told.len)
    bt_strs_add(&s->told, why);
  return FL_TOLD + (int)i;
}

static int judge(const struct bt_fleet *f, struct fl_shape *s, const struct fl_node *node, int score) {
  char why[240] = "is refused by a policy";
  int asked = 0;
  struct bt_fleet_node class = {.attrs = node->attrs, .nattrs = node->nattrs, .taints = node->taints, .ntaints = node->ntaints};
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    class.room[d] = fl_seen(d, node->room[d]);
  if (!f->judge(f->judge_arg, s->tag, &class, &asked, why, sizeof why))
    return tell(s, why);
  return BT_MAX(-FL_SCORE_MAX, BT_MIN(FL_SCORE_MAX, score + BT_MAX(-1000, BT_MIN(1000, asked))));
}

bool fl_refusal(struct bt_fleet *f, struct fl_shape *s, uint32_t class, char *why, size_t size) {
  int said = s->verdicts.items[class];
  if (!fl_refused(said))
    return false;
  if (said == FL_REFUSED)
    by_rules(s, &f->nodes.items[f->classes.items[class].like], why, size);
  else if (said - FL_TOLD < (int)s->told.len)
    snprintf(why, size, "%s", s->told.items[said - FL_TOLD]);
  else
    snprintf(why, size, "is refused by a policy");
  return true;
}

void fl_verdicts_forget(struct fl_shape *s) {
  s->verdicts.len = 0;
  bt_strs_free(&s->told);
}

static int verdict(struct bt_fleet *f, struct fl_shape *s, uint32_t c) {
  char why[240];
  const int16_t unknown = INT16_MAX;
  while (s->verdicts.len <= c)
    bt_vec_push(&s->verdicts, unknown);
  if (s->verdicts.items[c] == unknown) {
    const struct fl_node *node = &f->nodes.items[f->classes.items[c].like];
    int said = by_rules(s, node, why, sizeof why);
    s->verdicts.items[c] = (int16_t)(f->judge && !fl_refused(said) ? judge(f, s, node, said) : said);
  }
  return s->verdicts.items[c];
}

/* ---- groups ---- */

struct entry {
  int score;
  uint32_t class, lo, hi;
  const uint32_t *dom;
};

/* Of the class in the shape's terms; NULL where a hard term asks for a label that it has not. */
static bool in_domains(const struct fl_shape *s, const uint32_t *dom) {
  bt_vec_each(&s->skews, k) {
    if (k->hard && dom[k->term] == BT_FLEET_NONE)
      return false;
  }
  bt_vec_each(&s->zwants, w) {
    if (dom[w->term] == BT_FLEET_NONE)
      return false;
  }
  return true;
}

static int compare_doms(const struct entry *a, const struct entry *b, size_t terms) {
  for (size_t i = 0; i < terms; i++)
    if (a->dom[i] != b->dom[i])
      return a->dom[i] < b->dom[i] ? -1 : 1;
  return 0;
}

static int compare_entries(const void *x, const void *y, void *terms) {
  const struct entry *a = x, *b = y;
  if (a->score != b->score)
    return a->score > b->score ? -1 : 1;
  int order = compare_doms(a, b, *(size_t *)terms);
  return order ? order : a->lo < b->lo ? -1 : a->lo > b->lo;
}

static void add_range(struct fl_group *g, uint32_t lo, uint32_t hi) {
  struct fl_range *last = g->ranges.len ? &g->ranges.items[g->ranges.len - 1] : NULL;
  if (last && last->hi == lo)
    last->hi = hi;
  else
    bt_vec_push(&g->ranges, ((struct fl_range){lo, hi}));
}

static void names_to_sets(struct bt_fleet *f, struct fl_shape *s) {
  bt_fit_set_free(&s->only);
  bt_fit_set_free(&s->never);
  s->has_only = s->has_never = false;
  if (s->names.len == 0)
    return;
  bt_fit_set_init(&s->only, (uint32_t)f->at.len);
  bt_fit_set_init(&s->never, (uint32_t)f->at.len);
  bt_vec_each(&s->names, r) {
    bool only = r->op == BT_RULE_EQ || r->op == BT_RULE_IN;
    s->has_only = s->has_only || only;
    s->has_never = s->has_never || !only;
  }
  for (uint32_t pos = 0; pos < f->at.len; pos++) {
    bool only = true, never = false;
    bt_vec_each(&s->names, r) {
      bool holds = bt_rule_holds(r, f->nodes.items[f->at.items[pos]].name);
      if (r->op == BT_RULE_EQ || r->op == BT_RULE_IN)
        only = only && holds;
      else
        never = never || !holds;
    }
    bt_fit_set_put(&s->only, pos, only);
    bt_fit_set_put(&s->never, pos, never);
  }
}

/* Whether rules on names leave any node of the class: if not, it is no domain to spread over either. */
static bool any_named(const struct fl_shape *s, const struct fl_class *class) {
  if (s->names.len == 0)
    return true;
  for (uint32_t pos = class->lo; pos < class->hi; pos++)
    if (bt_fit_set_has(&s->only, pos) && !bt_fit_set_has(&s->never, pos))
      return true;
  return false;
}

void fl_shape_groups(struct bt_fleet *f, struct fl_shape *s) {
  size_t terms = s->terms.len, n = 0;
  if (s->gen == f->gen)
    return;
  groups_free(s);
  names_to_sets(f, s);
  BT_AUTO_FREE struct entry *entries = bt_newn(struct entry, f->class_order.len + 1);
  uint32_t *doms = bt_newn(uint32_t, f->class_order.len * terms + 1);
  for (size_t i = 0; i < f->class_order.len; i++) {
    uint32_t c = f->class_order.items[i], *dom = doms + n * terms;
    const struct fl_class *class = &f->classes.items[c];
    int score = verdict(f, s, c);
    for (size_t t = 0; t < terms; t++)
      dom[t] = class->dom.items[s->terms.items[t]];
    if (!fl_refused(score) && in_domains(s, dom) && any_named(s, class))
      entries[n++] = (struct entry){score, c, class->lo, class->hi, dom};
  }
  qsort_r(entries, n, sizeof *entries, compare_entries, &terms);
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || entries[i].score != entries[i - 1].score || compare_doms(&entries[i], &entries[i - 1], terms) != 0)
      bt_vec_push(&s->groups, ((struct fl_group){.score = entries[i].score, .dom = entries[i].dom}));
    add_range(&s->groups.items[s->groups.len - 1], entries[i].lo, entries[i].hi);
  }
  free(s->doms);
  s->doms = doms;
  s->gen = f->gen;
  s->skip = s->from = 0;
  s->full = 0;
  s->seen = f->nfreed;
  fl_place_prepare(f, s);
}
