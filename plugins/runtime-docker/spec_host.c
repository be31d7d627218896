/* HostConfig but for its limits, mounts and ports: capabilities, namespaces, security options, devices, logging. */
#include "config.h"
#include "spec.h"

#include "util.h"

/* ---------------------------------------------------------------- security_opt */

/* The value of "name=value" or, in the old form, "name:value"; NULL where opt is another option. */
static const char *option_value(const char *opt, const char *name) {
  size_t n = strlen(name);
  return strncmp(opt, name, n) == 0 && (opt[n] == '=' || opt[n] == ':') ? opt + n + 1 : NULL;
}

static const char *seccomp_path(const char *opt) {
  const char *path = option_value(opt, "seccomp");
  return path && *path && !pu_eq(path, "unconfined") && !pu_eq(path, "builtin") ? path : NULL;
}

json_t *rd_spec_files(const json_t *spec) {
  json_t *out = json_array();
  const json_t *opts = json_object_get(json_object_get(spec, "service"), "security_opt");
  size_t i;
  json_t *v;
  json_array_foreach(opts, i, v) {
    const char *path = json_is_string(v) ? seccomp_path(json_string_value(v)) : NULL;
    if (path)
      json_array_append_new(out, json_string(path));
  }
  return out;
}

/* Docker wants the profile itself where people name its file; Podman, on the same machine, opens the file. */
static void seccomp_add(struct rd_spec *s, json_t *list, const char *path) {
  if (s->env->podman) {
    PU_AUTO_FREE named = pu_asprintf("seccomp=%s", path);
    json_array_append_new(list, json_string(named));
    return;
  }
  const char *content = pu_str(s->env->files, path);
  PU_AUTO_JSON profile = content ? rd_json_parse(content, strlen(content)) : NULL;
  if (!json_is_object(profile)) {
    rd_spec_error(s, BERTH_INVALID, "security_opt: the seccomp profile %s is no JSON object", path);
    return;
  }
  PU_AUTO_FREE compact = pu_json_text(profile);
  PU_AUTO_FREE opt = pu_asprintf("seccomp=%s", compact);
  json_array_append_new(list, json_string(opt));
}

static void host_security(struct rd_spec *s) {
  PU_AUTO_JSON opts = pu_strings(json_object_get(s->service, "security_opt"));
  if (!opts)
    return;
  json_t *list = json_array();
  json_object_set_new(s->host, "SecurityOpt", list);
  size_t i;
  json_t *v;
  json_array_foreach(opts, i, v) {
    const char *opt = json_string_value(v);
    if (seccomp_path(opt)) {
      seccomp_add(s, list, seccomp_path(opt));
    } else if (pu_eq(opt, "systempaths=unconfined")) { /* the docker command's word for two empty lists */
      json_object_set_new(s->host, "MaskedPaths", json_array());
      json_object_set_new(s->host, "ReadonlyPaths", json_array());
    } else {
      PU_AUTO_FREE text = pu_strdup(opt);
      char *colon = strchr(text, ':');
      if (colon && !memchr(text, '=', (size_t)(colon - text)))
        *colon = '=';
      json_array_append_new(list, json_string(text));
    }
  }
}

/* ---------------------------------------------------------------- devices */

/* "vendor.com/class=name": a Container Device Interface name, not a path. */
static bool is_cdi(const char *source) { return *source != '/' && strchr(source, '/') && strchr(source, '='); }

static void cdi_add(struct rd_spec *s, const char *source) {
  if (s->env->api < 144) {
    rd_spec_error(s, BERTH_UNSUPPORTED, "devices: %s is a CDI name, which needs an engine with API 1.44 (Docker 25)", source);
    return;
  }
  json_t *requests = json_object_get(s->host, "DeviceRequests");
  if (!requests)
    json_object_set_new(s->host, "DeviceRequests", requests = json_array());
  json_array_append_new(requests, json_pack("{s:s, s:[s]}", "Driver", "cdi", "DeviceIDs", source));
}

/* "/dev/a[:/dev/b[:rwm]]" or {"source","target","permissions"}. */
static void device_add(struct rd_spec *s, json_t *list, const json_t *v) {
  PU_AUTO_FREE text = pu_strdup(json_is_string(v) ? json_string_value(v) : pu_str_or(v, "source", ""));
  const char *target = pu_str(v, "target"), *permissions = pu_str(v, "permissions");
  if (is_cdi(text)) {
    cdi_add(s, text);
    return;
  }
  if (json_is_string(v)) {
    char *colon = strchr(text, ':');
    if (colon) {
      *colon = 0;
      target = colon + 1;
      char *second = strchr(colon + 1, ':');
      if (second) {
        *second = 0;
        permissions = second + 1;
      }
    }
  }
  if (*text != '/') {
    rd_spec_error(s, BERTH_INVALID, "devices: \"%s\" is no path of a device", text);
    return;
  }
  json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "PathOnHost", text, "PathInContainer", target && *target ? target : text,
                                        "CgroupPermissions", permissions && *permissions ? permissions : "rwm"));
}

static void host_devices(struct rd_spec *s) {
  const json_t *devices = json_object_get(s->service, "devices");
  if (!json_array_size(devices))
    return;
  json_t *list = json_array();
  size_t i;
  json_t *v;
  json_array_foreach(devices, i, v)
    device_add(s, list, v);
  json_object_set_new(s->host, "Devices", list);
}

/* ---------------------------------------------------------------- names and logs */

static void extra_host_add(json_t *list, const char *name, const char *ip) {
  size_t n = strlen(ip);
  if (n > 1 && ip[0] == '[' && ip[n - 1] == ']') {
    ip++;
    n -= 2;
  }
  PU_AUTO_FREE entry = pu_asprintf("%s:%.*s", name, (int)n, ip);
  json_array_append_new(list, json_string(entry));
}

/* ["db=10.0.0.1", "db:10.0.0.1"] or {"db": "10.0.0.1" or [..]} -> ["db:10.0.0.1"]. */
static void host_extra_hosts(struct rd_spec *s) {
  const json_t *hosts = json_object_get(s->service, "extra_hosts");
  if (!hosts || json_is_null(hosts))
    return;
  json_t *list = json_array(), *v, *ip;
  json_object_set_new(s->host, "ExtraHosts", list);
  const char *name;
  size_t i;
  json_array_foreach(hosts, i, v) {
    PU_AUTO_FREE text = pu_strdup(json_string_value(v));
    char *sep = text ? strpbrk(text, "=:") : NULL;
    if (!sep) {
      rd_spec_error(s, BERTH_INVALID, "extra_hosts: \"%s\" is not name=address", text ? text : "");
      continue;
    }
    *sep = 0;
    extra_host_add(list, text, sep + 1);
  }
  json_object_foreach((json_t *)(uintptr_t)hosts, name, v) {
    if (json_is_string(v))
      extra_host_add(list, name, json_string_value(v));
    json_array_foreach(v, i, ip)
      if (json_is_string(ip))
        extra_host_add(list, name, json_string_value(ip));
  }
}

static void host_logging(struct rd_spec *s) {
  const json_t *logging = pu_obj(s->service, "logging");
  if (!logging)
    return;
  json_t *options = pu_map(json_object_get(logging, "options"));
  json_object_set_new(s->host, "LogConfig", json_pack("{s:s, s:o}", "Type", pu_str_or(logging, "driver", ""), "Config",
                                                      options ? options : json_object()));
}

static void host_annotations(struct rd_spec *s) {
  json_t *map = pu_map(json_object_get(s->service, "annotations"));
  if (map && json_object_size(map) && s->env->api < 143)
    rd_spec_error(s, BERTH_UNSUPPORTED, "annotations need an engine with API 1.43 (Docker 24); this one has %d.%d",
                  s->env->api / 100, s->env->api % 100);
  if (map && json_object_size(map))
    json_object_set(s->host, "Annotations", map);
  json_decref(map);
}

/* What only Windows engines look at is told, not dropped in silence. */
static void host_windows(struct rd_spec *s) {
  static const char *const keys[] = {"cpu_count", "cpu_percent"};
  for (size_t i = 0; i < PU_COUNT(keys); i++)
    if (pu_number(s->service, keys[i], 0))
      rd_spec_warn(s, "%s has an effect on Windows engines only; cpus limits the processor here", keys[i]);
}

void rd_spec_host(struct rd_spec *s) {
  static const struct rd_attr table[] = {
      {"cap_add", "CapAdd", RD_STRS},
      {"cap_drop", "CapDrop", RD_STRS},
      {"cgroup", "CgroupnsMode", RD_STR},
      {"cgroup_parent", "CgroupParent", RD_STR},
      {"device_cgroup_rules", "DeviceCgroupRules", RD_STRS},
      {"dns", "Dns", RD_STRS},
      {"dns_opt", "DnsOptions", RD_STRS},
      {"dns_search", "DnsSearch", RD_STRS},
      {"group_add", "GroupAdd", RD_STRS},
      {"init", "Init", RD_BOOL},
      {"isolation", "Isolation", RD_STR},
      {"oom_kill_disable", "OomKillDisable", RD_BOOL},
      {"oom_score_adj", "OomScoreAdj", RD_INT},
      {"privileged", "Privileged", RD_BOOL},
      {"read_only", "ReadonlyRootfs", RD_BOOL},
      {"runtime", "Runtime", RD_STR},
      {"shm_size", "ShmSize", RD_SIZE},
      {"storage_opt", "StorageOpt", RD_MAP},
      {"sysctls", "Sysctls", RD_MAP},
      {"userns_mode", "UsernsMode", RD_STR},
      {"uts", "UTSMode", RD_STR},
  };
  rd_spec_copy(s, s->service, s->host, table, PU_COUNT(table));
  host_security(s);
  host_devices(s);
  host_extra_hosts(s);
  host_logging(s);
  host_annotations(s);
  host_windows(s);
}
