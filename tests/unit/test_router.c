#include "config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/problem.h"
#include "api/router.h"
#include "api/sse.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

static void handle(struct bt_api *api, struct bt_exchange *x) {
  (void)api;
  (void)x;
}

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/", .handle = handle},
    {.method = "GET", .pattern = "/v1/apps", .handle = handle},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps", .handle = handle},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps", .handle = handle},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps/{app}", .handle = handle},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps/{app}/revisions/{rev}", .handle = handle},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps/all", .handle = handle},
    {.method = "DELETE", .pattern = "/v1/namespaces/{ns}/{kind}/{name}", .handle = handle},
};

struct answer {
  int calls, status;
  char body[1024];
};

static void capture(void *arg, int status, const char *body, size_t len) {
  struct answer *a = arg;
  a->calls++;
  a->status = status;
  snprintf(a->body, sizeof a->body, "%.*s", (int)BT_MIN(len, 1000), body ? body : "");
}

/* An exchange whose request is the text's. */
static struct bt_exchange *request(const char *line, const char *headers, struct answer *a) {
  *a = (struct answer){0};
  struct bt_exchange *x = bt_exchange_internal(capture, a);
  BT_AUTO_FREE char *text = bt_asprintf("%s HTTP/1.1\r\nHost: x\r\n%s\r\n", line, headers);
  if (bt_req_feed(x->req, text, strlen(text)) != strlen(text) || x->req->state != BT_REQ_DONE)
    printf("# %s: %s\n", line, x->req->problem ? x->req->problem : "not taken");
  return x;
}

static void end(struct bt_exchange *x) { bt_reply(x, 200, NULL, NULL, 0); }

static void test_routes(void) {
  struct bt_router *r = bt_router_new();
  bt_router_add(r, routes, BT_COUNT(routes));
  static const struct {
    const char *line;
    int want; /* index of the route; -1 none */
    const char *p0, *p1, *allow;
  } t[] = {
      {"GET /", 0, NULL, NULL, NULL},
      {"GET /v1/apps", 1, NULL, NULL, NULL},
      {"HEAD /v1/apps", 1, NULL, NULL, NULL},
      {"GET /v1/apps/", -1, NULL, NULL, NULL},
      {"GET /v1/apps?x=/a", 1, NULL, NULL, NULL},
      {"POST /v1/apps", -1, NULL, NULL, "GET, HEAD"},
      {"GET /v1/namespaces/default/apps", 2, "default", NULL, NULL},
      {"POST /v1/namespaces/a%20b/apps", 3, "a b", NULL, NULL},
      {"PUT /v1/namespaces/default/apps", -1, NULL, NULL, "GET, HEAD, POST"},
      {"GET /v1/namespaces/default/apps/shop", 4, "default", "shop", NULL},
      {"GET /v1/namespaces/default/apps/all", 6, "default", NULL, NULL},
      {"DELETE /v1/namespaces/default/volumes/data", 7, "default", "volumes", NULL},
      {"GET /v1/namespaces", -1, NULL, NULL, NULL},
      {"GET /v1/namespaces/default/apps/shop/revisions", -1, NULL, NULL, NULL},
      {"GET /v2/apps", -1, NULL, NULL, NULL},
      {"GET /v1", -1, NULL, NULL, NULL},
  };
  for (size_t i = 0; i < BT_COUNT(t); i++) {
    struct answer a;
    const char *allow;
    struct bt_exchange *x = request(t[i].line, "", &a);
    if (bt_streq(t[i].line, "GET /v1/apps/")) { /* the parser refuses the empty segment */
      is_int(x->req->state, BT_REQ_BAD, t[i].line);
      end(x);
      continue;
    }
    const struct bt_route *route = bt_router_find(r, x, &allow);
    ok(route == (t[i].want < 0 ? NULL : &routes[t[i].want]) && bt_streq(allow, t[i].allow) &&
           (!t[i].p0 || bt_streq(x->params[0], t[i].p0)) && (!t[i].p1 || bt_streq(x->params[1], t[i].p1)),
       "%s", t[i].line);
    end(x);
  }
  struct answer a;
  const char *allow;
  struct bt_exchange *x = request("GET /v1/namespaces/n/apps/shop/revisions/7", "", &a);
  ok(bt_router_find(r, x, &allow) == &routes[5] && x->nparams == 3 && bt_streq(x->params[2], "7"), "three params");
  end(x);
  bt_router_free(&r);
}

static void test_query(void) {
  struct answer a;
  struct bt_exchange *x = request("GET /x?a=1&bb=%41+b&empty=&flag&bad=%zz", "", &a);
  BT_AUTO_FREE char *v1 = bt_req_query(x->req, "a"), *v2 = bt_req_query(x->req, "bb"), *v3 = bt_req_query(x->req, "empty"),
                    *v4 = bt_req_query(x->req, "flag"), *v5 = bt_req_query(x->req, "bad"), *v6 = bt_req_query(x->req, "b");
  is_str(v1, "1", "a parameter");
  is_str(v2, "A b", "decoded");
  is_str(v3, "", "empty");
  is_str(v4, "", "without a value");
  ok(!v5 && !v6, "broken or absent");
  end(x);
}

static void test_problems(void) {
  struct answer a;
  BT_AUTO_ERR err = NULL;
  bt_err_set(&err, BT_NOT_FOUND, "no app \"shop\"");
  bt_problem_err(request("GET /x", "", &a), err);
  is_int(a.status, 404, "an error's status");
  is_str(a.body, "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":\"no app \\\"shop\\\"\",\"code\":\"not_found\"}",
         "problem+json");
  bt_reply_object(request("GET /x", "If-None-Match: \"6\", \"7\"\r\n", &a), "{}", 7);
  is_int(a.status, 304, "If-None-Match");
  bt_reply_object(request("GET /x", "If-None-Match: \"77\"\r\n", &a), "{}", 7);
  is_int(a.status, 200, "another revision");
  uint64_t after;
  struct bt_exchange *x = request("GET /x?after=5", "Last-Event-ID: 9\r\n", &a);
  ok(bt_sse_resume_point(x->req, &after, NULL) == 0 && after == 9, "Last-Event-ID goes before ?after");
  end(x);
  x = request("GET /x?after=-1", "", &a);
  is_int(bt_sse_resume_point(x->req, &after, NULL), -1, "no number");
  end(x);
}

static int try_auth(struct bt_auth *auth, struct bt_peer peer, const char *header, char *actor) {
  struct answer a;
  struct bt_exchange *x = request("GET /x", header, &a);
  x->peer_store = peer;
  BT_AUTO_ERR err = NULL;
  int rc = bt_auth_check(auth, x, &err);
  strcpy(actor, x->actor);
  end(x);
  return rc;
}

static void test_auth(void) {
  BT_AUTO_ERR err = NULL;
  char dir[] = "/tmp/berth-auth-XXXXXX", actor[48];
  ok(mkdtemp(dir) != NULL, "a folder");
  BT_AUTO_FREE char *path = bt_asprintf("%s/sub/token", dir);
  struct bt_auth *auth;
  is_int(bt_auth_new(path, &auth, &err), 0, "a token is made");
  struct stat st;
  ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "mode 0600");
  BT_AUTO_FREE char *token = NULL;
  size_t len;
  ok(bt_file_read(path, 100, &token, &len, &err) == 0 && len == 44, "256 bits of it");
  token[len - 1] = 0;
  const struct bt_peer tcp = {0}, root = {.unix_socket = true, .in_group = true}, other = {.unix_socket = true, .uid = 1000};
  BT_AUTO_FREE char *good = bt_asprintf("Authorization: Bearer %s\r\n", token);
  BT_AUTO_FREE char *longer = bt_asprintf("Authorization: Bearer %sx\r\n", token);
  is_int(try_auth(auth, tcp, good, actor), 0, "the token");
  is_str(actor, "token", "its actor");
  is_int(try_auth(auth, tcp, "", actor), -1, "no token");
  is_int(try_auth(auth, tcp, longer, actor), -1, "a longer token");
  is_int(try_auth(auth, tcp, "Authorization: Bearer\r\n", actor), -1, "an empty token");
  is_int(try_auth(auth, tcp, "Authorization: Basic eDp5\r\n", actor), -1, "another scheme");
  is_int(try_auth(auth, root, "", actor), 0, "the socket's group needs none");
  is_str(actor, "root@unix", "its actor");
  is_int(try_auth(auth, other, "", actor), -1, "others on the socket do");
  bt_auth_free(&auth);
  chmod(path, 0644);
  is_int(bt_auth_new(path, &auth, &err), -1, "a token file that others can read is refused");
  bt_err_free(&err);
  is_int(bt_auth_new(NULL, &auth, &err), 0, "without a token file");
  is_int(try_auth(auth, tcp, good, actor), -1, "no token is right");
  bt_auth_free(&auth);
  unlink(path);
  BT_AUTO_FREE char *sub = bt_path_dir(path);
  rmdir(sub);
  rmdir(dir);
}

int main(void) {
  test_routes();
  test_query();
  test_problems();
  test_auth();
  return done_testing();
}
