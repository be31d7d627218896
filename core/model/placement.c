#include "config.h"

#include "model/placement.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

/* What is being read, for its sentences. */
struct reader {
  const char *service;
  const char *key; /* of x-berth.placement */
  size_t index;
  struct bt_placement *out;
  struct bt_err **err;
};

/* ---- words ---- */

bool bt_placement_topology_ok(const char *key) {
  static const char *const keys[] = {"node.role", "node.pool", "node.platform.os", "node.platform.arch"};
  for (size_t i = 0; i < BT_COUNT(keys); i++)
    if (bt_streq(key, keys[i]))
      return true;
  if (strlen(key) > 200 || key[strcspn(key, " \t\r\n,=!<>")])
    return false;
  return (bt_starts(key, "node.labels.") && key[12]) || (bt_starts(key, "engine.labels.") && key[14]);
}

static bool made_of(const char *text, const char *letters, size_t most) {
  size_t len = strlen(text);
  return len > 0 && len <= most && strspn(text, letters) == len;
}

bool bt_placement_taint_ok(const char *key) {
  return bt_streq(key, "*") || made_of(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-", 128);
}

bool bt_placement_name_ok(const char *name) {
  return made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789_-", 63) && name[0] != '_' && name[0] != '-';
}

/* ---- entries ---- */

static int wrong(const struct reader *r, const char *wanted) {
  return bt_err_set(r->err, BT_INVALID, "service %s: x-berth.placement.%s[%zu] must be %s", r->service, r->key, r->index, wanted);
}

static int read_rule(const struct reader *r, const json_t *text, struct bt_rule *out) {
  if (!json_is_string(text))
    return wrong(r, "a rule such as \"node.labels.disk == ssd\"");
  if (bt_rule_parse(json_string_value(text), false, out, r->err))
    return bt_err_wrap(r->err, "service %s: x-berth.placement.%s[%zu]", r->service, r->key, r->index);
  return 0;
}

static int read_require(const struct reader *r, const json_t *item) {
  struct bt_rule rule = {0};
  int rc = read_rule(r, item, &rule);
  bt_vec_push(&r->out->rules, rule);
  return rc;
}

static int read_weight(const struct reader *r, const json_t *item, int least, int *out) {
  long long weight = bt_json_int(item, "weight", BT_PLACEMENT_WEIGHT);
  *out = (int)BT_MAX(least, BT_MIN(weight, BT_PLACEMENT_WEIGHT_MOST));
  return *out == weight ? 0 : wrong(r, least < 0 ? "of a weight from -100 to 100" : "of a weight from 1 to 100");
}

static int read_prefer(const struct reader *r, const json_t *item) {
  struct bt_placement_prefer prefer = {0};
  int rc = read_rule(r, json_object_get(item, "rule"), &prefer.rule);
  if (rc == 0)
    rc = read_weight(r, item, -BT_PLACEMENT_WEIGHT_MOST, &prefer.weight);
  bt_vec_push(&r->out->prefers, prefer);
  return rc;
}

static int read_affinity(const struct reader *r, const json_t *item) {
  const char *topology = bt_json_str_or(item, "topology", "node");
  struct bt_placement_affinity a = {
      .anti = bt_streq(r->key, "anti_affinity"),
      .hard = bt_json_bool(item, "required", true),
      .namespace_ = bt_json_str(item, "namespace"),
      .app = bt_json_str(item, "app"),
      .service = bt_json_str(item, "service"),
      .topology = bt_streq(topology, "node") ? NULL : topology,
  };
  const char *const names[] = {a.namespace_, a.app, a.service};
  for (size_t i = 0; i < BT_COUNT(names); i++)
    if (names[i] && !bt_placement_name_ok(names[i]))
      return wrong(r, "of a service, app or namespace by its name");
  if (!a.service && !a.app && !a.namespace_)
    return wrong(r, "of a service, an app or a namespace");
  if (a.service && a.namespace_ && !a.app)
    return wrong(r, "of an app, where it names a service of a namespace");
  if (a.topology && !bt_placement_topology_ok(a.topology))
    return wrong(r, "over node, node.pool, node.role, node.platform.os, node.platform.arch, node.labels.X or engine.labels.X");
  if (read_weight(r, item, 1, &a.weight))
    return -1;
  bt_vec_push(&r->out->affinities, a);
  return 0;
}

static int read_spread(const struct reader *r, const json_t *item) {
  const char *topology = bt_json_str(item, "topology");
  long long skew = bt_json_int(item, "max_skew", 1);
  if (!topology || !bt_placement_topology_ok(topology))
    return wrong(r, "over node.pool, node.role, node.platform.os, node.platform.arch, node.labels.X or engine.labels.X");
  if (skew < 1 || skew > BT_PLACEMENT_SKEW_MOST)
    return wrong(r, "of a max_skew from 1 to 1000");
  bt_vec_push(&r->out->spreads, ((struct bt_placement_spread){bt_strdup(topology), (int)skew, bt_json_bool(item, "required", true)}));
  return 0;
}

static int read_toleration(const struct reader *r, const json_t *item) {
  const char *key = bt_json_str(item, "key");
  if (!key || !bt_placement_taint_ok(key))
    return wrong(r, "of a taint's key");
  struct bt_placement_toleration t = {bt_streq(key, "*") ? NULL : key, bt_json_str(item, "value")};
  bt_vec_push(&r->out->tolerations, t);
  return 0;
}

static int read_list(struct reader *r, const json_t *placement, const char *key, int (*one)(const struct reader *r, const json_t *item)) {
  const json_t *list = json_object_get(placement, key);
  json_t *item;
  r->key = key;
  if (list && (!json_is_array(list) || json_array_size(list) > BT_PLACEMENT_MOST))
    return bt_err_set(r->err, BT_INVALID, "service %s: x-berth.placement.%s must be a list of at most %d", r->service, key, BT_PLACEMENT_MOST);
  json_array_foreach(list, r->index, item) if (one(r, item)) return -1;
  return 0;
}

/* ---- the whole ---- */

/* Swarm's way: evenly over the values of the first key; within each, over those of the second. */
static void read_preferences(const json_t *deploy, struct bt_placement *out) {
  BT_AUTO_BUF keys = {0};
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(deploy, "preferences"), i, item) {
    const char *key = bt_json_str(item, "spread");
    if (!key || !bt_placement_topology_ok(key) || i >= BT_PLACEMENT_MOST)
      continue;
    bt_buf_addf(&keys, "%s%s", keys.len ? "," : "", key);
    bt_vec_push(&out->spreads, ((struct bt_placement_spread){bt_strdup(keys.data), 1, false}));
  }
}

int bt_placement_parse(const char *service, const json_t *placement, const json_t *deploy, struct bt_placement *out, struct bt_err **err) {
  long long priority = bt_json_int(placement, "priority", 0);
  struct reader r = {.service = service, .out = out, .err = err};
  *out = (struct bt_placement){
      .strategy = bt_json_str(placement, "strategy"),
      .priority = (int)BT_MAX(-BT_PLACEMENT_PRIORITY_MOST, BT_MIN(priority, BT_PLACEMENT_PRIORITY_MOST)),
      .prioritized = json_object_get(placement, "priority") != NULL,
      .gang = bt_json_bool(placement, "gang", false),
  };
  read_preferences(deploy, out);
  if (out->strategy && !bt_streq(out->strategy, "binpack") && !bt_streq(out->strategy, "spread"))
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.placement.strategy \"%.40s\" is neither binpack nor spread", service, out->strategy);
  if (out->priority != priority)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.placement.priority must be from -1000 to 1000", service);
  if (read_list(&r, placement, "require", read_require) || read_list(&r, placement, "prefer", read_prefer) ||
      read_list(&r, placement, "affinity", read_affinity) || read_list(&r, placement, "anti_affinity", read_affinity) ||
      read_list(&r, placement, "spread", read_spread) || read_list(&r, placement, "tolerations", read_toleration))
    return -1;
  return 0;
}

void bt_placement_free(struct bt_placement *p) {
  bt_vec_each(&p->rules, rule) bt_rule_free(rule);
  bt_vec_each(&p->prefers, prefer) bt_rule_free(&prefer->rule);
  bt_vec_each(&p->spreads, spread) free(spread->topology);
  bt_vec_free(&p->rules);
  bt_vec_free(&p->prefers);
  bt_vec_free(&p->affinities);
  bt_vec_free(&p->spreads);
  bt_vec_free(&p->tolerations);
}
