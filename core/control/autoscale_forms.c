/* How what a service has that scales by itself is stored and shown. */
#include "config.h"

#include <math.h>

#include "control/autoscale.h"

/* ---- stored ---- */

json_t *ctl_scaler_json(const struct ctl_service *service) {
  const struct ctl_scaler *s = service->scaler;
  const struct bt_control *c = service->app->control;
  json_t *o = json_object(), *moves = json_array();
  bt_json_set_int(o, "replicas", s->number);
  bt_json_set_int(o, "before", s->before);
  ctl_set_time(o, "since", ctl_to_wall(c, s->since_ms));
  bt_json_set_str(o, "reason", s->why);
  for (int i = 0; i < s->past.nmoves; i++) {
    json_t *m = json_object();
    ctl_set_time(m, "from", ctl_to_wall(c, s->past.moves[i].from_ms));
    ctl_set_time(m, "to", ctl_to_wall(c, s->past.moves[i].to_ms));
    bt_json_set_int(m, "gone", s->past.moves[i].low);
    bt_json_set_int(m, "come", s->past.moves[i].high);
    json_array_append_new(moves, m);
  }
  bt_json_set(o, "moves", moves);
  ctl_vertical_json(service, o);
  return o;
}

void ctl_scaler_load(struct ctl_service *service, const json_t *o) {
  if (!o)
    return;
  struct ctl_scaler *s = ctl_scaler_get(service);
  const struct bt_control *c = service->app->control;
  s->number = (int)bt_json_int(o, "replicas", -1);
  s->before = (int)bt_json_int(o, "before", s->number);
  s->since_ms = ctl_from_wall(c, ctl_get_time(o, "since"));
  bt_str_set(&s->why, bt_json_str(o, "reason"));
  ctl_vertical_load(service, o);
  size_t i;
  json_t *m;
  json_array_foreach(bt_json_arr(o, "moves"), i, m) {
    if (i >= BT_SCALE_PAST)
      break;
    s->past.moves[s->past.nmoves++] = (struct bt_scale_part){.from_ms = ctl_from_wall(c, ctl_get_time(m, "from")),
                                                             .to_ms = ctl_from_wall(c, ctl_get_time(m, "to")),
                                                             .low = (int)bt_json_int(m, "gone", 0),
                                                             .high = (int)bt_json_int(m, "come", 0)};
  }
}

/* ---- shown ---- */

static const char *const sources[] = {"cpu", "memory", "query", "lua"};

/* As shown: cpu and memory as a share of the request, per instance. */
static double shown(const struct bt_service *spec, const struct bt_scale_metric *m, const struct ctl_value *seen) {
  if (m->text)
    return seen->value;
  double request = m->source == BT_SCALE_CPU ? (spec->reserved.cpus > 0 ? spec->reserved.cpus : spec->limits.cpus)
                                             : (double)(spec->reserved.memory > 0 ? spec->reserved.memory : spec->limits.memory);
  return seen->measured > 0 && request > 0 ? seen->value / seen->measured / request : (double)NAN;
}

static json_t *metrics_json(const struct ctl_service *service) {
  const struct bt_service *spec = service->spec->service;
  const struct ctl_scaler *s = service->scaler;
  json_t *list = json_array();
  for (size_t i = 0; i < spec->autoscale->metrics.len; i++) {
    const struct bt_scale_metric *m = &spec->autoscale->metrics.items[i];
    double value = s->looked_ms ? shown(spec, m, &s->values[i]) : (double)NAN;
    json_t *o = json_object();
    bt_json_set_str(o, "name", m->name);
    bt_json_set_str(o, "type", sources[m->source]);
    bt_json_set(o, "value", s->values[i].missing || !isfinite(value) ? json_null() : json_real(value));
    if (m->source != BT_SCALE_LUA)
      bt_json_set(o, "target", json_real(m->target));
    if (m->source == BT_SCALE_QUERY)
      bt_json_set_str(o, "per", m->total ? "total" : "instance");
    if (s->values[i].missing)
      bt_json_set_str(o, "missing", s->values[i].missing);
    json_array_append_new(list, o);
  }
  return list;
}

/* Why instances that were asked for are not there: room, quotas. */
static const char *held_up(const struct ctl_service *service) {
  bt_vec_each(&service->insts, inst) if (!(*inst)->node && !(*inst)->leaving && (*inst)->reason) return (*inst)->reason;
  return NULL;
}

json_t *ctl_autoscale_view(const struct ctl_service *service) {
  const struct ctl_scaler *s = service->scaler;
  const struct bt_autoscale *a = service->spec ? service->spec->service->autoscale : NULL;
  const struct bt_control *c = service->app->control;
  if (!s || !a || service->app->state == CTL_APP_REMOVING)
    return NULL;
  json_t *o = json_object(), *vertical = ctl_vertical_view(service);
  if (vertical)
    bt_json_set(o, "vertical", vertical);
  bt_json_set_int(o, "replicas", ctl_replicas(service));
  if (!a->horizontal) {
    bt_json_set_str(o, "state", "watched");
    bt_json_set_str(o, "reason", "");
    bt_json_set(o, "metrics", json_array());
    return o;
  }
  bool off = !ctl_scales(service);
  bt_json_set_str(o, "state", off ? "off" : bt_scale_why_name(s->last.why));
  bt_json_set_int(o, "min", off ? a->min : s->last.min);
  bt_json_set_int(o, "max", off ? a->max : s->last.max);
  bt_json_set(o, "wanted", off || s->last.wanted < 0 ? json_null() : json_integer(s->last.wanted));
  bt_json_set_str(o, "reason", off ? "the file says 0 replicas, which switches it off" : s->last.reason);
  bt_json_set_str(o, "held_up", held_up(service));
  ctl_set_time(o, "looked_at", ctl_to_wall(c, s->looked_ms));
  ctl_set_time(o, "changed_at", ctl_to_wall(c, s->since_ms));
  bt_json_set_str(o, "changed_for", s->why);
  bt_json_set(o, "metrics", metrics_json(service));
  return o;
}

char *ctl_autoscale_words(const struct ctl_service *service, int64_t *since_ms, const char **code) {
  BT_AUTO_JSON o = ctl_autoscale_view(service);
  if (!o || !service->spec->service->autoscale->horizontal)
    return NULL;
  const struct ctl_scaler *s = service->scaler;
  const char *blocked = bt_json_str(o, "held_up");
  const char *cause = bt_streq(s->why, s->last.reason) ? NULL : s->why; /* the same words twice say no more */
  *since_ms = ctl_to_wall(service->app->control, s->since_ms);
  *code = "autoscale";
  if (!ctl_scales(service))
    return bt_strdup("it is not scaled automatically: the file says 0 replicas, which switches that off");
  return bt_asprintf("it is scaled automatically between %d and %d, and has %d: %s%s%s%s%s", s->last.min, s->last.max, s->number, s->last.reason,
                     cause ? "; it came to that number because " : "", cause ? cause : "", blocked ? "; not all of them found a place: " : "",
                     blocked ? blocked : "");
}
