/* What joins a container to the world: mounts, ports, networks. */
#include "config.h"
#include "spec.h"

#include "util.h"

/* ---------------------------------------------------------------- mounts */

/* Binds is the older list "source:target:options". It makes an absent source and knows SELinux labels, which Mounts does
 * not; but it cannot hold a colon. */
static bool bind_needs_binds(struct rd_spec *s, const json_t *m) {
  return pu_str(m, "selinux") || (pu_flag(m, "create_host_path", false) && s->env->api < 142);
}

static void bind_add(struct rd_spec *s, const json_t *m, const char *source, const char *target) {
  if (strchr(source, ':') || strchr(target, ':')) {
    rd_spec_error(s, BERTH_INVALID, "volumes: %s on %s: this engine takes no colon in paths of such a bind mount", source, target);
    return;
  }
  struct pu_buf text = {0};
  pu_buf_addf(&text, "%s:%s:%s", source, target, pu_flag(m, "read_only", false) ? "ro" : "rw");
  if (pu_str(m, "propagation"))
    pu_buf_addf(&text, ",%s", pu_str(m, "propagation"));
  if (pu_str(m, "selinux"))
    pu_buf_addf(&text, ",%s", pu_str(m, "selinux"));
  json_t *binds = json_object_get(s->host, "Binds");
  if (!binds)
    json_object_set_new(s->host, "Binds", binds = json_array());
  json_array_append_new(binds, json_string(text.data));
  pu_buf_free(&text);
}

static json_t *bind_options(struct rd_spec *s, const json_t *m) {
  json_t *o = json_object();
  if (pu_str(m, "propagation"))
    json_object_set_new(o, "Propagation", json_string(pu_str(m, "propagation")));
  if (pu_flag(m, "create_host_path", false) && s->env->api >= 142)
    json_object_set_new(o, "CreateMountpoint", json_true());
  return o;
}

static json_t *volume_options(struct rd_spec *s, const json_t *m, const char *source) {
  json_t *o = json_object();
  const char *subpath = pu_str(m, "subpath");
  if (pu_flag(m, "nocopy", false))
    json_object_set_new(o, "NoCopy", json_true());
  if (subpath && *subpath && s->env->api < 145)
    rd_spec_error(s, BERTH_UNSUPPORTED, "volumes: %s: subpath needs an engine with API 1.45 (Docker 26); this one has %d.%d",
                  source, s->env->api / 100, s->env->api % 100);
  else if (subpath && *subpath)
    json_object_set_new(o, "Subpath", json_string(subpath));
  return o;
}

/* The mode is an integer, or octal text ("1777"). In the engine's map of tmpfs rather than among its mounts, of which
 * volumes_from of another container takes each for a volume and fails. */
static void tmpfs_add(struct rd_spec *s, const json_t *m, const char *target) {
  const json_t *mode = json_object_get(m, "tmpfs_mode");
  PU_AUTO_BUF text = {0};
  if (pu_flag(m, "read_only", false))
    pu_buf_adds(&text, "ro");
  if (pu_number(m, "tmpfs_size", 0) > 0)
    pu_buf_addf(&text, "%ssize=%lld", text.len ? "," : "", (long long)pu_number(m, "tmpfs_size", 0));
  if (json_is_string(mode) || json_is_integer(mode))
    pu_buf_addf(&text, "%smode=%lo", text.len ? "," : "",
                json_is_string(mode) ? strtol(json_string_value(mode), NULL, 8) : (long)json_integer_value(mode));
  json_t *map = json_object_get(s->host, "Tmpfs");
  if (!map)
    json_object_set_new(s->host, "Tmpfs", map = json_object());
  json_object_set_new(map, target, json_string(text.len ? text.data : ""));
}

static void mount_add(struct rd_spec *s, json_t *list, const json_t *m) {
  const char *type = pu_str_or(m, "type", "volume"), *source = pu_str_or(m, "source", ""), *target = pu_str_or(m, "target", "");
  bool bind = pu_eq(type, "bind"), volume = pu_eq(type, "volume"), tmpfs = pu_eq(type, "tmpfs");
  if (!*target || (bind && !*source)) {
    rd_spec_error(s, BERTH_INVALID, "volumes: a %s mount lacks its %s", type, *target ? "source" : "target");
    return;
  }
  if (!bind && !volume && !tmpfs) {
    rd_spec_error(s, BERTH_UNSUPPORTED, "volumes: %s: mounts of type %s are not supported: use volume, bind or tmpfs", target, type);
    return;
  }
  if (bind && bind_needs_binds(s, m)) {
    bind_add(s, m, source, target);
    return;
  }
  if (tmpfs) {
    tmpfs_add(s, m, target);
    return;
  }
  json_t *out = json_pack("{s:s, s:s}", "Type", type, "Target", target);
  if (*source)
    json_object_set_new(out, "Source", json_string(source));
  if (pu_flag(m, "read_only", false))
    json_object_set_new(out, "ReadOnly", json_true());
  json_t *options = bind ? bind_options(s, m) : volume_options(s, m, source);
  if (json_object_size(options))
    json_object_set(out, bind ? "BindOptions" : "VolumeOptions", options);
  json_decref(options);
  json_array_append_new(list, out);
}

/* The service's own tmpfs attribute: ["/run", "/tmp:size=64m"]. */
static void mounts_tmpfs(struct rd_spec *s) {
  PU_AUTO_JSON list = pu_strings(json_object_get(s->service, "tmpfs"));
  if (!json_array_size(list))
    return;
  json_t *out = json_object_get(s->host, "Tmpfs"), *v;
  if (!out)
    json_object_set_new(s->host, "Tmpfs", out = json_object());
  size_t i;
  json_array_foreach(list, i, v) {
    PU_AUTO_FREE path = pu_strdup(json_string_value(v));
    char *colon = strchr(path, ':');
    if (colon)
      *colon = 0;
    json_object_set_new(out, path, json_string(colon ? colon + 1 : ""));
  }
}

void rd_spec_mounts(struct rd_spec *s, const json_t *spec) {
  static const struct rd_attr table[] = {{"volumes_from", "VolumesFrom", RD_STRS}, {"pid", "PidMode", RD_STR}, {"ipc", "IpcMode", RD_STR}};
  const json_t *mounts = pu_arr(spec, "mounts");
  json_t *list = json_array(), *v;
  size_t i;
  json_array_foreach(mounts, i, v)
    mount_add(s, list, v);
  if (json_array_size(list))
    json_object_set(s->host, "Mounts", list);
  json_decref(list);
  mounts_tmpfs(s);
  rd_spec_copy(s, spec, s->host, table, PU_COUNT(table));
}

/* ---------------------------------------------------------------- ports */

static void port_add(struct rd_spec *s, json_t *exposed, json_t *bindings, const json_t *p) {
  PU_AUTO_FREE target = pu_scalar(json_object_get(p, "target"));
  PU_AUTO_FREE published = pu_scalar(json_object_get(p, "published"));
  if (!target || !*target) {
    rd_spec_error(s, BERTH_INVALID, "ports: an entry lacks its target");
    return;
  }
  PU_AUTO_FREE key = pu_asprintf("%s/%s", target, pu_str_or(p, "protocol", "tcp"));
  json_object_set_new(exposed, key, json_object());
  json_t *list = json_object_get(bindings, key);
  if (!list)
    json_object_set_new(bindings, key, list = json_array());
  bool any = !published || !*published || pu_eq(published, "0");
  json_array_append_new(list, json_pack("{s:s, s:s}", "HostIp", pu_str_or(p, "host_ip", ""), "HostPort", any ? "" : published));
}

/* "80", "80/udp", "8000-8010/tcp" */
static void expose_add(json_t *exposed, const char *text) {
  unsigned long first, last;
  char *end;
  first = last = strtoul(text, &end, 10);
  if (*end == '-')
    last = strtoul(end + 1, &end, 10);
  const char *protocol = *end == '/' ? end + 1 : "tcp";
  for (unsigned long port = first; port && port <= last && last <= 65535; port++) {
    PU_AUTO_FREE key = pu_asprintf("%lu/%s", port, protocol);
    json_object_set_new(exposed, key, json_object());
  }
}

void rd_spec_ports(struct rd_spec *s, const json_t *spec) {
  json_t *exposed = json_object(), *bindings = json_object(), *v;
  PU_AUTO_JSON expose = pu_strings(json_object_get(s->service, "expose"));
  const json_t *ports = pu_arr(spec, "ports");
  size_t i;
  json_array_foreach(expose, i, v)
    expose_add(exposed, json_string_value(v));
  json_array_foreach(ports, i, v)
    port_add(s, exposed, bindings, v);
  if (json_object_size(exposed))
    json_object_set(s->body, "ExposedPorts", exposed);
  if (json_object_size(bindings))
    json_object_set(s->host, "PortBindings", bindings);
  json_decref(exposed);
  json_decref(bindings);
}

/* ---------------------------------------------------------------- networks */

static json_t *endpoint_addresses(const json_t *n) {
  static const struct {
    const char *key, *engine;
  } names[] = {{"ipv4_address", "IPv4Address"}, {"ipv6_address", "IPv6Address"}};
  json_t *ipam = json_object(), *local = pu_strings(json_object_get(n, "link_local_ips"));
  for (size_t i = 0; i < PU_COUNT(names); i++)
    if (pu_str(n, names[i].key) && *pu_str(n, names[i].key))
      json_object_set_new(ipam, names[i].engine, json_string(pu_str(n, names[i].key)));
  if (json_array_size(local))
    json_object_set(ipam, "LinkLocalIPs", local);
  json_decref(local);
  return ipam;
}

/* Podman takes all endpoints, each with its MAC address, at create; Docker since API 1.44. */
static bool modern_endpoints(const struct rd_spec *s) { return s->env->podman || s->env->api >= 144; }

static json_t *endpoint(struct rd_spec *s, const json_t *n) {
  json_t *out = json_object(), *ipam = endpoint_addresses(n);
  json_t *aliases = pu_strings(json_object_get(n, "aliases")), *options = pu_map(json_object_get(n, "driver_opts"));
  json_t *links = pu_strings(json_object_get(n, "links")), *external = pu_strings(json_object_get(s->service, "external_links"));
  if (external && links)
    json_array_extend(links, external);
  else if (external)
    links = json_incref(external);
  if (json_array_size(aliases))
    json_object_set(out, "Aliases", aliases);
  if (json_array_size(links))
    json_object_set(out, "Links", links);
  if (json_object_size(options))
    json_object_set(out, "DriverOpts", options);
  if (json_object_size(ipam))
    json_object_set(out, "IPAMConfig", ipam);
  if (pu_str(n, "mac_address") && modern_endpoints(s))
    json_object_set_new(out, "MacAddress", json_string(pu_str(n, "mac_address")));
  json_decref(aliases);
  json_decref(options);
  json_decref(links);
  json_decref(external);
  json_decref(ipam);
  return out;
}

/* One MAC address per container on older engines: that of its first network. */
static void networks_mac(struct rd_spec *s, const json_t *networks) {
  const json_t *first = json_array_get(networks, 0);
  const char *mac = pu_str(first, "mac_address") ? pu_str(first, "mac_address") : pu_str(s->service, "mac_address");
  size_t i;
  json_t *n;
  if (modern_endpoints(s)) {
    json_t *endpoints = json_object_get(json_object_get(s->body, "NetworkingConfig"), "EndpointsConfig");
    json_t *e = first ? json_object_get(endpoints, pu_str_or(first, "name", "")) : NULL;
    if (mac && e)
      json_object_set_new(e, "MacAddress", json_string(mac));
    else if (mac)
      json_object_set_new(s->body, "MacAddress", json_string(mac));
    return;
  }
  if (mac && *mac)
    json_object_set_new(s->body, "MacAddress", json_string(mac));
  json_array_foreach(networks, i, n)
    if (i > 0 && pu_str(n, "mac_address"))
      rd_spec_error(s, BERTH_UNSUPPORTED, "networks.%s: a MAC address on a second network needs an engine with API 1.44 (Docker 25)",
                    pu_str_or(n, "name", ""));
}

void rd_spec_networks(struct rd_spec *s, const json_t *spec) {
  const json_t *networks = pu_arr(spec, "networks");
  const char *mode = pu_str(spec, "network_mode");
  json_t *endpoints = json_object(), *n;
  size_t i;
  json_array_foreach(networks, i, n) {
    const char *name = pu_str_or(n, "name", "");
    if (!*name)
      rd_spec_error(s, BERTH_INVALID, "networks: an entry lacks its name");
    if (i == 0)
      mode = name;
    if (i == 0 || modern_endpoints(s))
      json_object_set_new(endpoints, name, endpoint(s, n));
    else
      json_array_append_new(s->connects, json_pack("{s:s, s:o}", "network", name, "endpoint", endpoint(s, n)));
  }
  if (mode && *mode)
    json_object_set_new(s->host, "NetworkMode", json_string(mode));
  if (json_object_size(endpoints))
    json_object_set_new(s->body, "NetworkingConfig", json_pack("{s:O}", "EndpointsConfig", endpoints));
  json_decref(endpoints);
  networks_mac(s, networks);
}
