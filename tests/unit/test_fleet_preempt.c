/* Who gives their place up for whom: namespaces, budgets, who goes anyway; against every node and instance looked at by hand. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/vec.h"
#include "plan/fleet.h"
#include "tap.h"

static uint32_t node(struct bt_fleet *f, const char *name, int64_t cpu) {
  return bt_fleet_node_set(f, &(struct bt_fleet_node){.name = name, .room = {cpu, (int64_t)1 << 30, 1, 1}, .open = true});
}

static uint32_t shape(struct bt_fleet *f, const char *ns, const char *service, int priority, int discount, bool confined, int64_t cpu, void *tag) {
  uint32_t s;
  BT_ASSERT(bt_fleet_shape_new(f, &(struct bt_need){.namespace_ = ns, .app = "x", .service = service, .priority = priority, .discount = discount,
                                                    .confined = confined, .request = {cpu}, .tag = tag}, &s, NULL) == 0);
  return s;
}

static uint32_t place(struct bt_fleet *f, uint32_t s) {
  uint32_t i = BT_FLEET_NONE;
  return bt_fleet_place(f, s, 1, &i) == 1 ? i : BT_FLEET_NONE;
}

static void test_namespaces(void) {
  struct bt_fleet *f = bt_fleet_new();
  uint32_t out[8], n;
  node(f, "a", 1000);
  uint32_t boasts = shape(f, "b", "boasts", 900, 900, true, 1000, NULL); /* 0 to the others */
  uint32_t low = place(f, boasts);
  uint32_t confined = shape(f, "a", "confined", 500, 0, true, 1000, NULL), allowed = shape(f, "a", "allowed", 500, 0, false, 1000, NULL);
  is_int(bt_fleet_victims(f, confined, &n, out, 8), 0, "who is confined pushes no other namespace out");
  ok(n == BT_FLEET_NONE, "there is no node");
  is_int(bt_fleet_victims(f, allowed, &n, out, 8), 1, "who is allowed does, whatever the other says of itself");
  is_int(out[0], low, "that one");
  uint32_t modest = shape(f, "a", "modest", 300, 300, false, 1000, NULL);
  is_int(bt_fleet_victims(f, modest, &n, out, 8), 0, "a priority that the others do not see pushes none of them out");
  bt_fleet_remove(f, low);
  place(f, shape(f, "a", "own", 299, 0, true, 1000, NULL));
  is_int(bt_fleet_victims(f, modest, &n, out, 8), 1, "but one of its own");
  is_int(bt_fleet_victims(f, confined, &n, out, 8), 1, "and the confined one, too");
  bt_fleet_free(&f);
}

static void test_going(void) {
  struct bt_fleet *f = bt_fleet_new();
  uint32_t out[8], n;
  uint32_t a = node(f, "a", 2000), b = node(f, "b", 2000);
  uint32_t low = shape(f, "n", "low", 1, 0, false, 1000, NULL), high = shape(f, "n", "high", 5, 0, false, 1000, NULL);
  uint32_t seats[4];
  is_int(bt_fleet_place(f, low, 4, seats), 4, "it is full");
  is_int(bt_fleet_victims(f, high, &n, out, 8), 1, "one must go");
  uint32_t last = bt_fleet_node_of(f, seats[3]) == b ? seats[3] : seats[0];
  bt_fleet_going(f, last, true);
  is_int(bt_fleet_victims(f, high, &n, out, 8), 0, "nobody more, where one goes anyway");
  is_int(n, bt_fleet_node_of(f, last), "its place will do");
  bt_fleet_budget(f, "n", "x", "low", 0);
  is_int(bt_fleet_victims(f, high, &n, out, 8), 0, "also where no other may");
  is_int(n, bt_fleet_node_of(f, last), "the same place");
  uint32_t held = bt_fleet_seat(f, high, n);
  is_int(bt_fleet_victims(f, high, &n, out, 8), 0, "it is promised now");
  ok(n == BT_FLEET_NONE, "so there is none for the next");
  bt_fleet_budget(f, "n", "x", "low", 4);
  is_int(bt_fleet_victims(f, high, &n, out, 8), 1, "who may go, goes for the next");
  bt_fleet_going(f, held, true);
  uint32_t top = shape(f, "n", "top", 9, 0, false, 1000, NULL);
  is_int(bt_fleet_victims(f, top, &n, out, 8), 0, "the promised place is taken by who is higher");
  is_int(n, bt_fleet_node_of(f, last), "that place");
  bt_fleet_going(f, held, false);
  bt_fleet_remove(f, last);
  bt_fleet_going(f, seats[1] == last ? seats[2] : seats[1], true);
  bt_fleet_remove(f, held);
  ok(place(f, high) != BT_FLEET_NONE, "what went is free (%u, %u)", a, b);
  bt_fleet_free(&f);
}

static bool ends(void *arg, void *tag) {
  (void)arg;
  return tag != NULL;
}

static void test_await(void) {
  struct bt_fleet *f = bt_fleet_new();
  char job;
  uint32_t a = node(f, "a", 4000), b = node(f, "b", 4000), seats[8];
  uint32_t stays = shape(f, "n", "stays", 0, 0, false, 2500, NULL), works = shape(f, "n", "job", 0, 0, false, 1500, &job);
  uint32_t big = shape(f, "n", "big", 0, 0, false, 3000, NULL), huge = shape(f, "n", "huge", 0, 0, false, 5000, NULL);
  bt_fleet_seat(f, stays, a);
  seats[0] = bt_fleet_seat(f, works, b);
  seats[1] = bt_fleet_seat(f, works, b);
  is_int(bt_fleet_await(f, big, ends, NULL), b, "where jobs run, not where nothing ends");
  ok(bt_fleet_await(f, huge, ends, NULL) == BT_FLEET_NONE, "what no node has never comes");
  bt_fleet_remove(f, seats[0]);
  bt_fleet_seat(f, stays, b);
  ok(bt_fleet_await(f, big, ends, NULL) == BT_FLEET_NONE, "what is left when the job has ended is too little");
  uint32_t c = node(f, "c", 4000), d = node(f, "d", 4000);
  bt_fleet_seat(f, works, c);
  bt_fleet_seat(f, works, d);
  bt_fleet_seat(f, works, d);
  is_int(bt_fleet_await(f, big, ends, NULL), c, "where least is missing");
  bt_fleet_node_set(f, &(struct bt_fleet_node){.name = "c", .room = {4000, (int64_t)1 << 30, 1, 1}});
  is_int(bt_fleet_await(f, big, ends, NULL), d, "of open nodes");
  double total[BT_FLEET_DIMS];
  bt_fleet_total(f, total);
  is_int((long long)total[BT_DIM_CPU], 16000, "what all nodes have");
  node(f, "e", BT_FLEET_MAX);
  bt_fleet_total(f, total);
  is_int((long long)total[BT_DIM_CPU], 0, "one does not tell");
  bt_fleet_free(&f);
}

/* ---- by chance ---- */

enum { NODES = 5, SHAPES = 9, SEATS = 40 };
static const char *const spaces[] = {"p", "q", "r"};

struct kind {
  const char *ns;
  int priority, discount;
  bool confined, spared;
  int64_t cpu;
  uint32_t number;
};
struct seat {
  uint32_t number, kind, node;
  bool going;
};
struct world {
  struct bt_fleet *f;
  int64_t room[NODES];
  struct kind kinds[SHAPES];
  struct seat seats[SEATS];
  size_t len;
};

static bool is_lower(const struct kind *v, const struct kind *a) {
  if (v->ns == a->ns)
    return v->priority < a->priority;
  return !a->confined && v->priority - v->discount < a->priority - a->discount;
}

/* What can be had there at most; gone: victims that were told, or NULL: all that may go. */
static int64_t could(const struct world *w, const struct kind *a, uint32_t n, const uint32_t *gone, size_t ngone, bool *wrong) {
  int64_t left = w->room[n];
  size_t known = 0;
  for (size_t i = 0; i < w->len; i++) {
    const struct seat *s = &w->seats[i];
    const struct kind *k = &w->kinds[s->kind];
    bool told = false;
    for (size_t g = 0; g < ngone; g++)
      told = told || gone[g] == s->number;
    known += told;
    *wrong = *wrong || (told && (s->node != n || !is_lower(k, a) || s->going || k->spared));
    if (s->node == n && !(is_lower(k, a) && (s->going || (gone ? told : !k->spared))))
      left -= k->cpu;
  }
  *wrong = *wrong || (gone && known != ngone);
  return left;
}

static const char *check(struct world *w) {
  uint32_t out[SEATS], n;
  for (int i = 0; i < SHAPES; i++) {
    const struct kind *a = &w->kinds[i];
    bool any = false, wrong = false;
    for (uint32_t m = 0; m < NODES; m++)
      any = any || could(w, a, m, NULL, 0, &wrong) >= a->cpu;
    size_t got = bt_fleet_victims(w->f, a->number, &n, out, SEATS);
    if ((n != BT_FLEET_NONE) != any)
      return any ? "there was a node, and it was not found" : "a node was found that there is not";
    if (any && could(w, a, n, out, got, &wrong) < a->cpu)
      return "they are not enough";
    if (wrong)
      return "somebody may not go";
    for (size_t v = 0; any && v < got; v++) {
      uint32_t others[SEATS];
      size_t len = 0;
      for (size_t o = 0; o < got; o++)
        if (o != v)
          others[len++] = out[o];
      if (could(w, a, n, others, len, &wrong) >= a->cpu)
        return "one too many goes";
    }
  }
  return NULL;
}

static void step(struct world *w) {
  int what = rand() % 10;
  size_t i = w->len ? (size_t)rand() % w->len : 0;
  struct kind *k = &w->kinds[rand() % SHAPES];
  if (what < 5 && w->len < SEATS) {
    uint32_t n = (uint32_t)(rand() % NODES), number = rand() % 4 ? place(w->f, k->number) : bt_fleet_seat(w->f, k->number, n);
    if (number != BT_FLEET_NONE)
      w->seats[w->len++] = (struct seat){number, (uint32_t)(k - w->kinds), bt_fleet_node_of(w->f, number), false};
  } else if (what < 7 && w->len) {
    bt_fleet_remove(w->f, w->seats[i].number);
    w->seats[i] = w->seats[--w->len];
  } else if (what == 7 && w->len) {
    w->seats[i].going = !w->seats[i].going;
    bt_fleet_going(w->f, w->seats[i].number, w->seats[i].going);
  } else {
    char service[16];
    k->spared = !k->spared;
    snprintf(service, sizeof service, "s%d", (int)(k - w->kinds));
    bt_fleet_budget(w->f, k->ns, "x", service, k->spared ? 0 : BT_FLEET_NONE);
  }
}

static const char *one_round(void) {
  static char names[NODES][4];
  struct world w = {.f = bt_fleet_new()};
  const char *wrong = NULL;
  bool apart = rand() % 2;
  for (uint32_t n = 0; n < NODES; n++) {
    snprintf(names[n], sizeof names[n], "n%u", n);
    node(w.f, names[n], w.room[n] = 1000 + rand() % 4 * 500);
  }
  for (int i = 0; i < SHAPES; i++) {
    char service[16];
    struct kind *k = &w.kinds[i];
    *k = (struct kind){.ns = spaces[rand() % 3], .priority = rand() % 4, .discount = apart ? rand() % 3 : 0, .confined = apart && rand() % 3 == 0,
                       .cpu = 250 * (1 + rand() % 5)};
    snprintf(service, sizeof service, "s%d", i);
    k->number = shape(w.f, k->ns, service, k->priority, k->discount, k->confined, k->cpu, NULL);
  }
  for (int i = 0; i < 80 && !wrong; i++) {
    step(&w);
    wrong = check(&w);
  }
  bt_fleet_free(&w.f);
  return wrong;
}

int main(void) {
  int rounds = getenv("BERTH_TEST_ROUNDS") ? atoi(getenv("BERTH_TEST_ROUNDS")) : 150;
  test_namespaces();
  test_going();
  test_await();
  for (int seed = 1; seed <= rounds; seed++) {
    srand((unsigned)seed);
    const char *wrong = one_round();
    if (wrong)
      ok(false, "seed %d: %s", seed, wrong);
  }
  ok(true, "%d clusters by chance", rounds);
  return done_testing();
}
