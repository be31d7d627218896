#include "config.h"
#include "normal.h"

#include <ctype.h>
#include <stdio.h>

#include "util.h"

bool rd_is_podman(const json_t *version) {
  const json_t *components = pu_arr(version, "Components");
  size_t i;
  json_t *c;
  json_array_foreach(components, i, c)
    if (pu_starts(pu_str_or(c, "Name", ""), "Podman"))
      return true;
  return false;
}

static json_t *text(const char *s) { return json_string(s ? s : ""); }

static json_t *or_empty(json_t *object) { return object ? json_incref(object) : json_object(); }

/* Podman leaves the algorithm out of an image's id. */
static json_t *image_id(const char *id) {
  if (!id || !*id || strchr(id, ':'))
    return text(id);
  PU_AUTO_FREE full = pu_asprintf("sha256:%s", id);
  return json_string(full);
}

/* The engine says "never" with the year 1. */
static json_t *time_or_empty(const char *t) { return text(!t || pu_starts(t, "0001-") ? "" : t); }

/* ---------------------------------------------------------------- containers */

/* {"80/tcp": [{"HostIp","HostPort"}]} -> [{"target","published","host_ip","protocol"}] */
static json_t *ports(const json_t *map) {
  json_t *out = json_array(), *list, *b;
  const char *key;
  size_t i;
  json_object_foreach((json_t *)(uintptr_t)map, key, list) {
    const char *slash = strchr(key, '/');
    json_array_foreach(list, i, b)
      json_array_append_new(out, json_pack("{s:I, s:I, s:s, s:s}", "target", (json_int_t)strtol(key, NULL, 10), "published",
                                           (json_int_t)pu_number(b, "HostPort", 0), "host_ip", pu_str_or(b, "HostIp", ""), "protocol",
                                           slash ? slash + 1 : "tcp"));
  }
  return out;
}

static json_t *networks_of(const json_t *map) {
  json_t *out = json_object(), *n;
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)map, name, n) {
    json_t *aliases = pu_arr(n, "Aliases");
    json_object_set_new(out, name, json_pack("{s:s, s:s, s:s, s:o}", "ip", pu_str_or(n, "IPAddress", ""), "ip6",
                                             pu_str_or(n, "GlobalIPv6Address", ""), "mac", pu_str_or(n, "MacAddress", ""), "aliases",
                                             aliases ? json_incref(aliases) : json_array()));
  }
  return out;
}

static const char *state_word(const char *status) {
  static const char *const words[] = {"created", "running", "paused", "restarting", "exited", "dead"};
  for (size_t i = 0; i < PU_COUNT(words); i++)
    if (pu_eq(status, words[i]))
      return words[i];
  if (pu_eq(status, "configured") || pu_eq(status, "initialized")) /* Podman's */
    return "created";
  if (pu_eq(status, "stopping"))
    return "running";
  if (pu_eq(status, "removing"))
    return "dead";
  return "exited"; /* "stopped" */
}

static const json_t *health_of(const json_t *state) {
  const json_t *h = pu_obj(state, "Health");
  return h ? h : pu_obj(state, "Healthcheck");
}

static const char *health_word(const char *status) {
  return pu_eq(status, "healthy") || pu_eq(status, "unhealthy") || pu_eq(status, "starting") ? status : "";
}

/* What the last probe printed, for the one who asks why. */
static json_t *health_output(const json_t *health) {
  const json_t *log = pu_arr(health, "Log");
  const char *out = pu_str_or(json_array_get(log, json_array_size(log) ? json_array_size(log) - 1 : 0), "Output", "");
  size_t n = strlen(out);
  return rd_json_bytes(out, n < 1024 ? n : 1024);
}

/* The limits as berth_runtime.update has them; 0: none. */
static json_t *resources_of(const json_t *host) {
  int64_t pids = pu_number(host, "PidsLimit", 0);
  return json_pack("{s:f, s:I, s:I, s:I}", "cpus", (double)pu_number(host, "NanoCpus", 0) / 1e9, "memory", (json_int_t)pu_number(host, "Memory", 0),
                   "memory_reservation", (json_int_t)pu_number(host, "MemoryReservation", 0), "pids", (json_int_t)(pids > 0 ? pids : 0));
}

json_t *rd_normal_inspect(const json_t *c) {
  const json_t *state = pu_obj(c, "State"), *config = pu_obj(c, "Config"), *net = pu_obj(c, "NetworkSettings");
  const char *name = pu_str_or(c, "Name", "");
  json_t *out = json_object();
  json_object_set_new(out, "id", text(pu_str(c, "Id")));
  json_object_set_new(out, "name", text(*name == '/' ? name + 1 : name));
  json_object_set_new(out, "labels", or_empty(pu_obj(config, "Labels")));
  json_object_set_new(out, "state", text(state_word(pu_str_or(state, "Status", ""))));
  json_object_set_new(out, "exit_code", json_integer(pu_number(state, "ExitCode", 0)));
  json_object_set_new(out, "oom_killed", json_boolean(pu_flag(state, "OOMKilled", false)));
  json_object_set_new(out, "error", text(pu_str(state, "Error")));
  json_object_set_new(out, "created_at", time_or_empty(pu_str(c, "Created")));
  json_object_set_new(out, "started_at", time_or_empty(pu_str(state, "StartedAt")));
  json_object_set_new(out, "finished_at", time_or_empty(pu_str(state, "FinishedAt")));
  json_object_set_new(out, "health", text(health_word(pu_str(health_of(state), "Status"))));
  json_object_set_new(out, "health_output", health_output(health_of(state)));
  json_object_set_new(out, "image", text(pu_str(config, "Image")));
  json_object_set_new(out, "image_id", image_id(pu_str(c, "Image")));
  json_object_set_new(out, "pid", json_integer(pu_number(state, "Pid", 0)));
  json_object_set_new(out, "tty", json_boolean(pu_flag(config, "Tty", false)));
  json_object_set_new(out, "ports", ports(pu_obj(net, "Ports")));
  json_object_set_new(out, "networks", networks_of(pu_obj(net, "Networks")));
  json_object_set_new(out, "resources", resources_of(pu_obj(c, "HostConfig")));
  return out;
}

static json_t *list_item(const json_t *c) {
  const char *name = json_string_value(json_array_get(pu_arr(c, "Names"), 0));
  PU_AUTO_FREE created = pu_time_text(pu_number(c, "Created", 0));
  return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:s}", "id", text(pu_str(c, "Id")), "name", text(name && *name == '/' ? name + 1 : name),
                   "labels", or_empty(pu_obj(c, "Labels")), "state", state_word(pu_str_or(c, "State", "")), "image",
                   text(pu_str(c, "Image")), "image_id", image_id(pu_str(c, "ImageID")), "created", created);
}

json_t *rd_normal_list(const json_t *containers) {
  json_t *list = json_array(), *c;
  size_t i;
  json_array_foreach(containers, i, c)
    json_array_append_new(list, list_item(c));
  return json_pack("{s:o}", "containers", list);
}

/* ---------------------------------------------------------------- statistics */

static int64_t sum_over(const json_t *map, const char *key) {
  int64_t sum = 0;
  const char *name;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)map, name, v)
    sum += pu_number(v, key, 0);
  return sum;
}

static int64_t sum_blkio(const json_t *stats, const char *op) {
  const json_t *list = pu_arr(pu_obj(stats, "blkio_stats"), "io_service_bytes_recursive");
  int64_t sum = 0;
  size_t i;
  json_t *v;
  json_array_foreach(list, i, v)
    if (strcasecmp(pu_str_or(v, "op", ""), op) == 0)
      sum += pu_number(v, "value", 0);
  return sum;
}

/* Page cache that the kernel may take back any time is no memory in use; its name differs between cgroup 1 and 2. */
static int64_t memory_used(const json_t *memory) {
  const json_t *details = pu_obj(memory, "stats");
  int64_t usage = pu_number(memory, "usage", 0);
  int64_t cache = pu_number(details, "total_inactive_file", pu_number(details, "inactive_file", 0));
  return cache < usage ? usage - cache : usage;
}

json_t *rd_normal_stats(const json_t *s) {
  const json_t *cpu = pu_obj(s, "cpu_stats"), *memory = pu_obj(s, "memory_stats");
  const json_t *usage = pu_obj(cpu, "cpu_usage"), *nets = pu_obj(s, "networks");
  int64_t time_ms = pu_time_ms(pu_str(s, "read"));
  if (time_ms < 0)
    return NULL;
  int64_t cpus = pu_number(cpu, "online_cpus", (int64_t)json_array_size(pu_arr(usage, "percpu_usage")));
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cpu_ns", (json_int_t)pu_number(usage, "total_usage", 0),
                   "cpu_system_ns", (json_int_t)pu_number(cpu, "system_cpu_usage", 0), "cpus", (json_int_t)cpus, "memory",
                   (json_int_t)memory_used(memory), "memory_limit", (json_int_t)pu_number(memory, "limit", 0), "rx_bytes",
                   (json_int_t)sum_over(nets, "rx_bytes"), "tx_bytes", (json_int_t)sum_over(nets, "tx_bytes"), "read_bytes",
                   (json_int_t)sum_blkio(s, "read"), "write_bytes", (json_int_t)sum_blkio(s, "write"), "pids",
                   (json_int_t)pu_number(pu_obj(s, "pids_stats"), "current", 0), "time_ms", (json_int_t)time_ms);
}

/* ---------------------------------------------------------------- events */

static const char *event_action(const json_t *event) {
  static const char *const same[] = {"start", "die", "oom", "destroy", "pause", "unpause"};
  const char *action = pu_str(event, "Action") ? pu_str(event, "Action") : pu_str_or(event, "status", "");
  for (size_t i = 0; i < PU_COUNT(same); i++)
    if (pu_eq(action, same[i]))
      return same[i];
  if (pu_starts(action, "health_status"))
    return "health";
  if (pu_eq(action, "died")) /* Podman's words */
    return "die";
  return pu_eq(action, "remove") ? "destroy" : NULL;
}

/* The engine mixes the container's labels with attributes of its own. */
static json_t *event_labels(const json_t *attributes) {
  static const char *const own[] = {"name",   "image",        "exitCode",      "containerExitCode", "signal",
                                    "execID", "execDuration", "health_status", "podId"};
  json_t *out = json_object(), *v;
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)attributes, key, v) {
    bool skip = false;
    for (size_t i = 0; i < PU_COUNT(own); i++)
      skip = skip || strcmp(own[i], key) == 0;
    if (!skip)
      json_object_set(out, key, v);
  }
  return out;
}

static const char *event_health(const json_t *event, const json_t *attributes) {
  const char *colon = strchr(pu_str_or(event, "Action", ""), ':');
  if (colon)
    return colon[1] == ' ' ? colon + 2 : colon + 1;
  const char *word = pu_str(event, "HealthStatus"); /* Podman's ways */
  return word ? word : pu_str_or(attributes, "health_status", "");
}

/* Milliseconds since 1970; 0 where it says none, or what is no time (after the year 9999). */
static int64_t event_time(const json_t *event) {
  int64_t ns = pu_number(event, "timeNano", 0), seconds = pu_number(event, "time", 0);
  if (ns)
    return ns / 1000000;
  return seconds > 0 && seconds <= 253402300799 ? seconds * 1000 : 0;
}

json_t *rd_normal_event(const json_t *event) {
  const char *action = event_action(event), *type = pu_str(event, "Type");
  const json_t *actor = pu_obj(event, "Actor"), *attributes = pu_obj(actor, "Attributes");
  if (!action || (type && !pu_eq(type, "container")))
    return NULL;
  json_t *out = json_object();
  json_object_set_new(out, "action", text(action));
  json_object_set_new(out, "id", text(pu_str(actor, "ID") ? pu_str(actor, "ID") : pu_str(event, "id")));
  json_object_set_new(out, "name", text(pu_str(attributes, "name")));
  json_object_set_new(out, "labels", event_labels(attributes));
  if (pu_eq(action, "die"))
    json_object_set_new(out, "exit_code", json_integer(pu_number(attributes, "exitCode", pu_number(attributes, "containerExitCode", 0))));
  if (pu_eq(action, "health"))
    json_object_set_new(out, "health", text(health_word(event_health(event, attributes))));
  json_object_set_new(out, "time_ms", json_integer(event_time(event)));
  return out;
}
