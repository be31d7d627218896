/* Instances that would have better places: plan/rebalance. */
#include "config.h"

#include <stdio.h>

#include "base/mem.h"
#include "plan/rebalance.h"
#include "tap.h"

#define MOST 64
struct world {
  struct bt_fleet *f;
  uint32_t nodes[8], insts[MOST], shape;
  size_t n;
  struct bt_rebalance_move moves[MOST];
  size_t found;
};

static void node(struct world *w, int i, const char *disk, int64_t cpu) {
  char name[16];
  snprintf(name, sizeof name, "n%d", i);
  struct bt_attr attr = {"node.labels.disk", disk};
  struct bt_fleet_node as = {.name = name, .attrs = &attr, .nattrs = 1, .open = true};
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    as.room[d] = BT_FLEET_MAX;
  as.room[BT_DIM_CPU] = cpu;
  w->nodes[i] = bt_fleet_node_set(w->f, &as);
}

static struct world world_of(int nodes) {
  struct world w = {.f = bt_fleet_new()};
  for (int i = 1; i <= nodes; i++)
    node(&w, i, "hdd", 1000);
  return w;
}

static void shape(struct world *w, struct bt_need need) {
  need.namespace_ = "default", need.app = "shop", need.service = "web";
  need.request[BT_DIM_CPU] = 100;
  ok(bt_fleet_shape_new(w->f, &need, &w->shape, NULL) == 0, "a shape");
}

static void put(struct world *w, int node, size_t n) {
  while (n-- > 0)
    w->insts[w->n++] = bt_fleet_seat(w->f, w->shape, w->nodes[node]);
}

static bool same(const struct world *w, const uint32_t *where) {
  for (size_t i = 0; i < w->n; i++)
    if (bt_fleet_node_of(w->f, w->insts[i]) != where[i])
      return false;
  return true;
}

static size_t ask(struct world *w, size_t max) {
  uint32_t where[MOST];
  for (size_t i = 0; i < w->n; i++)
    where[i] = bt_fleet_node_of(w->f, w->insts[i]);
  w->found = bt_rebalance(w->f, w->insts, w->n, w->moves, max);
  if (!same(w, where))
    ok(false, "the fleet is as before");
  return w->found;
}

static void test_even(void) {
  struct world w = world_of(2);
  shape(&w, (struct bt_need){.strategy = BT_SPREAD});
  put(&w, 1, 4);
  put(&w, 2, 4);
  is_int((long long)ask(&w, MOST), 0, "four and four: nothing to do");
  node(&w, 3, "hdd", 1000);
  is_int((long long)ask(&w, MOST), 2, "a node joins: two moves");
  ok(w.moves[0].to == w.nodes[3] && w.moves[1].to == w.nodes[3] && w.moves[0].from != w.moves[1].from, "there, one of each");
  ok(w.moves[0].kind == BT_REBALANCE_EVEN && w.moves[0].gain == 30 && w.moves[1].gain == 20, "with a gain that falls");
  is_int((long long)ask(&w, 1), 1, "at most so many as asked for");
  node(&w, 3, "hdd", 100);
  is_int((long long)ask(&w, MOST), 1, "and as many as fit");
  bt_fleet_free(&w.f);
}

static void test_even_small(void) {
  struct world w = world_of(2);
  shape(&w, (struct bt_need){.strategy = BT_SPREAD});
  put(&w, 1, 3);
  put(&w, 2, 3);
  node(&w, 3, "hdd", 1000);
  ask(&w, MOST);
  is_int((long long)w.found, 2, "three and three, and a node that joins: two moves");
  bt_fleet_free(&w.f);
}

static void test_packed(void) {
  struct world w = world_of(3);
  shape(&w, (struct bt_need){.strategy = BT_BINPACK});
  put(&w, 1, 2);
  put(&w, 2, 6);
  is_int((long long)ask(&w, MOST), 0, "what is packed stays");
  bt_fleet_free(&w.f);
}

static void test_rule(void) {
  struct bt_rule rule;
  struct world w = world_of(3);
  BT_ASSERT(bt_rule_parse("node.labels.disk == ssd", false, &rule, NULL) == 0);
  node(&w, 1, "ssd", 1000);
  shape(&w, (struct bt_need){.strategy = BT_BINPACK, .rules = &rule, .nrules = 1});
  put(&w, 1, 2);
  is_int((long long)ask(&w, MOST), 0, "where the rule says");
  node(&w, 1, "hdd", 1000);
  is_int((long long)ask(&w, MOST), 0, "its label changes: no node is better");
  node(&w, 2, "ssd", 150);
  is_int((long long)ask(&w, MOST), 1, "one is, with room for one");
  ok(w.moves[0].kind == BT_REBALANCE_RULE && w.moves[0].to == w.nodes[2] && w.moves[0].gain == BT_REBALANCE_RULE_GAIN, "a rule holds again");
  is_str(w.moves[0].before.why, "does not meet node.labels.disk == ssd (it has hdd)", "and which");
  bt_rule_free(&rule);
  bt_fleet_free(&w.f);
}

static void test_wish(void) {
  struct bt_prefer prefer = {.weight = 50};
  struct world w = world_of(2);
  BT_ASSERT(bt_rule_parse("node.labels.disk == ssd", false, &prefer.rule, NULL) == 0);
  shape(&w, (struct bt_need){.strategy = BT_BINPACK, .prefers = &prefer, .nprefers = 1});
  put(&w, 1, 2);
  is_int((long long)ask(&w, MOST), 0, "no node is better");
  node(&w, 2, "ssd", 1000);
  is_int((long long)ask(&w, MOST), 2, "one is");
  ok(w.moves[0].kind == BT_REBALANCE_WISH && w.moves[0].gain == 50, "by the weight of the wish");
  prefer.weight = 5;
  bt_fleet_remove(w.f, w.insts[0]);
  bt_fleet_remove(w.f, w.insts[1]);
  w.n = 0;
  shape(&w, (struct bt_need){.strategy = BT_BINPACK, .prefers = &prefer, .nprefers = 1});
  put(&w, 1, 1);
  is_int((long long)ask(&w, MOST), 0, "a small one is not worth a move");
  bt_rule_free(&prefer.rule);
  bt_fleet_free(&w.f);
}

/* Done one after the other, as they are proposed, moves come to an end, and what is spread is even then. */
static void test_ends(void) {
  unsigned seed = 5;
  bool ends = true, even = true;
  for (int round = 0; round < 40; round++) {
    struct world w = world_of(6);
    shape(&w, (struct bt_need){.strategy = BT_SPREAD});
    for (int i = 0; i < 30; i++) {
      seed = seed * 1103515245 + 12345;
      int on = 1 + (int)((seed >> 9) % 6);
      if (bt_fleet_may(w.f, w.shape, w.nodes[on]))
        put(&w, on, 1);
    }
    int moves = 0;
    for (; moves < 100 && ask(&w, 1) == 1; moves++) {
      uint32_t i = w.moves[0].instance;
      bt_fleet_remove(w.f, i);
      ends = ends && bt_fleet_seat(w.f, w.shape, w.moves[0].to) == i;
    }
    uint32_t least = UINT32_MAX, most = 0;
    for (int i = 1; i <= 6; i++) {
      least = BT_MIN(least, bt_fleet_node_count(w.f, w.nodes[i]));
      most = BT_MAX(most, bt_fleet_node_count(w.f, w.nodes[i]));
    }
    ends = ends && moves < 30;
    even = even && most - least <= 1;
    bt_fleet_free(&w.f);
  }
  ok(ends, "moves end");
  ok(even, "and then all is even");
}

int main(void) {
  test_even();
  test_even_small();
  test_packed();
  test_rule();
  test_wish();
  test_ends();
  return done_testing();
}
