#include "config.h"
#include "settings.h"

#include <arpa/inet.h>
#include <limits.h>

#include "../common/reference.h"
#include "../common/util.h"
#include "storage.h"

static char *copy(const json_t *o, const char *key, const char *fallback) { return pu_strdup(pu_str_or(o, key, fallback)); }

static json_t *list(const json_t *o, const char *key) {
  json_t *v = pu_arr(o, key);
  return v ? json_incref(v) : json_array();
}

/* A folder that holds other people's files must not be taken by mistake: "/" or a relative path is one. Unix sockets live below run,
 * and their paths are short. */
static char *check_folder(const char *key, const char *path, size_t most) {
  if (*path != '/' || !path[1] || strstr(path, "/../") || strchr(path, ':') || strchr(path, ','))
    return pu_asprintf("%s: \"%s\" must be an absolute path without \"..\", \":\" and \",\"", key, path);
  return strlen(path) > most ? pu_asprintf("%s: \"%s\" is longer than %zu bytes", key, path, most) : NULL;
}

static bool is_address(const char *s) {
  unsigned char raw[16];
  return s && (inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1);
}

static char *check_dns(const json_t *servers) {
  size_t i;
  json_t *v;
  json_array_foreach(servers, i, v)
    if (!is_address(json_string_value(v)))
      return pu_asprintf("dns: \"%s\" is no IP address", json_is_string(v) ? json_string_value(v) : "?");
  return NULL;
}

static char *check_pools(const json_t *pools) {
  size_t i;
  json_t *v;
  json_array_foreach(pools, i, v) {
    PU_AUTO_FREE text = pu_strdup(json_is_string(v) ? json_string_value(v) : "");
    char *slash = strchr(text, '/'), *end = NULL;
    long bits = slash ? strtol(slash + 1, &end, 10) : -1;
    unsigned char raw[4];
    if (slash)
      *slash = 0;
    if (!slash || end == slash + 1 || *end || bits < 8 || bits > 24 || inet_pton(AF_INET, text, raw) != 1)
      return pu_asprintf("address_pools: \"%s\" is no IPv4 network between /8 and /24, like 10.89.0.0/16", json_string_value(v));
  }
  return NULL;
}

static char *check_userns(const char *mode, bool *remap) {
  *remap = pu_eq(mode, "remap");
  return *remap || pu_eq(mode, "host") ? NULL : pu_asprintf("userns: \"%s\" is neither host nor remap", mode);
}

/* {name: path or [path, arguments…]} as {name: [path, arguments…]}: new reference, or NULL with a sentence. */
static json_t *read_runtimes(const json_t *given, char **error) {
  PU_AUTO_JSON out = json_object();
  const char *name;
  json_t *v, *word;
  size_t i;
  if (given && !json_is_object(given))
    *error = pu_strdup("runtimes must be a mapping of names to absolute paths");
  json_object_foreach((json_t *)(uintptr_t)given, name, v) {
    json_t *words = json_is_array(v) ? json_copy(v) : json_pack("[O]", v);
    json_object_set_new(out, name, words);
    const char *path = json_string_value(json_array_get(words, 0));
    if (!*name || !path || *path != '/' || json_array_size(words) > 17)
      *error = pu_asprintf("runtimes: %.64s must be an absolute path, or a list of one and of at most 16 options", name);
    json_array_foreach(words, i, word)
      if (!json_is_string(word))
        *error = pu_asprintf("runtimes: %.64s: each option must be a text", name);
    if (*error)
      return NULL;
  }
  return *error ? NULL : json_incref(out);
}

/* One of runtime-spec: {"path": absolute, "args": [text], "env": [text], "timeout": seconds}. */
static bool is_hook(const json_t *hook) {
  const char *key, *path = pu_str(hook, "path");
  json_t *v, *word;
  size_t i;
  bool good = path && *path == '/';
  json_object_foreach((json_t *)(uintptr_t)hook, key, v) {
    bool words = pu_eq(key, "args") || pu_eq(key, "env");
    good = good && (words ? json_is_array(v) : pu_eq(key, "timeout") ? json_is_integer(v) && json_integer_value(v) > 0 : pu_eq(key, "path"));
    json_array_foreach(v, i, word)
      good = good && json_is_string(word);
  }
  return good;
}

static char *check_hooks(const json_t *hooks) {
  static const char *const known[] = {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
  const char *when;
  json_t *list, *hook;
  size_t i;
  if (hooks && !json_is_object(hooks))
    return pu_strdup("hooks must be a mapping, as in runtime-spec");
  json_object_foreach((json_t *)(uintptr_t)hooks, when, list) {
    size_t k = 0;
    while (k < PU_COUNT(known) && !pu_eq(known[k], when))
      k++;
    if (k == PU_COUNT(known) || !json_is_array(list) || json_array_size(list) > 16)
      return pu_asprintf("hooks: %.64s must be prestart, createRuntime, createContainer, startContainer, poststart or poststop, with a list of at most 16", when);
    json_array_foreach(list, i, hook)
      if (!is_hook(hook))
        return pu_asprintf("hooks: %s: each has an absolute path, and may have args and env (lists of texts) and timeout (seconds)", when);
  }
  return NULL;
}

static char *check_registry(const char *host, const json_t *o) {
  const char *key;
  json_t *v;
  size_t i;
  if (!pu_is_host(host) || !json_is_object(o))
    return pu_asprintf("registries: \"%.64s\" must be a host as \"registry.example:5000\", with a mapping (mirrors, insecure, ca_file)", host);
  json_object_foreach((json_t *)(uintptr_t)o, key, v) {
    bool good = pu_eq(key, "insecure") ? json_is_boolean(v) : pu_eq(key, "ca_file") ? json_is_string(v) && json_string_value(v)[0] == '/' : pu_eq(key, "mirrors") && json_is_array(v);
    if (!good)
      return pu_asprintf("registries: %s: \"%.64s\" is not known there, or is of another kind (mirrors: list of hosts, insecure: true or false, ca_file: absolute path)", host, key);
  }
  json_array_foreach(pu_arr(o, "mirrors"), i, v)
    if (!json_is_string(v) || !pu_is_host(json_string_value(v)))
      return pu_asprintf("registries: %s: a mirror must be a host as \"mirror.example:5000\", without a scheme", host);
  return json_array_size(pu_arr(o, "mirrors")) > 16 ? pu_asprintf("registries: %s: at most 16 mirrors", host) : NULL;
}

static char *check_registries(const json_t *registries) {
  const char *host;
  json_t *o;
  if (registries && !json_is_object(registries))
    return pu_strdup("registries must be a mapping of hosts to what is known of them");
  json_object_foreach((json_t *)(uintptr_t)registries, host, o) {
    char *error = check_registry(host, o);
    if (error)
      return error;
  }
  return NULL;
}

bool ro_config_read(const char *config_json, struct ro_config *out, char **why) {
  PU_AUTO_JSON o = config_json ? pu_json_parse(config_json, strlen(config_json)) : NULL;
  *out = (struct ro_config){.root = copy(o, "root", "/var/lib/berth/oci"),
                            .run = copy(o, "run", "/run/berth/oci"),
                            .programs = pu_str(o, "programs") ? copy(o, "programs", NULL) : ro_programs(),
                            .storage = copy(o, "storage", "auto"),
                            .runtime = copy(o, "runtime", "crun"),
                            .runtime_args = list(o, "runtime_args"),
                            .dns = list(o, "dns"),
                            .pools = list(o, "address_pools"),
                            .hooks = json_incref(json_object_get(o, "hooks")),
                            .registries = json_incref(json_object_get(o, "registries")),
                            .max_layer_size = pu_int(o, "max_layer_size", (int64_t)64 << 30),
                            .max_layer_entries = pu_int(o, "max_layer_entries", 2000000),
                            .devices = copy(o, "image_devices", "skip"),
                            .build_isolation = copy(o, "build_isolation", "oci"),
                            .log_max_size = pu_int(o, "log_max_size", 16 << 20),
                            .log_max_files = (int)pu_int(o, "log_max_files", 3),
                            .gc_high = (int)pu_int(o, "image_gc_high", 85),
                            .gc_low = (int)pu_int(o, "image_gc_low", 80),
                            .gc_max_size = pu_int(o, "image_gc_max_size", 0),
                            .gc_min_age_ms = pu_int(o, "image_gc_min_age", 600000),
                            .gc_partial_age_ms = pu_int(o, "image_gc_partial_age", 86400000)};
  char *error = NULL;
  out->runtimes = read_runtimes(json_object_get(o, "runtimes"), &error);
  if (!error)
    error = check_folder("root", out->root, PATH_MAX / 4);
  if (!error)
    error = check_folder("run", out->run, 80);
  if (!error)
    error = check_folder("programs", out->programs, PATH_MAX / 4);
  if (!error && (!*out->runtime || (strchr(out->runtime, '/') && *out->runtime != '/')))
    error = pu_asprintf("runtime: \"%s\" is neither a name nor an absolute path", out->runtime);
  if (!error)
    error = check_dns(out->dns);
  if (!error)
    error = check_pools(out->pools);
  if (!error)
    error = check_userns(pu_str_or(o, "userns", "host"), &out->userns_remap);
  if (!error)
    error = check_hooks(out->hooks);
  if (!error)
    error = check_registries(out->registries);
  if (!error && !pu_eq(out->devices, "skip") && !pu_eq(out->devices, "refuse") && !pu_eq(out->devices, "keep"))
    error = pu_asprintf("image_devices: \"%s\" is neither skip, refuse nor keep", out->devices);
  if (!error && !ro_storage_known(out->storage))
    error = pu_asprintf("storage: \"%s\" is neither auto, overlay, fuse-overlayfs nor copy", out->storage);
  if (!error && !pu_eq(out->build_isolation, "oci") && !pu_eq(out->build_isolation, "chroot"))
    error = pu_asprintf("build_isolation: \"%s\" is neither oci nor chroot", out->build_isolation);
  if (!error && out->gc_low > out->gc_high)
    error = pu_asprintf("image_gc_low: %d is over image_gc_high, which is %d", out->gc_low, out->gc_high);
  if (!error)
    return true;
  ro_config_free(out);
  *why = error;
  return false;
}

void ro_config_free(struct ro_config *c) {
  free(c->root);
  free(c->run);
  free(c->programs);
  free(c->storage);
  free(c->runtime);
  free(c->devices);
  free(c->build_isolation);
  json_decref(c->registries);
  json_decref(c->runtime_args);
  json_decref(c->runtimes);
  json_decref(c->hooks);
  json_decref(c->dns);
  json_decref(c->pools);
  *c = (struct ro_config){0};
}
