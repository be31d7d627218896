/* Services whose number of instances follows what is observed (x-berth.autoscale). The number is kept apart from the file's: an apply, a
 * rollback or a new image leaves it, and it makes no revisions. It is stored at each change, with how it moved lately; what was asked for
 * lately is not: after a start what is counts as asked for just now, so that nothing is scaled down before a whole window has gone by.
 *
 * Figures come by the call "metrics.read", one for all services that are due in the same step, each of them again after its interval. Services
 * that do not scale cost nothing, and a look that changes nothing stores and sends nothing. Cost of a look at a service of ten instances: 15 µs for
 * question, answer and decision (bench: autoscale-look, on a small virtual machine); a step looks at a thousand at the most. */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "control/autoscale.h"

enum { TELL_AFTER = 3 /* looks without a value, until that is an event */, AT_ONCE = 1000 /* services of one question; the others have theirs in the next step */ };

/* ---- who scales ---- */

/* The file's 0 is how one switches it off, as with Kubernetes; until the file or "berth scale" says another number. */
static bool switched_off(const struct ctl_service *service) {
  const struct bt_service *s = service->spec->service;
  return s->autoscale && s->replicas == 0 && s->autoscale->min > 0;
}

static const struct bt_autoscale *rules_of(const struct ctl_service *service) {
  const struct bt_autoscale *a = service->spec ? service->spec->service->autoscale : NULL;
  return a && service->app->state != CTL_APP_REMOVING ? a : NULL;
}

/* NULL where the number is the file's. */
static const struct bt_autoscale *scales(const struct ctl_service *service) {
  const struct bt_autoscale *a = rules_of(service);
  return a && a->horizontal && service->scaler && !switched_off(service) ? a : NULL;
}

int ctl_replicas(const struct ctl_service *service) {
  const struct bt_service *s = service->spec->service;
  return scales(service) && !bt_service_is_job(s) ? service->scaler->number : s->replicas;
}

int ctl_concurrency(const struct ctl_service *service, int otherwise) {
  return service->spec && scales(service) && bt_service_is_job(service->spec->service) ? service->scaler->number : otherwise;
}

int ctl_scaler_grows(const struct ctl_service *service) {
  const struct ctl_scaler *s = service->scaler;
  if (!s || !service->spec || !scales(service) || s->number <= s->before)
    return 0;
  int64_t until = s->since_ms + service->spec->service->deadline_ms;
  if (service->app->control->now_ms >= until)
    return 0;
  return s->number - s->before;
}

void ctl_scaler_free(struct ctl_service *service) {
  struct ctl_scaler *s = service->scaler;
  if (!s)
    return;
  struct bt_control *c = service->app->control;
  for (size_t i = 0; i < c->scaled.len; i++)
    if (c->scaled.items[i] == service) {
      bt_vec_remove(&c->scaled, i);
      break;
    }
  for (size_t i = 0; i < BT_SCALE_MOST_METRICS; i++)
    free(s->values[i].missing);
  free(s->why);
  free(s->usage);
  free(s->refused);
  free(s);
  service->scaler = NULL;
}

struct ctl_scaler *ctl_scaler_get(struct ctl_service *service) {
  if (!service->scaler) {
    service->scaler = bt_new(struct ctl_scaler);
    service->scaler->number = -1;
    bt_vec_push(&service->app->control->scaled, service);
  }
  return service->scaler;
}

/* ---- a look ---- */

/* NULL where a zone is not known (any more): then the schedules of it are as in UTC. The caller frees. */
static const struct bt_tz **zones_of(const struct bt_control *c, const struct bt_autoscale *a) {
  const struct bt_tz **zones = bt_newn(const struct bt_tz *, a->schedules.len + 1);
  for (size_t i = 0; i < a->schedules.len; i++)
    ctl_zone_find(c, a->schedules.items[i].time_zone, &zones[i]);
  return zones;
}

static bool counts(const struct ctl_inst *inst) { return !inst->leaving && !inst->ended && !ctl_run_over(inst); }

static struct bt_scale_in input_of(const struct ctl_service *service, const struct bt_scale_seen *seen, const struct bt_tz *const *zones) {
  const struct bt_control *c = service->app->control;
  const struct bt_service *s = service->spec->service;
  struct bt_scale_in in = {.spec = s->autoscale,
                           .current = scales(service) ? service->scaler->number : ctl_replicas(service),
                           .request_cpus = bt_service_cpus(s),
                           .request_memory = (double)bt_service_memory(s),
                           .seen = seen,
                           .zones = zones,
                           .now_ms = c->now_ms,
                           .wall_ms = ctl_wall(c)};
  bt_vec_each(&service->insts, inst) {
    in.ready += counts(*inst) && (*inst)->ready;
    in.starting += counts(*inst) && !(*inst)->ready;
  }
  return in;
}

static void wake_at_schedule(struct ctl_service *service, int64_t wall_ms) {
  struct bt_control *c = service->app->control;
  if (wall_ms == INT64_MAX)
    return;
  c->clocked = service->app->scheduled = true;
  ctl_wake(service->app, BT_MAX(c->now_ms + 1, ctl_from_wall(c, wall_ms)));
}

/* actor NULL: by itself. */
static void set_number(struct ctl_service *service, int to, const char *why, const char *actor) {
  struct ctl_scaler *s = service->scaler;
  struct ctl_app *app = service->app;
  int from = s->number;
  s->before = from;
  s->number = to;
  s->since_ms = app->control->now_ms;
  bt_str_set(&s->why, why);
  ctl_touch_app(app);
  ctl_dirty(app);
  app->looked_ms = 0;
  json_t *data = json_object();
  bt_json_set_int(data, "from", from);
  bt_json_set_int(data, "to", to);
  bt_json_set_str(data, "reason", why);
  ctl_event(app->control, "info", "autoscale.scaled", app->ns, app->name, service->name, data, "%s: %s scales %s from %d to %d: %s", app->name, service->name,
            actor ? actor : "with its load", from, to, why);
}

/* What fails is told once, and once that it is over. */
static void tell_missing(struct ctl_service *service) {
  struct ctl_scaler *s = service->scaler;
  struct ctl_app *app = service->app;
  bool missing = s->last.why == BT_SCALE_MISSING;
  s->missing = missing ? s->missing + 1 : 0;
  if (missing && s->missing == TELL_AFTER) {
    s->told = true;
    ctl_event(app->control, "warning", "autoscale.held", app->ns, app->name, service->name, NULL, "%s: %s stays at %d: %s", app->name, service->name,
              s->number, s->last.reason);
  } else if (!missing && s->told) {
    s->told = false;
    ctl_event(app->control, "info", "autoscale.resumed", app->ns, app->name, service->name, NULL, "%s: %s follows its load again: %s", app->name,
              service->name, s->last.reason);
  }
}

static void look(struct ctl_service *service, const struct bt_scale_seen *seen) {
  struct ctl_scaler *s = service->scaler;
  struct bt_control *c = service->app->control;
  BT_AUTO_FREE const struct bt_tz **zones = zones_of(c, service->spec->service->autoscale);
  struct bt_scale_in in = input_of(service, seen, zones);
  struct bt_scale_out out;
  bt_scale_step(&in, &s->past, &out);
  wake_at_schedule(service, out.wake_ms);
  if (seen || out.replicas != s->number || !s->looked_ms || service->spec->service->autoscale->metrics.len == 0)
    s->last = out;
  bt_str_set(&service->text, NULL); /* readers see it, although nothing is stored */
  bt_str_set(&service->app->text, NULL);
  if (out.replicas != s->number)
    set_number(service, out.replicas, out.reason, NULL);
  if (seen) {
    s->looked_ms = c->now_ms;
    tell_missing(service);
  }
}

/* ---- what it is, as of the file ---- */

static void plan_look(struct ctl_service *service) {
  struct bt_control *c = service->app->control;
  const struct bt_autoscale *a = rules_of(service);
  int64_t every = a->interval_ms;
  /* At multiples of it, so that services of one interval are asked about together. */
  service->scaler->next_ms = (c->now_ms / every + 1) * every;
  c->wake_ms = BT_MIN(c->wake_ms, service->scaler->next_ms);
}

static bool looks(const struct ctl_service *service) {
  const struct bt_autoscale *a = rules_of(service);
  return a && service->scaler && (a->vertical.on || (scales(service) && a->metrics.len > 0));
}

/* The first number is the file's, within the bounds. */
static void begin(struct ctl_service *service) {
  struct ctl_scaler *s = service->scaler;
  const struct bt_service *spec = service->spec->service;
  BT_AUTO_FREE const struct bt_tz **zones = zones_of(service->app->control, spec->autoscale);
  int min, max, first = bt_service_is_job(spec) ? spec->max_concurrent : spec->replicas;
  int64_t wake_ms;
  bt_scale_bounds(spec->autoscale, zones, ctl_wall(service->app->control), &min, &max, &wake_ms);
  s->number = s->before = BT_MIN(BT_MAX(first, min), max);
  ctl_touch_app(service->app);
}

/* They are of other metrics, and so is what is being asked. */
static void forget_values(struct ctl_scaler *s) {
  s->call = 0;
  s->looked_ms = 0;
  for (size_t i = 0; i < BT_SCALE_MOST_METRICS; i++) {
    bt_str_set(&s->values[i].missing, NULL);
    s->values[i].measured = 0;
  }
}

void ctl_autoscale_settle(struct ctl_service *service) {
  const struct bt_autoscale *a = rules_of(service);
  if (!a) {
    if (service->scaler)
      ctl_touch_app(service->app);
    ctl_scaler_free(service);
    return;
  }
  struct ctl_scaler *s = ctl_scaler_get(service);
  if (s->revision != service->spec->rev->number)
    forget_values(s);
  s->revision = service->spec->rev->number;
  ctl_vertical_settle(service);
  if (!a->horizontal || switched_off(service)) {
    s->number = -1; /* begins anew when it is on again */
  } else {
    if (s->number < 0)
      begin(service);
    look(service, NULL);
  }
  if (looks(service) && (s->next_ms == 0 || s->next_ms > service->app->control->now_ms + a->interval_ms))
    plan_look(service);
  if (ctl_scaler_grows(service))
    ctl_wake(service->app, s->since_ms + service->spec->service->deadline_ms);
}

/* ---- asking for figures ---- */

static json_t *question(const struct ctl_service *service) {
  const struct bt_autoscale *a = service->spec->service->autoscale;
  struct bt_scale_in in = input_of(service, NULL, NULL);
  json_t *o = json_object(), *metrics = json_object(), *now = json_object();
  bt_json_set_str(o, "namespace", service->app->ns);
  bt_json_set_str(o, "app", service->app->name);
  bt_json_set_str(o, "service", service->name);
  bool usage = a->vertical.on;
  for (size_t i = 0; i < a->metrics.len && scales(service); i++) {
    const struct bt_scale_metric *m = &a->metrics.items[i];
    usage = usage || m->source != BT_SCALE_QUERY;
    if (!m->text)
      continue;
    char key[24];
    json_t *ask = json_object();
    snprintf(key, sizeof key, "%zu", i);
    bt_json_set_str(ask, "name", m->name);
    bt_json_set_str(ask, m->source == BT_SCALE_LUA ? "lua" : "query", m->text);
    bt_json_set_str(ask, "plugin", m->plugin);
    bt_json_set(metrics, key, ask);
  }
  bt_json_set_bool(o, "usage", usage && in.current > 0);
  bt_json_set(o, "metrics", metrics);
  bt_json_set_int(now, "current", in.current);
  bt_json_set_int(now, "ready", in.ready);
  bt_json_set_int(now, "starting", in.starting);
  bt_json_set_int(now, "min", service->scaler->last.min);
  bt_json_set_int(now, "max", service->scaler->last.max);
  bt_json_set(now, "request_cpus", json_real(in.request_cpus));
  bt_json_set(now, "request_memory", json_real(in.request_memory));
  bt_json_set(o, "now", now);
  return o;
}

void ctl_autoscale_wake(struct bt_control *c) {
  json_t *services = NULL;
  uint64_t call = 0;
  bt_vec_each(&c->scaled, at) {
    struct ctl_service *service = *at;
    struct ctl_scaler *s = service->scaler;
    if (!looks(service) || !s->next_ms || s->call)
      continue;
    if (s->next_ms > c->now_ms) {
      c->wake_ms = BT_MIN(c->wake_ms, s->next_ms);
      continue;
    }
    if (services && json_object_size(services) >= AT_ONCE) {
      c->wake_ms = c->now_ms;
      break;
    }
    if (!services) {
      services = json_object();
      call = ++c->call_seq;
    }
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s", service->app->key, service->name);
    bt_json_set(services, key, question(service));
    s->call = call;
    plan_look(service);
  }
  if (!services)
    return;
  json_t *args = json_object();
  bt_json_set(args, "services", services);
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = call, .kind = "metrics.read", .args = args}));
}

/* ---- the answer ---- */

static void missing(struct ctl_value *value, const char *why) {
  bt_str_set(&value->missing, why);
  value->value = 0;
  value->measured = 0;
}

/* Use of all ready instances together, and of how many of them there is one. */
static void sum_usage(const struct ctl_service *service, const json_t *usage, bool cpu, struct ctl_value *out) {
  bt_str_set(&out->missing, NULL);
  out->value = 0;
  out->measured = 0;
  bt_vec_each(&service->insts, inst) {
    if (!counts(*inst) || !(*inst)->ready)
      continue;
    const json_t *one = json_object_get(json_object_get(usage, (*inst)->id), cpu ? "cpus" : "memory");
    if (!json_is_number(one) || !(json_number_value(one) >= 0))
      continue;
    out->value += json_number_value(one);
    out->measured++;
  }
}

static void take_usage(const struct ctl_service *service, const json_t *answer, bool cpu, struct ctl_value *out) {
  const char *why = bt_json_str(answer, "usage_error");
  sum_usage(service, bt_json_obj(answer, "usage"), cpu, out);
  if (why)
    missing(out, why);
  else if (out->measured == 0)
    missing(out, cpu ? "no ready instance was measured twice yet" : "no ready instance was measured yet");
}

static void take_metric(const json_t *answer, size_t i, bool lua, struct ctl_value *out) {
  char key[24];
  snprintf(key, sizeof key, "%zu", i);
  const json_t *one = bt_json_obj(bt_json_obj(answer, "metrics"), key);
  const json_t *value = json_object_get(one, "value");
  const char *why = bt_json_str(one, "error");
  bt_str_set(&out->missing, NULL);
  out->measured = 0;
  out->value = json_is_number(value) ? json_number_value(value) : (double)NAN;
  if (why || (!json_is_number(value) && !(lua && json_is_null(value))))
    missing(out, why ? why : "there was no answer");
}

static void take_answer(struct ctl_service *service, const json_t *answer, const char *failed) {
  const struct bt_autoscale *a = service->spec->service->autoscale;
  struct ctl_scaler *s = service->scaler;
  struct bt_scale_seen seen[BT_SCALE_MOST_METRICS] = {{0}};
  for (size_t i = 0; i < a->metrics.len; i++) {
    const struct bt_scale_metric *m = &a->metrics.items[i];
    if (failed)
      missing(&s->values[i], failed);
    else if (m->text)
      take_metric(answer, i, m->source == BT_SCALE_LUA, &s->values[i]);
    else
      take_usage(service, answer, m->source == BT_SCALE_CPU, &s->values[i]);
    seen[i] = (struct bt_scale_seen){s->values[i].missing, s->values[i].value, s->values[i].measured};
  }
  if (scales(service) && a->metrics.len > 0)
    look(service, seen);
  if (a->vertical.on && !failed)
    ctl_vertical_take(service, bt_json_obj(answer, "usage"));
}

bool ctl_autoscale_done(struct bt_control *c, const struct bt_input *in) {
  bool ours = false;
  const json_t *services = bt_json_obj(in->result, "services");
  for (size_t i = 0; i < c->scaled.len; i++) {
    struct ctl_service *service = c->scaled.items[i];
    if (ctl_vertical_done(service, in))
      return true;
    if (service->scaler->call != in->call)
      continue;
    ours = true;
    service->scaler->call = 0;
    if (!looks(service))
      continue;
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s", service->app->key, service->name);
    take_answer(service, bt_json_obj(services, key), in->code == BT_OK ? NULL : in->text ? in->text : bt_code_name(in->code));
  }
  if (ours)
    ctl_autoscale_wake(c); /* what became due while it was asked */
  return ours;
}

/* ---- by hand ---- */

int ctl_scale_check(const struct ctl_service *service, long long n, struct bt_err **err) {
  const struct ctl_scaler *s = service->scaler;
  if (n >= s->last.min && n <= s->last.max)
    return 0;
  return bt_err_set(err, BT_CONFLICT, "service %s is scaled automatically between %d and %d now; for %lld change min or max of its x-berth.autoscale", service->name,
                    s->last.min, s->last.max, n);
}

bool ctl_scales(const struct ctl_service *service) { return scales(service) != NULL; }

void ctl_scale_by_hand(struct ctl_service *service, int n, const char *actor) {
  struct ctl_scaler *s = service->scaler;
  if (n == s->number)
    return;
  BT_AUTO_FREE char *why = bt_asprintf("%s asked for it", actor);
  bt_scale_set(&s->past, service->spec->service->autoscale, s->number, n, service->app->control->now_ms);
  bool more = n > s->number && service->roll.state == BT_RO_DONE && !bt_service_is_job(service->spec->service);
  set_number(service, n, why, "by hand");
  s->before = n; /* who asked for them waits until they are ready */
  if (more)
    service->roll = (struct bt_rollout){.state = BT_RO_START};
}

void ctl_autoscale_bring_back(struct ctl_service *service, int64_t now_ms) {
  struct ctl_scaler *s = service->scaler;
  if (!s)
    return;
  s->since_ms = BT_MIN(s->since_ms, now_ms);
  for (int i = 0; i < s->past.nmoves; i++) {
    s->past.moves[i].from_ms = BT_MIN(s->past.moves[i].from_ms, now_ms);
    s->past.moves[i].to_ms = BT_MIN(s->past.moves[i].to_ms, now_ms);
  }
}
