/* Whose turn it is: priority, waiting, fair shares. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "plan/queue.h"
#include "tap.h"

#define NOW 1000000000
#define MINUTE 60000

static const double hundred[BT_FLEET_DIMS] = {100, 1000};

static void add(struct bt_queue *q, uint32_t tenant, const char *tag, int priority, int outward, int64_t waited_ms, int64_t cpu, int64_t memory) {
  struct bt_queue_entry e = {.priority = priority, .outward = outward, .since_ms = NOW - waited_ms, .need = {cpu, memory}, .tag = (void *)(uintptr_t)tag};
  bt_queue_add(q, tenant, &e);
}

static const char *next(struct bt_queue *q) {
  const struct bt_queue_entry *e = bt_queue_next(q);
  return e ? e->tag : NULL;
}

/* The order in which all would pass. */
static void passes(struct bt_queue *q, const char *want, const char *name) {
  char got[200] = "";
  for (const char *tag; (tag = next(q)); bt_queue_pass(q))
    snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", *got ? " " : "", tag);
  is_str(got, want, name);
}

static void test_points(void) {
  is_int(bt_queue_points(-5), 0, "a clock that was set back adds nothing");
  is_int(bt_queue_points(10 * MINUTE - 1), 0, "not yet ten minutes");
  is_int(bt_queue_points(10 * MINUTE), 1, "ten minutes are a point");
  is_int(bt_queue_points(INT64_MAX), 2000, "at most all that priorities differ by");
}

static void test_row(void) {
  struct bt_queue *q = bt_queue_new(hundred, NOW);
  uint32_t a = bt_queue_tenant(q, 1);
  add(q, a, "low-old", -10, -10, 5 * MINUTE, 1, 1);
  add(q, a, "mid-new", 0, 0, MINUTE, 1, 1);
  add(q, a, "mid-old", 0, 0, 2 * MINUTE, 1, 1);
  add(q, a, "high", 500, 0, 0, 1, 1);
  add(q, a, "aged", -10, -10, 101 * MINUTE, 1, 1); /* ten points: as priority 0, and the oldest */
  passes(q, "high aged mid-old mid-new low-old", "by priority with the points, then by age");
  ok(!bt_queue_next(q), "then nobody is left");
  bt_queue_free(&q);
}

/* Whatever its own says of itself, the others see no more than the operator allows. */
static void test_outward(void) {
  struct bt_queue *q = bt_queue_new(hundred, NOW);
  uint32_t a = bt_queue_tenant(q, 1), b = bt_queue_tenant(q, 1);
  add(q, a, "a-boasts", 1000, 0, 0, 1, 1);
  add(q, a, "a-low", -5, -5, 0, 1, 1);
  add(q, b, "b-allowed", 100, 100, 0, 1, 1);
  add(q, b, "b-plain", 0, 0, 0, 1, 1);
  passes(q, "b-allowed a-boasts b-plain a-low", "between namespaces the allowed priority counts");
  bt_queue_free(&q);
}

static void test_starving(void) {
  struct bt_queue *q = bt_queue_new(hundred, NOW);
  uint32_t a = bt_queue_tenant(q, 1), b = bt_queue_tenant(q, 1);
  add(q, a, "lowest", -1000, -1000, 2001LL * 10 * MINUTE, 1, 1);
  add(q, b, "newcomer", 1000, 1000, 0, 1, 1);
  is_str(next(q), "lowest", "the lowest is before the highest newcomer in the end");
  bt_queue_free(&q);
}

/* The example of Ghodsi et al.: 9 CPUs and 18 GB; A's tasks ask for 1 CPU and 4 GB, B's for 3 CPUs and 1 GB: A runs 3 of them, B 2. */
static void test_drf(void) {
  const double total[BT_FLEET_DIMS] = {9, 18};
  struct bt_queue *q = bt_queue_new(total, NOW);
  uint32_t a = bt_queue_tenant(q, 1), b = bt_queue_tenant(q, 1);
  add(q, a, "a", 0, 0, 0, 1, 4);
  add(q, b, "b", 0, 0, 0, 3, 1);
  int64_t cpu = 9, memory = 18;
  int got[2] = {0};
  for (const struct bt_queue_entry *e; (e = bt_queue_next(q));) {
    if (cpu < e->need[0] || memory < e->need[1]) {
      bt_queue_pass(q);
      continue;
    }
    cpu -= e->need[0];
    memory -= e->need[1];
    got[*(const char *)e->tag == 'b']++;
    bt_queue_took(q, 1);
  }
  is_int(got[0], 3, "A gets three");
  is_int(got[1], 2, "B gets two");
  bt_queue_free(&q);
}

static void test_weights(void) {
  struct bt_queue *q = bt_queue_new(hundred, NOW);
  const int64_t ten[BT_FLEET_DIMS] = {10};
  uint32_t a = bt_queue_tenant(q, 3), b = bt_queue_tenant(q, 1), c = bt_queue_tenant(q, 1);
  bt_queue_uses(q, c, ten, 4);
  add(q, a, "a", 0, 0, 0, 1, 0);
  add(q, b, "b", 0, 0, 0, 1, 0);
  add(q, c, "c", 5, 0, 60 * MINUTE - 1, 1, 0); /* five points: before all, whatever it has */
  is_str(next(q), "c", "waiting goes before shares");
  bt_queue_pass(q);
  int got[2] = {0};
  for (int i = 0; i < 40; i++) {
    got[*next(q) == 'b']++;
    bt_queue_took(q, 1);
  }
  is_int(got[0], 30, "weight three gets three quarters");
  is_int(got[1], 10, "weight one gets one");
  bt_queue_free(&q);
}

/* What is not counted on any node makes no share; and nothing divides by zero. */
static void test_unknown(void) {
  const double none[BT_FLEET_DIMS] = {0};
  struct bt_queue *q = bt_queue_new(none, NOW);
  uint32_t a = bt_queue_tenant(q, 0), b = bt_queue_tenant(q, -1);
  add(q, a, "a", 0, 0, 1, INT64_MAX / 2, 5);
  add(q, b, "b", 0, 0, 2, 1, 1);
  is_str(next(q), "b", "by age");
  bt_queue_took(q, SIZE_MAX);
  is_str(next(q), "b", "no share grows");
  ok(bt_queue_share(q, a) <= 0, "of nothing known");
  bt_queue_free(&q);
}

/* Each turn is one that nobody left is before, and each entry has its turn once. */
static void test_random(void) {
  srand(7);
  for (int round = 0; round < 200; round++) {
    struct bt_queue *q = bt_queue_new(hundred, NOW);
    int tenants = 1 + rand() % 8, n = rand() % 60, turns = 0;
    bool right = true;
    for (int t = 0; t < tenants; t++)
      bt_queue_tenant(q, 1 + rand() % 3);
    for (int i = 0; i < n; i++) {
      int p = rand() % 5;
      add(q, (uint32_t)(rand() % tenants), "x", p, BT_MIN(p, 2), rand() % (40 * MINUTE), 1 + rand() % 5, rand() % 50);
    }
    int last = INT32_MAX;
    for (const struct bt_queue_entry *e; (e = bt_queue_next(q)); bt_queue_pass(q), turns++) {
      int now = e->outward + bt_queue_points(NOW - e->since_ms);
      right = right && (tenants > 1 || e->priority + bt_queue_points(NOW - e->since_ms) <= last);
      last = tenants > 1 ? now : e->priority + bt_queue_points(NOW - e->since_ms);
      if (rand() % 2)
        bt_queue_took(q, 1);
    }
    if (!right || turns < n)
      ok(false, "round %d: %d turns of %d", round, turns, n);
    bt_queue_free(&q);
  }
  ok(true, "200 rounds by chance");
}

int main(void) {
  test_points();
  test_row();
  test_outward();
  test_starving();
  test_drf();
  test_weights();
  test_unknown();
  test_random();
  return done_testing();
}
