/* One instance on its way up: image, networks, volumes, container, start, post_start hooks. What stands in the way (a name that is
 * taken, a container or network that somebody removed) is cleared where it is ours, and told where it is not. */
#include "config.h"

#include "base/clock.h"
#include "node/internal.h"
#include "plan/backoff.h"

enum { removal_ms = 300, start_deadline_ms = 120000 };

/* A container whose post_start hook fails is not fit to serve: it is stopped, and started anew after the backoff. */
static void hooks_done(struct bt_inst *in, const char *error) {
  in->busy = false;
  if (error) {
    bt_str_set(&in->error, error);
    in->running = in->started_once = true;
    in->failures++;
    bt_inst_plan_start(in, bt_backoff_delay_ms(in->failures, 0));
    in->want_restart = true;
    bt_inst_tell(in);
    bt_inst_step(in);
    return;
  }
  bt_inst_inspect(in);
}

static void discarded(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)message, (void)result;
  in->op = 0;
  in->busy = false;
  if (code == BT_OK || code == BT_NOT_FOUND)
    bt_inst_set_container(in, NULL);
  BT_AUTO_FREE char *why = bt_strdup(in->error);
  bt_inst_fail(in, why, true);
}

static void looked_for(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)message, (void)result;
  in->op = 0;
  if (code == BT_OK && in->container_id) {
    struct berth_runtime_container req = {sizeof req, .id = in->container_id, .force = true, .volumes = true};
    struct bt_plugin_call call = {.method = "runtime.remove", .deadline_ms = 60000, .done = discarded, .arg = in};
    in->op = bt_agent_call(in->agent, remove, &call, &req);
    return;
  }
  in->busy = false;
  bt_inst_set_container(in, NULL);
  bt_str_set(&in->error, NULL);
  bt_inst_step(in);
}

/* Something was not found: the container, and then it is made anew at once; or what it hangs on. A container remembers the id of a
 * network, so once that was removed and made again, the container never starts again, and another one takes its place. */
static void look_for(struct bt_inst *in, const char *why) {
  bt_str_set(&in->error, why);
  bt_resources_doubt(in);
  struct berth_runtime_container req = {sizeof req, .id = in->container_id};
  struct bt_plugin_call call = {.method = "runtime.inspect", .deadline_ms = 15000, .done = looked_for, .arg = in};
  in->busy = true;
  in->op = bt_agent_call(in->agent, inspect, &call, &req);
}

static void started(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)result;
  in->op = 0;
  in->busy = false;
  bt_slot_release(in);
  if (code == BT_NOT_FOUND || code == BT_CONFLICT) {
    /* Somebody removed the container, or is about to (an engine calls that a conflict): make it anew. */
    in->died_busy = false;
    in->state = BT_INST_PENDING;
    if (code == BT_NOT_FOUND)
      look_for(in, message);
    else
      bt_inst_retry_in(in, removal_ms);
    bt_inst_tell(in);
    return;
  } else if (code != BT_OK) {
    in->died_busy = false;
    /* A port that is taken may be let go in a moment, but not if the next try meets it too. */
    in->lasting = bt_node_lasting(code) || (code == BT_EXHAUSTED && in->failures > 0);
    bt_inst_fail(in, message, code == BT_UNAVAILABLE);
    bt_resources_doubt(in);
  } else if (in->died_busy) {
    in->died_busy = false;
    in->running = true;
    in->started_once = true;
    in->started_ms = bt_clock_wall_ms();
    in->state = BT_INST_RUNNING;
    bt_inst_exited(in, in->exit_code, in->oom);
    return;
  } else {
    in->busy = true;
    bt_hooks_run(in, "post_start", hooks_done);
    return;
  }
  bt_inst_step(in);
}

static void start(struct bt_inst *in) {
  BT_AUTO_ERR err = NULL;
  if (bt_content_write(in, &err) < 0) {
    bt_slot_release(in);
    bt_inst_fail(in, bt_err_message(err), true);
    return;
  }
  if (in->started_once)
    in->restarts++;
  in->state = BT_INST_STARTING;
  bt_inst_unplan_start(in);
  in->busy = true;
  in->died_busy = false;
  in->oom = false;
  in->lasting = false;
  bt_inst_tell(in);
  bt_inst_names_at_start(in);
  struct berth_runtime_container req = {sizeof req, .id = in->container_id};
  struct bt_plugin_call call = {.method = "runtime.start", .deadline_ms = start_deadline_ms, .done = started, .arg = in};
  in->op = bt_agent_call(in->agent, start, &call, &req);
}

static void cleared(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)result;
  in->op = 0;
  in->busy = false;
  bt_slot_release(in);
  if (code != BT_OK && code != BT_NOT_FOUND)
    bt_inst_fail(in, message, true);
  else
    bt_inst_step(in);
}

/* The name is taken: by a leftover of ours (removed, then tried again) or by a stranger (never touched). */
static void name_owner(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)message;
  in->op = 0;
  in->busy = false;
  const char *name = bt_json_str_or(bt_inst_doc(in), "container_name", in->id);
  json_t *labels = bt_json_obj(result, "labels");
  if (code != BT_OK) {
    bt_slot_release(in);
    bt_inst_retry_in(in, 100);
  } else if (!bt_streq(bt_json_str(labels, "berth.server"), in->agent->server_id)) {
    bt_slot_release(in);
    BT_AUTO_FREE char *text = bt_asprintf(
        "a container named %s exists that is not Berth's: remove or rename it, or choose another container_name", name);
    in->lasting = true;
    bt_inst_fail(in, text, false);
  } else if (bt_streq(bt_json_str(labels, "berth.instance"), in->id)) {
    bt_slot_release(in);
    bt_inst_set_container(in, bt_json_str(result, "id"));
    bt_inst_step(in);
  } else if (bt_map_get(in->agent->instances, bt_json_str_or(labels, "berth.instance", ""))) {
    bt_slot_release(in);
    bt_inst_retry_in(in, 500); /* its owner is on its way out */
  } else {
    struct berth_runtime_container req = {sizeof req, .id = bt_json_str(result, "id"), .force = true};
    struct bt_plugin_call call = {.method = "runtime.remove", .done = cleared, .arg = in};
    in->busy = true;
    in->op = bt_agent_call(in->agent, remove, &call, &req);
  }
}

/* What the engine leaves out of what was asked for. */
static void tell_warnings(struct bt_inst *in, const json_t *result) {
  size_t i;
  json_t *warning;
  json_array_foreach(bt_json_arr(result, "warnings"), i, warning) {
    json_t *o = json_object();
    bt_json_set_str(o, "type", "warning");
    bt_json_set_str(o, "instance", in->id);
    bt_json_set_str(o, "text", json_string_value(warning));
    bt_agent_send(in->agent, o);
  }
}

static void created(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  in->op = 0;
  in->busy = false;
  if (code == BT_OK) {
    bt_inst_set_container(in, bt_json_str(result, "id"));
    in->names = BT_NAMES_ON;
    tell_warnings(in, result);
    if (in->want_gone || in->agent->stopping) {
      bt_slot_release(in);
      bt_inst_step(in);
    } else {
      start(in); /* keeps the slot: create and start are one turn */
    }
    return;
  }
  json_decref(in->ports);
  in->ports = NULL;
  if (code == BT_CONFLICT) {
    const char *name = bt_json_str_or(bt_inst_doc(in), "container_name", in->id);
    struct berth_runtime_container req = {sizeof req, .id = name};
    struct bt_plugin_call call = {.method = "runtime.inspect", .done = name_owner, .arg = in};
    in->busy = true;
    in->op = bt_agent_call(in->agent, inspect, &call, &req);
    return;
  }
  bt_slot_release(in);
  if (code == BT_NOT_FOUND)
    bt_image_forget(in->agent, bt_json_str_or(bt_inst_doc(in), "image", ""));
  in->lasting = bt_node_lasting(code);
  bt_inst_fail(in, message, code == BT_UNAVAILABLE);
  bt_resources_doubt(in);
}

static void create(struct bt_inst *in, const char *image_id) {
  BT_AUTO_ERR err = NULL;
  if (bt_content_write(in, &err) < 0) {
    bt_inst_fail(in, bt_err_message(err), true);
    return;
  }
  BT_AUTO_FREE char *spec = bt_inst_spec(in, image_id, &err);
  if (!spec) {
    bt_inst_fail(in, bt_err_message(err), bt_err_code(err) == BT_UNAVAILABLE);
    return;
  }
  if (!bt_slot_take(in)) {
    bt_inst_settle(in); /* its turn may be far off: a hundred parsed documents that wait leave the heap full of holes */
    return;
  }
  in->state = BT_INST_CREATING;
  in->busy = true;
  bt_inst_making(in);
  bt_inst_tell(in);
  struct berth_runtime_create req = {sizeof req, .spec_json = spec};
  struct bt_plugin_call call = {.method = "runtime.create", .deadline_ms = start_deadline_ms, .done = created, .arg = in};
  in->op = bt_agent_call(in->agent, create, &call, &req);
}

static void step_create(struct bt_inst *in) {
  const char *why = NULL, *image_id = NULL;
  in->lasting = false;
  int rc = bt_resources_ready(in, &why);
  if (rc < 0)
    bt_inst_fail(in, why, false);
  if (rc <= 0)
    return;
  rc = bt_image_ready(in, &image_id, &why);
  if (rc < 0) {
    bt_inst_fail(in, why, false);
  } else if (rc == 0) {
    in->state = BT_INST_PULLING;
    bt_inst_tell(in);
  } else {
    create(in, image_id);
  }
}

void bt_inst_step_up(struct bt_inst *in) {
  if (!in->container_id)
    step_create(in);
  else if (bt_slot_take(in))
    start(in);
}
