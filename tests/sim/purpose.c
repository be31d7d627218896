/* What is done on purpose, looked at after each step: who is taken down for others' needs, and whether their service can spare them; who is
 * pushed out, and by whom; how an update that goes another way goes on; numbers that follow a metric; devices. By what was there a step before. */
#include "config.h"

#include <stdlib.h>

#include "sim.h"

/* What is remembered of an instance, and of a service whose update goes another way. */
struct stood {
  bool serves, leaves;
};

struct went {
  int64_t started_ms, step_ms;
  int step, weight;
  bool split;
};

/* ---- places that are given up ---- */

static bool serves(const struct ctl_inst *inst) { return inst->ready && !inst->leaving && !inst->restarting; }

static int amount(const struct bt_amount *a, int wanted, int otherwise) {
  if (a->value < 0)
    return otherwise;
  return a->percent ? (wanted * a->value + 99) / 100 : a->value;
}

/* So many must serve, whatever others need. */
static int least(const struct ctl_service *service) {
  const struct bt_disruption *d = &service->spec->service->disruption;
  int wanted = ctl_wanted(service), usual = d->min_available.value < 0 ? 1 : wanted;
  return BT_MAX(wanted - amount(&d->max_unavailable, wanted, usual), amount(&d->min_available, wanted, 0));
}

/* taken: of those that served, for others; others: for the service's own needs, in the same step. */
static void check_budget(struct sim *s, const struct ctl_service *service, int taken, int others) {
  int well = 0;
  if (taken == 0 || others > 0 || !service->spec || bt_service_is_job(service->spec->service))
    return;
  bt_vec_each(&service->insts, inst) well += serves(*inst);
  if (well < least(service))
    sim_bad(s, "%d of %s are taken down for others, %d are left, and %d must serve", taken, service->name, well, least(service));
}

static int priority_of(struct sim *s, const struct ctl_spec *spec) {
  const struct bt_placement *p = &spec->service->placement;
  return p->prioritized ? p->priority : sim_space(s, spec->rev->app->ns)->priority;
}

/* Whether it depends on the other, or something does that it depends on. */
static bool needs(const struct ctl_service *service, const struct ctl_service *other) {
  bool found = false;
  for (size_t i = 0; !found && service->spec && i < service->spec->service->depends.len; i++) {
    const struct ctl_service *on = ctl_service_find(service->app, service->spec->service->depends.items[i].service);
    found = on && (on == other || needs(on, other));
  }
  return found;
}

/* "preempted by APP/SERVICE of priority N": pushed out by one of its own app, it is not what that waits for. */
static void check_needed(struct sim *s, const struct ctl_inst *inst) {
  const struct ctl_app *app = inst->service->app;
  if (!app->target || (app->target->automatic && app->target->created_ms == s->c->now_ms))
    return; /* it waited by the words of a revision that went back within this step */
  bt_vec_each(&app->services, by) {
    BT_AUTO_FREE char *words = bt_asprintf("preempted by %s/%s of priority ", app->name, (*by)->name);
    if (bt_starts(inst->reason, words) && needs(*by, inst->service))
      sim_bad(s, "%s is %s, which depends on it", inst->id, inst->reason);
  }
}

/* "preempted by WHO of priority N" */
static void check_preempted(struct sim *s, const struct ctl_inst *inst) {
  const char *number = strstr(inst->reason, " of priority "), *foreign = strstr(inst->reason, "an app of namespace ");
  int by = number ? atoi(number + strlen(" of priority ")) : 0, own = priority_of(s, inst->spec);
  if (!number || !s->preempts)
    sim_bad(s, "%s is %s", inst->id, inst->reason);
  if (number && foreign) {
    const char *begin = foreign + strlen("an app of namespace ");
    BT_AUTO_FREE char *ns = bt_strndup(begin, (size_t)(number - begin));
    const struct sim_space *theirs = sim_space(s, ns), *ours = sim_space(s, inst->service->app->ns);
    if (theirs->priority == 0)
      sim_bad(s, "%s is %s, to which nobody gave a priority", inst->id, inst->reason);
    by = BT_MIN(by, theirs->priority);
    own = BT_MIN(own, ours->priority);
  }
  if (own >= by)
    sim_bad(s, "%s of priority %d is %s", inst->id, own, inst->reason);
  check_needed(s, inst);
}

/* A restart that was asked for may begin with the replacement as soon as that stands. */
static void check_replaced(struct sim *s, const struct ctl_inst *inst) {
  bt_vec_each(&inst->service->insts, other) {
    if (*other != inst && (*other)->slot == inst->slot && !(*other)->leaving && ((*other)->ready || (*other)->restarting || ctl_inst_done(*other)))
      return;
  }
  sim_tell_app(s, inst->service->app);
  sim_bad(s, "%s goes since its replacement is ready, and there is none that serves", inst->id);
}

/* ---- other ways ---- */

/* Who was pushed out after the switch, in the same step, stood when it was made: the next look goes back. */
static bool stood(const struct ctl_inst *inst) {
  return ctl_inst_current(inst) && (inst->ready || inst->struck) && (!inst->leaving || (inst->reason && bt_starts(inst->reason, "preempted by ")));
}

/* Without old ones, as where each was restarted in its place, there is nothing to switch from. */
static bool any_old(const struct ctl_service *service) {
  bt_vec_each(&service->insts, inst) if (!ctl_inst_current(*inst)) return true;
  return false;
}

static bool all_stand(const struct ctl_service *service) {
  int n = 0, wanted = ctl_wanted(service);
  for (int slot = 1; slot <= wanted; slot++) {
    bool one = false;
    bt_vec_each(&service->insts, inst) one = one || ((*inst)->slot == slot && stood(*inst));
    n += one;
  }
  return n == wanted;
}

/* Not long ago; the request may have waited for the disk, and the step for its instances. */
static bool promoted(struct sim *s, const struct ctl_service *service) {
  const int64_t *at_ms = bt_map_get(s->promoted, service->app->name);
  return at_ms && s->now_ms - *at_ms < 300000;
}

static void check_blue_gone(struct sim *s, const struct ctl_inst *inst, const struct went *before) {
  const struct ctl_service *service = inst->service;
  int64_t until = before->step_ms + ctl_way(service)->keep_ms;
  if (before->started_ms != service->roll.started_ms)
    return; /* it was not seen to begin */
  if (before->step == 0 || (s->c->now_ms < until && !promoted(s, service)))
    sim_bad(s, "%s goes %lld ms before the time for which it is kept is over", inst->id, (long long)(until - s->c->now_ms));
}

/* From one step of a canary to the next: its time was over, or somebody promoted it. */
static void check_canary_step(struct sim *s, const struct ctl_service *service, const struct went *before) {
  const struct bt_way *way = ctl_way(service);
  const struct bt_rollout *now = &service->roll;
  for (int i = before->step; i < now->step && i < (int)way->steps.len; i++) {
    int64_t pause_ms = way->steps.items[i].pause_ms, begun_ms = i == before->step && before->step_ms ? before->step_ms : s->c->now_ms;
    if (!promoted(s, service) && (pause_ms < 0 || s->c->now_ms < begun_ms + pause_ms))
      sim_bad(s, "%s leaves step %d of its canary before its time", service->name, i + 1);
  }
}

/* So many slots have a new one, and so many are to have one in the step that it is at. */
static int fresh(const struct ctl_service *service) {
  int n = 0;
  for (int slot = 1; slot <= ctl_wanted(service); slot++) {
    bool one = false;
    bt_vec_each(&service->insts, inst) one = one || ((*inst)->slot == slot && !(*inst)->leaving && !ctl_inst_lost(*inst) && ctl_inst_view(*inst).current);
    n += one;
  }
  return n;
}

static int step_wants(const struct ctl_service *service) {
  int wanted = ctl_wanted(service);
  return BT_MAX(1, BT_MIN(amount(&ctl_way(service)->steps.items[service->roll.step].instances, wanted, 0), wanted));
}

/* While a step pauses nothing of the update goes on, but where new ones were lost meanwhile: no new one beside an old one, and no old one goes for it. */
static void check_canary_pause(struct sim *s, const struct ctl_inst *inst, bool is_new, bool goes) {
  int have = fresh(inst->service), wants = step_wants(inst->service);
  if (goes && bt_starts(inst->reason, "an update,") && have >= wants)
    sim_bad(s, "%s goes for the update while its canary pauses: %d are new, of %d", inst->id, have, wants);
  if (!is_new || inst->leaving || !ctl_inst_current(inst) || have <= wants)
    return;
  bt_vec_each(&inst->service->insts, other) {
    if (*other != inst && (*other)->slot == inst->slot && !(*other)->leaving && !ctl_inst_current(*other) && !ctl_move_of(*other) && !ctl_inst_lost(*other))
      sim_bad(s, "%s begins beside %s while its canary pauses", inst->id, (*other)->id);
  }
}

static bool pauses(const struct ctl_service *service, const struct went *before) {
  const struct bt_rollout *now = &service->roll;
  const struct bt_way *way = ctl_way(service);
  return way && way->kind == BT_WAY_CANARY && now->state == BT_RO_UPDATING && before && before->started_ms == now->started_ms && before->step == now->step &&
         before->step_ms && before->step_ms == now->step_ms && now->step < (int)way->steps.len;
}

/* What is remembered of it; NULL: it does not go another way, or it just began to. */
static struct went *way_of(struct sim *s, const struct ctl_service *service) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", service->app->key, service->name);
  const struct bt_rollout *now = &service->roll;
  if (!service->spec || !ctl_way(service) || now->state != BT_RO_UPDATING) {
    bt_map_del(s->ways, key);
    return NULL;
  }
  struct went *w = bt_map_get(s->ways, key);
  if (!w) {
    w = bt_new(struct went);
    w->started_ms = -1;
    bt_map_set(s->ways, key, w);
  }
  return w;
}

static void check_way(struct sim *s, const struct ctl_service *service, struct went *w) {
  const struct bt_rollout *now = &service->roll;
  bool same = w->started_ms == now->started_ms, green = ctl_way(service)->kind == BT_WAY_BLUE_GREEN;
  if (now->weight < 0 || now->weight > 100 || (green && now->weight % 100 != 0))
    sim_bad(s, "the new ones of %s get %d of 100 requests", service->name, now->weight);
  if (now->abort)
    sim_bad(s, "the update of %s goes on, though it is aborted", service->name);
  if (same && green && w->weight == 0 && now->weight == 100 && any_old(service) && !all_stand(service))
    sim_bad(s, "requests go to the new ones of %s, and not all of them stand", service->name);
  if (same && !green)
    check_canary_step(s, service, w);
  *w = (struct went){now->started_ms, now->step_ms, now->step, now->weight, now->split};
}

/* ---- numbers that follow a metric ---- */

static void check_bounds(struct sim *s, const struct ctl_service *service) {
  const struct bt_autoscale *a = service->spec ? service->spec->service->autoscale : NULL;
  if (!a || !ctl_scales(service) || bt_service_is_job(service->spec->service))
    return;
  int n = ctl_wanted(service), there = 0;
  bt_vec_each(&service->insts, inst) there = (*inst)->leaving ? there : BT_MAX(there, (*inst)->slot);
  if (n < a->min || n > a->max || there > a->max)
    sim_bad(s, "%s is scaled to %d and has slot %d, and its bounds are %d and %d", service->name, n, there, a->min, a->max);
}

/* ---- devices ---- */

static void check_device(struct sim *s, struct bt_map *owners, const struct ctl_inst *inst, const char *id) {
  BT_AUTO_FREE char *key = bt_asprintf("%s %s", inst->node->name, id);
  const char *other = bt_map_get(owners, key);
  const struct sim_node *node = &s->nodes[inst->node->name[1] - '1'];
  if (other)
    sim_bad(s, "device %s is that of %s and of %s", key, other, inst->id);
  if (id[1] - '0' >= node->devices)
    sim_bad(s, "%s is given device %s, which is not there", inst->id, key);
  bt_map_set(owners, key, bt_strdup(inst->id));
}

void sim_check_devices(struct sim *s) {
  if (!sim_has(s, SIM_DEVICES))
    return;
  BT_AUTO_MAP owners = bt_map_new(free);
  for (struct ctl_insts it = ctl_insts(s->c); ctl_insts_next(&it);) {
    const struct ctl_grant *g = it.inst->node && !(it.inst->ended && bt_service_is_job(it.inst->spec->service)) && !ctl_inst_lost(it.inst) ? ctl_grant_of(it.inst) : NULL;
    size_t i, k;
    json_t *request, *id;
    if (g)
      json_array_foreach(g->devices, i, request) json_array_foreach(bt_json_arr(request, "device_ids"), k, id)
          check_device(s, owners, it.inst, json_string_value(id));
  }
}

/* ---- a step ---- */

static void look_at(struct sim *s, const struct ctl_inst *inst, const struct went *w, bool paused, int *taken, int *others) {
  struct stood *was = bt_map_get(s->stood, inst->id);
  bool goes = inst->leaving && was && !was->leaves;
  const char *why = inst->reason ? inst->reason : "";
  if (paused)
    check_canary_pause(s, inst, !was, goes);
  if (goes && bt_starts(why, "preempted by ")) {
    check_preempted(s, inst);
    *taken += was->serves && inst->ready; /* else it fell in this step, before it was asked to go */
  } else if (goes && bt_ends(why, " is drained")) {
    *taken += was->serves && inst->ready;
  } else if (goes && bt_streq(why, "its replacement is ready")) {
    check_replaced(s, inst);
  } else if (goes && w && bt_starts(why, "blue-green: the new")) {
    check_blue_gone(s, inst, w);
  } else {
    *others += (was && was->serves && !serves(inst)) || goes;
  }
  if (!was)
    bt_map_set(s->stood, inst->id, was = bt_new(struct stood));
  *was = (struct stood){serves(inst), inst->leaving};
}

void sim_check_purposes(struct sim *s) {
  for (struct bt_map_iter it = bt_map_iter(s->c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    bt_vec_each(&app->services, at) {
      const struct ctl_service *service = *at;
      int taken = 0, others = 0;
      struct went *w = way_of(s, service);
      bool paused = pauses(service, w);
      bt_vec_each(&service->insts, inst) look_at(s, *inst, w, paused, &taken, &others);
      check_budget(s, service, taken, others);
      check_bounds(s, service);
      if (w)
        check_way(s, service, w);
    }
  }
}

/* The server starts anew: what happened while it died was not seen. */
void sim_purposes_forget(struct sim *s) {
  bt_map_free(&s->stood);
  bt_map_free(&s->ways);
  s->stood = bt_map_new(free);
  s->ways = bt_map_new(free);
  for (struct ctl_insts it = ctl_insts(s->c); s->c && ctl_insts_next(&it);) {
    struct stood *was = bt_new(struct stood);
    *was = (struct stood){serves(it.inst), it.inst->leaving};
    bt_map_set(s->stood, it.inst->id, was);
  }
}
