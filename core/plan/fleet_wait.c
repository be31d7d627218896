#include "config.h"

#include "plan/fleet_int.h"

const int64_t *bt_fleet_shape_need(const struct bt_fleet *f, uint32_t shape) { return f->shapes.items[shape]->need; }

void bt_fleet_total(const struct bt_fleet *f, double total[BT_FLEET_DIMS]) {
  bool known[BT_FLEET_DIMS];
  for (int d = 0; d < BT_FLEET_DIMS; d++) {
    total[d] = 0;
    known[d] = true;
  }
  bt_vec_each(&f->nodes, node) for (uint32_t d = 0; node->name && d < fl_ndims(f); d++) {
    total[d] += (double)node->room[d];
    known[d] = known[d] && node->room[d] < BT_FLEET_MAX;
  }
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    total[d] = known[d] ? total[d] : 0;
}

void bt_fleet_each_use(const struct bt_fleet *f, bt_fleet_use *use, void *arg) {
  bt_vec_each(&f->shapes, shape) if (*shape && (*shape)->count) use(arg, (*shape)->namespace_, (*shape)->need, (*shape)->count);
}

/* ---- where room comes by itself ---- */

/* What those hold that will end, by node. */
static int64_t (*held(const struct bt_fleet *f, bt_fleet_ends *ends, void *arg))[BT_FLEET_DIMS] {
  int64_t(*out)[BT_FLEET_DIMS] = bt_calloc(f->nodes.len + 1, sizeof *out);
  bt_vec_each(&f->shapes, shape) {
    const struct fl_shape *s = *shape;
    for (uint32_t i = s && s->head != BT_FLEET_NONE && ends(arg, s->tag) ? s->head : BT_FLEET_NONE; i != BT_FLEET_NONE; i = f->insts.items[i].shape_next)
      for (uint32_t d = 0; d < fl_ndims(f); d++)
        out[f->insts.items[i].node][d] += s->need[d];
  }
  return out;
}

/* How much is missing now, in parts of what is asked for; below 0: never enough. */
static double missing(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_node *node, const int64_t *comes) {
  double most = 0;
  for (uint32_t d = 0; d < fl_ndims(f); d++) {
    int64_t lacks = s->need[d] - (node->room[d] - node->used[d]);
    if (s->need[d] == 0 || lacks <= 0)
      continue;
    if (lacks > comes[d])
      return -1;
    most = BT_MAX(most, (double)lacks / (double)s->need[d]);
  }
  return most;
}

static bool in_sets(const struct fl_shape *s, uint32_t pos) {
  bt_vec_each(&s->out, set) if (bt_fit_set_has(*set, pos)) return false;
  bt_vec_each(&s->in, set) if (!bt_fit_set_has(*set, pos)) return false;
  return true;
}

uint32_t bt_fleet_await(struct bt_fleet *f, uint32_t shape, bt_fleet_ends *ends, void *arg) {
  struct fl_shape *s = f->shapes.items[shape];
  uint32_t best = BT_FLEET_NONE;
  double least = 0;
  fl_ensure(f);
  fl_shape_groups(f, s);
  fl_groups_score(f, s);
  int64_t(*comes)[BT_FLEET_DIMS] = held(f, ends, arg);
  bt_vec_each(&s->groups, g) for (size_t r = 0; !g->out && r < g->ranges.len; r++)
    for (uint32_t pos = g->ranges.items[r].lo; pos < g->ranges.items[r].hi; pos++) {
      uint32_t n = f->at.items[pos];
      const struct fl_node *node = &f->nodes.items[n];
      double lacks = node->open && in_sets(s, pos) ? missing(f, s, node, comes[n]) : -1;
      if (lacks >= 0 && (best == BT_FLEET_NONE || lacks < least)) {
        best = n;
        least = lacks;
      }
    }
  free(comes);
  return best;
}
