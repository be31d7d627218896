/* Whether the names that an instance shares with others (its service's, aliases) lead to it: only while it is ready. For runtimes that answer
 * names themselves; in others the engine's own server names whatever runs. A runtime takes a container for ready until it is told, so
 * only those with probes or a health check cost a call. */
#include "config.h"

#include "base/log.h"
#include "node/internal.h"

enum { deadline_ms = 30000 };

static void told(void *arg, enum bt_code code, const char *message, json_t *result) {
  (void)arg, (void)result;
  if (code != BT_OK && code != BT_NOT_FOUND && code != BT_CANCELLED)
    bt_warn("node", "the runtime does not take who is ready: %s", message);
}

void bt_inst_names(struct bt_inst *in, bool ready) {
  enum bt_names wanted = ready ? BT_NAMES_ON : BT_NAMES_OFF;
  if (!in->container_id || in->names == wanted || !bt_agent_feature(in->agent, "ready"))
    return;
  in->names = wanted;
  struct berth_runtime_ready req = {sizeof req, .id = in->container_id, .ready = ready};
  struct bt_plugin_call call = {.method = "runtime.ready", .deadline_ms = deadline_ms, .done = told, .arg = in->agent};
  bt_agent_call(in->agent, ready, &call, &req);
}

void bt_inst_names_at_start(struct bt_inst *in) {
  const json_t *probes = bt_json_obj(in->klass, "probes");
  bool checked = bt_json_bool(in->klass, "healthcheck", false) || json_object_get(probes, "startup") || json_object_get(probes, "readiness");
  bt_inst_names(in, !checked);
}
