/* The operator's policies on places: what they are asked, and what becomes of it when they fail or change. Who holds the policies gives a
 * way to ask (struct bt_control_judge); the planner asks once for each service's revision and class of nodes. */
#include "config.h"

#include "control/internal.h"
#include "policy/judge.h"

#define MOST_TOLD 20 /* failures that are told as events until the policies change: each is said of each service and class */

/* ---- what they see of nodes ---- */

static void add_attr(json_t *node, const struct bt_attr *attr) {
  const char *rest = attr->key + strlen("node.");
  if (!bt_starts(attr->key, "node."))
    return; /* engine.labels are node.labels */
  if (bt_starts(rest, "labels."))
    bt_json_set_str(bt_json_obj(node, "labels"), rest + strlen("labels."), attr->value);
  else if (bt_starts(rest, "platform."))
    bt_json_set_str(bt_json_obj(node, "platform"), rest + strlen("platform."), attr->value);
  else if (bt_streq(rest, "pool") || bt_streq(rest, "role"))
    bt_json_set_str(node, rest, attr->value);
}

static json_t *capacity(const struct bt_fleet *fleet, const int64_t *room) {
  json_t *o = json_object();
  for (int d = 0; d < bt_fleet_dims(fleet); d++)
    if (room[d] >= BT_FLEET_MAX)
      continue; /* nobody knows */
    else if (d == BT_DIM_CPU)
      bt_json_set(o, "cpus", json_real((double)room[d] / 1000));
    else
      bt_json_set_int(o, bt_fleet_dim_name(fleet, d), room[d]);
  return o;
}

static json_t *node_json(const struct bt_fleet *fleet, const struct bt_fleet_node *class) {
  json_t *o = json_object(), *taints = json_array();
  bt_json_set(o, "labels", json_object());
  bt_json_set(o, "platform", json_object());
  for (size_t i = 0; i < class->nattrs; i++)
    add_attr(o, &class->attrs[i]);
  for (size_t i = 0; i < class->ntaints; i++) {
    json_t *taint = json_object();
    bt_json_set_str(taint, "key", class->taints[i].key);
    bt_json_set_str(taint, "value", class->taints[i].value);
    bt_json_set_str(taint, "effect", class->taints[i].effect == BT_TAINT_PREFER_NOT ? "prefer-not" : "no-schedule");
    json_array_append_new(taints, taint);
  }
  bt_json_set(o, "taints", taints);
  bt_json_set(o, "capacity", capacity(fleet, class->room));
  return o;
}

/* ---- asking ---- */

void ctl_judge_forget(struct bt_control *c, const struct ctl_spec *spec) {
  if (spec && c->judged.spec != spec)
    return;
  json_decref(c->judged.service);
  c->judged.service = NULL;
  c->judged.spec = NULL;
}

/* Of one spec all classes are asked in a row. */
static const json_t *service_json(struct bt_control *c, const struct ctl_spec *spec) {
  if (c->judged.spec != spec) {
    ctl_judge_forget(c, NULL);
    c->judged.spec = spec;
    c->judged.service = bt_judge_service(spec->rev->app->ns, spec->rev->app->name, spec->service);
  }
  return c->judged.service;
}

/* A rule that fails is the operator's to mend, and to hear of. What is only tried (a plan) leaves no event. */
static void tell(struct bt_control *c, const struct ctl_spec *spec, const char *why) {
  if (!c->fx || c->judged.trial || c->judged.told >= MOST_TOLD)
    return;
  c->judged.told++;
  ctl_event(c, "error", "policy.failed", spec->rev->app->ns, spec->rev->app->name, spec->service->name, NULL,
            "nodes are refused to service %s: each %s", spec->service->name, why);
}

static bool ask(void *arg, void *tag, const struct bt_fleet_node *class, int *score, char *why, size_t size) {
  struct bt_control *c = arg;
  const struct ctl_spec *spec = tag;
  struct bt_judgement said = {0};
  BT_AUTO_JSON node = node_json(c->fleet, class);
  c->judge.ask(c->judge.arg, service_json(c, spec), node, &said);
  *score = said.score;
  snprintf(why, size, "%s", said.why);
  if (said.failed)
    tell(c, spec, said.why);
  return said.allowed;
}

void ctl_judge_take(struct bt_control *c) {
  bool any = c->judge.ask && c->judge.any(c->judge.arg);
  c->judged.told = 0;
  if (any || c->judged.any)
    bt_fleet_judged(c->fleet, any ? ask : NULL, c);
  c->judged.any = any;
}

/* What runs stays where it is; what waits for a place is looked at again. */
void ctl_judge_changed(struct bt_control *c, const struct bt_request *request) {
  bool before = c->judged.any;
  ctl_judge_take(c);
  for (struct ctl_insts it = ctl_insts(c); (before || c->judged.any) && ctl_insts_next(&it);)
    if (!it.inst->node)
      ctl_dirty(it.inst->service->app);
  ctl_reply(c, request->id, json_object());
}
