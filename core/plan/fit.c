#include "config.h"

#include "plan/fit.h"

#include "base/mem.h"

static uint32_t levels_for(uint32_t n) {
  uint32_t levels = 1;
  for (uint64_t width = BT_FIT_FAN; width < n; width *= BT_FIT_FAN)
    levels++;
  BT_ASSERT(levels <= BT_FIT_LEVELS);
  return levels;
}

/* Blocks at a level: level 0 covers positions, each further one the blocks below. */
static size_t blocks_at(uint32_t n, uint32_t level) {
  size_t blocks = BT_MAX(n, 1U);
  for (uint32_t i = 0; i <= level; i++)
    blocks = (blocks + BT_FIT_FAN - 1) / BT_FIT_FAN;
  return blocks;
}

/* ---- sets ---- */

void bt_fit_set_init(struct bt_fit_set *set, uint32_t n) {
  *set = (struct bt_fit_set){.n = n, .levels = levels_for(n)};
  for (uint32_t l = 0; l < set->levels; l++) {
    set->all[l] = bt_newn(uint16_t, blocks_at(n, l));
    set->any[l] = l ? bt_newn(uint16_t, blocks_at(n, l)) : set->all[0];
  }
}

void bt_fit_set_free(struct bt_fit_set *set) {
  for (uint32_t l = 0; l < set->levels; l++) {
    free(set->all[l]);
    if (l)
      free(set->any[l]);
  }
  *set = (struct bt_fit_set){0};
}

bool bt_fit_set_has(const struct bt_fit_set *set, uint32_t pos) {
  return pos < set->n && (set->all[0][pos >> 4] >> (pos & 15) & 1);
}

static void set_bit(uint16_t *word, uint32_t bit, bool in) {
  *word = in ? (uint16_t)(*word | 1U << bit) : (uint16_t)(*word & ~(1U << bit));
}

void bt_fit_set_put(struct bt_fit_set *set, uint32_t pos, bool in) {
  BT_ASSERT(pos < set->n);
  if (bt_fit_set_has(set, pos) == in)
    return;
  set->count += in ? 1 : -1U;
  set_bit(&set->all[0][pos >> 4], pos & 15, in);
  for (uint32_t l = 1; l < set->levels; l++) {
    uint32_t child = pos >> (4 * l), block = child >> 4, bit = child & 15;
    uint16_t all = set->all[l][block], any = set->any[l][block];
    set_bit(&set->all[l][block], bit, set->all[l - 1][child] == 0xffff);
    set_bit(&set->any[l][block], bit, set->any[l - 1][child] != 0);
    if (all == set->all[l][block] && any == set->any[l][block])
      break;
  }
}

/* ---- amounts ---- */

void bt_fit_init(struct bt_fit *fit, uint32_t n, uint32_t dims) {
  BT_ASSERT(dims > 0 && dims <= BT_FIT_DIMS);
  *fit = (struct bt_fit){.n = n, .levels = levels_for(n), .dims = dims};
  for (uint32_t l = 0; l < fit->levels; l++) {
    size_t len = blocks_at(n, l) * dims * BT_FIT_FAN;
    fit->free[l] = bt_newn(int64_t, len);
    memset(fit->free[l], 0xff, len * sizeof(int64_t));
  }
}

void bt_fit_free(struct bt_fit *fit) {
  for (uint32_t l = 0; l < fit->levels; l++)
    free(fit->free[l]);
  *fit = (struct bt_fit){0};
}

/* The amounts of a block in one dimension: sixteen beside each other. */
static int64_t *row(const struct bt_fit *fit, uint32_t level, uint32_t block, uint32_t dim) {
  return fit->free[level] + ((size_t)block * fit->dims + dim) * BT_FIT_FAN;
}

int64_t bt_fit_get(const struct bt_fit *fit, uint32_t pos, uint32_t dim) { return row(fit, 0, pos >> 4, dim)[pos & 15]; }

static int64_t largest(const int64_t *v) {
  int64_t max = v[0];
  for (int i = 1; i < BT_FIT_FAN; i++)
    max = v[i] > max ? v[i] : max;
  return max;
}

void bt_fit_put(struct bt_fit *fit, uint32_t pos, const int64_t *amounts) {
  BT_ASSERT(pos < fit->n);
  for (uint32_t d = 0; d < fit->dims; d++) {
    int64_t now = amounts[d];
    uint32_t child = pos;
    for (uint32_t l = 0; l < fit->levels; l++, child >>= 4) {
      int64_t *v = row(fit, l, child >> 4, d), was = v[child & 15];
      if (was == now)
        break;
      v[child & 15] = now;
      if (l + 1 == fit->levels)
        break;
      int64_t above = row(fit, l + 1, child >> 8, d)[child >> 4 & 15];
      if (now < above) {
        if (was < above)
          break;
        now = largest(v);
      }
    }
  }
}

/* ---- searches ---- */

/* The children of a block that may hold what is looked for, as far as sets and the range tell. */
static unsigned allowed(const struct bt_fit *fit, const struct bt_fit_query *q, uint32_t level, uint32_t block) {
  unsigned shift = 4 * level;
  uint64_t begin = (uint64_t)block << (shift + 4), width = 1ULL << shift, end = begin + (width << 4);
  unsigned mask = 0xffff;
  if (q->lo > begin)
    mask &= 0xffffU << ((q->lo - begin) >> shift);
  uint64_t hi = BT_MIN(q->hi, fit->n);
  if (hi < end)
    mask &= (1U << ((hi - begin + width - 1) >> shift)) - 1;
  for (size_t i = 0; i < q->nout; i++)
    mask &= ~(unsigned)q->out[i]->all[level][block];
  for (size_t i = 0; i < q->nin; i++)
    mask &= q->in[i]->any[level][block];
  return mask;
}

static unsigned roomy(const struct bt_fit *fit, const struct bt_fit_query *q, uint32_t level, uint32_t block, unsigned mask) {
  for (uint32_t d = 0; d < fit->dims && mask; d++) {
    int64_t need = q->need[d];
    if (need < 0)
      continue;
    const int64_t *v = row(fit, level, block, d);
    unsigned fits = 0;
    for (unsigned i = 0; i < BT_FIT_FAN; i++)
      fits |= (unsigned)(v[i] >= need) << i;
    mask &= fits;
  }
  return mask;
}

#define NEAR 24 /* blocks that are looked at for more once there is one */

struct found {
  uint32_t *out;
  size_t len, max, looked;
};

static void some_in(const struct bt_fit *fit, const struct bt_fit_query *q, uint32_t level, uint32_t block, struct found *found) {
  unsigned mask = allowed(fit, q, level, block);
  for (mask = mask ? roomy(fit, q, level, block, mask) : 0; mask && found->len < found->max; mask &= mask - 1) {
    if (found->len && ++found->looked > NEAR)
      return;
    uint32_t child = block * BT_FIT_FAN + (uint32_t)__builtin_ctz(mask);
    if (level == 0)
      found->out[found->len++] = child;
    else
      some_in(fit, q, level - 1, child, found);
  }
}

size_t bt_fit_some(const struct bt_fit *fit, const struct bt_fit_query *q, uint32_t *out, size_t max) {
  struct found found = {.out = out, .max = max};
  if (q->lo < BT_MIN(q->hi, fit->n))
    some_in(fit, q, fit->levels - 1, 0, &found);
  return found.len;
}

uint32_t bt_fit_first(const struct bt_fit *fit, const struct bt_fit_query *q) {
  uint32_t pos;
  return bt_fit_some(fit, q, &pos, 1) ? pos : BT_FIT_NONE;
}

/* Children in the order of what they have most of; a branch that cannot beat the best is left alone. */
static void most_in(const struct bt_fit *fit, const struct bt_fit_query *q, uint32_t by, uint32_t level, uint32_t block, uint32_t *best,
                    int64_t *amount) {
  unsigned mask = allowed(fit, q, level, block);
  const int64_t *v = row(fit, level, block, by);
  for (mask = mask ? roomy(fit, q, level, block, mask) : 0; mask;) {
    unsigned top = (unsigned)__builtin_ctz(mask);
    for (unsigned rest = mask & (mask - 1); rest; rest &= rest - 1)
      if (v[__builtin_ctz(rest)] > v[top])
        top = (unsigned)__builtin_ctz(rest);
    mask &= ~(1U << top);
    uint32_t child = block * BT_FIT_FAN + top;
    if (*best != BT_FIT_NONE && (v[top] < *amount || (v[top] == *amount && (child << (4 * level)) > *best)))
      return;
    if (level > 0) {
      most_in(fit, q, by, level - 1, child, best, amount);
    } else if (*best == BT_FIT_NONE || v[top] > *amount || child < *best) {
      *best = child;
      *amount = v[top];
    }
  }
}

uint32_t bt_fit_most(const struct bt_fit *fit, const struct bt_fit_query *q, uint32_t by) {
  uint32_t best = BT_FIT_NONE;
  int64_t amount = -1;
  if (q->lo < BT_MIN(q->hi, fit->n))
    most_in(fit, q, by, fit->levels - 1, 0, &best, &amount);
  return best;
}
