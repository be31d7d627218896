/* Devices: nodes to be made, and what the control group lets through. */
#include "config.h"
#include <stdio.h>

#include "parts.h"

static void rule(json_t *list, bool allow, const char *type, int64_t major, int64_t minor, const char *access) {
  json_t *o = json_pack("{s:b, s:s}", "allow", (int)allow, "access", access);
  if (type)
    json_object_set_new(o, "type", json_string(type));
  if (major >= 0)
    json_object_set_new(o, "major", json_integer((json_int_t)major));
  if (minor >= 0)
    json_object_set_new(o, "minor", json_integer((json_int_t)minor));
  json_array_append_new(list, o);
}

/* What every container may: make nodes, and use those that the OCI runtime puts into /dev. */
static void usual_rules(json_t *list) {
  static const int usual[][2] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}};
  rule(list, false, NULL, -1, -1, "rwm");
  rule(list, true, "c", -1, -1, "m");
  rule(list, true, "b", -1, -1, "m");
  for (size_t i = 0; i < PU_COUNT(usual); i++)
    rule(list, true, "c", usual[i][0], usual[i][1], "rwm");
  rule(list, true, "c", 136, -1, "rwm");
}

static bool access_sound(const char *access) { return *access && strlen(access) <= 3 && strspn(access, "rwm") == strlen(access); }

static void node_add(struct ro_spec *s, json_t *rules, const char *target, const json_t *node, const char *access) {
  json_t *list = json_object_get(s->linux_part, "devices");
  const char *type = pu_str_or(node, "type", "c");
  int64_t major = pu_int(node, "major", 0), minor = pu_int(node, "minor", 0);
  if (!list)
    json_object_set_new(s->linux_part, "devices", list = json_array());
  json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I}", "path", target, "type", type, "major", (json_int_t)major, "minor", (json_int_t)minor, "fileMode",
                        (json_int_t)pu_int(node, "mode", 0660));
  json_object_set_new(o, "uid", json_integer(pu_int(node, "uid", 0)));
  json_object_set_new(o, "gid", json_integer(pu_int(node, "gid", 0)));
  json_array_append_new(list, o);
  if (rules)
    rule(rules, true, type, major, minor, access);
}

/* A folder of devices ("/dev/snd") stands for all that are in it. */
static void device_add(struct ro_spec *s, json_t *rules, const char *source, const char *target, const char *access) {
  const json_t *found = pu_obj(pu_obj(s->in->found, "devices"), source), *nodes = pu_obj(found, "nodes");
  PU_AUTO_FREE clean = ro_clean(target);
  const char *path;
  json_t *node;
  if (!found) {
    ro_error(s, BERTH_INVALID, "devices: %s is no device of this machine", source);
    return;
  }
  if (!access_sound(access) || *target != '/' || pu_eq(clean, "/")) {
    ro_error(s, BERTH_INVALID, "devices: %s:%s:%s: it is a path on the machine, one in the container, and letters of \"rwm\"", source, target, access);
    return;
  }
  if (!nodes)
    node_add(s, rules, clean, found, access);
  json_object_foreach((json_t *)(uintptr_t)nodes, path, node) {
    if (!pu_starts(path, source))
      continue;
    PU_AUTO_FREE below = pu_asprintf("%s%s", clean, path + strlen(source));
    node_add(s, rules, below, node, access);
  }
}

/* "/dev/a[:/dev/b[:rwm]]" or {"source","target","permissions"}. */
static void device_read(struct ro_spec *s, json_t *rules, const json_t *v) {
  PU_AUTO_FREE text = pu_strdup(json_is_string(v) ? json_string_value(v) : pu_str_or(v, "source", ""));
  const char *target = pu_str(v, "target"), *access = pu_str(v, "permissions");
  char *colon = json_is_string(v) ? strchr(text, ':') : NULL, *second = colon ? strchr(colon + 1, ':') : NULL;
  if (second) {
    *second = '\0';
    access = second + 1;
  }
  if (colon) {
    *colon = '\0';
    target = colon + 1;
    if (!second && access_sound(target)) { /* "/dev/a:r" */
      access = target;
      target = NULL;
    }
  }
  if (*text != '/')
    ro_error(s, BERTH_UNSUPPORTED, "devices: \"%s\" is no path of a device; names of other kinds (CDI) are not known to runtime-oci", text);
  else
    device_add(s, rules, text, target && *target ? target : text, access && *access ? access : "rwm");
}

/* "c 1:3 mr", "a *:* rwm" */
static void rule_read(struct ro_spec *s, json_t *rules, const char *text) {
  char type, major[16], minor[16], access[8];
  int end = 0;
  bool read = sscanf(text, "%c %15[0-9*]:%15[0-9*] %7[rwm]%n", &type, major, minor, access, &end) == 4 && !text[end];
  bool stars = read && (pu_eq(major, "*") || !strchr(major, '*')) && (pu_eq(minor, "*") || !strchr(minor, '*'));
  if (!stars || !strchr("abc", type) || !access_sound(access)) {
    ro_error(s, BERTH_INVALID, "device_cgroup_rules: \"%s\" is no rule such as \"c 1:3 mr\"", text);
    return;
  }
  const char kind[] = {type, '\0'};
  rule(rules, true, kind, *major == '*' ? -1 : strtoll(major, NULL, 10), *minor == '*' ? -1 : strtoll(minor, NULL, 10), access);
}

/* Devices by what they can do need a driver's own tools in the container, of which runtime-oci has none. */
static void requests(struct ro_spec *s) {
  const json_t *reserved = pu_obj(pu_obj(pu_obj(s->service, "deploy"), "resources"), "reservations");
  if (json_array_size(pu_arr(reserved, "devices")))
    ro_error(s, BERTH_UNSUPPORTED, "deploy.resources.reservations.devices: runtime-oci has no driver of such devices; name their nodes under devices, or use a "
                                   "runtime that has one");
  if (ro_member(s->service, "gpus"))
    ro_error(s, BERTH_UNSUPPORTED, "gpus: runtime-oci has no driver of GPUs; name their nodes under devices, or use a runtime that has one");
}

/* All devices of the machine, but for its terminals and what the OCI runtime makes anew. */
static void all_devices(struct ro_spec *s) {
  const json_t *nodes = pu_obj(pu_obj(pu_obj(s->in->found, "devices"), "/dev"), "nodes");
  static const char *const left[] = {"/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/console", "/dev/ptmx", "/dev/null", "/dev/zero", "/dev/full",
                                     "/dev/random", "/dev/urandom", "/dev/tty"};
  const char *path;
  json_t *node;
  json_object_foreach((json_t *)(uintptr_t)nodes, path, node) {
    bool leave = false;
    for (size_t i = 0; i < PU_COUNT(left) && !leave; i++)
      leave = ro_below(path, left[i]);
    if (!leave)
      node_add(s, NULL, path, node, "rwm");
  }
}

void ro_spec_devices(struct ro_spec *s) {
  json_t *rules = json_array(), *v;
  PU_AUTO_JSON more = pu_strings(ro_member(s->service, "device_cgroup_rules"));
  size_t i;
  json_object_set_new(json_object_get(s->linux_part, "resources"), "devices", rules);
  if (s->privileged)
    rule(rules, true, NULL, -1, -1, "rwm");
  else
    usual_rules(rules);
  if (s->privileged)
    all_devices(s);
  json_array_foreach(json_object_get(s->service, "devices"), i, v)
    device_read(s, s->privileged ? NULL : rules, v);
  if (!s->privileged)
    json_array_foreach(more, i, v)
      rule_read(s, rules, json_string_value(v));
  requests(s);
}
