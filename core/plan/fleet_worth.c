/* What a node is worth to a shape. */
#include "config.h"

#include "plan/fleet_int.h"

#include <stdio.h>

static const struct fl_group *group_at(const struct fl_shape *s, uint32_t pos) {
  bt_vec_each(&s->groups, g) for (size_t i = 0; i < g->ranges.len; i++)
    if (pos >= g->ranges.items[i].lo && pos < g->ranges.items[i].hi)
      return g;
  return NULL;
}

/* Whether what always holds for it holds at a position. */
static bool allowed(const struct fl_shape *s, uint32_t pos) {
  for (size_t i = 0; i < s->out.len; i++)
    if (bt_fit_set_has(s->out.items[i], pos))
      return false;
  for (size_t i = 0; i < s->in.len; i++)
    if (!bt_fit_set_has(s->in.items[i], pos))
      return false;
  return true;
}

void bt_fleet_worth(struct bt_fleet *f, uint32_t shape, uint32_t node, struct bt_worth *out) {
  struct fl_shape *s = f->shapes.items[shape];
  fl_ensure(f);
  fl_shape_groups(f, s);
  fl_groups_score(f, s);
  uint32_t pos = f->nodes.items[node].pos;
  const struct fl_group *g = group_at(s, pos);
  *out = (struct bt_worth){.crowd = s->level ? fl_mark_on(f, s->level_mark, node) : 0};
  if (!g) {
    if (!fl_refusal(f, s, f->nodes.items[node].class, out->why, sizeof out->why))
      snprintf(out->why, sizeof out->why, "has no label that it must have");
    return;
  }
  out->may = !g->out && allowed(s, pos);
  if (!out->may)
    snprintf(out->why, sizeof out->why, "is not where its other rules let it be");
  out->score = g->now;
  /* What is only liked, such as an image that is there already, is no reason to move, and none to stay. */
  bt_vec_each(&s->soft, t) out->score += t->weight != 1 && bt_fit_set_has(&t->watch->set, pos) ? t->weight : 0;
}
