/* Nodes that are drained: they take no new instances, and what runs there is moved away as moves.c does it. What cannot be moved stays and says why;
 * jobs may run on for a time. Level-triggered: each look at an app asks for its instances on such nodes. (What drain.c drains is requests.) */
#include "config.h"

#include "base/clock.h"
#include "control/internal.h"

struct stay {
  char *why;
  bool lasting; /* waiting alone will not help */
};

static void stay_free(void *arg) {
  struct stay *stay = arg;
  free(stay->why);
  free(stay);
}

static struct ctl_vacate *vacate_new(int64_t since_ms, const char *actor) {
  struct ctl_vacate *v = bt_new(struct ctl_vacate);
  *v = (struct ctl_vacate){.since_ms = since_ms, .actor = bt_strdup(actor), .stays = bt_map_new(stay_free)};
  return v;
}

void ctl_vacate_free(struct ctl_vacate **vacate) {
  struct ctl_vacate *v = bt_steal(*vacate);
  if (!v)
    return;
  bt_map_free(&v->stays);
  free(v->actor);
  free(v);
}

static void unlist(struct bt_control *c, const struct ctl_node *node) {
  for (size_t i = 0; i < c->vacating.len; i++)
    if (c->vacating.items[i] == node) {
      bt_vec_remove(&c->vacating, i);
      return;
    }
}

struct ctl_node *ctl_vacating(const struct ctl_inst *inst) {
  return inst->node && inst->node->vacate && !inst->node->vacate->done ? inst->node : NULL;
}

/* ---- forms ---- */

json_t *ctl_vacate_json(const struct bt_control *c, const struct ctl_node *node) {
  const struct ctl_vacate *v = node->vacate;
  json_t *o = json_object();
  bt_json_set_str(o, "state", v->done ? "drained" : "draining");
  bt_json_set_str(o, "actor", v->actor);
  ctl_set_time(o, "since", v->since_ms);
  ctl_set_time(o, "until", ctl_to_wall(c, v->until_ms));
  return o;
}

json_t *ctl_vacate_view(const struct bt_control *c, const struct ctl_node *node) {
  json_t *o = ctl_vacate_json(c, node), *stays = json_array();
  bt_json_set_int(o, "left", bt_fleet_node_count(c->fleet, node->number));
  for (struct bt_map_iter it = bt_map_iter(node->vacate->stays); bt_map_next(&it);) {
    const struct stay *stay = it.value;
    json_t *s = json_object();
    bt_json_set_str(s, "instance", it.key);
    bt_json_set_str(s, "reason", stay->why);
    bt_json_set_bool(s, "lasting", stay->lasting);
    json_array_append_new(stays, s);
  }
  bt_json_set(o, "stays", stays);
  return o;
}

void ctl_vacate_load(struct bt_control *c, struct ctl_node *node, const json_t *o) {
  if (!o)
    return;
  node->vacate = vacate_new(ctl_get_time(o, "since"), bt_json_str(o, "actor"));
  node->vacate->until_ms = ctl_from_wall(c, ctl_get_time(o, "until"));
  node->vacate->done = bt_streq(bt_json_str(o, "state"), "drained");
  if (!node->vacate->done)
    bt_vec_push(&c->vacating, node);
}

const char *ctl_vacate_stay(const struct ctl_inst *inst) {
  const struct ctl_node *node = ctl_vacating(inst);
  const struct stay *stay = node ? bt_map_get(node->vacate->stays, inst->id) : NULL;
  return stay ? stay->why : NULL;
}

/* ---- its instances ---- */

/* why NULL: nothing keeps it. */
static void set_stay(struct ctl_node *node, const struct ctl_inst *inst, char *why_steal, bool lasting) {
  BT_AUTO_FREE char *why = why_steal;
  struct stay *stay = bt_map_get(node->vacate->stays, inst->id);
  if (!why) {
    bt_map_del(node->vacate->stays, inst->id);
    return;
  }
  if (!stay) {
    stay = bt_new(struct stay);
    bt_map_set(node->vacate->stays, inst->id, stay);
  }
  bt_str_set(&stay->why, why);
  stay->lasting = lasting;
}

/* An attempt is given the drain's time; then it is made again elsewhere, and counts as no failure. */
static char *look_at_attempt(struct ctl_inst *inst, const struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  char buf[32];
  if (c->now_ms >= node->vacate->until_ms) {
    BT_AUTO_FREE char *why = bt_asprintf("its node %s is drained, and the time that it was given is over", node->name);
    ctl_release(inst, why);
    return NULL;
  }
  ctl_wake(inst->service->app, node->vacate->until_ms);
  return bt_asprintf("it is an attempt of a job, which may run on until %s", bt_clock_format(ctl_to_wall(c, node->vacate->until_ms), buf));
}

static void look_at(struct ctl_inst *inst, struct ctl_node *node) {
  const struct ctl_inst *next = ctl_move_of(inst) ? ctl_move_successor(inst) : NULL;
  bool job = bt_service_is_job(inst->spec->service), lasting = false;
  char *why = NULL;
  if ((job && inst->ended) || node->lost_ms) {
    why = NULL;
  } else if (inst->leaving) {
    why = bt_strdup("it is being stopped");
  } else if (next) {
    why = bt_asprintf("its replacement %s is not ready yet%s%s", next->id, next->reason ? ": " : "", next->reason ? next->reason : "");
  } else if (job) {
    why = look_at_attempt(inst, node);
  } else {
    BT_AUTO_FREE char *cause = bt_asprintf("%s is drained", node->name);
    why = ctl_move_begin(inst, CTL_MOVE_DRAIN, NULL, cause, &lasting);
    if (!why)
      why = bt_strdup(inst->leaving ? "it is being stopped" : "its replacement is not ready yet");
  }
  set_stay(node, inst, why, lasting);
}

void ctl_vacate_service(struct ctl_service *service) {
  size_t n = service->insts.len; /* those that are made meanwhile are elsewhere */
  for (size_t i = 0; i < n; i++) {
    struct ctl_inst *inst = service->insts.items[i];
    struct ctl_node *node = ctl_vacating(inst);
    if (node)
      look_at(inst, node);
  }
}

void ctl_vacate_gone(const struct ctl_inst *inst) {
  struct ctl_node *node = ctl_vacating(inst);
  if (node)
    bt_map_del(node->vacate->stays, inst->id);
}

void ctl_vacates_look(struct bt_control *c) {
  for (size_t i = c->vacating.len; i-- > 0;) {
    struct ctl_node *node = c->vacating.items[i];
    if (node->lost_ms || bt_fleet_node_count(c->fleet, node->number) > 0)
      continue;
    node->vacate->done = true;
    bt_vec_remove(&c->vacating, i);
    ctl_node_save(c, node);
    ctl_event(c, "info", "node.drained", NULL, NULL, node->name, NULL, "%s is drained: nothing runs there any more", node->name);
  }
}

/* ---- requests ---- */

void ctl_vacate_cancel(struct bt_control *c, struct ctl_node *node) {
  if (!node->vacate)
    return;
  unlist(c, node);
  ctl_vacate_free(&node->vacate);
  ctl_node_dirty(node); /* what was on its way stays */
}

static void begin(struct bt_control *c, struct ctl_node *node, int64_t timeout_ms, const char *actor) {
  bool anew = !node->vacate || node->vacate->done;
  if (anew) {
    ctl_vacate_free(&node->vacate);
    node->vacate = vacate_new(ctl_wall(c), actor);
    bt_vec_push(&c->vacating, node);
    ctl_event(c, "info", "node.draining", NULL, NULL, node->name, NULL, "%s drains the node: its instances are moved to others", actor);
  }
  node->vacate->until_ms = c->now_ms + timeout_ms;
  node->cordoned = true;
  ctl_fleet_node(c, node);
  ctl_node_save(c, node);
  ctl_node_dirty(node);
}

void ctl_node_drain(struct bt_control *c, const struct bt_request *request) {
  const char *name = bt_json_str_or(request->args, "node", "");
  int64_t timeout_ms = BT_MIN(bt_json_int(request->args, "timeout_ms", c->scheduling.change.drain_timeout_ms), (int64_t)7 * 24 * 3600 * 1000);
  struct ctl_node *node = bt_map_get(c->nodes, name);
  if (!node) {
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no node %.80s; see: berth node ls", name);
    return;
  }
  bool changed = !node->vacate;
  if (!request->dry_run)
    begin(c, node, BT_MAX(timeout_ms, 0), request->actor);
  json_t *result = json_object();
  bt_json_set_str(result, "node", name);
  bt_json_set_bool(result, "cordoned", true);
  bt_json_set_bool(result, "changed", changed);
  bt_json_set_int(result, "left", bt_fleet_node_count(c->fleet, node->number));
  ctl_reply(c, request->id, result);
}
