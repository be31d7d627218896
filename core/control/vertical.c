/* What one instance of a service needs (x-berth.autoscale.vertical): its use is watched, other reservations are recommended, and put in force on
 * request or, in mode automatic, by themselves within their bounds. What is in force is kept apart from the file: a later apply of the same
 * file, a rollback and a new image keep it; another number in the file takes its place. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/size.h"
#include "control/autoscale.h"
#include "control/draft.h"

enum { KEEP_MS = 10 * 60 * 1000 /* how often what was seen is stored */, DAY_MS = 24 * 3600 * 1000 };
#define NOTABLE 0.1 /* a smaller difference is not worth new containers */

static const struct bt_scale_vertical *rules_of(const struct ctl_service *service) {
  const struct bt_autoscale *a = service->spec ? service->spec->service->autoscale : NULL;
  return a && a->vertical.on ? &a->vertical : NULL;
}

static bool advise(const struct ctl_service *service, struct bt_usage_advice *out) {
  const struct bt_scale_vertical *v = rules_of(service);
  *out = (struct bt_usage_advice){0};
  if (v && service->scaler && service->scaler->usage)
    bt_usage_advise(service->scaler->usage, v->cpus_min, v->cpus_max, v->memory_min, v->memory_max, out);
  return out->known;
}

/* ---- what a model says ---- */

struct numbers {
  double cpus;
  int64_t memory;
};

static struct numbers numbers_of(const json_t *service) {
  const json_t *r = bt_json_obj(bt_json_obj(bt_json_obj(service, "deploy"), "resources"), "reservations"), *cpus = json_object_get(r, "cpus");
  struct numbers n = {json_is_string(cpus) ? strtod(json_string_value(cpus), NULL) : json_number_value(cpus), 0};
  const json_t *memory = json_object_get(r, "memory") ? json_object_get(r, "memory") : json_object_get(service, "mem_reservation");
  if (json_is_integer(memory))
    n.memory = json_integer_value(memory);
  else if (json_is_string(memory))
    (void)!bt_size_parse(json_string_value(memory), &n.memory);
  return n;
}

static bool same(struct numbers n, double cpus, int64_t memory) { return fabs(n.cpus - cpus) < 1e-6 && n.memory == memory; }

static bool is_watched(const json_t *service) { return bt_json_obj(bt_json_obj(bt_json_obj(service, "x-berth"), "autoscale"), "vertical"); }

/* Those of the file are to be replaced: they are the ones that were when others came into force. */
static bool stands_for(const struct ctl_service *service, const json_t *json) {
  const struct ctl_reserved *r = service && service->scaler ? &service->scaler->reserved : NULL;
  return r && r->revision > 0 && is_watched(json) && same(numbers_of(json), r->file_cpus, r->file_memory);
}

json_t *ctl_vertical_fill(const struct ctl_app *app, json_t *model_steal, bool *changed) {
  json_t *model = model_steal;
  *changed = false;
  bt_vec_each(&app->services, s) {
    const struct ctl_service *service = *s;
    if (!stands_for(service, bt_json_obj(bt_json_obj(model, "services"), service->name)))
      continue;
    if (!*changed) { /* the one that came belongs to the request */
      json_t *own = json_deep_copy(model);
      json_decref(model);
      model = own;
    }
    *changed = true;
    bt_autoscale_reserve(bt_json_obj(bt_json_obj(model, "services"), service->name), service->scaler->reserved.cpus, service->scaler->reserved.memory);
  }
  return model;
}

/* ---- putting it in force ---- */

/* The model with what was asked for; the services that it is of have to be watched. */
static int put_in(const struct ctl_app *app, json_t *model, const json_t *asked, struct bt_err **err) {
  const char *name;
  json_t *n;
  if (json_object_size(asked) == 0)
    return bt_err_set(err, BT_INVALID, "name the services that are to get other reservations");
  json_object_foreach((json_t *)(uintptr_t)asked, name, n) {
    const struct ctl_service *service = ctl_service_find(app, name);
    json_t *json = bt_json_obj(bt_json_obj(model, "services"), name);
    if (!json)
      return bt_err_set(err, BT_NOT_FOUND, "app %s has no service %s", app->name, name);
    if (!service || !service->scaler || !is_watched(json))
      return bt_err_set(err, BT_CONFLICT, "the use of service %s is not watched: say x-berth.autoscale.vertical in its file", name);
    if (bt_json_num(n, "cpus", 0) <= 0 && bt_json_int(n, "memory", 0) <= 0)
      return bt_err_set(err, BT_CONFLICT, "nothing is recommended for service %s yet", name);
    bt_autoscale_reserve(json, bt_json_num(n, "cpus", 0), bt_json_int(n, "memory", 0));
  }
  return 0;
}

/* While a draft with other ones is made, those that are in force do not take their place; the second time they are in force again. */
static void toggle(const struct ctl_app *app, const json_t *asked) {
  const char *name;
  json_t *n;
  json_object_foreach((json_t *)(uintptr_t)asked, name, n) {
    const struct ctl_service *service = ctl_service_find(app, name);
    if (service && service->scaler)
      service->scaler->reserved.revision = -service->scaler->reserved.revision;
  }
}

/* From the revision on that is about to be made. before: the model as it was. */
static void note(struct ctl_app *app, const json_t *before, const json_t *after, const json_t *asked, int revision) {
  const char *name;
  json_t *n;
  json_object_foreach((json_t *)(uintptr_t)asked, name, n) {
    struct ctl_reserved *r = &ctl_service_find(app, name)->scaler->reserved;
    struct numbers was = numbers_of(bt_json_obj(bt_json_obj(before, "services"), name)), is = numbers_of(bt_json_obj(bt_json_obj(after, "services"), name));
    if (!r->revision || !same(was, r->cpus, r->memory)) { /* else those of the file are known already */
      r->file_cpus = was.cpus;
      r->file_memory = was.memory;
    }
    r->cpus = is.cpus;
    r->memory = is.memory;
    r->revision = revision;
    r->at_ms = ctl_wall(app->control);
  }
  ctl_touch_app(app);
}

static char *message_of(const json_t *asked) {
  BT_AUTO_BUF b = {0};
  const char *name;
  json_t *n;
  char buf[32];
  json_object_foreach((json_t *)(uintptr_t)asked, name, n) bt_buf_addf(&b, "%s%s reserves %g cpus and %s, as it uses", b.len ? ", " : "", name,
                                                                       bt_json_num(n, "cpus", 0), bt_size_format(bt_json_int(n, "memory", 0), buf));
  return bt_buf_steal(&b);
}

void ctl_apply_resources(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *name = bt_json_str_or(request->args, "app", "");
  const json_t *asked = bt_json_obj(request->args, "services");
  struct ctl_app *app = ctl_app_find(c, ns, name);
  struct ctl_rev *latest = app ? ctl_rev_latest(app) : NULL;
  if (!latest || app->state == CTL_APP_REMOVING) {
    ctl_reply_err(c, request->id, latest ? BT_CONFLICT : BT_NOT_FOUND, "there is no app %s in namespace %s; see: berth ls", name, ns);
    return;
  }
  BT_AUTO_ERR err = NULL;
  struct ctl_draft d = {0};
  BT_AUTO_JSON before = ctl_rev_model(latest);
  BT_AUTO_JSON model = ctl_rev_model(latest);
  int rc = put_in(app, model, asked, &err);
  toggle(app, asked);
  if (rc == 0)
    rc = ctl_draft_copy(&d, app, latest, json_incref(model), &err);
  toggle(app, asked);
  if (rc) {
    ctl_draft_refuse(c, &d, request, err);
    return;
  }
  BT_AUTO_FREE char *message = message_of(asked);
  ctl_draft_words(&d, request->actor, message, latest->source, "missing");
  if (bt_streq(request->actor, "autoscale"))
    bt_str_set(&d.rev->cause, "vertical");
  json_t *plan = ctl_draft_plan(&d, false);
  if (!request->dry_run)
    note(app, before, model, asked, d.rev->number);
  ctl_draft_finish(c, &d, request, plan);
}

/* ---- by itself ---- */

static bool differs(double is, double wanted) { return wanted > 0 && fabs(wanted - is) > NOTABLE * BT_MAX(is, 1e-9); }

static void propose(struct ctl_service *service) {
  struct ctl_scaler *s = service->scaler;
  struct ctl_app *app = service->app;
  struct bt_control *c = app->control;
  const struct bt_scale_vertical *v = rules_of(service);
  const struct bt_resources *is = &service->spec->service->reserved;
  struct bt_usage_advice a;
  bool stands = app->target && app->target->state == CTL_REV_DEPLOYED && ctl_rev_latest(app) == app->target;
  if (!v->automatic || s->proposal || !stands || !advise(service, &a) || a.history_ms < BT_MIN(v->every_ms, DAY_MS) ||
      ctl_wall(c) - s->reserved.at_ms < v->every_ms || (!differs(is->cpus, a.cpus) && !differs((double)is->memory, (double)a.memory)))
    return;
  json_t *args = json_object(), *services = json_object(), *one = json_object();
  bt_json_set(one, "cpus", json_real(a.cpus));
  bt_json_set_int(one, "memory", a.memory);
  bt_json_set(services, service->name, one);
  bt_json_set_str(args, "namespace", app->ns);
  bt_json_set_str(args, "app", app->name);
  bt_json_set(args, "services", services);
  s->proposal = ++c->call_seq;
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = s->proposal, .kind = "app.resources", .args = args}));
}

bool ctl_vertical_done(struct ctl_service *service, const struct bt_input *in) {
  struct ctl_scaler *s = service->scaler;
  if (!s->proposal || s->proposal != in->call)
    return false;
  const struct ctl_app *app = service->app;
  const char *why = in->code == BT_OK ? NULL : in->text ? in->text : bt_code_name(in->code);
  s->proposal = 0;
  s->reserved.at_ms = ctl_wall(app->control); /* not asked again before its time */
  if (why && !bt_streq(s->refused, why))
    ctl_event(app->control, "warning", "autoscale.refused", app->ns, app->name, service->name, NULL, "%s: %s does not get other reservations: %s", app->name,
              service->name, why);
  bt_str_set(&s->refused, why);
  return true;
}

/* ---- what is seen ---- */

void ctl_vertical_take(struct ctl_service *service, const json_t *usage) {
  struct ctl_scaler *s = service->scaler;
  struct bt_control *c = service->app->control;
  const struct bt_service *spec = service->spec->service;
  if (!s->usage)
    s->usage = bt_new(struct bt_usage);
  bt_vec_each(&service->insts, inst) {
    const json_t *one = bt_json_obj(usage, (*inst)->id);
    if (one && !(*inst)->leaving)
      bt_usage_add(s->usage, bt_json_num(one, "cpus", -1), bt_json_num(one, "memory", -1), spec->reserved.cpus, ctl_wall(c));
  }
  if (c->now_ms - s->kept_ms >= KEEP_MS) {
    s->kept_ms = c->now_ms;
    ctl_touch_app(service->app);
  }
  bt_str_set(&service->text, NULL);
  bt_str_set(&service->app->text, NULL);
  propose(service);
}

/* Once the file says other numbers than those in force, its own count. */
void ctl_vertical_settle(struct ctl_service *service) {
  struct ctl_scaler *s = service->scaler;
  if (!rules_of(service)) {
    free(bt_steal(s->usage));
    s->reserved = (struct ctl_reserved){0};
    return;
  }
  struct numbers now = numbers_of(service->spec->service->json);
  if (s->reserved.revision && service->spec->rev->number >= s->reserved.revision && !same(now, s->reserved.cpus, s->reserved.memory)) {
    s->reserved = (struct ctl_reserved){.at_ms = s->reserved.at_ms};
    ctl_touch_app(service->app);
  }
}

/* ---- stored and shown ---- */

void ctl_vertical_json(const struct ctl_service *service, json_t *o) {
  const struct ctl_scaler *s = service->scaler;
  if (s->usage)
    bt_json_set(o, "usage", bt_usage_json(s->usage));
  if (!s->reserved.revision)
    return;
  json_t *r = json_object();
  bt_json_set(r, "cpus", json_real(s->reserved.cpus));
  bt_json_set_int(r, "memory", s->reserved.memory);
  bt_json_set(r, "file_cpus", json_real(s->reserved.file_cpus));
  bt_json_set_int(r, "file_memory", s->reserved.file_memory);
  bt_json_set_int(r, "revision", s->reserved.revision);
  ctl_set_time(r, "at", s->reserved.at_ms);
  bt_json_set(o, "reserved", r);
}

void ctl_vertical_load(struct ctl_service *service, const json_t *o) {
  struct ctl_scaler *s = service->scaler;
  const json_t *r = bt_json_obj(o, "reserved");
  if (bt_json_obj(o, "usage")) {
    s->usage = bt_new(struct bt_usage);
    bt_usage_of(bt_json_obj(o, "usage"), s->usage);
  }
  s->reserved = (struct ctl_reserved){.cpus = bt_json_num(r, "cpus", 0), .memory = bt_json_int(r, "memory", 0), .file_cpus = bt_json_num(r, "file_cpus", 0),
                                      .file_memory = bt_json_int(r, "file_memory", 0), .revision = (int)bt_json_int(r, "revision", 0),
                                      .at_ms = r ? ctl_get_time(r, "at") : 0};
}

static json_t *pair(double cpus, int64_t memory) {
  json_t *o = json_object();
  bt_json_set(o, "cpus", json_real(cpus));
  bt_json_set_int(o, "memory", memory);
  return o;
}

json_t *ctl_vertical_view(const struct ctl_service *service) {
  const struct bt_scale_vertical *v = rules_of(service);
  struct bt_usage_advice a;
  if (!v)
    return NULL;
  json_t *o = json_object();
  bool known = advise(service, &a);
  bt_json_set_str(o, "mode", v->automatic ? "automatic" : "recommend");
  bt_json_set(o, "reserved", pair(service->spec->service->reserved.cpus, service->spec->service->reserved.memory));
  bt_json_set(o, "recommended", known ? pair(a.cpus, a.memory) : json_null());
  if (known) {
    bt_json_set(o, "low", pair(a.cpus_low, a.memory_low));
    bt_json_set(o, "high", pair(a.cpus_high, a.memory_high));
  }
  bt_json_set_int(o, "history_ms", a.history_ms);
  bt_json_set_bool(o, "in_force", service->scaler->reserved.revision > 0);
  bt_json_set_str(o, "refused", service->scaler->refused);
  return o;
}

char *ctl_vertical_why(const struct ctl_service *service) {
  struct bt_usage_advice a;
  char is[32], want[32], since[32];
  if (!rules_of(service) || !service->scaler)
    return NULL;
  if (!advise(service, &a))
    return bt_strdup("its use is watched; not enough was seen yet to recommend reservations");
  const struct bt_resources *r = &service->spec->service->reserved;
  return bt_asprintf("it reserves %g cpus and %s%s; by its use of %s %g cpus and %s are recommended", r->cpus, bt_size_format(r->memory, is),
                     service->scaler->reserved.revision ? ", in place of what its file says" : "", bt_duration_human(a.history_ms, since), a.cpus,
                     bt_size_format(a.memory, want));
}
