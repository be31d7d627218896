#include "config.h"
#include "plugin/helper/session.h"

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "plugin/helper/helper.h"
#include "plugin/manifest.h"
#include "plugin/marshal.h"

struct helper helper;

static const struct {
  const char *id;
  const void *table;
} services[] = {
    {BERTH_HOST_OPS, &helper_ops},         {BERTH_HOST_LOG, &helper_log},       {BERTH_HOST_TIMER, &bt_service_timer},
    {BERTH_HOST_FD, &bt_service_fd},       {BERTH_HOST_WORKER, &bt_service_worker}, {BERTH_HOST_CHILD, &helper_child},
    {BERTH_HOST_HTTP, &helper_http},       {BERTH_HOST_KV, &helper_kv},         {BERTH_HOST_SECRET, &helper_secret},
    {BERTH_HOST_METRICS, &helper_metrics}, {BERTH_HOST_EVENTS, &helper_events}, {BERTH_HOST_ROUTES, &helper_routes},
    {BERTH_HOST_QUERY, &helper_query},
};

size_t helper_send(json_t *head_steal, const void *bytes, size_t len) { return bt_link_send(helper.link, head_steal, bytes, len); }

json_t *helper_message(const char *type, berth_handle id) {
  json_t *head = json_object();
  json_object_set_new(head, "t", json_string(type));
  if (id)
    json_object_set_new(head, "id", json_integer((json_int_t)id));
  return head;
}

enum berth_code helper_code(const json_t *head) {
  return bt_plugin_code_out(bt_code_from_name(bt_json_str_or(head, "code", "internal")));
}

static const void *find_service(const struct berth_host *host, const char *id) {
  if (!bt_host_entry(host, "service"))
    return NULL;
  for (size_t i = 0; id && i < helper.offered.len; i++)
    for (size_t k = 0; k < BT_COUNT(services) && strcmp(helper.offered.items[i], id) == 0; k++)
      if (strcmp(services[k].id, id) == 0)
        return services[k].table;
  return NULL;
}

/* ---------------------------------------------------------------- start, reload, stop */

static void done(long long id, const char *step, enum berth_code code, const char *why) {
  json_t *head = helper_message("done", (berth_handle)id);
  bt_json_set_str(head, "code", bt_code_name(bt_plugin_code(code)));
  bt_json_set_str(head, "message", code == BERTH_OK ? "" : why && *why ? why : "no reason given");
  bt_json_set_str(head, "step", step);
  helper_send(head, NULL, 0);
}

static char *config_text(const json_t *head) {
  const json_t *config = bt_json_obj(head, "config");
  return config ? bt_json_text(config) : bt_strdup("{}");
}

static bool valid(long long id, const char *config) {
  const char *why = NULL;
  enum berth_code code = helper.plugin->validate ? helper.plugin->validate(config, &why) : BERTH_OK;
  if (code != BERTH_OK)
    done(id, "config", code, why);
  return code == BERTH_OK;
}

static void take_name(const json_t *head) {
  size_t i;
  json_t *service;
  bt_strs_free(&helper.offered);
  json_array_foreach(bt_json_arr(head, "services"), i, service) {
    if (json_is_string(service))
      bt_strs_add(&helper.offered, json_string_value(service));
  }
  helper.entry.cell = bt_host_cell_new(&helper.entry, bt_json_str_or(head, "name", "plug-in"),
                                       bt_json_str_or(head, "version", PACKAGE_VERSION), find_service);
}

static void start(const json_t *head) {
  long long id = bt_json_int(head, "id", 0);
  BT_AUTO_FREE char *config = config_text(head);
  const char *why = NULL;
  take_name(head);
  if (!valid(id, config))
    return;
  enum berth_code code = helper.plugin->start(&helper.entry.cell->host, config, &helper.entry.self, &why);
  if (code == BERTH_OK && !helper.entry.self) {
    code = BERTH_INTERNAL;
    why = "it started without a state: set *out";
  }
  done(id, "start", code, why);
}

static void validate(const json_t *head) {
  long long id = bt_json_int(head, "id", 0);
  BT_AUTO_FREE char *config = config_text(head);
  if (valid(id, config))
    done(id, "config", BERTH_OK, NULL);
}

static void reload(const json_t *head) {
  long long id = bt_json_int(head, "id", 0);
  BT_AUTO_FREE char *config = config_text(head);
  const char *why = NULL;
  if (!helper.entry.self || !helper.plugin->reload || !valid(id, config))
    return;
  enum berth_code code = helper.plugin->reload(helper.entry.self, config, &why);
  done(id, "reload", code, why);
}

static void stop(const json_t *head) {
  if (helper.entry.self) {
    helper.entry.stopping = true;
    bt_resources_detach(&helper.entry);
    helper.plugin->stop(helper.entry.self);
    helper.entry.self = NULL;
    bt_resources_detach(&helper.entry);
    bt_pool_finish(helper.plugins.pool);
  }
  done(bt_json_int(head, "id", 0), "stop", BERTH_OK, NULL);
  bt_loop_stop(helper.plugins.loop);
}

/* ---------------------------------------------------------------- calls */

static void finish(berth_op op, enum berth_code code, const char *message) {
  helper_ops.finish(&helper.entry.cell->host, op, code, message, NULL);
}

/* The method's function, where the plug-in has it. */
static const struct bt_method *find_method(const json_t *head, void (**fn)(void)) {
  const char *id = bt_json_str_or(head, "interface", ""), *name = bt_json_str_or(head, "method", "");
  const struct bt_interface *interface = bt_interface_of(id);
  const struct bt_method *method = interface ? bt_interface_method(interface, name) : NULL;
  for (const struct berth_interface *i = helper.manifest->m.interfaces; method && i->id; i++)
    if (strcmp(i->id, id) == 0 && bt_method_in(method, i->methods)) {
      memcpy(fn, (const char *)i->methods + method->slot, sizeof *fn);
      return method;
    }
  return NULL;
}

static void call_request(const struct bt_method *method, void (*fn)(void), berth_op op, const struct bt_message *m) {
  BT_AUTO_ERR err = NULL;
  struct bt_request *request = bt_marshal_read(method, bt_json_obj(m->head, "args"), m->bytes, m->len, &err);
  if (request)
    ((void (*)(struct berth_instance *, berth_op, const void *))fn)(helper.entry.self, op, bt_request_struct(request));
  else
    finish(op, BERTH_INVALID, bt_err_message(err));
  bt_request_free(&request);
}

static void call(const struct bt_message *m) {
  berth_op op = (berth_op)bt_json_int(m->head, "op", 0);
  void (*fn)(void) = NULL;
  const struct bt_method *method = helper.entry.self ? find_method(m->head, &fn) : NULL;
  const json_t *args = bt_json_obj(m->head, "args");
  struct berth_instance *self = helper.entry.self;
  if (!method) {
    finish(op, BERTH_UNSUPPORTED, "it does not have this method");
    return;
  }
  switch (method->shape) {
  case BT_SHAPE_PLAIN:
    ((void (*)(struct berth_instance *, berth_op))fn)(self, op);
    break;
  case BT_SHAPE_REQUEST:
    call_request(method, fn, op, m);
    break;
  case BT_SHAPE_TEXT:
    ((void (*)(struct berth_instance *, berth_op, const char *))fn)(self, op, bt_json_str_or(args, method->text, ""));
    break;
  case BT_SHAPE_INPUT:
  case BT_SHAPE_RESIZE:
  case BT_SHAPE_ASK:
    finish(op, BERTH_INVALID, "this method is not called so");
    break;
  }
}

/* Methods that speak about a running op. */
static void speak(const struct bt_message *m) {
  berth_op op = (berth_op)bt_json_int(m->head, "op", 0);
  void (*fn)(void) = NULL;
  const struct bt_method *method = helper.entry.self ? find_method(m->head, &fn) : NULL;
  struct berth_instance *self = helper.entry.self;
  if (method && method->shape == BT_SHAPE_INPUT) {
    size_t waiting = ((size_t(*)(struct berth_instance *, berth_op, const void *, size_t))fn)(self, op, m->bytes, m->len);
    json_t *head = helper_message("taken", 0);
    bt_json_set_int(head, "op", (long long)op);
    bt_json_set_int(head, "bytes", (long long)m->len);
    bt_json_set_int(head, "waiting", (long long)waiting);
    helper_send(head, NULL, 0);
  } else if (method && method->shape == BT_SHAPE_RESIZE) {
    ((void (*)(struct berth_instance *, berth_op, int32_t, int32_t))fn)(self, op, (int32_t)bt_json_int(m->head, "rows", 0),
                                                                      (int32_t)bt_json_int(m->head, "cols", 0));
  }
}

static void ask(const struct bt_message *m) {
  void (*fn)(void) = NULL;
  const struct bt_method *method = helper.entry.self ? find_method(m->head, &fn) : NULL;
  json_t *head = helper_message("done", (berth_handle)bt_json_int(m->head, "id", 0));
  bool yes = method && method->shape == BT_SHAPE_ASK &&
             ((bool (*)(struct berth_instance *, const char *))fn)(
                 helper.entry.self, bt_json_str_or(bt_json_obj(m->head, "args"), method->text, ""));
  bt_json_set_str(head, "code", "ok");
  bt_json_set_bool(head, "yes", yes);
  helper_send(head, NULL, 0);
}

static void cancel(const json_t *head) {
  if (helper.entry.self)
    helper.plugin->cancel(helper.entry.self, (berth_op)bt_json_int(head, "op", 0));
}

/* ---------------------------------------------------------------- messages */

static void on_start(const struct bt_message *m) { start(m->head); }
static void on_validate(const struct bt_message *m) { validate(m->head); }
static void on_reload(const struct bt_message *m) { reload(m->head); }
static void on_stop(const struct bt_message *m) { stop(m->head); }
static void on_cancel(const struct bt_message *m) { cancel(m->head); }

static void on_ping(const struct bt_message *m) {
  helper_send(helper_message("pong", (berth_handle)bt_json_int(m->head, "id", 0)), NULL, 0);
}

static void on_taken(const struct bt_message *m) {
  helper_ops_taken((berth_op)bt_json_int(m->head, "op", 0), (size_t)bt_json_int(m->head, "bytes", 0),
                   (size_t)bt_json_int(m->head, "waiting", 0));
}

static const struct {
  const char *type;
  void (*fn)(const struct bt_message *m);
} verbs[] = {{"call", call},   {"cancel", on_cancel}, {"speak", speak},         {"ask", ask},           {"taken", on_taken},
             {"ping", on_ping}, {"start", on_start},   {"validate", on_validate}, {"reload", on_reload}, {"stop", on_stop}};

/* Types that are not known are of a newer server, which can do without an answer. */
static void on_message(void *arg, const struct bt_message *given) {
  (void)arg;
  struct bt_message m = *given;
  /* A callback may wait for an answer, which moves what the link has read. */
  BT_AUTO_FREE char *own = m.len ? bt_memdup(m.bytes, m.len) : NULL;
  m.bytes = own;
  for (size_t i = 0; i < BT_COUNT(verbs); i++)
    if (strcmp(verbs[i].type, m.type) == 0) {
      verbs[i].fn(&m);
      return;
    }
  if (!helper_asks_message(&m) && !helper_http_message(&m))
    helper_stream_message(&m);
}

static void on_end(void *arg, const char *why) {
  (void)arg, (void)why;
  _exit(0); /* the server is gone, or has given us up */
}

void session_open(int in, int out, size_t max_waiting, int workers) {
  struct bt_loop *loop = bt_loop_new();
  helper.plugins.loop = loop;
  helper.plugins.pool = bt_pool_new(loop, workers);
  helper.entry.plugins = &helper.plugins;
  struct bt_link_setup setup = {
      .loop = loop, .name = "wire", .in = in, .out = out, .max_out = max_waiting, .on_message = on_message, .on_end = on_end};
  helper.link = bt_link_new(&setup);
}

void session_close(void) {
  struct bt_message none;
  int64_t until = bt_clock_mono_ms() + 1000;
  while (bt_link_waiting(helper.link) && bt_clock_mono_ms() < until)
    if (bt_link_await(helper.link, "", 0, 20, &none))
      json_decref(none.head);
  _exit(0); /* what the plug-in left running ends here */
}
