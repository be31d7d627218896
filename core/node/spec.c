/* The create spec of an instance, from its assignment and what the node knows: container ids of the instances whose
 * namespaces it shares, mount points, files of secrets. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "node/internal.h"

static struct bt_inst *other(const struct bt_inst *in, const char *id, struct bt_err **err) {
  struct bt_inst *o = id ? bt_map_get(in->agent->instances, id) : NULL;
  if (!o || !o->container_id) {
    bt_err_set(err, BT_UNAVAILABLE, "%s waits for %s, which has no container yet", in->id, id ? id : "another instance");
    return NULL;
  }
  return o;
}

/* "container:<id>" for a namespace shared with another instance. */
static int add_shared(struct bt_inst *in, json_t *spec, const char *which, const char *key, struct bt_err **err) {
  const char *id = bt_json_str(bt_json_obj(bt_inst_doc(in), "co"), which);
  if (!id)
    return 0;
  struct bt_inst *o = other(in, id, err);
  if (!o)
    return -1;
  BT_AUTO_FREE char *value = bt_asprintf("container:%s", o->container_id);
  bt_json_set_str(spec, key, value);
  return 0;
}

static int add_volumes_from(struct bt_inst *in, json_t *spec, struct bt_err **err) {
  json_t *from = bt_json_arr(bt_inst_doc(in), "volumes_from");
  if (!json_array_size(from))
    return 0;
  json_t *list = json_array();
  bt_json_set(spec, "volumes_from", list);
  size_t i;
  json_t *item;
  json_array_foreach(from, i, item) {
    struct bt_inst *o = other(in, bt_json_str(item, "instance"), err);
    if (!o)
      return -1;
    BT_AUTO_FREE char *value = bt_asprintf("%s:%s", o->container_id, bt_json_str_or(item, "mode", "rw"));
    json_array_append_new(list, json_string(value));
  }
  return 0;
}

/* An engine without volume subpaths gets the folder below the volume's mount point as a bind mount. The path is resolved
 * first, and refused where a link leads out of the volume. */
static int subpath_as_bind(struct bt_inst *in, json_t *mount, struct bt_err **err) {
  const char *subpath = bt_json_str(mount, "subpath"), *volume = bt_json_str(mount, "source");
  struct bt_resource *r = bt_map_get(in->agent->volumes, volume);
  if (!r || !r->mountpoint)
    return bt_err_set(err, BT_UNSUPPORTED, "the engine offers no subpath of volume %s", volume);
  BT_AUTO_FREE char *joined = bt_asprintf("%s/%s", r->mountpoint, subpath);
  char real[PATH_MAX], root[PATH_MAX];
  if (!realpath(r->mountpoint, root) || !realpath(joined, real))
    return bt_err_errno(err, BT_NOT_FOUND, errno, "volume %s has no folder %s: make it first", volume, subpath);
  size_t n = strlen(root);
  if (strncmp(real, root, n) != 0 || (real[n] != '/' && real[n] != 0))
    return bt_err_set(err, BT_DENIED, "subpath %s leads out of volume %s", subpath, volume);
  bt_json_set_str(mount, "type", "bind");
  bt_json_set_str(mount, "source", real);
  json_object_del(mount, "subpath");
  json_object_del(mount, "nocopy");
  return 0;
}

static int add_mounts(struct bt_inst *in, json_t *spec, struct bt_err **err) {
  json_t *mounts = json_array();
  bt_json_set(spec, "mounts", mounts);
  size_t i;
  json_t *m;
  json_array_foreach(bt_json_arr(in->klass, "mounts"), i, m) {
    json_t *copy = json_copy(m);
    json_array_append_new(mounts, copy);
    if (bt_json_str(copy, "subpath") && bt_streq(bt_json_str(copy, "type"), "volume") &&
        !bt_agent_feature(in->agent, "volume.subpath") && subpath_as_bind(in, copy, err) < 0)
      return -1;
  }
  bt_content_add_mounts(in, mounts);
  return 0;
}

/* Is a host port in use by another instance of this node (ranges)? */
static bool port_taken(const struct bt_inst *in, long long port) {
  for (struct bt_map_iter it = bt_map_iter(in->agent->instances); bt_map_next(&it);) {
    const struct bt_inst *o = it.value;
    size_t i;
    json_t *p;
    if (o == in)
      continue;
    json_array_foreach(o->ports, i, p) if (bt_json_int(p, "published", 0) == port) return true;
  }
  return false;
}

/* What the server chose for it; 0: nothing. */
static long long port_given(struct bt_inst *in, const json_t *port, const char *range) {
  size_t i;
  json_t *p;
  json_array_foreach(bt_json_arr(bt_inst_doc(in), "published"), i, p)
    if (bt_streq(bt_json_str(p, "range"), range) && bt_json_int(p, "target", 0) == bt_json_int(port, "target", -1) &&
        bt_streq(bt_json_str_or(p, "protocol", "tcp"), bt_json_str_or(port, "protocol", "tcp")) && bt_streq(bt_json_str(p, "host_ip"), bt_json_str(port, "host_ip")))
      return bt_json_int(p, "published", 0);
  return 0;
}

/* "8080-8082": the port of the slot, or the first free one. */
static long long port_of_range(struct bt_inst *in, const char *range) {
  int low = 0, high = 0;
  if (sscanf(range, "%d-%d", &low, &high) != 2 || low < 1 || high > 65535 || high < low)
    return 0;
  int n = high - low + 1;
  int slot = (int)bt_json_int(bt_inst_doc(in), "slot", 1);
  for (int i = 0; i < n; i++) {
    long long port = low + (slot - 1 + i) % n;
    if (!port_taken(in, port))
      return port;
  }
  return low;
}

static void add_ports(struct bt_inst *in, json_t *spec) {
  json_t *ports = bt_json_arr(in->klass, "ports");
  if (!json_array_size(ports))
    return;
  json_t *list = json_array();
  bt_json_set(spec, "ports", list);
  size_t i;
  json_t *p;
  json_array_foreach(ports, i, p) {
    json_t *copy = json_copy(p);
    const char *range = bt_json_str(copy, "published_range");
    long long given = range ? port_given(in, copy, range) : 0;
    if (range)
      bt_json_set_int(copy, "published", given ? given : port_of_range(in, range));
    json_object_del(copy, "published_range");
    json_array_append_new(list, copy);
  }
  /* Known before the engine says so: a sibling that is created meanwhile takes another port of the range. */
  if (!in->ports)
    in->ports = json_incref(list);
}

static json_t *all_labels(struct bt_inst *in) {
  json_t *labels = json_copy(bt_json_obj(in->klass, "labels"));
  if (!labels)
    labels = json_object();
  char slot[16];
  snprintf(slot, sizeof slot, "%d", (int)bt_json_int(bt_inst_doc(in), "slot", 1));
  bt_json_set_str(labels, "berth.server", in->agent->server_id);
  bt_json_set_str(labels, "berth.instance", in->id);
  bt_json_set_str(labels, "berth.slot", slot);
  bt_json_set_str(labels, "berth.hash", bt_json_str(in->klass, "hash"));
  return labels;
}

/* The devices that the server chose take the place of what the file asks for. */
static void give_devices(json_t *service, const json_t *chosen) {
  json_t *list = json_deep_copy(chosen), *deploy = json_copy(bt_json_obj(service, "deploy")), *resources = json_copy(bt_json_obj(deploy, "resources")),
         *reserved = json_copy(bt_json_obj(resources, "reservations"));
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) json_object_del(item, "kind");
  deploy = deploy ? deploy : json_object();
  resources = resources ? resources : json_object();
  reserved = reserved ? reserved : json_object();
  bt_json_set(reserved, "devices", list);
  bt_json_set(resources, "reservations", reserved);
  bt_json_set(deploy, "resources", resources);
  bt_json_set(service, "deploy", deploy);
  json_object_del(service, "gpus");
}

/* The service; variables of this instance alone stand beneath those of the file. New reference. */
static json_t *service_of(struct bt_inst *in) {
  const json_t *doc = bt_inst_doc(in), *devices = bt_json_arr(doc, "devices");
  json_t *service = bt_json_obj(in->klass, "service"), *own = bt_json_obj(doc, "environment");
  if (!service || (!own && !devices))
    return json_incref(service);
  json_t *copy = json_copy(service), *file = bt_json_obj(service, "environment");
  if (own) {
    json_t *all = json_copy(own);
    if (file)
      json_object_update(all, file);
    bt_json_set(copy, "environment", all);
  }
  if (devices)
    give_devices(copy, devices);
  return copy;
}

char *bt_inst_spec(struct bt_inst *in, const char *image_id, struct bt_err **err) {
  BT_AUTO_JSON spec = json_object();
  bt_json_set_str(spec, "name", bt_json_str_or(bt_inst_doc(in), "container_name", in->id));
  bt_json_set_str(spec, "image", image_id);
  bt_json_set(spec, "labels", all_labels(in));
  bt_json_set(spec, "service", service_of(in));
  const char *mode = bt_json_str(in->klass, "network_mode");
  if (mode)
    bt_json_set_str(spec, "network_mode", mode);
  else if (json_array_size(bt_json_arr(bt_inst_doc(in), "networks")))
    json_object_set(spec, "networks", bt_json_arr(bt_inst_doc(in), "networks"));
  static const char *const kept[] = {"pid", "ipc"};
  for (size_t i = 0; i < BT_COUNT(kept); i++)
    bt_json_set_str(spec, kept[i], bt_json_str(in->klass, kept[i]));
  if (add_shared(in, spec, "network", "network_mode", err) < 0 || add_shared(in, spec, "pid", "pid", err) < 0 ||
      add_shared(in, spec, "ipc", "ipc", err) < 0 || add_volumes_from(in, spec, err) < 0 || add_mounts(in, spec, err) < 0)
    return NULL;
  add_ports(in, spec);
  return bt_json_text(spec);
}
