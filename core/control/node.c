#include "config.h"

#include "base/plant.h"
#include "control/internal.h"

static json_t *message(const char *type) {
  json_t *m = json_object();
  bt_json_set_str(m, "type", type);
  return m;
}

/* ---- reports ---- */

static bool set_text(char **dst, const char *text) {
  const char *want = text && *text ? text : NULL;
  if (bt_streq(*dst, want))
    return false;
  bt_str_set(dst, want);
  return true;
}

#define set_value(dst, value)                 \
  ({                                          \
    __typeof__(dst) set_v_ = (__typeof__(dst))(value); \
    bool set_c_ = (dst) != set_v_;            \
    (dst) = set_v_;                           \
    set_c_;                                   \
  })

static bool set_ports(struct ctl_seen *seen, json_t *ports) {
  if (ports && json_array_size(ports) == 0)
    ports = NULL;
  if ((!ports && !seen->ports) || (ports && seen->ports && json_equal(ports, seen->ports)))
    return false;
  json_decref(seen->ports);
  seen->ports = ports ? json_deep_copy(ports) : NULL;
  return true;
}

/* All instances of a service run the same image: its id is kept once. */
static bool set_image(struct bt_control *c, struct ctl_seen *seen, const char *id) {
  const char *want = id && *id ? id : NULL;
  bool changed = !bt_streq(seen->image_id, want);
  ctl_word_set(c, &seen->image_id, want);
  return changed;
}

/* A restart was asked for and the node speaks of the run before: what it says of readiness is of yesterday. */
static bool before_restart(struct ctl_inst *inst, const json_t *m, enum bt_state state) {
  if (!inst->restarting)
    return false;
  bool same_run = bt_json_int(m, "started_ms", 0) == ctl_seen(inst)->started_ms;
  if (state == BT_ST_STOPPING || state == BT_ST_STARTING || (state == BT_ST_RUNNING && same_run))
    return true;
  inst->restarting = false;
  ctl_touch_inst(inst);
  return false;
}

static bool take_facts(struct ctl_inst *inst, const json_t *m) {
  struct bt_control *c = inst->service->app->control;
  struct ctl_seen *seen = ctl_see(inst);
  bool changed = set_text(&seen->container_id, bt_json_str(m, "container_id"));
  changed |= set_image(c, seen, bt_json_str(m, "image_id"));
  changed |= set_text(&seen->error, bt_json_str(m, "error"));
  changed |= set_text(&seen->ip, bt_json_str(m, "ip"));
  changed |= set_value(seen->exit_code, bt_json_int(m, "exit_code", 0));
  changed |= set_value(seen->lasting, bt_json_bool(m, "lasting", false));
  changed |= set_value(seen->oom, bt_json_bool(m, "oom", false));
  changed |= set_value(seen->restarts, bt_json_int(m, "restarts", 0));
  changed |= set_value(seen->failures, bt_json_int(m, "failures", 0));
  if (seen->failures < seen->failures_before)
    seen->failures_before = 0; /* it was well for a while, and the node counts anew */
  changed |= set_value(seen->next_start_ms, bt_json_int(m, "next_start_ms", 0));
  /* By the node's clock, which may be ahead of ours: nothing waits for what has ended. */
  changed |= set_value(seen->finished_ms, BT_MIN(ctl_from_wall(c, bt_json_int(m, "finished_ms", 0)), c->now_ms));
  return changed | set_ports(seen, bt_json_arr(m, "ports"));
}

static void tell(struct ctl_inst *inst, enum bt_state before, bool was_ready) {
  const struct ctl_app *app = inst->service->app;
  struct bt_control *c = app->control;
  if (inst->leaving)
    return;
  if (inst->ready && !was_ready)
    ctl_event(c, "info", "instance.ready", app->ns, app->name, inst->id, NULL, "%s is ready", inst->id);
  else if (inst->state == BT_ST_FAILED && before != BT_ST_FAILED)
    ctl_event(c, "error", "instance.failed", app->ns, app->name, inst->id, NULL, "%s failed: %s", inst->id,
              ctl_seen(inst)->error ? inst->seen->error : "no reason given");
  else if (inst->state == BT_ST_EXITED && before != BT_ST_EXITED)
    ctl_event(c, ctl_seen(inst)->exit_code ? "error" : "info", "instance.exited", app->ns, app->name, inst->id, NULL, "%s ended with exit code %d",
              inst->id, ctl_seen(inst)->exit_code);
  else if (was_ready && !inst->ready && inst->state == BT_ST_RUNNING)
    ctl_event(c, "warning", "instance.unready", app->ns, app->name, inst->id, NULL, "%s is no longer ready", inst->id);
}

static void take_report(struct ctl_inst *inst, const json_t *m) {
  struct bt_control *c = inst->service->app->control;
  enum bt_state state = (enum bt_state)inst->state, before = state;
  bool was_ready = inst->ready;
  if (!bt_state_parse(bt_json_str(m, "state"), &state))
    return;
  bool ready = bt_json_bool(m, "ready", false) && !before_restart(inst, m, state);
  bool changed = take_facts(inst, m);
  changed |= set_value(inst->state, state);
  changed |= set_value(inst->ready, ready);
  changed |= set_value(inst->health, ctl_health_of(bt_json_str(m, "health")));
  if (!inst->restarting)
    changed |= set_value(ctl_see(inst)->started_ms, bt_json_int(m, "started_ms", 0));
  changed |= ctl_inplace_report(inst, m);
  bool final = (state == BT_ST_EXITED || state == BT_ST_FAILED) && bt_json_bool(m, "final", false);
  changed |= set_value(inst->ended, final || (inst->ended && inst->leaving)); /* what has ended is stopped and removed: it never runs again */
  if (!changed)
    return;
  ctl_fleet_hold(inst);
  if (state == BT_ST_RUNNING && before != BT_ST_RUNNING)
    ctl_near_ran(inst);
  if (inst->ready)
    ctl_word_set(c, &inst->reason, NULL);
  if (inst->ready != was_ready)
    ctl_see(inst)->ready_ms = inst->ready ? c->now_ms : 0;
  if (!BT_PLANT(REPORT_UNSAVED))
    ctl_touch_inst(inst);
  ctl_dirty(inst->service->app);
  tell(inst, before, was_ready);
}

static bool is_on(const struct ctl_inst *inst, const char *node) { return inst && inst->node && bt_streq(inst->node->name, node); }

static void report(struct bt_control *c, const char *node, const json_t *m) {
  struct ctl_inst *inst = ctl_inst_find(c, bt_json_str(m, "instance"));
  if (!is_on(inst, node))
    return;
  if (bt_streq(bt_json_str(m, "state"), "removed"))
    ctl_inst_delete(inst);
  else
    take_report(inst, m);
}

/* The engine leaves something of the file out: that is told, not kept. */
static void warning(struct bt_control *c, const char *node, const json_t *m) {
  const struct ctl_inst *inst = ctl_inst_find(c, bt_json_str(m, "instance"));
  const char *text = bt_json_str(m, "text");
  if (text && is_on(inst, node))
    ctl_event(c, "warning", "instance.warning", inst->service->app->ns, inst->service->app->name, inst->id, NULL, "%s: %s", inst->id, text);
}

/* ---- hello and sync ---- */

static json_t *resource_json(const struct ctl_res *res) {
  json_t *o = json_object();
  bt_json_set_str(o, "name", res->name);
  json_object_set(o, "spec", res->spec);
  bt_json_set(o, "labels", ctl_res_labels(res));
  return o;
}

json_t *ctl_res_message(const struct ctl_res *res) {
  json_t *o = resource_json(res);
  bt_json_set_str(o, "type", res->kind == CTL_NETWORK ? "network" : "volume");
  return o;
}

/* What leaves and is known to the node goes by its release alone. An agent that started anew knows nothing: it is told of what
 * leaves as well, so that the release that follows ends the container in good order instead of as an orphan. */
static bool wanted(const struct ctl_inst *inst, const json_t *seen) {
  return !inst->leaving || !json_object_get(seen, inst->id);
}

static json_t *sync_message(struct bt_control *c, const struct ctl_node *node, const json_t *seen) {
  json_t *m = message("sync"), *instances = json_array(), *networks = json_array(), *volumes = json_array();
  for (const struct ctl_inst *inst = node->first; inst; inst = ctl_beside(inst))
    if (wanted(inst, seen))
      json_array_append_new(instances, ctl_assignment(inst));
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);) {
    const struct ctl_res *res = it.value;
    if (!res->dropping)
      json_array_append_new(res->kind == CTL_NETWORK ? networks : volumes, resource_json(res));
  }
  bt_json_set(m, "instances", instances);
  bt_json_set(m, "networks", networks);
  bt_json_set(m, "volumes", volumes);
  return m;
}

static json_t *seen_instances(const json_t *hello) {
  json_t *seen = json_object();
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(hello, "instances"), i, item) {
    const char *id = bt_json_str(item, "instance");
    if (id && !bt_streq(bt_json_str(item, "state"), "removed"))
      json_object_set(seen, id, item);
  }
  return seen;
}

static void send_simple(struct bt_control *c, const char *node, const char *type, const char *instance, const char *reason) {
  json_t *m = message(type);
  bt_json_set_str(m, "instance", instance);
  bt_json_set_str(m, "reason", reason);
  ctl_send(c, node, m);
}

void ctl_send_release(struct ctl_inst *inst) {
  send_simple(inst->service->app->control, inst->node->name, "release", inst->id, inst->reason ? inst->reason : "no longer wanted");
}

void ctl_send_restart(struct ctl_inst *inst) {
  send_simple(inst->service->app->control, inst->node->name, "restart", inst->id, NULL);
}

/* After the sync: what was under way when the connection ended. */
static void send_again(struct bt_control *c, const struct ctl_node *node) {
  for (struct ctl_inst *inst = node->first; inst; inst = ctl_beside(inst)) {
    if (inst->draining)
      continue;
    if (inst->leaving && BT_PLANT(RELEASE_LOST))
      continue;
    if (inst->leaving)
      ctl_send_release(inst);
    else if (inst->restarting)
      ctl_send_restart(inst);
  }
  ctl_res_send_drops(c, node->name);
}

void ctl_node_save(struct bt_control *c, const struct ctl_node *node) { ctl_put(c, "node", node->name, ctl_node_json(c, node)); }

/* At the apps that something new of the nodes may matter to. */
static void look_again(struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
    if (((struct ctl_app *)it.value)->wants_nodes)
      ctl_dirty(it.value);
}

static void hello(struct bt_control *c, const char *name, const json_t *m) {
  struct ctl_node *node = ctl_node_get(c, name);
  bool was = node->connected;
  BT_AUTO_JSON seen = seen_instances(m);
  json_t *info = bt_json_obj(m, "node");
  ctl_node_describe(node, info ? json_deep_copy(info) : json_object());
  json_object_del(node->info, "name");
  node->connected = node->ready = true;
  ctl_node_back(c, node);
  ctl_fleet_node(c, node);
  bt_str_set(&node->message, NULL);
  ctl_node_save(c, node);
  if (!was)
    ctl_event(c, "info", "node.connected", NULL, NULL, name, NULL, "node %s is connected", name);
  for (struct ctl_inst *inst = node->first; inst; inst = ctl_beside(inst)) {
    /* What it does not name it may not know yet: the sync tells it, and it adopts the container or makes it again. */
    const json_t *item = json_object_get(seen, inst->id);
    if (item)
      take_report(inst, item);
    else
      ctl_inplace_unheard(inst);
    if (item && inst->state == BT_ST_RUNNING)
      ctl_near_ran(inst); /* what ran before the server's own start */
  }
  ctl_send(c, name, sync_message(c, node, seen));
  send_again(c, node);
  if (!was)
    ctl_lost_news(c);
  ctl_rebalance_due(c);
  look_again(c);
}

static void node_status(struct bt_control *c, const char *name, const json_t *m) {
  struct ctl_node *node = ctl_node_get(c, name);
  bool ready = bt_streq(bt_json_str(m, "status"), "ready");
  const char *text = bt_json_str(m, "message");
  if (node->ready == ready && bt_streq(node->message, text))
    return;
  node->ready = ready;
  ctl_fleet_node(c, node);
  bt_str_set(&node->message, text);
  ctl_node_save(c, node);
  ctl_event(c, ready ? "info" : "error", ready ? "node.ready" : "node.unavailable", NULL, NULL, name, NULL, "node %s is %s%s%s", name,
            ready ? "ready" : "unavailable", text ? ": " : "", text ? text : "");
  look_again(c);
}

void ctl_node_cordon(struct bt_control *c, const struct bt_request *request) {
  const char *name = bt_json_str_or(request->args, "node", "");
  bool on = bt_json_bool(request->args, "cordoned", true);
  struct ctl_node *node = bt_map_get(c->nodes, name);
  if (!node) {
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no node %.80s; see: berth node ls", name);
    return;
  }
  bool changed = node->cordoned != on;
  if (changed && !request->dry_run) {
    node->cordoned = on;
    if (!on) {
      ctl_vacate_cancel(c, node);
      ctl_rebalance_due(c);
    }
    ctl_fleet_node(c, node);
    ctl_node_save(c, node);
    ctl_event(c, "info", on ? "node.cordoned" : "node.uncordoned", NULL, NULL, name, NULL, "%s %s", request->actor,
              on ? "cordons the node: it takes no new instances, and runs on" : "lets the node take instances again");
    if (!on)
      look_again(c);
  }
  json_t *result = json_object();
  bt_json_set_str(result, "node", name);
  bt_json_set_bool(result, "cordoned", on);
  bt_json_set_bool(result, "changed", changed);
  ctl_reply(c, request->id, result);
}

void ctl_node_message(struct bt_control *c, const char *node, const json_t *m) {
  const char *type = bt_json_str_or(m, "type", "");
  if (bt_streq(type, "hello"))
    hello(c, node, m);
  else if (bt_streq(type, "report"))
    report(c, node, m);
  else if (bt_streq(type, "warning"))
    warning(c, node, m);
  else if (bt_streq(type, "dropped"))
    ctl_res_dropped(c, m);
  else if (bt_streq(type, "node"))
    node_status(c, node, m);
  /* "progress" goes past control to the watchers; types of a newer agent are not ours to judge. */
}

void ctl_node_down(struct bt_control *c, const char *name) {
  struct ctl_node *node = bt_map_get(c->nodes, name);
  if (!node || !node->connected)
    return;
  node->connected = node->ready = false;
  node->down_ms = c->now_ms;
  ctl_fleet_node(c, node);
  ctl_node_save(c, node);
  ctl_event(c, "warning", "node.disconnected", NULL, NULL, name, NULL, "the connection to node %s ended; its containers run on", name);
  ctl_lost_news(c);
}

void bt_control_carry(struct bt_control *c, const struct bt_control *from) {
  ctl_settings_take(c, from->settings);
  for (struct bt_map_iter it = bt_map_iter(from->nodes); bt_map_next(&it);) {
    const struct ctl_node *was = it.value;
    struct ctl_node *node = bt_map_get(c->nodes, it.key);
    if (!node)
      continue;
    node->connected = was->connected;
    node->ready = false; /* nothing begins there before it has said hello again: it may not have been told of its networks */
    node->down_ms = was->down_ms;
    ctl_fleet_node(c, node);
    bt_str_set(&node->message, was->message);
  }
  ctl_fleet_renew(c);
}
