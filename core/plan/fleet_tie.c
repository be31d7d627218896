/* What ties a shape to others: marks that it leaves, is barred by, wants or spreads over, by its affinities, spreads and the rest of its need. */
#include "config.h"

#include "plan/fleet_int.h"

#include <stdio.h>

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

void fl_target_text(char *out, size_t size, enum bt_scope scope, const char *ns, const char *app, const char *service) {
  if (scope == BT_SCOPE_SERVICE)
    snprintf(out, size, "s:%s/%s/%s", ns, app, service);
  else if (scope == BT_SCOPE_APP)
    snprintf(out, size, "a:%s/%s", ns, app);
  else
    snprintf(out, size, "n:%s", ns);
}

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
      char key[FL_TARGET_MAX + 16];
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
  char target[FL_TARGET_MAX], repel[FL_TARGET_MAX + 1];
  fl_target_text(target, sizeof target, a->scope, a->namespace_, a->app, a->service);
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
    tie(f, s, &s->soft, &s->zsoft, (struct fl_tie){.mark = mark, .min = 1, .weight = -FL_PREFER_NOT});
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

static void marks(struct bt_fleet *f, uint32_t shape, const struct bt_need *need) {
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

void fl_tie_all(struct bt_fleet *f, uint32_t shape, const struct bt_need *need) {
  meet_others(f, shape);
  marks(f, shape, need);
  for (size_t i = 0; i < need->naffinities; i++)
    affinity(f, shape, &need->affinities[i]);
  for (size_t i = 0; i < need->nspreads; i++)
    spread(f, shape, &need->spreads[i]);
  if (need->strategy == BT_SPREAD)
    level(f, shape);
}
