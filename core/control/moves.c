/* Instances that are moved to other nodes: a replacement comes up beside each, in its slot, and the rollout lets the first one go when that one
 * stands; where there is no room for both, or both must not run at once, the first one goes before, within its service's budget. Who is on its way
 * is remembered by the instance's id (and stored with it), since that is rare; who wants it moved is vacate.c and rebalance.c. */
#include "config.h"

#include "control/dims.h"
#include "control/quota.h"
#include "plan/budget.h"

#define AGAIN_MS 5000 /* until it is asked again whether there is a place, or a turn */

static const char *const causes[] = {"drain", "rebalance"};

void ctl_move_free(void *arg) {
  struct ctl_move *move = arg;
  free(move->to);
  free(move);
}

struct ctl_move *ctl_move_of(const struct ctl_inst *inst) {
  const struct bt_control *c = inst->service->app->control;
  return bt_map_len(c->moves) > 0 ? bt_map_get(c->moves, inst->id) : NULL;
}

const char *ctl_move_cause(const struct ctl_inst *inst) {
  const struct ctl_move *move = ctl_move_of(inst);
  return move ? causes[move->cause] : NULL;
}

static void set_move(struct bt_control *c, const struct ctl_inst *inst, enum ctl_move_cause cause, const char *to) {
  struct ctl_move *move = bt_new(struct ctl_move);
  *move = (struct ctl_move){cause, bt_strdup(to), c->now_ms};
  bt_map_set(c->moves, inst->id, move);
}

void ctl_move_load(struct bt_control *c, const struct ctl_inst *inst, const char *cause) {
  for (size_t i = 0; cause && i < BT_COUNT(causes); i++)
    if (bt_streq(causes[i], cause))
      set_move(c, inst, (enum ctl_move_cause)i, NULL);
}

static void forget_move(struct ctl_inst *inst) {
  if (ctl_move_of(inst) && bt_map_del(inst->service->app->control->moves, inst->id))
    ctl_touch_inst(inst);
}

const struct ctl_inst *ctl_move_successor(const struct ctl_inst *inst) {
  bt_vec_each(&inst->service->insts, other) {
    if (*other != inst && (*other)->slot == inst->slot && !(*other)->leaving && !ctl_inst_lost(*other))
      return *other;
  }
  return NULL;
}

struct ctl_node *ctl_move_target(const struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  if (bt_map_len(c->moves) == 0)
    return NULL;
  bt_vec_each(&inst->service->insts, other) {
    const struct ctl_move *move = *other != inst && (*other)->slot == inst->slot ? ctl_move_of(*other) : NULL;
    if (move && move->to)
      return bt_map_get(c->nodes, move->to);
  }
  return NULL;
}

/* ---- what ties an instance to its node ---- */

/* What every machine has of its own, and the same. */
static bool everywhere(const char *path) {
  static const char *const own[] = {"/var/run/", "/run/", "/dev", "/proc", "/sys", "/etc/localtime", "/etc/timezone", "/etc/hosts", "/etc/ssl/certs"};
  for (size_t i = 0; i < BT_COUNT(own); i++)
    if (bt_starts(path, own[i]))
      return true;
  return false;
}

char *ctl_bound(const struct ctl_inst *inst) {
  bt_vec_each(&inst->spec->service->volumes, use) {
    bool external;
    if (bt_streq(use->type, "bind") && use->source && !everywhere(use->source))
      return bt_asprintf("it mounts %s of %s", use->source, inst->node ? inst->node->name : "its node");
    if (!bt_streq(use->type, "volume") || !use->source || !ctl_volume_stays(inst->spec->rev, use->source))
      continue;
    BT_AUTO_FREE char *name = ctl_volume_name(inst->spec->rev, use->source, &external);
    return bt_asprintf("its volume %s is on %s", name, inst->node ? inst->node->name : "its node");
  }
  return NULL;
}

/* ---- whether it may begin ---- */

/* Why one that lives with another does not go by itself: the rollout makes it anew where that one has gone. */
static char *goes_after(const struct bt_service *s) {
  const char *with = s->co_network ? s->co_network : s->co_pid ? s->co_pid : s->co_ipc;
  return with ? bt_asprintf("it goes when %s has, whose namespaces it shares", with) : bt_asprintf("it goes when %s has, whose volumes it has", s->volumes_from.items[0].service);
}

static bool rolling(const struct ctl_service *service) {
  enum bt_rollout_state state = service->roll.state;
  return state == BT_RO_START || state == BT_RO_UPDATING || state == BT_RO_ROLLBACK;
}

static int moving(const struct ctl_service *service) {
  int n = 0;
  bt_vec_each(&service->insts, inst) n += ctl_move_of(*inst) != NULL;
  return n;
}

/* Who stands in its slot already because it could not be changed in place: an update that stopped leaves both. */
static const struct ctl_inst *successor(const struct ctl_inst *inst) {
  if (inst->inplace != CTL_INPLACE_REFUSED)
    return NULL;
  bt_vec_each(&inst->service->insts, other) if (*other != inst && (*other)->slot == inst->slot && !(*other)->leaving && ctl_inst_current(*other)) return *other;
  return NULL;
}

/* Why it does not begin now, though it could later; NULL: it may. The caller frees. */
static char *not_yet(struct ctl_inst *inst) {
  const struct ctl_service *service = inst->service;
  const struct bt_service *s = inst->spec->service;
  struct bt_control *c = service->app->control;
  int at_once = BT_MAX(1, bt_budget_left(&s->disruption, ctl_wanted(service), ctl_wanted(service)));
  if (!service->spec || service->app->state == CTL_APP_REMOVING)
    return bt_strdup("its service is being removed");
  if (s->mode == BT_MODE_GLOBAL)
    return bt_strdup("it is stopped, since there is one on each node that takes it");
  if (ctl_group_follows(inst->spec))
    return goes_after(s);
  if (rolling(service))
    return bt_asprintf("it waits until the update of %s is through", service->name);
  const struct ctl_inst *next = successor(inst);
  if (next)
    return bt_asprintf("it waits for %s, which is to take its place; the update of %s has stopped: apply again, or see berth rollout", next->id, service->name);
  if (moving(service) >= at_once)
    return bt_asprintf("it waits: as many of %s as may be missing at once are on their way", service->name);
  if (bt_map_len(c->moves) >= (size_t)c->scheduling.change.drain_parallel)
    return bt_asprintf("it waits: %d instances are on their way, which is the most (scheduling.drain.parallel)", c->scheduling.change.drain_parallel);
  return ctl_has_room(service->app) ? NULL : bt_strdup("it waits for its turn");
}

/* Whether a replacement would have a place on another node (on that one) now. */
static bool has_place(struct ctl_inst *inst, const struct ctl_node *to) {
  struct bt_control *c = inst->service->app->control;
  uint32_t seat;
  if (ctl_fleet_try(inst->spec, 1, &seat) == 0)
    return false;
  const char *name = bt_fleet_node_name(c->fleet, bt_fleet_node_of(c->fleet, seat));
  ctl_fleet_untry(c, seat);
  return to ? bt_fleet_may(c->fleet, inst->spec->shape, to->number) : !bt_streq(name, inst->node->name);
}

/* As if it was gone: only the planner hears of that, and only for the question. */
static bool has_place_after(struct ctl_inst *inst, const struct ctl_node *to) {
  struct bt_fleet *fleet = inst->service->app->control->fleet;
  if (inst->seat == BT_FLEET_NONE)
    return has_place(inst, to);
  bt_fleet_remove(fleet, inst->seat);
  bool found = has_place(inst, to);
  inst->seat = bt_fleet_seat(fleet, inst->spec->shape, inst->node->number);
  return found;
}

static char *no_place(struct ctl_inst *inst) {
  BT_AUTO_BUF why = {0}, mend = {0};
  ctl_fleet_why(inst->spec, &why, &mend);
  return bt_asprintf("it has no place elsewhere: %s%s%s", why.data ? why.data : "", mend.len ? ". It would fit with " : "", mend.len ? mend.data : "");
}

/* ---- beginning ---- */

static void tell(const struct ctl_inst *inst, const char *why) {
  const struct ctl_app *app = inst->service->app;
  ctl_event(app->control, "info", "instance.moving", app->ns, app->name, inst->id, NULL, "%s leaves %s: %s", inst->id, inst->node->name, why);
}

static void surge(struct ctl_inst *inst, enum ctl_move_cause cause, const struct ctl_node *to, const char *why) {
  inst->service->app->control->room--;
  struct ctl_inst *next = ctl_inst_new(inst->service, inst->spec, inst->slot);
  next->gen = inst->gen;
  set_move(inst->service->app->control, inst, cause, to ? to->name : NULL);
  ctl_touch_inst(inst);
  tell(inst, why);
}

/* Whether two may run at once, and the namespace may have one more. */
static bool both_may_be(const struct ctl_inst *inst) {
  return !bt_service_exclusive(inst->spec->service) && ctl_quota_room(inst->service->app, inst->spec->service, NULL);
}

char *ctl_move_begin(struct ctl_inst *inst, enum ctl_move_cause cause, const struct ctl_node *to, const char *why, bool *lasting) {
  struct ctl_app *app = inst->service->app;
  char *no = ctl_bound(inst);
  *lasting = no != NULL;
  if (!no && (no = not_yet(inst)) != NULL)
    ctl_wake(app, app->control->now_ms + AGAIN_MS);
  if (no)
    return no;
  if (both_may_be(inst) && has_place(inst, to)) {
    surge(inst, cause, to, why);
    return NULL;
  }
  ctl_wake(app, app->control->now_ms + AGAIN_MS);
  if (!has_place_after(inst, to)) {
    *lasting = true;
    return no_place(inst);
  }
  if (cause == CTL_MOVE_REBALANCE)
    return bt_strdup("it would have to go before its replacement comes");
  if (inst->ready && ctl_budget(inst->service) < 1)
    return bt_asprintf("it waits: no more of %s may be missing now, and there is no room for its replacement beside it", inst->service->name);
  tell(inst, why);
  ctl_release(inst, why);
  return NULL;
}

/* ---- going on ---- */

/* One that rebalancing began is given up where the replacement does not come up; a drain waits for it. */
static bool in_vain(const struct ctl_inst *inst, const struct ctl_move *move, struct ctl_inst *next) {
  struct ctl_app *app = inst->service->app;
  int64_t until_ms = move->begun_ms + inst->spec->service->deadline_ms;
  if (move->cause != CTL_MOVE_REBALANCE || next->ready)
    return false;
  if (app->control->now_ms >= until_ms)
    return true;
  ctl_wake(app, until_ms);
  return false;
}

static void look_at_move(struct ctl_inst *inst, const struct ctl_move *move) {
  struct ctl_inst *next = (struct ctl_inst *)(uintptr_t)ctl_move_successor(inst);
  if (inst->leaving || !next || (move->cause == CTL_MOVE_DRAIN && !ctl_vacating(inst))) {
    forget_move(inst); /* it is over, or called off: the rollout knows who stays */
    ctl_dirty(inst->service->app);
  } else if (in_vain(inst, move, next)) {
    ctl_release(next, "it did not become ready in time, and the one that it was to replace stays");
    forget_move(inst);
  }
}

void ctl_moves_step(struct ctl_service *service) {
  struct bt_control *c = service->app->control;
  for (size_t i = 0; bt_map_len(c->moves) > 0 && i < service->insts.len; i++) {
    struct ctl_inst *inst = service->insts.items[i];
    const struct ctl_move *move = ctl_move_of(inst);
    if (move)
      look_at_move(inst, move);
  }
  if (c->vacating.len > 0)
    ctl_vacate_service(service);
}
