/* When and where instances begin: those of a service wait until what it depends on stands, and then until a node has room for them.
 * What waiting alone will not mend is said of the service. */
#include "config.h"

#include <stdio.h>

#include "control/internal.h"
#include "plan/place.h"

#define UNPLACED_MS 10000
#define FAILING 3 /* failures in a row from which on an instance is said to fail */

/* ---- dependencies ---- */

static void count_inst(const struct ctl_inst *inst, struct bt_dep_facts *f) {
  if (inst->leaving || !ctl_inst_current(inst))
    return;
  bool done = ctl_inst_done(inst);
  f->completed += done;
  f->failed += inst->ended && !done;
  f->failing += (inst->ended && !done) || (inst->struck && !inst->ready) || inst->failures >= FAILING;
  f->ready += inst->ready;
  f->started += done || inst->state == BT_ST_RUNNING || (inst->started_ms > 0 && !inst->restarting);
}

struct bt_dep_facts ctl_facts(const struct ctl_app *app, const char *name) {
  const struct ctl_service *service = ctl_service_find(app, name);
  struct bt_dep_facts f = {.exists = service && service->spec};
  if (!f.exists)
    return f;
  if (service->spec->recurs) { /* only a run that succeeds is worth waiting for */
    f.wanted = f.started = f.ready = 1;
    f.completed = ctl_job_succeeded(service);
    return f;
  }
  f.wanted = service->spec->service->replicas;
  bt_vec_each(&service->insts, inst) count_inst(*inst, &f);
  if (bt_service_is_job(service->spec->service) && service->roll.state != BT_RO_FAILED)
    f.failed = 0; /* attempts are left */
  return f;
}

bool ctl_gate_open(struct ctl_service *service, bool updates, char *why, size_t size) {
  bt_vec_each(&service->spec->service->depends, dep) {
    struct bt_dep_facts facts = ctl_facts(service->app, dep->service);
    const struct ctl_service *on = ctl_service_find(service->app, dep->service);
    facts.updating = updates && on && on->spec && on->roll.state != BT_RO_DONE;
    if (bt_deps_met(dep, &facts, why, size))
      continue;
    if (bt_deps_hopeless(dep, &facts))
      bt_str_set(&service->blocked, why);
    return false;
  }
  return true;
}

/* ---- placing ---- */

static const char *port_owner(const void *arg, const char *port) {
  const struct ctl_node *node = arg;
  const struct ctl_inst *inst = bt_map_get(node->ports, port);
  return inst ? inst->id : NULL;
}

/* Those that stay: what an update replaces does not count, else no update could start the new one first. */
static int siblings_on(const struct ctl_inst *inst, const struct ctl_node *node) {
  int n = 0;
  if (inst->spec->service->max_per_node > 0)
    bt_vec_each(&inst->service->insts, it) {
      const struct ctl_inst *other = *it;
      n += other != inst && !other->leaving && !ctl_inst_done(other) && bt_streq(other->node, node->name) &&
           bt_streq(other->spec->hash, inst->spec->hash);
    }
  return n;
}

static struct ctl_node *choose_node(struct bt_control *c, const struct ctl_inst *inst, char *why, size_t size) {
  size_t n = bt_map_len(c->nodes), i = 0;
  BT_AUTO_FREE struct bt_place_node *places = bt_newn(struct bt_place_node, n + 1);
  BT_AUTO_FREE struct ctl_node **nodes = (struct ctl_node **)bt_newn(void *, n + 1);
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it); i++) {
    struct ctl_node *node = nodes[i] = it.value;
    places[i] = (struct bt_place_node){node->name, node->info, node->connected && node->ready, node->cpus_used, node->memory_used,
                                       node->instances, port_owner, node, siblings_on(inst, node)};
  }
  int best = bt_place(inst->spec->service, places, n, why, size);
  return best < 0 ? NULL : nodes[best];
}

static void stay_pending(struct ctl_inst *inst, const char *why) {
  if (bt_streq(inst->reason, why))
    return;
  bt_str_set(&inst->reason, why);
  ctl_touch_inst(inst);
}

static bool partners_placed(const struct ctl_inst *inst, char *why, size_t size) {
  const struct bt_service *s = inst->spec->service;
  const char *const with[] = {s->co_network, s->co_pid, s->co_ipc};
  for (size_t i = 0; i < BT_COUNT(with); i++) {
    const struct ctl_inst *partner = with[i] ? ctl_partner(inst, with[i]) : NULL;
    if (!with[i] || (partner && partner->container_id))
      continue;
    snprintf(why, size, "waits for the container of %s, whose namespaces it shares", with[i]);
    return false;
  }
  return true;
}

static void assign(struct ctl_inst *inst, struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  c->room--;
  ctl_inst_seat(inst, node);
  inst->assigned_ms = c->now_ms;
  const struct ctl_inst *network = inst->spec->service->co_network ? ctl_partner(inst, inst->spec->service->co_network) : NULL;
  bt_str_set(&inst->co_network, network ? network->id : NULL);
  bt_str_set(&inst->reason, NULL);
  ctl_touch_inst(inst);
  json_t *m = json_object();
  bt_json_set_str(m, "type", "assign");
  bt_json_set(m, "instance", ctl_assignment(inst));
  ctl_send(c, node->name, m);
}

/* A node or a port may come free in a moment; what is not placed after a while will not be by waiting. */
static void stay_unplaced(struct ctl_inst *inst, const char *why) {
  const struct bt_control *c = inst->service->app->control;
  int64_t patience_ms = inst->begun_ms + UNPLACED_MS;
  stay_pending(inst, why);
  bool any = false;
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    any = any || ((struct ctl_node *)it.value)->ready;
  if (!any)
    return;
  if (c->now_ms < patience_ms)
    ctl_wake(inst->service->app, patience_ms);
  else if (!inst->service->blocked)
    inst->service->blocked = bt_asprintf("cannot be placed: %s", why);
}

/* The gate is asked once for all: what a service waits for, all of its instances wait for. */
void ctl_place_pending(struct ctl_service *service) {
  struct bt_control *c = service->app->control;
  char why[240];
  int open = -1;
  for (size_t i = 0; i < service->insts.len; i++) {
    struct ctl_inst *inst = service->insts.items[i];
    if (inst->node || inst->leaving)
      continue;
    if (open < 0)
      open = ctl_gate_open(service, false, why, sizeof why);
    if (!open) {
      stay_pending(inst, why);
      continue;
    }
    if (!ctl_has_room(service->app))
      break;
    struct ctl_node *node = !partners_placed(inst, why, sizeof why) ? NULL : choose_node(c, inst, why, sizeof why);
    if (node)
      assign(inst, node);
    else
      stay_unplaced(inst, why);
  }
}
