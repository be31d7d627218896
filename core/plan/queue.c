#include "config.h"

#include "plan/queue.h"

#include "base/mem.h"
#include "base/vec.h"

struct row {
  struct bt_queue_entry entry;
  int points;
  size_t number; /* in the order of coming: of equals the first */
};

struct tenant {
  double weight, used[BT_FLEET_DIMS], share;
  BT_VEC(struct row) rows;
  size_t at;
};

struct bt_queue {
  double total[BT_FLEET_DIMS];
  int64_t now_ms;
  size_t added;
  BT_VEC(struct tenant) tenants;
  BT_VEC(uint32_t) heap; /* tenants that have somebody left; the first one is next */
  bool sorted;
};

int bt_queue_points(int64_t waited_ms) {
  return waited_ms <= 0 ? 0 : (int)BT_MIN(waited_ms / BT_QUEUE_POINT_MS, (int64_t)BT_QUEUE_POINTS_MOST);
}

struct bt_queue *bt_queue_new(const double total[BT_FLEET_DIMS], int64_t now_ms) {
  struct bt_queue *q = bt_new(struct bt_queue);
  memcpy(q->total, total, sizeof q->total);
  q->now_ms = now_ms;
  return q;
}

void bt_queue_free(struct bt_queue **queue) {
  struct bt_queue *q = *queue;
  if (!q)
    return;
  bt_vec_each(&q->tenants, t) bt_vec_free(&t->rows);
  bt_vec_free(&q->tenants);
  bt_vec_free(&q->heap);
  free(q);
  *queue = NULL;
}

uint32_t bt_queue_tenant(struct bt_queue *q, double weight) {
  bt_vec_push(&q->tenants, ((struct tenant){.weight = weight > 0 ? weight : 1}));
  return (uint32_t)q->tenants.len - 1;
}

void bt_queue_uses(struct bt_queue *q, uint32_t tenant, const int64_t need[BT_FLEET_DIMS], size_t n) {
  struct tenant *t = &q->tenants.items[tenant];
  t->share = 0;
  for (int d = 0; d < BT_FLEET_DIMS; d++) {
    t->used[d] += (double)need[d] * (double)n;
    if (q->total[d] > 0)
      t->share = BT_MAX(t->share, t->used[d] / q->total[d] / t->weight);
  }
}

double bt_queue_share(const struct bt_queue *q, uint32_t tenant) { return q->tenants.items[tenant].share; }

void bt_queue_add(struct bt_queue *q, uint32_t tenant, const struct bt_queue_entry *entry) {
  BT_ASSERT(!q->sorted);
  struct tenant *t = &q->tenants.items[tenant];
  bt_vec_push(&t->rows, ((struct row){*entry, bt_queue_points(q->now_ms - entry->since_ms), q->added++}));
}

/* ---- who is before whom ---- */

static int compare_rows(const void *a, const void *b) {
  const struct row *x = a, *y = b;
  int first = x->entry.priority + x->points, second = y->entry.priority + y->points;
  if (first != second)
    return first > second ? -1 : 1;
  if (x->entry.since_ms != y->entry.since_ms)
    return x->entry.since_ms < y->entry.since_ms ? -1 : 1;
  return x->number < y->number ? -1 : x->number > y->number;
}

static const struct row *head(const struct bt_queue *q, uint32_t tenant) {
  const struct tenant *t = &q->tenants.items[tenant];
  return &t->rows.items[t->at];
}

static bool before(const struct bt_queue *q, uint32_t a, uint32_t b) {
  const struct row *x = head(q, a), *y = head(q, b);
  int first = x->entry.outward + x->points, second = y->entry.outward + y->points;
  double xs = q->tenants.items[a].share, ys = q->tenants.items[b].share;
  if (first != second)
    return first > second;
  if (xs < ys || xs > ys)
    return xs < ys;
  return x->entry.since_ms != y->entry.since_ms ? x->entry.since_ms < y->entry.since_ms : x->number < y->number;
}

static void sift(struct bt_queue *q, size_t i) {
  for (size_t child; (child = 2 * i + 1) < q->heap.len; i = child) {
    if (child + 1 < q->heap.len && before(q, q->heap.items[child + 1], q->heap.items[child]))
      child++;
    if (!before(q, q->heap.items[child], q->heap.items[i]))
      return;
    uint32_t up = q->heap.items[child];
    q->heap.items[child] = q->heap.items[i];
    q->heap.items[i] = up;
  }
}

static void sort(struct bt_queue *q) {
  q->sorted = true;
  for (uint32_t n = 0; n < q->tenants.len; n++) {
    struct tenant *t = &q->tenants.items[n];
    if (t->rows.len == 0)
      continue;
    qsort(t->rows.items, t->rows.len, sizeof *t->rows.items, compare_rows);
    bt_vec_push(&q->heap, n);
  }
  for (size_t i = q->heap.len / 2; i-- > 0;)
    sift(q, i);
}

const struct bt_queue_entry *bt_queue_next(struct bt_queue *q) {
  if (!q->sorted)
    sort(q);
  return q->heap.len ? &head(q, q->heap.items[0])->entry : NULL;
}

void bt_queue_took(struct bt_queue *q, size_t n) {
  BT_ASSERT(q->sorted && q->heap.len);
  uint32_t t = q->heap.items[0];
  bt_queue_uses(q, t, head(q, t)->entry.need, n);
  sift(q, 0);
}

void bt_queue_pass(struct bt_queue *q) {
  BT_ASSERT(q->sorted && q->heap.len);
  struct tenant *t = &q->tenants.items[q->heap.items[0]];
  if (++t->at == t->rows.len)
    q->heap.items[0] = q->heap.items[--q->heap.len];
  sift(q, 0);
}
