/* Rebalancing: which instances would have better places (plan/rebalance.h), for who asks; and, where berthd.yaml says so, moving them one by one after nodes
 * came or changed, so many in an hour and each within its service's budget. An instance whose rules no longer hold where it is stays until it is moved. */
#include "config.h"

#include "control/dims.h"
#include "control/internal.h"
#include "plan/rebalance.h"

#define SHOWN 200       /* moves that who asks gets */
#define LOOKED_AT 20000 /* instances that one answer looks at */
#define AT_ONCE 2000    /* that one look of its own does */
#define SETTLE_MS 10000 /* after a node came or changed */
#define GO_ON_MS 1000   /* between two looks that found nothing */

/* ---- who may be moved ---- */

static bool stands(const struct ctl_inst *inst) {
  const struct ctl_service *service = inst->service;
  return inst->seat != BT_FLEET_NONE && inst->ready && !inst->leaving && !inst->restarting && service->spec && service->roll.state == BT_RO_DONE &&
         ctl_inst_current(inst) && !ctl_move_of(inst);
}

static bool movable(const struct ctl_inst *inst) {
  const struct bt_service *s = inst->spec->service;
  if (!stands(inst) || !ctl_node_open(inst->node) || bt_service_is_job(s) || s->mode == BT_MODE_GLOBAL || ctl_group_follows(inst->spec) ||
      bt_service_exclusive(s) || ctl_grant_wanted(inst->spec))
    return false;
  BT_AUTO_FREE char *bound = ctl_bound(inst);
  return !bound;
}

/* Those that may be moved, of the "most" instances from number "from" on. */
struct candidates {
  BT_VEC(uint32_t) seats;
  BT_VEC(struct ctl_inst *) insts; /* the same */
};

static void collect(struct bt_control *c, size_t from, size_t most, struct candidates *out) {
  size_t i = 0;
  for (struct ctl_insts it = ctl_insts(c); i < from + most && ctl_insts_next(&it); i++) {
    if (i < from || !movable(it.inst))
      continue;
    bt_vec_push(&out->seats, it.inst->seat);
    bt_vec_push(&out->insts, it.inst);
  }
}

static void candidates_free(struct candidates *all) {
  bt_vec_free(&all->seats);
  bt_vec_free(&all->insts);
}

static struct ctl_inst *whose(const struct candidates *all, const struct bt_rebalance_move *m) {
  for (size_t i = 0; i < all->seats.len; i++)
    if (all->seats.items[i] == m->instance)
      return all->insts.items[i];
  return NULL;
}

/* ---- in words ---- */

static char *words(const struct bt_fleet *f, const struct ctl_inst *inst, const struct bt_rebalance_move *m) {
  const char *from = bt_fleet_node_name(f, m->from), *to = bt_fleet_node_name(f, m->to);
  switch (m->kind) {
  case BT_REBALANCE_RULE:
    return bt_asprintf("%s %s, and %s does", from, m->before.why, to);
  case BT_REBALANCE_WISH:
    return bt_asprintf("%s is what it wishes for rather than %s (%lld to %lld)", to, from, (long long)m->after.score, (long long)m->before.score);
  case BT_REBALANCE_EVEN:
    break;
  }
  return bt_asprintf("%s has %u of %s, and %s has %u", from, m->before.crowd + 1, inst->service->name, to, m->after.crowd);
}

static json_t *move_json(const struct bt_control *c, const struct ctl_inst *inst, const struct bt_rebalance_move *m) {
  BT_AUTO_FREE char *why = words(c->fleet, inst, m);
  json_t *o = json_object();
  bt_json_set_str(o, "instance", inst->id);
  bt_json_set_str(o, "namespace", inst->service->app->ns);
  bt_json_set_str(o, "app", inst->service->app->name);
  bt_json_set_str(o, "service", inst->service->name);
  bt_json_set_str(o, "from", bt_fleet_node_name(c->fleet, m->from));
  bt_json_set_str(o, "to", bt_fleet_node_name(c->fleet, m->to));
  bt_json_set_str(o, "kind", bt_rebalance_name(m->kind));
  bt_json_set_int(o, "gain", m->gain);
  bt_json_set_str(o, "reason", why);
  return o;
}

json_t *bt_control_rebalance(struct bt_control *c) {
  struct candidates all = {0};
  BT_AUTO_FREE struct bt_rebalance_move *found = bt_newn(struct bt_rebalance_move, SHOWN);
  collect(c, 0, LOOKED_AT, &all);
  size_t instances = ctl_inst_count(c);
  size_t n = bt_rebalance(c->fleet, all.seats.items, all.seats.len, found, SHOWN);
  json_t *o = json_object(), *moves = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(moves, move_json(c, whose(&all, &found[i]), &found[i]));
  bt_json_set(o, "moves", moves);
  bt_json_set_int(o, "instances", (long long)instances);
  bt_json_set_int(o, "movable", (long long)all.seats.len);
  bt_json_set_bool(o, "complete", instances <= LOOKED_AT && n < SHOWN);
  bt_json_set_bool(o, "automatic", c->scheduling.change.rebalance);
  bt_json_set_int(o, "moves_per_hour", c->scheduling.change.moves_per_hour);
  candidates_free(&all);
  return o;
}

/* ---- by itself ---- */

void ctl_rebalance_due(struct bt_control *c) {
  if (!c->scheduling.change.rebalance)
    return;
  c->rebalance.due = true;
  c->rebalance.from = 0;
  c->rebalance.next_ms = BT_MAX(c->now_ms + SETTLE_MS, c->rebalance.paced_ms);
  c->wake_ms = BT_MIN(c->wake_ms, c->rebalance.next_ms);
}

/* The first that can begin now. */
static bool begin_one(struct bt_control *c, const struct candidates *all, const struct bt_rebalance_move *found, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct ctl_inst *inst = whose(all, &found[i]);
    bool lasting;
    BT_AUTO_FREE char *why = words(c->fleet, inst, &found[i]);
    BT_AUTO_FREE char *not = ctl_move_begin(inst, CTL_MOVE_REBALANCE, bt_map_get(c->nodes, bt_fleet_node_name(c->fleet, found[i].to)), why, &lasting);
    if (not)
      continue;
    ctl_dirty(inst->service->app);
    return true;
  }
  return false;
}

static void look(struct bt_control *c) {
  enum { few = 16 };
  struct bt_rebalance_move found[few];
  struct candidates all = {0};
  collect(c, c->rebalance.from, AT_ONCE, &all);
  size_t instances = ctl_inst_count(c);
  size_t n = bt_rebalance(c->fleet, all.seats.items, all.seats.len, found, few);
  if (begin_one(c, &all, found, n)) {
    c->rebalance.paced_ms = c->rebalance.next_ms = c->now_ms + 3600000 / c->scheduling.change.moves_per_hour;
  } else {
    c->rebalance.from += AT_ONCE;
    c->rebalance.next_ms = c->now_ms + GO_ON_MS;
    c->rebalance.due = c->rebalance.from < instances || n > 0; /* what cannot begin now may later */
    if (c->rebalance.from >= instances) {
      c->rebalance.from = 0;
      c->rebalance.next_ms = c->now_ms + SETTLE_MS;
    }
  }
  candidates_free(&all);
}

void ctl_rebalance_tick(struct bt_control *c) {
  if (!c->scheduling.change.rebalance || !c->rebalance.due)
    return;
  if (c->now_ms >= c->rebalance.next_ms) {
    if (bt_map_len(c->moves) == 0 && c->vacating.len == 0)
      look(c);
    else
      c->rebalance.next_ms = c->now_ms + SETTLE_MS; /* one after the other, and drains first */
  }
  if (c->rebalance.due)
    c->wake_ms = BT_MIN(c->wake_ms, c->rebalance.next_ms);
}
