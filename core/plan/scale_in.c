#include "config.h"

#include "plan/scale_in.h"

#include "base/mem.h"

/* A slot that is held, by its better instance. */
struct holder {
  int slot, grade; /* grade: 0 does not serve, 1 is on a node that takes no new ones, 2 neither */
  uint32_t node;
  int64_t since_ms;
  size_t level; /* how many of its grade are on its node with it, up to it: the youngest has most */
};

static int grade(const struct bt_rollout_inst *i) { return !i->ready || i->lost ? 0 : i->closing ? 1 : 2; }

static struct holder holder_of(const struct bt_rollout_inst *i) { return (struct holder){i->slot, grade(i), i->node, i->assigned_ms ? i->assigned_ms : INT64_MAX, 0}; }

#define ORDER(a, b) ((a) < (b) ? -1 : (a) > (b))

static int by_slot(const void *a, const void *b) {
  const struct holder *x = a, *y = b;
  return x->slot != y->slot ? ORDER(x->slot, y->slot) : ORDER(y->grade, x->grade);
}

static int by_node(const void *a, const void *b) {
  const struct holder *x = a, *y = b;
  if (x->grade != y->grade)
    return ORDER(x->grade, y->grade);
  if (x->node != y->node)
    return ORDER(x->node, y->node);
  return x->since_ms != y->since_ms ? ORDER(x->since_ms, y->since_ms) : ORDER(x->slot, y->slot);
}

static int by_harm(const void *a, const void *b) {
  const struct holder *x = a, *y = b;
  if (x->grade != y->grade)
    return ORDER(x->grade, y->grade);
  if (x->level != y->level)
    return ORDER(y->level, x->level);
  return x->since_ms != y->since_ms ? ORDER(y->since_ms, x->since_ms) : ORDER(y->slot, x->slot);
}

/* One entry per slot that is held, least harm first; returns how many. */
static size_t rank(const struct bt_rollout_inst *insts, size_t n, struct holder *out) {
  size_t all = 0, len = 0;
  for (size_t i = 0; i < n; i++)
    if (!insts[i].leaving)
      out[all++] = holder_of(&insts[i]);
  qsort(out, all, sizeof *out, by_slot);
  for (size_t i = 0; i < all; i++)
    if (len == 0 || out[len - 1].slot != out[i].slot)
      out[len++] = out[i];
  qsort(out, len, sizeof *out, by_node);
  for (size_t i = 0; i < len; i++)
    out[i].level = i > 0 && out[i - 1].grade == out[i].grade && out[i - 1].node == out[i].node ? out[i - 1].level + 1 : 1;
  qsort(out, len, sizeof *out, by_harm);
  return len;
}

void bt_scale_in(const struct bt_rollout_inst *insts, size_t n, int replicas, int *slots) {
  BT_AUTO_FREE struct holder *held = bt_newn(struct holder, n + 1);
  size_t len = rank(insts, n, held), go = len > (size_t)replicas ? len - (size_t)replicas : 0;
  int highest = replicas, next = 1;
  for (size_t i = 0; i < len; i++)
    highest = BT_MAX(highest, held[i].slot);
  BT_AUTO_FREE int *to = bt_newn(int, (size_t)highest + 2); /* by slot; 0: it goes, or nobody has it */
  for (size_t i = go; i < len; i++)
    if (held[i].slot > 0)
      to[held[i].slot] = held[i].slot;
  for (int slot = replicas + 1; slot <= highest; slot++) {
    while (to[slot] && to[next])
      next++;
    if (to[slot])
      to[slot] = next++;
  }
  for (size_t i = 0; i < n; i++)
    slots[i] = insts[i].leaving ? insts[i].slot : insts[i].slot < 1 ? 0 : to[insts[i].slot];
}
