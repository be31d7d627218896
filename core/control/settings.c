/* The operator's settings: sections of berthd.yaml that are the control core's. They are not stored: the file is what counts, and is given at
 * each start and reload. What a changed section means for what runs already is said where it is taken: nothing that runs is taken away. */
#include "config.h"

#include "control/internal.h"

void ctl_settings_take(struct bt_control *c, const json_t *settings) {
  json_decref(c->settings);
  c->settings = settings ? json_deep_copy(settings) : json_object();
  bt_pools_free(&c->pools);
  c->pools = bt_pools_of(json_object_get(c->settings, "pools"));
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
    ctl_event(c, "info", "settings.changed", NULL, NULL, NULL, NULL, "%s changes pools or scheduling", request->actor);
    for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
      ctl_dirty(it.value);
  }
  ctl_reply(c, request->id, json_object());
}
