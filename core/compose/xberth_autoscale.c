/* x-berth.autoscale of a service: what its number of instances follows, within which bounds, how fast, and at which times others; and whether
 * its use is watched. Which values fit together is told by model/autoscale, with the place of the whole. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "compose/values.h"
#include "compose/xberth.h"
#include "model/autoscale.h"

static const int64_t second = 1000000000;

typedef void entry(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place);

static void each(struct bt_load *load, struct bt_yaml *map, const char *key, size_t most, entry *check, const struct bt_place *place) {
  struct bt_yaml *n = bt_yaml_get(map, key);
  const struct bt_place *here = BT_PLACE_KEY(place, key);
  if (!n)
    return;
  if (n->kind != BT_YAML_SEQ || n->seq.len > most) {
    BT_AUTO_FREE char *wanted = bt_asprintf("a list of at most %zu entries", most);
    bt_xberth_wrong(load, n, here, wanted);
    return;
  }
  for (size_t i = 0; i < n->seq.len; i++)
    check(load, n->seq.items[i], BT_PLACE_ITEM(here, i));
}

static void span(struct bt_load *load, struct bt_yaml *map, const char *key, int64_t min, int64_t max, const char *wanted, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  int64_t ns = 0;
  char buf[64];
  if (n && (!bt_value_duration(n, &ns) || ns < min || ns > max))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), wanted);
  else if (n)
    bt_xberth_set(map, key, bt_yaml_str(bt_duration_go(ns, buf), n->loc));
}

static void real(struct bt_load *load, struct bt_yaml *map, const char *key, double min, double max, const char *wanted, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  if (!n)
    return;
  char *end = NULL;
  double v = n->kind == BT_YAML_INT     ? (double)n->integer
             : n->kind == BT_YAML_FLOAT ? n->real
             : n->kind == BT_YAML_STR && *n->text && !n->text[strspn(n->text, "0123456789.")]
                 ? strtod(n->text, &end)
                 : (double)NAN;
  if (!isfinite(v) || (end && *end) || v < min || v > max) {
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), wanted);
    return;
  }
  BT_AUTO_JSON value = json_real(v);
  bt_xberth_set(map, key, bt_yaml_from_json(value, n->loc));
}

static void text(struct bt_load *load, const struct bt_yaml *map, const char *key, size_t most, const char *wanted, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  if (n && (n->kind != BT_YAML_STR || !*n->text || strlen(n->text) > most))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), wanted);
}

static void count(struct bt_load *load, struct bt_yaml *map, const char *key, long long min, const struct bt_place *place) {
  if (bt_yaml_get(map, key))
    bt_xberth_number(load, map, key, min, BT_SCALE_MOST, -1, place);
}

static void share(struct bt_load *load, const struct bt_yaml *map, const char *key, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  double v;
  if (n && (n->kind != BT_YAML_STR || !bt_scale_percent(n->text, &v)))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), "a share of what the service reserves, such as 70%");
}

static void metric(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"cpu", "memory", "query", "lua", "name", "plugin", "target", "per", "activation", NULL},
                           *const pers[] = {"instance", "total", NULL}, *const of_query[] = {"plugin", "target", "per", "activation", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  share(load, n, "cpu", place);
  share(load, n, "memory", place);
  text(load, n, "query", BT_SCALE_MOST_TEXT, "a question to the monitor plug-in, such as sum(queue_length)", place);
  text(load, n, "lua", BT_SCALE_MOST_TEXT, "a Lua chunk that returns a function of what is seen", place);
  text(load, n, "name", 60, "a name of at most 60 bytes", place);
  text(load, n, "plugin", 63, "the entry of a monitor plug-in", place);
  real(load, n, "target", 0, 1e15, "a number above 0", place);
  real(load, n, "activation", 0, 1e15, "a number from 0 on", place);
  for (size_t i = 0; of_query[i]; i++)
    if (bt_yaml_get(n, of_query[i]) && !bt_yaml_get(n, "query")) {
      BT_AUTO_FREE char *where = bt_place_text(BT_PLACE_KEY(place, of_query[i]));
      bt_diag_error(load->diags, n->loc, "%s says something of a query, and there is none; add \"query\" or leave it out", where);
    }
  if (bt_yaml_get(n, "per"))
    bt_xberth_word(load, n, "per", pers, place);
}

static void limit(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"percent", "instances", "period", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  count(load, n, "percent", 1, place);
  count(load, n, "instances", 1, place);
  span(load, n, "period", second, 3600 * second, "a duration from 1s to 1h, such as 60s", place);
}

static void way(struct bt_load *load, struct bt_yaml *autoscale, const char *key, const struct bt_place *place) {
  static const char *const keys[] = {"stabilization", "limits", "select", NULL}, *const selects[] = {"max", "min", "disabled", NULL};
  struct bt_yaml *n = bt_yaml_get(autoscale, key);
  const struct bt_place *here = BT_PLACE_KEY(place, key);
  if (!n || !bt_xberth_only(load, n, here, keys))
    return;
  span(load, n, "stabilization", 0, 3600 * second, "a duration up to 1h, such as 5m", here);
  each(load, n, "limits", BT_SCALE_MOST_LIMITS, limit, here);
  if (bt_yaml_get(n, "select"))
    bt_xberth_word(load, n, "select", selects, here);
}

static void when(struct bt_load *load, const struct bt_yaml *map, const char *key, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  struct bt_cron cron;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *where = bt_place_text(BT_PLACE_KEY(place, key));
  if (!n)
    bt_diag_error(load->diags, map->loc, "%s is needed: a time such as \"0 8 * * 1-5\"", where);
  else if (n->kind != BT_YAML_STR)
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), "a time such as \"0 8 * * 1-5\"");
  else if (bt_cron_parse(n->text, &cron, &err) < 0)
    bt_diag_error(load->diags, n->loc, "%s: %s", where, bt_err_message(err));
  else if (cron.every_s)
    bt_diag_error(load->diags, n->loc, "%s: @every names no time of a day; write such as \"0 8 * * 1-5\"", where);
}

static void schedule(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"start", "end", "time_zone", "min", "max", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  when(load, n, "start", place);
  when(load, n, "end", place);
  const struct bt_yaml *zone = bt_yaml_get(n, "time_zone");
  if (zone && (zone->kind != BT_YAML_STR || !bt_tz_name_ok(zone->text)))
    bt_xberth_wrong(load, zone, BT_PLACE_KEY(place, "time_zone"), "the name of a time zone, such as Europe/Berlin");
  count(load, n, "min", 0, place);
  count(load, n, "max", 0, place);
}

static void cpus(struct bt_load *load, struct bt_yaml *vertical, const struct bt_place *place) {
  static const char *const keys[] = {"min", "max", NULL};
  struct bt_yaml *n = bt_yaml_get(vertical, "cpus");
  const struct bt_place *here = BT_PLACE_KEY(place, "cpus");
  if (!n || !bt_xberth_only(load, n, here, keys))
    return;
  real(load, n, "min", 0, 100000, "a number of processors, such as 0.25", here);
  real(load, n, "max", 0, 100000, "a number of processors, such as 2", here);
}

static void bytes(struct bt_load *load, struct bt_yaml *map, const char *key, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  long long v = 0;
  if (n && (!bt_value_bytes(n, &v) || v < 0))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), "a size such as 512MiB");
  else if (n)
    bt_xberth_set(map, key, bt_yaml_int(v, n->loc));
}

static void vertical(struct bt_load *load, struct bt_yaml *autoscale, const struct bt_place *place) {
  static const char *const keys[] = {"mode", "cpus", "memory", "every", NULL}, *const bounds_keys[] = {"min", "max", NULL},
                           *const modes[] = {"recommend", "automatic", NULL};
  struct bt_yaml *n = bt_yaml_get(autoscale, "vertical");
  const struct bt_place *here = BT_PLACE_KEY(place, "vertical");
  if (!n || !bt_xberth_only(load, n, here, keys))
    return;
  bt_xberth_word(load, n, "mode", modes, here);
  cpus(load, n, here);
  struct bt_yaml *memory = bt_yaml_get(n, "memory");
  const struct bt_place *of_memory = BT_PLACE_KEY(here, "memory");
  if (memory && bt_xberth_only(load, memory, of_memory, bounds_keys)) {
    bytes(load, memory, "min", of_memory);
    bytes(load, memory, "max", of_memory);
  }
  span(load, n, "every", 60 * second, 30 * 86400 * second, "a duration from 1m to 720h, such as 12h", here);
}

void bt_xberth_autoscale(struct bt_load *load, struct bt_yaml *autoscale, const char *service, const struct bt_place *place) {
  static const char *const keys[] = {"min", "max", "interval", "tolerance", "metrics", "up", "down", "schedules", "vertical", NULL};
  size_t before = load->diags->errors;
  if (!bt_xberth_only(load, autoscale, place, keys))
    return;
  count(load, autoscale, "min", 0, place);
  count(load, autoscale, "max", 1, place);
  span(load, autoscale, "interval", second, 86400 * second, "a duration from 1s to 24h, such as 15s", place);
  real(load, autoscale, "tolerance", 0, 1, "a number from 0 to 1; 0.1 is 10%", place);
  each(load, autoscale, "metrics", BT_SCALE_MOST_METRICS, metric, place);
  way(load, autoscale, "up", place);
  way(load, autoscale, "down", place);
  each(load, autoscale, "schedules", BT_SCALE_MOST_SCHEDULES, schedule, place);
  vertical(load, autoscale, place);
  BT_AUTO_JSON whole = load->diags->errors == before ? bt_yaml_json(autoscale) : NULL;
  struct bt_autoscale *parsed = NULL;
  BT_AUTO_ERR err = NULL;
  if (whole && bt_autoscale_parse(service, whole, &parsed, &err))
    bt_diag_error(load->diags, autoscale->loc, "%s", bt_err_message(err));
  bt_autoscale_free(&parsed);
}
