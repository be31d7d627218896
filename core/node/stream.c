#include "config.h"

#include "node/stream.h"

#include <stdio.h>

#include "node/internal.h"

enum { stats_deadline_ms = 10000, prune_deadline_ms = 300000 };

struct bt_stream {
  struct bt_agent *agent; /* NULL once freed */
  uint64_t handle;
  struct bt_stream_callbacks cb;
  struct bt_plugin *entry;
  berth_op op;
  /* statistics of many: */
  json_t *items;
  int waiting;
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
  else if (bt_streq(op, "image.prune"))
    open_prune(s);
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
