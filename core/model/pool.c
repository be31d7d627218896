#include "config.h"
#include "model/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/placement.h"
#include "model/section.h"

static const struct bt_key pool_keys[] = {
    {"name", BT_KEY_TEXT, NULL, 0, 0, "The pool's name; nodes have it as node.pool."},
    {"match", BT_KEY_TEXTS, NULL, 0, 0, "Rules such as \"node.labels.gpu == true\"; a node is of the first pool whose rules all hold. None: every node."},
    {"taints", BT_KEY_OTHER, NULL, 0, 0, "What keeps services away that do not tolerate it."},
    {"reserve", BT_KEY_OTHER, NULL, 0, 0, "What is kept back on each node of it."},
    {"overcommit", BT_KEY_OTHER, NULL, 0, 0, "How many times what is there may be reserved."},
    {"namespaces", BT_KEY_TEXTS, NULL, 0, 0, "Only these namespaces may run there; all where absent."},
    {0}};
static const struct bt_key taint_keys[] = {
    {"key", BT_KEY_TEXT, NULL, 0, 0, "Its name, which x-berth.placement.tolerations says."},
    {"value", BT_KEY_TEXT, NULL, 0, 0, "Its value."},
    {"effect", BT_KEY_CHOICE, "no-schedule|prefer-not", 0, 0, "no-schedule: nothing new goes there; prefer-not: only where nothing else is free."},
    {0}};
static const struct bt_key reserve_keys[] = {{"cpus", BT_KEY_CPUS, NULL, 0, 0, "CPUs."}, {"memory", BT_KEY_SIZE, NULL, 0, 0, "Memory."}, {0}};
static const struct bt_key over_keys[] = {{"cpus", BT_KEY_NUMBER, NULL, 0.1, 100, "Times the CPUs; 1 where absent."},
                                          {"memory", BT_KEY_NUMBER, NULL, 0.1, 100, "Times the memory; 1 where absent."},
                                          {0}};

/* ---- from the tree ---- */

static void check_rules(const struct bt_yaml *pool, struct bt_diags *diags) {
  const struct bt_yaml *list = bt_yaml_get(pool, "match");
  if (!list || list->kind != BT_YAML_SEQ)
    return;
  bt_vec_each(&list->seq, item) {
    BT_AUTO_ERR err = NULL;
    struct bt_rule rule = {0};
    if ((*item)->kind != BT_YAML_STR)
      continue;
    if (bt_rule_parse((*item)->text, false, &rule, &err))
      bt_diag_error(diags, (*item)->loc, "%s", bt_err_message(err));
    else if (bt_streq(rule.key, "node.pool"))
      bt_diag_error(diags, (*item)->loc, "a pool cannot match by node.pool: a node has that of its pool");
    bt_rule_free(&rule);
  }
}

static void read_taints(const struct bt_yaml *pool, json_t *out, struct bt_diags *diags) {
  const struct bt_yaml *list = bt_section_list(pool, "a pool", "taints", diags);
  json_t *taints = json_array();
  for (size_t i = 0; list && i < list->seq.len; i++) {
    const struct bt_yaml *item = list->seq.items[i];
    json_t *taint = bt_section_read(item, "a taint", taint_keys, diags);
    const char *key = bt_json_str(taint, "key");
    if (!key && item->kind == BT_YAML_MAP)
      bt_diag_error(diags, item->loc, "a taint needs a \"key\"");
    else if (key && (!bt_placement_taint_ok(key) || bt_streq(key, "*")))
      bt_diag_error(diags, item->loc, "\"%.80s\" cannot be a taint's key: letters, digits and . _ / - are", key);
    json_array_append_new(taints, taint);
  }
  if (json_array_size(taints) > BT_PLACEMENT_MOST)
    bt_diag_error(diags, list->loc, "a pool has at most %d taints", BT_PLACEMENT_MOST);
  json_object_set_new(out, "taints", taints);
}

static void check_names(const struct bt_yaml *pool, const json_t *out, const json_t *before, struct bt_diags *diags) {
  const char *name = bt_json_str(out, "name");
  size_t i;
  json_t *other;
  if (!name) {
    const struct bt_yaml *said = pool->kind == BT_YAML_MAP ? bt_yaml_get(pool, "name") : pool;
    if (!said || said->kind == BT_YAML_NULL)
      bt_diag_error(diags, pool->loc, "a pool needs a \"name\"");
    return;
  }
  struct bt_loc at = bt_yaml_get(pool, "name")->loc;
  if (!bt_section_name_ok(name) || bt_streq(name, "default"))
    bt_diag_error(diags, at, "\"%.80s\" cannot be a pool's name: a-z, 0-9, _ and - are, at most 63; \"default\" is the pool of nodes that are in no other", name);
  json_array_foreach(before, i, other) if (bt_streq(bt_json_str(other, "name"), name))
      bt_diag_error(diags, at, "a second pool is named \"%.80s\"", name);
  json_array_foreach(bt_json_arr(out, "namespaces"), i, other) if (!bt_section_name_ok(json_string_value(other)))
      bt_diag_error(diags, bt_yaml_get(pool, "namespaces")->loc, "\"%.80s\" cannot be a namespace's name", json_string_value(other));
}

json_t *bt_pools_read(const struct bt_yaml *section, struct bt_diags *diags) {
  json_t *list = json_array();
  if (!section || section->kind == BT_YAML_NULL)
    return list;
  if (section->kind != BT_YAML_SEQ || section->seq.len > BT_POOLS_MOST) {
    bt_diag_error(diags, section->loc, "pools must be a list of at most %d pools", BT_POOLS_MOST);
    return list;
  }
  bt_vec_each(&section->seq, item) {
    json_t *pool = bt_section_read(*item, "a pool", pool_keys, diags);
    check_names(*item, pool, list, diags);
    check_rules(*item, diags);
    read_taints(*item, pool, diags);
    json_object_set_new(pool, "reserve", bt_section_read(bt_yaml_get(*item, "reserve"), "a pool's reserve", reserve_keys, diags));
    json_object_set_new(pool, "overcommit", bt_section_read(bt_yaml_get(*item, "overcommit"), "a pool's overcommit", over_keys, diags));
    json_array_append_new(list, pool);
  }
  return list;
}

json_t *bt_pools_schema(void) {
  json_t *pool = bt_section_schema(pool_keys), *properties = json_object_get(pool, "properties");
  json_t *taints = json_pack("{s:s,s:i,s:o}", "type", "array", "maxItems", BT_PLACEMENT_MOST, "items", bt_section_schema(taint_keys));
  json_object_update(json_object_get(properties, "taints"), taints);
  json_decref(taints);
  BT_AUTO_JSON reserve = bt_section_schema(reserve_keys);
  BT_AUTO_JSON over = bt_section_schema(over_keys);
  json_object_update(json_object_get(properties, "reserve"), reserve);
  json_object_update(json_object_get(properties, "overcommit"), over);
  json_object_set_new(pool, "required", json_pack("[s]", "name"));
  return json_pack("{s:[s,s],s:i,s:o}", "type", "array", "null", "maxItems", BT_POOLS_MOST, "items", pool);
}

/* ---- from canonical JSON ---- */

static struct bt_pool pool_of(const json_t *o) {
  const json_t *reserve = bt_json_obj(o, "reserve"), *over = bt_json_obj(o, "overcommit");
  struct bt_pool pool = {.name = bt_strdup(bt_json_str_or(o, "name", "")),
                         .reserve_cpu = (int64_t)(bt_json_num(reserve, "cpus", 0) * 1000 + 0.5),
                         .reserve_memory = bt_json_int(reserve, "memory", 0),
                         .over_cpus = bt_json_num(over, "cpus", 1),
                         .over_memory = bt_json_num(over, "memory", 1)};
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(o, "match"), i, item) {
    struct bt_rule rule = {0};
    if (json_is_string(item) && bt_rule_parse(json_string_value(item), false, &rule, NULL) == 0)
      bt_vec_push(&pool.match, rule);
    else
      bt_rule_free(&rule);
  }
  json_array_foreach(bt_json_arr(o, "taints"), i, item) if (bt_json_str(item, "key")) {
    struct bt_pool_taint taint = {bt_strdup(bt_json_str(item, "key")), bt_strdup(bt_json_str_or(item, "value", "")),
                                  bt_streq(bt_json_str(item, "effect"), "prefer-not")};
    bt_vec_push(&pool.taints, taint);
  }
  json_array_foreach(bt_json_arr(o, "namespaces"), i, item) if (json_is_string(item))
      bt_strs_add(&pool.namespaces, json_string_value(item));
  return pool;
}

struct bt_pools bt_pools_of(const json_t *canonical) {
  struct bt_pools pools = {0};
  size_t i;
  json_t *item;
  json_array_foreach(canonical, i, item) bt_vec_push(&pools, pool_of(item));
  return pools;
}

void bt_pools_free(struct bt_pools *pools) {
  bt_vec_each(pools, pool) {
    bt_vec_each(&pool->match, rule) bt_rule_free(rule);
    bt_vec_each(&pool->taints, taint) {
      free(taint->key);
      free(taint->value);
    }
    bt_vec_free(&pool->match);
    bt_vec_free(&pool->taints);
    bt_strs_free(&pool->namespaces);
    free(pool->name);
  }
  bt_vec_free(pools);
}

const struct bt_pool *bt_pools_find(const struct bt_pools *pools, const char *(*value)(void *arg, const char *key), void *arg) {
  bt_vec_each(pools, pool) {
    bool all = true;
    bt_vec_each(&pool->match, rule) all = all && bt_rule_holds(rule, value(arg, rule->key));
    if (all)
      return pool;
  }
  return NULL;
}
