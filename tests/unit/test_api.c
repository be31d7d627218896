/* The API over its unix socket and TCP: its objects, what it refuses, its document. */
#include "config.h"

#include "api/auth.h"
#include "api_kit.h"
#include "cert_kit.h"

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
  BT_AUTO_FREE char *large = bt_calloc(1, 100001);
  memset(large, ' ', 100000);
  for (int with = 0; with < 2; with++) {
    AUTO_ANSWER a = {0};
    begin(&a, with ? "POST" : "GET", with ? "/v1/compose/config" : "/v1/health", large, with ? "Authorization" : NULL, bearer, false, true);
    while (!a.done)
      run_for(5000);
    is_int(a.status, with ? 400 : 413, with ? "who has the token may send much" : "a stranger's large body is refused");
  }
}

/* Whose token file others can read, or own, has no secret. */
static void test_token_file(void) {
  BT_AUTO_FREE char *path = bt_path_join(dir, "other-token");
  BT_AUTO_ERR err = NULL;
  struct bt_auth *auth = NULL;
  is_int(bt_file_write(path, "0123456789abcdef", 16, 0640, &err), 0, "a token file");
  is_int(bt_auth_new(path, &auth, &err), -1, "that a group can read is refused");
  bt_err_free(&err);
  if (geteuid() == 0) {
    ok(chmod(path, 0600) == 0 && chown(path, 65534, 65534) == 0, "another user's");
    is_int(bt_auth_new(path, &auth, &err), -1, "is refused");
    is_int(bt_err_code(err), BT_DENIED, "as such");
  }
  unlink(path);
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
      {"nothing at all", "", 400},
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

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  setup();
  if (!api)
    return done_testing();
  test_server();
  test_tcp();
  test_token_file();
  test_tls();
  test_openapi();
  test_apply();
  test_refusals();
  ok(make_instance(), "an instance");
  test_changes();
  test_secrets();
  test_query();
  test_remove();
  teardown();
  return done_testing();
}
