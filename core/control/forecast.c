/* Where what a draft wants would go, tried on the planner's own fleet within the step and taken back at once. */
#include "config.h"

#include "control/queue.h"
#include "control/trial.h"

static void lift(struct ctl_trial *t, struct ctl_service *service) {
  bt_vec_each(&service->insts, inst) {
    if ((*inst)->seat == BT_FLEET_NONE)
      continue;
    ctl_fleet_release(*inst);
    bt_vec_push(&t->lifted, *inst);
  }
}

static int kept(const struct ctl_service *service) {
  int n = 0;
  bt_vec_each(&service->insts, inst) n += !(*inst)->leaving && (*inst)->seat != BT_FLEET_NONE;
  return n;
}

int ctl_trial_inplace(struct ctl_trial *t, const struct ctl_service *service, struct ctl_spec *to, struct bt_buf *why, int *all) {
  int n = 0;
  *all = 0;
  bt_vec_each(&service->insts, i) {
    struct ctl_inst *inst = *i;
    BT_AUTO_BUF one = {0};
    if (inst->leaving || !inst->node)
      continue;
    ++*all;
    if (!ctl_inplace_may(inst, to, &one)) {
      if (n++ == 0)
        bt_buf_adds(why, one.len ? one.data : "it does not stay where it is");
      continue;
    }
    if (inst->seat == BT_FLEET_NONE || to->shape == BT_FLEET_NONE)
      continue;
    ctl_fleet_release(inst);
    bt_vec_push(&t->lifted, inst);
    bt_vec_push(&t->placed, bt_fleet_seat(t->c->fleet, to->shape, inst->node->number));
  }
  return n;
}

/* Who changes in place stays where it is; who cannot goes first, unless the order says otherwise. How many places are asked for beside theirs. */
static int wanted_in_place(struct ctl_trial *t, struct ctl_service *service, struct ctl_spec *spec, int replicas) {
  BT_AUTO_BUF why = {0};
  int all, n = ctl_trial_inplace(t, service, spec, &why, &all);
  if (n > 0 && (spec->service->update.order != BT_START_FIRST || bt_service_exclusive(spec->service)))
    lift(t, service); /* those that still hold a place: the others hold the new one */
  return replicas - (all - n);
}

/* How many places a step of the plan asks for. What an update replaces goes first, unless its order says otherwise. */
static int wanted(struct ctl_trial *t, const struct ctl_draft *d, struct ctl_spec *spec, const json_t *step) {
  const char *action = bt_json_str_or(step, "action", "");
  struct ctl_service *service = ctl_service_find(d->app, spec->service->name);
  bool each = spec->service->mode == BT_MODE_GLOBAL || ctl_once(spec);
  int replicas = each                        ? (int)ctl_fleet_hosts(spec)
                 : service && service->spec && ctl_scales(service) ? ctl_replicas(service)
                                                                  : spec->service->replicas;
  if (!service || bt_streq(action, "create"))
    return replicas;
  if (bt_streq(action, "scale"))
    return replicas - kept(service);
  if (bt_json_bool(step, "in_place", false))
    return wanted_in_place(t, service, spec, replicas);
  bool beside = spec->service->update.order == BT_START_FIRST || (spec->service->way.kind == BT_WAY_BLUE_GREEN && !spec->rev->rollback_of);
  if (!beside || bt_service_exclusive(spec->service))
    lift(t, service);
  return replicas;
}

static json_t *by_node(const struct ctl_trial *t, size_t from) {
  json_t *nodes = json_object();
  for (size_t i = from; i < t->placed.len; i++) {
    const char *name = bt_fleet_node_name(t->c->fleet, bt_fleet_node_of(t->c->fleet, t->placed.items[i]));
    bt_json_set_int(nodes, name, bt_json_int(nodes, name, 0) + 1);
  }
  return nodes;
}

bool ctl_trial_gang(const struct ctl_spec *spec) {
  const struct bt_service *want = spec->service;
  const struct ctl_service *service = want->placement.gang && want->mode != BT_MODE_GLOBAL ? ctl_service_find(spec->rev->app, want->name) : NULL;
  bool stands = !want->placement.gang || want->mode == BT_MODE_GLOBAL;
  if (service)
    bt_vec_each(&service->insts, inst) stands = stands || ((*inst)->node && !(*inst)->leaving && !(*inst)->ended);
  return !stands;
}

/* Of another namespace no names are told. */
static json_t *victim_json(const struct ctl_inst *who, const struct ctl_spec *by) {
  const struct ctl_app *app = who->service->app;
  json_t *o = json_object();
  bool own = bt_streq(app->ns, by->rev->app->ns);
  bt_json_set_str(o, "namespace", app->ns);
  if (own) {
    bt_json_set_str(o, "instance", who->id);
    bt_json_set_str(o, "app", app->name);
    bt_json_set_str(o, "service", who->service->name);
  }
  bt_json_set_str(o, "node", who->node->name);
  bt_json_set_int(o, "priority", ctl_rank(who->spec).priority);
  bt_json_set_int(o, "by_priority", ctl_rank(by).priority);
  return o;
}

/* Up to n places that others would leave; all or none where they are a gang's. */
static size_t push_out(struct ctl_trial *t, struct ctl_spec *spec, size_t n, bool gang, json_t *victims) {
  size_t got = 0, from = t->placed.len, lifted = t->lifted.len, m;
  uint32_t seat;
  struct ctl_inst *const *who;
  for (; got < n && ctl_picks_next(t->picks, spec, &seat, &who, &m); got++) {
    bt_vec_push(&t->placed, seat);
    for (size_t i = 0; i < m; i++) {
      json_array_append_new(victims, victim_json(who[i], spec));
      ctl_fleet_release(who[i]);
      bt_vec_push(&t->lifted, who[i]);
    }
  }
  if (!gang || got == n)
    return got;
  while (t->placed.len > from)
    ctl_fleet_untry(t->c, t->placed.items[--t->placed.len]);
  while (t->lifted.len > lifted)
    ctl_fleet_hold(t->lifted.items[--t->lifted.len]);
  json_array_clear(victims);
  return 0;
}

json_t *ctl_trial_service(struct ctl_trial *t, struct ctl_spec *spec, int n) {
  size_t from = t->placed.len, pushed = 0;
  BT_AUTO_JSON victims = json_array();
  BT_AUTO_FREE uint32_t *out = bt_newn(uint32_t, (size_t)n + 1);
  BT_AUTO_BUF why = {0}, mend = {0};
  size_t got = ctl_fleet_try(spec, (size_t)n, out);
  bool gang = (int)got < n && ctl_trial_gang(spec);
  if ((int)got < n && t->picks)
    pushed = push_out(t, spec, (size_t)n - got, gang, victims);
  if (gang && pushed == 0) {
    bt_buf_addf(&why, "%zu of %d have a place, and it is a gang: all of them or none. ", got, n);
    ctl_fleet_why(spec, &why, &mend); /* what the rest lacks, while these have theirs */
    while (got > 0)
      ctl_fleet_untry(t->c, out[--got]);
  }
  for (size_t i = 0; i < got; i++)
    bt_vec_push(&t->placed, out[i]);
  got += pushed;
  json_t *o = json_object();
  bt_json_set_str(o, "service", spec->service->name);
  bt_json_set_int(o, "instances", n);
  bt_json_set_int(o, "unplaced", n - (int)got);
  bt_json_set_str(o, "rule", ctl_fleet_rule(spec));
  bt_json_set(o, "nodes", by_node(t, from));
  if (json_array_size(victims))
    json_object_set(o, "preempts", victims);
  if ((int)got < n) {
    if (!why.len)
      ctl_fleet_why(spec, &why, &mend);
    bt_json_set_str(o, "reason", why.data);
    bt_json_set_str(o, "mend", mend.len ? mend.data : NULL);
  }
  return o;
}

static json_t *reserved(const struct ctl_node *node, const struct bt_control *c) {
  return json_pack("{s:f, s:I, s:o}", "cpus", (double)bt_fleet_node_used(c->fleet, node->number, BT_DIM_CPU) / 1000, "memory",
                   (json_int_t)bt_fleet_node_used(c->fleet, node->number, BT_DIM_MEMORY), "room", ctl_dims_json(c, node));
}

static json_t *capacity_before(const struct bt_control *c) {
  json_t *nodes = json_array();
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);) {
    const struct ctl_node *node = it.value;
    json_t *o = json_object();
    bt_json_set_str(o, "node", node->name);
    bt_json_set(o, "cpus", json_real(bt_json_num(node->info, "cpus", 0)));
    bt_json_set_int(o, "memory", bt_json_int(node->info, "memory", 0));
    bt_json_set(o, "before", reserved(node, c));
    json_array_append_new(nodes, o);
  }
  return nodes;
}

static void capacity_after(const struct bt_control *c, const json_t *nodes) {
  size_t i;
  json_t *o;
  json_array_foreach(nodes, i, o) bt_json_set(o, "after", reserved(bt_map_get(c->nodes, bt_json_str(o, "node")), c));
}

/* A service of one instance per node that has none to be on: nothing waits, but somebody meant it to run. */
static json_t *nobody_takes(struct ctl_spec *spec) {
  BT_AUTO_BUF why = {0}, mend = {0};
  ctl_fleet_why(spec, &why, &mend);
  json_t *o = json_pack("{s:s, s:i, s:i, s:o}", "service", spec->service->name, "instances", 0, "unplaced", 0, "nodes", json_object());
  bt_json_set_str(o, "rule", ctl_fleet_rule(spec));
  bt_json_set_str(o, "reason", why.data);
  bt_json_set_str(o, "mend", mend.len ? mend.data : NULL);
  return o;
}

void ctl_trial_begin(struct ctl_trial *t, struct bt_control *c) {
  *t = (struct ctl_trial){.c = c};
  c->judged.trial = true;
}

json_t *ctl_trial_plan(struct ctl_trial *t, const struct ctl_draft *d, const json_t *plan) {
  json_t *services = json_array(), *step;
  size_t i;
  t->picks = ctl_picks_new(t->c);
  json_array_foreach(plan, i, step) { /* room is made by what goes before it is asked for */
    struct ctl_service *gone = bt_streq(bt_json_str(step, "action"), "remove") && bt_streq(bt_json_str(step, "kind"), "service")
                                   ? ctl_service_find(d->app, bt_json_str_or(step, "name", ""))
                                   : NULL;
    if (gone)
      lift(t, gone);
  }
  json_array_foreach(plan, i, step) {
    const char *action = bt_json_str_or(step, "action", "");
    struct ctl_spec *spec = bt_streq(bt_json_str(step, "kind"), "service") ? ctl_spec_find(d->rev, bt_json_str_or(step, "name", "")) : NULL;
    bool changes = spec && !bt_streq(action, "keep") && !bt_streq(action, "remove");
    int n = changes ? wanted(t, d, spec, step) : 0;
    if (changes && (spec->service->mode == BT_MODE_GLOBAL || ctl_once(spec)) && ctl_fleet_hosts(spec) == 0)
      json_array_append_new(services, nobody_takes(spec));
    else if (n > 0)
      json_array_append_new(services, ctl_trial_service(t, spec, n));
  }
  return services;
}

void ctl_trial_end(struct ctl_trial *t) {
  bt_vec_each(&t->placed, inst) ctl_fleet_untry(t->c, *inst);
  bt_vec_each(&t->lifted, inst) ctl_fleet_hold(*inst);
  ctl_picks_free(&t->picks);
  bt_vec_free(&t->placed);
  bt_vec_free(&t->lifted);
  t->c->judged.trial = false;
}

json_t *ctl_forecast(const struct ctl_draft *d, const json_t *plan) {
  struct ctl_trial t;
  ctl_trial_begin(&t, d->app->control);
  json_t *nodes = capacity_before(t.c), *services = ctl_trial_plan(&t, d, plan);
  capacity_after(t.c, nodes);
  ctl_trial_end(&t);
  json_t *forecast = json_object();
  bt_json_set(forecast, "services", services);
  bt_json_set(forecast, "nodes", nodes);
  return forecast;
}
