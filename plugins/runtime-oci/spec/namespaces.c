/* What a container has of its own and what it shares: namespaces, the mapping of users, names, kernel parameters. */
#include "config.h"
#include "parts.h"

static void space_add(struct ro_spec *s, const char *type, const char *path) {
  json_t *one = json_pack("{s:s}", "type", type);
  if (path)
    json_object_set_new(one, "path", json_string(path));
  json_array_append_new(json_object_get(s->linux_part, "namespaces"), one);
}

/* The path of a namespace of the container that mode names; a mere trial gets a placeholder. */
static char *other_space(struct ro_spec *s, const char *attribute, const char *mode, const char *file) {
  const json_t *other = ro_other(s, attribute, mode);
  int64_t pid = pu_int(other, "pid", 0);
  if (!s->in->trying && other && pid <= 0)
    ro_error(s, BERTH_NOT_FOUND, "%s: the container behind \"%s\" does not run, so its namespace cannot be joined; start it first", attribute, mode);
  return pu_asprintf("/proc/%lld/ns/%s", (long long)pid, file);
}

/* pid and ipc alike: "host", "container:ID", or one of its own. */
static void joined_space(struct ro_spec *s, const char *attribute, const char *type, bool host, const char *mode) {
  if (host)
    return;
  if (pu_starts(mode, "container:")) {
    PU_AUTO_FREE path = other_space(s, attribute, mode, attribute);
    space_add(s, type, path);
  } else if (mode && *mode && !pu_eq(mode, "private") && !pu_eq(mode, "shareable")) {
    ro_error(s, BERTH_UNSUPPORTED, "%s: \"%s\" is not offered; use host, private or service:NAME", attribute, mode);
  } else {
    space_add(s, type, NULL);
  }
}

static void network_space(struct ro_spec *s) {
  const char *mode = pu_str(s->in->spec, "network_mode");
  if (s->host_network)
    return;
  if (!pu_starts(mode, "container:")) {
    space_add(s, "network", RO_NETNS);
    return;
  }
  PU_AUTO_FREE path = other_space(s, "network_mode", mode, "net");
  space_add(s, "network", path);
}

static void other_spaces(struct ro_spec *s) {
  const char *uts = pu_str(s->service, "uts"), *cgroup = pu_str(s->service, "cgroup");
  if (uts && *uts && !pu_eq(uts, "host"))
    ro_error(s, BERTH_UNSUPPORTED, "uts: \"%s\" is not offered; use host, or leave it out", uts);
  if (cgroup && *cgroup && !pu_eq(cgroup, "host") && !pu_eq(cgroup, "private"))
    ro_error(s, BERTH_INVALID, "cgroup: \"%s\" is neither host nor private", cgroup);
  if (!pu_eq(uts, "host"))
    space_add(s, "uts", NULL);
  if (!pu_eq(cgroup, "host"))
    space_add(s, "cgroup", NULL);
}

/* ---------------------------------------------------------------- users */

static void users(struct ro_spec *s) {
  const char *mode = pu_str(s->service, "userns_mode");
  const struct ro_choices *c = s->choices;
  if (mode && *mode && !pu_eq(mode, "host"))
    ro_error(s, BERTH_UNSUPPORTED, "userns_mode: \"%s\" is not offered; use host, or leave it out for what runtime-oci's configuration says", mode);
  s->userns = c->map_count > 0 && !pu_eq(mode, "host");
  if (!s->userns)
    return;
  if (!(s->facts->has & RO_HAS_USERNS))
    ro_error(s, BERTH_UNSUPPORTED, "this kernel has no user namespaces, so containers' users cannot be mapped; use userns_mode: host");
  const char *clash = s->privileged ? "privileged" : s->host_network ? "network_mode: host" : s->host_pid ? "pid: host" : s->host_ipc ? "ipc: host" : NULL;
  if (clash)
    ro_error(s, BERTH_INVALID, "%s needs the machine's own users, but containers' users are mapped here: add userns_mode: host", clash);
  space_add(s, "user", NULL);
  json_object_set_new(s->linux_part, "uidMappings",
                      json_pack("[{s:i, s:I, s:I}]", "containerID", 0, "hostID", (json_int_t)c->map_uid, "size", (json_int_t)c->map_count));
  json_object_set_new(s->linux_part, "gidMappings",
                      json_pack("[{s:i, s:I, s:I}]", "containerID", 0, "hostID", (json_int_t)c->map_gid, "size", (json_int_t)c->map_count));
}

/* ---------------------------------------------------------------- names */

static char *name_inside(struct ro_spec *s) {
  PU_AUTO_FREE asked = pu_scalar(ro_member(s->service, "hostname"));
  const char *mode = pu_str(s->in->spec, "network_mode");
  if (asked && *asked)
    return pu_strdup(asked);
  if (s->host_network)
    return pu_strdup(s->facts->hostname ? s->facts->hostname : "");
  const char *other = pu_starts(mode, "container:") ? pu_str(ro_other(s, "network_mode", mode), "hostname") : NULL;
  return other ? pu_strdup(other) : pu_asprintf("%.12s", s->in->id ? s->in->id : "");
}

static bool name_sound(const char *name) {
  size_t n = strlen(name);
  return n <= 64 && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == n;
}

static void names(struct ro_spec *s, json_t *sysctl) {
  PU_AUTO_FREE hostname = pu_scalar(ro_member(s->service, "hostname"));
  PU_AUTO_FREE domain = pu_scalar(ro_member(s->service, "domainname"));
  bool shared = pu_eq(pu_str(s->service, "uts"), "host");
  if (shared && ((hostname && *hostname) || (domain && *domain)))
    ro_error(s, BERTH_INVALID, "hostname: with uts: host the name is the machine's; leave one of them out");
  pu_set(&s->hostname_text, shared ? pu_strdup(s->facts->hostname ? s->facts->hostname : "") : name_inside(s));
  if (!name_sound(s->hostname_text) || (domain && !name_sound(domain)))
    ro_error(s, BERTH_INVALID, "hostname: \"%.100s\" is none: letters, digits, dots and dashes, at most 64", !name_sound(s->hostname_text) ? s->hostname_text : domain);
  if (!shared && *s->hostname_text)
    json_object_set_new(s->config, "hostname", json_string(s->hostname_text));
  if (!shared && domain && *domain)
    json_object_set_new(sysctl, "kernel.domainname", json_string(domain));
}

/* ---------------------------------------------------------------- kernel parameters */

/* Which namespace holds it, by the first word that is a beginning of its name; NULL: none does, it is the whole machine's. */
static const char *sysctl_space(const char *key) {
  static const char *const table[][2] = {{"net.", "network"},          {"fs.mqueue.", "ipc"},     {"kernel.msgmax", "ipc"}, {"kernel.msgmnb", "ipc"},
                                         {"kernel.msgmni", "ipc"},     {"kernel.sem", "ipc"},     {"kernel.shmall", "ipc"}, {"kernel.shmmax", "ipc"},
                                         {"kernel.shmmni", "ipc"},     {"kernel.shm_rmid_forced", "ipc"}, {"kernel.domainname", "uts"}};
  for (size_t i = 0; i < PU_COUNT(table); i++)
    if (pu_starts(table[i][0] + strlen(table[i][0]) - 1, ".") ? pu_starts(key, table[i][0]) : pu_eq(key, table[i][0]))
      return table[i][1];
  return NULL;
}

static bool own_space(const struct ro_spec *s, const char *space) {
  const char *mode = pu_str(s->in->spec, pu_eq(space, "network") ? "network_mode" : "ipc");
  if (pu_eq(space, "uts"))
    return !pu_eq(pu_str(s->service, "uts"), "host");
  bool host = pu_eq(space, "network") ? s->host_network : s->host_ipc;
  return !host && !pu_starts(mode, "container:");
}

static void sysctl_add(struct ro_spec *s, json_t *out, const char *name, const char *value) {
  PU_AUTO_FREE key = pu_strdup(name);
  for (char *p = strchr(key, '.') ? NULL : key; p && *p; p++)
    *p = *p == '/' ? '.' : *p; /* "net/ipv4/ip_forward" is the same */
  const char *space = sysctl_space(key);
  if (strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") != strlen(key) || strstr(key, "..") || strstr(key, "//"))
    ro_error(s, BERTH_INVALID, "sysctls: \"%.200s\" is no name of a kernel parameter", name);
  else if (!space)
    ro_error(s, BERTH_INVALID, "sysctls: %s is the whole machine's, no container has its own; set it in /etc/sysctl.d of the node", name);
  else if (!own_space(s, space))
    ro_error(s, BERTH_INVALID, "sysctls: %s belongs to the %s namespace, which this container shares; set it where that is", name, space);
  else
    json_object_set_new(out, key, json_string(value));
}

/* Containers of mapped users cannot write what belongs to a network namespace that their monitor made: it writes those itself. */
static void sysctls_out(struct ro_spec *s, json_t *all) {
  json_t *network = json_object(), *v;
  const char *key;
  void *next;
  json_object_foreach_safe(all, next, key, v)
    if (s->userns && pu_starts(key, "net.")) {
      json_object_set(network, key, v);
      json_object_del(all, key);
    }
  if (json_object_size(all))
    json_object_set(s->linux_part, "sysctl", all);
  if (json_object_size(network))
    json_object_set(s->monitor, "sysctls", network);
  json_decref(network);
}

static void sysctls(struct ro_spec *s) {
  PU_AUTO_JSON asked = pu_map(ro_member(s->service, "sysctls"));
  PU_AUTO_JSON out = json_object();
  const char *key;
  json_t *v;
  if (own_space(s, "network")) { /* as Docker: low ports and ping for everyone */
    json_object_set_new(out, "net.ipv4.ip_unprivileged_port_start", json_string("0"));
    if (!s->userns)
      json_object_set_new(out, "net.ipv4.ping_group_range", json_string("0 2147483647"));
  }
  names(s, out);
  json_object_foreach(asked, key, v)
    sysctl_add(s, out, key, json_string_value(v));
  sysctls_out(s, out);
}

void ro_spec_namespaces(struct ro_spec *s) {
  json_object_set_new(s->linux_part, "namespaces", json_array());
  space_add(s, "mount", NULL);
  joined_space(s, "pid", "pid", s->host_pid, pu_str(s->in->spec, "pid"));
  joined_space(s, "ipc", "ipc", s->host_ipc, pu_str(s->in->spec, "ipc"));
  network_space(s);
  other_spaces(s);
  users(s);
  sysctls(s);
}
