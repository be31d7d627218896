#include "config.h"

#include "model/job.h"

#include "base/json.h"
#include "base/mem.h"
#include "model/service.h"

enum { KEEP_SUCCEEDED = 3, KEEP_FAILED = 1, MOST_KEPT = 100 };

static const char *const concurrency_names[] = {"allow", "forbid", "replace"};

const char *bt_concurrency_name(enum bt_concurrency concurrency) { return concurrency_names[concurrency]; }

bool bt_concurrency_of(const char *name, enum bt_concurrency *out) {
  for (size_t i = 0; i < BT_COUNT(concurrency_names); i++)
    if (bt_streq(name, concurrency_names[i])) {
      *out = (enum bt_concurrency)i;
      return true;
    }
  return false;
}

static int kept(const json_t *json, const char *key, int otherwise) {
  return (int)BT_MAX(0, BT_MIN(bt_json_int(json, key, otherwise), MOST_KEPT));
}

int bt_job_parse(const char *service, const json_t *json, struct bt_job *out, struct bt_err **err) {
  const char *concurrency = bt_json_str_or(json, "concurrency", "allow");
  *out = (struct bt_job){
      .schedule = bt_json_str(json, "schedule"),
      .time_zone = bt_json_str(json, "time_zone"),
      .starting_deadline_ms = BT_MAX(0, bt_service_duration_ms(json, "starting_deadline", 0)),
      .active_deadline_ms = BT_MAX(0, bt_service_duration_ms(json, "active_deadline", 0)),
      .suspend = bt_json_bool(json, "suspend", false),
      .keep_succeeded = kept(json, "successful_history_limit", KEEP_SUCCEEDED),
      .keep_failed = kept(json, "failed_history_limit", KEEP_FAILED),
  };
  if (!bt_concurrency_of(concurrency, &out->concurrency))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.job.concurrency \"%.40s\" is none of allow, forbid, replace", service, concurrency);
  if (out->schedule && bt_cron_parse(out->schedule, &out->cron, err))
    return bt_err_wrap(err, "service %s: x-berth.job", service);
  if (out->time_zone && !bt_tz_name_ok(out->time_zone))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.job.time_zone \"%.60s\" is no name of a time zone such as Europe/Berlin", service, out->time_zone);
  return 0;
}
