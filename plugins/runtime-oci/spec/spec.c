#include "config.h"
#include "spec.h"

#include <stdio.h>

#include "parts.h"

void ro_error(struct ro_spec *s, enum berth_code code, const char *fmt, ...) {
  if (s->code)
    return;
  va_list ap;
  va_start(ap, fmt);
  s->code = code;
  s->why = pu_vasprintf(fmt, ap);
  va_end(ap);
}

void ro_warn(struct ro_spec *s, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE text = pu_vasprintf(fmt, ap);
  va_end(ap);
  json_array_append_new(s->warnings, pu_json_string(text));
}

/* ---------------------------------------------------------------- values */

const json_t *ro_member(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  return json_is_null(v) ? NULL : v;
}

bool ro_size(struct ro_spec *s, const json_t *o, const char *key, int64_t *n) {
  const json_t *v = ro_member(o, key);
  if (!v)
    return false;
  PU_AUTO_FREE text = pu_scalar(v);
  if (text && pu_size(text, n))
    return true;
  ro_error(s, BERTH_INVALID, "%s: \"%s\" is no number", key, text ? text : "");
  return false;
}

bool ro_duration(struct ro_spec *s, const json_t *o, const char *key, int64_t unit_ns, int64_t *ns) {
  PU_AUTO_FREE text = pu_scalar(ro_member(o, key));
  if (!text)
    return false;
  if (pu_duration(text, unit_ns, ns))
    return true;
  ro_error(s, BERTH_INVALID, "%s: \"%s\" is no duration; write 10s or 1m30s", key, text);
  return false;
}

char *ro_clean(const char *path) {
  struct pu_buf out = {0};
  while (*path) {
    size_t n = strcspn(path, "/");
    if (n == 2 && path[0] == '.' && path[1] == '.') {
      while (out.len > 0 && out.data[--out.len] != '/')
        ;
    } else if (n > 0 && !(n == 1 && path[0] == '.')) {
      pu_buf_addc(&out, '/');
      pu_buf_add(&out, path, n);
    }
    path += n + (path[n] == '/');
  }
  if (!out.len)
    pu_buf_addc(&out, '/');
  out.data[out.len] = '\0';
  return pu_buf_steal(&out);
}

bool ro_below(const char *path, const char *dir) {
  size_t n = strlen(dir);
  return pu_eq(dir, "/") || (strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]));
}

/* ---------------------------------------------------------------- what is known of a service */

/* Attributes that the translation reads, and those that the host answers for (it gives us their outcome, or they concern no container).
 * All others are refused by name, so that nothing is ignored in silence. */
static const char *const known_attributes[] = {
    "annotations", "blkio_config", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "command", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota",
    "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "deploy", "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search",
    "domainname", "entrypoint", "environment", "expose", "extra_hosts", "gpus", "group_add", "healthcheck", "hostname", "init", "isolation", "logging",
    "mac_address", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "oom_kill_disable", "oom_score_adj", "pids_limit", "platform",
    "privileged", "read_only", "runtime", "security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls",
    "tmpfs", "tty", "ulimits", "user", "userns_mode", "uts", "working_dir",
    /* the host's */
    "attach", "build", "configs", "container_name", "depends_on", "develop", "env_file", "extends", "external_links", "image", "ipc", "label_file",
    "labels", "links", "name", "network_mode", "networks", "pid", "ports", "post_start", "pre_stop", "profiles", "pull_policy", "pull_refresh_after",
    "restart", "scale", "secrets", "volumes", "volumes_from"};

static bool attribute_known(const char *key) {
  for (size_t i = 0; i < PU_COUNT(known_attributes); i++)
    if (strcmp(known_attributes[i], key) == 0)
      return true;
  return pu_starts(key, "x-");
}

/* The least is what any program writes before it does anything. */
static void read_storage_opt(struct ro_spec *s) {
  const json_t *opt = pu_obj(s->service, "storage_opt");
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)opt, key, v)
    if (strcmp(key, "size") != 0)
      ro_error(s, BERTH_UNSUPPORTED, "storage_opt.%s is not supported by runtime-oci, which knows size: leave it out", key);
  if (ro_size(s, opt, "size", &s->disk) && s->disk < 1 << 20)
    ro_error(s, BERTH_INVALID, "storage_opt.size: the least is 1m");
}

static void check_attributes(struct ro_spec *s) {
  const char *key;
  json_t *v;
  json_object_foreach(s->service, key, v)
    if (!json_is_null(v) && !attribute_known(key))
      ro_error(s, BERTH_UNSUPPORTED, "the service attribute %s is not supported by runtime-oci: leave it out", key);
  if (json_array_size(json_object_get(s->service, "external_links")))
    ro_error(s, BERTH_UNSUPPORTED, "external_links: runtime-oci links no containers; join one network and use their names");
  read_storage_opt(s);
  PU_AUTO_FREE isolation = pu_scalar(ro_member(s->service, "isolation"));
  if (isolation && *isolation && !pu_eq(isolation, "default"))
    ro_error(s, BERTH_UNSUPPORTED, "isolation: %s is for Windows containers; remove it", isolation);
}

/* What comes from outside is bounded before anything is made of it: the kernel and the OCI runtime take no more than this either. */
static void check_lists(struct ro_spec *s, const json_t *o, const char *whose) {
  const char *key;
  json_t *v, *item;
  size_t i;
  json_object_foreach((json_t *)(uintptr_t)o, key, v) {
    if (json_array_size(v) > RO_MAX_ITEMS || json_object_size(v) > RO_MAX_ITEMS)
      ro_error(s, BERTH_INVALID, "%s: %s has %zu entries; at most %d are taken", whose, key, json_is_array(v) ? json_array_size(v) : json_object_size(v),
               RO_MAX_ITEMS);
    size_t bytes = 0;
    json_array_foreach(v, i, item) {
      bytes += json_string_length(item);
      if (json_string_length(item) >= RO_MAX_ARG)
        ro_error(s, BERTH_INVALID, "%s: an entry of %s has %zu bytes; at most %d are taken", whose, key, json_string_length(item), RO_MAX_ARG - 1);
    }
    if (bytes > RO_MAX_ARGS)
      ro_error(s, BERTH_INVALID, "%s: %s has %zu bytes; at most %d are taken", whose, key, bytes, RO_MAX_ARGS);
  }
}

const json_t *ro_other(struct ro_spec *s, const char *attribute, const char *mode) {
  const char *id = pu_starts(mode, "container:") ? mode + strlen("container:") : mode;
  const json_t *other = pu_obj(s->in->containers, id);
  if (!other && !s->in->trying)
    ro_error(s, BERTH_NOT_FOUND, "%s: container %s is not there, or does not run", attribute, id);
  return other;
}

/* ---------------------------------------------------------------- whole */

static void annotations(struct ro_spec *s) {
  json_t *labels = pu_map(ro_member(s->in->spec, "labels")), *own = pu_map(ro_member(s->service, "annotations"));
  json_t *out = labels ? labels : json_object();
  if (own)
    json_object_update(out, own);
  json_decref(own);
  /* What our OCI runtime takes as orders stays out of users' hands. */
  const char *key;
  json_t *v;
  void *next;
  json_object_foreach_safe(out, next, key, v)
    if (pu_starts(key, "run.oci.")) {
      ro_error(s, BERTH_INVALID, "annotations: %s is an order to the OCI runtime; remove it", key);
      json_object_del(out, key);
    }
  json_object_set_new(s->config, "annotations", out);
}

static void begin(const struct ro_request *in, struct ro_spec *s) {
  static const struct ro_choices defaults = {0};
  json_t *service = pu_obj(in->spec, "service"), *image = pu_obj(in->image, "config");
  *s = (struct ro_spec){.in = in, .facts = in->facts, .choices = in->choices ? in->choices : &defaults};
  s->service = service ? json_incref(service) : json_object();
  s->image = image ? json_incref(image) : json_is_object(in->image) ? json_incref((json_t *)(uintptr_t)in->image) : json_object();
  s->config = json_pack("{s:s, s:{s:s, s:b}}", "ociVersion", "1.0.0", "root", "path", in->rootfs ? in->rootfs : "rootfs", "readonly",
                        (int)pu_flag(s->service, "read_only", false));
  s->process = json_object();
  s->linux_part = json_object();
  json_object_set_new(s->config, "process", s->process);
  json_object_set_new(s->config, "linux", s->linux_part);
  s->mounts = json_array();
  s->monitor = json_object();
  s->volumes = json_array();
  s->warnings = json_array();
  s->hostname_text = pu_strdup("");
  const char *mode = pu_str(in->spec, "network_mode");
  s->privileged = pu_flag(s->service, "privileged", false);
  s->host_network = pu_eq(mode, "host") && !json_array_size(pu_arr(in->spec, "networks"));
  s->host_pid = pu_eq(pu_str(in->spec, "pid"), "host");
  s->host_ipc = pu_eq(pu_str(in->spec, "ipc"), "host");
}

bool ro_spec_translate(const struct ro_request *in, struct ro_spec *out) {
  begin(in, out);
  if (!json_is_object(in->spec))
    ro_error(out, BERTH_INVALID, "the container's spec is no JSON object");
  check_lists(out, out->image, "the image's configuration");
  check_lists(out, out->service, "the service");
  check_lists(out, in->spec, "the container's spec");
  if (out->code)
    return false;
  check_attributes(out);
  ro_spec_namespaces(out);
  ro_spec_security(out);
  ro_spec_process(out);
  ro_spec_capabilities(out);
  ro_spec_resources(out);
  ro_spec_devices(out);
  ro_spec_files(out);
  ro_spec_mounts(out);
  ro_spec_monitor(out);
  annotations(out);
  return !out->code;
}

void ro_spec_free(struct ro_spec *s) {
  json_decref(s->service);
  json_decref(s->image);
  json_decref(s->config);
  json_decref(s->mounts);
  json_decref(s->monitor);
  json_decref(s->volumes);
  json_decref(s->warnings);
  json_decref(s->health);
  json_decref(s->upstreams);
  free(s->stop_signal);
  free(s->hostname_text);
  free(s->hosts);
  free(s->hostname);
  free(s->resolv);
  free(s->why);
  *s = (struct ro_spec){0};
}
