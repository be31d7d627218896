#include "config.h"

#include "control/dims.h"

#include <string.h>

#include "base/log.h"
#include "control/internal.h"
#include "plan/devices.h"

/* What a node either can give now or not, where an amount does not say it all: certain devices, a port of a range. A mark tells
 * the planner; it is looked at again whenever something is taken or given on the node. */
struct selector {
  unsigned refs;
  json_t *json; /* of the service that asked first: texts of the devices */
  struct bt_devices devices;
  BT_VEC(struct bt_port) ranges; /* of ports; then the mark says that none is free */
};

static void selector_free(void *arg) {
  struct selector *s = arg;
  bt_devices_free(&s->devices);
  json_decref(s->json);
  bt_vec_each(&s->ranges, r) {
    free(r->protocol);
    free(r->host_ip);
  }
  bt_vec_free(&s->ranges);
  free(s);
}

static void grant_free(void *arg) {
  struct ctl_grant *g = arg;
  json_decref(g->devices);
  json_decref(g->ports);
  free(g);
}

struct ctl_dims *ctl_dims_new(void) {
  struct ctl_dims *d = bt_new(struct ctl_dims);
  d->selectors = bt_map_new(selector_free);
  d->grants = bt_map_new(grant_free);
  d->kept = ctl_group_map();
  d->kept_of = bt_map_new(NULL);
  return d;
}

void ctl_dims_free(struct ctl_dims **dims) {
  struct ctl_dims *d = bt_steal(*dims);
  bt_map_free(&d->selectors);
  bt_map_free(&d->grants);
  bt_map_free(&d->kept_of);
  bt_map_free(&d->kept);
  free(d);
}

void ctl_ties_free(struct ctl_ties *ties) {
  struct bt_strs *all[] = {&ties->marks, &ties->bars, &ties->wants, &ties->follows, &ties->likes};
  for (size_t i = 0; i < BT_COUNT(all); i++)
    bt_strs_free(all[i]);
}

/* ---- names ---- */

static int device_dim(const struct bt_control *c, const char *kind) {
  BT_AUTO_FREE char *name = bt_asprintf("device %s", kind);
  return bt_fleet_dim_find(c->fleet, name);
}

static int resource_dim(const struct bt_control *c, const char *kind) {
  BT_AUTO_FREE char *name = bt_asprintf("resource %s", kind);
  return bt_fleet_dim_find(c->fleet, name);
}

static char *devices_mark(const struct bt_service *s) {
  BT_AUTO_BUF words = {0};
  bt_devices_words(&s->devices, &words);
  return bt_asprintf("devices:%s", words.data ? words.data : "");
}

bool ctl_port_is_range(const struct bt_port *port) { return !port->ingress && port->published_end > port->published; }

/* NULL: it has no ranges. */
static char *ranges_mark(const struct bt_service *s) {
  BT_AUTO_BUF text = {0};
  bt_vec_each(&s->ports, port) {
    if (ctl_port_is_range(port))
      bt_buf_addf(&text, "%s%s/%d-%d%s%s", text.len ? ", " : "ports:", port->protocol, port->published, port->published_end,
                  port->host_ip ? " on " : "", port->host_ip ? port->host_ip : "");
  }
  return bt_steal(text.data);
}

/* ---- what a spec asks for ---- */

void ctl_dims_need(const struct ctl_spec *spec, struct bt_need *need) {
  const struct bt_control *c = spec->rev->app->control;
  const struct bt_service *s = spec->service;
  static const char device[] = "device ", resource[] = "resource ";
  need->request[BT_DIM_DISK] = BT_MIN(BT_MAX(s->reserved.disk, 0), BT_FLEET_MAX);
  need->request[BT_DIM_PIDS] = BT_MIN(BT_MAX(s->reserved.pids, 0), BT_FLEET_MAX);
  for (int d = BT_DIM_FIXED; (s->devices.requests.len || s->devices.generic.len) && d < bt_fleet_dims(c->fleet); d++) {
    const char *name = bt_fleet_dim_name(c->fleet, d);
    need->request[d] = 0;
    if (bt_starts(name, device))
      need->request[d] = bt_devices_of_kind(&s->devices, name + sizeof device - 1);
    bt_vec_each(&s->devices.generic, g) if (bt_starts(name, resource) && bt_streq(g->kind, name + sizeof resource - 1))
        need->request[d] = BT_MIN(need->request[d] + g->value, BT_FLEET_MAX);
  }
}

/* Whether a node can give what the selector is about now, told as a mark. */
static void look(struct bt_control *c, const char *mark, const struct selector *s, struct ctl_node *node) {
  const struct ctl_devices *has = node->devices;
  if (s->ranges.len) {
    BT_AUTO_FREE int *ports = bt_newn(int, s->ranges.len);
    bt_fleet_node_mark(c->fleet, node->number, mark, !ctl_ranges_pick(c, node, s->ranges.items, s->ranges.len, 1, ports));
    return;
  }
  BT_AUTO_FREE uint32_t *out = bt_newn(uint32_t, has ? has->n + 1 : 1);
  bt_fleet_node_mark(c->fleet, node->number, mark, has ? bt_devices_pick(has->items, has->n, &s->devices, out) : !c->dims->declared);
}

static struct selector *selector_new(struct bt_control *c, const char *mark, const struct ctl_spec *spec, bool ports) {
  const struct bt_service *from = spec->service;
  struct selector *s = bt_new(struct selector);
  if (!ports) {
    s->json = json_incref(from->json);
    BT_ASSERT(bt_devices_parse(from->name, s->json, &s->devices, NULL) == 0); /* it was once already */
  }
  for (size_t i = 0; ports && i < from->ports.len; i++) {
    struct bt_port port = from->ports.items[i];
    if (!ctl_port_is_range(&port))
      continue;
    port.protocol = bt_strdup(port.protocol);
    port.host_ip = bt_strdup(port.host_ip);
    bt_vec_push(&s->ranges, port);
  }
  bt_map_set(c->dims->selectors, mark, s);
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    look(c, mark, s, it.value);
  return s;
}

static void use_selector(const struct ctl_spec *spec, const char *mark, bool ports) {
  struct bt_control *c = spec->rev->app->control;
  struct selector *s = bt_map_get(c->dims->selectors, mark);
  if (!s)
    s = selector_new(c, mark, spec, ports);
  s->refs++;
}

static void drop_selector(struct bt_control *c, const char *mark) {
  struct selector *s = bt_map_get(c->dims->selectors, mark);
  if (!s || --s->refs > 0)
    return;
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    bt_fleet_node_mark(c->fleet, ((struct ctl_node *)it.value)->number, mark, false);
  bt_map_del(c->dims->selectors, mark);
}

void ctl_dims_ties(const struct ctl_spec *spec, struct ctl_ties *ties) {
  BT_AUTO_FREE char *ranges = ranges_mark(spec->service);
  if (ranges)
    use_selector(spec, ranges, true);
  if (spec->service->devices.requests.len) {
    BT_AUTO_FREE char *devices = devices_mark(spec->service);
    use_selector(spec, devices, false);
  }
  ctl_dims_ties_again(spec, ties);
}

void ctl_dims_ties_again(const struct ctl_spec *spec, struct ctl_ties *ties) {
  const struct bt_control *c = spec->rev->app->control;
  const struct bt_service *s = spec->service;
  BT_AUTO_FREE char *ranges = ranges_mark(s);
  if (ranges)
    bt_strs_add(&ties->bars, ranges);
  if (s->devices.requests.len) {
    BT_AUTO_FREE char *devices = devices_mark(s);
    if (!bt_devices_plain(&s->devices) || device_dim(c, bt_device_kind(&s->devices.requests.items[0])) < 0)
      bt_strs_add(&ties->wants, devices);
  }
  bt_vec_each(&s->devices.generic, g) if (g->value > 0 && resource_dim(c, g->kind) < 0) {
    BT_AUTO_FREE char *mark = bt_asprintf("resource:%s", g->kind);
    bt_strs_add(&ties->wants, mark);
  }
}

void ctl_dims_forget(const struct ctl_spec *spec) {
  struct bt_control *c = spec->rev->app->control;
  BT_AUTO_FREE char *ranges = ranges_mark(spec->service);
  if (ranges)
    drop_selector(c, ranges);
  if (spec->service->devices.requests.len) {
    BT_AUTO_FREE char *devices = devices_mark(spec->service);
    drop_selector(c, devices);
  }
}

/* ---- what a node has ---- */

static void devices_free(struct ctl_devices *has) {
  for (size_t i = 0; i < has->n; i++)
    free(has->holders[i]);
  free(has->items);
  free(has->holders);
  json_decref(has->of);
  json_decref(has->beyond);
  free(has);
}

void ctl_dims_node_free(struct ctl_node *node) {
  if (node->devices)
    devices_free(node->devices);
  node->devices = NULL;
}

static struct ctl_devices *devices_of(json_t *list) {
  struct ctl_devices *has = bt_new(struct ctl_devices);
  size_t i, k, n = 0;
  json_t *item, *id;
  *has = (struct ctl_devices){.of = json_incref(list), .beyond = json_object()};
  json_array_foreach(list, i, item) n += json_array_size(bt_json_arr(item, "ids"));
  has->items = bt_newn(struct bt_device, n + 1);
  has->holders = bt_newn(char *, n + 1);
  json_array_foreach(list, i, item) json_array_foreach(bt_json_arr(item, "ids"), k, id) if (json_is_string(id))
      has->items[has->n++] = (struct bt_device){.kind = bt_json_str_or(item, "kind", "gpu"),
                                                .driver = bt_json_str(item, "driver"),
                                                .model = bt_json_str(item, "model"),
                                                .capabilities = bt_json_arr(item, "capabilities"),
                                                .id = json_string_value(id)};
  return has;
}

static bool any_declares(const struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    if (((struct ctl_node *)it.value)->devices)
      return true;
  return false;
}

static void take_devices(struct bt_control *c, struct ctl_node *node) {
  json_t *list = bt_json_arr(node->info, "devices");
  if (node->devices && list && json_equal(node->devices->of, list))
    return;
  if (!node->devices && !list)
    return;
  ctl_dims_node_free(node);
  if (list) {
    node->devices = devices_of(list);
    ctl_grants_mark(c, node);
  }
  bool declared = any_declares(c);
  c->dims->grown = c->dims->grown || declared != c->dims->declared;
  c->dims->declared = declared;
}

/* The dimension of that name, made where it is new. */
static void name_dim(struct bt_control *c, const struct ctl_node *node, const char *what, const char *kind) {
  BT_AUTO_FREE char *name = bt_asprintf("%s %s", what, kind);
  int before = bt_fleet_dims(c->fleet), dim = bt_fleet_dim(c->fleet, name);
  c->dims->grown = c->dims->grown || bt_fleet_dims(c->fleet) > before;
  if (dim < 0)
    bt_warn("control", "node %s has the %s, which is one kind too many: %d are counted", node->name, name, BT_FLEET_DIMS - BT_DIM_FIXED);
}

static int64_t of_kind(const struct ctl_devices *has, const char *kind) {
  int64_t n = 0;
  for (size_t i = 0; i < has->n; i++)
    n += bt_streq(has->items[i].kind, kind);
  return n;
}

static void known(int64_t *room, int64_t amount) {
  if (amount > 0)
    *room = BT_MIN(amount, BT_FLEET_MAX);
}

void ctl_dims_room(struct bt_control *c, struct ctl_node *node, int64_t room[BT_FLEET_DIMS]) {
  const json_t *resources = bt_json_obj(node->info, "resources");
  const char *kind;
  json_t *count;
  take_devices(c, node);
  for (size_t i = 0; node->devices && i < node->devices->n; i++)
    name_dim(c, node, "device", node->devices->items[i].kind);
  json_object_foreach((json_t *)(uintptr_t)resources, kind, count) name_dim(c, node, "resource", kind);
  known(&room[BT_DIM_DISK], bt_json_int(node->info, "disk", 0));
  known(&room[BT_DIM_PIDS], bt_json_int(node->info, "pids", 0));
  for (int d = BT_DIM_FIXED; d < bt_fleet_dims(c->fleet); d++) {
    const char *name = bt_fleet_dim_name(c->fleet, d);
    kind = strchr(name, ' ') + 1;
    if (bt_starts(name, "resource "))
      room[d] = BT_MAX(BT_MIN(bt_json_int(resources, kind, 0), BT_FLEET_MAX), 0);
    else if (!node->devices)
      room[d] = c->dims->declared ? 0 : room[d];
    else
      room[d] = BT_MAX(of_kind(node->devices, kind) - bt_json_int(node->devices->beyond, kind, 0), 0);
  }
}

/* A dimension came up: what was asked for by mark alone is asked for by amount now. */
static void ask_again(struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    bt_vec_each(&((struct ctl_app *)it.value)->revs, rev) bt_vec_each(&(*rev)->specs, spec) {
      struct bt_need need = {0};
      if ((*spec)->shape == BT_FLEET_NONE)
        continue;
      ctl_dims_need(*spec, &need);
      for (int d = BT_DIM_FIXED; d < bt_fleet_dims(c->fleet); d++)
        bt_fleet_shape_ask(c->fleet, (*spec)->shape, d, need.request[d]);
    }
  }
}

void ctl_dims_look(struct bt_control *c, struct ctl_node *node) {
  for (struct bt_map_iter it = bt_map_iter(c->dims->selectors); bt_map_next(&it);)
    look(c, it.key, it.value, node);
}

static void mark_resources(struct bt_control *c, struct ctl_node *node) {
  const json_t *resources = bt_json_obj(node->info, "resources");
  for (int d = BT_DIM_FIXED; d < bt_fleet_dims(c->fleet); d++) {
    const char *name = bt_fleet_dim_name(c->fleet, d);
    if (!bt_starts(name, "resource "))
      continue;
    BT_AUTO_FREE char *mark = bt_asprintf("resource:%s", name + strlen("resource "));
    bt_fleet_node_mark(c->fleet, node->number, mark, bt_json_int(resources, name + strlen("resource "), 0) > 0);
  }
}

void ctl_dims_settle(struct bt_control *c, struct ctl_node *node) {
  if (c->dims->grown) {
    c->dims->grown = false;
    for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
      if (it.value != node)
        ctl_fleet_node(c, it.value);
    ask_again(c);
  }
  mark_resources(c, node);
  ctl_dims_look(c, node);
}

json_t *ctl_dims_json(const struct bt_control *c, const struct ctl_node *node) {
  json_t *o = json_object();
  for (int d = BT_DIM_DISK; d < bt_fleet_dims(c->fleet); d++) {
    int64_t used = bt_fleet_node_used(c->fleet, node->number, d), of = used + bt_fleet_node_free(c->fleet, node->number, d);
    const char *name = bt_fleet_dim_name(c->fleet, d), *kind = strchr(name, ' ');
    if (kind && node->devices && bt_starts(name, "device ")) {
      int64_t beyond = bt_json_int(node->devices->beyond, kind + 1, 0);
      of += beyond;
      used += beyond;
    }
    if (used == 0 && (of == 0 || of >= BT_FLEET_MAX))
      continue;
    json_t *item = json_object();
    bt_json_set(item, "of", of >= BT_FLEET_MAX ? json_null() : json_integer(of));
    bt_json_set_int(item, "used", used);
    bt_json_set(o, name, item);
  }
  return o;
}
