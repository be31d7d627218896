/* The API over its unix socket and TCP, with the real control core and store behind it, and a stand-in for the node's streams
 * and the policies. */
#include "config.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/runtime.h>

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
  done(done_arg, json_pack("[{s:s, s:s}]", "check", "engine", "status", "ok"));
}

static struct bt_policy the_policy;
static char instance[128];

static void setup(void) {
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

static struct answer ask(const char *method, const char *path, const char *body, const char *header, const char *value) {
  struct answer a = {0};
  begin(&a, method, path, body, header, value, false, false);
  while (!a.done)
    run_for(5000);
  if (a.code != BT_OK)
    printf("# no answer\n");
  return a;
}

static struct answer get(const char *path) { return ask("GET", path, NULL, NULL, NULL); }

static const char *detail(const struct answer *a) { return bt_json_str_or(a->json, "detail", ""); }

/* ---------------------------------------------------------------- tests */

static void test_server(void) {
  AUTO_ANSWER v = get("/v1/version");
  is_str(bt_json_str(v.json, "version"), "1.2.3", "version");
  AUTO_ANSWER d = get("/v1/doctor");
  is_int(json_array_size(bt_json_arr(d.json, "items")), 1, "doctor");
  AUTO_ANSWER p = get("/v1/policies");
  is_int(json_array_size(bt_json_arr(p.json, "items")), 1, "policies");
  AUTO_ANSWER well = get("/v1/health");
  is_int(well.status, 200, "healthy");
  store_status = "full";
  AUTO_ANSWER sick = get("/v1/health");
  is_int(sick.status, 503, "a store that takes no changes is not healthy");
  store_status = "ok";
  AUTO_ANSWER pt = ask("POST", "/v1/policies/test", NULL, NULL, NULL);
  is_str(bt_json_str(json_array_get(bt_json_arr(pt.json, "items"), 0), "name"), "/p", "the policies' tests");
  AUTO_ANSWER n = get("/v1/nowhere");
  is_int(n.status, 404, "404");
  is_str(n.type, "application/problem+json", "as a problem");
  AUTO_ANSWER m = ask("DELETE", "/v1/version", NULL, NULL, NULL);
  is_int(m.status, 405, "405");
  is_str(m.allow, "GET, HEAD", "with the methods that are");
  AUTO_ANSWER b = get("/v1/namespaces/default/apps?limit=x");
  is_int(b.status, 400, "a query that is no number");
  AUTO_ANSWER t = ask("POST", "/v1/namespaces/default/apps", "a=b", "Content-Type", "application/x-www-form-urlencoded");
  is_int(t.status, 415, "a form is no JSON");
  ok(bt_api_reserved(api, "GET", "/v1/apps") && bt_api_reserved(api, "GET", "/v1") && !bt_api_reserved(api, "GET", "/v1/sd") &&
         !bt_api_reserved(api, "GET", "/metrics") && !bt_api_reserved(api, "GET", "/v1x"),
     "reserved paths");
}

static void test_tcp(void) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *token = NULL;
  size_t len;
  ok(bt_file_read(token_path, 100, &token, &len, &err) == 0, "a token was made");
  token[strcspn(token, "\n")] = 0;
  BT_AUTO_FREE char *bearer = bt_asprintf("Bearer %s", token);
  static const struct {
    const char *path;
    bool with;
    int status;
  } t[] = {{"/v1/version", false, 401}, {"/v1/version", true, 200}, {"/v1/health", false, 200}, {"/v1/openapi.json", false, 200},
           {"/v1/nowhere", false, 401}, {"/v1/nowhere", true, 404}};
  for (size_t i = 0; i < BT_COUNT(t); i++) {
    AUTO_ANSWER a = {0};
    begin(&a, "GET", t[i].path, NULL, t[i].with ? "Authorization" : NULL, bearer, false, true);
    while (!a.done)
      run_for(5000);
    is_int(a.status, t[i].status, t[i].path);
  }
}

static void make_cert(const char *cert, const char *key_file) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x = X509_new();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -60);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(x, san, -1);
  X509_EXTENSION_free(san);
  X509_sign(x, key, EVP_sha256());
  FILE *f = fopen(cert, "w");
  PEM_write_X509(f, x);
  fclose(f);
  f = fopen(key_file, "w");
  PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
  fclose(f);
  X509_free(x);
  EVP_PKEY_free(key);
}

static int tls_status(int port, const char *ca, const char *bearer, size_t *len) {
  AUTO_ANSWER a = {0};
  BT_AUTO_FREE char *url = bt_asprintf("https://127.0.0.1:%d/v1/openapi.json", port);
  struct bt_http_pair h = {"Authorization", bearer};
  bt_http_request(http, &(struct bt_http_request){.url = url, .headers = &h, .nheaders = 1, .tls_ca_file = ca, .on_head = on_head,
                                                  .done = on_done, .arg = &a});
  while (!a.done)
    run_for(5000);
  *len = json_object_size(bt_json_obj(a.json, "paths"));
  return a.status;
}

/* A second API of the same server, off loopback's rules: with TLS. */
static void test_tls(void) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *cert = bt_asprintf("%s/cert", dir), *key = bt_asprintf("%s/tlskey", dir);
  make_cert(cert, key);
  struct bt_api_server server = {.loop = loop, .pool = pool, .feed = feed, .seal = seal, .version = "1", .server_id = "t",
                                 .control = get_control};
  struct bt_api_options o = {.tcp_listen = "127.0.0.1:0", .token_file = token_path, .tls_cert = cert, .tls_key = token_path};
  struct bt_api *second;
  is_int(bt_api_new(&server, &o, &second, &err), -1, "a key that is none");
  bt_err_free(&err);
  o.tls_key = NULL;
  is_int(bt_api_new(&server, &o, &second, &err), -1, "a certificate without its key");
  bt_err_free(&err);
  o.tls_key = key;
  is_int(bt_api_new(&server, &o, &second, &err), 0, "TLS");
  size_t len;
  is_int(tls_status(bt_api_tcp_port(second), cert, "Bearer x", &len), 200, "an answer over TLS");
  ok(len > 20, "of many records");
  AUTO_ANSWER plain = {0};
  BT_AUTO_FREE char *url = bt_asprintf("http://127.0.0.1:%d/v1/health", bt_api_tcp_port(second));
  bt_http_request(http, &(struct bt_http_request){.url = url, .done = on_done, .arg = &plain});
  while (!plain.done)
    run_for(5000);
  ok(plain.code != BT_OK, "and none without");
  bt_api_free(&second);
  unlink(cert);
  unlink(key);
}

static void check_refs(const json_t *doc, const json_t *node_, int *bad) {
  const char *key;
  json_t *v;
  size_t i;
  const char *ref = bt_json_str(node_, "$ref");
  if (ref) {
    const char *name = strrchr(ref, '/') + 1;
    const json_t *components = bt_json_obj(doc, "components");
    const json_t *in = bt_json_obj(components, strstr(ref, "/schemas/") ? "schemas" : "responses");
    if (!json_object_get(in, name)) {
      printf("# %s leads nowhere\n", ref);
      ++*bad;
    }
  }
  json_object_foreach((json_t *)(uintptr_t)node_, key, v) check_refs(doc, v, bad);
  if (json_is_array(node_))
    json_array_foreach(node_, i, v) check_refs(doc, v, bad);
}

static void test_openapi(void) {
  AUTO_ANSWER a = get("/v1/openapi.json");
  is_str(bt_json_str(a.json, "openapi"), "3.1.0", "OpenAPI");
  int bad = 0, operations = 0;
  check_refs(a.json, a.json, &bad);
  is_int(bad, 0, "every reference leads somewhere");
  BT_AUTO_JSON ids = json_object();
  const char *path, *method;
  json_t *item, *op, *param;
  size_t i;
  json_object_foreach(bt_json_obj(a.json, "paths"), path, item) json_object_foreach(item, method, op) {
    operations++;
    const char *id = bt_json_str_or(op, "operationId", "");
    int named = 0, braces = 0;
    json_array_foreach(bt_json_arr(op, "parameters"), i, param) named += bt_streq(bt_json_str(param, "in"), "path");
    for (const char *p = path; *p; p++)
      braces += *p == '{';
    if (json_object_get(ids, id) || named != braces || !bt_json_str(op, "summary") || !bt_json_obj(op, "responses"))
      ok(false, "%s %s is described", method, path);
    json_object_set_new(ids, id, json_true());
  }
  ok(operations > 40, "%d operations, each with an id of its own, its params, a summary", operations);
}

#define FILE_TEXT                                                                                                   \
  "name: shop\\nservices:\\n  web:\\n    image: busybox\\n    environment: {A: \\\"${WHO:-nobody}\\\"}\\n"             \
  "    secrets: [key]\\nsecrets:\\n  key: {file: ./key.txt}\\n"
#define BUNDLE                                                                                                     \
  "{\"bundle\": {\"files\": {\"/p/compose.yaml\": \"" FILE_TEXT "\", \"/p/key.txt\": {\"base64\": \"c2VzYW1l\"}}, "   \
  "\"compose_files\": [\"/p/compose.yaml\"], \"env\": {\"WHO\": \"me\"}}, \"message\": \"first\"}"

static void test_apply(void) {
  AUTO_ANSWER dry = ask("POST", "/v1/namespaces/default/apps?dryRun=true", BUNDLE, NULL, NULL);
  ok(dry.status == 200 && json_array_size(bt_json_arr(dry.json, "plan")) > 0, "a dry run plans");
  if (dry.status != 200)
    printf("# %d %s\n", dry.status, detail(&dry));
  AUTO_ANSWER none = get("/v1/namespaces/default/apps/shop");
  is_int(none.status, 404, "and changes nothing");
  AUTO_ANSWER a = ask("POST", "/v1/namespaces/default/apps", BUNDLE, NULL, NULL);
  ok(a.status == 200 && bt_json_int(a.json, "revision", 0) == 1, "applied");
  is_str(json_string_value(json_array_get(bt_json_arr(a.json, "warnings"), 0)), "create", "the policy saw a creation");
  ok(bt_json_arr(a.json, "diagnostics") != NULL, "diagnostics are part of the answer");
  AUTO_ANSWER r = get("/v1/namespaces/default/apps/shop/revisions/1");
  const json_t *web = bt_json_obj(bt_json_obj(bt_json_obj(r.json, "model"), "services"), "web");
  is_str(bt_json_str(bt_json_obj(web, "environment"), "A"), "me", "interpolated from the bundle's environment");
  is_str(bt_json_str(bt_json_obj(web, "labels"), "policy"), "was here", "as the policy changed it");
  BT_AUTO_FREE char *text = bt_json_text(r.json);
  ok(!strstr(text, "sesame") && !strstr(text, "c2VzYW1l"), "the secret is nowhere to be read");
  is_str(bt_json_str(r.json, "message"), "first", "its message");
  is_str(bt_json_str(r.json, "actor"), "root@unix", "its actor");
  const char *fp = bt_json_str_or(bt_json_obj(bt_json_obj(r.json, "contents"), "secrets/key"), "fingerprint", "");
  BT_AUTO_FREE char *key = bt_asprintf("secrets/shop/key/%s", fp);
  const char *blob = bt_control_secret_blob(bt_executor_control(executor), "default", key);
  void *plain = NULL;
  size_t len = 0;
  BT_AUTO_ERR err = NULL;
  ok(blob && bt_seal_decrypt(seal, "default/shop/key", blob, &plain, &len, &err) == 0 && len == 6 && memcmp(plain, "sesame", 6) == 0,
     "but the node gets it back");
  free(plain);
  AUTO_ANSWER app = get("/v1/namespaces/default/apps/shop");
  ok(bt_starts(app.etag, "\"1-"), "the app's ETag begins with its revision: %s", app.etag);
  AUTO_ANSWER same = ask("GET", "/v1/namespaces/default/apps/shop", NULL, "If-None-Match", app.etag);
  is_int(same.status, 304, "not modified");
  AUTO_ANSWER stale = ask("PUT", "/v1/namespaces/default/apps/shop", BUNDLE, "If-Match", "\"7\"");
  is_int(stale.status, 412, "If-Match with another revision");
  AUTO_ANSWER fresh = ask("PUT", "/v1/namespaces/default/apps/shop?dryRun=1", BUNDLE, "If-Match", app.etag);
  is_int(fresh.status, 200, "If-Match with its ETag");
}

static void test_refusals(void) {
  static const struct {
    const char *name, *body;
    int status;
  } t[] = {
      {"not JSON", "{", 400},
      {"an unknown member", "{\"compose\": \"x\", \"nope\": 1}", 400},
      {"neither bundle nor compose", "{}", 400},
      {"a wrong type", "{\"compose\": 5}", 400},
      {"an unknown word", "{\"compose\": \"x\", \"build\": \"maybe\"}", 400},
      {"a relative path", "{\"bundle\": {\"files\": {\"a\": \"\"}, \"compose_files\": [\"/a\"]}}", 400},
      {"a path with dots", "{\"bundle\": {\"files\": {\"/a/../b\": \"\"}, \"compose_files\": [\"/b\"]}}", 400},
      {"a file that is not there", "{\"bundle\": {\"files\": {}, \"compose_files\": [\"/b\"]}}", 400},
      {"a Compose file that is none", "{\"compose\": \"services: 5\"}", 400},
      {"a policy's no", "{\"compose\": \"name: x\\nservices: {forbidden: {image: a}}\"}", 403},
  };
  for (size_t i = 0; i < BT_COUNT(t); i++) {
    AUTO_ANSWER a = ask("POST", "/v1/namespaces/default/apps", t[i].body, NULL, NULL);
    if (!is_int(a.status, t[i].status, t[i].name))
      printf("# %s\n", detail(&a));
  }
  AUTO_ANSWER d = ask("POST", "/v1/compose/config", "{\"compose\": \"name: x\\nservices: {a: {image: b, imagee: c}}\"}", NULL, NULL);
  const json_t *first = json_array_get(bt_json_arr(d.json, "diagnostics"), 0);
  ok(d.status == 400 && bt_json_int(first, "line", 0) == 2, "what is wrong has its place");
  AUTO_ANSWER good = ask("POST", "/v1/compose/config", "{\"compose\": \"name: x\\nservices: {a: {image: b}}\"}", NULL, NULL);
  ok(good.status == 200 && bt_json_obj(bt_json_obj(bt_json_obj(good.json, "model"), "services"), "a"), "the canonical model");
  char deep[400];
  memset(deep, '[', 200);
  memset(deep + 200, ']', 199);
  deep[399] = 0;
  AUTO_ANSWER nested = ask("POST", "/v1/namespaces/default/apps", deep, NULL, NULL);
  is_int(nested.status, 400, "200 levels of JSON");
}

/* A node joins, so that instances are made; one of them to talk to. */
static bool make_instance(void) {
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

static void test_changes(void) {
  int before = policy_calls;
  AUTO_ANSWER s = ask("POST", "/v1/namespaces/default/apps/shop/scale", "{\"services\": {\"web\": 3}}", NULL, NULL);
  ok(s.status == 200 && bt_json_int(s.json, "revision", 0) == 2, "scaled");
  is_int(policy_calls, before + 1, "policies were asked");
  AUTO_ANSWER big = ask("POST", "/v1/namespaces/default/apps/shop/scale", "{\"services\": {\"web\": 9}}", NULL, NULL);
  is_int(big.status, 403, "they see the replicas that are wanted");
  AUTO_ANSWER bad = ask("POST", "/v1/namespaces/default/apps/shop/scale", "{\"services\": {}}", NULL, NULL);
  is_int(bad.status, 400, "scale what?");
  AUTO_ANSWER lost = ask("POST", "/v1/namespaces/default/apps/nope/scale", "{\"services\": {\"web\": 1}}", NULL, NULL);
  is_int(lost.status, 404, "no such app");
  AUTO_ANSWER back = ask("POST", "/v1/namespaces/default/apps/shop/rollback", "{\"to\": 1}", NULL, NULL);
  ok(back.status == 200 && bt_json_int(back.json, "revision", 0) == 3, "rolled back");
  AUTO_ANSWER far = ask("POST", "/v1/namespaces/default/apps/shop/rollback", "{\"to\": 77}", NULL, NULL);
  is_int(far.status, 404, "no such revision");
  AUTO_ANSWER list = get("/v1/namespaces/default/apps/shop/revisions");
  is_int(json_array_size(bt_json_arr(list.json, "items")), 3, "history");
  AUTO_ANSWER page = get("/v1/namespaces/default/apps/shop/revisions?limit=2");
  const char *next = bt_json_str(page.json, "next");
  BT_AUTO_FREE char *more = bt_asprintf("/v1/namespaces/default/apps/shop/revisions?limit=2&cursor=%s", next ? next : "");
  AUTO_ANSWER rest = get(more);
  ok(next && json_array_size(bt_json_arr(page.json, "items")) == 2 && json_array_size(bt_json_arr(rest.json, "items")) == 1,
     "in pages");
  AUTO_ANSWER restart = ask("POST", "/v1/namespaces/default/apps/shop/restart", "{\"services\": [\"web\"]}", NULL, NULL);
  is_int(restart.status, 200, "restart");
  AUTO_ANSWER service = get("/v1/namespaces/default/services/web");
  ok(service.status == 200 && *service.etag, "a service, with its ETag");
  AUTO_ANSWER why = get("/v1/namespaces/default/why?object=shop");
  ok(why.status == 200 && bt_json_str(why.json, "summary"), "why");
}

static void test_secrets(void) {
  AUTO_ANSWER a = ask("PUT", "/v1/namespaces/default/secrets/db", "{\"data\": \"aGVsbG8=\"}", NULL, NULL);
  is_int(a.status, 200, "a secret is set");
  const char *blob = bt_control_secret_blob(bt_executor_control(executor), "default", "secrets/-/db");
  void *plain = NULL;
  size_t len = 0;
  ok(blob && bt_seal_decrypt(seal, "default/-/db", blob, &plain, &len, NULL) == 0 && len == 5, "and sealed under its name");
  free(plain);
  AUTO_ANSWER g = get("/v1/namespaces/default/secrets/db");
  BT_AUTO_FREE char *text = bt_json_text(g.json);
  ok(g.status == 200 && bt_json_int(g.json, "size", 0) == 5 && !strstr(text, "aGVsbG8") && !strstr(text, "v1:"),
     "readers see its size, not its content");
  AUTO_ANSWER bad = ask("PUT", "/v1/namespaces/default/secrets/db", "{\"data\": \"***\"}", NULL, NULL);
  is_int(bad.status, 400, "no base64");
  AUTO_ANSWER name = ask("PUT", "/v1/namespaces/default/secrets/-bad", "{\"data\": \"aGVsbG8=\"}", NULL, NULL);
  is_int(name.status, 400, "no name");
  AUTO_ANSWER del = ask("DELETE", "/v1/namespaces/default/secrets/db", NULL, NULL, NULL);
  is_int(del.status, 200, "removed");
}

/* Waits until the stream has a text. */
static bool sees(struct answer *a, const char *text) {
  for (int i = 0; i < 100 && !(a->text.data && strstr(a->text.data, text)); i++)
    run_for(50);
  bool found = a->text.data && strstr(a->text.data, text);
  if (!found)
    printf("# saw: %.300s\n", a->text.data ? a->text.data : "nothing");
  return found;
}

static void test_watch(void) {
  AUTO_ANSWER w = {0}, e = {0}, past = {0}, bad = get("/v1/watch?kinds=blob");
  is_int(bad.status, 400, "what is inside cannot be watched");
  struct bt_http_call *watch = begin(&w, "GET", "/v1/watch?kinds=secret,instance", NULL, NULL, NULL, true, false);
  ok(sees(&w, ":\n\n"), "a watch begins");
  struct bt_http_call *events = begin(&e, "GET", "/v1/events?follow=true&type=revision.*", NULL, NULL, NULL, true, false);
  BT_AUTO_FREE char *id = bt_asprintf("id: %llu\n\n", (unsigned long long)bt_feed_latest(feed));
  ok(sees(&e, ":\n\n") && sees(&e, id) && sees(&w, id), "so do events; both say where to resume before anything happened");
  AUTO_ANSWER put = ask("PUT", "/v1/namespaces/default/secrets/seen", "{\"data\": \"aGVsbG8=\"}", NULL, NULL);
  ok(put.status == 200 && sees(&w, "event: secret\n") && sees(&w, "\"key\":\"default/secrets/-/seen\""), "a change arrives");
  ok(!strstr(w.text.data, "event: blob") && !strstr(w.text.data, "aGVsbG8"), "without what is inside");
  BT_AUTO_JSON progress = json_pack("{s:s, s:s}", "instance", "x", "text", "pulling");
  bt_api_progress(api, progress);
  ok(sees(&w, "event: progress\ndata: {\"instance\":\"x\""), "progress comes with instances");
  AUTO_ANSWER applied = ask("POST", "/v1/namespaces/default/apps", "{\"compose\": \"name: other\\nservices: {a: {image: b}}\"}", NULL, NULL);
  ok(applied.status == 200 && sees(&e, "\"type\":\"revision."), "events of a type");
  AUTO_ANSWER list = get("/v1/events?type=revision.*");
  ok(json_array_size(bt_json_arr(list.json, "items")) > 0, "events as a list");
  AUTO_ANSWER first = {0};
  struct bt_http_call *old = begin(&first, "GET", "/v1/events?follow=true&after=0", NULL, NULL, NULL, true, false);
  ok(sees(&first, "\"app\":\"shop\"") && !strstr(first.text.data, "event: gap"), "events from the very first");
  bt_http_cancel(old);
  while (!first.done)
    run_for(100);
  struct bt_http_call *resumed = begin(&past, "GET", "/v1/watch?kinds=app,secret", NULL, "Last-Event-ID", "0", true, false);
  ok(sees(&past, "\"key\":\"default/other\"") || sees(&past, "event: gap"), "a watch resumes");
  bt_http_cancel(watch);
  bt_http_cancel(events);
  bt_http_cancel(resumed);
  while (!w.done || !e.done || !past.done)
    run_for(100);
}

static void test_logs(void) {
  AUTO_ANSWER none = get("/v1/namespaces/default/instances/nope/logs");
  is_int(none.status, 404, "logs of nothing");
  BT_AUTO_FREE char *path = bt_asprintf("/v1/namespaces/default/instances/%s/logs?tail=5&since=10m&follow=true", instance);
  AUTO_ANSWER a = {0};
  begin(&a, "GET", path, NULL, NULL, NULL, true, false);
  run_for(2000);
  ok(bt_streq(node.op, "logs") && strstr(node.args, "\"tail\":5") && strstr(node.args, "\"follow\":true"), "logs are asked for");
  node.to.data(node.to.arg, 5, "{\"line\":\"one\"}", 14);
  ok(sees(&a, "{\"line\":\"one\"}\n"), "a line comes at once");
  node.to.data(node.to.arg, 5, "{\"line\":\"two\"}", 14);
  node.to.done(node.to.arg, BT_OK, "", NULL);
  while (!a.done)
    run_for(1000);
  is_str(a.text.data, "{\"line\":\"one\"}\n{\"line\":\"two\"}\n", "and the rest");
  is_str(a.type, "application/x-ndjson", "as lines of JSON");
  AUTO_ANSWER b = {0};
  struct bt_http_call *call = begin(&b, "GET", path, NULL, NULL, NULL, true, false);
  run_for(2000);
  node.to.data(node.to.arg, 5, "{}", 2);
  ok(sees(&b, "{}"), "another one");
  bt_http_cancel(call);
  for (int i = 0; i < 50 && !node.cancels; i++)
    run_for(20);
  is_int(node.cancels, 1, "a reader that goes ends the stream");
  run_for(20);
  AUTO_ANSWER c = {0};
  begin(&c, "GET", path, NULL, NULL, NULL, false, false);
  run_for(2000);
  node.to.done(node.to.arg, BT_UNAVAILABLE, "the engine is away", NULL);
  while (!c.done)
    run_for(1000);
  is_int(c.status, 503, "a failure before the first line is a problem");
}

/* A reader that does not read: what waits for it is told to the node, which then reads no more. */
static void test_logs_slow(void) {
  BT_AUTO_FREE char *head = bt_asprintf("GET /v1/namespaces/default/instances/%s/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n", instance);
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", sock_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ok(connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, head, strlen(head)) == (ssize_t)strlen(head), "a slow reader");
  run_for(2000);
  static char piece[256 * 1024];
  memset(piece, 'x', sizeof piece);
  size_t waiting = 0;
  for (int i = 0; i < 16; i++)
    waiting = node.to.data(node.to.arg, BERTH_RUNTIME_LINE, piece, sizeof piece);
  ok(waiting > 3 << 20, "%zu bytes wait for it", waiting);
  for (int i = 0; i < 200 && node.to.data(node.to.arg, 0, NULL, 0); i++) {
    static char taken[256 * 1024];
    while (recv(fd, taken, sizeof taken, MSG_DONTWAIT) > 0)
      ;
    run_for(10);
  }
  is_int(node.to.data(node.to.arg, 0, NULL, 0), 0, "until it has read them");
  int cancels = node.cancels;
  close(fd);
  for (int i = 0; i < 50 && node.cancels == cancels; i++)
    run_for(20);
  is_int(node.cancels, cancels + 1, "its end ends the stream");
  run_for(20);
}

/* ---- exec, over a tunnel with frames made by hand ---- */

struct shell {
  struct bt_http_tunnel *t;
  bool open;
  int status, closes;
  struct bt_buf in;
};

static void shell_open(void *arg, bool is_ok, int code, const char *body, size_t len) {
  struct shell *s = arg;
  (void)body;
  (void)len;
  s->open = is_ok;
  s->status = code;
}

static void shell_data(void *arg, const void *data, size_t len) {
  bt_buf_add(&((struct shell *)arg)->in, data, len);
  bt_loop_stop(loop);
}

static void shell_close(void *arg, enum bt_code code, const char *message) {
  (void)code;
  (void)message;
  ((struct shell *)arg)->closes++;
  bt_loop_stop(loop);
}

static void shell_say(struct shell *s, int channel, const char *text) {
  char frame[120] = {(char)0x82, (char)(0x80 | (strlen(text) + 1)), 0, 0, 0, 0, (char)channel};
  memcpy(frame + 7, text, strlen(text));
  bt_http_tunnel_write(s->t, frame, 7 + strlen(text));
}

static struct shell shell(struct shell *s, const char *query) {
  static const struct bt_http_pair h[] = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"},
                                          {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  BT_AUTO_FREE char *url = bt_asprintf("http://localhost/v1/namespaces/default/instances/%s/exec?%s", instance, query);
  *s = (struct shell){0};
  s->t = bt_http_upgrade(http, &(struct bt_http_upgrade){.url = url, .unix_socket = sock_path, .headers = h, .nheaders = 4,
                                                         .on_open = shell_open, .on_data = shell_data, .on_close = shell_close, .arg = s});
  run_for(2000);
  return *s;
}

static void test_exec(void) {
  struct shell s;
  free(bt_steal(node.op));
  shell(&s, "command=%5B%22sh%22%5D&tty=true&stdin=true&rows=24&cols=80");
  run_for(20);
  ok(s.open && bt_streq(node.op, "exec") && strstr(node.args, "\"command\":[\"sh\"]") && strstr(node.args, "\"rows\":24"), "a shell");
  shell_say(&s, 0, "ls\n");
  shell_say(&s, 4, "{\"rows\":50,\"cols\":100}");
  shell_say(&s, 5, "");
  for (int i = 0; i < 50 && !node.ended; i++)
    run_for(20);
  is_str(node.input.data, "ls\n", "input");
  ok(node.rows == 50 && node.cols == 100 && node.ended, "resize and the end of input");
  node.to.data(node.to.arg, 1, "out", 3);
  node.to.data(node.to.arg, 2, "err", 3);
  BT_AUTO_JSON result = json_pack("{s:i}", "exit_code", 3);
  node.to.done(node.to.arg, BT_OK, "", result);
  static const char want[] = "\x82\x04\x01out\x82\x04\x02" "err\x82\x10\x03{\"exit_code\":3}\x88\x02\x03\xe8";
  for (int i = 0; i < 50 && s.in.len < sizeof want - 1; i++)
    run_for(20);
  ok(s.in.len == sizeof want - 1 && memcmp(s.in.data, want, s.in.len) == 0, "output on its channels, the result, the close");
  char close_frame[] = {(char)0x88, (char)0x82, 0, 0, 0, 0, 3, (char)0xe8};
  bt_http_tunnel_write(s.t, close_frame, sizeof close_frame);
  for (int i = 0; i < 50 && !s.closes; i++)
    run_for(20);
  is_int(s.closes, 1, "the connection ends");
  bt_buf_free(&s.in);
  node.cancels = 0;
  shell(&s, "command=%5B%22sh%22%5D");
  run_for(20);
  bt_http_tunnel_cancel(s.t);
  for (int i = 0; i < 50 && !node.cancels; i++)
    run_for(20);
  is_int(node.cancels, 1, "a client that goes ends the command's stream");
  run_for(30);
  bt_buf_free(&s.in);
  shell(&s, "command=sh");
  is_int(s.status, 400, "a command is a JSON array");
  run_for(20);
  BT_AUTO_FREE char *path = bt_asprintf("/v1/namespaces/default/instances/%s/exec?command=%%5B%%22sh%%22%%5D", instance);
  AUTO_ANSWER plain = get(path);
  is_int(plain.status, 426, "a plain GET is told to upgrade");
}

static void query_done(void *arg, enum bt_code code, const char *message, const char *json) {
  (void)message;
  *(int *)arg = code == BT_OK ? (int)strlen(json) : -(int)code;
}

static void test_query(void) {
  int got = 0;
  bt_api_query(api, "/v1/namespaces/default/apps?limit=0", query_done, &got);
  ok(got > 10, "a query of a plug-in");
  bt_api_query(api, "/v1/nowhere", query_done, &got);
  is_int(got, -BT_NOT_FOUND, "of nothing");
  bt_api_query(api, "/v1/watch", query_done, &got);
  is_int(got, -BT_UNSUPPORTED, "of a stream");
  bt_api_query(api, "/v1/events?follow=true", query_done, &got);
  is_int(got, -BT_UNSUPPORTED, "of a stream by its parameter");
  bt_api_query(api, "/x y HTTP/1.1\r\n", query_done, &got);
  is_int(got, -BT_INVALID, "of no path");
}

static void test_remove(void) {
  AUTO_ANSWER a = ask("DELETE", "/v1/namespaces/default/apps/shop?volumes=true", NULL, NULL, NULL);
  is_int(a.status, 200, "an app is removed");
}

static void teardown(void) {
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
  BT_AUTO_FREE char *wal = bt_asprintf("%s-wal", db_path), *shm = bt_asprintf("%s-shm", db_path);
  const char *const files[] = {sock_path, db_path, wal, shm, token_path, key_path};
  for (size_t i = 0; i < BT_COUNT(files); i++)
    unlink(files[i]);
  rmdir(dir);
  free(sock_path);
  free(db_path);
  free(token_path);
  free(key_path);
}

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  setup();
  if (!api)
    return done_testing();
  test_server();
  test_tcp();
  test_tls();
  test_openapi();
  test_apply();
  test_refusals();
  bool there = ok(make_instance(), "an instance");
  test_changes();
  test_secrets();
  test_watch();
  if (there) {
    test_logs();
  test_logs_slow();
    test_exec();
  }
  test_query();
  test_remove();
  teardown();
  return done_testing();
}
