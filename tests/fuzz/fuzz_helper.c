/* What the server says to a plug-in's process: calls, answers, HTTP, events, requests. A line of the input is a message: JSON, and behind a
 * byte 1 its bytes; "id" 1 to 8 are the handles that the plug-in here has opened. Where the process waits for an answer, the next line
 * is it. The link is one of our own, in memory (link.c has fuzz_link). */
#include "config.h"

#include <event2/event.h>

#include "base/json.h"
#include "loop/loop.h"
#include "plugin/describe.h"
#include "plugin/helper/helper.h"
#include "plugin/helper/session.h"
#include "plugin/manifest.h"
#include "tests/fuzz/parts.h"

enum { n_handles = 8, max_messages = 20 };

static struct {
  const char *at, *limit; /* the input */
  void (*on_message)(void *arg, const struct bt_message *message);
  berth_handle handles[n_handles];
  size_t n, open; /* open: ends that are owed to the plug-in */
} F;

/* ---------------------------------------------------------------- a link: what is sent is looked at by nobody here */

static bool next_line(struct bt_message *m) {
  if (F.at >= F.limit)
    return false;
  const char *end = memchr(F.at, '\n', (size_t)(F.limit - F.at));
  size_t len = (size_t)((end ? end : F.limit) - F.at);
  const char *bytes = memchr(F.at, 1, len);
  json_t *head = bt_json_parse(F.at, bytes ? (size_t)(bytes - F.at) : len, 0, BT_WIRE_MAX_DEPTH, "a message", NULL);
  *m = (struct bt_message){.head = head, .type = bt_json_str(head, "t"), .bytes = bytes ? bytes + 1 : ""};
  if (bytes)
    m->len = (size_t)(F.at + len - bytes - 1);
  F.at += len + 1;
  return true;
}

struct bt_link *bt_link_new(const struct bt_link_setup *setup) {
  F.on_message = setup->on_message;
  return (struct bt_link *)&F;
}

size_t bt_link_send(struct bt_link *link, json_t *head_steal, const void *bytes, size_t len) {
  (void)link, (void)bytes;
  json_decref(head_steal);
  return len;
}

bool bt_link_await(struct bt_link *link, const char *type, int64_t id, int ms, struct bt_message *out) {
  (void)link, (void)type, (void)id, (void)ms;
  if (!next_line(out) || !out->head)
    return false;
  if (!out->type)
    json_decref(out->head);
  return out->type != NULL;
}

size_t bt_link_waiting(struct bt_link *link) { return (void)link, 0; }

/* ---------------------------------------------------------------- a plug-in */

static volatile size_t seen; /* or a compiler leaves the reading out */

static size_t sum(const void *data, size_t len) {
  size_t n = 0;
  for (size_t i = 0; i < len; i++)
    n += ((const unsigned char *)data)[i]; /* every byte is there */
  seen = n;
  return n;
}

static void read_pairs(const struct berth_pair *pairs, size_t n) {
  for (size_t i = 0; i < n; i++) {
    sum(pairs[i].name, strlen(pairs[i].name));
    sum(pairs[i].value, strlen(pairs[i].value));
  }
}

static void keep(berth_handle id) {
  if (id && F.n < n_handles)
    F.handles[F.n++] = id;
}

static void told(void *arg, enum berth_code code, const char *message) {
  (void)arg, (void)code;
  BT_ASSERT(F.open-- > 0 && message);
}
static void told_secret(void *arg, enum berth_code code, const char *message, const void *value, size_t len) {
  told(arg, code, message);
  sum(value, value ? len : 0);
}
static void told_query(void *arg, enum berth_code code, const char *message, const char *json) {
  told(arg, code, message);
  sum(json, strlen(json));
}
static void told_sample(void *arg, const struct berth_metric_sample *s) {
  (void)arg;
  read_pairs(s->labels, s->nlabels);
}
static void told_head(void *arg, int status, const struct berth_pair *headers, size_t n) {
  (void)arg, (void)status;
  read_pairs(headers, n);
}
static bool told_data(void *arg, const void *data, size_t len) {
  (void)arg;
  return sum(data, len) % 3 != 0; /* now and then it pauses */
}
static ssize_t told_read(void *arg, void *buf, size_t room) {
  (void)arg, (void)room;
  memset(buf, 'b', 100);
  return F.limit - F.at > 100 ? -1 : F.limit - F.at > 50 ? 100 : 0;
}
static void told_done(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  (void)status;
  told(arg, code, message);
  BT_ASSERT(body[len] == '\0');
}
static void told_open(void *arg, bool ok, int status, const char *body, size_t len) { (void)arg, (void)ok, (void)status, sum(body, len); }
static void told_bytes(void *arg, const void *data, size_t len) { (void)arg, sum(data, len); }
static void told_close(void *arg, enum berth_code code, const char *message) { told(arg, code, message); }
static bool told_event(void *arg, const struct berth_event *e) {
  (void)arg;
  return strlen(e->type) % 5 != 4;
}
static bool found(void *arg, const char *key, const void *value, size_t len) {
  (void)arg;
  return sum(value, len) + strlen(key) != 1;
}
static void handle(void *arg, berth_op op, const struct berth_route_request *r) {
  (void)arg;
  told_head(NULL, 0, r->headers, r->nheaders);
  helper_routes.reply(&helper.entry.cell->host, op, 200, r->headers, r->nheaders, r->body, r->body_len);
}

/* Everything that can be open, once. */
static void open_all(const struct berth_host *host) {
  struct berth_http_request request = {.size = sizeof request, .method = "POST", .url = "http://x/", .on_head = told_head, .on_data = told_data,
                                       .read_body = told_read, .done = told_done};
  struct berth_http_upgrade upgrade = {.size = sizeof upgrade, .method = "GET", .url = "http://x/", .on_open = told_open, .on_data = told_bytes,
                                       .on_close = told_close};
  struct berth_route route = {.size = sizeof route, .method = "GET", .path = "/x", .summary = "", .handle = handle};
  F.open = 6;
  keep(helper_http.request(host, &request));
  keep(helper_http.upgrade(host, &upgrade));
  keep(helper_events.subscribe(host, 0, told_event, NULL));
  helper_kv.put(host, "key", "v", 1, told, NULL);
  keep(helper.entry.resources->id);
  helper_secret.get(host, "name", told_secret, NULL);
  keep(helper.entry.resources->id);
  helper_query.get(host, "/v1", told_query, NULL);
  keep(helper.entry.resources->id);
  helper_metrics.collect(host, 0, told_sample, told, NULL);
  keep(helper.entry.resources->id);
  keep(helper_routes.add(host, &route)); /* waits: takes the first line as the answer */
  helper_kv.scan(host, "", found, NULL); /* and the second */
}

static void do_plain(struct berth_instance *self, berth_op op) {
  (void)self;
  helper_http.resume(&helper.entry.cell->host, F.handles[0]);
  helper_events.resume(&helper.entry.cell->host, F.handles[2]);
  helper_ops.finish(&helper.entry.cell->host, op, BERTH_OK, NULL, "{}");
}
/* Every request begins with its size, and all its texts are there. */
static void do_request(struct berth_instance *self, berth_op op, const void *request) {
  size_t size;
  memcpy(&size, request, sizeof size);
  sum(request, size);
  helper_ops.emit(&helper.entry.cell->host, op, 1, "x", size % 2);
  do_plain(self, op);
}
static void do_text(struct berth_instance *self, berth_op op, const char *text) {
  sum(text, strlen(text));
  helper_http.cancel(&helper.entry.cell->host, F.handles[1]);
  do_plain(self, op);
}
static size_t do_input(struct berth_instance *self, berth_op op, const void *data, size_t len) {
  (void)self, (void)op;
  return sum(data, len);
}
static void do_resize(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols) { (void)self, (void)op, (void)rows, (void)cols; }
static bool do_ask(struct berth_instance *self, const char *text) { return (void)self, strlen(text) % 2; }
static void do_cancel(struct berth_instance *self, berth_op op) { (void)self, helper_ops.finish(&helper.entry.cell->host, op, BERTH_CANCELLED, "c", NULL); }
static enum berth_code do_start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  (void)host, (void)config, (void)why;
  *out = (struct berth_instance *)&F;
  return BERTH_OK;
}
static enum berth_code do_reload(struct berth_instance *self, const char *config, const char **why) {
  (void)self;
  *why = "odd";
  return strlen(config) % 2 ? BERTH_INVALID : BERTH_OK;
}
static enum berth_code do_validate(const char *config, const char **why) { return do_reload(NULL, config, why) == BERTH_OK ? BERTH_OK : BERTH_INVALID; }
static void do_stop(struct berth_instance *self) { (void)self; }

static const struct berth_plugin plugin = {.size = sizeof plugin, .start = do_start, .stop = do_stop, .cancel = do_cancel, .reload = do_reload, .validate = do_validate};

#define PUT(fn) memcpy((char *)(uintptr_t)i->methods + m->slot, &(__typeof__(&fn)){fn}, sizeof(&fn))

/* A manifest of every interface with every method, and a function in each place. */
static void make_manifest(void) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON json = json_pack("{ss ss si ss ss}", "id", "runtime-fuzz", "version", "1.0.0", "abi", BERTH_ABI, "summary", "s", "license", "MIT");
  json_t *interfaces = json_array();
  for (size_t i = 0; bt_interface_at(i); i++) {
    json_t *methods = json_array();
    for (const struct bt_method *m = bt_interface_at(i)->methods; m->name; m++)
      json_array_append_new(methods, json_string(m->name));
    json_array_append_new(interfaces, json_pack("{ss so}", "id", bt_interface_at(i)->id, "methods", methods));
  }
  bt_json_set(json, "interfaces", interfaces);
  helper.manifest = bt_manifest_read(json, "fuzz", &err);
  if (!helper.manifest)
    fprintf(stderr, "%s\n", bt_err_message(err));
  BT_ASSERT(helper.manifest);
  for (const struct berth_interface *i = helper.manifest->m.interfaces; i->id; i++)
    for (const struct bt_method *m = bt_interface_of(i->id)->methods; m->name; m++)
      switch (m->shape) {
      case BT_SHAPE_PLAIN: PUT(do_plain); break;
      case BT_SHAPE_REQUEST: PUT(do_request); break;
      case BT_SHAPE_TEXT: PUT(do_text); break;
      case BT_SHAPE_INPUT: PUT(do_input); break;
      case BT_SHAPE_RESIZE: PUT(do_resize); break;
      case BT_SHAPE_ASK: PUT(do_ask); break;
      }
}

static void begin_process(void) {
  static const char first[] = "{\"t\":\"start\",\"id\":1,\"name\":\"fuzz\",\"services\":[\"berth.host.ops/1\",1]}";
  struct bt_message m;
  session_open(-1, -1, 0, 1);
  make_manifest();
  helper.plugin = &plugin;
  F.at = first;
  F.limit = first + sizeof first - 1;
  BT_ASSERT(next_line(&m));
  F.on_message(NULL, &m);
  json_decref(m.head);
}

/* ---------------------------------------------------------------- messages */

static void hear(const struct bt_message *m) {
  long long id = bt_json_int(m->head, "id", 0);
  if (!m->type || strcmp(m->type, "start") == 0 || strcmp(m->type, "stop") == 0) /* once a process */
    return;
  if (id >= 1 && id <= n_handles)
    bt_json_set_int(m->head, "id", (long long)F.handles[id - 1]);
  F.on_message(NULL, m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!F.on_message)
    begin_process();
  BT_AUTO_FREE char *copy = bt_calloc(size + !size, 1);
  if (size)
    memcpy(copy, data, size);
  F.at = copy;
  F.limit = F.at + size;
  F.n = 0;
  struct bt_message m;
  open_all(&helper.entry.cell->host);
  for (int i = 0; i < max_messages && next_line(&m); i++) {
    hear(&m);
    json_decref(m.head);
    event_base_loop(bt_loop_base(helper.plugins.loop), EVLOOP_NONBLOCK);
  }
  F.at = F.limit;
  bt_resources_detach(&helper.entry);
  for (size_t i = 0; i < n_handles; i++)
    F.handles[i] = 0;
  BT_ASSERT(F.open == 0 && helper.plugins.handles.used == 0);
  return 0;
}
