/* Which node is the first, or the emptiest, that has room for a request: an implicit 16-ary tree over positions, where each block
 * holds the largest free amount of its children in each dimension, and sets of positions with the same shape. A search looks at
 * about 16 * log16(n) numbers per dimension; a change at as many. Pure; knows positions and amounts, not nodes.
 *
 * Memory: 8 bytes per dimension and position, and a sixteenth more; a set takes a quarter of a byte per position. */
#ifndef BT_PLAN_FIT_H
#define BT_PLAN_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BT_FIT_NONE UINT32_MAX
#define BT_FIT_FAN 16
#define BT_FIT_LEVELS 8
#define BT_FIT_DIMS 16

/* A set of positions. Above the lowest level: whether a block is full, and whether it has any. */
struct bt_fit_set {
  uint32_t n, levels, count;
  uint16_t *all[BT_FIT_LEVELS], *any[BT_FIT_LEVELS];
};
void bt_fit_set_init(struct bt_fit_set *set, uint32_t n); /* empty, for positions below n */
void bt_fit_set_free(struct bt_fit_set *set);
void bt_fit_set_put(struct bt_fit_set *set, uint32_t pos, bool in);
bool bt_fit_set_has(const struct bt_fit_set *set, uint32_t pos);

struct bt_fit {
  uint32_t n, levels, dims;
  int64_t *free[BT_FIT_LEVELS]; /* [block][dimension][16] */
};
/* All amounts are -1: nothing fits. dims: at most BT_FIT_DIMS. */
void bt_fit_init(struct bt_fit *fit, uint32_t n, uint32_t dims);
void bt_fit_free(struct bt_fit *fit);
/* What is free at a position now, one amount per dimension. A position that takes nothing has -1 in each. */
void bt_fit_put(struct bt_fit *fit, uint32_t pos, const int64_t *free);
int64_t bt_fit_get(const struct bt_fit *fit, uint32_t pos, uint32_t dim);

/* What is looked for. */
struct bt_fit_query {
  const int64_t *need;  /* one amount per dimension; -1: any, and at least one is not -1 */
  uint32_t lo, hi;      /* among positions lo <= p < hi */
  const struct bt_fit_set *const *out; /* not in any of these */
  size_t nout;
  const struct bt_fit_set *const *in;  /* in each of these */
  size_t nin;
};
/* The lowest position that fits, or BT_FIT_NONE. Worst case linear, where each amount fits somewhere but never all at one place. */
uint32_t bt_fit_first(const struct bt_fit *fit, const struct bt_fit_query *query);
/* The lowest position that fits, and further ones in order as far as they lie near; at most max. Returns how many. */
size_t bt_fit_some(const struct bt_fit *fit, const struct bt_fit_query *query, uint32_t *out, size_t max);
/* The position that fits with most in dimension "by" (ties: the lowest), or BT_FIT_NONE. */
uint32_t bt_fit_most(const struct bt_fit *fit, const struct bt_fit_query *query, uint32_t by);

#endif
