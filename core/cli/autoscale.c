#include "config.h"

#include "cli/autoscale.h"

#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/apps.h"
#include "cli/jobs.h"
#include "cli/list.h"
#include "cli/project.h"
#include "cli/target.h"

static const struct bt_column columns[] = {
    {"APP", "app", BT_CELL_TEXT},         {"SERVICE", "service", BT_CELL_TEXT},     {"INSTANCES", "replicas", BT_CELL_TEXT},
    {"READY", "ready", BT_CELL_TEXT},     {"MIN-MAX", "bounds", BT_CELL_TEXT},      {"STATE", "autoscale.state", BT_CELL_STATE},
    {"METRICS", "metrics", BT_CELL_TEXT}, {"CHANGED", "since", BT_CELL_TEXT},       {"RESERVES", "reserves", BT_CELL_TEXT},
    {"RECOMMENDED", "recommended", BT_CELL_TEXT}, {"WHY", "note", BT_CELL_TEXT},
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

/* "0.25 cpus, 64MiB" */
static void set_reservation(json_t *service, const char *key, const json_t *numbers) {
  char buf[32];
  long long memory = bt_json_int(numbers, "memory", 0);
  if (json_is_object(numbers))
    json_object_set_new(service, key, json_sprintf("%.3g cpus, %s", bt_json_num(numbers, "cpus", 0), memory ? bt_out_bytes(memory, buf) : "no memory"));
}

static void add_vertical(json_t *service, const json_t *vertical) {
  char buf[32];
  set_reservation(service, "reserves", bt_json_obj(vertical, "reserved"));
  if (bt_json_obj(vertical, "recommended"))
    set_reservation(service, "recommended", bt_json_obj(vertical, "recommended"));
  else if (vertical)
    json_object_set_new(service, "recommended", json_sprintf("not yet: seen for %s", bt_duration_human(bt_json_int(vertical, "history_ms", 0), buf)));
}

/* Adds what the table shows of a service: "bounds", "metrics", "since", "note". Pure. */
static void add_words(json_t *service, int64_t now_ms) {
  const json_t *a = bt_json_obj(service, "autoscale");
  BT_AUTO_BUF metrics = {0};
  char buf[32];
  size_t i;
  json_t *metric;
  json_array_foreach(bt_json_arr(a, "metrics"), i, metric) add_metric(&metrics, metric);
  bt_json_set_str(service, "metrics", metrics.data ? metrics.data : "");
  if (json_object_get(a, "max"))
    json_object_set_new(service, "bounds", json_sprintf("%lld-%lld", bt_json_int(a, "min", 0), bt_json_int(a, "max", 0)));
  add_vertical(service, bt_json_obj(a, "vertical"));
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
    add_words(service, now_ms);
    json_array_append(shown, service);
  }
  if (json_array_size(shown) == 0)
    return;
  bt_cli_say("\n");
  bt_list_print(cli, columns, "service", shown);
}

int bt_autoscale_recommend(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column short_columns[] = {{"APP", "app", BT_CELL_TEXT},           {"SERVICE", "service", BT_CELL_TEXT},
                                                   {"RESERVES", "reserves", BT_CELL_TEXT}, {"RECOMMENDED", "recommended", BT_CELL_TEXT},
                                                   {NULL, NULL, BT_CELL_TEXT}};
  BT_AUTO_JSON all = NULL;
  BT_AUTO_FREE char *here = NULL;
  if (bt_project_app(&cli->args, &here, err) || bt_services_get(cli, &all, err))
    return -1;
  BT_AUTO_JSON shown = json_array();
  size_t i;
  json_t *service;
  json_array_foreach(all, i, service) if (bt_json_obj(bt_json_obj(service, "autoscale"), "vertical") && bt_service_meant(cli, service, here)) {
    if (!cli->json)
      add_words(service, bt_clock_wall_ms());
    json_array_append(shown, service);
  }
  return bt_list_print(cli, short_columns, "service", shown);
}

int bt_verb_autoscale_ls(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON all = NULL;
  if (bt_services_get(cli, &all, err))
    return -1;
  BT_AUTO_JSON scaling = only_scaling(all);
  size_t i;
  json_t *service;
  if (!cli->json)
    json_array_foreach(scaling, i, service) add_words(service, bt_clock_wall_ms());
  return bt_list_print(cli, columns, "service", scaling);
}

int bt_verb_autoscale_apply(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_TARGET target = {0};
  if (bt_target_resolve(cli, cli->args.rest.items[0], &target, NULL, err))
    return -1;
  if (!target.service)
    return bt_err_set(err, BT_INVALID, "%s is no service; name one, such as %s/web", cli->args.rest.items[0], cli->args.rest.items[0]);
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", target.app, "services", target.service, "reserve", NULL);
  return bt_apps_post(cli, path, json_object(), err);
}
