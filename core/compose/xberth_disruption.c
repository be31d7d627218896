/* x-berth.disruption of a service: how many of its instances may be missing for others' needs. */
#include "config.h"

#include "base/mem.h"
#include "compose/values.h"
#include "compose/xberth.h"
#include "model/disruption.h"

/* An integer, or a share: that one stays a text. */
static void amount(struct bt_load *load, struct bt_yaml *map, const char *key, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  long long v = 0;
  int share = 0;
  if (!n || (n->kind == BT_YAML_STR && bt_amount_percent(n->text, &share)))
    return;
  if (n->kind == BT_YAML_FLOAT || !bt_value_int(n, &v) || v < 0 || v > BT_DISRUPTION_MOST)
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), "an integer from 0 to 100000, or a share such as \"25%\"");
  else
    bt_xberth_set(map, key, bt_yaml_int(v, n->loc));
}

void bt_xberth_disruption(struct bt_load *load, struct bt_yaml *disruption, const struct bt_place *place) {
  static const char *const keys[] = {"max_unavailable", "min_available", NULL};
  if (!bt_xberth_only(load, disruption, place, keys))
    return;
  amount(load, disruption, "max_unavailable", place);
  amount(load, disruption, "min_available", place);
}
