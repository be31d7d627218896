/* plan/quota: limits of a tree of namespaces; a random walk of changes is checked against sums made by brute force. */
#include "config.h"

#include <stdlib.h>

#include "base/mem.h"
#include "plan/quota.h"
#include "tap.h"

static struct bt_quota_rule rule(const char *name, const char *parent, int64_t cpus, int64_t instances) {
  struct bt_quota_rule r = {.name = name, .parent = parent};
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    r.limit[d] = BT_QUOTA_NO_LIMIT;
  r.limit[BT_QUOTA_CPUS] = cpus;
  r.limit[BT_QUOTA_INSTANCES] = instances;
  return r;
}

static struct bt_quota_amounts amounts(int64_t cpus, int64_t instances) {
  struct bt_quota_amounts a = {{0}};
  a.n[BT_QUOTA_CPUS] = cpus;
  a.n[BT_QUOTA_INSTANCES] = instances;
  return a;
}

static void test_tree(void) {
  struct bt_quota *q = bt_quota_new();
  struct bt_quota_no no;
  const struct bt_quota_rule rules[] = {rule("a", "org", 4000, 10), rule("b", "org", -1, -1), rule("org", NULL, 6000, -1)};
  is_int(bt_quota_rules(q, rules, 3, NULL), 0, "rules are taken in any order");
  struct bt_quota_user *shop = bt_quota_user(q, "a", "shop"), *blog = bt_quota_user(q, "b", "blog"), *free_ = bt_quota_user(q, "x", "free");
  struct bt_quota_amounts three = amounts(3000, 3), four = amounts(4000, 4), five = amounts(5000, 5), one = amounts(1000, 1);
  ok(bt_quota_may_claim(shop, &four, NULL), "four cpus of four");
  ok(!bt_quota_may_claim(shop, &five, &no), "not five");
  is_str(no.space->name, "a", "by its own namespace");
  ok(no.dim == BT_QUOTA_CPUS && no.limit == 4000 && no.used == 0 && no.asked == 5000, "with what is used and asked");
  bt_quota_claim(shop, &four);
  ok(!bt_quota_may_claim(blog, &three, &no), "another within the same parent gets what is left only");
  is_str(no.space->name, "org", "by the parent");
  ok(no.used == 4000 && no.asked == 3000, "which counts what is below it");
  ok(bt_quota_may_claim(free_, &five, NULL), "a namespace that nobody named has no limits");
  ok(bt_quota_may_hold(shop, &one, NULL), "what was claimed may be held");
  for (int i = 0; i < 4; i++)
    bt_quota_hold(shop, &one);
  is_int(bt_quota_int(bt_quota_space(q, "org")->used[BT_QUOTA_CPUS]), 4000, "and does not count twice");
  ok(!bt_quota_may_hold(shop, &one, &no), "one more than it claims needs room");
  struct bt_quota_amounts instead = amounts(0, 0);
  ok(bt_quota_may_hold(shop, &instead, NULL), "one in place of another needs none");
  bt_quota_claim(shop, &one);
  is_int(bt_quota_int(bt_quota_space(q, "a")->used[BT_QUOTA_CPUS]), 4000, "what is held is used until it is gone");
  bt_quota_release(shop, &three);
  is_int(bt_quota_int(bt_quota_space(q, "org")->used[BT_QUOTA_CPUS]), 1000, "and then no longer");
  ok(!bt_quota_user_drop(q, "a", "shop"), "an app that holds something is not forgotten");
  bt_quota_release(shop, &one);
  struct bt_quota_amounts none = amounts(0, 0);
  bt_quota_claim(shop, &none);
  ok(bt_quota_user_drop(q, "a", "shop") && bt_quota_space(q, "a"), "one that does not is; its namespace has a rule");
  ok(bt_quota_user_drop(q, "x", "free") && !bt_quota_space(q, "x"), "a namespace without a rule goes with its last app");
  bt_quota_free(&q);
}

static void test_lowered(void) {
  struct bt_quota *q = bt_quota_new();
  struct bt_quota_no no;
  struct bt_quota_rule r = rule("a", NULL, -1, 4);
  struct bt_quota_amounts one = amounts(100, 1), four = amounts(400, 4), three = amounts(300, 3);
  is_int(bt_quota_rules(q, &r, 1, NULL), 0, "four instances");
  struct bt_quota_user *u = bt_quota_user(q, "a", "shop");
  bt_quota_claim(u, &four);
  bt_quota_hold(u, &four);
  ok(!bt_quota_over(u, &no), "all of a quota is not over it");
  r.limit[BT_QUOTA_INSTANCES] = 2;
  is_int(bt_quota_rules(q, &r, 1, NULL), 0, "then two");
  ok(bt_quota_over(u, &no) && no.used == 4 && no.limit == 2, "it is over");
  ok(bt_quota_may_claim(u, &four, NULL) && bt_quota_may_claim(u, &three, NULL), "what uses no more is admitted");
  struct bt_quota_amounts six = amounts(600, 6), five = amounts(500, 5);
  bt_quota_hold(u, &one);
  bt_quota_hold(u, &one);
  ok(!bt_quota_may_claim(u, &five, NULL) && !bt_quota_may_claim(u, &six, NULL), "what is held on top for a while is no claim");
  bt_quota_release(u, &one);
  bt_quota_release(u, &one);
  bt_quota_release(u, &one);
  ok(!bt_quota_may_hold(u, &one, &no), "but nothing starts, though it was claimed");
  bt_quota_release(u, &one);
  ok(!bt_quota_over(u, NULL) && !bt_quota_may_hold(u, &one, NULL), "not even when it is full");
  bt_quota_release(u, &one);
  ok(bt_quota_may_hold(u, &one, NULL), "below it something does");
  bt_quota_free(&q);
}

static void test_bad_rules(void) {
  struct bt_quota *q = bt_quota_new();
  BT_AUTO_ERR err = NULL;
  const struct bt_quota_rule circle[] = {rule("a", "b", 1, 1), rule("b", "a", 1, 1)}, orphan[] = {rule("a", "zoo", 1, 1)};
  ok(bt_quota_rules(q, circle, 2, &err) < 0 && strstr(bt_err_message(err), "circle"), "a circle of parents is refused");
  ok(bt_quota_rules(q, orphan, 1, &err) < 0 && strstr(bt_err_message(err), "zoo"), "an unknown parent is");
  struct bt_quota_amounts a = amounts(INT64_MAX / 2, 1);
  bt_quota_add(&a, &a, 9);
  ok(a.n[BT_QUOTA_CPUS] == INT64_MAX && a.n[BT_QUOTA_INSTANCES] == 10, "an amount stays at the end of its range");
  struct bt_quota_user *u = bt_quota_user(q, "a", "x"), *v = bt_quota_user(q, "a", "y");
  bt_quota_claim(u, &a);
  bt_quota_claim(v, &a);
  struct bt_quota_amounts none = amounts(0, 0);
  bt_quota_claim(u, &none);
  is_int(bt_quota_int(bt_quota_space(q, "a")->used[BT_QUOTA_CPUS]), INT64_MAX, "sums of such amounts are exact");
  bt_quota_claim(v, &none);
  is_int(bt_quota_int(bt_quota_space(q, "a")->used[BT_QUOTA_CPUS]), 0, "down to nothing");
  bt_quota_free(&q);
}

static void test_words(void) {
  char buf[64];
  is_str(bt_quota_words(BT_QUOTA_CPUS, 1500, buf), "1.5 cpus", "cpus");
  is_str(bt_quota_words(BT_QUOTA_CPUS, 1000, buf), "1 cpu", "one cpu");
  is_str(bt_quota_words(BT_QUOTA_MEMORY, 512 << 20, buf), "512 MiB of memory", "memory");
  is_str(bt_quota_words(BT_QUOTA_MEMORY, 1610612736, buf), "1.50 GiB of memory", "a part of it");
  is_str(bt_quota_words(BT_QUOTA_INSTANCES, 1, buf), "1 instance", "one instance");
  is_str(bt_quota_words(BT_QUOTA_ROUTES, 0, buf), "0 routes", "no routes");
}

/* ---- the walk ---- */

enum { SPACES = 12, APPS = 30, STEPS = 40000, SIZES = 3 };
static const char *const names[SPACES] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11"};

struct model {
  struct bt_quota *q;
  struct bt_quota_rule rules[SPACES];
  struct bt_quota_user *users[APPS];
  int space[APPS];
  int size[APPS][SIZES]; /* how many of each size it holds */
};

static uint32_t seed = 7;
static uint32_t rnd(uint32_t n) {
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) % n;
}

static struct bt_quota_amounts sized(int size) {
  struct bt_quota_amounts a = {{100 * (size + 1), (int64_t)(size + 1) << 20, 1, 0, size == 2, 0}};
  return a;
}

static struct bt_quota_amounts holds(const struct model *m, int app) {
  struct bt_quota_amounts a = {{0}};
  for (int i = 0; i < SIZES; i++) {
    struct bt_quota_amounts one = sized(i);
    bt_quota_add(&a, &one, m->size[app][i]);
  }
  return a;
}

static bool below(const struct model *m, int space, int above) {
  for (int i = space;;) {
    if (i == above)
      return true;
    if (!m->rules[i].parent)
      return false;
    i = atoi(m->rules[i].parent + 1);
  }
}

/* Whether the sums of each namespace are those of the apps in and below it, and none is over its limit. */
static bool sums_hold(const struct model *m, bool *within) {
  bool same = true;
  for (int s = 0; s < SPACES; s++)
    for (int d = 0; d < BT_QUOTA_DIMS; d++) {
      int64_t used = 0, held = 0, claimed = 0;
      for (int a = 0; a < APPS; a++) {
        if (!below(m, m->space[a], s))
          continue;
        int64_t h = holds(m, a).n[d];
        held += h;
        claimed += m->users[a]->claim.n[d];
        used += BT_MAX(h, m->users[a]->claim.n[d]);
      }
      const struct bt_quota_space *is = bt_quota_space(m->q, names[s]);
      same = same && is->used[d] == used && is->held[d] == held && is->claimed[d] == claimed;
      *within = *within && (is->limit[d] < 0 || used <= is->limit[d]);
    }
  return same;
}

static void random_rules(struct model *m) {
  for (int i = 0; i < SPACES; i++) {
    BT_AUTO_FREE char *parent = i && rnd(4) ? bt_asprintf("n%d", (int)rnd((uint32_t)i)) : NULL;
    m->rules[i] = (struct bt_quota_rule){.name = names[i], .parent = parent ? names[atoi(parent + 1)] : NULL};
    for (int d = 0; d < BT_QUOTA_DIMS; d++)
      m->rules[i].limit[d] = rnd(3) ? BT_QUOTA_NO_LIMIT : d == BT_QUOTA_MEMORY ? (int64_t)(40 + rnd(100)) << 20 : d == BT_QUOTA_CPUS ? 4000 + rnd(9000) : 30 + rnd(60);
  }
}

static void step(struct model *m) {
  int app = (int)rnd(APPS), size = (int)rnd(SIZES);
  struct bt_quota_amounts one = sized(size), claim = {{0}};
  if (rnd(4) == 0) { /* an apply, or a scale */
    bt_quota_add(&claim, &one, rnd(12));
    if (bt_quota_may_claim(m->users[app], &claim, NULL))
      bt_quota_claim(m->users[app], &claim);
  } else if (rnd(5) < 3) { /* an instance begins: of a rollout, of a run */
    if (bt_quota_may_hold(m->users[app], &one, NULL)) {
      bt_quota_hold(m->users[app], &one);
      m->size[app][size]++;
    }
  } else if (m->size[app][size] > 0) {
    bt_quota_release(m->users[app], &one);
    m->size[app][size]--;
  }
}

static void test_walk(void) {
  struct model m = {.q = bt_quota_new()};
  bool same = true, within = true, after = true;
  random_rules(&m);
  is_int(bt_quota_rules(m.q, m.rules, SPACES, NULL), 0, "a random tree");
  for (int a = 0; a < APPS; a++) {
    BT_AUTO_FREE char *name = bt_asprintf("app%d", a);
    m.space[a] = (int)rnd(SPACES);
    m.users[a] = bt_quota_user(m.q, names[m.space[a]], name);
  }
  for (int i = 0; i < STEPS; i++) {
    step(&m);
    if (i % 16 == 0)
      same = same && sums_hold(&m, &within);
  }
  ok(same, "all sums are those of brute force");
  ok(within, "no limit is ever passed");
  random_rules(&m);
  is_int(bt_quota_rules(m.q, m.rules, SPACES, NULL), 0, "another tree with other limits");
  ok(sums_hold(&m, &after), "the sums move with it");
  for (int i = 0; i < STEPS; i++)
    step(&m);
  ok(sums_hold(&m, &after), "and stay right");
  bt_quota_free(&m.q);
}

int main(void) {
  test_tree();
  test_lowered();
  test_bad_rules();
  test_words();
  for (int i = 0; i < 5; i++)
    test_walk();
  return done_testing();
}
