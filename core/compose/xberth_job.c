/* x-berth.job of a service: how often it completes, when it runs, and what becomes of its runs. */
#include "config.h"

#include "base/clock.h"
#include "base/mem.h"
#include "compose/values.h"
#include "compose/xberth.h"
#include "model/job.h"

static const int64_t second = 1000000000;

static void wrong_words(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place, const struct bt_err *err) {
  BT_AUTO_FREE char *where = bt_place_text(place);
  bt_diag_error(load->diags, n->loc, "%s: %s", where, bt_err_message(err));
}

static void schedule(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place) {
  struct bt_cron cron;
  BT_AUTO_ERR err = NULL;
  if (n->kind != BT_YAML_STR)
    bt_xberth_wrong(load, n, place, "a schedule such as \"30 2 * * *\", @daily or \"@every 10m\"");
  else if (bt_cron_parse(n->text, &cron, &err) < 0)
    wrong_words(load, n, place, err);
}

/* Deadlines of jobs may be longer than those of probes. */
static void deadline(struct bt_load *load, struct bt_yaml *job, const char *key, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(job, key);
  int64_t ns = 0;
  char buf[64];
  if (n && (!bt_value_duration(n, &ns) || ns < second || ns > 366 * 86400 * second))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), "a duration from 1s to 8784h, such as 10m");
  else if (n)
    bt_xberth_set(job, key, bt_yaml_str(bt_duration_go(ns, buf), n->loc));
}

static void suspend(struct bt_load *load, struct bt_yaml *job, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(job, "suspend");
  bool v = false;
  if (n && !bt_value_bool(n, &v))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, "suspend"), "true or false");
  else if (n)
    bt_xberth_set(job, "suspend", bt_yaml_bool(v, n->loc));
}

/* What says something of a schedule only. */
static void check_alone(struct bt_load *load, const struct bt_yaml *job, const struct bt_place *place) {
  static const char *const keys[] = {"time_zone", "starting_deadline"};
  for (size_t i = 0; i < BT_COUNT(keys) && !bt_yaml_get(job, "schedule"); i++) {
    const struct bt_yaml *n = bt_yaml_get(job, keys[i]);
    BT_AUTO_FREE char *where = n ? bt_place_text(BT_PLACE_KEY(place, keys[i])) : NULL;
    if (n)
      bt_diag_error(load->diags, n->loc, "%s says something of a schedule, and there is none; add \"schedule\" or leave it out", where);
  }
}

void bt_xberth_job(struct bt_load *load, struct bt_yaml *job, const struct bt_place *place) {
  static const char *const keys[] = {"completions", "max_concurrent", "backoff_limit", "schedule", "time_zone", "concurrency", "starting_deadline",
                                     "active_deadline", "suspend", "successful_history_limit", "failed_history_limit", NULL};
  if (!bt_xberth_only(load, job, place, keys))
    return;
  bt_xberth_number(load, job, "completions", 1, 100000, -1, place);
  bt_xberth_number(load, job, "max_concurrent", 1, 100000, -1, place);
  bt_xberth_number(load, job, "backoff_limit", 0, 1000, -1, place);
  bt_xberth_number(load, job, "successful_history_limit", 0, 100, -1, place);
  bt_xberth_number(load, job, "failed_history_limit", 0, 100, -1, place);
  const struct bt_yaml *when = bt_yaml_get(job, "schedule"), *zone = bt_yaml_get(job, "time_zone"), *concurrency = bt_yaml_get(job, "concurrency");
  enum bt_concurrency ignored;
  if (when)
    schedule(load, when, BT_PLACE_KEY(place, "schedule"));
  if (zone && (zone->kind != BT_YAML_STR || !bt_tz_name_ok(zone->text)))
    bt_xberth_wrong(load, zone, BT_PLACE_KEY(place, "time_zone"), "the name of a time zone, such as Europe/Berlin");
  if (concurrency && (concurrency->kind != BT_YAML_STR || !bt_concurrency_of(concurrency->text, &ignored)))
    bt_xberth_wrong(load, concurrency, BT_PLACE_KEY(place, "concurrency"), "allow, forbid or replace");
  deadline(load, job, "starting_deadline", place);
  deadline(load, job, "active_deadline", place);
  suspend(load, job, place);
  check_alone(load, job, place);
}
