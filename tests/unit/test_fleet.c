/* The planner against one that looks at everything: thousands of random clusters; and by hand what can be said by hand. */
#include "config.h"

#include <limits.h>

#include "fleet_naive.h"
#include "tap.h"

static uint64_t seed = 1;
static uint32_t rnd(uint32_t n) { /* xorshift64* */
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return (uint32_t)((seed * 2685821657736338717ULL >> 33) % n);
}

static struct bt_rule rule(const char *text) {
  struct bt_rule r;
  if (bt_rule_parse(text, false, &r, NULL) < 0)
    printf("# no rule: %s\n", text);
  return r;
}

/* ---- by hand ---- */

#define NODE(name_, cpu, ...) \
  bt_fleet_node_set(f, &(struct bt_fleet_node){.name = name_, .room = {cpu, 64 << 20}, .open = true, __VA_ARGS__})
#define ATTRS(...) .attrs = (struct bt_attr[]){__VA_ARGS__}, .nattrs = sizeof((struct bt_attr[]){__VA_ARGS__}) / sizeof(struct bt_attr)

static uint32_t shape_of(struct bt_fleet *f, const struct bt_need *need) {
  uint32_t s = BT_FLEET_NONE;
  BT_AUTO_ERR err = NULL;
  if (bt_fleet_shape_new(f, need, &s, &err) < 0)
    printf("# %s\n", bt_err_message(err));
  return s;
}

static const char *place_one(struct bt_fleet *f, uint32_t shape) {
  uint32_t i;
  return bt_fleet_place(f, shape, 1, &i) == 1 ? bt_fleet_node_name(f, bt_fleet_node_of(f, i)) : NULL;
}

static void test_binpack_and_spread(void) {
  struct bt_fleet *f = bt_fleet_new();
  NODE("a", 2000);
  NODE("b", 4000);
  NODE("c", 4000);
  uint32_t pack = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "pack", .request = {1000}});
  uint32_t even = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "even", .request = {500}, .strategy = BT_SPREAD});
  is_str(place_one(f, pack), "a", "binpack begins at the first node");
  is_str(place_one(f, pack), "a", "and fills it");
  is_str(place_one(f, pack), "b", "before the next");
  is_str(place_one(f, even), "c", "spread takes the emptiest");
  is_str(place_one(f, even), "b", "and none a second time before each has one");
  is_str(place_one(f, even), "c", "then again the emptiest");
  uint32_t out[8];
  is_int(bt_fleet_place(f, pack, 8, out), 5, "eight are asked for, five have room");
  ok(place_one(f, pack) == NULL, "then there is none");
  bt_fleet_remove(f, out[0]);
  ok(place_one(f, pack) != NULL, "what is removed makes room");
  bt_fleet_free(&f);
}

/* What was placed first says where the others go, as long as anything is there. */
static void test_follow(void) {
  struct bt_fleet *f = bt_fleet_new();
  NODE("a", 1000);
  NODE("b", 1000);
  const char *volume[] = {"volume:n/data"};
  uint32_t spread = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "db", .request = {400}, .strategy = BT_SPREAD, .marks = volume,
                                                  .nmarks = 1, .follows = volume, .nfollows = 1});
  uint32_t out[4];
  is_int(bt_fleet_place(f, spread, 4, out), 2, "all go where the first is, as far as there is room, although they are to be spread");
  ok(bt_fleet_node_of(f, out[0]) == bt_fleet_node_of(f, out[1]), "on one node");
  BT_AUTO_BUF why = {0};
  bt_fleet_why(f, spread, &why, NULL);
  ok(strstr(why.data, "1 lacks cpu (it asks for 0.4; most is on a, 0.2)") && strstr(why.data, "1 has no volume n/data, which is on a"), "why: %s", why.data);
  bt_fleet_remove(f, out[0]);
  bt_fleet_remove(f, out[1]);
  uint32_t b = bt_fleet_node_find(f, "b");
  bt_fleet_node_mark(f, b, "volume:n/data", true);
  is_str(place_one(f, spread), "b", "what the caller says is there counts as well");
  is_int(bt_fleet_node_has(f, b, "volume:n/data"), 2, "twice by now");
  bt_fleet_node_tally(f, b, "port:tcp/80", true);
  bt_fleet_node_tally(f, b, "port:tcp/80", true);
  bt_fleet_node_tally(f, b, "port:tcp/80", false);
  is_int(bt_fleet_node_has(f, b, "port:tcp/80"), 1, "a mark is counted");
  bt_fleet_node_tally(f, b, "port:tcp/80", false);
  bt_fleet_node_tally(f, b, "port:tcp/80", false);
  is_int(bt_fleet_node_has(f, b, "port:tcp/80"), 0, "and never below nothing");
  bt_fleet_free(&f);
}

/* Tenants choose names of labels as they like: they are not kept for ever. */
static void test_names_of_labels(void) {
  struct bt_fleet *f = bt_fleet_new();
  NODE("a", 1000, ATTRS({"node.labels.zone", "z"}));
  for (int i = 0; i < 3000; i++) {
    char key[40], text[60];
    snprintf(key, sizeof key, "node.labels.k%d", i);
    snprintf(text, sizeof text, "%s != x", key);
    struct bt_rule r = rule(text);
    struct bt_prefer prefers[] = {{r, 1}};
    struct bt_affinity near = {.hard = true, .anti = true, .scope = BT_SCOPE_APP, .namespace_ = "n", .app = "x", .topology = key};
    struct bt_spread even = {key, 1, false};
    uint32_t s = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "s", .rules = &r, .nrules = 1, .prefers = prefers, .nprefers = 1,
                                               .affinities = &near, .naffinities = 1, .spreads = &even, .nspreads = 1});
    if (i % 100 == 0 && !bt_streq(place_one(f, s), "a"))
      ok(false, "it is placed, round %d", i);
    else if (i % 100 == 0)
      bt_fleet_remove(f, 0);
    (void)bt_fleet_shape_drop(f, s);
    bt_rule_free(&r);
  }
  is_int(bt_fleet_spoken(f), 0, "nobody speaks of any label");
  bt_fleet_free(&f);
}

/* What reserves nothing is limited by nothing: a node must bear any number of it. */
static void test_very_many(void) {
  enum { MANY = 70000 };
  struct bt_fleet *f = bt_fleet_new();
  uint32_t *out = bt_newn(uint32_t, MANY);
  NODE("a", 1000);
  uint32_t s = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "many", .strategy = BT_SPREAD});
  is_int(bt_fleet_place(f, s, MANY, out), MANY, "seventy thousand on one node");
  for (size_t i = 0; i < MANY; i++)
    bt_fleet_remove(f, out[i]);
  is_int(bt_fleet_instances(f), 0, "and away again");
  free(out);
  bt_fleet_free(&f);
}

static void test_words(void) {
  struct bt_fleet *f = bt_fleet_new();
  BT_AUTO_BUF why = {0}, mend = {0};
  uint32_t s = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "big", .request = {3000}});
  bt_fleet_why(f, s, &why, &mend);
  is_str(why.data, "no node is ready", "no node");
  NODE("a", 2500, ATTRS({"node.labels.zone", "east"}));
  NODE("b", 2000, ATTRS({"node.labels.zone", "west"}));
  bt_buf_truncate(&why, 0);
  bt_fleet_why(f, s, &why, &mend);
  is_str(why.data, "none of 2 nodes has a place: 2 lack cpu (it asks for 3; most is on a, 2.5)", "room");
  is_str(mend.data, "0.5 more cpu on a, or a reservation of at most 2.5", "the smallest change is the one with least to add");
  struct bt_rule r = rule("node.labels.zone == north");
  uint32_t z = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "zoned", .request = {100}, .rules = &r, .nrules = 1});
  bt_buf_truncate(&why, 0);
  bt_buf_truncate(&mend, 0);
  bt_fleet_why(f, z, &why, &mend);
  is_str(why.data,
         "none of 2 nodes has a place: 1 does not meet node.labels.zone == north (it has east), 1 does not meet node.labels.zone == north (it "
         "has west)",
         "rules");
  is_str(mend.data, "node.labels.zone = north on a, which has room", "which label, and where");
  bt_rule_free(&r);
  bt_fleet_free(&f);
}

static void one_node_says(struct bt_fleet *f, struct bt_need need, const char *want, const char *name) {
  BT_AUTO_BUF why = {0};
  need.namespace_ = "n";
  need.app = "x";
  need.service = need.service ? need.service : "new";
  uint32_t s = shape_of(f, &need);
  ok(place_one(f, s) == NULL, "no place: %s", name);
  bt_fleet_why(f, s, &why, NULL);
  is_str(why.data, want, name);
  bt_fleet_shape_drop(f, s);
}

/* What a machine that is alone says. */
static void test_one_node(void) {
  struct bt_fleet *f = bt_fleet_new();
  const char *const port[] = {"port:tcp/80"};
  struct bt_rule r = rule("node.labels.disk == ssd");
  NODE("a", 2000, ATTRS({"node.labels.disk", "hdd"}));
  uint32_t web = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "web", .request = {500}, .marks = port, .nmarks = 1,
                                               .max_per_node = 1, .generation = "g1"});
  is_str(place_one(f, web), "a", "there is room");
  one_node_says(f, (struct bt_need){.request = {1600}}, "a lacks cpu: it asks for 1.6, and 1.5 is left", "cpu");
  one_node_says(f, (struct bt_need){.request = {0, (int64_t)65 << 20}}, "a lacks memory: it asks for 65 MiB, and 64 MiB is left", "memory");
  one_node_says(f, (struct bt_need){.rules = &r, .nrules = 1}, "a does not meet node.labels.disk == ssd (it has hdd)", "a rule");
  one_node_says(f, (struct bt_need){.bars = port, .nbars = 1}, "a has given port tcp/80 to n/x/web", "a port, and who has it");
  one_node_says(f, (struct bt_need){.service = "web", .max_per_node = 1, .generation = "g1"}, "a has 1 of its instances, as many as it may", "a limit per node");
  uint32_t next = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "web", .max_per_node = 1, .generation = "g2"});
  ok(bt_fleet_may(f, next, 0), "what an update replaces does not count");
  is_str(place_one(f, next), "a", "so it can start the new one first");
  ok(!bt_fleet_may(f, next, 0), "and no second one");
  bt_fleet_node_set(f, &(struct bt_fleet_node){.name = "a", .room = {2000, 64 << 20}});
  one_node_says(f, (struct bt_need){0}, "no node is ready", "a closed node");
  bt_rule_free(&r);
  bt_fleet_free(&f);
}

/* ---- a judge ---- */

struct judge {
  int asked;
  const char *zone; /* that it refuses; NULL: none */
};

static bool judge(void *arg, void *tag, const struct bt_fleet_node *class, int *score, char *why, size_t size) {
  struct judge *j = arg;
  const char *zone = "", *rack = "";
  j->asked++;
  for (size_t i = 0; i < class->nattrs; i++) {
    zone = strcmp(class->attrs[i].key, "node.labels.zone") == 0 ? class->attrs[i].value : zone;
    rack = strcmp(class->attrs[i].key, "node.labels.rack") == 0 ? class->attrs[i].value : rack;
  }
  snprintf(why, size, "is refused in %s by %s", rack, (const char *)tag);
  *score = class->room[BT_DIM_CPU] == 4000 ? 10 : 0;
  return !j->zone || strcmp(zone, j->zone) != 0;
}

static void test_judge(void) {
  struct bt_fleet *f = bt_fleet_new();
  struct judge j = {.zone = "east"};
  BT_AUTO_BUF why = {0}, mend = {0};
  char names[40][2][16];
  for (int i = 0; i < 40; i++) {
    snprintf(names[i][0], 16, "n%d", i);
    snprintf(names[i][1], 16, "r%d", i % 20);
    NODE(names[i][0], 1000, ATTRS({"node.labels.zone", "east"}, {"node.labels.rack", names[i][1]}));
  }
  NODE("w", 1000, ATTRS({"node.labels.zone", "west"}));
  NODE("v", 4000, ATTRS({"node.labels.zone", "west"}));
  bt_fleet_judged(f, judge, &j);
  uint32_t s = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "web", .request = {1000}, .tag = (char *)(uintptr_t)"no-east.lua:3"});
  is_str(place_one(f, s), "v", "what it prefers comes first");
  is_int(j.asked, 22, "it is asked once for each class, and what nodes have makes classes");
  uint32_t out[8];
  is_int(bt_fleet_place(f, s, 8, out), 4, "and where it refuses none is placed");
  bt_fleet_why(f, s, &why, &mend);
  ok(strstr(why.data, "2 is refused in r0 by no-east.lua:3") != NULL, "its sentence is the reason: %s", why.data);
  ok(strstr(why.data, "and 9 other reasons") != NULL, "of which sixteen are kept: %s", why.data);
  is_int(j.asked, 22, "it is not asked again for that");
  NODE("w", 2000, ATTRS({"node.labels.zone", "west"}));
  bt_fleet_place(f, s, 1, out);
  is_int(j.asked, 23, "a node that has more now is of another class");
  j.zone = NULL;
  ok(place_one(f, s) == NULL, "its verdicts last");
  bt_fleet_judged(f, judge, &j);
  ok(place_one(f, s) != NULL, "until it changes");
  bt_fleet_judged(f, NULL, NULL);
  ok(place_one(f, s) != NULL, "and it can be taken away");
  bt_fleet_free(&f);
}

static void test_preempt(void) {
  struct bt_fleet *f = bt_fleet_new();
  uint32_t out[8], node;
  NODE("a", 2000);
  NODE("b", 2000);
  uint32_t mid = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "mid", .request = {1000}, .priority = 5});
  uint32_t low = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "low", .request = {1000}, .priority = 1});
  is_int(bt_fleet_place(f, mid, 2, out), 2, "two of middle priority fill a");
  is_int(bt_fleet_place(f, low, 2, out), 2, "two of low priority fill b");
  uint32_t high = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "high", .request = {1500}, .priority = 9});
  is_int(bt_fleet_victims(f, high, &node, out, 8), 2, "both of a node must go");
  is_str(bt_fleet_node_name(f, node), "b", "those of low priority");
  bt_fleet_budget(f, "n", "x", "low", 1);
  is_int(bt_fleet_victims(f, high, &node, out, 8), 2, "its budget lets one go only");
  is_str(bt_fleet_node_name(f, node), "a", "so the others go");
  bt_fleet_budget(f, "n", "x", "mid", 0);
  is_int(bt_fleet_victims(f, high, &node, out, 8), 0, "none may go, none goes");
  uint32_t same = shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "same", .request = {1000}, .priority = 1});
  is_int(bt_fleet_victims(f, same, &node, out, 8), 0, "equals do not push each other out");
  bt_fleet_free(&f);
}

/* ---- random clusters against the naive planner ---- */

#define NEEDS 24
#define POOL 32

struct need_store {
  struct bt_need need;
  char service[16];
  struct bt_rule rules[2];
  struct bt_toleration tolerations[1];
  struct bt_affinity affinities[2];
  struct bt_spread spreads[1];
  const char *alone[1], *volume[1];
};

static const char *const zones[] = {"z0", "z1", "z2", "z3"};
static const char *const names[] = {"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"};

static const char *const topologies[] = {"node.labels.zone", "node.labels.kernel", NULL, NULL};

/* A rule of it is to be freed by the caller. */
static void random_need(struct need_store *n, int i) {
  struct bt_need *need = &n->need;
  snprintf(n->service, sizeof n->service, "s%d", i / 2);
  *need = (struct bt_need){.namespace_ = i % 5 == 4 ? "other" : "n", .app = i % 3 ? "x" : "y", .service = n->service, .priority = (int)rnd(3)};
  need->request[BT_DIM_CPU] = rnd(4) * 500;
  need->request[BT_DIM_MEMORY] = rnd(4);
  need->strategy = rnd(3) ? BT_BINPACK : BT_SPREAD;
  need->max_per_node = rnd(4) ? 0 : 1 + (int)rnd(2);
  if (rnd(3) == 0) {
    static const char *const rules[] = {"node.labels.zone == z1", "node.labels.zone != z1", "node.labels.zone in (z0, z2)",
                                        "node.labels.zone exists", "node.hostname != m3", "node.hostname in (m1, m2, m7)",
                                        "node.labels.kernel >= 5.4"};
    n->rules[0] = rule(rules[rnd(BT_COUNT(rules))]);
    need->rules = n->rules;
    need->nrules = 1;
  }
  if (rnd(2)) {
    n->tolerations[0] = (struct bt_toleration){"gpu", NULL};
    need->tolerations = n->tolerations;
    need->ntolerations = 1;
  }
  for (need->naffinities = rnd(3) ? 0 : 1 + rnd(2), need->affinities = n->affinities; n->affinities + need->naffinities > n->affinities + 2;)
    need->naffinities--;
  for (size_t a = 0; a < need->naffinities; a++)
    n->affinities[a] = (struct bt_affinity){.anti = rnd(3) > 0,
                                            .hard = rnd(3) > 0,
                                            .scope = (enum bt_scope)rnd(2),
                                            .namespace_ = "n",
                                            .app = rnd(2) ? "x" : "y",
                                            .service = rnd(2) ? "s1" : "s2",
                                            .topology = topologies[rnd(BT_COUNT(topologies))],
                                            .weight = 10};
  if (rnd(5) == 0) {
    n->spreads[0] = (struct bt_spread){topologies[rnd(2)], 1 + (int)rnd(2), rnd(2) == 0};
    need->spreads = n->spreads;
    need->nspreads = 1;
  }
  if (rnd(6) == 0) {
    n->volume[0] = rnd(2) ? "volume:n/a" : "volume:n/b";
    need->marks = need->follows = n->volume;
    need->nmarks = need->nfollows = 1;
  }
  if (rnd(6) == 0) {
    n->alone[0] = rnd(2) ? "port:tcp/80" : "port:tcp/443";
    need->alone = n->alone;
    need->nalone = 1;
  }
}

static void need_free(struct need_store *n) {
  if (n->need.nrules)
    bt_rule_free(&n->rules[0]);
}

static struct bt_attr attrs[POOL][3];
static struct bt_taint taints[POOL][1];

static void random_node(struct bt_fleet *f, struct naive *w, uint32_t i) {
  struct bt_fleet_node n = {.name = names[i], .attrs = attrs[i], .taints = taints[i], .open = rnd(8) > 0};
  if (rnd(6))
    attrs[i][n.nattrs++] = (struct bt_attr){"node.labels.zone", zones[rnd(4)]};
  if (rnd(2))
    attrs[i][n.nattrs++] = (struct bt_attr){"node.labels.kernel", rnd(2) ? "5.15.0-91" : "4.19"};
  if (rnd(5) == 0)
    taints[i][n.ntaints++] = (struct bt_taint){rnd(2) ? "gpu" : "maintenance", "yes", rnd(2) ? BT_TAINT_NO_SCHEDULE : BT_TAINT_PREFER_NOT};
  n.room[BT_DIM_CPU] = 1000 + rnd(5) * 1000;
  n.room[BT_DIM_MEMORY] = 1 + rnd(10);
  uint32_t number = bt_fleet_node_set(f, &n);
  while (w->nodes.len <= number)
    bt_vec_push(&w->nodes, ((struct naive_node){0}));
  w->nodes.items[number] = (struct naive_node){n, number, true};
}

static void forget(struct naive *w, size_t i) { bt_vec_remove(&w->insts, i); }

struct round {
  struct bt_fleet *fleet;
  struct naive w;
  struct need_store *store;
  uint32_t shapes[NEEDS];
  bool have[NEEDS];
  const char *wrong;
};

static void try_place(struct round *r, uint32_t k) {
  const struct bt_need *need = &r->store[k].need;
  uint32_t i;
  if (!r->have[k]) {
    r->have[k] = bt_fleet_shape_new(r->fleet, need, &r->shapes[k], NULL) == 0;
  }
  size_t may = naive_places(&r->w, need), got = bt_fleet_place(r->fleet, r->shapes[k], 1, &i);
  if (got && !naive_may(&r->w, need, bt_fleet_node_of(r->fleet, i), BT_FLEET_NONE))
    r->wrong = "it was placed where it may not be";
  if (!got && may)
    r->wrong = "there was a place, and it was not found";
  if (got)
    bt_vec_push(&r->w.insts, ((struct naive_inst){i, k, bt_fleet_node_of(r->fleet, i)}));
}

static void one_step(struct round *r) {
  uint32_t what = rnd(20);
  if (what == 0) {
    uint32_t i = rnd(BT_COUNT(names));
    uint32_t n = bt_fleet_node_find(r->fleet, names[i]);
    if (n != BT_FLEET_NONE && rnd(2) && bt_fleet_node_drop(r->fleet, n) == 0)
      r->w.nodes.items[n].there = false;
    else
      random_node(r->fleet, &r->w, i);
  } else if (what < 6 && r->w.insts.len > 0) {
    size_t i = rnd((uint32_t)r->w.insts.len);
    bt_fleet_remove(r->fleet, r->w.insts.items[i].number);
    forget(&r->w, i);
  } else if (what == 6) {
    uint32_t k = rnd(NEEDS);
    if (r->have[k] && bt_fleet_shape_drop(r->fleet, r->shapes[k]) == 0) {
      r->have[k] = false; /* and its number, its topologies and its keys are another's */
      need_free(&r->store[k]);
      random_need(&r->store[k], (int)k);
    }
  } else if (what == 8 && rnd(4) == 0) {
    uint32_t k = rnd(NEEDS);
    r->store[k].need.request[BT_DIM_CPU] = rnd(4) * 500;
    if (r->have[k])
      bt_fleet_shape_ask(r->fleet, r->shapes[k], BT_DIM_CPU, r->store[k].need.request[BT_DIM_CPU]);
  } else if (what == 7 && r->w.nodes.len) {
    uint32_t n = rnd((uint32_t)r->w.nodes.len);
    if (r->w.nodes.items[n].there) {
      r->w.nodes.items[n].given.open = !r->w.nodes.items[n].given.open;
      bt_fleet_node_set(r->fleet, &r->w.nodes.items[n].given);
    }
  } else {
    try_place(r, rnd(NEEDS));
  }
}

static const char *one_round(uint64_t with) {
  struct round r = {.fleet = bt_fleet_new(), .store = bt_newn(struct need_store, NEEDS)};
  seed = with * 0x9e3779b97f4a7c15ULL + 1;
  for (int i = 0; i < NEEDS; i++) {
    random_need(&r.store[i], i);
    bt_vec_push(&r.w.needs, &r.store[i].need);
  }
  for (uint32_t i = 0, n = 1 + rnd(BT_COUNT(names)); i < n; i++)
    random_node(r.fleet, &r.w, i);
  for (int step = 0; step < 120 && !r.wrong; step++)
    one_step(&r);
  if (bt_fleet_instances(r.fleet) != r.w.insts.len && !r.wrong)
    r.wrong = "the numbers of instances differ";
  while (r.w.insts.len) {
    bt_fleet_remove(r.fleet, r.w.insts.items[0].number);
    forget(&r.w, 0);
  }
  for (int i = 0; i < NEEDS; i++)
    if (r.have[i])
      (void)bt_fleet_shape_drop(r.fleet, r.shapes[i]);
  if (bt_fleet_spoken(r.fleet) > 0 && !r.wrong)
    r.wrong = "names of labels are kept that nobody speaks of";
  bt_fleet_free(&r.fleet);
  for (int i = 0; i < NEEDS; i++)
    need_free(&r.store[i]);
  free(r.store);
  bt_vec_free(&r.w.nodes);
  bt_vec_free(&r.w.needs);
  bt_vec_free(&r.w.insts);
  return r.wrong;
}

static void test_random(void) {
  const char *only = getenv("FLEET_SEED");
  uint64_t from = only ? strtoull(only, NULL, 10) : 1, to = only ? from : 2000;
  const char *wrong = NULL;
  uint64_t at = from;
  for (; at <= to && !wrong; at++)
    wrong = one_round(at);
  ok(!wrong, "random clusters: %s (FLEET_SEED=%llu)", wrong ? wrong : "each place may be taken, and where there is one it is found",
     (unsigned long long)(at - 1));
}

/* ---- what a shape remembers of its searches ---- */

#define MARKED 40

/* Two clusters to which the same happens; in the second each search is the first of its shape. */
struct twins {
  struct bt_fleet *f[2];
  uint32_t lasting;
  BT_VEC(uint32_t) insts[2];
};

static uint32_t wishful(struct bt_fleet *f) {
  static const char *const likes[] = {"image:a", "image:b"};
  static const struct bt_affinity beside = {.scope = BT_SCOPE_SERVICE, .namespace_ = "n", .app = "x", .service = "other", .weight = 5};
  return shape_of(f, &(struct bt_need){.namespace_ = "n", .app = "x", .service = "s", .request = {300}, .likes = likes, .nlikes = 2, .affinities = &beside,
                                       .naffinities = 1});
}

static void twins_event(struct twins *t, uint32_t other[2]) {
  uint32_t what = rnd(8), node = rnd(MARKED), mark = rnd(2);
  bool on = rnd(3) > 0;
  size_t i = t->insts[0].len ? rnd((uint32_t)t->insts[0].len) : 0;
  for (int k = 0; k < 2; k++) {
    uint32_t inst;
    if (what < 2) {
      bt_fleet_node_mark(t->f[k], node, mark ? "image:a" : "image:b", on);
    } else if (what == 2) {
      bt_fleet_node_set(t->f[k], &(struct bt_fleet_node){.name = bt_fleet_node_name(t->f[k], node), .room = {1000 + node % 3 * 700, 64 << 20}, .open = on});
    } else if (what == 3 && bt_fleet_place(t->f[k], other[k], 1, &inst)) {
      bt_vec_push(&t->insts[k], inst);
    } else if (what == 4 && t->insts[k].len) {
      bt_fleet_remove(t->f[k], t->insts[k].items[i]);
      bt_vec_remove(&t->insts[k], i);
    }
  }
}

/* Whether both go to the same node. */
static bool twins_place(struct twins *t) {
  uint32_t at[2] = {BT_FLEET_NONE, BT_FLEET_NONE};
  for (int k = 0; k < 2; k++) {
    uint32_t inst;
    if (bt_fleet_place(t->f[k], k ? wishful(t->f[k]) : t->lasting, 1, &inst)) {
      bt_vec_push(&t->insts[k], inst);
      at[k] = bt_fleet_node_of(t->f[k], inst);
    }
  }
  return at[0] == at[1];
}

static void test_remembered(void) {
  int apart = 0;
  for (uint64_t round = 1; round <= 60; round++) {
    struct twins t = {.f = {bt_fleet_new(), bt_fleet_new()}};
    uint32_t other[2];
    seed = round * 0x9e3779b97f4a7c15ULL + 7;
    for (int k = 0; k < 2; k++) {
      static char called[MARKED][16];
      for (int i = 0; i < MARKED; i++) {
        snprintf(called[i], sizeof called[i], "n%d", i);
        struct bt_fleet *f = t.f[k];
        NODE(called[i], 1000 + i % 3 * 700);
      }
      other[k] = shape_of(t.f[k], &(struct bt_need){.namespace_ = "n", .app = "x", .service = "other", .request = {500}});
    }
    t.lasting = wishful(t.f[0]);
    for (int step = 0; step < 200; step++) {
      twins_event(&t, other);
      apart += !twins_place(&t);
    }
    for (int k = 0; k < 2; k++) {
      bt_fleet_free(&t.f[k]);
      bt_vec_free(&t.insts[k]);
    }
  }
  is_int(apart, 0, "a shape that has searched before goes where a new one goes, whatever came, went and was marked meanwhile");
}

int main(void) {
  test_binpack_and_spread();
  test_very_many();
  test_follow();
  test_names_of_labels();
  test_words();
  test_one_node();
  test_judge();
  test_preempt();
  test_random();
  test_remembered();
  return done_testing();
}
