#include "config.h"

#include "base/plant.h"
#include "control/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/internal.h"

#define ROUNDS 64            /* looks at dirty apps within one step; what is left waits for the next one */
#define SKEW_MS 1000         /* from which on the wall clock was set */
#define CLOCK_MS 60000       /* how often the wall clock is looked at, where schedules go by it */
#define ROOM 250             /* instances that one step creates, gives to a node or releases, where the input says nothing */
#define HASHES 200           /* that one step makes */
#define CROWD 256            /* instances from which on an app is not looked at for each report */
#define CROWD_PER_MS 100     /* instances per millisecond between two looks */

struct bt_control *bt_control_new(const struct bt_control_options *options) {
  struct bt_control *c = bt_new(struct bt_control);
  c->server_id = bt_strdup(options->server_id);
  c->keep_revisions = options->keep_revisions > 0 ? options->keep_revisions : 20;
  c->skew_ms = llabs(options->skew_ms) >= SKEW_MS ? options->skew_ms : 0;
  c->keep_events = options->keep_events > 0 ? options->keep_events : 10000;
  c->apps = bt_map_new(ctl_app_free);
  c->words = bt_map_new(free);
  c->nodes = bt_map_new(ctl_node_free);
  c->fleet = bt_fleet_new();
  c->dims = ctl_dims_new();
  ctl_settings_take(c, options->settings);
  c->judge = options->judge;
  ctl_judge_take(c);
  c->moves = bt_map_new(ctl_move_free);
  c->lost_look_ms = INT64_MAX;
  c->resources = bt_map_new(ctl_res_free);
  c->contents = bt_map_new(ctl_content_free);
  c->sources = bt_map_new(ctl_source_free);
  c->kv = bt_map_new(free);
  c->asked = bt_map_new(free);
  c->drains = bt_map_new(free);
  c->zones = bt_map_new(ctl_zone_free);
  c->events = bt_newn(struct ctl_event, (size_t)c->keep_events);
  c->wake_ms = INT64_MAX;
  return c;
}

void bt_control_free(struct bt_control **control) {
  struct bt_control *c = *control;
  if (!c)
    return;
  bt_vec_each(&c->calls, call) ctl_call_free(*call);
  bt_vec_each(&c->checks, check) ctl_check_free(*check);
  ctl_waiting_free(c);
  bt_vec_free(&c->calls);
  bt_vec_free(&c->checks);
  bt_vec_free(&c->quota_waiting);
  bt_vec_free(&c->unsaved_insts);
  bt_vec_free(&c->unsaved_apps);
  bt_vec_free(&c->dirty_apps);
  struct bt_map **maps[] = {&c->apps, &c->words, &c->moves, &c->nodes, &c->resources, &c->contents, &c->sources, &c->kv, &c->asked, &c->drains, &c->zones};
  for (size_t i = 0; i < BT_COUNT(maps); i++)
    bt_map_free(maps[i]);
  bt_vec_free(&c->vacating);
  bt_lost_pace_free(&c->lost_pace);
  ctl_index_free(&c->instances);
  bt_vec_free(&c->scaled);
  ctl_queue_free(c);
  ctl_once_free(c);
  bt_fleet_free(&c->fleet);
  ctl_judge_forget(c, NULL);
  ctl_dims_free(&c->dims);
  ctl_settings_free(c);
  ctl_quota_free(c);
  bt_vec_free(&c->hashing);
  ctl_events_free(c);
  json_decref(c->lb);
  free(c->scratch);
  free(c->server_id);
  free(c);
  *control = NULL;
}

uint64_t bt_control_revision(const struct bt_control *c) { return c->revision; }

void bt_effects_free(struct bt_effects *fx) {
  bt_batch_free(&fx->batch);
  bt_vec_each(&fx->replies, reply) {
    free(reply->message);
    json_decref(reply->result);
  }
  bt_vec_each(&fx->sends, send) {
    if (send->assign)
      ctl_assign_free(send->assign);
    else
      free(send->node);
    json_decref(send->message);
  }
  bt_vec_each(&fx->calls, call) json_decref(call->args);
  json_decref(fx->endpoints);
  bt_vec_free(&fx->replies);
  bt_vec_free(&fx->sends);
  bt_vec_free(&fx->calls);
  *fx = (struct bt_effects){0};
}

/* ---- a step ---- */

/* The clock was set back while the server was down: what it waits for must not come an hour late. The order of its times stays. */
static void bring_back(struct ctl_inst *inst, int64_t now_ms) {
  struct ctl_seen none = {0}, *seen = inst->seen ? inst->seen : &none;
  int64_t *times[] = {&inst->created_ms, &inst->assigned_ms, &inst->begun_ms, &seen->ready_ms, &seen->finished_ms}, ahead = 0;
  for (size_t i = 0; i < BT_COUNT(times); i++)
    ahead = BT_MAX(ahead, *times[i] - now_ms);
  for (size_t i = 0; i < BT_COUNT(times); i++)
    *times[i] -= *times[i] ? ahead : 0;
  struct bt_rollout *roll = &inst->service->roll;
  roll->started_ms = BT_MIN(roll->started_ms, now_ms);
  roll->batch_ms = BT_MIN(roll->batch_ms, now_ms);
  roll->step_ms = BT_MIN(roll->step_ms, now_ms);
}

/* After a start: apps whose images were not all resolved ask again; every app is looked at. */
static void start(struct bt_control *c) {
  for (struct ctl_insts it = ctl_insts(c); ctl_insts_next(&it);)
    bring_back(it.inst, c->now_ms);
  /* Results of calls that an earlier control made must not be taken for results of ours. */
  c->call_seq = BT_MAX(c->call_seq, (uint64_t)c->now_ms << 12);
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    struct ctl_app *app = it.value;
    struct ctl_rev *latest = ctl_rev_latest(app);
    if (latest && latest->state == CTL_REV_RESOLVING && app->state != CTL_APP_REMOVING && !BT_PLANT(RESOLVE_LOST))
      ctl_resolve_begin(latest);
    bt_vec_each(&app->services, service) {
      ctl_jobs_bring_back(*service, c->now_ms);
      ctl_autoscale_bring_back(*service, c->now_ms);
    }
    ctl_dirty(app);
    ctl_update_plan(app);
  }
  ctl_lost_start(c);
  ctl_sources_start(c);
  ctl_drains_resume(c);
  c->fx->routes = true;
}

static void take_input(struct bt_control *c, const struct bt_input *in) {
  switch (in->kind) {
  case BT_IN_START:
    start(c);
    break;
  case BT_IN_TICK:
    break;
  case BT_IN_REQUEST:
    ctl_request(c, in->request);
    break;
  case BT_IN_NODE:
    ctl_node_message(c, in->node, in->message);
    break;
  case BT_IN_NODE_DOWN:
    ctl_node_down(c, in->node);
    break;
  case BT_IN_CALL_DONE:
    ctl_call_done(c, in);
    break;
  }
}

static void wake_apps(struct bt_control *c) {
  if (c->now_ms < c->wake_ms)
    return;
  c->wake_ms = INT64_MAX;
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    struct ctl_app *app = it.value;
    if (app->wake_ms <= c->now_ms)
      ctl_dirty(app);
    else
      c->wake_ms = BT_MIN(c->wake_ms, app->wake_ms);
    ctl_update_wake(app);
  }
  ctl_autoscale_wake(c);
  ctl_res_retry(c);
  ctl_lost_tick(c);
  ctl_rebalance_tick(c);
  c->sources_due = true;
}

/* When an app may be looked at again: at once, but for crowds, where looking costs more than a report is worth. */
static int64_t due(const struct ctl_app *app) {
  size_t n = 0;
  bt_vec_each(&app->services, service) n += (*service)->insts.len;
  return n > CROWD ? app->looked_ms + (int64_t)(n / CROWD_PER_MS) : 0;
}

/* Hashes of a revision whose images are pinned: some 20 µs each, so those of a large app take more than one step. */
static void make_hashes(struct bt_control *c, int *left) {
  while (c->hashing.len > 0 && *left > 0) {
    struct ctl_rev *rev = c->hashing.items[0];
    while (rev->state == CTL_REV_RESOLVING && rev->hashing < rev->specs.len && (*left)-- > 0)
      ctl_spec_hash(rev->specs.items[rev->hashing++]);
    if (rev->state == CTL_REV_RESOLVING && rev->hashing < rev->specs.len)
      break;
    bt_vec_remove(&c->hashing, 0);
    if (rev->state == CTL_REV_RESOLVING)
      ctl_hashed(rev);
  }
}

static void look_at_apps(struct bt_control *c) {
  int hashes = HASHES;
  make_hashes(c, &hashes);
  for (int round = 0; round < ROUNDS && c->dirty_apps.len > 0; round++, make_hashes(c, &hashes)) {
    struct ctl_app *app = c->dirty_apps.items[0];
    bt_vec_remove(&c->dirty_apps, 0);
    app->dirty = false;
    int64_t at = due(app);
    if (at > c->now_ms)
      ctl_wake(app, at);
    else
      ctl_reconcile(app);
  }
  ctl_vacates_look(c);
  if (c->dirty_apps.len > 0 || c->hashing.len > 0)
    c->wake_ms = c->now_ms;
}

static void save_apps(struct bt_control *c) {
  bt_vec_each(&c->unsaved_apps, a) {
    struct ctl_app *app = *a;
    app->unsaved = false;
    ctl_quota_app(app);
    app->changed = c->revision + 1;
    bt_vec_each(&app->services, service)(*service)->changed = c->revision + 1;
    ctl_put(c, "app", app->key, ctl_app_json(app));
    bt_vec_each(&app->revs, rev) {
      if (!(*rev)->unsaved)
        continue;
      (*rev)->unsaved = false;
      (*rev)->changed = c->revision + 1;
      BT_AUTO_FREE char *key = bt_asprintf("%s/%d", app->key, (*rev)->number);
      bt_batch_put(&c->fx->batch, "revision", key, ctl_rev_text(*rev));
    }
  }
  c->unsaved_apps.len = 0;
}

static void save_instances(struct bt_control *c) {
  bt_vec_each(&c->unsaved_insts, i) {
    struct ctl_inst *inst = *i;
    inst->unsaved = false;
    inst->changed = inst->service->changed = c->revision + 1;
    bt_batch_put_steal(&c->fx->batch, "instance", ctl_inst_key(inst), ctl_inst_stored(inst));
    ctl_routes_inst(inst, false);
  }
  c->unsaved_insts.len = 0;
}

static void save(struct bt_control *c) {
  save_apps(c);
  save_instances(c);
  if (c->seq_unsaved) {
    json_t *seq = json_object();
    bt_json_set_int(seq, "instances", (long long)c->instance_seq);
    ctl_put(c, "meta", "sequences", seq);
    c->seq_unsaved = false;
  }
  if (c->zones_unsaved)
    ctl_put(c, "meta", "zones", ctl_zones_json(c));
  c->zones_unsaved = false;
}

/* The wall clock is set, or it is not: a little more or less between two readings says nothing. */
static void set_clock(struct bt_control *c, const struct bt_input *in) {
  c->now_ms = BT_MAX(c->now_ms, in->now_ms);
  int64_t skew_ms = in->wall_ms ? in->wall_ms - c->now_ms : 0;
  if (llabs(skew_ms - c->skew_ms) < SKEW_MS)
    return;
  c->skew_ms = skew_ms;
  for (struct bt_map_iter it = bt_map_iter(c->apps); c->clocked && bt_map_next(&it);)
    if (((struct ctl_app *)it.value)->scheduled)
      ctl_dirty(it.value); /* what is due is due by that clock */
}

void bt_control_step(struct bt_control *c, const struct bt_input *in, struct bt_effects *fx) {
  c->fx = fx;
  c->steps++;
  c->room = in->room > 0 ? in->room : ROOM;
  set_clock(c, in);
  take_input(c, in);
  wake_apps(c);
  look_at_apps(c);
  ctl_queue_look(c);
  if (c->sources_due)
    ctl_sources_look(c);
  save(c);
  if (fx->batch.len > 0)
    fx->revision = ++c->revision;
  fx->wake_ms = c->clocked ? BT_MIN(c->wake_ms, c->now_ms + CLOCK_MS) : c->wake_ms;
  c->fx = NULL;
}
