#include "config.h"

#include <string.h>

#include "base/plant.h"
#include "control/internal.h"

/* The instance of another service that one shares something with: the same slot, else the last one there is. */
const struct ctl_inst *ctl_partner(const struct ctl_inst *inst, const char *service) {
  const struct ctl_service *other = service ? ctl_service_find(inst->service->app, service) : NULL;
  const struct ctl_inst *best = NULL;
  if (other)
    bt_vec_each(&other->insts, i) {
      const struct ctl_inst *it = *i;
      if (it->leaving || it->slot > inst->slot)
        continue;
      /* The youngest one of a slot is the one that stays when an update ends. */
      if (!best || it->slot > best->slot || (it->slot == best->slot && it->created_ms >= best->created_ms))
        best = it;
    }
  return best;
}

void ctl_link_aliases(const struct ctl_spec *spec, json_t *aliases) {
  const struct ctl_named *named = ctl_rev_named(spec->rev, spec->service->name);
  for (size_t i = 0; named && i < named->aliases.len; i++)
    json_array_append_new(aliases, bt_json_string(named->aliases.items[i]));
}

static json_t *network_json(const struct ctl_spec *spec, const struct bt_net_use *use) {
  static const char *const keys[] = {"ipv4_address", "ipv6_address", "mac_address", "link_local_ips", "driver_opts"};
  json_t *n = json_object(), *aliases = json_array();
  bool external;
  BT_AUTO_FREE char *name = ctl_network_name(spec->rev, use->network, &external);
  bt_json_set_str(n, "name", name);
  json_array_append_new(aliases, json_string(spec->service->name));
  json_t *own = bt_json_arr(use->json, "aliases");
  if (own)
    json_array_extend(aliases, own);
  ctl_link_aliases(spec, aliases);
  bt_json_set(n, "aliases", aliases);
  for (size_t i = 0; i < BT_COUNT(keys); i++) {
    json_t *value = json_object_get(use->json, keys[i]);
    if (value && !json_is_null(value))
      json_object_set(n, keys[i], value);
  }
  return n;
}

static json_t *networks_json(const struct ctl_spec *spec) {
  json_t *list = json_array();
  BT_AUTO_FREE const struct bt_net_use **sorted = bt_calloc(spec->service->networks.len + 1, sizeof *sorted);
  size_t n = 0;
  bt_vec_each(&spec->service->networks, use) {
    long long priority = bt_json_int(use->json, "priority", 0);
    size_t at = n++;
    for (; at > 0 && bt_json_int(sorted[at - 1]->json, "priority", 0) < priority; at--)
      sorted[at] = sorted[at - 1];
    sorted[at] = use;
  }
  for (size_t i = 0; i < n; i++)
    json_array_append_new(list, network_json(spec, sorted[i]));
  return list;
}

static void set_partner(json_t *o, const char *key, const struct ctl_inst *inst, const char *service) {
  const struct ctl_inst *with = ctl_partner(inst, service);
  if (with)
    bt_json_set_str(o, key, with->id);
}

static json_t *volumes_from_json(const struct ctl_inst *inst) {
  json_t *list = json_array();
  bt_vec_each(&inst->spec->service->volumes_from, from) {
    const struct ctl_inst *with = ctl_partner(inst, from->service);
    if (!with)
      continue;
    json_t *item = json_object();
    bt_json_set_str(item, "instance", with->id);
    bt_json_set_str(item, "mode", from->mode);
    json_array_append_new(list, item);
  }
  return list;
}

/* What the assignments of a spec's instances have in common, with room for the rest in the order of messages.md. Made once: copies share its
 * values. */
static json_t *common(struct ctl_spec *spec) {
  const struct bt_service *s = spec->service;
  if (spec->common)
    return spec->common;
  json_t *a = spec->common = json_object();
  bt_json_set(a, "instance", json_null());
  bt_json_set_str(a, "namespace", spec->rev->app->ns);
  bt_json_set_str(a, "app", spec->rev->app->name);
  bt_json_set_str(a, "service", s->name);
  bt_json_set_int(a, "slot", 0);
  bt_json_set_int(a, "revision", spec->rev->number);
  bt_json_set(a, "container_name", s->container_name ? bt_json_string(s->container_name) : json_null());
  bt_json_set_str(a, "image", spec->pinned);
  bt_json_set_str(a, "image_ref", spec->image);
  bt_json_set_str(a, "pull", spec->pull);
  json_object_set(a, "class", ctl_spec_class(spec));
  bt_json_set(a, "networks", networks_json(spec));
  bt_json_set(a, "co", json_object());
  bt_json_set(a, "volumes_from", json_array());
  return a;
}

static void set_partners(json_t *a, const struct ctl_inst *inst) {
  const struct bt_service *s = inst->spec->service;
  if (s->co_network || s->co_pid || s->co_ipc) {
    json_t *co = json_object();
    set_partner(co, "network", inst, s->co_network);
    set_partner(co, "pid", inst, s->co_pid);
    set_partner(co, "ipc", inst, s->co_ipc);
    bt_json_set(a, "co", co);
  }
  if (s->volumes_from.len)
    bt_json_set(a, "volumes_from", volumes_from_json(inst));
}

json_t *ctl_assignment(const struct ctl_inst *inst) {
  const struct ctl_seen *seen = ctl_seen(inst);
  json_t *a = json_copy(common(inst->spec)), *id = bt_json_string(inst->id);
  bt_json_set(a, "instance", id);
  bt_json_set_int(a, "slot", inst->slot);
  if (inst->revision != inst->spec->rev->number)
    bt_json_set_int(a, "revision", inst->revision);
  if (!inst->spec->service->container_name)
    json_object_set(a, "container_name", id);
  set_partners(a, inst);
  ctl_grant_json(inst, a);
  json_t *env = ctl_job_env(inst);
  if (env)
    bt_json_set(a, "environment", env);
  bt_json_set_int(a, "restarts", seen->restarts);
  bt_json_set_int(a, "failures", seen->failures);
  bt_json_set_int(a, "next_start_ms", seen->next_start_ms);
  if (inst->ended || (inst->leaving && !BT_PLANT(LEAVING_MADE))) /* an agent that knows nothing of it must not make anew what is about to go */
    bt_json_set_bool(a, "ended", true);
  return a;
}

/* ---- assign messages ---- */

/* What an assignment has that its spec's others have not; "common" as it was then. */
struct bt_assign {
  json_t *common;
  int slot;
  const char *id;
  char node[]; /* and behind its end the id */
};

/* Whether nothing else of an assignment is its instance's own: so with nearly all that begin. */
static bool is_plain(const struct ctl_inst *inst) {
  const struct bt_service *s = inst->spec->service;
  bool alone = !s->co_network && !s->co_pid && !s->co_ipc && !s->volumes_from.len && !bt_service_is_job(s);
  return alone && !inst->seen && !inst->ended && !inst->leaving && inst->revision == inst->spec->rev->number && !ctl_grant_of(inst);
}

static json_t *assign_message(json_t *assignment_steal) {
  json_t *m = json_object();
  bt_json_set_str(m, "type", "assign");
  bt_json_set(m, "instance", assignment_steal);
  return m;
}

void ctl_send_assign(const struct ctl_inst *inst, const struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  if (!node->connected)
    return;
  if (!is_plain(inst)) {
    ctl_send_to(c, node, assign_message(ctl_assignment(inst)));
    return;
  }
  size_t name = strlen(node->name) + 1, id = strlen(inst->id) + 1;
  struct bt_assign *a = bt_calloc(1, sizeof *a + name + id);
  a->common = json_incref(common(inst->spec));
  a->slot = inst->slot;
  memcpy(a->node, node->name, name);
  a->id = memcpy(a->node + name, inst->id, id);
  bt_vec_push(&c->fx->sends, ((struct bt_send){.node = a->node, .assign = a}));
}

void ctl_assign_free(struct bt_assign *assign) {
  json_decref(assign->common);
  free(assign);
}

static bool is_kept(const json_t *value) { return value->refcount > 1; }

/* What the pen has last, where it may be written over. */
static json_t *alike(const struct bt_pen *pen, const struct bt_assign *assign) {
  if (!pen || pen->common != assign->common || is_kept(pen->message) || is_kept(bt_json_obj(pen->message, "instance")))
    return NULL;
  return json_incref(pen->message);
}

static json_t *first_alike(struct bt_pen *pen, const struct bt_assign *assign) {
  static const char *const zeros[] = {"restarts", "failures", "next_start_ms"};
  json_t *a = json_copy(assign->common), *m = assign_message(a);
  for (size_t i = 0; i < BT_COUNT(zeros); i++)
    bt_json_set_int(a, zeros[i], 0);
  if (pen) {
    bt_pen_free(pen);
    *pen = (struct bt_pen){json_incref(m), json_incref(assign->common)};
  }
  return m;
}

json_t *bt_send_message(const struct bt_send *send, struct bt_pen *pen) {
  const struct bt_assign *assign = send->assign;
  if (!assign)
    return json_incref(send->message);
  json_t *m = alike(pen, assign);
  if (!m)
    m = first_alike(pen, assign);
  json_t *a = bt_json_obj(m, "instance"), *id = bt_json_string(assign->id);
  bt_json_set(a, "instance", id);
  bt_json_set_int(a, "slot", assign->slot);
  if (json_is_null(json_object_get(assign->common, "container_name")))
    json_object_set(a, "container_name", id);
  return m;
}

void bt_pen_free(struct bt_pen *pen) {
  json_decref(pen->message);
  json_decref(pen->common);
  *pen = (struct bt_pen){0};
}
