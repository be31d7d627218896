#include "config.h"
#include "model/scheduling.h"

#include "base/json.h"
#include "base/mem.h"
#include "model/section.h"

static const struct bt_key keys[] = {
    {"strategy", BT_KEY_CHOICE, "binpack|spread", 0, 0, "Of services that say none; where absent: binpack for what reserves cpus or memory, spread for the rest."},
    {"preemption", BT_KEY_BOOL, NULL, 0, 0, "Whether who is of higher priority and finds no place gets one that instances of lower priority leave; true by default."},
    {"lost", BT_KEY_OTHER, NULL, 0, 0, "Nodes whose connection is down."},
    {"drain", BT_KEY_OTHER, NULL, 0, 0, "Nodes that are drained."},
    {"rebalance", BT_KEY_OTHER, NULL, 0, 0, "Instances that would have better places."},
    {0}};

json_t *bt_scheduling_read(const struct bt_yaml *section, struct bt_diags *diags) {
  json_t *out = bt_section_read(section, "scheduling", keys, diags);
  bt_scheduling_change_read(section, out, diags);
  return out;
}

json_t *bt_scheduling_schema(void) {
  json_t *schema = bt_section_schema(keys);
  bt_scheduling_change_schema(json_object_get(schema, "properties"));
  return schema;
}

struct bt_scheduling bt_scheduling_of(const json_t *canonical) {
  const char *strategy = bt_json_str(canonical, "strategy");
  return (struct bt_scheduling){.preemption = bt_json_bool(canonical, "preemption", true),
                                .strategy = bt_streq(strategy, "spread") ? "spread" : bt_streq(strategy, "binpack") ? "binpack" : NULL,
                                .change = bt_scheduling_change_of(canonical)};
}
