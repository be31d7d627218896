#include "config.h"

#include "base/plant.h"
#include "plan/fleet_int.h"

#define LAYERS_MAX 8    /* priorities whose layer is kept */
#define LOOKED_AT 4     /* nodes that are compared */
#define TRIED 64        /* nodes that are looked at where budgets forbid */
#define CANDIDATES 1024 /* instances of a node that are looked at */

/* ---- who is lower than whom ---- */

static bool is_own(const struct fl_shape *s, const struct fl_asker *a) { return !a->ns || strcmp(s->namespace_, a->ns) == 0; }

/* Its priority as the asker sees it. */
static int seen(const struct fl_shape *s, const struct fl_asker *a) { return is_own(s, a) ? s->priority : s->priority - s->discount; }

static bool lower(const struct fl_shape *s, const struct fl_asker *a) {
  if (is_own(s, a))
    return s->priority < a->priority + BT_PLANT(PREEMPT_EQUAL);
  return !a->confined && s->priority - s->discount < a->outward;
}

/* Whether those of its instances that are not on their way out may go for the asker. */
static bool goes(const struct fl_shape *s, const struct fl_asker *a) { return s->of->may_go > 0 && lower(s, a); }

static struct fl_asker asker_of(const struct bt_fleet *f, const struct fl_shape *s) {
  bool apart = s->confined || f->discounted;
  return (struct fl_asker){apart ? s->namespace_ : NULL, s->priority, s->priority - s->discount, s->confined};
}

static bool same_asker(const struct fl_asker *a, const struct fl_asker *b) {
  return a->priority == b->priority && a->outward == b->outward && a->confined == b->confined && bt_streq(a->ns, b->ns);
}

/* ---- layers ---- */

static void put_node(struct bt_fleet *f, struct fl_layer *l, uint32_t n) {
  int64_t amounts[FL_DIMS];
  fl_amounts(f, &f->nodes.items[n], l->extra[n], amounts);
  bt_fit_put(&l->fit, f->nodes.items[n].pos, amounts);
}

static void add_extra(const struct bt_fleet *f, struct fl_layer *l, const struct fl_shape *s, uint32_t n, int64_t count) {
  for (uint32_t d = 0; d < fl_ndims(f); d++)
    l->extra[n][d] += s->need[d] * count;
}

void fl_layers_moved(struct bt_fleet *f, const struct fl_shape *s, uint32_t n, int64_t count) {
  bt_vec_each(&f->layers, l) {
    if (goes(s, &l->asker))
      add_extra(f, l, s, n, count);
    put_node(f, l, n);
  }
}

void fl_layers_node(struct bt_fleet *f, uint32_t n) {
  if (f->dirty)
    fl_layers_drop(f);
  bt_vec_each(&f->layers, l) put_node(f, l, n);
}

static void layer_free(struct fl_layer *l) {
  bt_fit_free(&l->fit);
  free(l->extra);
  free(l->ns);
}

void fl_layers_drop(struct bt_fleet *f) {
  bt_vec_each(&f->layers, l) layer_free(l);
  f->layers.len = 0;
}

static bool is_going(const struct bt_fleet *f, uint32_t i) { return i / 64 < f->going.len && (f->going.items[i / 64] >> (i % 64) & 1); }

static void layer_fill(struct bt_fleet *f, struct fl_layer *l) {
  for (uint32_t i = 0; i < f->insts.len; i++) {
    const struct fl_inst *inst = &f->insts.items[i];
    const struct fl_shape *s = inst->node == BT_FLEET_NONE ? NULL : f->shapes.items[inst->shape];
    if (s && lower(s, &l->asker) && (s->of->may_go > 0 || is_going(f, i)))
      add_extra(f, l, s, inst->node, 1);
  }
  for (uint32_t n = 0; n < f->nodes.len; n++)
    if (f->nodes.items[n].name)
      put_node(f, l, n);
}

static struct fl_layer *layer(struct bt_fleet *f, const struct fl_asker *asker) {
  size_t oldest = 0;
  for (size_t i = 0; i < f->layers.len; i++) {
    struct fl_layer *l = &f->layers.items[i];
    if (same_asker(&l->asker, asker)) {
      l->used = ++f->ticket;
      return l;
    }
    if (l->used < f->layers.items[oldest].used)
      oldest = i;
  }
  if (f->layers.len == LAYERS_MAX) {
    layer_free(&f->layers.items[oldest]);
    bt_vec_remove(&f->layers, oldest);
  }
  struct fl_layer l = {.asker = *asker, .used = ++f->ticket, .extra = bt_calloc(f->nodes.len + 1, sizeof *l.extra)};
  l.asker.ns = l.ns = bt_strdup(asker->ns);
  bt_fit_init(&l.fit, (uint32_t)f->at.len, fl_ndims(f) + 1);
  layer_fill(f, &l);
  bt_vec_push(&f->layers, l);
  return &f->layers.items[f->layers.len - 1];
}

/* An instance counts for those layers that it is lower than, or does not any more. */
static void count_inst(struct bt_fleet *f, const struct fl_shape *s, uint32_t n, int64_t one) {
  bt_vec_each(&f->layers, l) if (lower(s, &l->asker)) {
    add_extra(f, l, s, n, one);
    put_node(f, l, n);
  }
}

void bt_fleet_budget(struct bt_fleet *f, const char *ns, const char *app, const char *service, uint32_t may_go) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s/%s", ns, app, service);
  struct fl_service *of = bt_map_get(f->services, key);
  if (!of || of->may_go == may_go)
    return;
  bool moved = (of->may_go > 0) != (may_go > 0);
  fl_ensure(f);
  bt_vec_each(&of->shapes, shape) {
    const struct fl_shape *s = f->shapes.items[*shape];
    for (uint32_t i = moved && f->layers.len ? s->head : BT_FLEET_NONE; i != BT_FLEET_NONE; i = f->insts.items[i].shape_next)
      if (!is_going(f, i))
        count_inst(f, s, f->insts.items[i].node, may_go > 0 ? 1 : -1);
  }
  f->budgets += may_go > of->may_go;
  of->may_go = may_go;
}

uint64_t bt_fleet_budgets(const struct bt_fleet *f) { return f->budgets; }

/* ---- who is on the way out ---- */

void bt_fleet_going(struct bt_fleet *f, uint32_t i, bool going) {
  if (is_going(f, i) == going)
    return;
  const struct fl_inst *inst = &f->insts.items[i];
  const struct fl_shape *s = f->shapes.items[inst->shape];
  fl_ensure(f);
  while (f->going.len <= i / 64)
    bt_vec_push(&f->going, 0);
  f->going.items[i / 64] ^= (uint64_t)1 << (i % 64);
  f->nodes.items[inst->node].going += going ? 1 : -1;
  f->ngoing += going ? 1 : -1;
  if (s->of->may_go == 0)
    count_inst(f, s, inst->node, going ? 1 : -1);
}

/* ---- victims on one node ---- */

struct victim {
  uint32_t inst, order; /* order: as the node lists them, the newest first */
  int priority;
  bool gone;
};
struct choice {
  struct victim items[CANDIDATES];
  size_t len, gone;
  int highest;
};

static int lowest_first(const void *a, const void *b) {
  const struct victim *x = a, *y = b;
  return x->priority != y->priority ? (x->priority < y->priority ? -1 : 1) : x->order < y->order ? -1 : x->order > y->order;
}

static bool fits(const struct fl_node *node, const struct fl_shape *s, const int64_t *freed, uint32_t dims) {
  for (uint32_t d = 0; d < dims; d++)
    if (s->need[d] > 0 && node->room[d] - node->used[d] + freed[d] < s->need[d])
      return false;
  return true;
}

/* Whether one more of its service may go. */
static bool in_budget(const struct bt_fleet *f, const struct choice *c, const struct fl_shape *s) {
  uint32_t gone = 0;
  if (s->of->may_go == BT_FLEET_NONE)
    return true;
  for (size_t i = 0; i < c->len; i++)
    gone += c->items[i].gone && f->shapes.items[f->insts.items[c->items[i].inst].shape]->of == s->of;
  return gone < s->of->may_go;
}

static void free_one(const struct bt_fleet *f, struct choice *c, size_t i, int64_t *freed, bool gone) {
  const struct fl_shape *s = f->shapes.items[f->insts.items[c->items[i].inst].shape];
  c->items[i].gone = gone;
  if (gone)
    c->gone++;
  else
    c->gone--;
  for (uint32_t d = 0; d < fl_ndims(f); d++)
    freed[d] += gone ? s->need[d] : -s->need[d];
}

static bool helps(const struct bt_fleet *f, const struct fl_node *node, const struct fl_shape *victim, const struct fl_shape *s,
                  const int64_t *freed) {
  for (uint32_t d = 0; d < fl_ndims(f); d++)
    if (s->need[d] > node->room[d] - node->used[d] + freed[d] && victim->need[d] > 0)
      return true;
  return false;
}

/* Who may go from the node; what is freed by those of them that go anyway. */
static void candidates(const struct bt_fleet *f, const struct fl_node *node, const struct fl_asker *asker, struct choice *c, int64_t *freed) {
  c->len = c->gone = 0;
  for (uint32_t i = node->head; i != BT_FLEET_NONE && c->len < CANDIDATES; i = f->insts.items[i].node_next) {
    const struct fl_shape *other = f->shapes.items[f->insts.items[i].shape];
    if (node->going && is_going(f, i)) {
      for (uint32_t d = 0; lower(other, asker) && d < fl_ndims(f); d++)
        freed[d] += other->need[d];
    } else if (goes(other, asker)) {
      c->items[c->len] = (struct victim){i, (uint32_t)c->len, seen(other, asker), false}, c->len++;
    }
  }
  qsort(c->items, c->len, sizeof *c->items, lowest_first);
}

/* The lowest go until it fits; then the highest of them stay as far as it still fits. */
static bool choose(struct bt_fleet *f, const struct fl_shape *s, const struct fl_asker *asker, uint32_t n, struct choice *c) {
  const struct fl_node *node = &f->nodes.items[n];
  uint32_t dims = fl_ndims(f);
  int64_t freed[BT_FLEET_DIMS] = {0};
  candidates(f, node, asker, c, freed);
  for (size_t i = 0; i < c->len && !fits(node, s, freed, dims); i++) {
    const struct fl_shape *victim = f->shapes.items[f->insts.items[c->items[i].inst].shape];
    if (helps(f, node, victim, s, freed) && in_budget(f, c, victim))
      free_one(f, c, i, freed, true);
  }
  if (!fits(node, s, freed, dims))
    return false;
  c->highest = INT32_MIN;
  for (size_t i = c->len; i-- > 0;) {
    if (!c->items[i].gone)
      continue;
    free_one(f, c, i, freed, false);
    if (!fits(node, s, freed, dims)) {
      free_one(f, c, i, freed, true);
      c->highest = BT_MAX(c->highest, c->items[i].priority);
    }
  }
  return true;
}

/* ---- the node ---- */

static bool less_harm(const struct choice *a, const struct choice *b) {
  return a->highest != b->highest ? a->highest < b->highest : a->gone < b->gone;
}

struct looked {
  struct fl_asker asker;
  struct choice *best, *other;
  uint32_t node;
  int found, tried;
};

static void look_at_node(struct bt_fleet *f, const struct fl_shape *s, uint32_t n, struct looked *look) {
  look->tried++;
  if (!choose(f, s, &look->asker, n, look->other))
    return;
  look->found++;
  if (look->node != BT_FLEET_NONE && !less_harm(look->other, look->best))
    return;
  struct choice *better = look->other;
  look->other = look->best;
  look->best = better;
  look->node = n;
}

static void look_at(struct bt_fleet *f, struct fl_shape *s, const struct fl_range *r, const struct fl_layer *l, struct looked *look) {
  struct bt_fit_query q = {s->need, r->lo, r->hi, s->out.items, s->out.len, s->in.items, s->in.len};
  while (look->found < LOOKED_AT && look->tried < TRIED && q.lo < q.hi) {
    uint32_t pos = bt_fit_first(&l->fit, &q);
    if (pos == BT_FIT_NONE)
      return;
    q.lo = pos + 1;
    look_at_node(f, s, f->at.items[pos], look);
  }
}

/* Where somebody leaves anyway nobody else has to: those nodes first, so that who is asked again asks for nobody more. */
static void look_at_going(struct bt_fleet *f, struct fl_shape *s, const struct fl_layer *l, struct looked *look) {
  size_t left = f->ngoing;
  for (uint32_t n = 0; n < f->nodes.len && left > 0 && look->tried < TRIED; n++) {
    const struct fl_node *node = &f->nodes.items[n];
    struct bt_fit_query q = {s->need, node->pos, node->pos + 1, s->out.items, s->out.len, s->in.items, s->in.len};
    left -= node->going;
    if (!node->going || bt_fit_first(&l->fit, &q) == BT_FIT_NONE)
      continue;
    bt_vec_each(&s->groups, g) for (size_t i = 0; !g->out && i < g->ranges.len; i++)
      if (node->pos >= g->ranges.items[i].lo && node->pos < g->ranges.items[i].hi)
        look_at_node(f, s, n, look);
    if (look->node != BT_FLEET_NONE && look->best->gone == 0)
      return;
  }
}

size_t bt_fleet_victims(struct bt_fleet *f, uint32_t shape, uint32_t *node, uint32_t *out, size_t max) {
  struct fl_shape *s = f->shapes.items[shape];
  fl_ensure(f);
  fl_shape_groups(f, s);
  struct choice a, b;
  struct looked look = {.asker = asker_of(f, s), .best = &a, .other = &b, .node = BT_FLEET_NONE};
  const struct fl_layer *l = layer(f, &look.asker);
  *node = BT_FLEET_NONE;
  fl_groups_score(f, s);
  look_at_going(f, s, l, &look);
  bool waits = look.node != BT_FLEET_NONE && look.best->gone == 0;
  look.found = look.tried = 0;
  for (struct fl_group *g; !waits && (g = fl_group_best(s)) != NULL && look.found < LOOKED_AT && look.tried < TRIED; g->out = true)
    for (size_t i = 0; i < g->ranges.len; i++)
      look_at(f, s, &g->ranges.items[i], l, &look);
  size_t n = 0;
  if (look.node == BT_FLEET_NONE || look.best->gone > max)
    return 0;
  for (size_t i = 0; i < look.best->len; i++)
    if (look.best->items[i].gone)
      out[n++] = look.best->items[i].inst;
  *node = look.node;
  return n;
}
