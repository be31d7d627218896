#include "config.h"

#include "sim.h"


const char *const sim_apps[3] = {"alpha", "beta", "gamma"};

/* ---- models ---- */

static const char *pick(struct sim *s, const char *const *words, size_t n) { return words[sim_rand(s, n)]; }

static json_t *update_config(struct sim *s, const char *order, bool rollback) {
  static const char *const actions[] = {"pause", "continue", "rollback"}, *const ratios[] = {"0", "0.3", "0.6"};
  static const char *const delays[] = {"0s", "1s", "7s"};
  json_t *u = json_object();
  bt_json_set_int(u, "parallelism", (long long)sim_rand(s, 4));
  bt_json_set_str(u, "order", order);
  bt_json_set_str(u, "failure_action", pick(s, actions, rollback ? 2 : 3));
  bt_json_set_str(u, "delay", pick(s, delays, 3));
  bt_json_set_str(u, "monitor", sim_chance(s, 50) ? "5s" : "0s");
  bt_json_set(u, "max_failure_ratio", json_real(strtod(pick(s, ratios, 3), NULL)));
  return u;
}

/* What is well fits wherever it is put; the rest may be more than there is. */
static void reserve(struct sim *s, json_t *deploy, bool well) {
  static const char *const cpus[] = {"0.1", "0.25", "0.5", "2", "3.5", "7"}, *const memory[] = {"64M", "300M", "1G", "3G", "6G", "40G"};
  json_t *resources = json_object(), *reserved = json_object();
  if (sim_chance(s, 50))
    bt_json_set_str(reserved, "cpus", pick(s, cpus, well ? 3 : 6));
  if (sim_chance(s, 50))
    bt_json_set_str(reserved, "memory", pick(s, memory, well ? 3 : 6));
  bt_json_set(resources, "reservations", reserved);
  bt_json_set(deploy, "resources", resources);
}

static json_t *service(struct sim *s, bool well, bool task) {
  static const char *const wells[] = {"good", "slow"}, *const ills[] = {"crash", "bad", "flaky", "missing"};
  static const char *const policies[] = {"always", "on-failure", "on-failure:2", "no"};
  json_t *o = json_object(), *deploy = json_object(), *labels = json_object(), *networks = json_object();
  const char *order = sim_chance(s, 50) ? "stop-first" : "start-first";
  const char *kind = well || sim_chance(s, 75) ? pick(s, wells, 2) : pick(s, ills, 4);
  if (task)
    kind = well || sim_chance(s, 80) ? "task" : "taskfail";
  BT_AUTO_FREE char *image = bt_asprintf("%s:%d", kind, 1 + (int)sim_rand(s, 3));
  bt_json_set_str(o, "image", image);
  bt_json_set_str(o, "restart", task ? "no" : well ? "always" : pick(s, policies, 4));
  bt_json_set_int(deploy, "replicas", task ? 1 : (long long)sim_rand(s, 5));
  bt_json_set(deploy, "update_config", update_config(s, order, false));
  bt_json_set(deploy, "rollback_config", update_config(s, order, true));
  bt_json_set(networks, "default", json_null());
  bt_json_set(o, "networks", networks);
  if (!task && sim_chance(s, 15)) {
    json_t *port = json_object(), *ports = json_array();
    bt_json_set_str(port, "mode", "host");
    bt_json_set_int(port, "target", 80);
    BT_AUTO_FREE char *published = bt_asprintf("%d", 8000 + (int)sim_rand(s, 3));
    bt_json_set_str(port, "published", published);
    json_array_append_new(ports, port);
    bt_json_set(o, "ports", ports);
    bt_json_set_int(deploy, "replicas", 1);
    order = "stop-first";
    bt_json_set(deploy, "update_config", update_config(s, order, false));
    bt_json_set(deploy, "rollback_config", update_config(s, order, true));
  }
  reserve(s, deploy, well);
  bt_json_set_str(labels, "order", order);
  bt_json_set(o, "labels", labels);
  bt_json_set(o, "deploy", deploy);
  return o;
}

static void depend(struct sim *s, json_t *services, const char *from, const char *on, const char *condition) {
  json_t *who = bt_json_obj(services, from);
  if (!who || !bt_json_obj(services, on) || sim_chance(s, 40))
    return;
  json_t *deps = bt_json_obj(who, "depends_on"), *dep = json_object();
  if (!deps)
    bt_json_set(who, "depends_on", deps = json_object());
  bt_json_set_str(dep, "condition", condition);
  bt_json_set_bool(dep, "required", sim_chance(s, 80));
  bt_json_set_bool(dep, "restart", sim_chance(s, 40));
  bt_json_set(deps, on, dep);
}

/* A schedule for some, where what it comes to need not be known in the end. */
static void make_schedule(struct sim *s, json_t *job) {
  static const char *const schedules[] = {"@every 45s", "*/2 * * * *", "@every 100s"}, *const ways[] = {"allow", "forbid", "replace"};
  if (sim_dice(s, 1, 100) < 70)
    return;
  bt_json_set_str(job, "schedule", s->calm ? "@hourly" : schedules[sim_dice(s, 2, 3)]);
  bt_json_set_str(job, "concurrency", ways[sim_dice(s, 3, 3)]);
  if (sim_dice(s, 4, 2))
    bt_json_set_str(job, "active_deadline", "40s");
  if (sim_dice(s, 5, 2))
    bt_json_set_str(job, "starting_deadline", "20s");
  bt_json_set_bool(job, "suspend", sim_dice(s, 6, 10) == 0);
  bt_json_set_int(job, "successful_history_limit", (long long)sim_dice(s, 7, 4));
  bt_json_set_int(job, "failed_history_limit", (long long)sim_dice(s, 8, 4));
}

static void make_job(struct sim *s, json_t *job) {
  json_t *deploy = bt_json_obj(job, "deploy"), *policy = json_object(), *berth = json_object(), *o = json_object();
  bt_json_set_str(deploy, "mode", "replicated-job");
  bt_json_set_int(deploy, "replicas", 1 + (long long)sim_rand(s, 3));
  bt_json_set_str(policy, "condition", sim_chance(s, 50) ? "none" : "on-failure");
  bt_json_set_int(policy, "max_attempts", (long long)sim_rand(s, 3));
  bt_json_set(deploy, "restart_policy", policy);
  bt_json_set_int(o, "completions", 1 + (long long)sim_rand(s, 5));
  if (sim_dice(s, 40, 4) == 0) { /* once on each node */
    bt_json_set_str(deploy, "mode", "global-job");
    json_object_del(deploy, "replicas");
    json_object_del(o, "completions");
  }
  make_schedule(s, o);
  bt_json_set(berth, "job", o);
  bt_json_set(job, "x-berth", berth);
  json_object_del(job, "restart");
}

json_t *sim_model(struct sim *s, const char *app, bool well) {
  static const char *const names[] = {"db", "migrate", "api", "web", "job"};
  json_t *model = json_object(), *services = json_object(), *networks = json_object(), *net = json_object(), *volumes = json_object();
  for (size_t i = 0; i < BT_COUNT(names); i++) {
    if (sim_chance(s, 35) && (i != 2 || !well))
      continue;
    bool task = i == 1 || i == 4;
    json_t *o = service(s, well, task);
    if (i == 4)
      make_job(s, o);
    sim_wish(s, app, o, (unsigned)i, task);
    bt_json_set(services, names[i], o);
  }
  if (json_object_size(services) == 0)
    bt_json_set(services, "api", service(s, well, false));
  json_t *side = bt_json_obj(services, "web") && bt_json_obj(services, "api") && sim_chance(s, 30) ? bt_json_obj(services, "web") : NULL;
  if (side && !json_object_get(side, "ports")) { /* web lives in api's network */
    json_object_del(side, "networks");
    json_object_del(bt_json_obj(side, "x-berth"), "autoscale"); /* it has as many as it has partners */
    bt_json_set_int(bt_json_obj(bt_json_obj(services, "api"), "deploy"), "replicas", 1 + (long long)sim_rand(s, 3));
    bt_json_set_str(side, "network_mode", "service:api");
  }
  depend(s, services, "migrate", "db", "service_healthy");
  depend(s, services, "api", "db", "service_healthy");
  depend(s, services, "api", "migrate", "service_completed_successfully");
  depend(s, services, "web", "api", sim_chance(s, 50) ? "service_started" : "service_healthy");
  depend(s, services, "job", "api", "service_healthy");
  BT_AUTO_FREE char *name = bt_asprintf("%s_default", app);
  bt_json_set_str(net, "name", name);
  bt_json_set(networks, "default", net);
  bt_json_set_str(model, "name", app);
  bt_json_set(model, "services", services);
  bt_json_set(model, "networks", networks);
  if (sim_chance(s, 50))
    bt_json_set(volumes, "data", json_object());
  bt_json_set(model, "volumes", volumes);
  return model;
}

/* Some worlds have a quota, until there is calm. */
json_t *sim_settings(struct sim *s) {
  json_t *settings = json_object();
  bool limited = !s->calm && sim_chance(s, 40);
  int most = limited ? 4 + (int)sim_rand(s, 12) : 0;
  bt_json_set(settings, "pools", json_array());
  sim_spaces(s, settings, most);
  return settings;
}
