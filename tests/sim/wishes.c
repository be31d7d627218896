/* What some worlds have beside the rest: priorities, disruption budgets, other ways of rollouts, numbers that follow a metric, devices, namespaces
 * within each other. Which ones is the seed's; the dice are of their own, so that the others are found by the seeds that they were found by. */
#include "config.h"

#include "sim.h"

uint64_t sim_dice(const struct sim *s, uint64_t salt, uint64_t n) {
  uint64_t x = (s->seed * 0x9E3779B97F4A7C15u) ^ (s->requests * 0xBF58476D1CE4E5B9u) ^ (salt * 0x94D049BB133111EBu);
  x ^= x >> 29;
  return (x * 0xD6E8FEB86659FD93u >> 33) % n;
}

static bool likely(const struct sim *s, uint64_t salt, unsigned percent) { return sim_dice(s, salt, 100) < percent; }

bool sim_has(const struct sim *s, enum sim_trait trait) { return s->traits & trait; }

/* ---- the world ---- */

#define TRAIT_SALT 1000

void sim_traits(struct sim *s) {
  static const unsigned percent[] = {45, 35, 40, 35, 40, 25, 15};
  for (unsigned i = 0; i < BT_COUNT(percent); i++)
    s->traits |= likely(s, TRAIT_SALT + i, percent[i]) ? 1u << i : 0;
  if (sim_has(s, SIM_CROWDED)) /* who has no place looks for somebody to push out */
    s->traits |= SIM_PRIORITIES | SIM_SPACES;
  for (size_t i = 0; i < s->nnodes && sim_has(s, SIM_DEVICES); i++)
    s->nodes[i].devices = (int)sim_dice(s, TRAIT_SALT + 20 + i, 3) + (i == 0);
  if (sim_has(s, SIM_PRIORITIES) && s->nnodes == 1) /* else nobody lacks a place */
    s->nodes[0].cpus = 24;
}

json_t *sim_devices(const struct sim_node *n) {
  json_t *list = json_array(), *one = json_object(), *ids = json_array();
  for (int i = 0; i < n->devices; i++) {
    const char id[] = {'g', (char)('0' + i), '\0'};
    json_array_append_new(ids, json_string(id));
  }
  bt_json_set_str(one, "kind", "gpu");
  bt_json_set_str(one, "driver", "nvidia");
  bt_json_set(one, "ids", ids);
  json_array_append_new(list, one);
  return list;
}

const char *sim_ns(const struct sim *s, const char *app) { return sim_has(s, SIM_SPACES) && !bt_streq(app, sim_apps[0]) ? "team" : "default"; }

struct sim_space *sim_space(struct sim *s, const char *name) {
  for (size_t i = 0; i < BT_COUNT(s->spaces); i++)
    if (bt_streq(s->spaces[i].name, name))
      return &s->spaces[i];
  return NULL;
}

static void space_json(const struct sim_space *space, bool calm, json_t *namespaces) {
  json_t *one = json_object(), *quota = json_object(), *usual = json_object();
  if (space->parent)
    bt_json_set_str(one, "parent", space->parent);
  if (space->priority)
    bt_json_set_int(one, "priority", space->priority);
  if (space->instances && !calm)
    bt_json_set_int(quota, "instances", space->instances);
  if (space->cpus > 0 && !calm)
    bt_json_set(quota, "cpus", json_real(space->cpus));
  if (space->devices && !calm)
    bt_json_set_int(quota, "devices", space->devices);
  if (space->cpus > 0) /* with a quota of them each has to say how much it takes */
    bt_json_set(usual, "cpus", json_real(0.1));
  bt_json_set(one, "defaults", usual);
  bt_json_set(one, "quota", quota);
  bt_json_set(namespaces, space->name, one);
}

/* Quotas are in force until there is calm, priorities on. instances: of "default"; 0: no limit. */
void sim_spaces(struct sim *s, json_t *settings, int instances) {
  json_t *namespaces = json_object(), *scheduling = json_object();
  if (!s->calm) {
    bool many = sim_has(s, SIM_SPACES);
    s->spaces[0] = (struct sim_space){.name = "default", .parent = many && likely(s, TRAIT_SALT + 30, 40) ? "org" : NULL, .instances = instances};
    s->spaces[1] = (struct sim_space){.name = "team", .parent = "org"};
    s->spaces[2] = (struct sim_space){.name = "org"};
    if (many) {
      s->spaces[1].instances = likely(s, TRAIT_SALT + 31, 50) ? 5 + (int)sim_dice(s, TRAIT_SALT + 32, 10) : 0;
      s->spaces[2].instances = likely(s, TRAIT_SALT + 33, 50) ? 9 + (int)sim_dice(s, TRAIT_SALT + 34, 12) : 0;
      s->spaces[2].cpus = likely(s, TRAIT_SALT + 35, 50) ? 4 + (double)sim_dice(s, TRAIT_SALT + 36, 16) : 0;
      s->spaces[1].devices = likely(s, TRAIT_SALT + 37, 50) ? 1 + (int)sim_dice(s, TRAIT_SALT + 38, 2) : 0;
    }
    for (unsigned i = 0; i < 2 && sim_has(s, SIM_PRIORITIES); i++)
      s->spaces[i].priority = 10 * (int)sim_dice(s, TRAIT_SALT + 40 + i, 3);
    s->preempts = !likely(s, TRAIT_SALT + 42, 15);
  }
  for (size_t i = 0; i < (sim_has(s, SIM_SPACES) ? BT_COUNT(s->spaces) : 1); i++)
    space_json(&s->spaces[i], s->calm, namespaces);
  if (!s->preempts)
    bt_json_set_bool(scheduling, "preemption", false);
  if (sim_has(s, SIM_REBALANCES)) {
    json_t *rebalance = json_object();
    bt_json_set_bool(rebalance, "automatic", true);
    bt_json_set_int(rebalance, "moves_per_hour", 3600);
    bt_json_set(scheduling, "rebalance", rebalance);
  }
  bt_json_set(settings, "namespaces", namespaces);
  bt_json_set(settings, "scheduling", scheduling);
}

/* ---- services ---- */

static json_t *under(json_t *o, const char *key) {
  json_t *at = bt_json_obj(o, key);
  if (!at)
    bt_json_set(o, key, at = json_object());
  return at;
}

static void want_priority(const struct sim *s, json_t *o, uint64_t salt) {
  static const int values[] = {-20, 0, 5, 15, 40};
  json_t *berth = under(o, "x-berth");
  if (likely(s, salt, 70))
    bt_json_set_int(under(berth, "placement"), "priority", values[sim_dice(s, salt + 1, BT_COUNT(values))]);
}

/* Large ones, until there is calm; and who depends on others is often above them. */
static void want_much(const struct sim *s, json_t *o, unsigned number, uint64_t salt) {
  static const char *const cpus[] = {"2", "3.5", "7"};
  static const int rising[] = {-20, 0, 5, 15, 40};
  if (s->calm)
    return;
  if (likely(s, salt + 22, 70)) {
    json_t *reserved = under(under(under(o, "deploy"), "resources"), "reservations");
    bt_json_set_str(reserved, "cpus", cpus[sim_dice(s, salt + 23, BT_COUNT(cpus))]);
  }
  if (likely(s, salt + 24, 60))
    bt_json_set_int(under(under(o, "x-berth"), "placement"), "priority", rising[number]);
}

static void want_budget(const struct sim *s, json_t *o, uint64_t salt) {
  json_t *disruption = json_object();
  switch (sim_dice(s, salt + 2, 5)) {
  case 0:
    bt_json_set_int(disruption, "max_unavailable", (long long)sim_dice(s, salt + 3, 3));
    break;
  case 1:
    bt_json_set_str(disruption, "max_unavailable", "50%");
    break;
  case 2:
    bt_json_set_int(disruption, "min_available", 1 + (long long)sim_dice(s, salt + 3, 3));
    break;
  default:
    json_decref(disruption); /* one at a time */
    return;
  }
  bt_json_set(under(o, "x-berth"), "disruption", disruption);
}

static json_t *canary_steps(const struct sim *s, uint64_t salt, bool weighted) {
  static const char *const pauses[] = {"3s", "20s", "45s"};
  json_t *steps = json_array();
  for (uint64_t i = 0, n = 1 + sim_dice(s, salt + 5, 3); i < n; i++) {
    json_t *step = json_object();
    bt_json_set_int(step, "instances", 1 + (long long)i);
    if (weighted)
      bt_json_set_int(step, "weight", 10 * (1 + (long long)i));
    bt_json_set_str(step, "pause", !s->calm && likely(s, salt + 7 + i, 30) ? "promote" : pauses[sim_dice(s, salt + 10 + i, 3)]);
    json_array_append_new(steps, step);
  }
  return steps;
}

/* A weight is a share of the requests of a route. */
static void want_route(const char *app, unsigned number, json_t *o) {
  BT_AUTO_FREE char *host = bt_asprintf("%s-%u.example", app, number);
  json_t *route = json_object();
  bt_json_set(route, "hosts", json_pack("[s]", host));
  bt_json_set_int(route, "port", 80);
  bt_json_set(under(o, "x-berth"), "routes", json_pack("[o]", route));
}

/* What goes back at the first failure too many cannot go on after one. */
static void go_back(json_t *o) {
  json_t *update = bt_json_obj(bt_json_obj(o, "deploy"), "update_config");
  if (bt_streq(bt_json_str(update, "failure_action"), "continue"))
    bt_json_set_str(update, "failure_action", "rollback");
}

static void want_way(const struct sim *s, const char *app, unsigned number, json_t *o, uint64_t salt) {
  json_t *rollout = json_object();
  if (json_object_get(o, "ports") || likely(s, salt + 4, 30)) {
    json_decref(rollout);
    return;
  }
  if (likely(s, salt + 14, 50)) {
    bt_json_set_str(rollout, "strategy", "canary");
    bool weighted = likely(s, salt + 6, 50);
    bt_json_set(rollout, "steps", canary_steps(s, salt, weighted));
    if (weighted)
      want_route(app, number, o);
  } else {
    bt_json_set_str(rollout, "strategy", "blue-green");
    bt_json_set_str(rollout, "keep", likely(s, salt + 15, 50) ? "5s" : "40s");
    bt_json_set_str(under(o, "labels"), "order", "start-first"); /* old and new are there at once, whatever update_config says */
  }
  go_back(o);
  bt_json_set(under(o, "x-berth"), "rollout", rollout);
}

static void want_scale(const struct sim *s, json_t *o, uint64_t salt) {
  if (json_object_get(o, "ports") || likely(s, salt + 16, 40))
    return;
  json_t *a = json_object(), *metric = json_object(), *metrics = json_array(), *down = json_object();
  long long min = s->calm ? 1 : (long long)sim_dice(s, salt + 17, 3);
  bt_json_set_int(a, "min", min);
  bt_json_set_int(a, "max", BT_MAX(min, 1) + (long long)sim_dice(s, salt + 18, s->calm ? 2 : 5));
  bt_json_set_str(a, "interval", "5s");
  bt_json_set_str(metric, "query", "load");
  bt_json_set_int(metric, "target", 10);
  bt_json_set_str(metric, "name", "load");
  json_array_append_new(metrics, metric);
  bt_json_set(a, "metrics", metrics);
  bt_json_set_str(down, "stabilization", likely(s, salt + 19, 50) ? "0s" : "20s");
  bt_json_set(a, "down", down);
  bt_json_set(under(o, "x-berth"), "autoscale", a);
}

static void want_device(const struct sim *s, json_t *o, uint64_t salt) {
  if (s->calm || likely(s, salt + 20, 50))
    return;
  json_t *gpus = json_array(), *one = json_object(), *ids = json_array();
  uint64_t how = sim_dice(s, salt + 21, 10);
  bt_json_set(one, "capabilities", json_pack("[s]", "gpu"));
  if (how == 0)
    bt_json_set_int(one, "count", -1);
  else if (how == 1)
    json_array_append_new(ids, json_string("g1"));
  else
    bt_json_set_int(one, "count", how < 4 ? 2 : 1);
  if (json_array_size(ids))
    bt_json_set(one, "device_ids", json_incref(ids));
  json_decref(ids);
  json_array_append_new(gpus, one);
  bt_json_set(o, "gpus", gpus);
}

void sim_wish(struct sim *s, const char *app, json_t *o, unsigned number, bool task) {
  uint64_t salt = 2000 + 100 * (uint64_t)number;
  if (sim_has(s, SIM_PRIORITIES))
    want_priority(s, o, salt);
  if (sim_has(s, SIM_CROWDED))
    want_much(s, o, number, salt);
  if (sim_has(s, SIM_DEVICES))
    want_device(s, o, salt);
  if (task)
    return;
  if (sim_has(s, SIM_PRIORITIES))
    want_budget(s, o, salt);
  if (sim_has(s, SIM_WAYS))
    want_way(s, app, number, o, salt);
  if (sim_has(s, SIM_SCALES))
    want_scale(s, o, salt);
}

/* ---- what a monitor says ---- */

json_t *sim_metrics(struct sim *s, const json_t *args) {
  json_t *result = json_object(), *services = json_object();
  const char *key;
  json_t *asked;
  json_object_foreach(bt_json_obj(args, "services"), key, asked) {
    json_t *answer = json_object(), *metrics = json_object(), *one = json_object();
    if (!s->calm && sim_chance(s, 10))
      bt_json_set_str(one, "error", "it is away");
    else
      bt_json_set(one, "value", json_real(s->calm ? 15 : (double)sim_rand(s, 100)));
    bt_json_set(metrics, "0", one);
    bt_json_set(answer, "metrics", metrics);
    bt_json_set(services, key, answer);
  }
  bt_json_set(result, "services", services);
  return result;
}

/* ---- clients ---- */

void sim_wish_rollout(struct sim *s, const char *app, const char *action) {
  json_t *args = json_object();
  bt_json_set_str(args, "app", app);
  bt_json_set_str(args, "action", action);
  if (bt_streq(action, "promote")) {
    int64_t *at_ms = bt_new(int64_t);
    *at_ms = s->now_ms;
    bt_map_set(s->promoted, app, at_ms);
  }
  sim_request(s, "app.rollout", args);
}

bool sim_wishes(struct sim *s, const char *app) {
  static const char *const actions[] = {"promote", "promote", "abort", "pause"};
  if (!sim_has(s, SIM_WAYS) || sim_dice(s, 3000, 100) >= 18)
    return false;
  sim_wish_rollout(s, app, actions[sim_dice(s, 3001, BT_COUNT(actions))]);
  return true;
}
