/* The operator's settings: sections of berthd.yaml that are the control core's. They are not stored: the file is what counts, and is given at
 * each start and reload. What a changed section means for what runs already is said where it is taken: nothing that runs is taken away. */
#include "config.h"

#include "control/internal.h"

void ctl_settings_take(struct bt_control *c, const json_t *settings) {
  json_decref(c->settings);
  c->settings = settings ? json_deep_copy(settings) : json_object();
  bt_pools_free(&c->pools);
  c->pools = bt_pools_of(json_object_get(c->settings, "pools"));
  ctl_quota_take(c, json_object_get(c->settings, "namespaces"));
  c->scheduling = bt_scheduling_of(json_object_get(c->settings, "scheduling"));
}

void ctl_settings_free(struct bt_control *c) {
  bt_pools_free(&c->pools);
  json_decref(c->settings);
}

/* Who may be where is decided anew for what comes from now on. */
void ctl_settings_put(struct bt_control *c, const struct bt_request *request) {
  if (!bt_json_equal(c->settings, request->args)) {
    ctl_settings_take(c, request->args);
    for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
      ctl_fleet_node(c, it.value);
    ctl_fleet_renew(c);
    ctl_rebalance_due(c);
    ctl_event(c, "info", "settings.changed", NULL, NULL, NULL, NULL, "%s changes pools, namespaces or scheduling", request->actor);
    for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
      ctl_dirty(it.value);
  }
  ctl_reply(c, request->id, json_object());
}

/* ---- what readers see ---- */

struct sums {
  int nodes, open;
  int64_t there[BT_FLEET_DIMS], may[BT_FLEET_DIMS], reserved[BT_FLEET_DIMS];
};

static void add_node(const struct bt_control *c, const struct ctl_node *node, struct sums *sums) {
  const int64_t there[] = {[BT_DIM_CPU] = (int64_t)(bt_json_num(node->info, "cpus", 0) * 1000), [BT_DIM_MEMORY] = bt_json_int(node->info, "memory", 0)};
  sums->nodes++;
  sums->open += ctl_node_open(node);
  for (int dim = BT_DIM_CPU; dim <= BT_DIM_MEMORY; dim++) {
    int64_t used = bt_fleet_node_used(c->fleet, node->number, dim);
    sums->there[dim] += there[dim];
    sums->may[dim] += there[dim] ? bt_fleet_node_free(c->fleet, node->number, dim) + used : 0;
    sums->reserved[dim] += used;
  }
}

static json_t *pool_json(const struct bt_control *c, const struct bt_pool *pool, const json_t *said) {
  struct sums sums = {0};
  for (struct bt_map_iter it = bt_map_iter(c->nodes); bt_map_next(&it);)
    if (ctl_fleet_pool(c, it.value) == pool)
      add_node(c, it.value, &sums);
  json_t *o = said ? json_copy((json_t *)(uintptr_t)said) : json_object();
  bt_json_set_str(o, "pool", pool ? pool->name : "default");
  json_object_del(o, "name");
  bt_json_set_int(o, "nodes", sums.nodes);
  bt_json_set_int(o, "open", sums.open);
  bt_json_set(o, "cpus", json_real((double)sums.there[BT_DIM_CPU] / 1000));
  bt_json_set(o, "cpus_allocatable", json_real((double)sums.may[BT_DIM_CPU] / 1000));
  bt_json_set(o, "cpus_reserved", json_real((double)sums.reserved[BT_DIM_CPU] / 1000));
  bt_json_set_int(o, "memory", sums.there[BT_DIM_MEMORY]);
  bt_json_set_int(o, "memory_allocatable", sums.may[BT_DIM_MEMORY]);
  bt_json_set_int(o, "memory_reserved", sums.reserved[BT_DIM_MEMORY]);
  return o;
}

json_t *bt_control_pools(const struct bt_control *c) {
  json_t *list = json_array();
  const json_t *said = json_object_get(c->settings, "pools");
  for (size_t i = 0; i < c->pools.len; i++)
    json_array_append_new(list, pool_json(c, &c->pools.items[i], json_array_get(said, i)));
  json_array_append_new(list, pool_json(c, NULL, NULL));
  return list;
}
