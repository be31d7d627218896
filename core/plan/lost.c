#include "config.h"

#include "plan/lost.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/vec.h"

struct zone {
  size_t all, gone;
  int64_t *last_ms;
  int64_t every_ms; /* 0: none of it */
};

struct pass {
  const struct bt_lost_in *in;
  struct bt_map *zones;
  struct zone total;
};

void bt_lost_pace_free(struct bt_lost_pace *pace) { bt_map_free(&pace->zones); }

static bool is_gone(const struct pass *p, const struct bt_lost_node *node) { return !node->up && p->in->now_ms >= node->down_ms + p->in->after_ms; }

static bool forgotten(const struct pass *p, const struct bt_lost_node *node) {
  return !node->up && node->given_ms && p->in->now_ms >= node->given_ms + BT_LOST_FORGOTTEN_MS;
}

static int64_t *last_of(struct bt_lost_pace *pace, const char *zone) {
  if (!pace->zones)
    pace->zones = bt_map_new(free);
  int64_t *last = bt_map_get(pace->zones, zone);
  if (!last) {
    last = bt_new(int64_t);
    *last = INT64_MIN / 2;
    bt_map_set(pace->zones, zone, last);
  }
  return last;
}

static void count(struct pass *p, const struct bt_lost_node *node, struct bt_lost_pace *pace) {
  struct zone *z = bt_map_get(p->zones, node->zone);
  if (!z) {
    z = bt_new(struct zone);
    z->last_ms = last_of(pace, node->zone);
    bt_map_set(p->zones, node->zone, z);
  }
  if (forgotten(p, node))
    return;
  bool gone = is_gone(p, node);
  z->all++;
  z->gone += gone;
  p->total.all++;
  p->total.gone += gone;
}

/* 0: not at all. */
static int64_t pace_of(const struct zone *z, int64_t every_ms) {
  if (z->gone < BT_LOST_LEAST || z->gone * 100 <= z->all * BT_LOST_SHARE)
    return every_ms;
  return z->all > BT_LOST_FEW ? every_ms * BT_LOST_SLOWER : 0;
}

static void set_paces(struct pass *p) {
  int64_t total = p->total.gone == p->total.all ? 0 : pace_of(&p->total, p->in->every_ms);
  for (struct bt_map_iter it = bt_map_iter(p->zones); bt_map_next(&it);) {
    struct zone *z = it.value;
    int64_t own = z->gone == z->all ? p->in->every_ms : pace_of(z, p->in->every_ms);
    z->every_ms = total && own ? BT_MAX(total, own) : 0;
  }
}

static enum bt_lost_verdict judge(struct pass *p, const struct bt_lost_node *node, int64_t *wake_ms) {
  struct zone *z = bt_map_get(p->zones, node->zone);
  if (node->given_ms)
    return BT_LOST_NOT;
  if (!is_gone(p, node)) {
    *wake_ms = BT_MIN(*wake_ms, node->down_ms + p->in->after_ms);
    return BT_LOST_GRACE;
  }
  if (!z->every_ms) {
    *wake_ms = BT_MIN(*wake_ms, p->in->now_ms + BT_LOST_FORGOTTEN_MS); /* what is forgotten meanwhile may change it */
    return BT_LOST_HELD;
  }
  if (p->in->now_ms < *z->last_ms + z->every_ms) {
    *wake_ms = BT_MIN(*wake_ms, *z->last_ms + z->every_ms);
    return BT_LOST_TURN;
  }
  *z->last_ms = p->in->now_ms;
  return BT_LOST_NOW;
}

static int longest_first(const void *a, const void *b) {
  const struct bt_lost_node *x = *(const struct bt_lost_node *const *)a, *y = *(const struct bt_lost_node *const *)b;
  return x->down_ms != y->down_ms ? (x->down_ms < y->down_ms ? -1 : 1) : strcmp(x->name, y->name);
}

int64_t bt_lost_step(const struct bt_lost_in *in, struct bt_lost_node *nodes, size_t n, struct bt_lost_pace *pace) {
  int64_t wake_ms = INT64_MAX;
  struct pass p = {.in = in, .zones = bt_map_new(free)};
  BT_VEC(struct bt_lost_node *) down = {0}; /* of very many mostly a few */
  for (size_t i = 0; i < n; i++) {
    nodes[i].verdict = BT_LOST_NOT;
    count(&p, &nodes[i], pace);
    if (!nodes[i].up)
      bt_vec_push(&down, &nodes[i]);
  }
  if (down.len)
    qsort(down.items, down.len, sizeof *down.items, longest_first);
  set_paces(&p);
  bt_vec_each(&down, node)(*node)->verdict = judge(&p, *node, &wake_ms);
  bt_vec_free(&down);
  bt_map_free(&p.zones);
  return wake_ms;
}
