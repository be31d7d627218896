#include "config.h"

#include "plan/rebalance.h"

#include "base/mem.h"
#include "base/vec.h"

static const char *const kind_names[] = {"rule", "wish", "even"};

const char *bt_rebalance_name(enum bt_rebalance_kind kind) { return kind_names[kind]; }

struct moves {
  BT_VEC(struct bt_rebalance_move) v;
};

/* A seat that was just given back is the next one that is taken. */
static void seat(struct bt_fleet *f, uint32_t shape, uint32_t node, uint32_t instance) {
  uint32_t again = bt_fleet_seat(f, shape, node);
  BT_ASSERT(again == instance);
}

static void weigh(struct bt_rebalance_move *m) {
  int64_t even = ((int64_t)m->before.crowd - m->after.crowd) * BT_REBALANCE_EVEN_GAIN;
  m->gain = m->after.score - m->before.score + even;
  m->kind = !m->before.may ? BT_REBALANCE_RULE : m->after.score > m->before.score ? BT_REBALANCE_WISH : BT_REBALANCE_EVEN;
  if (m->kind == BT_REBALANCE_RULE)
    m->gain = BT_REBALANCE_RULE_GAIN;
}

/* Leaves it where it is better by so much, or where it was. */
static bool try(struct bt_fleet *f, uint32_t instance, int64_t least, struct moves *found) {
  uint32_t shape = bt_fleet_shape_of(f, instance), placed;
  struct bt_rebalance_move m = {.instance = instance, .from = bt_fleet_node_of(f, instance)};
  bt_fleet_remove(f, instance);
  bt_fleet_worth(f, shape, m.from, &m.before);
  if (bt_fleet_place(f, shape, 1, &placed) == 0) {
    seat(f, shape, m.from, instance);
    return false;
  }
  BT_ASSERT(placed == instance);
  m.to = bt_fleet_node_of(f, instance);
  if (m.to == m.from)
    return false;
  bt_fleet_remove(f, instance);
  bt_fleet_worth(f, shape, m.to, &m.after);
  weigh(&m);
  bool better = m.gain >= least;
  seat(f, shape, better ? m.to : m.from, instance);
  if (better)
    bt_vec_push(&found->v, m);
  return better;
}

static int best_first(const void *a, const void *b) {
  const struct bt_rebalance_move *x = a, *y = b;
  if (x->gain != y->gain)
    return x->gain > y->gain ? -1 : 1;
  return x->instance < y->instance ? -1 : x->instance > y->instance;
}

size_t bt_rebalance(struct bt_fleet *f, const uint32_t *instances, size_t n, struct bt_rebalance_move *out, size_t max) {
  struct moves found = {0};
  static const int64_t least[] = {BT_REBALANCE_RULE_GAIN, 100, 30, 20, BT_REBALANCE_LEAST}; /* the best ones first: they change what the others gain */
  BT_AUTO_FREE bool *moved = bt_newn(bool, n + 1);
  for (size_t pass = 0; pass < BT_COUNT(least) && found.v.len < max; pass++)
    for (size_t i = 0; i < n && found.v.len < max; i++)
      moved[i] = moved[i] || try(f, instances[i], least[pass], &found);
  for (size_t i = found.v.len; i-- > 0;) {
    struct bt_rebalance_move *m = &found.v.items[i];
    uint32_t shape = bt_fleet_shape_of(f, m->instance);
    bt_fleet_remove(f, m->instance);
    seat(f, shape, m->from, m->instance);
  }
  if (found.v.len)
    qsort(found.v.items, found.v.len, sizeof *found.v.items, best_first);
  for (size_t i = 0; i < found.v.len; i++)
    out[i] = found.v.items[i];
  size_t len = found.v.len;
  bt_vec_free(&found.v);
  return len;
}
