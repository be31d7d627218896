#include "config.h"

#include "base/nearest.h"
#include "control/internal.h"
#include "plan/explain.h"

enum { tried_apps = 2000 }; /* a wrong name holds nobody up */

#define MAX_REASONS 20

struct answer {
  json_t *o, *reasons;
  int64_t now_ms;
};

/* Now, by control's clock: its own stands still between steps, and readers ask whenever they like. */
static int64_t own_now(const struct bt_control *c, int64_t now_ms) { return BT_MAX(c->now_ms, ctl_from_wall(c, now_ms)); }

static struct answer answer_start(const char *object, const char *kind, int64_t now_ms) {
  struct answer a = {json_object(), json_array(), now_ms};
  bt_json_set_str(a.o, "object", object);
  bt_json_set_str(a.o, "kind", kind);
  return a;
}

static json_t *answer_end(struct answer *a, const char *summary, const char *next) {
  bt_json_set_str(a->o, "summary", summary);
  bt_json_set(a->o, "reasons", a->reasons);
  bt_json_set(a->o, "next", next ? bt_json_string(next) : json_null());
  return a->o;
}

static void add_reason(struct answer *a, const char *text, int64_t since_ms, const char *code) {
  if (json_array_size(a->reasons) >= MAX_REASONS)
    return;
  json_t *r = json_object();
  bt_json_set_str(r, "text", text);
  ctl_set_time(r, "since", since_ms);
  bt_json_set_str(r, "code", code);
  json_array_append_new(a->reasons, r);
}

/* What a quota keeps waiting, with its numbers of now. */
static void add_quota(struct answer *a, const struct ctl_service *service, char **next) {
  BT_AUTO_BUF why = {0}, mend = {0};
  if (!ctl_quota_why(service, &why, &mend))
    return;
  add_reason(a, why.data, 0, "quota");
  free(*next);
  *next = bt_buf_steal(&mend);
}

/* Where it stands among those that wait for places, and who took one of its own. */
static void add_order(struct answer *a, struct ctl_service *service) {
  int64_t at_ms = 0;
  BT_AUTO_FREE char *queue = ctl_queue_words(service, own_now(service->app->control, a->now_ms));
  BT_AUTO_FREE char *preempted = ctl_preempted_words(service, &at_ms);
  if (preempted)
    add_reason(a, preempted, at_ms, "preempted");
  if (queue)
    add_reason(a, queue, 0, "queue");
}

/* ---- instances ---- */

static int64_t since(const struct ctl_inst *inst) {
  const struct bt_control *c = inst->service->app->control;
  if (inst->ready)
    return ctl_to_wall(c, ctl_seen(inst)->ready_ms);
  if (inst->state == BT_ST_EXITED || inst->state == BT_ST_FAILED)
    return ctl_to_wall(c, ctl_seen(inst)->finished_ms);
  if (inst->state == BT_ST_RUNNING)
    return ctl_seen(inst)->started_ms;
  return ctl_to_wall(c, inst->assigned_ms ? inst->assigned_ms : inst->created_ms);
}

static void explain(const struct ctl_inst *inst, int64_t now_ms, struct bt_explain *out) {
  static const char *const healths[] = {"", "starting", "healthy", "unhealthy"};
  const struct bt_service *s = inst->spec->service;
  const struct ctl_seen *seen = ctl_seen(inst);
  struct bt_explain_inst facts = {
      .id = inst->id,
      .node = inst->node ? inst->node->name : NULL,
      .reason = inst->reason,
      .error = seen->error,
      .health = healths[inst->health],
      .restart = s->restart.condition,
      .state = (enum bt_state)inst->state,
      .ready = inst->ready,
      .leaving = inst->leaving,
      .ended = inst->ended,
      .oom = seen->oom,
      .restarting = inst->restarting,
      .job = bt_service_is_job(s),
      .healthcheck = s->healthcheck,
      .readiness = s->readiness,
      .exit_code = seen->exit_code,
      .restarts = seen->restarts,
      .failures = seen->failures,
      .since_ms = since(inst),
      .next_start_ms = seen->next_start_ms,
  };
  bt_explain_instance(&facts, now_ms, out);
}

/* What becomes of it since its node is drained or lost, or there is a better one. */
static void add_change(struct answer *a, const struct ctl_inst *inst) {
  const struct ctl_node *node = inst->node;
  const struct ctl_inst *next = ctl_move_of(inst) ? ctl_move_successor(inst) : NULL;
  BT_AUTO_FREE char *bound = node && node->lost_ms ? ctl_bound(inst) : NULL;
  BT_AUTO_FREE char *text = NULL;
  if (node && node->lost_ms)
    text = bt_asprintf(bound ? "its node %s is lost, and it is not replaced elsewhere: %s" : "its node %s is lost, and it is replaced elsewhere%s", node->name, bound ? bound : "");
  else if (next)
    text = bt_asprintf("it makes way for %s: %s", next->id, bt_streq(ctl_move_cause(inst), "drain") ? "its node is drained" : "there is a better place");
  else if (inst->node && ctl_vacate_stay(inst))
    text = bt_asprintf("its node %s is drained: %s", inst->node->name, ctl_vacate_stay(inst));
  if (text)
    add_reason(a, text, node && node->lost_ms ? node->lost_ms : 0, node && node->lost_ms ? "lost" : "moving");
  BT_AUTO_FREE char *limits = ctl_inplace_words(inst);
  if (limits)
    add_reason(a, limits, 0, "in-place");
}

static json_t *why_instance(const struct ctl_inst *inst, const char *object, int64_t now_ms) {
  struct answer a = answer_start(object, "instance", now_ms);
  struct bt_explain e;
  explain(inst, now_ms, &e);
  add_reason(&a, e.text.data, since(inst), e.code);
  if (inst->struck && inst->service->note)
    add_reason(&a, inst->service->note, 0, "counted-as-failed");
  if (inst->node) {
    BT_AUTO_FREE char *where = bt_asprintf("it is on %s, which met its constraints and had room when it was placed", inst->node->name);
    add_reason(&a, where, ctl_to_wall(inst->service->app->control, inst->assigned_ms), "placed");
    int64_t at_ms;
    BT_AUTO_FREE char *others = ctl_preempts_words(inst, &at_ms);
    if (others)
      add_reason(&a, others, at_ms, "preempts");
  }
  if (!inst->node) {
    add_quota(&a, inst->service, &e.next);
    add_order(&a, inst->service);
  }
  add_change(&a, inst);
  json_t *o = answer_end(&a, e.text.data, e.next);
  bt_buf_free(&e.text);
  free(e.next);
  return o;
}

/* ---- services ---- */

static bool fine(const struct ctl_inst *inst) { return !inst->leaving && (inst->ready || ctl_inst_done(inst)); }

/* What to try for the first of them that knows something; the caller frees. */
static char *add_instances(struct answer *a, const struct ctl_service *service) {
  char *next = NULL;
  bt_vec_each(&service->insts, inst) {
    if (fine(*inst) || ctl_run_over(*inst))
      continue;
    struct bt_explain e;
    explain(*inst, a->now_ms, &e);
    add_reason(a, e.text.data, since(*inst), e.code);
    if (!next)
      next = bt_steal(e.next);
    free(e.next);
    bt_buf_free(&e.text);
  }
  return next;
}

static char *updating_words(const struct ctl_service *service, int well, int wanted, int64_t now_ms) {
  BT_AUTO_FREE char *way = ctl_way_words(service, own_now(service->app->control, now_ms));
  return bt_asprintf("%s is being updated: %d of %d instances are ready%s%s", service->name, well, wanted, way ? "; " : "", way ? way : "");
}

static char *service_words(const struct ctl_service *service, int64_t now_ms) {
  int well = 0, wanted = ctl_wanted(service);
  if (service->spec && service->spec->recurs)
    return ctl_jobs_words(service);
  bt_vec_each(&service->insts, inst) well += fine(*inst);
  switch (service->spec ? service->roll.state : BT_RO_START) {
  case BT_RO_PAUSED:
  case BT_RO_ROLLBACK:
    return bt_asprintf("the update of %s stopped: %s", service->name, service->note ? service->note : "too many instances failed");
  case BT_RO_FAILED:
    return bt_asprintf("%s does not come up: %s", service->name, service->note ? service->note : "an instance failed");
  case BT_RO_UPDATING:
    return updating_words(service, well, wanted, now_ms);
  case BT_RO_FRESH:
    return bt_asprintf("%s is coming up: %d of %d instances are ready", service->name, well, wanted);
  case BT_RO_START:
    return bt_asprintf(service->spec ? "%s waits for its rollout" : "%s is no longer in the file and is being removed", service->name);
  case BT_RO_DONE:
    break;
  }
  if (well >= wanted)
    return bt_asprintf("%s is as it should be: %d of %d instances are ready or have completed", service->name, well, wanted);
  return bt_asprintf("%s is degraded: %d of %d instances are ready", service->name, well, wanted);
}

static void add_gates(struct answer *a, const struct ctl_service *service) {
  char why[240];
  if (!service->spec)
    return;
  bt_vec_each(&service->spec->service->depends, dep) {
    struct bt_dep_facts facts = ctl_facts(service->app, dep->service);
    if (bt_deps_met(dep, &facts, why, sizeof why))
      continue;
    BT_AUTO_FREE char *text = bt_asprintf("%s %s", service->name, why);
    add_reason(a, text, 0, "depends-on");
  }
}

static char *go_back(const struct ctl_app *app) {
  return bt_asprintf("mend it and apply again, or go back: berth rollback %s", app->name);
}

/* What its source says, where it follows a repository. next: NULL becomes what to try. */
static bool add_source(struct answer *a, const struct bt_control *c, const char *ns, const char *app, char **next) {
  struct ctl_source_words words;
  bool follows = ctl_source_why(c, ns, app, a->now_ms, &words);
  if (follows)
    add_reason(a, words.text, words.since_ms, words.code);
  if (words.failing)
    add_reason(a, words.failing, 0, "source-failing");
  if (!*next)
    *next = bt_steal(words.next);
  ctl_source_words_free(&words);
  return follows;
}

static json_t *why_service(struct ctl_service *service, const char *object, int64_t now_ms) {
  struct answer a = answer_start(object, "service", now_ms);
  BT_AUTO_FREE char *summary = service_words(service, now_ms);
  add_reason(&a, summary, ctl_to_wall(service->app->control, service->roll.started_ms), bt_rollout_name(service->roll.state));
  add_gates(&a, service);
  int64_t scaled_ms = 0;
  const char *scale_code = NULL;
  BT_AUTO_FREE char *scaled = ctl_autoscale_words(service, &scaled_ms, &scale_code);
  if (scaled)
    add_reason(&a, scaled, scaled_ms, scale_code);
  BT_AUTO_FREE char *needs = ctl_vertical_why(service);
  if (needs)
    add_reason(&a, needs, 0, "vertical");
  BT_AUTO_FREE char *hint = add_instances(&a, service);
  BT_AUTO_FREE char *next = service->roll.state == BT_RO_PAUSED ? go_back(service->app) : bt_steal(hint);
  add_quota(&a, service, &next);
  add_order(&a, service);
  if (!next && service->roll.state == BT_RO_UPDATING && (ctl_way(service) || service->roll.held))
    next = bt_asprintf("to go on now: berth rollout promote %s; to go back: berth rollout abort %s", service->app->name, service->app->name);
  add_source(&a, service->app->control, service->app->ns, service->app->name, &next);
  return answer_end(&a, summary, next);
}

/* ---- apps ---- */

static json_t *why_app(const struct ctl_app *app, const char *object, int64_t now_ms) {
  struct answer a = answer_start(object, "app", now_ms);
  const struct ctl_rev *latest = ctl_rev_latest(app);
  BT_AUTO_FREE char *next = NULL;
  BT_AUTO_FREE char *summary =
      bt_asprintf("%s is %s%s%s", app->name, ctl_app_state_name(app->state), app->message ? ": " : "", app->message ? app->message : "");
  add_reason(&a, summary, app->updated_ms, ctl_app_state_name(app->state));
  if (latest && latest->state == CTL_REV_RESOLVING) {
    BT_AUTO_FREE char *text = bt_asprintf("revision %d waits for its images to be resolved", latest->number);
    add_reason(&a, text, latest->created_ms, "resolving");
  }
  if (latest && latest->state == CTL_REV_FAILED) {
    BT_AUTO_FREE char *text = bt_asprintf("revision %d failed: %s", latest->number, latest->reason ? latest->reason : "no reason given");
    add_reason(&a, text, latest->finished_ms, "revision-failed");
    next = latest->number > 1 ? go_back(app) : NULL;
  }
  add_source(&a, app->control, app->ns, app->name, &next);
  bt_vec_each(&app->services, service) {
    BT_AUTO_FREE char *words = service_words(*service, now_ms);
    add_reason(&a, words, ctl_to_wall(app->control, (*service)->roll.started_ms), bt_rollout_name((*service)->roll.state));
    add_gates(&a, *service);
    BT_AUTO_FREE char *hint = add_instances(&a, *service);
    if (!next)
      next = bt_steal(hint);
    add_order(&a, *service);
    add_quota(&a, *service, &next);
  }
  return answer_end(&a, summary, next);
}

/* Of an app that is not there yet: its source may know why. NULL where there is none. */
static json_t *why_absent(const struct bt_control *c, const char *ns, const char *name, int64_t now_ms) {
  struct answer a = answer_start(name, "app", now_ms);
  BT_AUTO_FREE char *next = NULL;
  BT_AUTO_FREE char *summary = bt_asprintf("%s is not deployed yet", name);
  add_reason(&a, summary, 0, "absent");
  if (add_source(&a, c, ns, name, &next))
    return answer_end(&a, summary, next);
  json_decref(a.reasons);
  json_decref(a.o);
  return NULL;
}

/* ---- volumes, networks, nodes ---- */

static json_t *why_resource(const struct bt_control *c, const struct ctl_res *res, const char *object, int64_t now_ms) {
  struct answer a = answer_start(object, res->kind == CTL_VOLUME ? "volume" : "network", now_ms);
  const struct ctl_app *app = res->app ? ctl_app_find(c, res->ns, res->app) : NULL;
  BT_AUTO_FREE char *summary = NULL;
  BT_AUTO_FREE char *next = NULL;
  if (res->dropping) {
    summary = bt_asprintf("%s is being removed%s%s", res->name, res->error ? ": " : "", res->error ? res->error : "");
    next = res->stuck ? bt_strdup("restart the container engine where no container is attached to it; it is tried again by itself") : NULL;
  } else if (app) {
    summary = bt_asprintf("%s is there for app %s%s%s", res->name, app->name, res->node ? "; instances that use it go to its data, on " : "",
                          res->node ? res->node : "");
  } else {
    summary = bt_asprintf("%s was kept when app %s was removed, since its data may be needed", res->name, res->app ? res->app : "?");
    next = bt_asprintf("to remove it with its data: berth volume rm %s", res->name);
  }
  add_reason(&a, summary, res->created_ms, res->dropping ? "removing" : app ? "present" : "kept");
  return answer_end(&a, summary, next);
}

/* What of a node's being drained is to be said; the caller frees. */
static char *drain_words(const struct ctl_node *node, const struct bt_control *c, struct answer *a, const char **next) {
  BT_AUTO_JSON drain = ctl_vacate_view(c, node);
  long long left = bt_json_int(drain, "left", 0);
  bool lasting = false;
  size_t i;
  json_t *stay;
  json_array_foreach(bt_json_arr(drain, "stays"), i, stay) {
    BT_AUTO_FREE char *text = bt_asprintf("%s is still there: %s", bt_json_str(stay, "instance"), bt_json_str(stay, "reason"));
    bool this_lasts = bt_json_bool(stay, "lasting", false);
    add_reason(a, text, 0, this_lasts ? "stays" : "moves");
    lasting = lasting || this_lasts;
  }
  if (lasting)
    *next = "make room for what stays on another node, or stop it; to call the drain off: berth node uncordon";
  if (node->vacate->done)
    return bt_strdup("drained: nothing runs there, and it takes no new instances");
  return bt_asprintf("being drained: %lld instance%s %s left", left, left == 1 ? "" : "s", left == 1 ? "is" : "are");
}

static json_t *why_node(const struct bt_control *c, const struct ctl_node *node, const char *object, int64_t now_ms) {
  struct answer a = answer_start(object, "node", now_ms);
  const char *code = node->lost_ms ? "lost" : !node->ready ? "unavailable" : node->vacate ? "draining" : node->cordoned ? "cordoned" : "ready", *hint = NULL;
  const char *plain = node->lost_ms ? "lost: it is not connected, and what ran there is replaced elsewhere where that can be"
                      : !node->connected ? "not connected"
                      : !node->ready     ? "unavailable"
                      : node->cordoned   ? "cordoned: it takes no new instances, and runs on"
                                         : "ready";
  struct answer more = answer_start(object, "node", now_ms); /* its reasons come after the summary */
  BT_AUTO_FREE char *drain = node->vacate && !node->lost_ms ? drain_words(node, c, &more, &hint) : NULL;
  BT_AUTO_FREE char *with = bt_asprintf(" with %d instance%s", node->instances, node->instances == 1 ? "" : "s");
  bool draining = drain && node->ready; /* says itself how many are left */
  BT_AUTO_FREE char *summary = bt_asprintf("node %s is %s%s%s%s", node->name, draining ? drain : plain, draining ? "" : with, node->message ? ": " : "",
                                           node->message ? node->message : "");
  add_reason(&a, summary, node->lost_ms ? node->lost_ms : node->vacate ? node->vacate->since_ms : 0, code);
  if (!node->connected && !node->lost_ms && ctl_lost_words(node))
    add_reason(&a, ctl_lost_words(node), ctl_to_wall(c, node->down_ms), "not-given-up");
  json_array_extend(a.reasons, more.reasons);
  json_decref(more.reasons);
  json_decref(more.o);
  BT_AUTO_FREE char *open = bt_asprintf("to let it take instances again: berth node uncordon %s", node->name);
  return answer_end(&a, summary, !node->ready ? "see what the engine says: berth doctor" : hint ? hint : node->cordoned ? open : NULL);
}

static json_t *why_route(const struct bt_control *c, const char *ns, const char *name, const char *object, int64_t now_ms) {
  BT_AUTO_JSON row = ctl_route_named(c, ns, name);
  if (!row)
    return NULL;
  struct answer a = answer_start(object, "route", now_ms);
  const char *state = bt_json_str_or(row, "state", ""), *message = bt_json_str(row, "message");
  long long ready = bt_json_int(row, "ready", 0), total = bt_json_int(row, "endpoints", 0);
  BT_AUTO_FREE char *summary = message ? bt_asprintf("%s is not served as usual: %s", bt_json_str(row, "url"), message)
                                       : bt_asprintf("%s leads to %lld of %lld instances", bt_json_str(row, "url"), ready, total);
  const char *next = NULL;
  add_reason(&a, summary, 0, state);
  size_t i;
  json_t *s;
  json_array_foreach(bt_json_arr(row, "services"), i, s) {
    BT_AUTO_FREE char *text = bt_asprintf("service %s/%s has %lld of %lld instances ready, port %lld, weight %lld", bt_json_str(s, "app"),
                                          bt_json_str(s, "service"), bt_json_int(s, "ready", 0), bt_json_int(s, "endpoints", 0),
                                          bt_json_int(s, "port", 0), bt_json_int(s, "weight", 0));
    add_reason(&a, text, 0, "service");
  }
  BT_AUTO_FREE char *ask = bt_asprintf("see why its service is not ready: berth why %s/%s", bt_json_str(row, "app"), bt_json_str(row, "service"));
  if (bt_streq(state, "no-endpoint"))
    next = ask;
  else if (bt_streq(state, "refused"))
    next = "mend the route and apply again; of a port that somebody else has it is tried again by itself";
  else if (bt_streq(state, "unserved"))
    next = "see what the load balancer says: berth doctor";
  return answer_end(&a, summary, next);
}

static struct ctl_service *service_in(const struct bt_control *c, const char *ns, const char *object, const char *slash) {
  BT_AUTO_FREE char *name = bt_strndup(object, (size_t)(slash - object));
  const struct ctl_app *app = ctl_app_find(c, ns, name);
  return app ? ctl_service_find(app, slash + 1) : NULL;
}

static json_t *why_with_slash(const struct bt_control *c, const char *ns, const char *object, const char *slash, int64_t now_ms) {
  struct ctl_service *service = service_in(c, ns, object, slash);
  if (service)
    return why_service(service, object, now_ms);
  if (bt_starts(object, "route/"))
    return why_route(c, ns, slash + 1, object, now_ms);
  if (bt_starts(object, "volume/") || bt_starts(object, "network/")) {
    const struct ctl_res *res = ctl_res_find(c, object[0] == 'v' ? CTL_VOLUME : CTL_NETWORK, ns, slash + 1);
    return res ? why_resource(c, res, object, now_ms) : NULL;
  }
  if (bt_starts(object, "node/")) {
    const struct ctl_node *node = bt_map_get(c->nodes, slash + 1);
    return node ? why_node(c, node, object, now_ms) : NULL;
  }
  return NULL;
}

/* Nothing is called so: what is, and where to look. Of app/service only the second part is guessed at. Ids of instances are not tried: nobody makes
 * them up, and there may be very many. */
static void not_there(const struct bt_control *c, const char *ns, const char *object, struct bt_err **err) {
  const char *slash = strchr(object, '/');
  BT_AUTO_FREE char *app_name = slash ? bt_strndup(object, (size_t)(slash - object)) : NULL;
  struct bt_nearest near = bt_nearest_start(slash ? slash + 1 : object);
  int tries = 0;
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    if (!bt_streq(app->ns, ns) || (app_name && !bt_streq(app_name, app->name)) || ++tries > tried_apps)
      continue;
    if (!app_name)
      bt_nearest_try(&near, app->name);
    bt_vec_each(&app->services, service) bt_nearest_try(&near, (*service)->name);
  }
  BT_AUTO_FREE char *best = near.best ? bt_asprintf("%s%s%s", app_name ? app_name : "", app_name ? "/" : "", near.best) : NULL;
  char hint[96];
  bt_err_set(err, BT_NOT_FOUND,
             "there is no %s in namespace %s%s%s name an app, app/service, an instance, volume/NAME, network/NAME, route/NAME or node/NAME; see: berth ps --all",
             object, ns, bt_nearest_hint(best, hint), best ? "" : ";");
}

json_t *bt_control_why(struct bt_control *c, const char *ns, const char *object, int64_t now_ms, struct bt_err **err) {
  const char *slash = strchr(object, '/');
  json_t *found = NULL;
  if (slash) {
    found = why_with_slash(c, ns, object, slash, now_ms);
  } else {
    const struct ctl_inst *inst = ctl_inst_find(c, object);
    const struct ctl_app *app = ctl_app_find(c, ns, object);
    if (inst && bt_streq(inst->service->app->ns, ns))
      found = why_instance(inst, object, now_ms);
    else if (app)
      found = why_app(app, object, now_ms);
    else if ((found = why_absent(c, ns, object, now_ms)) == NULL) {
      BT_AUTO_ERR unknown = NULL;
      struct ctl_service *service = ctl_service_named(c, ns, object, &unknown);
      if (service)
        return why_service(service, object, now_ms);
      if (bt_err_code(unknown) != BT_NOT_FOUND) { /* several have it */
        bt_err_move(err, bt_steal(unknown));
        return NULL;
      }
    }
  }
  if (!found)
    not_there(c, ns, object, err);
  return found;
}
