/* For tests of the API: the real control core and store behind it, over its unix socket and TCP, with a stand-in for the node's
 * streams and the policies; and a client. A program calls setup() first and teardown() last. */
#ifndef BT_TESTS_API_KIT_H
#define BT_TESTS_API_KIT_H

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "control/executor.h"
#include "loop/http_client.h"
#include "state/store.h"
#include "tap.h"

static struct bt_loop *loop;
static struct bt_http *http;
static struct bt_pool *pool;
static struct bt_feed *feed;
static struct bt_store *store;
static struct bt_seal *seal;
static struct bt_executor *executor;
static struct bt_api *api;
static char dir[] = "/tmp/berth-api-XXXXXX";
static char *sock_path, *db_path, *token_path, *key_path;

/* ---------------------------------------------------------------- a stand-in for policies: no service may be called "forbidden" */

static int policy_calls;

struct bt_policy {
  int unused;
};

int bt_policy_refresh(struct bt_policy *policy, struct bt_err **err) {
  (void)policy;
  (void)err;
  return 0;
}

int bt_policy_check(struct bt_policy *policy, const json_t *model, const json_t *context, struct bt_verdict *out,
                    struct bt_err **err) {
  (void)policy;
  (void)err;
  policy_calls++;
  out->model = json_deep_copy(model);
  if (json_object_get(bt_json_obj(model, "services"), "forbidden"))
    bt_strs_add(&out->denials, "names.lua: no service may be called forbidden");
  json_t *web = bt_json_obj(bt_json_obj(out->model, "services"), "web");
  if (bt_json_int(bt_json_obj(web, "deploy"), "replicas", 1) > 5)
    bt_strs_add(&out->denials, "size.lua: at most 5");
  bt_strs_add(&out->warnings, bt_json_str_or(context, "operation", "?"));
  json_t *labels = json_pack("{s:s}", "policy", "was here");
  if (web)
    bt_json_set(web, "labels", labels);
  else
    json_decref(labels);
  return 0;
}

void bt_verdict_free(struct bt_verdict *verdict) {
  json_decref(verdict->model);
  json_decref(verdict->changes);
  bt_strs_free(&verdict->warnings);
  bt_strs_free(&verdict->denials);
}

int bt_policy_test_own(struct bt_policy *policy, json_t **results, struct bt_err **err) {
  (void)policy;
  (void)err;
  *results = json_pack("[{s:s, s:b}]", "name", "/p", "ok", 1);
  return 0;
}

json_t *bt_policy_list(struct bt_policy *policy) {
  (void)policy;
  return json_pack("[{s:s, s:s}]", "name", "names", "status", "ok");
}

/* ---------------------------------------------------------------- a stand-in for the node */

static struct {
  struct bt_api_stream to;
  char *op, *args;
  struct bt_buf input;
  int rows, cols, cancels;
  bool ended;
} node;

static uint64_t node_stream(void *arg, const char *op, const char *namespace_, const char *instance, json_t *args_steal,
                            const struct bt_api_stream *stream) {
  (void)arg;
  (void)namespace_;
  (void)instance;
  bt_str_set(&node.op, op);
  free(node.args);
  node.args = bt_json_text(args_steal);
  json_decref(args_steal);
  node.to = *stream;
  bt_loop_stop(loop);
  return 1;
}

static size_t node_input(void *arg, uint64_t handle, const void *data, size_t len) {
  (void)arg;
  (void)handle;
  bt_buf_add(&node.input, data, len);
  node.ended |= len == 0;
  return 0;
}

static void node_resize(void *arg, uint64_t handle, int rows, int cols) {
  (void)arg;
  (void)handle;
  node.rows = rows;
  node.cols = cols;
}

static void node_cancelled(void *arg) {
  struct bt_api_stream *to = arg;
  to->done(to->arg, BT_CANCELLED, "cancelled", NULL);
}

static void node_cancel(void *arg, uint64_t handle) {
  (void)arg;
  (void)handle;
  node.cancels++;
  bt_loop_post(loop, "cancel", node_cancelled, &node.to);
}

/* ---------------------------------------------------------------- the daemon's part */

static void no_send(void *arg, const char *name, const json_t *message) {
  (void)arg;
  (void)name;
  (void)message;
}

/* Every image is there at once. */
static void resolved(void *arg) {
  uint64_t *id = arg;
  BT_AUTO_JSON pin = json_pack("{s:s, s:s, s:s}", "pinned", "sha256:1", "digest", "sha256:1", "source", "local");
  bt_executor_call_done(executor, *id, BT_OK, "", pin);
  free(id);
}

static void resolve(void *arg, uint64_t id, const char *kind, const json_t *args) {
  (void)arg;
  (void)kind;
  (void)args;
  bt_loop_post(loop, "resolved", resolved, bt_memdup(&id, sizeof id));
}

static void no_rebuilt(void *arg) { (void)arg; }
static struct bt_control *get_control(void *arg) {
  (void)arg;
  return bt_executor_control(executor);
}

static void do_write(void *arg, const char *op, json_t *args, const char *actor, bool dry_run,
                     void (*done)(void *, enum bt_code, const char *, const json_t *), void *done_arg) {
  (void)arg;
  bt_executor_write(executor, op, args, actor, dry_run, done, done_arg);
}

static const char *store_status = "ok";

static json_t *status(void *arg) {
  (void)arg;
  return json_pack("{s:i, s:{s:s}}", "rss_bytes", 1, "store", "status", store_status);
}

static void doctor(void *arg, void (*done)(void *done_arg, json_t *report_steal), void *done_arg) {
  (void)arg;
  done(done_arg, json_pack("[{s:s, s:s}]", "element", "engine", "verdict", "ok"));
}

static struct bt_policy the_policy;
static char instance[128];

__attribute__((unused)) static void setup(void) {
  BT_AUTO_ERR err = NULL;
  sock_path = bt_asprintf("%s/s", dir);
  db_path = bt_asprintf("%s/db", dir);
  token_path = bt_asprintf("%s/token", dir);
  key_path = bt_asprintf("%s/key", dir);
  loop = bt_loop_new();
  http = bt_http_new(loop);
  pool = bt_pool_new(loop, 2);
  feed = bt_feed_new(0);
  is_int(bt_seal_open(key_path, &seal, &err), 0, "a seal");
  is_int(bt_store_sqlite_open(db_path, loop, NULL, NULL, &store, &err), 0, "a store");
  struct bt_executor_options eo = {.loop = loop, .store = store, .feed = feed, .send = no_send, .call = resolve, .rebuilt = no_rebuilt};
  is_int(bt_executor_new(&eo, &executor, &err), 0, "an executor");
  bt_executor_start(executor);
  struct bt_api_server server = {.loop = loop, .pool = pool, .feed = feed, .policy = &the_policy, .seal = seal, .version = "1.2.3",
                                 .server_id = "test", .control = get_control, .write = do_write, .stream = node_stream,
                                 .stream_input = node_input, .stream_resize = node_resize, .stream_cancel = node_cancel,
                                 .server_status = status, .doctor = doctor};
  struct bt_api_options options = {.socket_path = sock_path, .socket_mode = 0600, .tcp_listen = "127.0.0.1:0", .token_file = token_path};
  options.tcp_listen = "0.0.0.0:0";
  is_int(bt_api_new(&server, &options, &api, &err), -1, "an address off loopback needs TLS");
  is_int(bt_err_code(err), BT_INVALID, "it is the configuration's fault");
  bt_err_free(&err);
  options.tcp_listen = "127.0.0.1:0";
  if (!is_int(bt_api_new(&server, &options, &api, &err), 0, "the API"))
    printf("# %s\n", bt_err_message(err));
}

/* ---------------------------------------------------------------- the client */

struct answer {
  int status, done;
  enum bt_code code;
  json_t *json;
  char etag[64], type[64], allow[64];
  struct bt_buf text;
  size_t want;
};

static void stop(void *arg) {
  (void)arg;
  bt_loop_stop(loop);
}

static void run_for(int64_t ms) {
  struct bt_timer *t = bt_timer_new(loop, "guard", stop, NULL);
  bt_timer_set(t, ms);
  bt_loop_run(loop);
  bt_timer_free(&t);
}

static void on_head(void *arg, int code, const struct bt_http_pair *h, size_t n) {
  struct answer *a = arg;
  a->status = code;
  for (size_t i = 0; i < n; i++) {
    char *to = bt_streq(h[i].name, "etag") ? a->etag : bt_streq(h[i].name, "content-type") ? a->type
             : bt_streq(h[i].name, "allow") ? a->allow : NULL;
    if (to)
      snprintf(to, 64, "%s", h[i].value);
  }
}

static void on_done(void *arg, enum bt_code code, const char *message, int code_, const char *body, size_t len) {
  struct answer *a = arg;
  (void)message;
  (void)code_;
  a->code = code;
  a->done++;
  a->json = json_loadb(body, len, 0, NULL);
  bt_loop_stop(loop);
}

static bool on_data(void *arg, const void *data, size_t len) {
  struct answer *a = arg;
  bt_buf_add(&a->text, data, len);
  bt_loop_stop(loop);
  return true;
}

static void answer_free(struct answer *a) {
  json_decref(a->json);
  bt_buf_free(&a->text);
}
#define AUTO_ANSWER __attribute__((cleanup(answer_free))) struct answer

static struct bt_http_call *begin(struct answer *a, const char *method, const char *path, const char *body, const char *header,
                                  const char *value, bool stream, bool tcp) {
  BT_AUTO_FREE char *url = tcp ? bt_asprintf("http://127.0.0.1:%d%s", bt_api_tcp_port(api), path) : bt_asprintf("http://localhost%s", path);
  struct bt_http_pair h = {header, value};
  struct bt_http_request rq = {.method = method, .url = url, .unix_socket = tcp ? NULL : sock_path, .headers = &h,
                               .nheaders = header ? 1 : 0, .body = body, .body_len = body ? strlen(body) : 0, .on_head = on_head,
                               .on_data = stream ? on_data : NULL, .done = on_done, .arg = a};
  return bt_http_request(http, &rq);
}

__attribute__((unused)) static struct answer ask(const char *method, const char *path, const char *body, const char *header, const char *value) {
  struct answer a = {0};
  begin(&a, method, path, body, header, value, false, false);
  while (!a.done)
    run_for(5000);
  if (a.code != BT_OK)
    printf("# no answer\n");
  return a;
}

__attribute__((unused)) static struct answer get(const char *path) { return ask("GET", path, NULL, NULL, NULL); }

__attribute__((unused)) static const char *detail(const struct answer *a) { return bt_json_str_or(a->json, "detail", ""); }

/* A node joins, so that instances are made; one of them to talk to. */
__attribute__((unused)) static bool make_instance(void) {
  json_t *hello = json_pack("{s:s, s:{s:s, s:{}, s:f, s:I, s:s, s:s, s:s, s:s}, s:[]}", "type", "hello", "node", "name", "n1", "labels",
                            "cpus", 4.0, "memory", (json_int_t)8 << 30, "os", "linux", "arch", "amd64", "platform", "linux/amd64",
                            "runtime", "docker", "instances");
  bt_executor_node_message(executor, "n1", hello);
  for (int i = 0; i < 50 && !*instance; i++) {
    run_for(20);
    AUTO_ANSWER list = get("/v1/namespaces/default/instances?app=shop");
    const json_t *first = json_array_get(bt_json_arr(list.json, "items"), 0);
    snprintf(instance, sizeof instance, "%s", bt_json_str_or(first, "instance", ""));
  }
  return *instance;
}

/* Waits until the stream has a text. */
__attribute__((unused)) static bool sees(struct answer *a, const char *text) {
  for (int i = 0; i < 100 && !(a->text.data && strstr(a->text.data, text)); i++)
    run_for(50);
  bool found = a->text.data && strstr(a->text.data, text);
  if (!found)
    printf("# saw: %.300s\n", a->text.data ? a->text.data : "nothing");
  return found;
}

__attribute__((unused)) static void teardown(void) {
  bt_http_free(&http);
  bt_api_free(&api);
  run_for(50);
  bt_executor_stop(executor);
  store->ops->close(store);
  bt_executor_free(&executor);
  bt_pool_free(&pool);
  bt_feed_free(&feed);
  bt_seal_free(&seal);
  bt_loop_free(&loop);
  free(node.op);
  free(node.args);
  bt_buf_free(&node.input);
  BT_AUTO_FREE char *wal = bt_asprintf("%s-wal", db_path), *shm = bt_asprintf("%s-shm", db_path), *lock = bt_asprintf("%s.lock", db_path);
  const char *const files[] = {sock_path, db_path, wal, shm, lock, token_path, key_path};
  for (size_t i = 0; i < BT_COUNT(files); i++)
    unlink(files[i]);
  ok(rmdir(dir) == 0, "nothing is left behind");
  free(sock_path);
  free(db_path);
  free(token_path);
  free(key_path);
}

#endif
