#include "config.h"
#include "model/quota.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/size.h"
#include "model/section.h"

#define MOST_COUNT 1e9
#define MOST_PRIORITY 1e9

static const struct bt_key namespace_keys[] = {
    {"parent", BT_KEY_TEXT, NULL, 0, 0, "The namespace that it is within: what it uses counts there as well."},
    {"weight", BT_KEY_INT, NULL, 1, 1000, "Its share beside others where there is not enough for all; 1 where absent."},
    {"priority", BT_KEY_INT, NULL, -MOST_PRIORITY, MOST_PRIORITY, "Of its services that say none, and the most that other namespaces see of the rest; 0 where absent."},
    {"quota", BT_KEY_OTHER, NULL, 0, 0, "What it may use at the most, with all namespaces within it."},
    {"defaults", BT_KEY_OTHER, NULL, 0, 0, "What an instance reserves whose service neither reserves nor limits it."},
    {"range", BT_KEY_OTHER, NULL, 0, 0, "How small and how large an instance may be: [least, most], null for any."},
    {0}};
static const struct bt_key quota_keys[] = {
    {"cpus", BT_KEY_CPUS, NULL, 0, 0, "CPUs that are reserved; of what reserves none, those of its limit."},
    {"memory", BT_KEY_SIZE, NULL, 0, 0, "Memory that is reserved; of what reserves none, that of its limit."},
    {"instances", BT_KEY_INT, NULL, 0, MOST_COUNT, "Instances."},
    {"volumes", BT_KEY_INT, NULL, 0, MOST_COUNT, "Named volumes, also those that outlived their app."},
    {"devices", BT_KEY_INT, NULL, 0, MOST_COUNT, "Devices that instances reserve."},
    {"routes", BT_KEY_INT, NULL, 0, MOST_COUNT, "Routes of services."},
    {0}};
static const struct bt_key default_keys[] = {{"cpus", BT_KEY_CPUS, NULL, 0, 0, "CPUs."}, {"memory", BT_KEY_SIZE, NULL, 0, 0, "Memory."}, {0}};
static const struct bt_key range_keys[] = {{"cpus", BT_KEY_OTHER, NULL, 0, 0, "CPUs of an instance: [least, most]."},
                                           {"memory", BT_KEY_OTHER, NULL, 0, 0, "Memory of an instance: [least, most]."},
                                           {0}};

const char *bt_quota_name(enum bt_quota_dim dim) { return quota_keys[dim].name; }

/* ---- from the tree ---- */

/* One end of a range: a new reference, null where any will do, NULL where it is neither. */
static json_t *read_end(const struct bt_yaml *n, int size) {
  int64_t bytes;
  double v = n->kind == BT_YAML_INT ? (double)n->integer : n->kind == BT_YAML_FLOAT ? n->real : -1;
  if (n->kind == BT_YAML_NULL)
    return json_null();
  if (size == BT_QUOTA_CPUS)
    return v >= 0 && v <= 1e6 ? json_real(v) : NULL;
  return (n->kind == BT_YAML_STR || n->kind == BT_YAML_INT) && bt_size_parse(n->text, &bytes) ? json_integer(bytes) : NULL;
}

static json_t *read_ends(const struct bt_yaml *n, int size) {
  if (n->kind != BT_YAML_SEQ || n->seq.len != 2)
    return NULL;
  BT_AUTO_JSON ends = json_array();
  for (size_t i = 0; i < 2; i++) {
    json_t *end = read_end(n->seq.items[i], size);
    if (!end)
      return NULL;
    json_array_append_new(ends, end);
  }
  const json_t *least = json_array_get(ends, 0), *most = json_array_get(ends, 1);
  bool turned = json_is_number(least) && json_is_number(most) && json_number_value(least) > json_number_value(most);
  return turned ? NULL : json_incref(ends);
}

static json_t *read_range(const struct bt_yaml *range, struct bt_diags *diags) {
  json_t *out = bt_section_read(range, "a namespace's range", range_keys, diags);
  for (int d = 0; d < BT_QUOTA_SIZES; d++) {
    const struct bt_yaml *n = bt_yaml_get(range, bt_quota_name(d));
    json_t *ends = n && n->kind != BT_YAML_NULL ? read_ends(n, d) : NULL;
    if (ends)
      json_object_set_new(out, bt_quota_name(d), ends);
    else if (n && n->kind != BT_YAML_NULL)
      bt_diag_error(diags, n->loc, "\"%s\" of a namespace's range must be [least, most] such as %s, with null for any", bt_quota_name(d),
                    d == BT_QUOTA_CPUS ? "[0.1, 4]" : "[64MiB, 8GiB]");
  }
  return out;
}

static void check_default(const struct bt_yaml *n, const json_t *o, int size, struct bt_diags *diags) {
  const char *key = bt_quota_name(size);
  const json_t *usual = json_object_get(bt_json_obj(o, "defaults"), key), *ends = bt_json_arr(bt_json_obj(o, "range"), key);
  double v = json_number_value(usual), least = json_number_value(json_array_get(ends, 0)), most = json_number_value(json_array_get(ends, 1));
  if (usual && (v < least || (most > 0 && v > most)))
    bt_diag_error(diags, bt_yaml_get(bt_yaml_get(n, "defaults"), key)->loc, "\"%s\" of a namespace's defaults is outside of its range", key);
}

static void check_parent(const struct bt_yaml *section, const struct bt_yaml_pair *pair, struct bt_diags *diags) {
  const struct bt_yaml *n = bt_yaml_get(pair->value, "parent");
  if (!n || n->kind != BT_YAML_STR)
    return;
  if (!bt_yaml_get(section, n->text)) {
    struct bt_nearest near = bt_nearest_start(n->text);
    char hint[96];
    bt_vec_each(&section->map, other) bt_nearest_try(&near, other->key);
    bt_diag_error(diags, n->loc, "namespace %s has the parent \"%.63s\", which is not among the namespaces%s", pair->key, n->text,
                  bt_nearest_hint(near.best, hint));
    return;
  }
  const struct bt_yaml *at = n;
  for (int level = 1; at && at->kind == BT_YAML_STR; level++) {
    if (bt_streq(at->text, pair->key) || level >= BT_NAMESPACES_DEEPEST) {
      bt_diag_error(diags, n->loc, bt_streq(at->text, pair->key) ? "the parents of namespace %s go in a circle" : "the parents of namespace %s go deeper than %d levels",
                    pair->key, BT_NAMESPACES_DEEPEST);
      return;
    }
    at = bt_yaml_get(bt_yaml_get(section, at->text), "parent");
  }
}

/* More than a parent has can never be used: most likely a slip. */
static void check_within(const struct bt_yaml_pair *pair, const json_t *all, struct bt_diags *diags) {
  const json_t *o = json_object_get(all, pair->key), *up = json_object_get(all, bt_json_str_or(o, "parent", ""));
  const char *key;
  json_t *limit;
  json_object_foreach(bt_json_obj(o, "quota"), key, limit) {
    const json_t *above = json_object_get(bt_json_obj(up, "quota"), key);
    if (above && json_number_value(limit) > json_number_value(above))
      bt_diag_warn(diags, bt_yaml_get(bt_yaml_get(pair->value, "quota"), key)->loc, "the quota of %s of namespace %s is larger than that of its parent %s", key,
                   pair->key, bt_json_str(o, "parent"));
  }
}

static json_t *read_one(const struct bt_yaml_pair *pair, struct bt_diags *diags) {
  json_t *o = bt_section_read(pair->value, "a namespace", namespace_keys, diags);
  if (!bt_section_name_ok(pair->key))
    bt_diag_error(diags, pair->loc, "\"%.80s\" cannot be a namespace's name: a-z, 0-9, _ and - are, at most 63", pair->key);
  bt_json_set(o, "quota", bt_section_read(bt_yaml_get(pair->value, "quota"), "a namespace's quota", quota_keys, diags));
  bt_json_set(o, "defaults", bt_section_read(bt_yaml_get(pair->value, "defaults"), "a namespace's defaults", default_keys, diags));
  bt_json_set(o, "range", read_range(bt_yaml_get(pair->value, "range"), diags));
  for (int d = 0; d < BT_QUOTA_SIZES; d++)
    check_default(pair->value, o, d, diags);
  return o;
}

json_t *bt_namespaces_read(const struct bt_yaml *section, struct bt_diags *diags) {
  json_t *all = json_object();
  if (!section || section->kind == BT_YAML_NULL)
    return all;
  if (section->kind != BT_YAML_MAP || section->map.len > BT_NAMESPACES_MOST) {
    bt_diag_error(diags, section->loc, "namespaces must be a mapping of at most %d names to their settings", BT_NAMESPACES_MOST);
    return all;
  }
  bt_vec_each(&section->map, pair) {
    bt_json_set(all, pair->key, read_one(pair, diags));
    check_parent(section, pair, diags);
  }
  bt_vec_each(&section->map, pair) check_within(pair, all, diags);
  return all;
}

static json_t *range_schema(void) {
  json_t *schema = bt_section_schema(range_keys), *properties = json_object_get(schema, "properties");
  for (int d = 0; d < BT_QUOTA_SIZES; d++) {
    BT_AUTO_JSON ends = json_pack("{s:s,s:i,s:i,s:{s:[s,s,s]}}", "type", "array", "minItems", 2, "maxItems", 2, "items", "type", "number",
                                  d == BT_QUOTA_CPUS ? "number" : "string", "null");
    if (d == BT_QUOTA_CPUS)
      json_array_remove(json_object_get(json_object_get(ends, "items"), "type"), 1);
    json_object_update(json_object_get(properties, bt_quota_name(d)), ends);
  }
  return schema;
}

json_t *bt_namespaces_schema(void) {
  json_t *one = bt_section_schema(namespace_keys), *properties = json_object_get(one, "properties");
  BT_AUTO_JSON quota = bt_section_schema(quota_keys);
  BT_AUTO_JSON usual = bt_section_schema(default_keys);
  BT_AUTO_JSON range = range_schema();
  json_object_update(quota, json_object_get(properties, "quota"));
  json_object_update(usual, json_object_get(properties, "defaults"));
  json_object_update(range, json_object_get(properties, "range"));
  json_object_set(properties, "quota", quota);
  json_object_set(properties, "defaults", usual);
  json_object_set(properties, "range", range);
  return json_pack("{s:[s,s],s:i,s:{s:s},s:o}", "type", "object", "null", "maxProperties", BT_NAMESPACES_MOST, "propertyNames", "pattern",
                   "^[a-z0-9][a-z0-9_-]{0,62}$", "additionalProperties", one);
}

/* ---- from canonical JSON ---- */

/* In the unit of its kind; other where it is absent. */
static int64_t amount(const json_t *value, int dim, int64_t other) {
  if (!json_is_number(value))
    return other;
  return dim == BT_QUOTA_CPUS ? (int64_t)llround(json_number_value(value) * 1000) : (int64_t)json_integer_value(value);
}

static struct bt_namespace namespace_of(const char *name, const json_t *o) {
  const json_t *quota = bt_json_obj(o, "quota"), *usual = bt_json_obj(o, "defaults"), *range = bt_json_obj(o, "range");
  struct bt_namespace n = {.name = bt_strdup(name),
                           .parent = bt_strdup(bt_json_str(o, "parent")),
                           .weight = (int)bt_json_int(o, "weight", 1),
                           .priority = (int)bt_json_int(o, "priority", 0)};
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    n.limit[d] = amount(json_object_get(quota, bt_quota_name(d)), d, BT_QUOTA_NO_LIMIT);
  for (int d = 0; d < BT_QUOTA_SIZES; d++) {
    const json_t *ends = bt_json_arr(range, bt_quota_name(d));
    n.usual[d] = amount(json_object_get(usual, bt_quota_name(d)), d, 0);
    n.least[d] = amount(json_array_get(ends, 0), d, 0);
    n.most[d] = amount(json_array_get(ends, 1), d, 0);
  }
  return n;
}

struct bt_namespaces bt_namespaces_of(const json_t *canonical) {
  struct bt_namespaces all = {0};
  const char *name;
  json_t *o;
  json_object_foreach((json_t *)(uintptr_t)canonical, name, o) bt_vec_push(&all, namespace_of(name, o));
  return all;
}

void bt_namespaces_free(struct bt_namespaces *all) {
  bt_vec_each(all, n) {
    free(n->name);
    free(n->parent);
  }
  bt_vec_free(all);
}
