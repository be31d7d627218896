/* When and where instances begin: those of a service wait until what it depends on stands, and then until a node has room for them.
 * What waiting alone will not mend is said of the service. */
#include "config.h"

#include <stdio.h>

#include "base/plant.h"
#include "control/internal.h"
#include "control/queue.h"

#define UNPLACED_MS 10000
#define FAILING 3 /* failures in a row from which on an instance is said to fail */

/* ---- dependencies ---- */

static void count_inst(const struct ctl_inst *inst, struct bt_dep_facts *f) {
  if (inst->leaving || !ctl_inst_current(inst))
    return;
  bool done = ctl_inst_done(inst);
  f->completed += done;
  f->failed += inst->ended && !done;
  f->failing += (inst->ended && !done) || (inst->struck && !inst->ready) || ctl_seen(inst)->failures >= FAILING;
  f->ready += inst->ready;
  f->started += done || inst->state == BT_ST_RUNNING || (ctl_seen(inst)->started_ms > 0 && !inst->restarting);
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
  f.wanted = ctl_wanted(service);
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
    if (BT_PLANT(GATE_OPEN) || bt_deps_met(dep, &facts, why, size))
      continue;
    if (bt_deps_hopeless(dep, &facts))
      bt_str_set(&service->blocked, why);
    else if (on && on->blocked && !service->blocked) /* it was looked at before: a file's services are in order of their dependencies */
      service->blocked = bt_asprintf("%s: %s %s", why, on->name, on->blocked);
    return false;
  }
  return true;
}

/* ---- placing ---- */

void ctl_stay_pending(struct ctl_inst *inst, const char *why) {
  if (bt_streq(inst->reason, why))
    return;
  ctl_word_set(inst->service->app->control, &inst->reason, why);
  ctl_touch_inst(inst);
}

bool ctl_partners_placed(const struct ctl_inst *inst, char *why, size_t size) {
  const struct bt_service *s = inst->spec->service;
  const char *const with[] = {s->co_network, s->co_pid, s->co_ipc};
  for (size_t i = 0; i < BT_COUNT(with); i++) {
    const struct ctl_inst *partner = with[i] ? ctl_partner(inst, with[i]) : NULL;
    if (!with[i] || (partner && ctl_seen(partner)->container_id))
      continue;
    snprintf(why, size, "waits for the container of %s, whose namespaces it shares", with[i]);
    return false;
  }
  bt_vec_each(&s->volumes_from, from) {
    const struct ctl_inst *partner = ctl_partner(inst, from->service);
    if (partner && ctl_seen(partner)->container_id)
      continue;
    snprintf(why, size, "waits for the container of %s, whose volumes it has", from->service);
    return false;
  }
  return true;
}

/* What this step has made or changed already took its room then: it is stored once, with its place. */
static bool may_begin(const struct ctl_inst *inst) { return inst->unsaved || ctl_has_room(inst->service->app); }

void ctl_assign(struct ctl_inst *inst, struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  c->room -= !inst->unsaved;
  ctl_inst_seat(inst, node); /* its place is taken already */
  ctl_lost_replaced(inst);
  inst->assigned_ms = c->now_ms;
  const struct ctl_inst *network = inst->spec->service->co_network ? ctl_partner(inst, inst->spec->service->co_network) : NULL;
  if (network || inst->seen)
    bt_str_set(&ctl_see(inst)->co_network, network ? network->id : NULL);
  ctl_word_set(c, &inst->reason, NULL);
  ctl_touch_inst(inst);
  ctl_send_assign(inst, node);
}

static bool any_ready(const struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    if (((struct ctl_node *)it.value)->ready)
      return true;
  return false;
}

/* A node or a port may come free in a moment; what is not placed after a while will not be by waiting. */
static void stay_unplaced(struct ctl_inst *inst, const char *why) {
  const struct bt_control *c = inst->service->app->control;
  int64_t patience_ms = inst->begun_ms + UNPLACED_MS;
  ctl_stay_pending(inst, why);
  if (!any_ready(c))
    return;
  if (c->now_ms < patience_ms)
    ctl_wake(inst->service->app, patience_ms);
  else if (!inst->service->blocked)
    inst->service->blocked = bt_asprintf("cannot be placed: %s", why);
}

/* Jobs queue for what others of the namespace use now, and so does what a service has beyond its file's number: that was not promised. */
static void stay_for_quota(struct ctl_inst *inst, const char *why) {
  if (bt_service_is_job(inst->spec->service) || inst->slot > bt_service_least(inst->spec->service))
    ctl_stay_pending(inst, why);
  else
    stay_unplaced(inst, why);
}

enum { ONCE_AGAIN_MS = 5000 };

/* What goes to each node stands in no queue: it looks again by itself. */
static void place_once(struct ctl_inst *inst) {
  struct ctl_app *app = inst->service->app;
  uint32_t at;
  char why[240];
  bool found = ctl_fleet_shape(inst->spec) != BT_FLEET_NONE && ctl_once_node(inst, &at, why, sizeof why);
  struct ctl_node *node = found ? ctl_fleet_place_at(inst, at) : NULL;
  if (node) {
    ctl_assign(inst, node);
    return;
  }
  stay_unplaced(inst, found ? "waits for ports or devices on its node" : ctl_fleet_shape(inst->spec) == BT_FLEET_NONE ? "its rules cannot be read" : why);
  ctl_wake(app, app->control->now_ms + ONCE_AGAIN_MS);
}

/* The gate is asked once for all: what a service waits for, all of its instances wait for. */
void ctl_place_pending(struct ctl_service *service) {
  char why[240];
  size_t waiting = 0, held = ctl_kept_of(service->app->control, service);
  bool news = false;
  int64_t since_ms = INT64_MAX;
  int open = -1, passes = -1;
  for (size_t i = 0; i < service->insts.len; i++) {
    struct ctl_inst *inst = service->insts.items[i];
    if (inst->node || inst->leaving)
      continue;
    service->app->wants_nodes = true;
    if (open < 0)
      open = ctl_gate_open(service, false, why, sizeof why);
    if (!open) {
      ctl_stay_pending(inst, why);
      continue;
    }
    if (passes < 0)
      passes = ctl_queue_passes(service);
    if (passes && !may_begin(inst))
      continue;
    if (waiting >= held && !ctl_quota_may(inst, why, sizeof why)) { /* a place that is kept is within the quota already */
      stay_for_quota(inst, why);
      continue;
    }
    bool ready = ctl_partners_placed(inst, why, sizeof why);
    if (ready && ctl_once(inst->spec) && !ctl_group_follows(inst->spec)) {
      if (may_begin(inst))
        place_once(inst);
      continue;
    }
    struct ctl_node *node = ready && passes ? ctl_fleet_place(inst) : NULL;
    if (node) {
      ctl_assign(inst, node);
    } else if (ready) {
      waiting++;
      news = news || !inst->reason;
      since_ms = BT_MIN(since_ms, inst->begun_ms);
    } else {
      stay_unplaced(inst, why);
    }
  }
  ctl_queue_set(service, waiting, since_ms, news);
}
