#include "config.h"

#include <stdio.h>

#include "sim.h"

/* ---- after each step ---- */

/* Another one may stand in its slot beside it: it is moved, or its node was given up. */
static bool makes_way(const struct ctl_inst *inst) { return ctl_move_of(inst) || ctl_inst_lost(inst) || inst->inplace == CTL_INPLACE_REFUSED; }

static void check_slot_pair(struct sim *s, const struct ctl_inst *a, const struct ctl_inst *b) {
  if (a->leaving || b->leaving || a->slot != b->slot || makes_way(a) || makes_way(b))
    return;
  if (bt_streq(a->spec->hash, b->spec->hash) && a->gen == b->gen && !a->spec->service->co_network && a->service->spec &&
      bt_streq(a->spec->hash, a->service->spec->hash))
    sim_bad(s, "%s and %s are both current in one slot", a->id, b->id);
}

static void check_service(struct sim *s, const struct ctl_service *service) {
  bool job = service->spec && bt_service_is_job(service->spec->service);
  for (size_t i = 0; i < service->insts.len; i++) {
    const struct ctl_inst *inst = service->insts.items[i];
    if (ctl_inst_find(s->c, inst->id) != inst)
      sim_bad(s, "%s is not in the index", inst->id);
    if (inst->seat != BT_FLEET_NONE && bt_fleet_shape_of(s->c->fleet, inst->seat) != inst->spec->shape)
      sim_bad(s, "the place of %s is of another shape than it", inst->id);
    int in_slot = 0;
    for (size_t j = 0; j < service->insts.len; j++) {
      const struct ctl_inst *other = service->insts.items[j];
      in_slot += !other->leaving && !makes_way(other) && other->slot == inst->slot && !bt_service_is_job(other->spec->service); /* runs of what was a job */
      if (j > i && !job)
        check_slot_pair(s, inst, other);
    }
    if (in_slot > 2 && !job)
      sim_bad(s, "%d instances in slot %d of %s", in_slot, inst->slot, service->name);
  }
}

/* Of one run; or, of a job without a schedule, of one class and one asking. */
static bool same_work(const struct ctl_inst *a, const struct ctl_inst *b) {
  return a->slot == b->slot && a->run == b->run && (a->run || (a->gen == b->gen && bt_streq(a->spec->hash, b->spec->hash)));
}

/* Two that are both at work, or have both ended well, in one slot of one run. */
static void check_run_pair(struct sim *s, const struct ctl_inst *a, const struct ctl_inst *b) {
  if (ctl_inst_lost(a) || ctl_inst_lost(b))
    return; /* nothing is known of it: its work is done anew */
  if (same_work(a, b) && !a->leaving && !b->leaving && a->ended == b->ended && (!a->ended || (ctl_inst_done(a) && ctl_inst_done(b))))
    sim_bad(s, "%s and %s do the same work of run %d", a->id, b->id, a->run);
}

static void check_work(struct sim *s, const struct ctl_service *service) {
  for (size_t i = 0; i < service->insts.len; i++)
    for (size_t k = i + 1; k < service->insts.len; k++)
      check_run_pair(s, service->insts.items[i], service->insts.items[k]);
}

/* Further back lies what a schedule that was changed after a clock was set back is due at: it counts from its change on. */
#define DUE_AGAIN_MS (10 * 60 * 1000)

static void check_runs(struct sim *s, const struct ctl_service *service) {
  const struct ctl_jobs *j = service->jobs;
  int active = 0;
  for (size_t i = 0; i < j->runs.len; i++) {
    const struct ctl_run *run = &j->runs.items[i], *before = i > 0 ? run - 1 : NULL;
    active += run->state == CTL_RUN_ACTIVE;
    if (run->number > j->last || (before && run->number <= before->number))
      sim_bad(s, "run %d of %s is out of order", run->number, service->name);
    if (before && run->due_ms && run->due_ms <= before->due_ms && before->due_ms - run->due_ms <= DUE_AGAIN_MS)
      sim_bad(s, "run %d of %s was due at the time of run %d, or before", run->number, service->name, before->number);
  }
  if (active > 100)
    sim_bad(s, "%s has %d runs at once", service->name, active);
}

/* ---- who begins, and where ---- */

static bool condition_holds(const struct ctl_app *app, const struct bt_depend *dep) {
  const struct ctl_service *on = ctl_service_find(app, dep->service);
  if (!on || !on->spec || !dep->required || dep->condition == BT_DEP_STARTED || ctl_wanted(on) == 0)
    return true;
  bt_vec_each(&on->insts, inst) if ((dep->condition == BT_DEP_HEALTHY && (*inst)->ready) || ctl_inst_done(*inst)) return true;
  return false;
}

/* Once for each, in the step that gave it to a node. */
static void check_assigned(struct sim *s, const struct ctl_inst *inst) {
  if (!inst->node || bt_map_get(s->assigned, inst->id))
    return;
  bt_map_set(s->assigned, inst->id, s);
  const struct ctl_app *app = inst->service->app;
  const struct ctl_node *node = inst->node;
  if (inst->assigned_ms != s->c->now_ms || inst->leaving)
    return; /* it was so when the server started */
  bool follows = inst->spec->service->co_network; /* where its partner is */
  if (!s->nodes[node->name[1] - '1'].known_up || (node->cordoned && !follows))
    sim_bad(s, "%s is given to %s, which is %s", inst->id, node->name, node->cordoned ? "cordoned" : "not connected");
  if (!inst->service->spec || (app->target->automatic && app->target->created_ms == s->c->now_ms))
    return; /* assigned after the words of a revision that went back within this step */
  bt_vec_each(&inst->service->spec->service->depends, dep) if (!condition_holds(app, dep))
      sim_bad(s, "%s is assigned before %s of %s holds", inst->id, bt_condition_name(dep->condition), dep->service);
}

/* ---- what is reserved, by sums of our own ---- */

static const struct sim_box *box_of(const struct sim *s, const struct ctl_inst *inst) {
  for (size_t i = 0; i < s->nnodes && inst->node; i++)
    if (bt_streq(s->nodes[i].name, inst->node->name))
      return bt_map_get(s->nodes[i].boxes, inst->id);
  return NULL;
}

struct sums {
  double cpus;
  int64_t memory;
};

/* What is done with its work gives its place back, also while its container is taken away. */
static bool holds(const struct sim *s, const struct ctl_inst *inst) {
  if (!inst->node || !bt_service_is_job(inst->spec->service))
    return inst->node != NULL;
  const struct sim_box *box = box_of(s, inst);
  return !inst->ended && !(inst->leaving && (!box || !box->running));
}

static void tell_places(struct sim *s) {
  for (struct ctl_insts it = ctl_insts(s->c); ctl_insts_next(&it);) {
    const struct ctl_inst *inst = it.inst;
    printf("# %s on %s: %g cpus, %lld bytes, %s%s%s\n", inst->id, inst->node ? inst->node->name : "none", inst->spec->service->reserved.cpus,
           (long long)inst->spec->service->reserved.memory, bt_state_name((enum bt_state)inst->state), inst->leaving ? ", leaving" : "", inst->ended ? ", ended" : "");
  }
}

static void check_rooms(struct sim *s, const struct sums *sums) {
  for (size_t i = 0; i < s->nnodes; i++) {
    const struct sim_node *n = &s->nodes[i];
    if (sums[i].cpus > n->cpus + 1e-6)
      sim_bad(s, "%s has %g cpus, and %g are reserved", n->name, n->cpus, sums[i].cpus), tell_places(s);
    if (sums[i].memory > n->memory)
      sim_bad(s, "%s has %lld bytes, and %lld are reserved", n->name, (long long)n->memory, (long long)sums[i].memory);
  }
}

/* What a namespace uses, and what is within it. */
struct used {
  int instances, devices;
  double cpus;
};

static void use(struct sim *s, struct used *used, const struct ctl_inst *inst) {
  const struct bt_service *service = inst->spec->service;
  for (const struct sim_space *at = sim_space(s, inst->service->app->ns); at; at = at->parent ? sim_space(s, at->parent) : NULL) {
    struct used *u = &used[at - s->spaces];
    u->instances++;
    u->cpus += service->reserved.cpus;
    bt_vec_each(&service->devices.requests, r) u->devices += r->count > 0 ? r->count : 1;
  }
}

/* A node that was given up, and is back, brings what was not replaced: whether there is room for it or not. */
static bool any_back(struct sim *s) {
  int lost = 0, before = s->lost;
  for (struct bt_map_iter it = bt_map_iter(s->c->nodes); bt_map_next(&it);)
    lost += ((struct ctl_node *)it.value)->lost_ms != 0;
  s->lost = lost;
  return lost < before;
}

static void check_quotas(struct sim *s, const struct used *used) {
  bool back = any_back(s);
  for (size_t i = 0; i < BT_COUNT(s->spaces) && !s->calm; i++) {
    struct sim_space *q = &s->spaces[i];
    bool within = (!q->instances || used[i].instances <= q->instances) && (q->cpus <= 0 || used[i].cpus <= q->cpus + 1e-6) && (!q->devices || used[i].devices <= q->devices);
    q->excused = !within && (q->excused || back);
    if (q->excused)
      continue;
    if (q->instances && used[i].instances > q->instances)
      sim_bad(s, "the quota of %s is %d instances, and there are %d", q->name, q->instances, used[i].instances);
    if (q->cpus > 0 && used[i].cpus > q->cpus + 1e-6)
      sim_bad(s, "the quota of %s is %g cpus, and %g are reserved", q->name, q->cpus, used[i].cpus);
    if (q->devices && used[i].devices > q->devices)
      sim_bad(s, "the quota of %s is %d devices, and there are %d", q->name, q->devices, used[i].devices);
  }
}

static void check_places(struct sim *s) {
  struct sums sums[SIM_NODES] = {0};
  struct used used[BT_COUNT(s->spaces)] = {0};
  for (struct ctl_insts it = ctl_insts(s->c); ctl_insts_next(&it);) {
    const struct ctl_inst *inst = it.inst;
    check_assigned(s, inst);
    if (!holds(s, inst))
      continue;
    if (!inst->leaving && !ctl_inst_lost(inst))
      use(s, used, inst);
    size_t n = (size_t)(inst->node->name[1] - '1');
    BT_ASSERT(n < s->nnodes);
    sums[n].cpus += inst->spec->service->reserved.cpus;
    sums[n].memory += inst->spec->service->reserved.memory;
  }
  check_rooms(s, sums);
  check_quotas(s, used);
}

/* What an app says of itself is what its services have come to. */
static void check_said(struct sim *s, const struct ctl_app *app) {
  if (!app->target || app->dirty || app->state == CTL_APP_REMOVING || app->state == CTL_APP_FAILED || app->looked_ms != s->c->now_ms || app->target->created_ms == s->c->now_ms)
    return;
  bt_vec_each(&app->services, service) if ((*service)->spec && (*service)->roll.state == BT_RO_PAUSED)
      sim_bad(s, "the update of %s stopped, and %s is %s", (*service)->name, app->name, ctl_app_state_name(app->state));
}

void sim_check(struct sim *s) {
  size_t instances = 0;
  for (struct bt_map_iter it = bt_map_iter(s->c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    bt_vec_each(&app->services, service) {
      check_service(s, *service);
      if ((*service)->jobs)
        check_runs(s, *service);
      if ((*service)->spec && bt_service_is_job((*service)->spec->service))
        check_work(s, *service);
      instances += (*service)->insts.len;
    }
    check_said(s, app);
    if (app->target && !app->target->model)
      sim_bad(s, "%s rolls out a revision that is not loaded", app->name);
  }
  if (instances != ctl_inst_count(s->c))
    sim_bad(s, "the index of instances has %zu, the services have %zu", ctl_inst_count(s->c), instances);
  check_places(s);
  sim_check_purposes(s);
  sim_check_devices(s);
  sim_check_answers(s);
}

/* ---- after a crash ---- */

void sim_check_acked(struct sim *s) {
  for (struct bt_map_iter it = bt_map_iter(s->acked); bt_map_next(&it);) {
    const struct ctl_app *app = ctl_app_find(s->c, sim_ns(s, it.key), it.key);
    long long want = 0;
    BT_ASSERT(bt_parse_i64(it.value, 1, INT32_MAX, &want));
    if (!app || !ctl_rev_latest(app) || ctl_rev_latest(app)->number < want)
      sim_bad(s, "revision %lld of %s was acknowledged and is lost", want, it.key);
  }
}

/* ---- when nothing more happens ---- */

static void check_running(struct sim *s, const struct ctl_service *service) {
  int well = 0;
  if (!service->spec) {
    sim_bad(s, "service %s is still there", service->name);
    return;
  }
  if (service->spec->recurs)
    return; /* its runs come and go */
  bt_vec_each(&service->insts, i) {
    const struct ctl_inst *inst = *i;
    const struct sim_box *box = box_of(s, inst);
    if (inst->leaving)
      sim_bad(s, "%s never left", inst->id);
    if (inst->inplace)
      sim_bad(s, "the change of %s is never through", inst->id);
    if (!bt_streq(inst->spec->hash, service->spec->hash))
      sim_bad(s, "%s is of an old spec", inst->id);
    if (!box)
      sim_bad(s, "%s is not on the node", inst->id);
    else if (box->exists && !bt_streq(bt_json_str(box->made, "hash"), inst->spec->hash))
      sim_bad(s, "%s has other limits than its service asks for", inst->id);
    else if (box->running != (inst->state == BT_ST_RUNNING))
      sim_bad(s, "%s is %s here and %s on the node", inst->id, bt_state_name((enum bt_state)inst->state), bt_state_name(box->state));
    well += inst->ready || ctl_inst_done(inst);
  }
  if (well != ctl_wanted(service))
    sim_bad(s, "%s has %d instances that are well, not %d", service->name, well, ctl_wanted(service));
}

void sim_tell_app(struct sim *s, const struct ctl_app *app) {
  bt_vec_each(&app->services, service) {
    printf("# %s: %s, gen %d\n", (*service)->name, bt_rollout_name((*service)->roll.state), (*service)->gen);
    bt_vec_each(&(*service)->insts, i) {
      const struct ctl_inst *inst = *i;
      printf("#   %s slot %d %s%s%s%s%s%s%s%s gen %d: %s\n", inst->id, inst->slot, bt_state_name((enum bt_state)inst->state), inst->ready ? " ready" : "",
             inst->struck ? " struck" : "", inst->restarting ? " restarting" : "", inst->ended ? " ended" : "", ctl_inst_current(inst) ? "" : " old",
             inst->leaving ? " leaving" : "", ctl_move_of(inst) ? " moving" : "", inst->gen, inst->reason ? inst->reason : "");
    }
  }
  printf("# wakes in %lld ms\n", (long long)(app->wake_ms - s->c->now_ms));
}

static void check_app(struct sim *s, const struct ctl_app *app, bool all_well) {
  if (!s->failed && app->state != CTL_APP_RUNNING && (all_well || (app->state != CTL_APP_FAILED && app->state != CTL_APP_DEGRADED)))
    sim_tell_app(s, app);
  if (all_well && app->state != CTL_APP_RUNNING)
    sim_bad(s, "%s is %s: %s", app->name, ctl_app_state_name(app->state), app->message);
  if (app->state == CTL_APP_RUNNING)
    bt_vec_each(&app->services, service) check_running(s, *service);
  if (app->state == CTL_APP_REMOVING || app->state == CTL_APP_DEPLOYING || app->state == CTL_APP_ROLLING_BACK)
    sim_bad(s, "%s is %s for ever: %s", app->name, ctl_app_state_name(app->state), app->message);
  const struct ctl_rev *latest = ctl_rev_latest(app);
  if (latest->state == CTL_REV_RESOLVING || (latest != app->target && latest->state != CTL_REV_FAILED))
    sim_bad(s, "revision %d of %s is stuck: %s", latest->number, app->name, ctl_rev_state_name(latest->state));
  bt_vec_each(&app->revs, rev) if ((*rev)->state == CTL_REV_RESOLVING || ((*rev)->state == CTL_REV_ROLLING && *rev != app->target))
      sim_bad(s, "revision %d of %s is %s, which nobody pursues", (*rev)->number, app->name, ctl_rev_state_name((*rev)->state));
}

/* What lies in the tables is what lies in the store. */
static void check_stored(struct sim *s) {
  static const char *const kinds[] = {"app ", "revision ", "instance "};
  size_t stored = 0;
  for (struct bt_map_iter it = bt_map_iter(sim_store_truth(s->store)); bt_map_next(&it);)
    for (size_t i = 0; i < BT_COUNT(kinds); i++) {
      if (!bt_starts(it.key, kinds[i]))
        continue;
      BT_AUTO_FREE char *kind = bt_strndup(kinds[i], strlen(kinds[i]) - 1);
      BT_AUTO_FREE char *text = bt_control_stored(s->c, kind, it.key + strlen(kinds[i]));
      stored += i == 2;
      if (!text)
        sim_bad(s, "the store has %s, the tables have not", it.key);
      else if (!bt_streq(kind, "app") && !sim_alike(text, it.value))
        sim_bad(s, "%s is %s in the tables, and %s in the store", it.key, text, (const char *)it.value);
    }
  if (stored != ctl_inst_count(s->c))
    sim_bad(s, "the store has %zu instances, the tables have %zu", stored, ctl_inst_count(s->c));
}

void sim_check_settled(struct sim *s, bool all_well) {
  if (!s->executor || s->failed)
    return;
  for (struct bt_map_iter it = bt_map_iter(s->c->apps); bt_map_next(&it);)
    check_app(s, it.value, all_well);
  for (size_t i = 0; i < s->nnodes; i++)
    for (struct bt_map_iter it = bt_map_iter(s->nodes[i].boxes); bt_map_next(&it);)
      if (!ctl_inst_find(s->c, it.key))
        sim_bad(s, "%s is an orphan on %s", it.key, s->nodes[i].name);
  if (s->asks > 0)
    sim_bad(s, "%d requests were never answered", s->asks);
  check_stored(s);
  sim_watchers_settled(s);
  sim_kept(s);
}

void sim_check_empty(struct sim *s) {
  static const char *const left[] = {"app ", "revision ", "instance ", "network ", "blob "};
  for (struct bt_map_iter it = bt_map_iter(s->c->apps); bt_map_next(&it);)
    sim_bad(s, "app %s is not gone", it.key);
  for (size_t i = 0; i < s->nnodes; i++) {
    const struct sim_node *n = &s->nodes[i];
    for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);)
      sim_bad(s, "%s is left on %s", it.key, n->name);
    for (struct bt_map_iter it = bt_map_iter(n->networks); s->nnodes == 1 && bt_map_next(&it);)
      sim_bad(s, "network %s is left on %s", it.key, n->name);
  }
  for (struct bt_map_iter it = bt_map_iter(sim_store_truth(s->store)); bt_map_next(&it);)
    for (size_t i = 0; i < BT_COUNT(left); i++)
      if (bt_starts(it.key, left[i]))
        sim_bad(s, "the store still has %s", it.key);
}
