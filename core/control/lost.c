/* Nodes whose connection is down for long: they are given up, at the pace and within the limits of plan/lost.h, and what ran there is replaced
 * elsewhere. Nobody knows whether it still runs: when the node comes back, what was replaced is told to go in answer to its hello, before it hears
 * anything else of it, and what was not runs on. What is tied to the node by its data waits for it. */
#include "config.h"

#include "control/internal.h"

#define CROWD 256        /* nodes from which on not each that comes or goes is worth a look at all */
#define CROWD_PER_MS 100 /* nodes per millisecond between two looks */

bool ctl_inst_lost(const struct ctl_inst *inst) {
  if (!inst->node || !inst->node->lost_ms)
    return false;
  BT_AUTO_FREE char *bound = ctl_bound(inst);
  return !bound;
}

void ctl_lost_replaced(const struct ctl_inst *by) {
  const struct ctl_service *service = by->service;
  if (service->app->control->lost == 0 || bt_service_is_job(by->spec->service))
    return;
  bt_vec_each(&service->insts, inst) {
    if (*inst != by && (*inst)->slot == by->slot && !(*inst)->leaving && ctl_inst_lost(*inst))
      ctl_release(*inst, "its node was lost, and it is replaced");
  }
}

void ctl_node_dirty(const struct ctl_node *node) {
  for (struct ctl_inst *inst = node->first; inst; inst = ctl_beside(inst)) {
    inst->service->app->looked_ms = 0; /* a crowd, too, at once */
    ctl_dirty(inst->service->app);
  }
}

/* ---- giving up ---- */

static void lose(struct ctl_inst *inst) {
  const struct ctl_app *app = inst->service->app;
  BT_AUTO_FREE char *bound = ctl_bound(inst);
  inst->ready = false;
  if (inst->seen)
    inst->seen->ready_ms = 0;
  ctl_touch_inst(inst);
  if (!bound)
    ctl_fleet_release(inst);
  if (!inst->leaving)
    ctl_event(app->control, "error", "instance.lost", app->ns, app->name, inst->id, NULL, bound ? "%s is lost with its node %s, and waits for it: %s" : "%s is lost with its node %s",
              inst->id, inst->node->name, bound);
}

static void give_up(struct bt_control *c, struct ctl_node *node) {
  int n = node->instances;
  node->lost_ms = ctl_wall(c);
  c->lost++;
  ctl_node_save(c, node);
  ctl_event(c, "error", "node.lost", NULL, NULL, node->name, NULL, "node %s is lost: it was not connected for %lld s; its %d instance%s %s replaced elsewhere, where that can be",
            node->name, (long long)(c->now_ms - node->down_ms) / 1000, n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
  for (struct ctl_inst *inst = node->first; inst; inst = ctl_beside(inst))
    if (inst->seat != BT_FLEET_NONE) /* else it is an attempt that has ended */
      lose(inst);
  ctl_node_dirty(node);
}

static void look(struct bt_control *c) {
  c->lost_looked_ms = c->now_ms;
  size_t n = 0, room = bt_map_len(c->nodes) + 1;
  BT_AUTO_FREE struct bt_lost_node *nodes = bt_newn(struct bt_lost_node, room);
  BT_AUTO_FREE struct ctl_node **who = (struct ctl_node **)bt_newn(void *, room);
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);) {
    struct ctl_node *node = who[n] = it.value;
    nodes[n++] = (struct bt_lost_node){.name = node->name,
                                       .zone = node->zone,
                                       .up = node->connected,
                                       .down_ms = node->down_ms,
                                       .given_ms = ctl_from_wall(c, node->lost_ms)};
  }
  const struct bt_scheduling_change *s = &c->scheduling.change;
  c->lost_look_ms = bt_lost_step(&(struct bt_lost_in){s->lost_after_ms, s->lost_every_ms, c->now_ms}, nodes, n, &c->lost_pace);
  for (size_t i = 0; i < n; i++) {
    who[i]->verdict = nodes[i].verdict;
    if (nodes[i].verdict == BT_LOST_NOW)
      give_up(c, who[i]);
  }
  c->wake_ms = BT_MIN(c->wake_ms, c->lost_look_ms);
}

/* At once, but of a crowd not for each of them: a look costs some 300 ns per node. */
void ctl_lost_news(struct bt_control *c) {
  size_t n = bt_map_len(c->nodes);
  int64_t due_ms = n > CROWD ? c->lost_looked_ms + (int64_t)(n / CROWD_PER_MS) : 0;
  if (due_ms <= c->now_ms)
    look(c);
  else
    c->lost_look_ms = BT_MIN(c->lost_look_ms, due_ms);
  c->wake_ms = BT_MIN(c->wake_ms, c->lost_look_ms);
}

void ctl_lost_tick(struct bt_control *c) {
  if (c->lost_look_ms <= c->now_ms)
    look(c);
  c->wake_ms = BT_MIN(c->wake_ms, c->lost_look_ms);
}

/* ---- coming back ---- */

void ctl_node_back(struct bt_control *c, struct ctl_node *node) {
  int gone = 0;
  node->down_ms = 0;
  node->verdict = BT_LOST_NOT;
  if (!node->lost_ms)
    return;
  node->lost_ms = 0;
  c->lost--;
  for (struct ctl_inst *inst = node->first; inst; inst = ctl_beside(inst)) {
    gone += inst->leaving;
    ctl_fleet_hold(inst);
  }
  ctl_node_dirty(node);
  ctl_event(c, "info", "node.back", NULL, NULL, node->name, NULL, "node %s, which was lost, is back with %d instance%s, of which %d %s replaced meanwhile and go", node->name,
            node->instances, node->instances == 1 ? "" : "s", gone, gone == 1 ? "was" : "were");
}

/* After a start nobody is connected yet: each is given its time anew. */
void ctl_lost_start(struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);) {
    struct ctl_node *node = it.value;
    if (!node->connected)
      node->down_ms = c->now_ms;
  }
  look(c);
}

const char *ctl_lost_words(const struct ctl_node *node) {
  switch (node->verdict) {
  case BT_LOST_GRACE:
    return "it is given up where it stays so (scheduling.lost.after)";
  case BT_LOST_TURN:
    return "it is given up when it is its turn (scheduling.lost.rate)";
  case BT_LOST_HELD:
    return "so many nodes are not connected that the network is likelier to be cut than all of them to be dead: it is not given up, and its instances are not replaced";
  default:
    return NULL;
  }
}
