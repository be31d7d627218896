/* What a plug-in's process says to the server once it runs: results, emits, and all it asks of the services, through the very services.
 * A line of the input is a message: JSON, and behind a byte 1 its bytes; "op" 1 to 3 are operations that are open. A line "!" lets the
 * server do its part: what it owes is answered, an event is committed, a request reaches a route. HTTP is refused by egress. Whatever
 * is said, every handle and every operation is gone when the process is taken down, and nobody is told twice. */
#include "config.h"

#include <event2/event.h>

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "loop/loop.h"
#include "plugin/egress.h"
#include "plugin/remote.h"
#include "state/watch.h"
#include "tests/fuzz/parts.h"

enum { n_ops = 3, max_messages = 16, max_owed = 64 };

typedef void put_done(void *arg, enum bt_code code, const char *message);

static struct {
  struct bt_loop *loop;
  struct bt_plugin_server server;
  struct bt_plugins *plugins;
  struct bt_plugin *entry;
  struct bt_remote *remote;
  struct bt_map *kv;
  struct {
    put_done *done;
    void *arg;
  } owed[max_owed];
  size_t n_owed;
  uint64_t revision;
  berth_op ops[n_ops];
  int told[n_ops];
  int replies, requests;
} F;

/* ---------------------------------------------------------------- a server */

static void owe(put_done *done, void *arg) {
  if (F.n_owed == max_owed) {
    done(arg, BT_EXHAUSTED, "too much");
    return;
  }
  F.owed[F.n_owed].done = done;
  F.owed[F.n_owed++].arg = arg;
}

static void pay(void) {
  while (F.n_owed) {
    F.n_owed--;
    F.owed[F.n_owed].done(F.owed[F.n_owed].arg, BT_OK, "");
  }
}

/* Every other one is answered at once. */
static void kv_put(void *arg, const char *entry, const char *key, const char *value, put_done *done, void *done_arg) {
  (void)arg, (void)entry;
  if (value)
    bt_map_set(F.kv, key, bt_strdup(value));
  else
    bt_map_del(F.kv, key);
  if (strlen(key) % 2)
    done(done_arg, BT_OK, "");
  else
    owe(done, done_arg);
}

static void kv_scan(void *arg, const char *entry, const char *prefix, bool (*found)(void *found_arg, const char *key, const char *value),
                    void *found_arg) {
  (void)arg, (void)entry;
  for (struct bt_map_iter it = bt_map_iter(F.kv); bt_map_next(&it);)
    if (bt_starts(it.key, prefix) && !found(found_arg, it.key, bt_map_get(F.kv, it.key)))
      return;
}

static void secret(void *arg, const char *name,
                   void (*done)(void *done_arg, enum bt_code code, const char *message, const void *value, size_t len), void *done_arg) {
  (void)arg;
  done(done_arg, BT_OK, "", name, strlen(name));
}

static void publish(void *arg, const char *entry, const char *type, const char *severity, const char *message, const char *data_json) {
  (void)arg, (void)entry, (void)message, (void)data_json;
  BT_ASSERT(bt_starts(type, "plugin.") && (bt_streq(severity, "info") || bt_streq(severity, "warning") || bt_streq(severity, "error")));
}

static bool reserved(void *arg, const char *method, const char *path) {
  (void)arg, (void)method;
  return bt_starts(path, "/v1/");
}

static void query(void *arg, const char *path, void (*done)(void *done_arg, enum bt_code code, const char *message, const char *json),
                  void *done_arg) {
  (void)arg;
  done(done_arg, *path == '/' ? BT_OK : BT_NOT_FOUND, "", "{}");
}

static void collect(void *arg, int64_t max_age_ms, void (*sample)(void *done_arg, const struct berth_metric_sample *sample), put_done *done,
                    void *done_arg) {
  (void)arg, (void)max_age_ms;
  struct berth_metric_sample s = {.size = sizeof s, .name = "berth_x", .help = "", .kind = BERTH_GAUGE};
  sample(done_arg, &s);
  done(done_arg, BT_OK, "");
}

static bool offers(const struct berth_host *host, const char *id) {
  (void)host;
  return bt_host_offers(&F.server, id);
}

static const struct bt_remote_services services = {.http = &bt_service_http, .kv = &bt_service_kv, .secret = &bt_service_secret,
                                                   .metrics = &bt_service_metrics, .events = &bt_service_events, .routes = &bt_service_routes,
                                                   .query = &bt_service_query, .finish = bt_ops_finish, .emit = bt_ops_emit,
                                                   .reply = bt_ops_reply, .offers = offers};

/* ---------------------------------------------------------------- its side of the conversation */

/* Two turns: what was refused ends in the next one, and what that posts is done, too. */
static void turns(void) {
  for (int i = 0; i < 2; i++)
    event_base_loop(bt_loop_base(F.loop), EVLOOP_NONBLOCK);
}

static void op_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  BT_ASSERT(++*(int *)arg == 1 && message && (code == BT_OK) == json_is_object(result));
}

static size_t op_emit(void *arg, int channel, const void *data, size_t len) {
  (void)channel, (void)data;
  BT_ASSERT(*(int *)arg == 0);
  return len;
}

static void replied(void *arg, enum bt_code code, const char *message, int status, const struct berth_pair *headers, size_t nheaders,
                    const void *body, size_t len) {
  (void)arg, (void)message, (void)body, (void)len;
  F.replies++;
  for (size_t i = 0; code == BT_OK && i < nheaders; i++)
    BT_ASSERT(status >= 100 && status < 600 && headers[i].name && headers[i].value);
}

static void serve(void) {
  struct bt_plugin_route route;
  struct berth_route_request request = {.size = sizeof request, .method = "GET", .path = "/x/y", .query = "a=b", .body = "body", .body_len = 4};
  pay();
  bt_feed_add(F.server.feed, ++F.revision, "event", "e", "{\"type\":\"app.applied\",\"app\":\"shop\",\"data\":{\"x\":1}}");
  if (bt_plugins_route(F.plugins, "GET", "/x/y", &route, NULL)) {
    F.requests++;
    F.ops[n_ops - 1] = bt_plugins_route_call(&route, &request, replied, NULL);
  }
  bt_feed_pump(F.server.feed, 100);
  turns();
}

static void open_all(void) {
  bt_log_setup(BT_LOG_ERROR + 1, false);
  BT_AUTO_STRS none = {0};
  F.loop = bt_loop_new();
  F.server = (struct bt_plugin_server){.kv_put = kv_put, .kv_scan = kv_scan, .secret = secret, .publish = publish, .path_reserved = reserved,
                                       .query = query, .collect = collect};
  struct bt_plugins_setup setup = {.loop = F.loop, .server = &F.server};
  F.plugins = bt_plugins_new(&setup);
  F.entry = bt_entry_new(F.plugins, "fuzz");
  bt_vec_push(&F.plugins->entries, F.entry);
  F.entry->status = BT_PLUGIN_OK;
  F.entry->isolation.process = true;
  F.entry->egress = bt_egress_new(&none);
}

static void begin(void) {
  if (!F.loop)
    open_all();
  F.kv = bt_map_new(free);
  F.server.feed = bt_feed_new(100); /* what an execution leaves behind would be looked at as a leak, for long */
  F.remote = bt_new(struct bt_remote);
  *F.remote = (struct bt_remote){.plugins = F.plugins, .entry = F.entry, .host = &F.entry->cell->host, .services = &services, .state = BT_REMOTE_RUNNING};
  F.entry->self = (struct berth_instance *)F.remote;
  F.replies = F.requests = 0;
  for (size_t i = 0; i < n_ops; i++) {
    F.told[i] = 0;
    struct bt_plugin_call call = {.method = "fuzz.call", .deadline_ms = -1, .emit = op_emit, .done = op_done, .arg = &F.told[i]};
    F.ops[i] = bt_plugin_begin(F.entry, &call);
  }
}

/* As take_down of entry.c and the end of remote.c have it. */
static void end(void) {
  F.entry->stopping = true;
  bt_ops_end_all(F.entry, BT_CANCELLED, "it is being stopped");
  bt_resources_detach(F.entry);
  bt_metrics_free(&F.entry->metrics);
  bt_map_free(&F.entry->kv_keys);
  F.entry->stopping = false;
  bt_remote_handles_free(F.remote);
  bt_vec_free(&F.remote->inputs);
  free(F.remote->why);
  free(F.remote);
  pay();
  turns();
  F.entry->self = NULL;
  F.entry->publish_left = 20;
  bt_map_free(&F.kv);
  bt_feed_free(&F.server.feed);
  for (size_t i = 0; i < n_ops; i++)
    BT_ASSERT(F.told[i] == 1);
  BT_ASSERT(F.replies == F.requests && !F.entry->resources && F.plugins->handles.used == 0 && F.entry->in_flight == 0);
}

static void hear(char *line, size_t len) {
  char *bytes = memchr(line, 1, len);
  BT_AUTO_JSON head = bt_json_parse(line, bytes ? (size_t)(bytes - line) : len, 0, BT_WIRE_MAX_DEPTH, "a message", NULL);
  struct bt_message m = {.head = head, .type = bt_json_str(head, "t"), .bytes = bytes ? bytes + 1 : "", .len = bytes ? len - (size_t)(bytes + 1 - line) : 0};
  if (!m.type)
    return;
  long long op = bt_json_int(head, "op", 0);
  if (op >= 1 && op <= n_ops)
    bt_json_set_int(head, "op", (long long)F.ops[op - 1]);
  if (bt_starts(m.type, "http."))
    bt_json_set_str(head, "unix_socket", "/nowhere");
  if (!bt_remote_call_message(F.remote, &m) && !bt_remote_http_message(F.remote, &m))
    bt_remote_service_message(F.remote, &m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *at = (const char *)data, *limit = at + size;
  begin();
  for (int i = 0; at < limit && i < max_messages; i++) {
    const char *end_of = memchr(at, '\n', (size_t)(limit - at));
    size_t len = (size_t)((end_of ? end_of : limit) - at);
    BT_AUTO_FREE char *line = bt_calloc(len + 1, 1);
    memcpy(line, at, len);
    if (*line == '!')
      serve();
    else
      hear(line, len);
    at += len + 1;
  }
  end();
  return 0;
}
