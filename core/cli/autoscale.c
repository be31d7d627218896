#include "config.h"

#include "cli/autoscale.h"

#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/jobs.h"
#include "cli/list.h"

static const struct bt_column columns[] = {
    {"APP", "app", BT_CELL_TEXT},         {"SERVICE", "service", BT_CELL_TEXT},     {"INSTANCES", "replicas", BT_CELL_TEXT},
    {"READY", "ready", BT_CELL_TEXT},     {"MIN-MAX", "bounds", BT_CELL_TEXT},      {"STATE", "autoscale.state", BT_CELL_STATE},
    {"METRICS", "metrics", BT_CELL_TEXT}, {"CHANGED", "since", BT_CELL_TEXT},       {"WHY", "note", BT_CELL_TEXT},
    {NULL, NULL, BT_CELL_TEXT}};

static bool scales(const json_t *service) { return json_is_object(json_object_get(service, "autoscale")); }

/* "cpu 35%/70%, queue 120/50": value and target. */
static void add_metric(struct bt_buf *out, const json_t *metric) {
  const char *type = bt_json_str_or(metric, "type", "");
  bool share = bt_streq(type, "cpu") || bt_streq(type, "memory");
  const json_t *value = json_object_get(metric, "value"), *target = json_object_get(metric, "target");
  bt_buf_addf(out, "%s%s ", out->len ? ", " : "", bt_json_str_or(metric, "name", type));
  if (!json_is_number(value))
    bt_buf_adds(out, "?");
  else if (share)
    bt_buf_addf(out, "%.0f%%", 100 * json_number_value(value));
  else
    bt_buf_addf(out, "%g", json_number_value(value));
  if (json_is_number(target))
    bt_buf_addf(out, share ? "/%g%%" : "/%g", (share ? 100 : 1) * json_number_value(target));
}

void bt_autoscale_words(json_t *service, int64_t now_ms) {
  const json_t *a = bt_json_obj(service, "autoscale");
  BT_AUTO_BUF metrics = {0};
  char buf[32];
  size_t i;
  json_t *metric;
  json_array_foreach(bt_json_arr(a, "metrics"), i, metric) add_metric(&metrics, metric);
  bt_json_set_str(service, "metrics", metrics.data ? metrics.data : "");
  json_object_set_new(service, "bounds", json_sprintf("%lld-%lld", bt_json_int(a, "min", 0), bt_json_int(a, "max", 0)));
  long long since = bt_json_time(a, "changed_at");
  if (since)
    json_object_set_new(service, "since", json_sprintf("%s ago", bt_duration_human(BT_MAX(now_ms - since, 0), buf)));
  const char *blocked = bt_json_str(a, "held_up");
  BT_AUTO_FREE char *note = bt_asprintf("%s%s%s", bt_json_str_or(a, "reason", ""), blocked ? "; no place: " : "", blocked ? blocked : "");
  bt_json_set_str(service, "note", note);
}

static json_t *only_scaling(const json_t *services) {
  json_t *out = json_array(), *service;
  size_t i;
  json_array_foreach(services, i, service) if (scales(service)) json_array_append(out, service);
  return out;
}

void bt_autoscale_print(const struct bt_cli *cli, const json_t *services, const char *here, int64_t now_ms) {
  BT_AUTO_JSON shown = json_array();
  size_t i;
  json_t *service;
  json_array_foreach(services, i, service) if (scales(service) && bt_service_meant(cli, service, here)) {
    bt_autoscale_words(service, now_ms);
    json_array_append(shown, service);
  }
  if (json_array_size(shown) == 0)
    return;
  bt_cli_say("\n");
  bt_list_print(cli, columns, "service", shown);
}

int bt_verb_autoscale_ls(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON all = NULL;
  if (bt_services_get(cli, &all, err))
    return -1;
  BT_AUTO_JSON scaling = only_scaling(all);
  size_t i;
  json_t *service;
  if (!cli->json)
    json_array_foreach(scaling, i, service) bt_autoscale_words(service, bt_clock_wall_ms());
  return bt_list_print(cli, columns, "service", scaling);
}
