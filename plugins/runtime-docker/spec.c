#include "config.h"
#include "spec.h"

#include <stdio.h>

#include "util.h"

void rd_spec_error(struct rd_spec *s, enum berth_code code, const char *fmt, ...) {
  if (s->code)
    return;
  va_list ap;
  va_start(ap, fmt);
  s->code = code;
  s->why = pu_vasprintf(fmt, ap);
  va_end(ap);
}

void rd_spec_warn(struct rd_spec *s, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE text = pu_vasprintf(fmt, ap);
  va_end(ap);
  json_array_append_new(s->warnings, rd_json_bytes(text, strlen(text)));
}

/* A duration member in nanoseconds; false where it is absent or (with an error) malformed. */
static bool spec_duration(struct rd_spec *s, const json_t *o, const char *key, int64_t unit_ns, int64_t *ns) {
  const json_t *v = json_object_get(o, key);
  PU_AUTO_FREE text = pu_scalar(v);
  if (!text)
    return false;
  if (pu_duration(text, unit_ns, ns))
    return true;
  rd_spec_error(s, BERTH_INVALID, "%s: \"%s\" is no duration; write 10s or 1m30s", key, text);
  return false;
}

/* Sizes and counts: integers, or text in Compose's canonical form ("67108864"). */
static json_t *number_value(struct rd_spec *s, const char *key, const json_t *v) {
  PU_AUTO_FREE text = pu_scalar(v);
  int64_t n;
  if (text && pu_size(text, &n))
    return json_integer(n);
  rd_spec_error(s, BERTH_INVALID, "%s: \"%s\" is no number", key, text ? text : "");
  return NULL;
}

static json_t *attr_value(struct rd_spec *s, const json_t *from, const struct rd_attr *a) {
  const json_t *v = json_object_get(from, a->key);
  PU_AUTO_FREE text = pu_scalar(v);
  int64_t ns;
  switch (a->kind) {
    case RD_STR: return text ? json_string(text) : NULL;
    case RD_BOOL: return json_boolean(pu_flag(from, a->key, false));
    case RD_INT:
    case RD_SIZE: return number_value(s, a->key, v);
    case RD_MICROS:
      if (json_is_integer(v) && json_integer_value(v) < 0)
        return json_integer(json_integer_value(v));
      return spec_duration(s, from, a->key, 1000, &ns) ? json_integer(ns / 1000) : NULL;
    case RD_STRS: return pu_strings(v);
    case RD_MAP: return pu_map(v);
  }
  return NULL;
}

void rd_spec_copy(struct rd_spec *s, const json_t *from, json_t *target, const struct rd_attr *table, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const json_t *v = json_object_get(from, table[i].key);
    if (!v || json_is_null(v))
      continue;
    json_t *value = attr_value(s, from, &table[i]);
    if (value)
      json_object_set_new(target, table[i].engine, value);
  }
}

/* ---------------------------------------------------------------- what the plug-in knows of a service */

/* Attributes that the translation reads, and those that the host answers for (it gives us their outcome, or they concern no
 * container). All others are refused by name, so that nothing is ignored in silence. */
static const char *const known_attributes[] = {
    "annotations", "blkio_config", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "command", "cpu_count", "cpu_percent",
    "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "deploy",
    "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname", "entrypoint", "environment", "expose",
    "external_links", "extra_hosts", "gpus", "group_add", "healthcheck", "hostname", "init", "isolation", "logging",
    "mac_address", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "oom_kill_disable", "oom_score_adj",
    "pids_limit", "platform", "privileged", "read_only", "runtime", "security_opt", "shm_size", "stdin_open",
    "stop_grace_period", "stop_signal", "storage_opt", "sysctls", "tmpfs", "tty", "ulimits", "user", "userns_mode", "uts",
    "working_dir",
    /* the host's */
    "attach", "build", "configs", "container_name", "depends_on", "develop", "env_file", "extends", "image", "ipc",
    "label_file", "labels", "links", "name", "network_mode", "networks", "pid", "ports", "post_start", "pre_stop", "profiles",
    "pull_policy", "pull_refresh_after", "restart", "scale", "secrets", "volumes", "volumes_from"};

static bool attribute_known(const char *key) {
  for (size_t i = 0; i < PU_COUNT(known_attributes); i++)
    if (strcmp(known_attributes[i], key) == 0)
      return true;
  return pu_starts(key, "x-");
}

static void check_attributes(struct rd_spec *s) {
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)s->service, key, v)
    if (!json_is_null(v) && !attribute_known(key))
      rd_spec_error(s, BERTH_UNSUPPORTED, "the service attribute %s is not supported by runtime-docker: leave it out", key);
}

/* ---------------------------------------------------------------- Config */

static void config_command(struct rd_spec *s) {
  json_t *entrypoint = pu_strings(json_object_get(s->service, "entrypoint"));
  if (entrypoint && !json_array_size(entrypoint))
    json_array_append_new(entrypoint, json_string("")); /* the Engine's way to say: none, and not the image's either */
  if (entrypoint)
    json_object_set_new(s->body, "Entrypoint", entrypoint);
  json_t *command = pu_strings(json_object_get(s->service, "command"));
  if (command)
    json_object_set_new(s->body, "Cmd", command);
}

/* {"A": "1", "B": null} -> ["A=1", "B"]: a bare name takes the variable out of the image's environment. */
static void config_environment(struct rd_spec *s) {
  const json_t *env = json_object_get(s->service, "environment");
  if (json_is_array(env)) {
    json_object_set_new(s->body, "Env", pu_strings(env));
    return;
  }
  if (!json_object_size(env))
    return;
  json_t *list = json_array();
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)env, key, v) {
    PU_AUTO_FREE text = pu_scalar(v);
    PU_AUTO_FREE pair = text ? pu_asprintf("%s=%s", key, text) : pu_strdup(key);
    json_array_append_new(list, json_string(pair));
  }
  json_object_set_new(s->body, "Env", list);
}

static void config_stop(struct rd_spec *s) {
  int64_t ns;
  if (spec_duration(s, s->service, "stop_grace_period", 1000000000, &ns))
    json_object_set_new(s->body, "StopTimeout", json_integer((ns + 999999999) / 1000000000));
}

static json_t *health_test(const json_t *check) {
  const json_t *test = json_object_get(check, "test");
  if (pu_flag(check, "disable", false))
    return json_pack("[s]", "NONE");
  if (json_is_string(test))
    return json_pack("[s, s]", "CMD-SHELL", json_string_value(test));
  return pu_strings(test);
}

static void config_health(struct rd_spec *s) {
  static const struct {
    const char *key, *engine;
  } times[] = {{"interval", "Interval"}, {"timeout", "Timeout"}, {"start_period", "StartPeriod"}, {"start_interval", "StartInterval"}};
  const json_t *check = pu_obj(s->service, "healthcheck");
  if (!check)
    return;
  json_t *out = json_object();
  json_object_set_new(s->body, "Healthcheck", out);
  json_t *test = health_test(check);
  if (test)
    json_object_set_new(out, "Test", test);
  int64_t ns;
  for (size_t i = 0; i < PU_COUNT(times); i++) {
    if (!spec_duration(s, check, times[i].key, 1000000000, &ns))
      continue;
    if (i == 3 && s->env->api < 144)
      rd_spec_error(s, BERTH_UNSUPPORTED, "healthcheck.start_interval needs an engine with API 1.44 (Docker 25); this one has %d.%d",
                    s->env->api / 100, s->env->api % 100);
    json_object_set_new(out, times[i].engine, json_integer(ns));
  }
  if (!json_is_null(json_object_get(check, "retries")) && json_object_get(check, "retries"))
    json_object_set_new(out, "Retries", json_integer(pu_number(check, "retries", 0)));
}

static void config_part(struct rd_spec *s, const json_t *spec) {
  static const struct rd_attr table[] = {
      {"user", "User", RD_STR},         {"working_dir", "WorkingDir", RD_STR}, {"hostname", "Hostname", RD_STR},
      {"domainname", "Domainname", RD_STR}, {"tty", "Tty", RD_BOOL},           {"stdin_open", "OpenStdin", RD_BOOL},
      {"stop_signal", "StopSignal", RD_STR}};
  const char *image = pu_str(spec, "image");
  if (!image || !*image)
    rd_spec_error(s, BERTH_INVALID, "the spec of container %s names no image", s->name);
  else
    json_object_set_new(s->body, "Image", json_string(image));
  rd_spec_copy(s, s->service, s->body, table, PU_COUNT(table));
  json_t *labels = pu_map(json_object_get(spec, "labels"));
  if (labels)
    json_object_set_new(s->body, "Labels", labels);
  config_command(s);
  config_environment(s);
  config_stop(s);
  config_health(s);
}

/* ---------------------------------------------------------------- whole */

bool rd_spec_translate(const struct rd_spec_env *env, const json_t *spec, struct rd_spec *out) {
  *out = (struct rd_spec){.env = env, .body = json_object(), .connects = json_array(), .warnings = json_array()};
  json_t *service = pu_obj(spec, "service");
  out->service = service ? json_incref(service) : json_object();
  out->name = pu_strdup(pu_str_or(spec, "name", ""));
  out->platform = pu_strdup(pu_str(out->service, "platform"));
  out->host = json_object();
  json_object_set_new(out->body, "HostConfig", out->host);
  if (!json_is_object(spec))
    rd_spec_error(out, BERTH_INVALID, "the container's spec is no JSON object");
  check_attributes(out);
  config_part(out, spec);
  rd_spec_host(out);
  rd_spec_limits(out);
  rd_spec_mounts(out, spec);
  rd_spec_ports(out, spec);
  rd_spec_networks(out, spec);
  return !out->code;
}

void rd_spec_free(struct rd_spec *s) {
  free(s->name);
  free(s->platform);
  free(s->why);
  json_decref(s->service);
  json_decref(s->body);
  json_decref(s->connects);
  json_decref(s->warnings);
  *s = (struct rd_spec){0};
}
