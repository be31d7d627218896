/* The planner's rules once more, without any index: it looks at every node and every instance. What the fleet decides is checked against it by
 * tests/unit/test_fleet and by the benches. Slow on purpose; shares no code with core/plan but the reading of rules. */
#ifndef BT_TESTS_FLEET_NAIVE_H
#define BT_TESTS_FLEET_NAIVE_H

#include <stdio.h>

#include "base/mem.h"
#include "base/vec.h"
#include "plan/fleet.h"

struct naive_node {
  struct bt_fleet_node given; /* strings borrowed */
  uint32_t number;
  bool there;
};
struct naive_inst {
  uint32_t number, need, node;
};
struct naive {
  BT_VEC(struct naive_node) nodes; /* by number */
  BT_VEC(const struct bt_need *) needs;
  BT_VEC(struct naive_inst) insts;
};

static inline const char *naive_attr(const struct naive_node *n, const char *key) {
  for (size_t i = 0; i < n->given.nattrs; i++)
    if (bt_streq(n->given.attrs[i].key, key))
      return n->given.attrs[i].value;
  return NULL;
}

static inline bool naive_same_domain(const struct naive_node *a, const struct naive_node *b, const char *topology) {
  if (!topology)
    return a == b;
  const char *x = naive_attr(a, topology), *y = naive_attr(b, topology);
  return x && y && strcmp(x, y) == 0;
}

static inline bool naive_speaks_of(const struct bt_affinity *a, const struct bt_need *n) {
  if (!bt_streq(a->namespace_, n->namespace_))
    return false;
  return a->scope == BT_SCOPE_NAMESPACE || (bt_streq(a->app, n->app) && (a->scope == BT_SCOPE_APP || bt_streq(a->service, n->service)));
}

static inline bool naive_same_service(const struct bt_need *a, const struct bt_need *b) {
  return bt_streq(a->namespace_, b->namespace_) && bt_streq(a->app, b->app) && bt_streq(a->service, b->service);
}

/* Rules, taints and names: what does not depend on other instances. */
static inline bool naive_eligible(const struct bt_need *need, const struct naive_node *n) {
  for (size_t i = 0; i < n->given.ntaints; i++) {
    bool tolerated = n->given.taints[i].effect == BT_TAINT_PREFER_NOT;
    for (size_t t = 0; t < need->ntolerations; t++)
      tolerated = tolerated || ((!need->tolerations[t].key || bt_streq(need->tolerations[t].key, n->given.taints[i].key)) &&
                                (!need->tolerations[t].value || bt_streq(need->tolerations[t].value, n->given.taints[i].value)));
    if (!tolerated)
      return false;
  }
  for (size_t i = 0; i < need->nrules; i++)
    if (!bt_rule_holds(&need->rules[i], bt_rule_names_node(&need->rules[i]) ? n->given.name : naive_attr(n, need->rules[i].key)))
      return false;
  return true;
}

static inline bool naive_has(const char *const *list, size_t len, const char *mark) {
  for (size_t i = 0; i < len; i++)
    if (bt_streq(list[i], mark))
      return true;
  return false;
}

static inline bool naive_leaves(const struct bt_need *need, const char *mark) {
  return naive_has(need->alone, need->nalone, mark) || naive_has(need->marks, need->nmarks, mark);
}

/* What another instance there means: false where it keeps this one away. */
static inline bool naive_bears(const struct naive *w, const struct bt_need *need, const struct naive_node *node, const struct naive_inst *other) {
  const struct bt_need *o = w->needs.items[other->need];
  const struct naive_node *on = &w->nodes.items[other->node];
  for (size_t i = 0; i < need->naffinities; i++) {
    const struct bt_affinity *a = &need->affinities[i];
    if (a->anti && a->hard && naive_speaks_of(a, o) && naive_same_domain(node, on, a->topology))
      return false;
  }
  for (size_t i = 0; i < o->naffinities; i++) {
    const struct bt_affinity *a = &o->affinities[i];
    if (a->anti && a->hard && bt_streq(o->namespace_, need->namespace_) && naive_speaks_of(a, need) && naive_same_domain(node, on, a->topology))
      return false;
  }
  for (size_t i = 0; on == node && i < need->nalone; i++)
    if (naive_leaves(o, need->alone[i]))
      return false;
  for (size_t i = 0; on == node && i < need->nbars; i++)
    if (naive_leaves(o, need->bars[i]))
      return false;
  return true;
}

/* Where the mark is anywhere, it is on this node. */
static inline bool naive_follows(const struct naive *w, const struct naive_node *node, const char *mark, uint32_t self) {
  bool any = false;
  for (size_t i = 0; i < w->insts.len; i++) {
    if (w->insts.items[i].number == self || !naive_leaves(w->needs.items[w->insts.items[i].need], mark))
      continue;
    any = true;
    if (w->insts.items[i].node == node->number)
      return true;
  }
  return !any;
}

static inline bool naive_wanted(const struct naive *w, const struct bt_need *need, const struct naive_node *node, const struct bt_affinity *a,
                                uint32_t self) {
  bool any = false;
  if (a->topology && !naive_attr(node, a->topology))
    return false;
  for (size_t i = 0; i < w->insts.len; i++) {
    if (w->insts.items[i].number == self || !naive_speaks_of(a, w->needs.items[w->insts.items[i].need]))
      continue;
    any = any || !a->topology || naive_attr(&w->nodes.items[w->insts.items[i].node], a->topology);
    if (naive_same_domain(node, &w->nodes.items[w->insts.items[i].node], a->topology))
      return true;
  }
  return !any && a->topology && naive_speaks_of(a, need);
}

static inline long naive_in_domain(const struct naive *w, const struct bt_need *need, const struct naive_node *node, const char *topology,
                                   uint32_t self) {
  long n = 0;
  for (size_t i = 0; i < w->insts.len; i++)
    n += w->insts.items[i].number != self && naive_same_service(need, w->needs.items[w->insts.items[i].need]) &&
         naive_same_domain(node, &w->nodes.items[w->insts.items[i].node], topology);
  return n;
}

static inline bool naive_in_skew(const struct naive *w, const struct bt_need *need, const struct naive_node *node, const struct bt_spread *s,
                                 uint32_t self) {
  long least = LONG_MAX;
  if (!s->hard)
    return true;
  if (!naive_attr(node, s->topology))
    return false;
  for (size_t i = 0; i < w->nodes.len; i++) {
    const struct naive_node *n = &w->nodes.items[i];
    if (n->there && naive_attr(n, s->topology) && naive_eligible(need, n))
      least = BT_MIN(least, naive_in_domain(w, need, n, s->topology, self));
  }
  return naive_in_domain(w, need, node, s->topology, self) + 1 - least <= s->max_skew;
}

/* Whether an instance may be (self: it is there already and not counted; else BT_FLEET_NONE) on the node. */
static inline bool naive_may(const struct naive *w, const struct bt_need *need, uint32_t node_number, uint32_t self) {
  const struct naive_node *node = &w->nodes.items[node_number];
  int64_t used[BT_FLEET_DIMS] = {0};
  int siblings = 0;
  if (!node->there || !node->given.open || !naive_eligible(need, node))
    return false;
  for (size_t i = 0; i < w->insts.len; i++) {
    const struct naive_inst *other = &w->insts.items[i];
    if (other->number == self)
      continue;
    if (!naive_bears(w, need, node, other))
      return false;
    for (int d = 0; other->node == node_number && d < BT_FLEET_DIMS; d++)
      used[d] += w->needs.items[other->need]->request[d];
    siblings += other->node == node_number && naive_same_service(need, w->needs.items[other->need]);
  }
  if (need->max_per_node > 0 && siblings >= need->max_per_node)
    return false;
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    if (need->request[d] > 0 && used[d] + need->request[d] > node->given.room[d])
      return false;
  for (size_t i = 0; i < need->naffinities; i++)
    if (need->affinities[i].hard && !need->affinities[i].anti && !naive_wanted(w, need, node, &need->affinities[i], self))
      return false;
  for (size_t i = 0; i < need->nfollows; i++)
    if (!naive_follows(w, node, need->follows[i], self))
      return false;
  for (size_t i = 0; i < need->nspreads; i++)
    if (!naive_in_skew(w, need, node, &need->spreads[i], self))
      return false;
  return true;
}

/* How many nodes may take one more. */
static inline size_t naive_places(const struct naive *w, const struct bt_need *need) {
  size_t n = 0;
  for (uint32_t i = 0; i < w->nodes.len; i++)
    n += naive_may(w, need, i, BT_FLEET_NONE);
  return n;
}

#endif
