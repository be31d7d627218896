/* The agent's spine: connects to the engine through the runtime plug-in, adopts what runs, takes messages, follows the engine's
 * events. What happens to one instance is in instance.c, start.c and lifecycle.c. */
#include "config.h"

#include "node/agent.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "node/internal.h"

enum { default_concurrency = 8, reconnect_ms = 1000 };

/* The entry that was found last answers for itself when it no longer runs: its calls are refused with a sentence. */
struct bt_plugin *bt_agent_runtime(struct bt_agent *agent) {
  struct bt_plugin *entry = bt_plugins_find(agent->o.plugins, BERTH_RUNTIME, 0);
  return entry ? entry : agent->events_entry;
}

bool bt_agent_feature(const struct bt_agent *agent, const char *feature) {
  size_t i;
  json_t *f;
  json_array_foreach(bt_json_arr(agent->info, "features"), i, f) if (bt_streq(json_string_value(f), feature)) return true;
  return false;
}

void bt_agent_send(struct bt_agent *agent, json_t *message_steal) {
  if (agent->stopping)
    json_decref(message_steal);
  else
    agent->o.send(agent->o.arg, message_steal);
}

/* ---------------------------------------------------------------- slots */

bool bt_slot_take(struct bt_inst *in) {
  struct bt_agent *agent = in->agent;
  if (in->holds_slot)
    return true;
  if (agent->slots < agent->o.concurrency) {
    agent->slots++;
    in->holds_slot = true;
    return true;
  }
  if (!in->queued) {
    in->queued = true;
    bt_vec_push(&agent->queue, in);
  }
  return false;
}

/* Whoever waits for a slot, as far as there are free ones. */
static void start_queued(struct bt_agent *agent) {
  while (agent->queue.len && agent->slots < agent->o.concurrency) {
    struct bt_inst *next = agent->queue.items[0];
    bt_vec_remove(&agent->queue, 0);
    next->queued = false;
    agent->slots++;
    next->holds_slot = true;
    bool still_wants = !next->busy;
    if (still_wants)
      bt_inst_step(next);
    /* A step that needed no slot after all (it waits for something) gives it back; next may be freed only while busy. */
    if (still_wants && bt_map_get(agent->instances, next->id) == next && !next->busy && next->holds_slot) {
      next->holds_slot = false;
      agent->slots--;
    }
  }
}

void bt_slot_release(struct bt_inst *in) {
  struct bt_agent *agent = in->agent;
  if (!in->holds_slot)
    return;
  in->holds_slot = false;
  agent->slots--;
  start_queued(agent);
}

void bt_agent_step_all(struct bt_agent *agent) {
  for (struct bt_map_iter it = bt_map_iter(agent->instances); bt_map_next(&it);)
    bt_inst_step(it.value);
}

/* ---------------------------------------------------------------- hello */

static json_t *node_json(const struct bt_agent *agent) {
  json_t *node = json_object();
  bt_json_set_str(node, "name", agent->node_name);
  json_object_set(node, "labels", agent->labels);
  bt_capacity_add(agent, node);
  static const char *const kept[][2] = {{"os", "os"},
                                        {"arch", "arch"},
                                        {"platform", "platform"},
                                        {"runtime", "name"},
                                        {"runtime_version", "version"},
                                        {"api_version", "api_version"},
                                        {"kernel", "kernel"}};
  for (size_t i = 0; i < BT_COUNT(kept); i++)
    bt_json_set_str(node, kept[i][0], bt_json_str(agent->info, kept[i][1]));
  json_t *features = bt_json_arr(agent->info, "features");
  if (features)
    json_object_set(node, "features", features);
  return node;
}

static void send_hello(struct bt_agent *agent) {
  json_t *hello = json_object();
  bt_json_set_str(hello, "type", "hello");
  bt_json_set(hello, "node", node_json(agent));
  json_t *list = json_array();
  for (struct bt_map_iter it = bt_map_iter(agent->instances); bt_map_next(&it);)
    json_array_append_new(list, bt_inst_report(it.value));
  bt_json_set(hello, "instances", list);
  agent->synced = false;
  bt_agent_send(agent, hello);
}

static void send_status(struct bt_agent *agent, bool ready, const char *message) {
  json_t *o = json_object();
  bt_json_set_str(o, "type", "node");
  bt_json_set_str(o, "status", ready ? "ready" : "unavailable");
  bt_json_set_str(o, "message", message);
  bt_agent_send(agent, o);
}

/* ---------------------------------------------------------------- what the engine has */

static void orphan_removed(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_agent *agent = arg;
  (void)result;
  if (code != BT_OK && code != BT_NOT_FOUND && !agent->stopping)
    bt_warn("node", "a left-over container could not be removed: %s", message);
}

static void remove_orphan(struct bt_agent *agent, const json_t *container) {
  bt_info("node", "removing container %s: it carries this server's label but belongs to no instance",
          bt_json_str_or(container, "name", "?"));
  struct berth_runtime_container req = {
      sizeof req, .id = bt_json_str(container, "id"), .force = true, .volumes = true};
  struct bt_plugin_call call = {.method = "runtime.remove", .done = orphan_removed, .arg = agent};
  bt_agent_call(agent, remove, &call, &req);
}

/* A container of ours that exists: read all about it before anything else is done with it. */
static void adopt(struct bt_inst *in, const json_t *container) {
  if (in->busy)
    return;
  bt_inst_set_container(in, bt_json_str(container, "id"));
  bt_inst_made_of(in, container);
  in->started_once = !bt_streq(bt_json_str(container, "state"), "created");
  bt_inst_inspect(in);
}

/* Compares the engine's list with the assignments. */
static void reconcile(struct bt_agent *agent, const json_t *containers) {
  BT_AUTO_MAP seen = bt_map_new(NULL);
  size_t i;
  json_t *c;
  json_array_foreach(containers, i, c) {
    const char *id = bt_json_str(bt_json_obj(c, "labels"), "berth.instance");
    struct bt_inst *in = id ? bt_map_get(agent->instances, id) : NULL;
    if (in && !bt_map_get(seen, id)) {
      bt_map_set(seen, id, in);
      adopt(in, c);
    } else {
      remove_orphan(agent, c);
    }
  }
  for (struct bt_map_iter it = bt_map_iter(agent->instances); bt_map_next(&it);) {
    struct bt_inst *in = it.value;
    if (!bt_map_get(seen, in->id) && in->container_id && !in->busy)
      bt_inst_gone(in);
  }
}

static void listed(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_agent *agent = arg;
  if (agent->stopping)
    return;
  if (code != BT_OK) {
    bt_warn("node", "the engine's containers cannot be listed: %s", message);
    bt_timer_set(agent->reconnect, reconnect_ms);
    return;
  }
  agent->connected = true;
  reconcile(agent, bt_json_arr(result, "containers"));
  bt_resources_recheck(agent);
  bt_agent_step_all(agent);
  bt_ports_changed(agent);
}

static char *own_label(const struct bt_agent *agent) { return bt_asprintf("berth.server=%s", agent->server_id); }

static void read_all(struct bt_agent *agent) {
  BT_AUTO_FREE char *label = own_label(agent);
  struct berth_runtime_list req = {sizeof req, .label = label};
  struct bt_plugin_call call = {.method = "runtime.list", .deadline_ms = 30000, .done = listed, .arg = agent};
  bt_agent_call(agent, list, &call, &req);
}

/* ---------------------------------------------------------------- events */

static void on_event(struct bt_agent *agent, const json_t *event) {
  const char *action = bt_json_str_or(event, "action", "");
  if (bt_streq(action, "connected")) {
    /* The first time, "sync" reads all; later the stream was cut and something may have been missed. */
    send_status(agent, true, NULL);
    if (agent->synced)
      read_all(agent);
    else
      send_hello(agent);
    return;
  }
  if (bt_streq(action, "gap")) {
    agent->connected = false;
    send_status(agent, false, bt_json_str(event, "message"));
    return;
  }
  struct bt_inst *in = bt_map_get(agent->by_container, bt_json_str_or(event, "id", ""));
  if (!in)
    return;
  if (bt_streq(action, "die"))
    bt_inst_exited(in, (int)bt_json_int(event, "exit_code", 0), false);
  else if (bt_streq(action, "oom"))
    in->oom = true;
  else if (bt_streq(action, "health"))
    bt_health_event(in, bt_json_str(event, "health"));
  else if (bt_streq(action, "destroy"))
    bt_inst_gone(in);
  else if (bt_streq(action, "start") && !in->busy && !in->running)
    bt_inst_running(in, bt_json_int(event, "time_ms", 0)); /* somebody else started it */
}

static size_t events_emit(void *arg, int channel, const void *data, size_t len) {
  struct bt_agent *agent = arg;
  if (channel != BERTH_RUNTIME_EVENT || agent->stopping || !len)
    return 0;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON event = bt_json_parse(data, len, 0, 0, "event of the runtime", &err);
  if (event)
    on_event(agent, event);
  else
    bt_warn("node", "%s", bt_err_message(err));
  return 0;
}

static void events_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_agent *agent = arg;
  (void)result;
  if (agent->stopping)
    return;
  agent->connected = false;
  bt_warn("node", "the engine's events ended (%s): %s", bt_code_name(code), message);
  send_status(agent, false, message);
  bt_timer_set(agent->reconnect, reconnect_ms);
}

static void informed(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_agent *agent = arg;
  if (agent->stopping)
    return;
  if (code != BT_OK) {
    send_status(agent, false, message);
    bt_timer_set(agent->reconnect, reconnect_ms);
    return;
  }
  json_decref(agent->info);
  agent->info = json_incref(result);
  BT_AUTO_FREE char *label = own_label(agent);
  struct berth_runtime_list req = {sizeof req, .label = label};
  struct bt_plugin_call call = {
      .method = "runtime.events", .deadline_ms = -1, .emit = events_emit, .done = events_done, .arg = agent};
  agent->events_entry = bt_agent_runtime(agent);
  bt_agent_call(agent, events, &call, &req);
}

static void connect_engine(void *arg) {
  struct bt_agent *agent = arg;
  if (!bt_agent_runtime(agent)) {
    send_status(agent, false, "no runtime plug-in runs: add one to the plugins of berthd.yaml, or see berth plugin ls");
    bt_timer_set(agent->reconnect, reconnect_ms);
    return;
  }
  struct bt_plugin_call call = {.method = "runtime.info", .deadline_ms = 10000, .done = informed, .arg = agent};
  bt_agent_call(agent, info, &call);
}

/* ---------------------------------------------------------------- messages */

static void assign(struct bt_agent *agent, const json_t *assignment) {
  const char *id = bt_json_str(assignment, "instance");
  if (!id)
    return;
  struct bt_inst *in = bt_map_get(agent->instances, id);
  if (in) {
    bt_inst_update(in, assignment);
    return;
  }
  in = bt_inst_new(agent, assignment);
  bt_map_set(agent->instances, id, in);
  bt_inst_step(in);
}

static void release(struct bt_inst *in) {
  in->want_gone = true;
  if (in->timer)
    bt_timer_clear(in->timer);
  bt_inst_step(in);
}

static void want_resources(struct bt_agent *agent, const json_t *message, const char *key, bool volume) {
  size_t i;
  json_t *r;
  json_array_foreach(bt_json_arr(message, key), i, r) bt_resource_want(agent, volume, r);
}

/* The whole truth: what is not in it goes. Containers nobody claims are found by the list that follows. */
static void sync(struct bt_agent *agent, const json_t *message) {
  want_resources(agent, message, "networks", false);
  want_resources(agent, message, "volumes", true);
  BT_AUTO_MAP wanted = bt_map_new(NULL);
  size_t i;
  json_t *a;
  json_array_foreach(bt_json_arr(message, "instances"), i, a) {
    const char *id = bt_json_str(a, "instance");
    if (!id)
      continue;
    bt_map_set(wanted, id, a);
    assign(agent, a);
  }
  for (struct bt_map_iter it = bt_map_iter(agent->instances); bt_map_next(&it);)
    if (!bt_map_get(wanted, it.key))
      release(it.value);
  agent->synced = true;
  bt_content_sweep(agent);
  read_all(agent);
}

void bt_agent_message(struct bt_agent *agent, const json_t *message) {
  const char *type = bt_json_str_or(message, "type", "");
  const char *id = bt_json_str_or(message, "instance", "");
  struct bt_inst *in = json_is_string(json_object_get(message, "instance")) ? bt_map_get(agent->instances, id) : NULL;
  if (bt_streq(type, "sync"))
    sync(agent, message);
  else if (bt_streq(type, "assign"))
    assign(agent, bt_json_obj(message, "instance"));
  else if (bt_streq(type, "release") && in)
    release(in);
  else if (bt_streq(type, "release"))
    bt_agent_send(agent, json_pack("{ss,ss,ss}", "type", "report", "instance", id, "state", "removed"));
  else if (bt_streq(type, "restart") && in)
    bt_inst_restart(in);
  else if (bt_streq(type, "network") || bt_streq(type, "volume"))
    bt_resource_want(agent, type[0] == 'v', message);
  else if (bt_streq(type, "network_drop") || bt_streq(type, "volume_drop"))
    bt_resource_drop(agent, type[0] == 'v', bt_json_str_or(message, "name", ""));
  else if (!bt_streq(type, "restart"))
    bt_error("node", "a message of the unknown type \"%s\" was dropped", type);
}

/* ---------------------------------------------------------------- life */

static void free_inst(void *p) { bt_inst_free(p); }

/* What a reload of the configuration may change. */
static void take_options(struct bt_agent *agent, const struct bt_agent_options *options) {
  agent->o.concurrency = options->concurrency > 0 ? options->concurrency : default_concurrency;
  agent->o.reserve_cpus = options->reserve_cpus;
  agent->o.reserve_memory = options->reserve_memory;
  json_decref(agent->labels);
  agent->labels = options->labels ? json_deep_copy(options->labels) : json_object();
  json_decref(agent->devices);
  agent->devices = json_deep_copy(options->devices);
  json_decref(agent->resources);
  agent->resources = json_deep_copy(options->resources);
}

int bt_agent_new(const struct bt_agent_options *options, struct bt_agent **out, struct bt_err **err) {
  struct bt_agent *agent = bt_new(struct bt_agent);
  agent->o = *options;
  take_options(agent, options);
  agent->node_name = bt_strdup(options->node_name);
  agent->server_id = bt_strdup(options->server_id);
  agent->run_dir = bt_strdup(options->run_dir);
  agent->portd = bt_strdup(options->portd);
  agent->instances = bt_map_new(free_inst);
  agent->by_container = bt_map_new(NULL);
  agent->networks = bt_map_new(bt_resource_free);
  agent->volumes = bt_map_new(bt_resource_free);
  agent->images = bt_map_new(bt_image_free);
  agent->streams = bt_map_new(NULL);
  agent->reconnect = bt_timer_new(options->loop, "node: connect to the engine", connect_engine, agent);
  agent->collect = bt_timer_new(options->loop, "node: images nobody needs", bt_images_collect, agent);
  agent->ports = bt_ports_new(agent);
  if (bt_mkdirs(agent->run_dir, 0755, err) < 0) {
    bt_agent_free(&agent);
    return -1;
  }
  *out = agent;
  return 0;
}

void bt_agent_hello(struct bt_agent *agent) {
  if (agent->connected)
    send_hello(agent);
}

void bt_agent_tune(struct bt_agent *agent, const struct bt_agent_options *options) {
  take_options(agent, options);
  start_queued(agent);
  bt_agent_hello(agent);
}

const json_t *bt_agent_info(const struct bt_agent *agent) { return agent->info; }

bool bt_agent_connected(const struct bt_agent *agent) { return agent->connected; }

void bt_agent_start(struct bt_agent *agent) {
  bt_timer_set(agent->reconnect, 0);
  bt_images_came(agent);
}

void bt_agent_free(struct bt_agent **pagent) {
  struct bt_agent *agent = bt_steal(*pagent);
  if (!agent)
    return;
  agent->stopping = true;
  bt_plugins_end_owned(agent->o.plugins, agent);
  bt_streams_free(agent);
  bt_content_sweep(agent);
  bt_ports_free(&agent->ports);
  bt_map_free(&agent->instances);
  bt_map_free(&agent->by_container);
  bt_map_free(&agent->networks);
  bt_map_free(&agent->volumes);
  bt_map_free(&agent->images);
  bt_map_free(&agent->streams);
  bt_vec_free(&agent->queue);
  bt_timer_free(&agent->reconnect);
  bt_timer_free(&agent->collect);
  json_decref(agent->info);
  json_decref(agent->labels);
  json_decref(agent->devices);
  json_decref(agent->resources);
  free(agent->node_name);
  free(agent->server_id);
  free(agent->run_dir);
  free(agent->portd);
  free(agent);
}
