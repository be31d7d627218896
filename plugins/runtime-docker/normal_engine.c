/* The engine itself, its images, networks and volumes in Berth's shapes; and what its refusals mean. */
#include "config.h"
#include "normal.h"

#include <stdio.h>
#include <strings.h>

#include "util.h"

static json_t *copy_or(json_t *v, json_t *fallback) {
  if (!v)
    return fallback;
  json_decref(fallback);
  return json_incref(v);
}

/* ---------------------------------------------------------------- images, networks, volumes */

json_t *rd_normal_image(const json_t *image) {
  const char *id = pu_str_or(image, "Id", ""), *variant = pu_str(image, "Variant"), *created = pu_str_or(image, "Created", "");
  PU_AUTO_FREE full = *id && !strchr(id, ':') ? pu_asprintf("sha256:%s", id) : pu_strdup(id);
  PU_AUTO_FREE platform = pu_asprintf("%s/%s%s%s", pu_str_or(image, "Os", "linux"), pu_str_or(image, "Architecture", ""),
                                      variant && *variant ? "/" : "", variant ? variant : "");
  return json_pack("{s:s, s:o, s:o, s:I, s:s, s:s?}", "id", full, "digests", copy_or(pu_arr(image, "RepoDigests"), json_array()), "tags",
                   copy_or(pu_arr(image, "RepoTags"), json_array()), "size", (json_int_t)pu_number(image, "Size", 0), "platform", platform,
                   "created", *created ? created : NULL);
}

/* Docker: {"ImagesDeleted": [{"Untagged"|"Deleted"}], "SpaceReclaimed"}; Podman: [{"Id", "Size"}]. */
json_t *rd_normal_prune(const json_t *answer) {
  const json_t *deleted = json_is_array(answer) ? answer : pu_arr(answer, "ImagesDeleted");
  json_t *removed = json_array(), *v;
  json_int_t freed = pu_number(answer, "SpaceReclaimed", 0);
  size_t i;
  json_array_foreach(deleted, i, v) {
    const char *name = pu_str(v, "Untagged") ? pu_str(v, "Untagged") : pu_str_or(v, "Deleted", pu_str(v, "Id"));
    if (name)
      json_array_append_new(removed, json_string(name));
    freed += pu_number(v, "Size", 0);
  }
  return json_pack("{s:o, s:I}", "removed", removed, "freed", freed);
}

json_t *rd_normal_networks(const json_t *networks) {
  json_t *list = json_array(), *n;
  size_t i;
  json_array_foreach(networks, i, n)
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name", pu_str_or(n, "Name", ""), "id", pu_str_or(n, "Id", ""), "driver",
                                          pu_str_or(n, "Driver", ""), "labels", copy_or(pu_obj(n, "Labels"), json_object())));
  return json_pack("{s:o}", "networks", list);
}

json_t *rd_normal_volumes(const json_t *answer) {
  const json_t *volumes = pu_arr(answer, "Volumes");
  json_t *list = json_array(), *v;
  size_t i;
  json_array_foreach(volumes, i, v)
    json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s}", "name", pu_str_or(v, "Name", ""), "driver", pu_str_or(v, "Driver", ""),
                                          "labels", copy_or(pu_obj(v, "Labels"), json_object()), "mountpoint",
                                          pu_str_or(v, "Mountpoint", "")));
  return json_pack("{s:o}", "volumes", list);
}

/* Every option that is asked for must be there with that value; others may be the driver's own. */
static const char *option_that_differs(const json_t *have, const json_t *want) {
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)want, key, v) {
    PU_AUTO_FREE wanted = pu_scalar(v);
    if (wanted && !pu_eq(pu_str_or(have, key, ""), wanted))
      return key;
  }
  return NULL;
}

static bool subnet_there(const json_t *there, const char *subnet) {
  const json_t *configs = pu_arr(pu_obj(there, "IPAM"), "Config");
  size_t i;
  json_t *c;
  json_array_foreach(configs, i, c)
    if (pu_eq(pu_str(c, "Subnet"), subnet))
      return true;
  return false;
}

char *rd_network_differs(const json_t *there, const json_t *spec) {
  const char *driver = pu_str(spec, "driver"), *have = pu_str_or(there, "Driver", "");
  const json_t *configs = pu_arr(pu_obj(spec, "ipam"), "config");
  size_t i;
  json_t *c;
  if (!pu_eq(driver && *driver ? driver : "bridge", have))
    return pu_asprintf("its driver is %s, not %s", have, driver && *driver ? driver : "bridge");
  json_array_foreach(configs, i, c)
    if (pu_str(c, "subnet") && !subnet_there(there, pu_str(c, "subnet")))
      return pu_asprintf("it does not have the subnet %s", pu_str(c, "subnet"));
  if (pu_flag(there, "Internal", false) != pu_flag(spec, "internal", false))
    return pu_asprintf("it is %sinternal", pu_flag(spec, "internal", false) ? "not " : "");
  const char *option = option_that_differs(pu_obj(there, "Options"), pu_obj(spec, "driver_opts"));
  return option ? pu_asprintf("its option %s has another value", option) : NULL;
}

char *rd_volume_differs(const json_t *there, const json_t *spec) {
  const char *driver = pu_str(spec, "driver"), *have = pu_str_or(there, "Driver", "local");
  if (!pu_eq(driver && *driver ? driver : "local", have))
    return pu_asprintf("its driver is %s, not %s", have, driver && *driver ? driver : "local");
  const json_t *options = pu_obj(there, "Options");
  if (!options && !pu_eq(have, "local"))
    return NULL; /* a driver that does not tell its options */
  const char *option = option_that_differs(options, pu_obj(spec, "driver_opts"));
  return option ? pu_asprintf("its option %s has another value", option) : NULL;
}

/* ---------------------------------------------------------------- the engine */

static void feature(json_t *list, const char *name, bool there) {
  if (there)
    json_array_append_new(list, json_string(name));
}

static bool security_option(const json_t *info, const char *name) {
  const json_t *options = pu_arr(info, "SecurityOptions");
  PU_AUTO_FREE full = pu_asprintf("name=%s", name);
  size_t i;
  json_t *v;
  json_array_foreach(options, i, v)
    if (pu_starts(json_string_value(v), full))
      return true;
  return false;
}

static json_t *features(const json_t *info, int api, bool podman) {
  json_t *list = json_array();
  feature(list, "annotations", api >= 143);
  feature(list, "apparmor", security_option(info, "apparmor"));
  feature(list, "build", true);
  feature(list, "cdi", api >= 144);
  feature(list, "gpus", json_object_get(pu_obj(info, "Runtimes"), "nvidia") != NULL);
  feature(list, "healthcheck.start_interval", api >= 144);
  feature(list, "limits.cpus", pu_flag(info, "CpuCfsQuota", true));
  feature(list, "limits.memory", pu_flag(info, "MemoryLimit", true));
  feature(list, "limits.pids", pu_flag(info, "PidsLimit", true));
  feature(list, "limits.swap", pu_flag(info, "SwapLimit", true));
  feature(list, "network.mac_address", api >= 144);
  feature(list, "seccomp", security_option(info, "seccomp"));
  feature(list, "update", !podman);
  feature(list, "userns", security_option(info, "userns"));
  feature(list, "volume.subpath", api >= 145);
  return list;
}

json_t *rd_normal_info(const json_t *version, const json_t *info, int api) {
  const char *os = pu_str_or(version, "Os", "linux"), *arch = pu_str_or(version, "Arch", "");
  PU_AUTO_FREE platform = pu_asprintf("%s/%s", os, arch);
  PU_AUTO_FREE api_text = pu_asprintf("%d.%d", api / 100, api % 100);
  json_t *out = json_object();
  json_object_set_new(out, "name", json_string(rd_is_podman(version) ? "podman" : "docker"));
  json_object_set_new(out, "version", json_string(pu_str_or(version, "Version", "")));
  json_object_set_new(out, "api_version", json_string(api_text));
  json_object_set_new(out, "os", json_string(os));
  json_object_set_new(out, "arch", json_string(arch));
  json_object_set_new(out, "platform", json_string(platform));
  json_object_set_new(out, "kernel", json_string(pu_str_or(info, "KernelVersion", pu_str_or(version, "KernelVersion", ""))));
  json_object_set_new(out, "cpus", json_real((double)pu_number(info, "NCPU", 0)));
  json_object_set_new(out, "memory", json_integer(pu_number(info, "MemTotal", 0)));
  json_object_set_new(out, "cgroup", json_string(pu_eq(pu_str(info, "CgroupVersion"), "2") ? "2" : "1"));
  json_object_set_new(out, "root_dir", json_string(pu_str_or(info, "DockerRootDir", "")));
  json_object_set_new(out, "rootless", json_boolean(security_option(info, "rootless") || pu_flag(info, "Rootless", false)));
  json_object_set_new(out, "features", features(info, api, rd_is_podman(version)));
  return out;
}

/* ---------------------------------------------------------------- refusals */

enum berth_code rd_code_text(const char *s, enum berth_code fallback) {
  static const struct {
    const char *part;
    enum berth_code code;
  } table[] = {
      {"unauthorized", BERTH_UNAUTHENTICATED},
      {"authentication required", BERTH_UNAUTHENTICATED},
      {"no basic auth credentials", BERTH_UNAUTHENTICATED},
      {"incorrect username or password", BERTH_UNAUTHENTICATED},
      {"pull access denied", BERTH_DENIED},
      {"requested access to the resource is denied", BERTH_DENIED},
      {"manifest unknown", BERTH_NOT_FOUND},
      {"no matching manifest", BERTH_NOT_FOUND},
      {"not found", BERTH_NOT_FOUND},
      {"no such image", BERTH_NOT_FOUND},
      {"port is already allocated", BERTH_EXHAUSTED},
      {"name is already in use", BERTH_CONFLICT}, /* Podman's words for what Docker answers with 409 */
      {"container state improper", BERTH_CONFLICT},
      {"is being used", BERTH_CONFLICT},
      {"address already in use", BERTH_EXHAUSTED},
      {"pool overlaps", BERTH_CONFLICT},
      {"no space left", BERTH_EXHAUSTED},
      {"no available network", BERTH_EXHAUSTED},
      {"no available ipv4 addresses", BERTH_EXHAUSTED},
      {"non-overlapping ipv4 address pool", BERTH_EXHAUSTED},
      {"could not find an available", BERTH_EXHAUSTED},
      {"not supported", BERTH_UNSUPPORTED},
      {"executable file not found", BERTH_INVALID},
      {"no such file or directory", BERTH_INVALID},
      {"invalid", BERTH_INVALID},
      {"connection refused", BERTH_UNAVAILABLE},
      {"no such host", BERTH_UNAVAILABLE},
      {"timeout", BERTH_UNAVAILABLE},
      {"unexpected eof", BERTH_UNAVAILABLE},
      {"connection reset", BERTH_UNAVAILABLE},
      {"toomanyrequests", BERTH_UNAVAILABLE},
  };
  for (size_t i = 0; i < PU_COUNT(table); i++)
    if (strcasestr(s, table[i].part))
      return table[i].code;
  return fallback;
}

enum berth_code rd_code(int status, const char *sentence) {
  switch (status) {
    case 400: return BERTH_INVALID;
    case 401: return BERTH_UNAUTHENTICATED;
    case 403: return rd_code_text(sentence, BERTH_DENIED);
    case 404: return BERTH_NOT_FOUND;
    case 409: return BERTH_CONFLICT;
    case 413: return BERTH_TOO_LARGE;
    case 501: return BERTH_UNSUPPORTED;
    case 502:
    case 503:
    case 504: return BERTH_UNAVAILABLE;
    default: return rd_code_text(sentence, status >= 500 ? BERTH_IO : BERTH_INVALID);
  }
}

char *rd_sentence(const char *body, size_t len) {
  enum { most = 2048 };
  PU_AUTO_JSON parsed = rd_json_parse(body, len);
  const char *message = pu_str(parsed, "message");
  const char *s = message ? message : parsed ? "" : body ? body : "";
  size_t n = message ? strlen(message) : strnlen(s, len);
  while (n && (s[n - 1] == '\n' || s[n - 1] == ' '))
    n--;
  PU_AUTO_JSON clean = rd_json_bytes(s, n < most ? n : most); /* longer where bytes were bad */
  const char *text = json_string_value(clean);
  size_t end = strnlen(text, most);
  while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
    end--;
  return pu_strndup(text, end);
}
