/* The planner's view of nodes, services and instances, kept beside the tables: who holds a place is told the fleet when it happens. */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "base/plant.h"
#include "base/size.h"
#include "control/internal.h"
#include "control/queue.h"

#define UNKNOWN_ROOM BT_FLEET_MAX /* of a node that does not say how much it has */

/* ---- nodes ---- */

struct attrs {
  BT_VEC(struct bt_attr) v;
  struct bt_strs keys; /* that were made up for it */
};

static void add_attr(struct attrs *a, const char *prefix, const char *name, const char *value) {
  bt_vec_push(&a->keys, bt_asprintf("%s%s", prefix, name));
  bt_vec_push(&a->v, ((struct bt_attr){a->keys.items[a->keys.len - 1], value}));
}

static void add_labels(struct attrs *a, json_t *labels) {
  const char *name;
  json_t *value;
  json_object_foreach(labels, name, value) if (json_is_string(value)) {
    add_attr(a, "node.labels.", name, json_string_value(value));
    add_attr(a, "engine.labels.", name, json_string_value(value));
  }
}

static struct attrs attrs_of(const struct ctl_node *node) {
  json_t *labels = bt_json_obj(node->info, "labels");
  struct attrs attrs = {0};
  add_labels(&attrs, labels);
  add_attr(&attrs, "", "node.role", bt_json_str_or(labels, "role", "worker"));
  add_attr(&attrs, "", "node.platform.os", bt_json_str_or(node->info, "os", "linux"));
  add_attr(&attrs, "", "node.platform.arch", bt_json_str_or(node->info, "arch", ""));
  return attrs;
}

struct asked {
  const struct attrs *attrs;
  const char *name;
};

static const char *attr_value(void *arg, const char *key) {
  const struct asked *a = arg;
  if (bt_streq(key, "node.id") || bt_streq(key, "node.hostname"))
    return a->name;
  bt_vec_each(&a->attrs->v, attr) if (bt_streq(attr->key, key)) return attr->value;
  return NULL;
}

static const struct bt_pool *pool_by(const struct bt_control *c, const struct ctl_node *node, const struct attrs *attrs) {
  return bt_pools_find(&c->pools, attr_value, &(struct asked){attrs, node->name});
}

const struct bt_pool *ctl_fleet_pool(const struct bt_control *c, const struct ctl_node *node) {
  struct attrs attrs = attrs_of(node);
  const struct bt_pool *pool = pool_by(c, node, &attrs);
  bt_vec_free(&attrs.v);
  bt_strs_free(&attrs.keys);
  return pool;
}

/* What may be reserved of what is there. */
static int64_t room_of(int64_t there, int64_t reserve, double times) {
  double room = (double)BT_MAX(there - reserve, 0) * times;
  return room < (double)UNKNOWN_ROOM ? (int64_t)room : UNKNOWN_ROOM;
}

static void set_room(const struct ctl_node *node, const struct bt_pool *pool, int64_t room[BT_FLEET_DIMS]) {
  double cpus = bt_json_num(node->info, "cpus", 0);
  int64_t memory = bt_json_int(node->info, "memory", 0);
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    room[d] = UNKNOWN_ROOM;
  if (cpus > 0)
    room[BT_DIM_CPU] = room_of((int64_t)(cpus * 1000), pool ? pool->reserve_cpu : 0, pool ? pool->over_cpus : 1);
  if (memory > 0 && !BT_PLANT(MEMORY_UNCOUNTED))
    room[BT_DIM_MEMORY] = room_of(memory, pool ? pool->reserve_memory : 0, pool ? pool->over_memory : 1);
}

bool ctl_node_open(const struct ctl_node *node) {
  return (BT_PLANT(DEAD_NODE_OPEN) || (node->connected && node->ready)) && (BT_PLANT(CORDON_IGNORED) || !node->cordoned);
}

void ctl_fleet_node(struct bt_control *c, struct ctl_node *node) {
  struct attrs attrs = attrs_of(node);
  const struct bt_pool *pool = pool_by(c, node, &attrs);
  BT_VEC(struct bt_taint) taints = {0};
  for (size_t i = 0; pool && i < pool->taints.len; i++) {
    const struct bt_pool_taint *t = &pool->taints.items[i];
    bt_vec_push(&taints, ((struct bt_taint){t->key, t->value, t->prefer_not ? BT_TAINT_PREFER_NOT : BT_TAINT_NO_SCHEDULE}));
  }
  add_attr(&attrs, "", "node.pool", pool ? pool->name : "default");
  struct bt_fleet_node as = {.name = node->name, .attrs = attrs.v.items, .nattrs = attrs.v.len, .taints = taints.items, .ntaints = taints.len,
                             .open = ctl_node_open(node),
                             .closed = node->cordoned ? "is cordoned" : NULL};
  set_room(node, pool, as.room);
  ctl_dims_room(c, node, as.room);
  node->number = bt_fleet_node_set(c->fleet, &as);
  ctl_dims_settle(c, node);
  bt_vec_free(&taints);
  bt_vec_free(&attrs.v);
  bt_strs_free(&attrs.keys);
}

/* ---- what an instance of a spec needs ---- */

/* What a need borrows for the call. */
struct shape_parts {
  BT_VEC(struct bt_rule) rules;
  size_t parsed; /* of the rules: those that are not borrowed from the service */
  BT_VEC(struct bt_prefer) prefers;
  BT_VEC(struct bt_affinity) affinities;
  BT_VEC(struct bt_spread) spreads;
  BT_VEC(struct bt_toleration) tolerations;
  struct ctl_ties ties;
};

static void parts_free(struct shape_parts *p) {
  for (size_t i = 0; i < p->parsed; i++)
    bt_rule_free(&p->rules.items[i]);
  bt_vec_free(&p->rules);
  bt_vec_free(&p->prefers);
  bt_vec_free(&p->affinities);
  bt_vec_free(&p->spreads);
  bt_vec_free(&p->tolerations);
  ctl_ties_free(&p->ties);
}

static int read_rules(const struct bt_service *s, struct shape_parts *p, struct bt_err **err) {
  for (size_t i = 0; i < s->constraints.len; i++) {
    struct bt_rule rule;
    int rc = bt_rule_parse(s->constraints.items[i], true, &rule, err);
    bt_vec_push(&p->rules, rule);
    p->parsed++;
    if (rc)
      return -1;
  }
  return 0;
}

/* Pools that are for other namespaces are none for this one. */
static void keep_off_pools(const struct bt_control *c, const char *ns, struct shape_parts *p) {
  struct bt_rule rule = {.op = BT_RULE_NOT_IN};
  bt_vec_each(&c->pools, pool) if (pool->namespaces.len && !bt_strs_has(&pool->namespaces, ns)) bt_strs_add(&rule.values, pool->name);
  if (!rule.values.len)
    return;
  rule.key = bt_strdup("node.pool");
  rule.text = bt_asprintf("node.pool not in (pools of other namespaces)");
  bt_vec_push(&p->rules, rule);
  p->parsed++;
}

static struct bt_affinity affinity_of(const struct ctl_app *app, const struct bt_placement_affinity *a) {
  return (struct bt_affinity){.anti = a->anti,
                              .hard = a->hard,
                              .scope = a->service ? BT_SCOPE_SERVICE : a->app ? BT_SCOPE_APP : BT_SCOPE_NAMESPACE,
                              .namespace_ = a->namespace_ ? a->namespace_ : app->ns,
                              .app = a->app ? a->app : app->name,
                              .service = a->service,
                              .topology = a->topology,
                              .weight = a->weight};
}

/* What the app says of its places, after the constraints. */
static void read_placement(const struct ctl_spec *spec, struct shape_parts *p) {
  const struct bt_placement *said = &spec->service->placement;
  bt_vec_each(&said->rules, rule) bt_vec_push(&p->rules, *rule);
  bt_vec_each(&said->prefers, f) bt_vec_push(&p->prefers, ((struct bt_prefer){f->rule, f->weight}));
  bt_vec_each(&said->affinities, a) bt_vec_push(&p->affinities, affinity_of(spec->rev->app, a));
  bt_vec_each(&said->spreads, s) bt_vec_push(&p->spreads, ((struct bt_spread){s->topology, s->max_skew, s->hard}));
  bt_vec_each(&said->tolerations, t) bt_vec_push(&p->tolerations, ((struct bt_toleration){t->key, t->value}));
}

/* What reserves nothing cannot be packed: it is spread, unless the app or the operator says otherwise. */
static enum bt_strategy strategy_of(const struct ctl_spec *spec) {
  const struct bt_service *s = spec->service;
  const struct bt_control *c = spec->rev->app->control;
  const char *said = s->placement.strategy ? s->placement.strategy : c->scheduling.strategy;
  if (said)
    return bt_streq(said, "spread") ? BT_SPREAD : BT_BINPACK;
  return s->reserved.cpus > 0 || s->reserved.memory > 0 ? BT_BINPACK : BT_SPREAD;
}

static struct bt_need need_of(struct ctl_spec *spec, const struct shape_parts *p) {
  const struct bt_service *s = spec->service;
  const struct ctl_app *app = spec->rev->app;
  struct bt_need need = {.namespace_ = app->ns,
                         .app = app->name,
                         .service = s->name,
                         .generation = spec->hash,
                         .rules = p->rules.items,
                         .nrules = p->rules.len,
                         .prefers = p->prefers.items,
                         .nprefers = p->prefers.len,
                         .affinities = p->affinities.items,
                         .naffinities = p->affinities.len,
                         .spreads = p->spreads.items,
                         .nspreads = p->spreads.len,
                         .tolerations = p->tolerations.items,
                         .ntolerations = p->tolerations.len,
                         .max_per_node = s->mode == BT_MODE_GLOBAL ? 1 : s->max_per_node,
                         .marks = (const char *const *)p->ties.marks.items,
                         .nmarks = p->ties.marks.len,
                         .bars = (const char *const *)p->ties.bars.items,
                         .nbars = p->ties.bars.len,
                         .wants = (const char *const *)p->ties.wants.items,
                         .nwants = p->ties.wants.len,
                         .follows = (const char *const *)p->ties.follows.items,
                         .nfollows = p->ties.follows.len,
                         .likes = (const char *const *)p->ties.likes.items,
                         .nlikes = p->ties.likes.len,
                         .tag = spec};
  need.request[BT_DIM_CPU] = s->reserved.cpus > 0 ? (int64_t)ceil(BT_MIN(s->reserved.cpus, 1e12) * 1000 - 1e-6) : 0;
  need.request[BT_DIM_MEMORY] = BT_MAX(s->reserved.memory, 0);
  need.strategy = strategy_of(spec);
  ctl_dims_need(spec, &need);
  struct ctl_rank rank = ctl_rank(spec);
  need.priority = rank.priority;
  need.discount = BT_PLANT(PRIORITY_UNCAPPED) ? 0 : rank.priority - rank.outward;
  need.confined = !rank.given;
  return need;
}

static int read_spec(const struct ctl_spec *spec, struct shape_parts *p, struct bt_err **err) {
  int rc = read_rules(spec->service, p, err);
  read_placement(spec, p);
  bt_vec_each(&spec->service->ports, port) if (!port->ingress && port->published != 0 && port->published == port->published_end)
      ctl_port_ties(port->protocol, port->host_ip, port->published, &p->ties.marks, &p->ties.bars); /* had by one */
  ctl_near_ties(spec, &p->ties);
  return rc;
}

static int shape_of(struct ctl_spec *spec, struct bt_err **err) {
  if (spec->shape != BT_FLEET_NONE)
    return 0;
  struct shape_parts parts = {0};
  int rc = read_spec(spec, &parts, err);
  keep_off_pools(spec->rev->app->control, spec->rev->app->ns, &parts);
  ctl_dims_ties(spec, &parts.ties);
  struct bt_need need = need_of(spec, &parts);
  if (rc == 0)
    rc = bt_fleet_shape_new(spec->rev->app->control->fleet, &need, &spec->shape, err);
  if (rc)
    ctl_dims_forget(spec);
  parts_free(&parts);
  return rc;
}

/* A taint keeps all of them away where one of them does not tolerate it. */
static void tolerated_by_all(struct shape_parts *p, const struct ctl_spec *spec) {
  const struct bt_placement *said = &spec->service->placement;
  for (size_t i = p->tolerations.len; i-- > 0;) {
    const struct bt_toleration *t = &p->tolerations.items[i];
    bool too = false;
    bt_vec_each(&said->tolerations, o) too = too || ((!o->key || bt_streq(o->key, t->key)) && (!o->value || bt_streq(o->value, t->value)));
    if (!too)
      bt_vec_remove(&p->tolerations, i);
  }
}

int ctl_fleet_shape_of_all(struct ctl_spec *const *specs, const int *times, size_t n, uint32_t *out) {
  struct shape_parts parts = {0};
  struct bt_control *c = specs[0]->rev->app->control;
  int64_t more[BT_FLEET_DIMS] = {0};
  int rc = 0;
  for (size_t i = 0; i < n && !rc; i++) {
    rc = shape_of(specs[i], NULL);
    if (!rc)
      rc = read_spec(specs[i], &parts, NULL);
    if (i == 0)
      keep_off_pools(c, specs[0]->rev->app->ns, &parts);
    ctl_dims_ties_again(specs[i], &parts.ties);
  }
  parts.tolerations.len = specs[0]->service->placement.tolerations.len;
  for (size_t i = 1; i < n && !rc; i++) {
    struct bt_need one = need_of(specs[i], &parts);
    for (int d = 0; d < BT_FLEET_DIMS; d++)
      more[d] = BT_MIN(more[d] + BT_MIN(one.request[d], BT_FLEET_MAX / BT_MAX(times[i], 1)) * times[i], BT_FLEET_MAX);
    tolerated_by_all(&parts, specs[i]);
  }
  struct bt_need need = need_of(specs[0], &parts);
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    need.request[d] = BT_MIN(need.request[d] + more[d], BT_FLEET_MAX);
  if (!rc)
    rc = bt_fleet_shape_new(c->fleet, &need, out, NULL);
  parts_free(&parts);
  return rc;
}

size_t ctl_fleet_hosts(struct ctl_spec *spec) { return shape_of(spec, NULL) ? 0 : bt_fleet_hosts(spec->rev->app->control->fleet, spec->shape); }

size_t ctl_fleet_hosts_of(struct ctl_spec *spec, uint32_t *out) {
  return shape_of(spec, NULL) ? 0 : bt_fleet_hosts_of(spec->rev->app->control->fleet, spec->shape, out);
}

uint32_t ctl_fleet_shape(struct ctl_spec *spec) {
  if (shape_of(spec, NULL))
    return BT_FLEET_NONE;
  uint32_t all = ctl_group_shape(spec);
  return all != BT_FLEET_NONE ? all : spec->shape;
}

void ctl_fleet_forget(struct ctl_spec *spec) {
  ctl_queue_forget_spec(spec);
  if (spec->shape == BT_FLEET_NONE)
    return;
  ctl_judge_forget(spec->rev->app->control, spec);
  ctl_dims_forget(spec);
  ctl_group_forget(spec);
  (void)bt_fleet_shape_drop(spec->rev->app->control->fleet, spec->shape); /* with instances only where all of it ends */
}

void ctl_fleet_renew(struct bt_control *c) {
  ctl_queue_lift(c);
  for (struct ctl_insts it = ctl_insts(c); ctl_insts_next(&it);)
    ctl_fleet_release(it.inst);
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    bt_vec_each(&((struct ctl_app *)it.value)->revs, rev) bt_vec_each(&(*rev)->specs, spec) {
      ctl_fleet_forget(*spec);
      (*spec)->shape = BT_FLEET_NONE;
    }
  }
  for (struct ctl_insts it = ctl_insts(c); ctl_insts_next(&it);)
    ctl_fleet_hold(it.inst);
}

/* ---- instances ---- */

void ctl_fleet_release(struct ctl_inst *inst) {
  if (inst->seat == BT_FLEET_NONE)
    return;
  struct bt_control *c = inst->service->app->control;
  bt_fleet_remove(c->fleet, inst->seat);
  inst->seat = BT_FLEET_NONE;
  ctl_grant_give(c, inst->spec, inst->node, inst->id);
  ctl_quota_gone(inst);
  ctl_group_release(inst);
}

void ctl_fleet_hold(struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  struct ctl_node *node = inst->node;
  bool over = inst->ended && bt_service_is_job(inst->spec->service); /* what is no job may be started again where it is */
  if (!node || over || ctl_inst_lost(inst) || (BT_PLANT(SEAT_GIVEN_EARLY) && inst->leaving))
    ctl_fleet_release(inst);
  else if (inst->seat == BT_FLEET_NONE && shape_of(inst->spec, NULL) == 0) {
    inst->seat = bt_fleet_seat(c->fleet, inst->spec->shape, node->number);
    ctl_grant_hold(inst, node);
    ctl_quota_held(inst);
    ctl_near_settle(inst, node);
  }
  if (inst->seat != BT_FLEET_NONE)
    bt_fleet_going(c->fleet, inst->seat, inst->leaving);
}

struct ctl_node *ctl_seat_node(const struct bt_control *c, uint32_t seat) {
  return bt_map_get(c->nodes, bt_fleet_node_name(c->fleet, bt_fleet_node_of(c->fleet, seat)));
}

/* A place in the fleet where it is meant to be, or beside the partner, or wherever there is one. */
static bool seat(struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  const struct ctl_inst *partner = ctl_group_partner(inst);
  const struct ctl_node *meant = ctl_move_target(inst);
  uint32_t shape = inst->spec->shape;
  if (meant && bt_fleet_may(c->fleet, shape, meant->number)) {
    inst->seat = bt_fleet_seat(c->fleet, shape, meant->number);
    return true;
  }
  if (!partner || !partner->node)
    return ctl_group_shape(inst->spec) != BT_FLEET_NONE ? ctl_group_seat(inst) : bt_fleet_place(c->fleet, shape, 1, &inst->seat) == 1;
  if (ctl_group_adopt(inst, partner->node))
    return true;
  if (!bt_fleet_may(c->fleet, shape, partner->node->number))
    return false;
  inst->seat = bt_fleet_seat(c->fleet, shape, partner->node->number);
  return true;
}

/* It has its seat: with the devices and ports that it asks for there, else it has none. */
static struct ctl_node *settle_in(struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  struct ctl_node *node = ctl_seat_node(c, inst->seat);
  if (ctl_grant_take(c, inst->spec, node, inst->slot, inst->id)) {
    ctl_quota_held(inst);
    ctl_near_settle(inst, node);
    return node;
  }
  ctl_group_release(inst);
  bt_fleet_remove(c->fleet, inst->seat);
  inst->seat = BT_FLEET_NONE;
  return NULL;
}

struct ctl_node *ctl_fleet_place(struct ctl_inst *inst) {
  inst->seat = BT_FLEET_NONE;
  if (shape_of(inst->spec, NULL) == 0 && seat(inst))
    return settle_in(inst);
  inst->seat = BT_FLEET_NONE;
  return NULL;
}

struct ctl_node *ctl_fleet_place_at(struct ctl_inst *inst, uint32_t node) {
  struct bt_control *c = inst->service->app->control;
  if (shape_of(inst->spec, NULL) || !bt_fleet_may(c->fleet, inst->spec->shape, node))
    return NULL;
  inst->seat = bt_fleet_seat(c->fleet, inst->spec->shape, node);
  return settle_in(inst);
}

void ctl_fleet_unplace(struct ctl_inst *inst, struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  bt_fleet_remove(c->fleet, inst->seat);
  inst->seat = BT_FLEET_NONE;
  ctl_grant_give(c, inst->spec, node, inst->id);
  ctl_grant_forget(c, inst->id);
  ctl_group_release(inst);
  ctl_quota_gone(inst);
}

/* Whether what the other needs beside what it holds is free there. */
static bool has_room_for(const struct bt_control *c, const struct ctl_inst *inst, const struct ctl_spec *to, struct bt_buf *why) {
  const int64_t *held = bt_fleet_shape_need(c->fleet, inst->spec->shape), *need = bt_fleet_shape_need(c->fleet, to->shape);
  char more[32];
  for (int d = 0; d < bt_fleet_dims(c->fleet); d++) {
    int64_t grows = need[d] - held[d];
    if (grows <= 0 || grows <= bt_fleet_node_free(c->fleet, inst->node->number, d))
      continue;
    bt_buf_addf(why, "node %s has no room for ", inst->node->name);
    if (d == BT_DIM_CPU)
      bt_buf_addf(why, "%g cpus more", (double)grows / 1000);
    else if (d == BT_DIM_PIDS)
      bt_buf_addf(why, "%lld pids more", (long long)grows);
    else
      bt_buf_addf(why, "%s more %s", bt_size_format(grows, more), d == BT_DIM_MEMORY ? "memory" : bt_fleet_dim_name(c->fleet, d));
    return false;
  }
  return true;
}

bool ctl_fleet_fits(const struct ctl_inst *inst, struct ctl_spec *to, struct bt_buf *why) {
  const struct bt_control *c = inst->service->app->control;
  return inst->seat == BT_FLEET_NONE || shape_of(to, NULL) || has_room_for(c, inst, to, why);
}

#define TRIAL "trial of place %u"

/* One on each node. */
static size_t try_once(struct ctl_spec *spec, size_t n, uint32_t *out) {
  struct bt_fleet *fleet = spec->rev->app->control->fleet;
  BT_AUTO_FREE uint32_t *hosts = bt_newn(uint32_t, bt_fleet_nodes(fleet) + 1);
  size_t got = 0, all = bt_fleet_hosts_of(fleet, spec->shape, hosts);
  for (size_t i = 0; i < all && got < n; i++)
    if (bt_fleet_may(fleet, spec->shape, hosts[i]))
      out[got++] = bt_fleet_seat(fleet, spec->shape, hosts[i]);
  return got;
}

size_t ctl_fleet_try(struct ctl_spec *spec, size_t n, uint32_t *out) {
  struct bt_control *c = spec->rev->app->control;
  size_t got = 0;
  if (shape_of(spec, NULL))
    return 0;
  if (ctl_once(spec))
    return try_once(spec, n, out);
  if (!ctl_grant_wanted(spec))
    return bt_fleet_place(c->fleet, spec->shape, n, out);
  for (; got < n && bt_fleet_place(c->fleet, spec->shape, 1, &out[got]) == 1; got++) { /* what one takes the next one has not */
    BT_AUTO_FREE char *key = bt_asprintf(TRIAL, out[got]);
    if (!ctl_grant_take(c, spec, ctl_seat_node(c, out[got]), (int)got + 1, key)) {
      bt_fleet_remove(c->fleet, out[got]);
      break;
    }
  }
  return got;
}

void ctl_fleet_untry(struct bt_control *c, uint32_t seat) {
  struct ctl_node *node = ctl_seat_node(c, seat);
  const struct ctl_spec *spec = bt_fleet_shape_tag(c->fleet, bt_fleet_shape_of(c->fleet, seat));
  BT_AUTO_FREE char *key = bt_asprintf(TRIAL, seat);
  bt_fleet_remove(c->fleet, seat);
  ctl_grant_give(c, spec, node, key);
  ctl_grant_forget(c, key);
}

const char *ctl_fleet_rule(const struct ctl_spec *spec) {
  return strategy_of(spec) == BT_BINPACK ? "binpack: the first nodes that have room, evenly used up"
                                                  : "spread: the nodes with fewest of it, then the emptiest";
}

void ctl_fleet_why(struct ctl_spec *spec, struct bt_buf *why, struct bt_buf *mend) {
  BT_AUTO_ERR err = NULL;
  if (shape_of(spec, &err))
    bt_buf_adds(why, bt_err_message(err));
  else
    bt_fleet_why(spec->rev->app->control->fleet, ctl_fleet_shape(spec), why, mend);
}
