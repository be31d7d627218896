#include "config.h"

#include "node/stream.h"

#include <berth/registry.h>
#include <stdio.h>

#include "model/image.h"
#include "node/images.h"
#include "node/internal.h"

enum { stats_deadline_ms = 10000, prune_deadline_ms = 300000, login_deadline_ms = 15000, fetch_deadline_ms = 60 * 60 * 1000 };

struct bt_stream {
  struct bt_agent *agent; /* NULL once freed */
  uint64_t handle;
  struct bt_stream_callbacks cb;
  struct bt_plugin *entry;
  berth_op op;
  /* statistics of many: */
  json_t *items;
  int waiting;
  json_t *args; /* of a pull */
  /* an end that is due without a call: */
  enum bt_code code;
  char *message;
};

static void key_of(uint64_t handle, char key[24]) { snprintf(key, 24, "%llu", (unsigned long long)handle); }

static struct bt_stream *stream_at(struct bt_agent *agent, uint64_t handle) {
  char key[24];
  key_of(handle, key);
  return bt_map_get(agent->streams, key);
}

static void stream_end(struct bt_stream *s, enum bt_code code, const char *message, const json_t *result) {
  char key[24];
  key_of(s->handle, key);
  if (s->agent)
    bt_map_del(s->agent->streams, key);
  if (s->cb.done)
    s->cb.done(s->cb.arg, code, message, result);
  json_decref(s->items);
  json_decref(s->args);
  free(s->message);
  free(s);
}

static void end_due(void *arg) {
  struct bt_stream *s = arg;
  stream_end(s, s->code, s->message ? s->message : "", NULL);
}

static void end_soon(struct bt_stream *s, enum bt_code code, char *message_steal) {
  s->code = code;
  s->message = message_steal;
  bt_loop_post(s->agent->o.loop, "node: stream refused", end_due, s);
}

static size_t on_emit(void *arg, int channel, const void *data, size_t len) {
  struct bt_stream *s = arg;
  return s->cb.data ? s->cb.data(s->cb.arg, channel, data, len) : 0;
}

static void fetched(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_stream *s = arg;
  struct bt_agent *agent = s->agent;
  s->op = 0;
  stream_end(s, code, message, result);
  if (agent)
    bt_images_came(agent);
}

static void on_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_stream *s = arg;
  s->op = 0;
  stream_end(s, code, message, result);
}

static void open_logs(struct bt_stream *s, const char *container, const json_t *args) {
  struct berth_runtime_logs req = {sizeof req,
                                   .id = container,
                                   .follow = bt_json_bool(args, "follow", false),
                                   .timestamps = bt_json_bool(args, "timestamps", true),
                                   .tail = bt_json_int(args, "tail", -1),
                                   .since_ms = bt_json_int(args, "since_ms", 0),
                                   .until_ms = bt_json_int(args, "until_ms", 0)};
  struct bt_plugin_call call = {
      .method = "runtime.logs", .deadline_ms = -1, .emit = on_emit, .done = on_done, .arg = s};
  s->op = bt_agent_call(s->agent, logs, &call, &req);
}

static void open_exec(struct bt_stream *s, const char *container, const json_t *args) {
  json_t *command = bt_json_arr(args, "command"), *env = bt_json_obj(args, "env");
  if (!json_array_size(command)) {
    end_soon(s, BT_INVALID, bt_strdup("exec needs a command: an array of strings"));
    return;
  }
  BT_AUTO_FREE char *command_json = bt_json_text(command);
  BT_AUTO_FREE char *env_json = env ? bt_json_text(env) : NULL;
  struct berth_runtime_exec req = {sizeof req,
                                   .id = container,
                                   .command_json = command_json,
                                   .env_json = env_json,
                                   .user = bt_json_str(args, "user"),
                                   .workdir = bt_json_str(args, "workdir"),
                                   .tty = bt_json_bool(args, "tty", false),
                                   .stdin_open = bt_json_bool(args, "stdin", false),
                                   .privileged = bt_json_bool(args, "privileged", false),
                                   .rows = (int32_t)bt_json_int(args, "rows", 0),
                                   .cols = (int32_t)bt_json_int(args, "cols", 0)};
  struct bt_plugin_call call = {
      .method = "runtime.exec", .deadline_ms = -1, .emit = on_emit, .done = on_done, .arg = s};
  s->op = bt_agent_call(s->agent, exec, &call, &req);
}

/* ---------------------------------------------------------------- statistics */

struct stats_of {
  struct bt_stream *s;
  char *instance, *namespace_, *app, *service;
};

static void stats_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct stats_of *one = arg;
  struct bt_stream *s = one->s;
  if (code == BT_OK) {
    json_t *o = json_copy(result);
    bt_json_set_str(o, "instance", one->instance);
    bt_json_set_str(o, "namespace", one->namespace_);
    bt_json_set_str(o, "app", one->app);
    bt_json_set_str(o, "service", one->service);
    json_array_append_new(s->items, o);
  }
  free(one->instance);
  free(one->namespace_);
  free(one->app);
  free(one->service);
  free(one);
  if (--s->waiting)
    return;
  /* Who has just ended has no figures; that the engine has none for anybody is to be said. */
  bool lost = json_array_size(s->items) == 0 && code != BT_OK && code != BT_NOT_FOUND && code != BT_CONFLICT;
  BT_AUTO_JSON all = json_pack("{sO}", "items", s->items);
  stream_end(s, lost ? code : BT_OK, lost ? message : "", lost ? NULL : all);
}

static void ask_stats(struct bt_stream *s, struct bt_inst *in) {
  struct stats_of *one = bt_new(struct stats_of);
  one->s = s;
  one->instance = bt_strdup(in->id);
  one->namespace_ = bt_strdup(bt_inst_of(in, "namespace"));
  one->app = bt_strdup(bt_inst_of(in, "app"));
  one->service = bt_strdup(bt_inst_of(in, "service"));
  s->waiting++;
  struct berth_runtime_container req = {sizeof req, .id = in->container_id};
  struct bt_plugin_call call = {
      .method = "runtime.stats", .deadline_ms = stats_deadline_ms, .done = stats_done, .arg = one};
  bt_agent_call(s->agent, stats, &call, &req);
}

static void nothing_to_ask(void *arg) {
  struct bt_stream *s = arg;
  if (--s->waiting)
    return;
  BT_AUTO_JSON all = json_pack("{sO}", "items", s->items);
  stream_end(s, BT_OK, "", all);
}

static void open_stats(struct bt_stream *s, const char *namespace_, const char *instance, const json_t *args) {
  const char *app = bt_json_str(args, "app"), *service = bt_json_str(args, "service");
  s->items = json_array();
  s->waiting = 1; /* held until all are asked */
  for (struct bt_map_iter it = bt_map_iter(s->agent->instances); bt_map_next(&it);) {
    struct bt_inst *in = it.value;
    bool wanted = in->running && in->container_id && (!instance || !*instance || bt_streq(instance, in->id)) &&
                  (!namespace_ || !*namespace_ || bt_streq(namespace_, bt_inst_of(in, "namespace"))) &&
                  (!app || bt_streq(app, bt_inst_of(in, "app"))) && (!service || bt_streq(service, bt_inst_of(in, "service")));
    if (wanted)
      ask_stats(s, in);
  }
  bt_loop_post(s->agent->o.loop, "node: statistics", nothing_to_ask, s);
}

/* ---------------------------------------------------------------- open and close */

static void open_prune(struct bt_stream *s) {
  struct berth_runtime_list req = {sizeof req, .label = NULL};
  struct bt_plugin_call call = {
      .method = "runtime.image_prune", .deadline_ms = prune_deadline_ms, .done = on_done, .arg = s};
  s->op = bt_agent_call(s->agent, image_prune, &call, &req);
}

static void open_list(struct bt_stream *s, const json_t *args) {
  struct berth_runtime_list req = {sizeof req, .label = bt_json_str(args, "label")};
  struct bt_plugin_call call = {.method = "runtime.image_list", .deadline_ms = prune_deadline_ms, .done = on_done, .arg = s};
  s->op = bt_agent_call(s->agent, image_list, &call, &req);
}

static void open_import(struct bt_stream *s, const json_t *args) {
  struct berth_runtime_import req = {sizeof req, .path = bt_json_str_or(args, "path", ""), .name = bt_json_str(args, "name")};
  struct bt_plugin_call call = {.method = "runtime.image_import", .deadline_ms = fetch_deadline_ms, .emit = on_emit, .done = fetched, .arg = s};
  s->op = bt_agent_call(s->agent, image_import, &call, &req);
}

static void open_remove(struct bt_stream *s, const json_t *args) {
  struct berth_runtime_image req = {sizeof req, .image = bt_json_str_or(args, "image", "")};
  struct bt_plugin_call call = {.method = "runtime.image_remove", .deadline_ms = prune_deadline_ms, .done = on_done, .arg = s};
  s->op = bt_agent_call(s->agent, image_remove, &call, &req);
}

static void pull_with(struct bt_stream *s, const json_t *auth) {
  BT_AUTO_FREE char *auth_json = bt_json_str(auth, "server") ? bt_json_text(auth) : NULL;
  struct berth_runtime_image req = {sizeof req, .image = bt_json_str_or(s->args, "image", ""), .platform = bt_json_str(s->args, "platform"),
                                    .auth_json = auth_json};
  struct bt_plugin_call call = {.method = "runtime.image_pull", .deadline_ms = fetch_deadline_ms, .emit = on_emit, .done = fetched, .arg = s};
  s->op = bt_agent_call(s->agent, image_pull, &call, &req);
  if (auth_json)
    bt_wipe(auth_json, strlen(auth_json));
}

static void pull_credentials(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_stream *s = arg;
  if (code != BT_OK || !s->agent)
    stream_end(s, code, message, NULL);
  else
    pull_with(s, result);
}

/* With the login that the plug-in of its registry has for it. */
static void open_pull(struct bt_stream *s, const json_t *args) {
  BT_AUTO_IMAGE ref = {0};
  BT_AUTO_ERR err = NULL;
  s->args = json_deep_copy(args);
  if (bt_image_parse(bt_json_str_or(args, "image", ""), &ref, &err) < 0) {
    end_soon(s, bt_err_code(err), bt_strdup(bt_err_message(err)));
    return;
  }
  BT_AUTO_FREE char *canonical = bt_image_canonical(&ref);
  struct bt_plugin *registry = bt_registry_for(s->agent->o.plugins, canonical);
  if (!registry) {
    pull_with(s, NULL);
    return;
  }
  const struct berth_registry *table = bt_plugin_methods(registry, BERTH_REGISTRY);
  struct berth_registry_credentials req = {sizeof req, .image = canonical};
  struct bt_plugin_call call = {.method = "registry.credentials", .deadline_ms = login_deadline_ms, .done = pull_credentials, .arg = s, .owner = s->agent};
  bt_plugin_invoke(registry, table, credentials, &call, &req);
}

static bool open_image(struct bt_stream *s, const char *op, const json_t *args) {
  if (bt_streq(op, "image.prune"))
    open_prune(s);
  else if (bt_streq(op, "image.list"))
    open_list(s, args);
  else if (bt_streq(op, "image.pull"))
    open_pull(s, args);
  else if (bt_streq(op, "image.import"))
    open_import(s, args);
  else if (bt_streq(op, "image.remove"))
    open_remove(s, args);
  else
    return false;
  return true;
}

static void open_on_instance(struct bt_stream *s, const char *op, const char *namespace_, const char *instance,
                             const json_t *args) {
  struct bt_inst *in = instance ? bt_map_get(s->agent->instances, instance) : NULL;
  if (in && namespace_ && *namespace_ && !bt_streq(namespace_, bt_inst_of(in, "namespace")))
    in = NULL;
  if (!in)
    end_soon(s, BT_NOT_FOUND, bt_asprintf("there is no instance %s: see berth ps", instance ? instance : ""));
  else if (!in->container_id)
    end_soon(s, BT_UNAVAILABLE, bt_asprintf("instance %s has no container yet: see berth why %s", in->id, in->id));
  else if (bt_streq(op, "logs"))
    open_logs(s, in->container_id, args);
  else if (!in->running)
    end_soon(s, BT_UNAVAILABLE, bt_asprintf("instance %s is not running: see berth why %s", in->id, in->id));
  else
    open_exec(s, in->container_id, args);
}

uint64_t bt_stream_open(struct bt_agent *agent, const char *op, const char *namespace_, const char *instance,
                        const json_t *args, const struct bt_stream_callbacks *callbacks) {
  struct bt_stream *s = bt_new(struct bt_stream);
  s->agent = agent;
  s->handle = ++agent->next_stream;
  s->cb = *callbacks;
  s->entry = bt_agent_runtime(agent);
  uint64_t handle = s->handle;
  char key[24];
  key_of(handle, key);
  bt_map_set(agent->streams, key, s);
  if (!s->entry)
    end_soon(s, BT_UNAVAILABLE, bt_strdup("no runtime plug-in runs: see berth plugin ls"));
  else if (bt_streq(op, "stats"))
    open_stats(s, namespace_, instance, args);
  else if (open_image(s, op, args))
    return handle;
  else if (bt_streq(op, "logs") || bt_streq(op, "exec"))
    open_on_instance(s, op, namespace_, instance, args);
  else
    end_soon(s, BT_INTERNAL, bt_asprintf("the node knows no stream \"%s\"", op));
  return handle;
}

size_t bt_stream_input(struct bt_agent *agent, uint64_t handle, const void *data, size_t len) {
  struct bt_stream *s = stream_at(agent, handle);
  const struct berth_runtime *table = s && s->op ? bt_plugin_methods(s->entry, BERTH_RUNTIME) : NULL;
  if (!table || !BERTH_HAS(table, input) || !table->input)
    return 0;
  size_t waiting = table->input(bt_plugin_enter(s->entry), s->op, data, len);
  bt_plugin_leave(s->entry);
  return waiting;
}

void bt_stream_resize(struct bt_agent *agent, uint64_t handle, int rows, int cols) {
  struct bt_stream *s = stream_at(agent, handle);
  const struct berth_runtime *table = s && s->op ? bt_plugin_methods(s->entry, BERTH_RUNTIME) : NULL;
  if (!table || !BERTH_HAS(table, resize) || !table->resize)
    return;
  table->resize(bt_plugin_enter(s->entry), s->op, rows, cols);
  bt_plugin_leave(s->entry);
}

void bt_stream_cancel(struct bt_agent *agent, uint64_t handle) {
  struct bt_stream *s = stream_at(agent, handle);
  if (s && s->op)
    bt_plugin_cancel(s->entry, s->op);
}

void bt_streams_free(struct bt_agent *agent) {
  for (struct bt_map_iter it = bt_map_iter(agent->streams); bt_map_next(&it);) {
    struct bt_stream *s = it.value;
    s->agent = NULL; /* its calls have ended: the end is on its way through the loop */
  }
}
