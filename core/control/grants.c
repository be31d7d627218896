#include "config.h"

#include "control/dims.h"

#include <strings.h>

#include "base/plant.h"
#include "control/internal.h"
#include "plan/devices.h"

/* ---- ports ---- */

static bool any_address(const char *ip) { return !ip || !*ip || bt_streq(ip, "0.0.0.0") || bt_streq(ip, "::"); }

/* On all addresses: nobody else has it on any. On one: nobody has it there or on all. */
void ctl_port_ties(const char *protocol, const char *host_ip, int port, struct bt_strs *marks, struct bt_strs *bars) {
  BT_AUTO_FREE char *any = bt_asprintf("port:%.8s/%d", protocol, port);
  BT_AUTO_FREE char *all = bt_asprintf("%s on all addresses", any);
  bt_strs_add(marks, any);
  if (any_address(host_ip)) {
    bt_strs_add(marks, all);
    bt_strs_add(bars, any);
    return;
  }
  BT_AUTO_FREE char *one = bt_asprintf("%s on %s", any, host_ip);
  bt_strs_add(marks, one);
  bt_strs_add(bars, one);
  bt_strs_add(bars, all);
}

static bool port_free(const struct bt_control *c, const struct ctl_node *node, const struct bt_port *range, int port) {
  struct bt_strs marks = {0}, bars = {0};
  bool free_ = true;
  ctl_port_ties(range->protocol, range->host_ip, port, &marks, &bars);
  bt_vec_each(&bars, bar) free_ = free_ && bt_fleet_node_has(c->fleet, node->number, *bar) == 0;
  bt_strs_free(&marks);
  bt_strs_free(&bars);
  return free_;
}

static bool clashes(const struct bt_port *a, const struct bt_port *b) {
  return bt_streq(a->protocol, b->protocol) && (any_address(a->host_ip) || any_address(b->host_ip) || bt_streq(a->host_ip, b->host_ip));
}

bool ctl_ranges_pick(const struct bt_control *c, const struct ctl_node *node, const struct bt_port *ranges, size_t n, int slot, int *out) {
  for (size_t r = 0; r < n; r++) {
    int size = ranges[r].published_end - ranges[r].published + 1;
    out[r] = 0;
    for (int k = 0; k < size && !out[r]; k++) {
      int port = ranges[r].published + (BT_MAX(slot, 1) - 1 + k) % size;
      bool mine = false;
      for (size_t i = 0; i < r; i++)
        mine = mine || (out[i] == port && clashes(&ranges[i], &ranges[r]));
      if (!mine && port_free(c, node, &ranges[r], port))
        out[r] = port;
    }
    if (!out[r])
      return false;
  }
  return true;
}

static json_t *port_json(const struct bt_port *range, int port) {
  json_t *o = json_object();
  BT_AUTO_FREE char *text = bt_asprintf("%d-%d", range->published, range->published_end);
  bt_json_set_int(o, "target", range->target);
  bt_json_set_str(o, "range", text);
  bt_json_set_str(o, "host_ip", range->host_ip);
  bt_json_set_str(o, "protocol", range->protocol);
  bt_json_set_int(o, "published", port);
  return o;
}

static bool take_ports(struct bt_control *c, const struct bt_service *s, const struct ctl_node *node, int slot, struct ctl_grant *g) {
  BT_VEC(struct bt_port) ranges = {0};
  bt_vec_each(&s->ports, port) if (ctl_port_is_range(port)) bt_vec_push(&ranges, *port);
  BT_AUTO_FREE int *out = bt_newn(int, ranges.len + 1);
  bool got = ctl_ranges_pick(c, node, ranges.items, ranges.len, slot, out);
  for (size_t i = 0; got && i < ranges.len; i++) {
    if (!g->ports)
      g->ports = json_array();
    json_array_append_new(g->ports, port_json(&ranges.items[i], out[i]));
  }
  bt_vec_free(&ranges);
  return got;
}

static void tally_ports(struct bt_control *c, const struct ctl_grant *g, bool more) {
  size_t i;
  json_t *p;
  json_array_foreach(g->ports, i, p) {
    struct bt_strs marks = {0}, bars = {0};
    ctl_port_ties(bt_json_str_or(p, "protocol", "tcp"), bt_json_str(p, "host_ip"), (int)bt_json_int(p, "published", 0), &marks, &bars);
    bt_vec_each(&marks, mark) bt_fleet_node_tally(c->fleet, g->node->number, *mark, more);
    bt_strs_free(&marks);
    bt_strs_free(&bars);
  }
}

/* ---- devices ---- */

/* What the engine is to be asked for: capabilities that it may know, ids that are its own. */
static json_t *request_json(const struct bt_device_request *r, const json_t *said, const struct ctl_devices *has, const uint32_t *out, uint32_t number) {
  json_t *o = json_object(), *ids = json_array(), *capabilities = json_array();
  const char *driver = r->driver, *kind = NULL;
  for (size_t i = 0; i < has->n; i++) {
    if (out[i] != number)
      continue;
    json_array_append_new(ids, json_string(has->items[i].id));
    driver = driver && *driver ? driver : has->items[i].driver;
    kind = kind ? kind : has->items[i].kind;
  }
  bt_vec_each(&r->capabilities, c) {
    bool model = false;
    for (size_t i = 0; i < has->n; i++)
      model = model || (has->items[i].model && strcasecmp(has->items[i].model, *c) == 0);
    if (!model)
      json_array_append_new(capabilities, json_string(*c));
  }
  bt_json_set_str(o, "kind", kind);
  bt_json_set_str(o, "driver", driver);
  bt_json_set(o, "capabilities", capabilities);
  bt_json_set(o, "device_ids", ids);
  json_t *options = bt_json_obj(said, "options");
  if (options)
    json_object_set(o, "options", options);
  return o;
}

static bool take_devices(const struct ctl_spec *spec, const struct ctl_node *node, struct ctl_grant *g) {
  const struct bt_devices *want = &spec->service->devices;
  const struct ctl_devices *has = node->devices;
  const json_t *json = spec->service->json;
  const json_t *said = bt_json_arr(bt_json_obj(bt_json_obj(bt_json_obj(json, "deploy"), "resources"), "reservations"), "devices");
  if (!want->requests.len || !has)
    return true;
  BT_AUTO_FREE uint32_t *out = bt_newn(uint32_t, has->n + 1);
  if (!bt_devices_pick(has->items, has->n, want, out))
    return false;
  g->devices = json_array();
  for (uint32_t r = 0; r < want->requests.len; r++) {
    size_t first = json_array_size(said); /* those of "gpus" come after them */
    const json_t *from = r < first ? json_array_get(said, r) : json_array_get(bt_json_arr(json, "gpus"), r - first);
    json_array_append_new(g->devices, request_json(&want->requests.items[r], from, has, out, r + 1));
  }
  return true;
}

static void set_holder(struct ctl_devices *has, const char *kind, const char *id, const char *key, bool take) {
  if (kind) { /* of a request that got devices of two kinds only one is written down */
    bool there = false;
    for (size_t i = 0; i < has->n; i++)
      there = there || (bt_streq(has->items[i].id, id) && bt_streq(has->items[i].kind, kind));
    kind = there ? kind : NULL;
  }
  for (size_t i = 0; i < has->n; i++) {
    if (!bt_streq(has->items[i].id, id) || (kind && !bt_streq(has->items[i].kind, kind)))
      continue;
    if (BT_PLANT(DEVICE_SHARED))
      return;
    if (take ? has->holders[i] != NULL : !bt_streq(has->holders[i], key))
      continue;
    bt_str_set(&has->holders[i], take ? key : NULL);
    has->items[i].taken = take;
    return;
  }
}

static void hold_devices(const struct ctl_grant *g, const char *key, bool take) {
  size_t i, k;
  json_t *request, *id;
  if (!g->node->devices)
    return;
  json_array_foreach(g->devices, i, request) json_array_foreach(bt_json_arr(request, "device_ids"), k, id)
      set_holder(g->node->devices, bt_json_str(request, "kind"), json_string_value(id), key, take);
}

/* The planner counts what services ask for by amount; "all" and the like take more, and that is taken off the node's room. */
static bool count_beyond(struct ctl_grant *g, const struct bt_service *s, bool take) {
  struct ctl_devices *has = g->node->devices;
  BT_AUTO_JSON kinds = json_object();
  size_t i;
  const char *kind;
  json_t *n, *request;
  bool any = false;
  if (!has)
    return false;
  json_array_foreach(g->devices, i, request) {
    kind = bt_json_str_or(request, "kind", "");
    bt_json_set_int(kinds, kind, bt_json_int(kinds, kind, 0) + (long long)json_array_size(bt_json_arr(request, "device_ids")));
  }
  json_object_foreach(kinds, kind, n) {
    int64_t beyond = json_integer_value(n) - bt_devices_of_kind(&s->devices, kind);
    if (beyond == 0)
      continue;
    bt_json_set_int(has->beyond, kind, bt_json_int(has->beyond, kind, 0) + (take ? beyond : -beyond));
    any = true;
  }
  return any;
}

/* ---- taking and giving ---- */

static bool publishes(const struct bt_service *s) {
  bt_vec_each(&s->ports, port) if (!port->ingress && port->published > 0) return true;
  return false;
}

static bool wants_any(const struct bt_service *s) {
  if (s->devices.requests.len)
    return true;
  bt_vec_each(&s->ports, port) if (ctl_port_is_range(port)) return true;
  return false;
}

bool ctl_grant_wanted(const struct ctl_spec *spec) { return wants_any(spec->service); }

static void move(struct bt_control *c, const struct ctl_spec *spec, struct ctl_grant *g, const char *key, bool take) {
  g->held = take;
  hold_devices(g, key, take);
  tally_ports(c, g, take);
  if (count_beyond(g, spec->service, take))
    ctl_fleet_node(c, g->node);
  else
    ctl_dims_look(c, g->node);
}

bool ctl_grant_take(struct bt_control *c, const struct ctl_spec *spec, struct ctl_node *node, int slot, const char *key) {
  if (!wants_any(spec->service)) {
    if (bt_map_len(c->dims->selectors) && publishes(spec->service))
      ctl_dims_look(c, node);
    return true;
  }
  struct ctl_grant *g = bt_new(struct ctl_grant);
  g->node = node;
  if (!take_devices(spec, node, g) || !take_ports(c, spec->service, node, slot, g)) {
    json_decref(g->devices);
    json_decref(g->ports);
    free(g);
    return false;
  }
  bt_map_set(c->dims->grants, key, g);
  move(c, spec, g, key, true);
  return true;
}

/* Of one that was there before ports were remembered: what the engine published. */
static void grant_of_report(struct bt_control *c, const struct ctl_inst *inst, struct ctl_node *node) {
  struct ctl_grant *g = NULL;
  size_t i;
  json_t *p;
  bt_vec_each(&inst->spec->service->ports, port) json_array_foreach(ctl_seen(inst)->ports, i, p) {
    long long published = bt_json_int(p, "published", 0);
    if (!ctl_port_is_range(port) || bt_json_int(p, "target", 0) != port->target || published < port->published || published > port->published_end ||
        !bt_streq(bt_json_str_or(p, "protocol", "tcp"), port->protocol))
      continue;
    if (!g) {
      g = bt_new(struct ctl_grant);
      *g = (struct ctl_grant){.node = node, .ports = json_array()};
      bt_map_set(c->dims->grants, inst->id, g);
    }
    json_array_append_new(g->ports, port_json(port, (int)published));
    break;
  }
}

void ctl_grant_hold(struct ctl_inst *inst, struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  if (!wants_any(inst->spec->service)) {
    if (bt_map_len(c->dims->selectors) && publishes(inst->spec->service))
      ctl_dims_look(c, node);
    return;
  }
  if (!bt_map_get(c->dims->grants, inst->id))
    grant_of_report(c, inst, node);
  struct ctl_grant *g = bt_map_get(c->dims->grants, inst->id);
  if (!g || g->held)
    return;
  g->node = node;
  move(c, inst->spec, g, inst->id, true);
}

void ctl_grant_give(struct bt_control *c, const struct ctl_spec *spec, struct ctl_node *node, const char *key) {
  if (!wants_any(spec->service)) {
    if (node && bt_map_len(c->dims->selectors) && publishes(spec->service))
      ctl_dims_look(c, node);
    return;
  }
  struct ctl_grant *g = bt_map_get(c->dims->grants, key);
  if (g && g->held)
    move(c, spec, g, key, false);
}

void ctl_grant_forget(struct bt_control *c, const char *key) {
  if (bt_map_len(c->dims->grants))
    bt_map_del(c->dims->grants, key);
}

void ctl_grants_mark(struct bt_control *c, struct ctl_node *node) {
  for (struct bt_map_iter it = bt_map_iter(c->dims->grants); bt_map_next(&it);) {
    struct ctl_grant *g = it.value;
    const struct ctl_inst *inst = ctl_inst_find(c, it.key);
    if (g->node != node || !g->held || !inst)
      continue;
    hold_devices(g, it.key, true);
    count_beyond(g, inst->spec->service, true);
  }
}

/* ---- forms ---- */

const struct ctl_grant *ctl_grant_of(const struct ctl_inst *inst) {
  const struct bt_control *c = inst->service->app->control;
  return bt_map_len(c->dims->grants) ? bt_map_get(c->dims->grants, inst->id) : NULL;
}

void ctl_grant_json(const struct ctl_inst *inst, json_t *o) {
  const struct ctl_grant *g = ctl_grant_of(inst);
  if (g && g->devices)
    json_object_set(o, "devices", g->devices);
  if (g && g->ports)
    json_object_set(o, "published", g->ports);
}

void ctl_grant_load(struct bt_control *c, const char *id, const json_t *o) {
  json_t *devices = bt_json_arr(o, "devices"), *ports = bt_json_arr(o, "published");
  if ((!json_array_size(devices) && !json_array_size(ports)) || BT_PLANT(DEVICES_FORGOTTEN))
    return;
  struct ctl_grant *g = bt_new(struct ctl_grant);
  *g = (struct ctl_grant){.devices = json_array_size(devices) ? json_deep_copy(devices) : NULL,
                          .ports = json_array_size(ports) ? json_deep_copy(ports) : NULL};
  bt_map_set(c->dims->grants, id, g);
}
