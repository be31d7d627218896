#include "config.h"

#include "model/scheduling_change.h"

#include "base/json.h"
#include "base/mem.h"
#include "model/section.h"

#define DAY_MS (24.0 * 3600 * 1000)

static const struct bt_key lost_keys[] = {
    {"after", BT_KEY_DURATION, NULL, 1000, DAY_MS, "So long without a connection until a node is given up and its instances are replaced; 1m by default."},
    {"rate", BT_KEY_TEXT, NULL, 0, 0, "So many nodes of a zone are given up in a second, minute or hour; 6/m by default."},
    {0}};
static const struct bt_key drain_keys[] = {
    {"timeout", BT_KEY_DURATION, NULL, 0, 7 * DAY_MS, "How long jobs may run on where a node is drained; 10m by default."},
    {"parallel", BT_KEY_INT, NULL, 1, 10000, "Instances that are on their way at once; 20 by default."},
    {0}};
static const struct bt_key rebalance_keys[] = {
    {"automatic", BT_KEY_BOOL, NULL, 0, 0, "Move instances where that makes their places better; false by default."},
    {"moves_per_hour", BT_KEY_INT, NULL, 1, 3600, "At most so many; 10 by default."},
    {0}};
static const struct {
  const char *name, *what, *doc;
  const struct bt_key *keys;
} parts[] = {{"lost", "scheduling.lost", "Nodes whose connection is down.", lost_keys},
             {"drain", "scheduling.drain", "Nodes that are drained.", drain_keys},
             {"rebalance", "scheduling.rebalance", "Instances that would have better places.", rebalance_keys}};

/* "6/m": the time between two, in milliseconds; 0 where it is no rate. */
static int64_t rate_ms(const char *text) {
  size_t n = strspn(text, "0123456789");
  static const struct {
    const char *unit;
    int ms;
  } units[] = {{"/s", 1000}, {"/m", 60000}, {"/h", 3600000}};
  long long number = 0;
  BT_AUTO_FREE char *digits = bt_strndup(text, n);
  if (!bt_parse_i64(digits, 1, 1000, &number))
    return 0;
  for (size_t i = 0; i < BT_COUNT(units); i++)
    if (bt_streq(text + n, units[i].unit))
      return BT_MAX(1, units[i].ms / number);
  return 0;
}

void bt_scheduling_change_read(const struct bt_yaml *section, json_t *out, struct bt_diags *diags) {
  for (size_t i = 0; i < BT_COUNT(parts); i++) {
    const struct bt_yaml *n = section && section->kind == BT_YAML_MAP ? bt_yaml_get(section, parts[i].name) : NULL;
    if (!n || n->kind == BT_YAML_NULL)
      continue;
    json_t *part = bt_section_read(n, parts[i].what, parts[i].keys, diags);
    const char *rate = bt_json_str(part, "rate");
    if (rate && !rate_ms(rate))
      bt_diag_error(diags, bt_yaml_get(n, "rate")->loc, "\"rate\" of scheduling.lost must be a number of nodes from 1 to 1000 in a time, such as 6/m (also /s, /h)");
    if (json_object_size(part))
      bt_json_set(out, parts[i].name, part);
    else
      json_decref(part);
  }
}

void bt_scheduling_change_schema(json_t *properties) {
  for (size_t i = 0; i < BT_COUNT(parts); i++) {
    json_t *schema = bt_section_schema(parts[i].keys);
    bt_json_set_str(schema, "description", parts[i].doc);
    json_t *rate = json_object_get(json_object_get(schema, "properties"), "rate");
    if (rate)
      bt_json_set_str(rate, "pattern", "^[0-9]+/[smh]$");
    bt_json_set(properties, parts[i].name, schema);
  }
}

struct bt_scheduling_change bt_scheduling_change_of(const json_t *canonical) {
  const json_t *lost = bt_json_obj(canonical, "lost"), *drain = bt_json_obj(canonical, "drain"), *rebalance = bt_json_obj(canonical, "rebalance");
  int64_t every = rate_ms(bt_json_str_or(lost, "rate", "6/m"));
  return (struct bt_scheduling_change){
      .lost_after_ms = BT_MAX(bt_json_int(lost, "after", 60000), 1),
      .lost_every_ms = every ? every : 10000,
      .drain_timeout_ms = BT_MAX(bt_json_int(drain, "timeout", 600000), 0),
      .drain_parallel = (int)BT_MAX(1, BT_MIN(bt_json_int(drain, "parallel", 20), 10000)),
      .rebalance = bt_json_bool(rebalance, "automatic", false),
      .moves_per_hour = (int)BT_MAX(1, BT_MIN(bt_json_int(rebalance, "moves_per_hour", 10), 3600)),
  };
}
