/* Images that go by themselves: the runtime is asked now and then whether there is too little room for them, and told which are needed by
 * name. What it then does, and by which measure, is its own. */
#include "config.h"

#include "base/log.h"
#include "node/internal.h"

enum { every_ms = 60000, soon_ms = 2000, collect_deadline_ms = 30 * 60 * 1000 };

static void collected(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_agent *agent = arg;
  (void)result;
  agent->collecting = false;
  if (agent->stopping)
    return;
  if (code != BT_OK && code != BT_CANCELLED)
    bt_warn("node", "images could not be looked through: %s", message);
  bt_timer_set(agent->collect, agent->collect_again ? soon_ms : every_ms);
}

/* Those of the server's apps, and what instances here wait for or are made of. */
static json_t *needed(const struct bt_agent *agent) {
  json_t *list = agent->o.images(agent->o.arg);
  for (struct bt_map_iter it = bt_map_iter(agent->images); bt_map_next(&it);) {
    const struct bt_image *image = it.value;
    const char *const names[] = {image->name, image->tag, image->id};
    for (size_t i = 0; i < BT_COUNT(names); i++)
      if (names[i])
        json_array_append_new(list, bt_json_string(names[i]));
  }
  return list;
}

void bt_images_collect(void *arg) {
  struct bt_agent *agent = arg;
  struct bt_plugin *entry = bt_agent_runtime(agent);
  const struct berth_runtime *table = entry ? bt_plugin_methods(entry, BERTH_RUNTIME) : NULL;
  /* Before it is in step with the server it does not know what is needed here. */
  if (!agent->o.images || !agent->connected || !agent->synced || !table || !BERTH_HAS(table, image_collect) || !table->image_collect) {
    bt_timer_set(agent->collect, every_ms);
    return;
  }
  agent->collect_again = false;
  agent->collecting = true;
  BT_AUTO_JSON keep = needed(agent);
  BT_AUTO_FREE char *keep_json = bt_json_text(keep);
  struct berth_runtime_collect req = {sizeof req, .keep_json = keep_json};
  struct bt_plugin_call call = {.method = "runtime.image_collect", .deadline_ms = collect_deadline_ms, .done = collected, .arg = agent};
  bt_agent_call(agent, image_collect, &call, &req);
}

void bt_images_came(struct bt_agent *agent) {
  agent->collect_again = true;
  if (!agent->collecting && agent->o.images)
    bt_timer_set(agent->collect, soon_ms);
}
