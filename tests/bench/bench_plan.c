/* The planner by itself: placements per second on workloads made from a seed, one thread. Afterwards each workload is checked by adding everything
 * up again from the list of places, without the planner. Names and reaches: plan-basic, plan-service, plan-churn, plan-node-affinity,
 * plan-anti-affinity, plan-affinity, plan-spread, plan-spread-soft, plan-preempt, plan-unschedulable, plan-global, plan-policy, plan-scale
 * (cost of a placement at 100, 1,000, 10,000, 100,000 nodes), plan-quality (nodes used above the lower bound of the packing: what is asked for
 * divided by what a node has, in the scarcer dimension, rounded up). */
#include "config.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vec.h"
#include "bench.h"
#include "base/file.h"
#include "base/json.h"
#include "plan/fleet.h"
#include "policy/judge.h"
#include "policy/policy.h"

#define CPU 32000
#define MEMORY ((int64_t)128 << 30)
#define MIB ((int64_t)1 << 20)

static uint64_t seed;
static uint32_t rnd(uint32_t n) {
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return (uint32_t)((seed * 2685821657736338717ULL >> 33) % n);
}

/* Of the processor, not of the wall: it is one thread that only computes, and others use the machine. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- what a workload consists of ---- */

struct world {
  struct bt_fleet *fleet;
  uint32_t nodes, shapes;
  struct bt_need *needs;
  uint32_t *shape; /* numbers in the fleet */
  char (*labels)[2][24];
  BT_VEC(uint32_t) insts; /* that are placed */
  const char *wrong;
};

/* Each node has a zone of "zones", and a disk of "disks" values. */
static void world_init(struct world *w, uint32_t nodes, uint32_t zones, uint32_t disks) {
  *w = (struct world){.fleet = bt_fleet_new(), .nodes = nodes};
  seed = 42;
  w->labels = bt_calloc(nodes, sizeof *w->labels);
  for (uint32_t i = 0; i < nodes; i++) {
    char name[24];
    snprintf(name, sizeof name, "n%u", i);
    snprintf(w->labels[i][0], 24, "z%u", i % zones);
    snprintf(w->labels[i][1], 24, "d%u", i % disks);
    struct bt_attr attrs[] = {{"node.labels.zone", w->labels[i][0]}, {"node.labels.disk", w->labels[i][1]}};
    bt_fleet_node_set(w->fleet, &(struct bt_fleet_node){.name = name, .attrs = attrs, .nattrs = 2, .room = {CPU, MEMORY, MEMORY, 4096}, .open = true});
  }
}

static void world_shapes(struct world *w, const struct bt_need *needs, uint32_t n) {
  BT_AUTO_ERR err = NULL;
  w->shapes = n;
  w->needs = bt_memdup(needs, n * sizeof *needs);
  w->shape = bt_newn(uint32_t, n);
  for (uint32_t i = 0; i < n; i++)
    if (bt_fleet_shape_new(w->fleet, &needs[i], &w->shape[i], &err) < 0)
      w->wrong = "a shape was refused";
}

static void world_free(struct world *w) {
  bt_fleet_free(&w->fleet);
  free(w->needs);
  free(w->shape);
  free(w->labels);
  bt_vec_free(&w->insts);
}

static struct bt_need need(char *service, int64_t cpu, int64_t memory) {
  return (struct bt_need){.namespace_ = "bench", .app = "app", .service = service, .request = {cpu, memory, 0, 1}};
}

static char services[4096][16];
static void name_services(void) {
  for (size_t i = 0; i < BT_COUNT(services); i++)
    snprintf(services[i], sizeof services[i], "s%zu", i);
}

/* 64 shapes of 0.1 to 2 cpus and 128 MiB to 8 GiB. */
static void mixed(struct bt_need *needs, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    needs[i] = need(services[i], 100 + 100 * (int64_t)rnd(20), 128 * MIB * (1 + (int64_t)rnd(64)));
}

static bool place(struct world *w, uint32_t shape) {
  uint32_t i;
  if (bt_fleet_place(w->fleet, w->shape[shape], 1, &i) != 1)
    return false;
  bt_vec_push(&w->insts, i);
  return true;
}

/* ---- adding up again ---- */

static const struct bt_need *need_of(const struct world *w, uint32_t inst) {
  uint32_t shape = bt_fleet_shape_of(w->fleet, inst);
  for (uint32_t i = 0; i < w->shapes; i++)
    if (w->shape[i] == shape)
      return &w->needs[i];
  return NULL;
}

static int by_node_and_service(const void *a, const void *b) { return memcmp(a, b, 2 * sizeof(uint32_t)); }

static void verify_room(struct world *w, const struct bt_need **of) {
  int64_t(*used)[BT_FLEET_DIMS] = bt_calloc(w->nodes, sizeof *used);
  for (size_t i = 0; i < w->insts.len; i++)
    for (int d = 0; d < BT_DIM_FIXED; d++)
      used[bt_fleet_node_of(w->fleet, w->insts.items[i])][d] += of[i]->request[d];
  for (uint32_t n = 0; n < w->nodes; n++)
    if (used[n][BT_DIM_CPU] > CPU || used[n][BT_DIM_MEMORY] > MEMORY)
      w->wrong = "a node is oversold";
  free(used);
}

static void verify_rules(struct world *w, const struct bt_need **of) {
  for (size_t i = 0; i < w->insts.len; i++)
    for (size_t r = 0; r < of[i]->nrules; r++)
      if (!bt_rule_holds(&of[i]->rules[r], w->labels[bt_fleet_node_of(w->fleet, w->insts.items[i])][1]))
        w->wrong = "a rule is broken";
}

/* No two of a service on a node, for those that ask for it. */
static void verify_apart(struct world *w, const struct bt_need **of) {
  uint32_t(*pairs)[2] = bt_calloc(w->insts.len + 1, sizeof *pairs);
  size_t n = 0;
  for (size_t i = 0; i < w->insts.len; i++)
    if (of[i]->naffinities && of[i]->affinities[0].anti && !of[i]->affinities[0].topology) {
      pairs[n][0] = bt_fleet_node_of(w->fleet, w->insts.items[i]);
      pairs[n++][1] = (uint32_t)(of[i] - w->needs);
    }
  qsort(pairs, n, sizeof *pairs, by_node_and_service);
  for (size_t i = 1; i < n; i++)
    if (memcmp(pairs[i], pairs[i - 1], sizeof *pairs) == 0)
      w->wrong = "two of a service that must be apart are on one node";
  free(pairs);
}

static void verify_zones(struct world *w, const struct bt_need **of, uint32_t zones) {
  uint32_t *count = bt_newn(uint32_t, (size_t)w->shapes * zones);
  for (size_t i = 0; i < w->insts.len; i++)
    count[(size_t)(of[i] - w->needs) * zones + bt_fleet_node_of(w->fleet, w->insts.items[i]) % zones]++;
  for (uint32_t s = 0; s < w->shapes; s++) {
    uint32_t min = UINT32_MAX, max = 0;
    const struct bt_need *n = &w->needs[s];
    for (uint32_t z = 0; z < zones; z++) {
      min = BT_MIN(min, count[(size_t)s * zones + z]);
      max = BT_MAX(max, count[(size_t)s * zones + z]);
      if (n->naffinities && !n->affinities[0].anti && count[(size_t)s * zones + z] > 0)
        for (uint32_t t = 0; t < w->shapes; t++)
          if (bt_streq(w->needs[t].service, n->affinities[0].service) && count[(size_t)t * zones + z] == 0)
            w->wrong = "an instance is not beside the service that it must be beside";
    }
    if (n->nspreads && n->spreads[0].hard && max - min > (uint32_t)n->spreads[0].max_skew)
      w->wrong = "a service is spread beyond its skew";
  }
  free(count);
}

static const char *verify(struct world *w, uint32_t zones) {
  const struct bt_need **of = bt_calloc(w->insts.len + 1, sizeof *of);
  const struct bt_need **by = bt_calloc(1 << 16, sizeof *by);
  for (size_t i = 0; i < w->insts.len; i++) {
    uint32_t shape = bt_fleet_shape_of(w->fleet, w->insts.items[i]);
    if (!by[shape])
      by[shape] = need_of(w, w->insts.items[i]);
    of[i] = by[shape];
  }
  verify_room(w, of);
  verify_rules(w, of);
  verify_apart(w, of);
  verify_zones(w, of, zones);
  free(of);
  free(by);
  return w->wrong;
}

static int report(struct world *w, const char *name, double per_second, double reach, size_t placed, uint32_t zones) {
  const char *wrong = verify(w, zones);
  char more[200];
  snprintf(more, sizeof more, ", \"nodes\": %u, \"placed\": %zu%s%s%s", w->nodes, placed, wrong ? ", \"wrong\": \"" : "", wrong ? wrong : "",
           wrong ? "\"" : "");
  int bad = bench_print(&(struct bench_result){name, "placements/s", wrong ? 0 : per_second, NAN, NAN, NAN, reach, true, more});
  world_free(w);
  return bad;
}

/* ---- workloads ---- */

static double fill(struct world *w, double part) {
  int64_t target = (int64_t)((double)w->nodes * CPU * part), used = 0;
  double begin = now();
  while (used < target) {
    uint32_t s = rnd(w->shapes);
    if (!place(w, s))
      break;
    used += w->needs[s].request[BT_DIM_CPU];
  }
  return now() - begin;
}

static int basic(uint32_t nodes) {
  struct world w;
  struct bt_need needs[64];
  world_init(&w, nodes, 10, 50);
  mixed(needs, 64);
  world_shapes(&w, needs, 64);
  double took = fill(&w, 0.6);
  return report(&w, "plan-basic", (double)w.insts.len / took, 500e3, w.insts.len, 10);
}

static int service(void) {
  struct world w;
  struct bt_need one = need(services[0], 1000, 4096 * MIB);
  world_init(&w, 10000, 10, 50);
  world_shapes(&w, &one, 1);
  uint32_t *out = bt_newn(uint32_t, 100000);
  double begin = now();
  size_t n = bt_fleet_place(w.fleet, w.shape[0], 100000, out);
  double took = now() - begin;
  for (size_t i = 0; i < n; i++)
    bt_vec_push(&w.insts, out[i]);
  free(out);
  return report(&w, "plan-service", (double)n / took, 5e6, n, 10);
}

static int churn(void) {
  struct world w;
  struct bt_need needs[64];
  world_init(&w, 10000, 10, 50);
  mixed(needs, 64);
  world_shapes(&w, needs, 64);
  fill(&w, 0.61);
  double begin = now();
  size_t n = 300000, done = 0;
  for (size_t i = 0; i < n; i++) {
    size_t at = rnd((uint32_t)w.insts.len);
    uint32_t shape = rnd(64), inst;
    bt_fleet_remove(w.fleet, w.insts.items[at]);
    if (bt_fleet_place(w.fleet, w.shape[shape], 1, &inst) == 1) {
      w.insts.items[at] = inst;
      done++;
    } else {
      w.insts.items[at] = w.insts.items[--w.insts.len];
    }
  }
  return report(&w, "plan-churn", (double)done / (now() - begin), 300e3, done, 10);
}

static int node_affinity(void) {
  struct world w;
  struct bt_need needs[50];
  struct bt_rule rules[50];
  world_init(&w, 5000, 10, 50);
  for (int i = 0; i < 50; i++) {
    char text[64];
    snprintf(text, sizeof text, "node.labels.disk == d%d", i);
    if (bt_rule_parse(text, true, &rules[i], NULL) < 0)
      w.wrong = "no rule";
    needs[i] = need(services[i], 500, 1024 * MIB);
    needs[i].rules = &rules[i];
    needs[i].nrules = 1;
  }
  world_shapes(&w, needs, 50);
  double took = fill(&w, 0.6);
  int bad = report(&w, "plan-node-affinity", (double)w.insts.len / took, 300e3, w.insts.len, 10);
  for (int i = 0; i < 50; i++)
    bt_rule_free(&rules[i]);
  return bad;
}

/* Services of which each replica is placed by itself, in turns. */
static int turns(const char *name, struct world *w, uint32_t n, uint32_t replicas, double reach, uint32_t zones, size_t before) {
  double begin = now();
  for (uint32_t r = 0; r < replicas; r++)
    for (uint32_t s = 0; s < n; s++)
      if (!place(w, s))
        w->wrong = "no place was found";
  return report(w, name, (double)(w->insts.len - before) / (now() - begin), reach, w->insts.len, zones);
}

static int anti_affinity(void) {
  struct world w;
  static struct bt_need needs[1000];
  static struct bt_affinity apart[1000];
  world_init(&w, 5000, 10, 50);
  for (int i = 0; i < 1000; i++) {
    apart[i] = (struct bt_affinity){true, true, BT_SCOPE_SERVICE, "bench", "app", services[i], NULL, 0};
    needs[i] = need(services[i], 250, 512 * MIB);
    needs[i].affinities = &apart[i];
    needs[i].naffinities = 1;
  }
  world_shapes(&w, needs, 1000);
  return turns("plan-anti-affinity", &w, 1000, 100, 100e3, 10, 0);
}

static int affinity(void) {
  struct world w;
  static struct bt_need needs[400];
  static struct bt_affinity beside[200];
  world_init(&w, 5000, 10, 50);
  for (int i = 0; i < 200; i++) {
    beside[i] = (struct bt_affinity){false, true, BT_SCOPE_SERVICE, "bench", "app", services[i], "node.labels.zone", 0};
    needs[i] = need(services[i], 250, 512 * MIB);
    needs[200 + i] = need(services[200 + i], 250, 512 * MIB);
    needs[200 + i].affinities = &beside[i];
    needs[200 + i].naffinities = 1;
  }
  world_shapes(&w, needs, 400);
  return turns("plan-affinity", &w, 400, 200, 100e3, 10, 0);
}

static int spread(bool hard) {
  struct world w;
  static struct bt_need needs[100];
  struct bt_spread over = {"node.labels.zone", 1, hard};
  world_init(&w, 5000, 10, 50);
  for (int i = 0; i < 100; i++) {
    needs[i] = need(services[i], 250, 512 * MIB);
    needs[i].spreads = &over;
    needs[i].nspreads = 1;
  }
  world_shapes(&w, needs, 100);
  return turns(hard ? "plan-spread" : "plan-spread-soft", &w, 100, 1000, 200e3, 10, 0);
}

static void take_out(struct world *w, uint32_t *at, uint32_t inst) {
  uint32_t last = w->insts.items[--w->insts.len];
  w->insts.items[at[inst]] = last;
  at[last] = at[inst];
  bt_fleet_remove(w->fleet, inst);
}

static int preempt(void) {
  struct world w;
  struct bt_need needs[4];
  world_init(&w, 5000, 10, 50);
  for (int i = 0; i < 4; i++) {
    needs[i] = need(services[i], i == 3 ? 4000 : 2000, (i == 3 ? 8192 : 4096) * MIB);
    needs[i].priority = i * 10;
  }
  world_shapes(&w, needs, 4);
  for (uint32_t full = 0; full < 3;)
    full = place(&w, rnd(3)) ? 0 : full + 1;
  uint32_t *at = bt_newn(uint32_t, w.insts.len * 2), victims[64], node, inst;
  for (uint32_t i = 0; i < w.insts.len; i++)
    at[w.insts.items[i]] = i;
  double begin = now();
  size_t done = 0;
  for (; done < 10000 && !w.wrong; done++) {
    size_t n = bt_fleet_victims(w.fleet, w.shape[3], &node, victims, BT_COUNT(victims));
    for (size_t i = 0; i < n; i++)
      take_out(&w, at, victims[i]);
    if (n == 0 || bt_fleet_place(w.fleet, w.shape[3], 1, &inst) != 1 || bt_fleet_node_of(w.fleet, inst) != node) {
      w.wrong = "what was made free was not enough";
      break;
    }
    at[inst] = (uint32_t)w.insts.len;
    bt_vec_push(&w.insts, inst);
  }
  double took = now() - begin;
  free(at);
  return report(&w, "plan-preempt", (double)done / took, 50e3, done, 10);
}

/* 10,000 services that never fit are asked for anew whenever something came free. */
static int unschedulable(void) {
  struct world w;
  enum { NEVER = 10000, GOOD = 64 };
  struct bt_need *needs = bt_newn(struct bt_need, NEVER + GOOD);
  world_init(&w, 5000, 10, 50);
  mixed(needs, GOOD);
  for (int i = 0; i < NEVER; i++)
    needs[GOOD + i] = need(services[i % 4096], CPU + 1 + i, MIB);
  world_shapes(&w, needs, NEVER + GOOD);
  w.shapes = GOOD;
  double begin = now(), took;
  uint64_t epoch = 0;
  int64_t used = 0, target = (int64_t)w.nodes * CPU * 6 / 10;
  uint32_t inst;
  size_t placed = 0;
  while (used < target) {
    uint32_t s = rnd(GOOD);
    if (!place(&w, s))
      break;
    used += needs[s].request[BT_DIM_CPU];
    if (++placed % 1000 == 0) { /* something is removed: all that wait are asked again */
      bt_fleet_remove(w.fleet, w.insts.items[--w.insts.len]);
      for (uint32_t i = GOOD; epoch != bt_fleet_epoch(w.fleet) && i < NEVER + GOOD; i++)
        if (bt_fleet_place(w.fleet, w.shape[i], 1, &inst))
          w.wrong = "one was placed that fits nowhere";
      epoch = bt_fleet_epoch(w.fleet);
    }
  }
  took = now() - begin;
  int bad = report(&w, "plan-unschedulable", (double)placed / took, 300e3, placed, 10);
  free(needs);
  return bad;
}

/* As control does for a service of mode global: how many nodes take it, and one place after the other, at most one on a node. */
static int global(void) {
  struct world w;
  struct bt_need one = need(services[0], 100, 128 * MIB);
  one.max_per_node = 1;
  world_init(&w, 15000, 10, 50);
  world_shapes(&w, &one, 1);
  double begin = now();
  size_t n = bt_fleet_hosts(w.fleet, w.shape[0]);
  uint32_t *out = bt_newn(uint32_t, n + 1);
  for (size_t i = 0; i < n; i++)
    n = bt_fleet_place(w.fleet, w.shape[0], 1, out + i) == 1 ? n : i;
  double took = now() - begin;
  BT_AUTO_FREE bool *has = bt_newn(bool, 15000);
  for (size_t i = 0; i < n; i++) {
    bt_vec_push(&w.insts, out[i]);
    bool *there = &has[bt_fleet_node_of(w.fleet, out[i])];
    w.wrong = *there ? "a node has two" : w.wrong;
    *there = true;
  }
  if (n != 15000)
    w.wrong = "a node was left out";
  free(out);
  return report(&w, "plan-global", (double)n / took, 1e6, n, 10);
}

/* ---- the operator's rules, in Lua ---- */

static const char rules_lua[] =
    "return {\n"
    "  filter = function(service, node)\n"
    "    if node.labels.team == service.labels.shuns then return false, 'the node belongs to ' .. node.labels.team end\n"
    "    return true\n"
    "  end,\n"
    "  score = function(service, node) return tonumber(node.labels.generation) * 10 end,\n"
    "}\n";

struct rules {
  struct bt_judge *judge;
  json_t *services[64];
  long asked;
};

static void rules_taken(void *arg, struct bt_judge *judge) { ((struct rules *)arg)->judge = judge; }

static bool rules_ask(void *arg, void *tag, const struct bt_fleet_node *class, int *score, char *why, size_t size) {
  struct rules *r = arg;
  struct bt_judgement out;
  json_t *labels = json_object();
  BT_AUTO_JSON node = json_pack("{s:o, s:s, s:{s:s, s:s}, s:{s:I}, s:[]}", "labels", labels, "pool", "default", "platform", "os", "linux", "arch",
                                "amd64", "capacity", "memory", (json_int_t)class->room[BT_DIM_MEMORY], "taints");
  for (size_t i = 0; i < class->nattrs; i++)
    bt_json_set_str(labels, class->attrs[i].key + strlen("node.labels."), class->attrs[i].value);
  bt_judge_ask(r->judge, r->services[(size_t)(uintptr_t)tag], node, &out);
  r->asked++;
  *score = out.score;
  snprintf(why, size, "%s", out.why);
  return out.allowed;
}

static int load_rules(struct rules *r, struct bt_policy **policy, struct bt_err **err) {
  char dir[] = "/tmp/bt_bench_XXXXXX";
  if (!mkdtemp(dir))
    return -1;
  BT_AUTO_FREE char *path = bt_path_join(dir, "rules.lua");
  int rc = bt_file_write(path, rules_lua, strlen(rules_lua), 0600, err);
  rc = rc == 0 ? bt_policy_load(dir, NULL, policy, err) : rc;
  if (rc == 0)
    bt_policy_on_change(*policy, rules_taken, r);
  unlink(path);
  rmdir(dir);
  return rc;
}

/* 200 classes: teams 0 to 3, generations 0 to 9, racks 0 to 4. */
static void set_classes(struct world *w) {
  for (uint32_t i = 0; i < w->nodes; i++) {
    char name[24], team[8], generation[8], rack[8];
    snprintf(name, sizeof name, "n%u", i);
    snprintf(team, sizeof team, "t%u", i % 4);
    snprintf(generation, sizeof generation, "%u", i / 4 % 10);
    snprintf(rack, sizeof rack, "r%u", i / 40 % 5);
    struct bt_attr attrs[] = {{"node.labels.team", team}, {"node.labels.generation", generation}, {"node.labels.rack", rack}};
    bt_fleet_node_set(w->fleet, &(struct bt_fleet_node){.name = name, .attrs = attrs, .nattrs = 3, .room = {CPU, MEMORY, MEMORY, 4096}, .open = true});
  }
}

static int policy(void) {
  struct world w;
  struct rules r = {0};
  struct bt_policy *lua = NULL;
  struct bt_need needs[64];
  BT_AUTO_ERR err = NULL;
  world_init(&w, 5000, 10, 50);
  set_classes(&w);
  mixed(needs, 64);
  if (load_rules(&r, &lua, &err) < 0)
    w.wrong = "no rules";
  for (int i = 0; i < 64; i++) {
    char shuns[8];
    snprintf(shuns, sizeof shuns, "t%d", i % 4);
    r.services[i] = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}, s:{s:{}, s:{}}, s:{}, s:{s:s}}", "namespace", "bench", "app", "app", "name", services[i], "image",
                              "web:1", "labels", "shuns", shuns, "resources", "reservations", "limits", "placement", "model", "image", "web:1");
    needs[i].tag = (void *)(uintptr_t)i;
  }
  bt_fleet_judged(w.fleet, rules_ask, &r);
  world_shapes(&w, needs, 64);
  double took = fill(&w, 0.6);
  for (size_t i = 0; i < w.insts.len; i++)
    if (bt_fleet_node_of(w.fleet, w.insts.items[i]) % 4 == bt_fleet_shape_of(w.fleet, w.insts.items[i]) % 4)
      w.wrong = "one is where its rule refuses it";
  if (r.asked != 64 * 200)
    w.wrong = "a rule is not asked once for each service and class";
  for (int i = 0; i < 64; i++)
    json_decref(r.services[i]);
  bt_judge_free(&r.judge);
  bt_policy_free(&lua);
  return report(&w, "plan-policy", (double)w.insts.len / took, 100e3, w.insts.len, 10);
}

/* ---- how cost grows, and how well it packs ---- */

static int scale(void) {
  static const uint32_t sizes[] = {100, 1000, 10000, 100000};
  double ns[4];
  char more[160];
  for (int i = 0; i < 4; i++) {
    struct world w;
    struct bt_need needs[64];
    world_init(&w, sizes[i], 10, 50);
    mixed(needs, 64);
    world_shapes(&w, needs, 64);
    uint32_t first;
    bt_fleet_place(w.fleet, w.shape[0], 1, &first);
    double took = fill(&w, 0.6);
    ns[i] = took / (double)w.insts.len * 1e9;
    world_free(&w);
  }
  /* A logarithm grows from 100 to 100,000 nodes to 2.5 times. */
  snprintf(more, sizeof more, ", \"ns_at_100\": %.0f, \"ns_at_1000\": %.0f, \"ns_at_10000\": %.0f, \"ns_at_100000\": %.0f", ns[0], ns[1], ns[2],
           ns[3]);
  return bench_print(&(struct bench_result){"plan-scale", "cost at 100,000 nodes / at 100", ns[3], ns[0], NAN, ns[3] / ns[0], 2.5, false, more});
}

static int quality(int which) {
  static const char *const names[] = {"mixed", "cpu or memory", "large"};
  struct world w;
  struct bt_need needs[64];
  char more[120];
  world_init(&w, 4000, 10, 50);
  for (int i = 0; i < 64; i++) {
    if (which == 0)
      needs[i] = need(services[i], 100 + 100 * (int64_t)rnd(20), 128 * MIB * (1 + (int64_t)rnd(64)));
    else if (which == 1)
      needs[i] = i % 2 ? need(services[i], 1000 + 500 * (int64_t)rnd(6), 512 * MIB) : need(services[i], 250, 1024 * MIB * (4 + (int64_t)rnd(12)));
    else
      needs[i] = need(services[i], 4000 + 1000 * (int64_t)rnd(5), 8192 * MIB + 1024 * MIB * (int64_t)rnd(8));
  }
  world_shapes(&w, needs, 64);
  fill(&w, 0.6);
  int64_t cpu = 0, memory = 0;
  bool *used = bt_newn(bool, w.nodes);
  uint32_t nodes = 0;
  for (size_t i = 0; i < w.insts.len; i++) {
    const struct bt_need *n = need_of(&w, w.insts.items[i]);
    uint32_t on = bt_fleet_node_of(w.fleet, w.insts.items[i]);
    cpu += n->request[BT_DIM_CPU];
    memory += n->request[BT_DIM_MEMORY];
    nodes += !used[on];
    used[on] = true;
  }
  int64_t bound = BT_MAX((cpu + CPU - 1) / CPU, (memory + MEMORY - 1) / MEMORY);
  snprintf(more, sizeof more, ", \"workload\": \"%s\", \"instances\": %zu", names[which], w.insts.len);
  int bad = bench_print(
      &(struct bench_result){"plan-quality", "nodes used / lower bound", nodes, (double)bound, NAN, (double)nodes / (double)bound, 1.03, false, more});
  free(used);
  world_free(&w);
  return bad;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  name_services();
  int bad = basic(5000) + basic(10000) + service() + churn() + node_affinity() + anti_affinity() + affinity() + spread(true) + spread(false) +
            preempt() + unschedulable() + global() + policy() + scale();
  for (int i = 0; i < 3; i++)
    bad += quality(i);
  return bad > 0;
}
