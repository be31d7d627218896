/* x-berth.placement of a service: rules on nodes, nearness to others, spreading, tolerations, priority. What names other services is
 * looked up in rules_placement.c, when all of them are known. */
#include "config.h"

#include "base/mem.h"
#include "compose/xberth.h"
#include "compose/values.h"
#include "model/placement.h"

#define TOPOLOGIES "node.pool, node.role, node.platform.os, node.platform.arch, node.labels.X or engine.labels.X"

typedef void entry(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place);

static void tell(struct bt_load *load, struct bt_loc loc, const struct bt_place *place, const char *sentence) {
  BT_AUTO_FREE char *where = bt_place_text(place);
  bt_diag_error(load->diags, loc, "%s %s", where, sentence);
}

static void each(struct bt_load *load, struct bt_yaml *placement, const char *key, entry *check, const struct bt_place *place) {
  struct bt_yaml *n = bt_yaml_get(placement, key);
  const struct bt_place *here = BT_PLACE_KEY(place, key);
  if (!n)
    return;
  if (n->kind != BT_YAML_SEQ || n->seq.len > BT_PLACEMENT_MOST) {
    BT_AUTO_FREE char *wanted = bt_asprintf("a list of at most %d entries", BT_PLACEMENT_MOST);
    bt_xberth_wrong(load, n, here, wanted);
    return;
  }
  for (size_t i = 0; i < n->seq.len; i++)
    check(load, n->seq.items[i], BT_PLACE_ITEM(here, i));
}

static void rule(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  struct bt_rule parsed = {0};
  BT_AUTO_ERR err = NULL;
  if (n->kind != BT_YAML_STR) {
    bt_xberth_wrong(load, n, place, "a rule such as \"node.labels.disk == ssd\"");
  } else if (bt_rule_parse(n->text, false, &parsed, &err)) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, n->loc, "%s: %s", where, bt_err_message(err));
  }
  bt_rule_free(&parsed);
}

static void prefer(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"rule", "weight", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  if (bt_yaml_get(n, "rule"))
    rule(load, bt_yaml_get(n, "rule"), BT_PLACE_KEY(place, "rule"));
  else
    tell(load, n->loc, place, "needs \"rule\", such as \"node.labels.disk == ssd\"");
  bt_xberth_number(load, n, "weight", -BT_PLACEMENT_WEIGHT_MOST, BT_PLACEMENT_WEIGHT_MOST, BT_PLACEMENT_WEIGHT, place);
}

/* true where it is there, or wrong and told. */
static bool name(struct bt_load *load, const struct bt_yaml *n, const char *key, const struct bt_place *place) {
  const struct bt_yaml *text = bt_yaml_get(n, key);
  if (text && (text->kind != BT_YAML_STR || !bt_placement_name_ok(text->text)))
    bt_xberth_wrong(load, text, BT_PLACE_KEY(place, key), "a name of at most 63 of a-z, 0-9, _ and -, that begins with a letter or digit");
  return text != NULL;
}

static void topology(struct bt_load *load, struct bt_yaml *n, bool node, const struct bt_place *place) {
  const struct bt_yaml *key = bt_yaml_get(n, "topology");
  bool good = key && key->kind == BT_YAML_STR && (bt_placement_topology_ok(key->text) || (node && bt_streq(key->text, "node")));
  if (!key && node)
    bt_xberth_set(n, "topology", bt_yaml_str("node", n->loc));
  else if (!key)
    tell(load, n->loc, place, "needs \"topology\", such as node.labels.zone; over nodes, write \"strategy: spread\"");
  else if (!good)
    bt_xberth_wrong(load, key, BT_PLACE_KEY(place, "topology"), node ? "node, " TOPOLOGIES : TOPOLOGIES);
}

static bool required(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  bt_xberth_flag(load, n, "required", true, place);
  const struct bt_yaml *flag = bt_yaml_get(n, "required");
  return flag->kind != BT_YAML_BOOL || flag->boolean;
}

static void affinity(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"service", "app", "namespace", "topology", "required", "weight", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  bool service = name(load, n, "service", place), app = name(load, n, "app", place), ns = name(load, n, "namespace", place);
  if (!service && !app && !ns)
    tell(load, n->loc, place, "needs \"service\", \"app\" or \"namespace\"");
  if (service && ns && !app)
    tell(load, n->loc, place, "needs \"app\" as well, since a service belongs to an app of the namespace");
  topology(load, n, true, place);
  bool hard = required(load, n, place);
  const struct bt_yaml *weight = bt_yaml_get(n, "weight");
  if (!hard)
    bt_xberth_number(load, n, "weight", 1, BT_PLACEMENT_WEIGHT_MOST, BT_PLACEMENT_WEIGHT, place);
  else if (weight)
    tell(load, weight->loc, BT_PLACE_KEY(place, "weight"), "is of what is only preferred; add \"required: false\" or leave it out");
}

static void spread(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"topology", "max_skew", "required", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  topology(load, n, false, place);
  bool hard = required(load, n, place);
  const struct bt_yaml *skew = bt_yaml_get(n, "max_skew");
  if (hard)
    bt_xberth_number(load, n, "max_skew", 1, BT_PLACEMENT_SKEW_MOST, 1, place);
  else if (skew)
    tell(load, skew->loc, BT_PLACE_KEY(place, "max_skew"), "is of a spread that is required; leave it out, or \"required: false\"");
}

static void toleration(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"key", "value", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  const struct bt_yaml *key = bt_yaml_get(n, "key");
  struct bt_yaml *value = bt_yaml_get(n, "value");
  BT_AUTO_FREE char *text = value && bt_is_scalar(value) && value->kind != BT_YAML_NULL ? bt_compose_scalar_text(value) : NULL;
  if (!key)
    tell(load, n->loc, place, "needs \"key\", that of the taint, or \"*\" for every taint");
  else if (key->kind != BT_YAML_STR || !bt_placement_taint_ok(key->text))
    bt_xberth_wrong(load, key, BT_PLACE_KEY(place, "key"), "the key of a taint, of at most 128 letters, digits, . _ / and -, or \"*\" for every taint");
  else if (value && bt_streq(key->text, "*"))
    tell(load, value->loc, BT_PLACE_KEY(place, "value"), "means nothing beside the key \"*\", which tolerates every taint; leave it out");
  if (!value)
    return;
  if (!text || !*text || strlen(text) > 128 || strpbrk(text, "\r\n"))
    bt_xberth_wrong(load, value, BT_PLACE_KEY(place, "value"), "the value of a taint, one line of at most 128 bytes; leave it out for any");
  else
    bt_node_become(value, bt_yaml_str(text, value->loc));
}

void bt_xberth_placement(struct bt_load *load, struct bt_yaml *placement, const struct bt_place *place) {
  static const char *const keys[] = {"strategy", "require", "prefer", "affinity", "anti_affinity", "spread", "tolerations", "priority", "gang", NULL},
                           *const strategies[] = {"binpack", "spread", NULL};
  if (!bt_xberth_only(load, placement, place, keys))
    return;
  if (bt_yaml_get(placement, "strategy")) /* without it the server's own rule holds */
    bt_xberth_word(load, placement, "strategy", strategies, place);
  each(load, placement, "require", rule, place);
  each(load, placement, "prefer", prefer, place);
  each(load, placement, "affinity", affinity, place);
  each(load, placement, "anti_affinity", affinity, place);
  each(load, placement, "spread", spread, place);
  each(load, placement, "tolerations", toleration, place);
  const struct bt_yaml *priority = bt_yaml_get(placement, "priority");
  if (priority)
    bt_xberth_number(load, placement, "priority", -BT_PLACEMENT_PRIORITY_MOST, BT_PLACEMENT_PRIORITY_MOST, -1, place);
  if (bt_yaml_get(placement, "gang"))
    bt_xberth_flag(load, placement, "gang", false, place);
}
