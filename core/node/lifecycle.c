/* One instance on its way down: pre_stop hooks, stop signal and grace, removal; and the restart in place. */
#include "config.h"

#include "base/log.h"
#include "node/internal.h"

enum { stop_slack_ms = 30000 };

static int64_t grace_ms(const struct bt_inst *in) { return bt_json_int(in->klass, "stop_grace_ms", 10000); }

/* ---------------------------------------------------------------- gone */

static void forget(struct bt_inst *in) {
  struct bt_agent *agent = in->agent;
  in->state = BT_INST_REMOVED;
  in->ready = false;
  bt_inst_tell(in);
  bt_content_remove(agent, in->id);
  bt_slot_release(in);
  bt_map_del(agent->instances, in->id); /* frees in */
  bt_ports_changed(agent);
}

/* A stop or a removal has ended. A container that is not there is as good; what failed is tried again: false. */
static bool went_down(struct bt_inst *in, enum bt_code code, const char *message) {
  in->op = 0;
  in->busy = false;
  bt_slot_release(in);
  if (code == BT_OK || code == BT_NOT_FOUND)
    return true;
  bt_str_set(&in->error, message);
  bt_inst_retry_in(in, 1000);
  return false;
}

static void removed(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)result;
  if (!went_down(in, code, message))
    return;
  bt_inst_set_container(in, NULL);
  bt_inst_step(in);
}

static void remove_container(struct bt_inst *in) {
  struct berth_runtime_container req = {sizeof req, .id = in->container_id, .force = true, .volumes = true};
  struct bt_plugin_call call = {.method = "runtime.remove", .deadline_ms = 60000, .done = removed, .arg = in};
  in->busy = true;
  in->op = bt_agent_call(in->agent, remove, &call, &req);
}

static void stopped(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)result;
  if (!went_down(in, code, message))
    return;
  in->running = false;
  if (code == BT_NOT_FOUND)
    bt_inst_set_container(in, NULL);
  bt_inst_step(in);
}

static void stop_container(struct bt_inst *in) {
  if (!bt_slot_take(in))
    return;
  struct berth_runtime_container req = {sizeof req, .id = in->container_id, .timeout_ms = grace_ms(in)};
  struct bt_plugin_call call = {
      .method = "runtime.stop", .deadline_ms = grace_ms(in) + stop_slack_ms, .done = stopped, .arg = in};
  in->busy = true;
  in->op = bt_agent_call(in->agent, stop, &call, &req);
}

static void pre_stop_done(struct bt_inst *in, const char *error) {
  in->busy = false;
  if (in->agent->stopping)
    return;
  if (error)
    bt_warn("node", "%s: pre_stop hook: %s", in->id, error);
  if (in->running)
    stop_container(in);
  else
    bt_inst_step(in);
}

/* Out of the proxy first (ready is false), then the hook, then the signal. */
static void begin_stop(struct bt_inst *in) {
  bool first = in->state != BT_INST_STOPPING;
  in->state = BT_INST_STOPPING;
  in->ready = false;
  bt_inst_names(in, false);
  bt_probes_stop(in);
  bt_inst_tell(in);
  if (first) {
    in->busy = true;
    bt_hooks_run(in, "pre_stop", pre_stop_done);
  } else {
    stop_container(in);
  }
}

void bt_inst_step_down(struct bt_inst *in) {
  if (in->container_id && in->running)
    begin_stop(in);
  else if (in->container_id && bt_slot_take(in))
    remove_container(in);
  else if (!in->container_id)
    forget(in);
}

/* ---------------------------------------------------------------- restart in place */

void bt_inst_step_restart(struct bt_inst *in) {
  if (in->running) {
    begin_stop(in);
    return;
  }
  in->finished = false;
  bt_inst_unplan_start(in);
}

/* An attempt of a job that has ended gave its place back with the news of it: whoever asks for its restart has not heard yet. */
void bt_inst_restart(struct bt_inst *in) {
  if (in->want_gone || (in->finished && bt_json_bool(in->klass, "job", false)))
    return;
  in->want_restart = true;
  if (!in->running) {
    in->finished = false;
    bt_inst_unplan_start(in);
  }
  bt_inst_step(in);
}
