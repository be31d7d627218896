#include "config.h"

#include "model/service.h"

#include "base/json.h"
#include "model/image.h"
#include "model/semver.h"
#include "model/service_internal.h"

#define DEFAULT_GRACE_MS 10000
#define DEFAULT_MONITOR_MS 5000
#define DEFAULT_DEADLINE_MS (10 * 60 * 1000)
#define DEFAULT_BACKOFF_LIMIT 6

static const char *const mode_names[] = {"replicated", "global", "replicated-job", "global-job"};
static const char *const condition_names[] = {"service_started", "service_healthy", "service_completed_successfully"};

const char *bt_mode_name(enum bt_mode mode) { return mode_names[mode]; }

const char *bt_condition_name(enum bt_condition condition) { return condition_names[condition]; }

bool bt_service_is_job(const struct bt_service *s) {
  return s->mode == BT_MODE_REPLICATED_JOB || s->mode == BT_MODE_GLOBAL_JOB;
}

int bt_service_least(const struct bt_service *s) {
  bool scales = s->autoscale && s->autoscale->horizontal && s->replicas > 0;
  return scales ? s->autoscale->min : BT_MAX(s->replicas, 0);
}

double bt_service_cpus(const struct bt_service *s) { return s->reserved.cpus > 0 ? s->reserved.cpus : s->limits.cpus; }

int64_t bt_service_memory(const struct bt_service *s) { return s->reserved.memory > 0 ? s->reserved.memory : s->limits.memory; }

const struct bt_depend *bt_service_depend(const struct bt_service *s, const char *on) {
  bt_vec_each(&s->depends, dep) if (bt_streq(dep->service, on)) return dep;
  return NULL;
}

const char *bt_service_exclusive(const struct bt_service *s) {
  if (s->container_name)
    return "container_name is fixed";
  bt_vec_each(&s->ports, port) if (!port->ingress && port->published > 0 && port->published == port->published_end)
      return "a port is published by the engine itself";
  bt_vec_each(&s->networks, net) if (bt_json_str(net->json, "ipv4_address") || bt_json_str(net->json, "ipv6_address"))
      return "an address is fixed";
  return bt_json_str(s->json, "mac_address") ? "mac_address is fixed" : NULL;
}

static int read_mode(struct bt_service *s, const json_t *deploy, struct bt_err **err) {
  const char *mode = bt_json_str_or(deploy, "mode", "replicated");
  for (size_t i = 0; i < BT_COUNT(mode_names); i++)
    if (bt_streq(mode, mode_names[i])) {
      s->mode = (enum bt_mode)i;
      return 0;
    }
  return bt_err_set(err, BT_INVALID, "service %s: deploy.mode \"%s\" is none of replicated, global, replicated-job, global-job",
                    s->name, mode);
}

static int read_replicas(struct bt_service *s, const json_t *deploy, struct bt_err **err) {
  const json_t *job = bt_json_obj(bt_json_obj(s->json, "x-berth"), "job");
  long long replicas = bt_json_int(deploy, "replicas", bt_json_int(s->json, "scale", 1));
  if (s->mode == BT_MODE_GLOBAL || s->mode == BT_MODE_GLOBAL_JOB)
    replicas = 1;
  long long completions = bt_json_int(job, "completions", replicas);
  if (s->mode == BT_MODE_REPLICATED_JOB)
    replicas = completions;
  if (replicas < 0 || replicas > BT_REPLICAS_MOST)
    return bt_err_set(err, BT_INVALID, "service %s: replicas must be between 0 and %d", s->name, BT_REPLICAS_MOST);
  if (s->container_name && replicas > 1)
    return bt_err_set(err, BT_INVALID, "service %s: container_name \"%s\" allows one replica only; remove it or scale to 1", s->name,
                      s->container_name);
  s->replicas = (int)replicas;
  bool each = s->mode == BT_MODE_GLOBAL_JOB; /* once on each node: on all of them at once, unless the file says otherwise */
  long long concurrent = bt_json_int(job, "max_concurrent", each ? BT_REPLICAS_MOST : bt_json_int(deploy, "replicas", replicas));
  s->max_concurrent = concurrent < 1 ? 1 : (int)BT_MIN(concurrent, BT_REPLICAS_MOST);
  s->backoff_limit = (int)BT_MAX(0, BT_MIN(bt_json_int(job, "backoff_limit", DEFAULT_BACKOFF_LIMIT), 1000));
  return 0;
}

static int read_update(const struct bt_service *s, const json_t *deploy, const char *key, struct bt_update *out,
                       struct bt_err **err) {
  const json_t *config = bt_json_obj(deploy, key);
  const char *order = bt_json_str_or(config, "order", "stop-first");
  const char *action = bt_json_str_or(config, "failure_action", "pause");
  if (!bt_streq(order, "stop-first") && !bt_streq(order, "start-first"))
    return bt_err_set(err, BT_INVALID, "service %s: deploy.%s.order \"%s\" is neither stop-first nor start-first", s->name, key, order);
  if (!bt_streq(action, "pause") && !bt_streq(action, "continue") && !bt_streq(action, "rollback"))
    return bt_err_set(err, BT_INVALID, "service %s: deploy.%s.failure_action \"%s\" is none of pause, continue, rollback", s->name,
                      key, action);
  long long parallelism = bt_json_int(config, "parallelism", 1);
  *out = (struct bt_update){
      .parallelism = (int)BT_MAX(0, BT_MIN(parallelism, BT_REPLICAS_MOST)),
      .delay_ms = bt_service_duration_ms(config, "delay", 0),
      .monitor_ms = bt_service_duration_ms(config, "monitor", DEFAULT_MONITOR_MS),
      .max_failure_ratio = bt_json_num(config, "max_failure_ratio", 0),
      .on_failure = bt_streq(action, "rollback") ? BT_FAIL_ROLLBACK : bt_streq(action, "continue") ? BT_FAIL_CONTINUE : BT_FAIL_PAUSE,
      .order = bt_streq(order, "start-first") ? BT_START_FIRST : BT_STOP_FIRST,
  };
  return 0;
}

/* "on-failure:3" of Compose's own restart. */
static int read_plain_restart(struct bt_service *s, const char *text, struct bt_err **err) {
  if (bt_streq(text, "always") || bt_streq(text, "unless-stopped")) {
    s->restart.condition = "any";
  } else if (bt_starts(text, "on-failure")) {
    long long n = 0;
    s->restart.condition = "on-failure";
    if (text[10] && (text[10] != ':' || !bt_parse_i64(text + 11, 0, 1000000, &n)))
      return bt_err_set(err, BT_INVALID, "service %s: restart \"%s\": write on-failure or on-failure:N", s->name, text);
    s->restart.max_attempts = (int)n;
  } else if (!bt_streq(text, "no") && *text) {
    return bt_err_set(err, BT_INVALID, "service %s: restart \"%s\" is none of no, always, on-failure[:N], unless-stopped", s->name, text);
  }
  return 0;
}

static int read_restart(struct bt_service *s, const json_t *deploy, struct bt_err **err) {
  const json_t *policy = bt_json_obj(deploy, "restart_policy");
  s->restart = (struct bt_restart){.condition = "none"};
  if (!policy)
    return read_plain_restart(s, bt_json_str_or(s->json, "restart", "no"), err);
  const char *condition = bt_json_str_or(policy, "condition", bt_service_is_job(s) ? "on-failure" : "any");
  s->restart.condition = bt_streq(condition, "none") ? "none" : bt_streq(condition, "on-failure") ? "on-failure" : "any";
  s->restart.delay_ms = bt_service_duration_ms(policy, "delay", 0);
  s->restart.window_ms = bt_service_duration_ms(policy, "window", 0);
  s->restart.max_attempts = (int)bt_json_int(policy, "max_attempts", 0);
  if (bt_service_is_job(s) && bt_streq(s->restart.condition, "any"))
    return bt_err_set(err, BT_INVALID, "service %s: a job ends, so deploy.restart_policy.condition must be none or on-failure", s->name);
  return 0;
}

/* Berth's probes and the engine's health check move the deadline: what may take long by its own words is given that time. */
static void read_checks(struct bt_service *s) {
  const json_t *check = bt_json_obj(s->json, "healthcheck");
  const json_t *test = json_object_get(check, "test");
  const char *first = json_is_string(test) ? json_string_value(test) : json_string_value(json_array_get(test, 0));
  s->healthcheck = check && !bt_json_bool(check, "disable", false) && !bt_streq(first, "NONE");
  const json_t *probes = bt_json_obj(bt_json_obj(s->json, "x-berth"), "probes");
  s->readiness = bt_json_obj(probes, "readiness") || bt_json_obj(probes, "startup");
  int64_t slow = bt_service_duration_ms(check, "start_period", 0) +
                 bt_service_duration_ms(check, "interval", 30000) * bt_json_int(check, "retries", 3) + 60000;
  s->deadline_ms = s->healthcheck ? BT_MAX(DEFAULT_DEADLINE_MS, slow) : DEFAULT_DEADLINE_MS;
  s->deadline_ms = bt_service_duration_ms(bt_json_obj(s->json, "x-berth"), "progress_deadline", s->deadline_ms);
}

/* Whose image moves by itself has to be named by a tag. */
static int read_auto_update(struct bt_service *s, struct bt_err **err) {
  const json_t *xberth = bt_json_obj(s->json, "x-berth");
  const char *text = bt_json_str(xberth, "update");
  BT_AUTO_IMAGE ref = {0};
  if (!text || bt_streq(text, "none"))
    return 0;
  if (!s->image || s->build)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.update is for images of a registry, not for what is built here", s->name);
  if (bt_image_parse(s->image, &ref, NULL) < 0 || ref.digest)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.update: an image that is named by its digest never moves", s->name);
  if (!bt_streq(text, "digest") && bt_semver_check(text, err) < 0)
    return bt_err_wrap(err, "service %s: x-berth.update", s->name);
  s->auto_update = text;
  s->auto_update_ms = BT_MAX(bt_service_duration_ms(xberth, "update_interval", 5 * 60 * 1000), 1000);
  return 0;
}

static double read_cpus(const json_t *obj, const char *key) {
  const json_t *value = json_object_get(obj, key);
  if (json_is_string(value))
    return strtod(json_string_value(value), NULL);
  return json_is_number(value) ? json_number_value(value) : 0;
}

void bt_service_resources(const json_t *service, struct bt_resources *reserved, struct bt_resources *limits) {
  const json_t *resources = bt_json_obj(bt_json_obj(service, "deploy"), "resources");
  const json_t *most = bt_json_obj(resources, "limits"), *least = bt_json_obj(resources, "reservations");
  *reserved = (struct bt_resources){.cpus = read_cpus(least, "cpus"), .memory = bt_service_size(least, "memory")};
  if (!reserved->memory)
    reserved->memory = bt_service_size(service, "mem_reservation");
  const json_t *more = bt_json_obj(bt_json_obj(service, "x-berth"), "reserve");
  reserved->pids = BT_MAX(0, bt_json_int(more, "pids", 0));
  reserved->disk = bt_service_size(more, "disk");
  if (!reserved->disk)
    reserved->disk = bt_service_size(bt_json_obj(service, "storage_opt"), "size"); /* which the engine gives it alone */
  *limits = (struct bt_resources){.cpus = read_cpus(most, "cpus"), .memory = bt_service_size(most, "memory")};
  if (limits->cpus <= 0)
    limits->cpus = read_cpus(service, "cpus");
  if (!limits->memory)
    limits->memory = bt_service_size(service, "mem_limit");
  limits->pids = BT_MAX(0, bt_json_int(most, "pids", bt_json_int(service, "pids_limit", 0)));
}

static char *co_service(const json_t *json, const char *key) {
  const char *text = bt_json_str(json, key);
  return bt_starts(text, "service:") ? bt_strdup(text + 8) : NULL;
}

static void read_sharing(struct bt_service *s) {
  s->co_network = co_service(s->json, "network_mode");
  s->co_pid = co_service(s->json, "pid");
  s->co_ipc = co_service(s->json, "ipc");
  const char *mode = bt_json_str(s->json, "network_mode");
  if (mode && *mode && !s->co_network)
    s->network_mode = bt_strdup(mode);
}

static bool asks_for(const struct bt_autoscale *a, enum bt_scale_source source) {
  bt_vec_each(&a->metrics, m) if (m->source == source) return true;
  return false;
}

/* A share of the request says nothing where none is made. */
static int read_autoscale(struct bt_service *s, struct bt_err **err) {
  if (bt_autoscale_parse(s->name, bt_json_obj(bt_json_obj(s->json, "x-berth"), "autoscale"), &s->autoscale, err))
    return -1;
  const struct bt_autoscale *a = s->autoscale;
  if (!a || !a->horizontal)
    return 0;
  if (s->mode == BT_MODE_GLOBAL || s->mode == BT_MODE_GLOBAL_JOB)
    return bt_err_set(err, BT_INVALID, "service %s runs once per node (deploy.mode %s); x-berth.autoscale cannot say how often", s->name, bt_mode_name(s->mode));
  const char *with = s->co_network ? s->co_network : s->co_pid ? s->co_pid : s->co_ipc;
  if (with)
    return bt_err_set(err, BT_INVALID, "service %s shares the namespaces of service %s, instance by instance; x-berth.autoscale cannot say how many it has", s->name, with);
  if (s->container_name && a->max > 1)
    return bt_err_set(err, BT_INVALID, "service %s: container_name \"%s\" allows one instance only, and x-berth.autoscale up to %d", s->name, s->container_name, a->max);
  if (asks_for(a, BT_SCALE_CPU) && s->reserved.cpus <= 0 && s->limits.cpus <= 0)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale goes by a share of the cpu, and the service has neither deploy.resources.reservations.cpus nor limits.cpus",
                      s->name);
  if (asks_for(a, BT_SCALE_MEMORY) && s->reserved.memory <= 0 && s->limits.memory <= 0)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale goes by a share of the memory, and the service has neither deploy.resources.reservations.memory nor limits.memory",
                      s->name);
  return 0;
}

/* What goes back by itself does so unless the file says that it stops there. */
static int read_way(struct bt_service *s, const json_t *deploy, struct bt_err **err) {
  const char *action = bt_json_str(bt_json_obj(deploy, "update_config"), "failure_action"), *alone = bt_service_exclusive(s);
  if (bt_way_parse(s->name, bt_json_obj(bt_json_obj(s->json, "x-berth"), "rollout"), &s->way, err))
    return -1;
  if (s->way.kind == BT_WAY_ROLLING)
    return 0;
  if (bt_service_is_job(s))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.rollout: a job has no rollout", s->name);
  if (s->way.kind == BT_WAY_BLUE_GREEN && alone)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.rollout: blue-green runs old and new side by side, and cannot, since %s", s->name, alone);
  if (s->update.on_failure == BT_FAIL_CONTINUE)
    return bt_err_set(err, BT_INVALID, "service %s: deploy.update_config.failure_action is continue, which x-berth.rollout of %s cannot do", s->name,
                      bt_way_name(s->way.kind));
  bt_vec_each(&s->way.steps, step) if (step->weight >= 0 && s->routes.len == 0)
      return bt_err_set(err, BT_INVALID,
                        "service %s: x-berth.rollout.steps: a weight is a share of the requests of x-berth.routes, and it has none: give it routes, or its "
                        "steps instances in place of a weight",
                        s->name);
  if (!action)
    s->update.on_failure = BT_FAIL_ROLLBACK;
  return 0;
}

static int read_all(struct bt_service *s, struct bt_err **err) {
  const json_t *deploy = bt_json_obj(s->json, "deploy");
  s->image = bt_strdup(bt_json_str(s->json, "image"));
  s->build = bt_json_obj(s->json, "build");
  s->platform = bt_strdup(bt_json_str(s->json, "platform"));
  s->pull_policy = bt_strdup(bt_json_str(s->json, "pull_policy"));
  s->container_name = bt_strdup(bt_json_str(s->json, "container_name"));
  s->stop_grace_ms = bt_service_duration_ms(s->json, "stop_grace_period", DEFAULT_GRACE_MS);
  if (!s->image && !s->build)
    return bt_err_set(err, BT_INVALID, "service %s has neither image nor build", s->name);
  if (read_mode(s, deploy, err) || read_replicas(s, deploy, err) || read_update(s, deploy, "update_config", &s->update, err) ||
      read_update(s, deploy, "rollback_config", &s->rollback, err) || read_restart(s, deploy, err) ||
      bt_job_parse(s->name, bt_json_obj(bt_json_obj(s->json, "x-berth"), "job"), &s->job, err))
    return -1;
  read_sharing(s);
  read_checks(s);
  if (read_auto_update(s, err))
    return -1;
  bt_service_resources(s->json, &s->reserved, &s->limits);
  if (read_autoscale(s, err))
    return -1;
  if (bt_devices_parse(s->name, s->json, &s->devices, err) ||
      bt_placement_parse(s->name, bt_json_obj(bt_json_obj(s->json, "x-berth"), "placement"), bt_json_obj(deploy, "placement"), &s->placement, err) ||
      bt_disruption_parse(s->name, bt_json_obj(bt_json_obj(s->json, "x-berth"), "disruption"), &s->disruption, err))
    return -1;
  bt_service_read_grants(s);
  bt_service_read_volumes(s);
  bt_service_read_networks(s);
  if (bt_service_read_ports(s, err) || bt_service_read_depends(s, err) ||
      bt_routes_parse(s->name, bt_json_arr(bt_json_obj(s->json, "x-berth"), "routes"), &s->routes, err))
    return -1;
  bt_service_infer_depends(s);
  if (read_way(s, deploy, err))
    return -1;
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(bt_json_obj(deploy, "placement"), "constraints"), i, item) if (json_is_string(item))
      bt_strs_add(&s->constraints, json_string_value(item));
  s->max_per_node = (int)bt_json_int(bt_json_obj(deploy, "placement"), "max_replicas_per_node", 0);
  return 0;
}

int bt_service_parse(const char *name, json_t *json, struct bt_service **out, struct bt_err **err) {
  if (!json_is_object(json))
    return bt_err_set(err, BT_INVALID, "service %s is no mapping", name);
  struct bt_service *s = bt_new(struct bt_service);
  s->name = bt_strdup(name);
  s->json = json_incref(json);
  if (read_all(s, err)) {
    bt_service_free(&s);
    return -1;
  }
  *out = s;
  return 0;
}

static void free_lists(struct bt_service *s) {
  bt_vec_each(&s->depends, dep) free(dep->service);
  bt_vec_each(&s->ports, port) {
    free(port->host_ip);
    free(port->protocol);
  }
  bt_vec_each(&s->secrets, grant) free(grant->source);
  bt_vec_each(&s->build_secrets, grant) free(grant->source);
  bt_vec_each(&s->configs, grant) free(grant->source);
  bt_vec_each(&s->volumes, volume) {
    free(volume->type);
    free(volume->source);
  }
  bt_vec_each(&s->networks, net) free(net->network);
  bt_vec_each(&s->volumes_from, from) {
    free(from->service);
    free(from->mode);
  }
  bt_vec_free(&s->depends);
  bt_vec_free(&s->ports);
  bt_vec_free(&s->secrets);
  bt_vec_free(&s->build_secrets);
  bt_vec_free(&s->configs);
  bt_vec_free(&s->volumes);
  bt_vec_free(&s->networks);
  bt_vec_free(&s->volumes_from);
  bt_strs_free(&s->constraints);
  bt_devices_free(&s->devices);
  bt_placement_free(&s->placement);
  bt_routes_free(&s->routes);
  bt_way_free(&s->way);
  bt_autoscale_free(&s->autoscale);
}

void bt_service_free(struct bt_service **service) {
  struct bt_service *s = *service;
  if (!s)
    return;
  free_lists(s);
  char **strings[] = {&s->name, &s->image, &s->platform, &s->pull_policy, &s->container_name, &s->network_mode, &s->co_network,
                      &s->co_pid, &s->co_ipc};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    bt_free_strp(strings[i]);
  json_decref(s->json);
  free(s);
  *service = NULL;
}
