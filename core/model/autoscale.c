#include "config.h"

#include "model/autoscale.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/size.h"
#include "model/service.h"

#define MOST_BYTES 0x1p62 /* a limit that is written in place of another */

static const char *const select_names[] = {"max", "min", "disabled"};

bool bt_scale_percent(const char *text, double *share) {
  char *end = NULL;
  if (!text || !*text || !bt_streq(text + strspn(text, "0123456789."), "%"))
    return false;
  errno = 0;
  double v = strtod(text, &end);
  if (errno || end == text || strcmp(end, "%") != 0 || !isfinite(v) || v <= 0 || v > 1000)
    return false;
  *share = v / 100;
  return true;
}

/* ---- metrics ---- */

static int read_metric(const char *service, const json_t *o, struct bt_scale_metric *m, struct bt_err **err) {
  static const char *const keys[] = {"cpu", "memory", "query", "lua"};
  const char *text = NULL;
  int found = 0;
  for (size_t i = 0; i < BT_COUNT(keys); i++) {
    const char *value = bt_json_str(o, keys[i]);
    if (!value)
      continue;
    *m = (struct bt_scale_metric){.source = (enum bt_scale_source)i, .name = bt_json_str_or(o, "name", keys[i])};
    text = value;
    found++;
  }
  if (found != 1)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.metrics: an entry has exactly one of cpu, memory, query and lua", service);
  if (strlen(text) > BT_SCALE_MOST_TEXT)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.metrics: a %s has %d bytes at the most", service, keys[m->source], BT_SCALE_MOST_TEXT);
  if (m->source == BT_SCALE_CPU || m->source == BT_SCALE_MEMORY)
    return bt_scale_percent(text, &m->target) ? 0
                                              : bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.metrics.%s \"%.40s\": write a share of the request such as 70%%",
                                                           service, m->name, text);
  m->text = text;
  if (m->source == BT_SCALE_LUA)
    return 0;
  m->plugin = bt_json_str(o, "plugin");
  m->target = bt_json_num(o, "target", 0);
  m->activation = bt_json_num(o, "activation", 0);
  m->total = bt_streq(bt_json_str_or(o, "per", "instance"), "total");
  if (!isfinite(m->target) || m->target <= 0)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.metrics.query needs a \"target\" above 0: how much of it one instance bears", service);
  if (!isfinite(m->activation) || m->activation < 0)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.metrics.query: \"activation\" is from 0 on", service);
  return 0;
}

static int read_metrics(const char *service, const json_t *json, struct bt_autoscale *a, struct bt_err **err) {
  size_t i;
  json_t *o;
  if (json_array_size(bt_json_arr(json, "metrics")) > BT_SCALE_MOST_METRICS)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.metrics: %d at the most", service, BT_SCALE_MOST_METRICS);
  json_array_foreach(bt_json_arr(json, "metrics"), i, o) {
    struct bt_scale_metric m = {0};
    if (read_metric(service, o, &m, err))
      return -1;
    bt_vec_push(&a->metrics, m);
  }
  return 0;
}

/* ---- ways ---- */

static int read_limit(const char *service, const char *way, const json_t *o, struct bt_scale_limit *limit, struct bt_err **err) {
  long long percent = bt_json_int(o, "percent", 0), instances = bt_json_int(o, "instances", 0);
  *limit = (struct bt_scale_limit){percent > 0, (int)BT_MIN(BT_MAX(percent, instances), BT_SCALE_MOST), bt_service_duration_ms(o, "period", 15000)};
  if ((percent > 0) == (instances > 0))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.%s.limits: an entry has one of percent and instances, above 0", service, way);
  if (limit->period_ms < 1000 || limit->period_ms > 3600 * 1000)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.%s.limits: a period has 1s to 1h", service, way);
  return 0;
}

static int read_way(const char *service, const char *key, const json_t *o, struct bt_scale_way *way, struct bt_err **err) {
  const char *select = bt_json_str_or(o, "select", "max");
  way->window_ms = bt_service_duration_ms(o, "stabilization", way->window_ms);
  size_t i;
  json_t *item;
  for (i = 0; i < BT_COUNT(select_names) && !bt_streq(select, select_names[i]);)
    i++;
  if (i == BT_COUNT(select_names))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.%s.select \"%.40s\" is none of max, min, disabled", service, key, select);
  way->select = (enum bt_scale_select)i;
  if (way->window_ms < 0 || way->window_ms > 3600 * 1000)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.%s.stabilization: up to 1h", service, key);
  if (!bt_json_arr(o, "limits"))
    return 0;
  way->nlimits = 0;
  if (json_array_size(bt_json_arr(o, "limits")) > BT_SCALE_MOST_LIMITS)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.%s.limits: %d at the most", service, key, BT_SCALE_MOST_LIMITS);
  json_array_foreach(bt_json_arr(o, "limits"), i, item) if (read_limit(service, key, item, &way->limits[way->nlimits++], err)) return -1;
  return 0;
}

/* ---- schedules ---- */

static int read_schedule(const char *service, const json_t *o, struct bt_scale_schedule *s, struct bt_err **err) {
  long long min = bt_json_int(o, "min", -1), max = bt_json_int(o, "max", -1);
  *s = (struct bt_scale_schedule){.start_text = bt_json_str(o, "start"), .end_text = bt_json_str(o, "end"), .time_zone = bt_json_str(o, "time_zone")};
  if (!s->start_text || !s->end_text)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.schedules: an entry has \"start\" and \"end\", each a schedule such as \"0 8 * * 1-5\"", service);
  if (bt_cron_parse(s->start_text, &s->start, err) || bt_cron_parse(s->end_text, &s->end, err))
    return bt_err_wrap(err, "service %s: x-berth.autoscale.schedules", service);
  if (s->start.every_s || s->end.every_s)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.schedules: @every names no time of a day; write such as \"0 8 * * 1-5\"", service);
  if (s->time_zone && !bt_tz_name_ok(s->time_zone))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.schedules.time_zone \"%.60s\" is no name of a time zone such as Europe/Berlin", service,
                      s->time_zone);
  if ((min < 0 && max < 0) || min > BT_SCALE_MOST || max > BT_SCALE_MOST || (max >= 0 && min > max))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.schedules: an entry has min, max or both, with min up to max", service);
  s->min = (int)min;
  s->max = (int)max;
  return 0;
}

static int read_schedules(const char *service, const json_t *json, struct bt_autoscale *a, struct bt_err **err) {
  size_t i;
  json_t *o;
  if (json_array_size(bt_json_arr(json, "schedules")) > BT_SCALE_MOST_SCHEDULES)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.schedules: %d at the most", service, BT_SCALE_MOST_SCHEDULES);
  json_array_foreach(bt_json_arr(json, "schedules"), i, o) {
    struct bt_scale_schedule s;
    if (read_schedule(service, o, &s, err))
      return -1;
    bt_vec_push(&a->schedules, s);
  }
  return 0;
}

/* ---- vertical ---- */

static int read_vertical(const char *service, const json_t *o, struct bt_scale_vertical *v, struct bt_err **err) {
  const json_t *cpus = bt_json_obj(o, "cpus"), *memory = bt_json_obj(o, "memory");
  const char *mode = bt_json_str_or(o, "mode", "recommend");
  if (!o)
    return 0;
  *v = (struct bt_scale_vertical){.on = true,
                                  .automatic = bt_streq(mode, "automatic"),
                                  .cpus_min = bt_json_num(cpus, "min", 0),
                                  .cpus_max = bt_json_num(cpus, "max", 0),
                                  .memory_min = bt_json_int(memory, "min", 0),
                                  .memory_max = bt_json_int(memory, "max", 0),
                                  .every_ms = bt_service_duration_ms(o, "every", 12 * 3600 * 1000ll)};
  if (!v->automatic && !bt_streq(mode, "recommend"))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.vertical.mode \"%.40s\" is neither recommend nor automatic", service, mode);
  if ((v->cpus_max > 0 && v->cpus_min > v->cpus_max) || (v->memory_max > 0 && v->memory_min > v->memory_max) || v->cpus_min < 0 || v->memory_min < 0)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.vertical: the least is above the most", service);
  if (v->automatic && (v->cpus_max <= 0 || v->memory_max <= 0))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.vertical: mode automatic needs the most it may take: cpus.max and memory.max", service);
  return 0;
}

/* ---- all ---- */

/* At 0 instances nothing uses cpu: something else has to wake the service. */
static bool can_wake(const struct bt_autoscale *a) {
  bt_vec_each(&a->metrics, m) if (m->source == BT_SCALE_QUERY || m->source == BT_SCALE_LUA) return true;
  return a->metrics.len == 0; /* schedules alone */
}

static bool may_sleep(const struct bt_autoscale *a) {
  bool sleeps = a->min == 0;
  bt_vec_each(&a->schedules, s) sleeps = sleeps || s->min == 0 || s->max == 0;
  return sleeps;
}

static int read_all(const char *service, const json_t *json, struct bt_autoscale *a, struct bt_err **err) {
  long long min = bt_json_int(json, "min", 1), max = bt_json_int(json, "max", 0);
  a->tolerance = bt_json_num(json, "tolerance", 0.1);
  a->interval_ms = bt_service_duration_ms(json, "interval", 15000);
  /* Kubernetes' defaults: up at once, by 4 or to the double in 15 s; down to the most of the last 5 minutes. */
  a->up = (struct bt_scale_way){.limits = {{true, 100, 15000}, {false, 4, 15000}}, .nlimits = 2};
  a->down = (struct bt_scale_way){.window_ms = 300000, .limits = {{true, 100, 15000}}, .nlimits = 1};
  if (read_metrics(service, json, a, err) || read_schedules(service, json, a, err) || read_way(service, "up", bt_json_obj(json, "up"), &a->up, err) ||
      read_way(service, "down", bt_json_obj(json, "down"), &a->down, err) || read_vertical(service, bt_json_obj(json, "vertical"), &a->vertical, err))
    return -1;
  a->horizontal = a->metrics.len > 0 || a->schedules.len > 0;
  if (!a->horizontal && !a->vertical.on)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale needs metrics, schedules or vertical", service);
  if (a->interval_ms < 1000 || a->interval_ms > 24 * 3600 * 1000ll)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.interval: 1s to 24h", service);
  if (!isfinite(a->tolerance) || a->tolerance < 0 || a->tolerance > 1)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale.tolerance: a number from 0 to 1; 0.1 is 10%%", service);
  if (!a->horizontal)
    return 0;
  if (max < 1 || max > BT_SCALE_MOST || min < 0 || min > max)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale needs \"max\", 1 to %d, and \"min\" up to it", service, BT_SCALE_MOST);
  a->min = (int)min;
  a->max = (int)max;
  if (may_sleep(a) && !can_wake(a))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.autoscale: at 0 instances there is no use of cpu or memory that could wake it; add a query or lua, or let min be 1",
                      service);
  return 0;
}

int bt_autoscale_parse(const char *service, const json_t *json, struct bt_autoscale **out, struct bt_err **err) {
  *out = NULL;
  if (!json)
    return 0;
  struct bt_autoscale *a = bt_new(struct bt_autoscale);
  if (read_all(service, json, a, err)) {
    bt_autoscale_free(&a);
    return -1;
  }
  *out = a;
  return 0;
}

void bt_autoscale_free(struct bt_autoscale **autoscale) {
  struct bt_autoscale *a = *autoscale;
  if (!a)
    return;
  bt_vec_free(&a->metrics);
  bt_vec_free(&a->schedules);
  free(a);
  *autoscale = NULL;
}

/* ---- other reservations ---- */

static double number_of(const json_t *o, const char *key, bool bytes) {
  const json_t *value = json_object_get(o, key);
  int64_t size = 0;
  if (json_is_string(value))
    return !bytes ? strtod(json_string_value(value), NULL) : bt_size_parse(json_string_value(value), &size) ? (double)size : 0;
  return json_is_number(value) ? json_number_value(value) : 0;
}

static void set_number(json_t *o, const char *key, double v, bool bytes) {
  if (bytes)
    json_object_set_new(o, key, json_sprintf("%lld", (long long)BT_MIN(v, MOST_BYTES)));
  else
    json_object_set_new(o, key, json_real(v));
}

/* A limit beside the reservation that was, in whichever of its two places. */
static void move_limit(json_t *at, const char *key, double was, double is, bool bytes) {
  double limit = number_of(at, key, bytes);
  if (limit <= 0)
    return;
  double moved = was > 0 ? limit * is / was : limit;
  set_number(at, key, BT_MAX(moved, is), bytes);
}

static void reserve(json_t *service, const char *key, const char *plain_limit, const char *plain_reserve, double v, bool bytes) {
  json_t *resources = bt_json_obj_in(bt_json_obj_in(service, "deploy"), "resources"), *reservations = bt_json_obj_in(resources, "reservations");
  double was = number_of(reservations, key, bytes);
  if (was <= 0 && plain_reserve)
    was = number_of(service, plain_reserve, bytes);
  set_number(reservations, key, v, bytes);
  if (plain_reserve && json_object_get(service, plain_reserve))
    set_number(service, plain_reserve, v, bytes);
  if (bt_json_obj(resources, "limits"))
    move_limit(bt_json_obj(resources, "limits"), key, was, v, bytes);
  move_limit(service, plain_limit, was, v, bytes);
}

void bt_autoscale_replicas(json_t *service, json_t *n) {
  json_object_set(bt_json_obj_in(service, "deploy"), "replicas", n);
  if (json_object_get(service, "scale"))
    json_object_set(service, "scale", n);
}

void bt_autoscale_reserve(json_t *service, double cpus, int64_t memory) {
  if (cpus > 0)
    reserve(service, "cpus", "cpus", NULL, cpus, false);
  if (memory > 0)
    reserve(service, "memory", "mem_limit", "mem_reservation", (double)memory, true);
}
