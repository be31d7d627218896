#include "config.h"

#include "plan/fleet_int.h"

#define SKEW_WEIGHT 100
/* Found by trying (bench plan-quality): more than four cost time and gain nothing. */
#define COMPARED 4  /* positions that binpack compares */
#define WASTED 5    /* how much worse it is to lose something than to use it up unevenly */
#define CLEARLY 0.1 /* by how much a later position must be better than an earlier one */

/* ---- what a search of a shape goes by ---- */

static bool leaves(const struct fl_shape *s, uint32_t mark) {
  bt_vec_each(&s->marks, m) {
    if (*m == mark)
      return true;
  }
  return false;
}

static bool mark_own(struct fl_shape *s, struct fl_ties *ties) {
  bool any = false;
  bt_vec_each(ties, t) any |= t->own = leaves(s, t->mark);
  return any;
}

static int heavier(const void *a, const void *b) {
  const struct fl_tie *x = a, *y = b;
  return abs(y->weight) - abs(x->weight);
}

void fl_level_reset(struct bt_fleet *f, struct fl_shape *s, uint32_t min) {
  s->level->min = min;
  fl_watch_fill(f, s->level_mark, s->level);
}

void fl_place_prepare(struct bt_fleet *f, struct fl_shape *s) {
  mark_own(s, &s->bars);
  mark_own(s, &s->zwants);
  bool own = mark_own(s, &s->soft);
  own = mark_own(s, &s->zsoft) || own;
  own = mark_own(s, &s->zbars) || own;
  own = mark_own(s, &s->follows) || own;
  s->single = own || s->skews.len > 0 || s->level;
  if (s->soft.len)
    qsort(s->soft.items, s->soft.len, sizeof *s->soft.items, heavier);
  s->wish_from.len = 0;
  for (size_t i = 0; i < s->soft.len; i++)
    bt_vec_push(&s->wish_from, 0);
  if (s->level)
    fl_level_reset(f, s, 1);
  s->out.len = s->in.len = 0;
  if (s->has_never)
    bt_vec_push(&s->out, &s->never);
  if (s->has_only)
    bt_vec_push(&s->in, &s->only);
  bt_vec_each(&s->bars, t) bt_vec_push(&s->out, &t->watch->set);
  bt_vec_each(&s->wants, t) bt_vec_push(&s->in, &t->watch->set);
  s->always = s->in.len;
}

/* A search begins before all positions of the first group. */
static void search_all(struct fl_shape *s) {
  s->skip = s->from = 0;
  bt_vec_each(&s->wish_from, from) *from = 0;
}

/* Before each search: what it follows is somewhere, or is not yet */
static void follow(const struct bt_fleet *f, struct fl_shape *s) {
  if (s->follows.len == 0)
    return;
  s->in.len = s->always;
  bt_vec_each(&s->follows, t) {
    if (f->marks.items[t->mark].total > 0)
      bt_vec_push(&s->in, &t->watch->set);
  }
  search_all(s);
}

/* ---- groups ---- */

static uint32_t in_domain(const struct bt_fleet *f, uint32_t mark, uint32_t dom) {
  const struct fl_mark *m = &f->marks.items[mark];
  return dom < m->domains.len ? m->domains.items[dom] : 0;
}

static bool usable(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_group *g) {
  bt_vec_each(&s->zbars, t) {
    if (in_domain(f, t->mark, g->dom[t->term]) >= t->min)
      return false;
  }
  bt_vec_each(&s->zwants, t) {
    bool first = t->own && f->marks.items[t->mark].total == 0; /* it wants to be with its like, and there is none yet */
    if (!first && in_domain(f, t->mark, g->dom[t->term]) == 0)
      return false;
  }
  return true;
}

static uint32_t least_in(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_skew *k) {
  uint32_t least = UINT32_MAX;
  bt_vec_each(&s->groups, g) least = BT_MIN(least, in_domain(f, k->mark, g->dom[k->term]));
  return least;
}

void fl_groups_score(const struct bt_fleet *f, struct fl_shape *s) {
  follow(f, s);
  bt_vec_each(&s->groups, g) {
    g->now = g->score;
    g->out = s->terms.len && !usable(f, s, g);
    bt_vec_each(&s->zsoft, t) g->now += in_domain(f, t->mark, g->dom[t->term]) > 0 ? t->weight : 0;
  }
  bt_vec_each(&s->skews, k) {
    uint32_t least = least_in(f, s, k);
    bt_vec_each(&s->groups, g) {
      int64_t above = (int64_t)in_domain(f, k->mark, g->dom[k->term]) - least;
      g->out = g->out || (k->hard && above >= k->max_skew);
      g->now -= above * SKEW_WEIGHT;
    }
  }
}

struct fl_group *fl_group_best(struct fl_shape *s) {
  struct fl_group *best = NULL;
  bt_vec_each(&s->groups, g) {
    if (!g->out && (!best || g->now > best->now))
      best = g;
  }
  return best;
}

/* What is lost on a node once it is there, in parts of what the node has: what is left over of cpu or memory but too little for the smallest
 * request, and of those that ask for both, by how much one will be used up before the other. */
static double loss(const struct bt_fleet *f, const struct fl_shape *s, uint32_t pos) {
  const struct fl_node *node = &f->nodes.items[f->at.items[pos]];
  double left[2], wasted = 0;
  for (int d = BT_DIM_CPU; d <= BT_DIM_MEMORY; d++) {
    int64_t amount = node->room[d] - node->used[d] - s->need[d];
    left[d] = node->room[d] > 0 ? (double)amount / (double)node->room[d] : 0;
    wasted += amount < f->smallest[d] ? left[d] : 0;
  }
  if (s->need[BT_DIM_CPU] == 0 || s->need[BT_DIM_MEMORY] == 0)
    return WASTED * wasted;
  return WASTED * wasted + (left[0] > left[1] ? left[0] - left[1] : left[1] - left[0]);
}

/* Binpack: of the first few positions that fit the one with least loss. Before *first nothing fits. */
static uint32_t pack(const struct bt_fleet *f, const struct fl_shape *s, const struct bt_fit_query *q, uint32_t *first) {
  uint32_t few[COMPARED];
  size_t n = bt_fit_some(&f->fit, q, few, COMPARED), best = 0;
  if (n == 0)
    return BT_FIT_NONE;
  *first = few[0];
  double least = loss(f, s, few[0]);
  for (size_t i = 1; i < n; i++) {
    double lost = loss(f, s, few[i]);
    if (lost < least - CLEARLY) {
      least = lost;
      best = i;
    }
  }
  return few[best];
}

static uint32_t in_ranges(const struct bt_fleet *f, struct fl_shape *s, const struct fl_group *g, uint32_t from, uint32_t *first) {
  struct bt_fit_query q = {.need = s->need, .out = s->out.items, .nout = s->out.len, .in = s->in.items, .nin = s->in.len};
  uint32_t best = BT_FIT_NONE, by = f->fit.dims - 1;
  for (size_t i = 0; i < g->ranges.len; i++) {
    q.lo = BT_MAX(g->ranges.items[i].lo, from);
    q.hi = g->ranges.items[i].hi;
    uint32_t pos = s->strategy == BT_SPREAD ? bt_fit_most(&f->fit, &q, by) : pack(f, s, &q, first);
    if (pos == BT_FIT_NONE)
      continue;
    if (s->strategy == BT_BINPACK)
      return pos;
    if (best == BT_FIT_NONE || bt_fit_get(&f->fit, pos, by) > bt_fit_get(&f->fit, best, by))
      best = pos;
  }
  return best;
}

/* The best position of a group with the first n wishes met. */
static uint32_t with_wishes(struct bt_fleet *f, struct fl_shape *s, const struct fl_group *g, size_t n) {
  size_t out = s->out.len, in = s->in.len;
  uint32_t *from = n ? &s->wish_from.items[n - 1] : &s->from, first = BT_FIT_NONE;
  for (size_t i = 0; i < n; i++) {
    const struct bt_fit_set *set = &s->soft.items[i].watch->set;
    if (s->soft.items[i].weight < 0)
      bt_vec_push(&s->out, set);
    else
      bt_vec_push(&s->in, set);
  }
  uint32_t pos = in_ranges(f, s, g, BT_MAX(*from, s->from), &first);
  if (s->strategy == BT_BINPACK && s->terms.len == 0)
    *from = first;
  s->out.len = out;
  s->in.len = in;
  return pos;
}

/* The best position of a group: with all wishes first, then without the least, and so on. */
static uint32_t in_group(struct bt_fleet *f, struct fl_shape *s, const struct fl_group *g) {
  uint64_t changes = 0;
  bt_vec_each(&s->soft, t) changes += t->watch->changes;
  if (changes != s->wish_changes)
    bt_vec_each(&s->wish_from, from) *from = 0;
  s->wish_changes = changes;
  uint32_t pos = BT_FIT_NONE;
  for (size_t n = s->soft.len + 1; pos == BT_FIT_NONE && n-- > 0;)
    pos = with_wishes(f, s, g, n);
  return pos;
}

/* ---- one place ---- */

static void hear_of_freed(const struct bt_fleet *f, struct fl_shape *s) {
  uint32_t first = s->groups.len > 1 || f->nfreed - s->seen > FL_FREED ? 0 : BT_FIT_NONE;
  for (; first && s->seen < f->nfreed; s->seen++)
    first = BT_MIN(first, f->freed[s->seen % FL_FREED]);
  s->skip = 0;
  s->from = BT_MIN(s->from, first);
  bt_vec_each(&s->wish_from, from) *from = BT_MIN(*from, first);
  s->seen = f->nfreed;
}

static uint32_t among_static(struct bt_fleet *f, struct fl_shape *s) {
  if (s->seen != f->nfreed)
    hear_of_freed(f, s);
  while (s->skip < s->groups.len) {
    uint32_t pos = in_group(f, s, &s->groups.items[s->skip]);
    if (pos != BT_FIT_NONE)
      return pos;
    size_t next = s->skip + 1;
    if (next < s->groups.len)
      search_all(s);
    s->skip = next;
  }
  return BT_FIT_NONE;
}

static uint32_t among_groups(struct bt_fleet *f, struct fl_shape *s) {
  if (s->terms.len == 0)
    return among_static(f, s);
  fl_groups_score(f, s);
  for (struct fl_group *g; (g = fl_group_best(s)) != NULL; g->out = true) {
    uint32_t pos = in_group(f, s, g);
    if (pos != BT_FIT_NONE)
      return pos;
  }
  return BT_FIT_NONE;
}

/* Strategy spread: among the nodes that have fewest of it; where none of those has room, among those with one more. */
static uint32_t leveled(struct bt_fleet *f, struct fl_shape *s) {
  size_t base = s->out.len;
  bool any = false;
  for (;;) {
    s->skip = 0;
    bt_vec_push(&s->out, &s->level->set);
    uint32_t pos = among_groups(f, s);
    s->out.len = base;
    s->skip = 0;
    if (pos != BT_FIT_NONE || s->level->set.count == 0)
      return pos;
    if (!any && among_groups(f, s) == BT_FIT_NONE)
      return BT_FIT_NONE;
    any = true;
    fl_level_reset(f, s, s->level->min + 1);
  }
}

static uint32_t pick(struct bt_fleet *f, struct fl_shape *s) {
  if (s->full == f->epoch)
    return BT_FLEET_NONE;
  follow(f, s);
  uint32_t pos = s->level ? leveled(f, s) : among_groups(f, s);
  if (pos == BT_FIT_NONE && s->skews.len == 0) /* a further one elsewhere can make room for one that spreads */
    s->full = f->epoch;
  return pos == BT_FIT_NONE ? BT_FLEET_NONE : f->at.items[pos];
}

/* How many go there at once. */
static uint32_t at_once(const struct bt_fleet *f, const struct fl_shape *s, uint32_t n, size_t wanted) {
  const struct fl_node *node = &f->nodes.items[n];
  int64_t most = (int64_t)BT_MIN(wanted, (size_t)INT32_MAX);
  if (s->single)
    return 1;
  for (uint32_t d = 0; d < fl_ndims(f); d++)
    if (s->need[d] > 0)
      most = BT_MIN(most, (node->room[d] - node->used[d]) / s->need[d]);
  bt_vec_each(&s->bars, t) {
    if (t->own)
      most = BT_MIN(most, (int64_t)t->min - fl_mark_on(f, t->mark, n));
  }
  return (uint32_t)BT_MAX(most, 1);
}

bool bt_fleet_may(struct bt_fleet *f, uint32_t shape, uint32_t node) {
  struct fl_shape *s = f->shapes.items[shape];
  fl_ensure(f);
  fl_shape_groups(f, s);
  fl_groups_score(f, s);
  uint32_t pos = f->nodes.items[node].pos;
  struct bt_fit_query q = {s->need, pos, pos + 1, s->out.items, s->out.len, s->in.items, s->in.len};
  bt_vec_each(&s->groups, g) for (size_t i = 0; !g->out && i < g->ranges.len; i++)
    if (pos >= g->ranges.items[i].lo && pos < g->ranges.items[i].hi)
      return bt_fit_first(&f->fit, &q) != BT_FIT_NONE;
  return false;
}

size_t bt_fleet_place(struct bt_fleet *f, uint32_t shape, size_t n, uint32_t *out) {
  struct fl_shape *s = f->shapes.items[shape];
  size_t done = 0;
  while (done < n) {
    fl_ensure(f);
    fl_shape_groups(f, s);
    uint32_t node = pick(f, s);
    if (node == BT_FLEET_NONE)
      break;
    done += fl_sit(f, shape, node, at_once(f, s, node, n - done), out + done);
  }
  return done;
}

size_t bt_fleet_hosts(struct bt_fleet *f, uint32_t shape) { return bt_fleet_hosts_of(f, shape, NULL); }

size_t bt_fleet_hosts_of(struct bt_fleet *f, uint32_t shape, uint32_t *out) {
  struct fl_shape *s = f->shapes.items[shape];
  size_t n = 0;
  fl_ensure(f);
  fl_shape_groups(f, s);
  bt_vec_each(&s->groups, group) bt_vec_each(&group->ranges, range) for (uint32_t pos = range->lo; pos < range->hi; pos++) {
    bool named = (!s->has_only || bt_fit_set_has(&s->only, pos)) && (!s->has_never || !bt_fit_set_has(&s->never, pos));
    if (!named || !f->nodes.items[f->at.items[pos]].open)
      continue;
    if (out)
      out[n] = f->at.items[pos];
    n++;
  }
  return n;
}
