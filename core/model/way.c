#include "config.h"

#include "model/way.h"

#include "base/json.h"
#include "base/mem.h"
#include "model/service_internal.h"

#define KEEP_MS 300000

static const char *const names[] = {"rolling", "blue-green", "canary"};

const char *bt_way_name(enum bt_way_kind kind) { return names[kind]; }

static int read_kind(const char *service, const json_t *json, enum bt_way_kind *out, struct bt_err **err) {
  const char *name = bt_json_str_or(json, "strategy", "rolling");
  for (size_t i = 0; i < BT_COUNT(names); i++)
    if (bt_streq(name, names[i])) {
      *out = (enum bt_way_kind)i;
      return 0;
    }
  return bt_err_set(err, BT_INVALID, "service %s: x-berth.rollout.strategy: \"%.60s\" is none of rolling, blue-green, canary", service, name);
}

/* What has a weight alone has as large a share of the instances. */
static int read_step(const char *service, size_t i, const json_t *json, struct bt_way_step *out, struct bt_err **err) {
  const json_t *n = json_object_get(json, "instances");
  struct bt_amount *amount = &out->instances;
  out->weight = (int)bt_json_int(json, "weight", -1);
  *amount = (struct bt_amount){out->weight, true};
  if (json_is_integer(n))
    *amount = (struct bt_amount){(int)BT_MIN(json_integer_value(n), BT_DISRUPTION_MOST), false};
  else if (n && !bt_amount_percent(json_string_value(n), &amount->value))
    amount->value = -1;
  bool promote = bt_streq(bt_json_str(json, "pause"), "promote");
  out->pause_ms = promote ? -1 : bt_service_duration_ms(json, "pause", -1);
  if (amount->value < 0 || (!n && out->weight < 0))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.rollout.steps[%zu] needs instances (a number, or a share such as \"10%%\") or a weight", service, i);
  if (out->weight > 100)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.rollout.steps[%zu].weight is from 0 to 100", service, i);
  if (!promote && out->pause_ms < 0)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.rollout.steps[%zu] needs pause: a duration, or promote", service, i);
  return 0;
}

int bt_way_parse(const char *service, const json_t *json, struct bt_way *out, struct bt_err **err) {
  *out = (struct bt_way){.keep_ms = bt_service_duration_ms(json, "keep", KEEP_MS)};
  if (!json)
    return 0;
  if (read_kind(service, json, &out->kind, err))
    return -1;
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(json, "steps"), i, item) {
    struct bt_way_step step;
    if (read_step(service, i, item, &step, err))
      return -1;
    bt_vec_push(&out->steps, step);
  }
  if ((out->kind == BT_WAY_CANARY) != (out->steps.len > 0) || out->steps.len > BT_WAY_STEPS)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.rollout.steps: a canary has 1 to %d steps, and nothing else has any", service, BT_WAY_STEPS);
  return 0;
}

void bt_way_free(struct bt_way *way) { bt_vec_free(&way->steps); }
