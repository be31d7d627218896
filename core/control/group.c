/* Services that live in the namespaces or with the volumes of another are placed as one: the node is chosen for all of them, and what
 * the others need is kept there until they come. */
#include "config.h"

#include <stdio.h>

#include "control/internal.h"

#define MEMBERS 16

/* Kept for an instance that is still to come: by "ns/app/service/slot". Leads and specs that go find theirs by chains. */
struct ctl_kept {
  struct ctl_spec *spec;
  struct ctl_node *node;
  uint32_t seat;
  char *key, *lead; /* lead: id of the instance whose group it is of */
  struct ctl_kept *of_lead[2], *of_spec[2]; /* before and behind it; the first ones: dims->kept_of, spec->kept */
};

static void kept_free(void *arg) {
  struct ctl_kept *k = arg;
  free(k->key);
  free(k->lead);
  free(k);
}

struct bt_map *ctl_group_map(void) { return bt_map_new(kept_free); }

static void link_up(struct bt_control *c, struct ctl_kept *k) {
  k->of_lead[1] = bt_map_get(c->dims->kept_of, k->lead);
  if (k->of_lead[1])
    k->of_lead[1]->of_lead[0] = k;
  bt_map_set(c->dims->kept_of, k->lead, k);
  k->of_spec[1] = k->spec->kept;
  if (k->of_spec[1])
    k->of_spec[1]->of_spec[0] = k;
  k->spec->kept = k;
}

static void unlink_it(struct bt_control *c, struct ctl_kept *k) {
  if (k->of_lead[1])
    k->of_lead[1]->of_lead[0] = k->of_lead[0];
  if (k->of_lead[0])
    k->of_lead[0]->of_lead[1] = k->of_lead[1];
  else if (k->of_lead[1])
    bt_map_set(c->dims->kept_of, k->lead, k->of_lead[1]);
  else
    bt_map_del(c->dims->kept_of, k->lead);
  if (k->of_spec[1])
    k->of_spec[1]->of_spec[0] = k->of_spec[0];
  if (k->of_spec[0])
    k->of_spec[0]->of_spec[1] = k->of_spec[1];
  else
    k->spec->kept = k->of_spec[1];
}

static char *kept_key(const struct ctl_spec *spec, int slot) { return bt_asprintf("%s/%s/%d", spec->rev->app->key, spec->service->name, slot); }

/* ---- who is of a group ---- */

static bool lives_with(const struct bt_service *s, const char *name) {
  if (bt_streq(s->co_network, name) || bt_streq(s->co_pid, name) || bt_streq(s->co_ipc, name))
    return true;
  bt_vec_each(&s->volumes_from, from) if (bt_streq(from->service, name)) return true;
  return false;
}

bool ctl_group_follows(const struct ctl_spec *spec) {
  const struct bt_service *s = spec->service;
  return s->co_network || s->co_pid || s->co_ipc || s->volumes_from.len > 0;
}

const struct ctl_inst *ctl_group_partner(const struct ctl_inst *inst) {
  const struct bt_service *s = inst->spec->service;
  const char *const with[] = {s->co_network, s->co_pid, s->co_ipc};
  for (size_t i = 0; i < BT_COUNT(with); i++)
    if (with[i])
      return ctl_partner(inst, with[i]);
  return s->volumes_from.len ? ctl_partner(inst, s->volumes_from.items[0].service) : NULL;
}

static bool replicated(const struct ctl_spec *spec) { return spec->service->mode == BT_MODE_REPLICATED && !bt_service_is_job(spec->service); }

static bool among(struct ctl_spec *const *list, size_t n, const struct ctl_spec *spec) {
  for (size_t i = 0; i < n; i++)
    if (list[i] == spec)
      return true;
  return false;
}

/* Those that live with the spec, and those that live with them. */
static size_t members(struct ctl_spec *lead, struct ctl_spec *out[MEMBERS]) {
  size_t n = 1;
  out[0] = lead;
  for (size_t at = 0; at < n; at++)
    bt_vec_each(&lead->rev->specs, spec) {
      if (n < MEMBERS && replicated(*spec) && !among(out, n, *spec) && lives_with((*spec)->service, out[at]->service->name))
        out[n++] = *spec;
    }
  return n;
}

static bool leads(struct ctl_spec *spec) {
  struct ctl_spec *list[MEMBERS];
  if (!spec->group_known) {
    spec->group_known = true;
    spec->leads = replicated(spec) && members(spec, list) > 1;
  }
  return spec->leads;
}

/* The slots of a member that go to that slot of the lead, as ctl_partner pairs them: the same, and with the last one all that are beyond. */
static int last_slot(const struct ctl_spec *lead, const struct ctl_spec *member, int slot) {
  int has = member->service->replicas;
  return slot >= lead->service->replicas ? BT_MAX(has, slot - 1) : has < slot ? slot - 1 : slot;
}

/* ---- the place of all ---- */

static bool group_shape(struct ctl_spec *lead) {
  struct ctl_spec *list[MEMBERS];
  int times[MEMBERS];
  if (lead->group != BT_FLEET_NONE)
    return true;
  size_t n = members(lead, list);
  for (size_t i = 0; i < n; i++)
    times[i] = i == 0 ? 1 : BT_MAX(list[i]->service->replicas - lead->service->replicas + 1, list[i]->service->replicas > 0);
  return ctl_fleet_shape_of_all(list, times, n, &lead->group) == 0;
}

uint32_t ctl_group_shape(struct ctl_spec *spec) { return leads(spec) && group_shape(spec) ? spec->group : BT_FLEET_NONE; }

static void drop(struct bt_control *c, const char *key) {
  struct ctl_kept *k = bt_map_take(c->dims->kept, key);
  if (!k)
    return;
  unlink_it(c, k);
  bt_fleet_remove(c->fleet, k->seat);
  kept_free(k);
}

static bool there_already(const struct ctl_spec *member, int slot, const struct ctl_node *node) {
  const struct ctl_service *service = ctl_service_find(member->rev->app, member->service->name);
  if (service && !member->service->co_network) /* what shares a network is made anew with it */
    bt_vec_each(&service->insts, inst) if ((*inst)->slot == slot && (*inst)->node == node && !(*inst)->leaving) return true;
  return false;
}

static void keep(struct bt_control *c, const struct ctl_inst *lead, struct ctl_spec *member, int slot, struct ctl_node *node) {
  BT_AUTO_FREE char *key = kept_key(member, slot);
  drop(c, key);
  struct ctl_kept *k = bt_new(struct ctl_kept);
  *k = (struct ctl_kept){.spec = member, .node = node, .seat = bt_fleet_seat(c->fleet, member->shape, node->number), .key = bt_strdup(key), .lead = bt_strdup(lead->id)};
  bt_map_set(c->dims->kept, key, k);
  link_up(c, k);
}

static void settle(struct ctl_inst *inst, struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  struct ctl_spec *list[MEMBERS];
  inst->seat = bt_fleet_seat(c->fleet, inst->spec->shape, node->number);
  size_t n = members(inst->spec, list);
  for (size_t i = 1; i < n; i++)
    for (int slot = inst->slot, last = last_slot(inst->spec, list[i], slot); slot <= last; slot++)
      if (!there_already(list[i], slot, node))
        keep(c, inst, list[i], slot, node);
}

bool ctl_group_seat(struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  uint32_t shape = ctl_group_shape(inst->spec), all;
  if (shape == BT_FLEET_NONE || bt_fleet_place(c->fleet, shape, 1, &all) != 1)
    return false;
  inst->seat = all;
  ctl_group_split(inst);
  return true;
}

void ctl_group_split(struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  if (bt_fleet_shape_of(c->fleet, inst->seat) == inst->spec->shape)
    return;
  struct ctl_node *node = bt_map_get(c->nodes, bt_fleet_node_name(c->fleet, bt_fleet_node_of(c->fleet, inst->seat)));
  bt_fleet_remove(c->fleet, inst->seat);
  settle(inst, node);
}

bool ctl_group_adopt(struct ctl_inst *inst, const struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  if (!bt_map_len(c->dims->kept))
    return false;
  BT_AUTO_FREE char *key = kept_key(inst->spec, inst->slot);
  struct ctl_kept *k = bt_map_get(c->dims->kept, key);
  if (!k)
    return false;
  if (k->spec != inst->spec || k->node != node || !ctl_node_open(node)) {
    drop(c, key);
    return false;
  }
  inst->seat = k->seat;
  unlink_it(c, k);
  bt_map_del(c->dims->kept, key);
  return true;
}

/* ---- what is kept no longer ---- */

void ctl_group_release(const struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  if (!bt_map_len(c->dims->kept_of))
    return;
  for (struct ctl_kept *k; (k = bt_map_get(c->dims->kept_of, inst->id));)
    drop(c, k->key);
}

void ctl_group_forget(struct ctl_spec *spec) {
  struct bt_control *c = spec->rev->app->control;
  while (spec->kept)
    drop(c, spec->kept->key);
  if (spec->group != BT_FLEET_NONE)
    (void)bt_fleet_shape_drop(c->fleet, spec->group);
  spec->group = BT_FLEET_NONE;
  spec->group_known = false;
}
