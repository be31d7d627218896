#include "config.h"
#include "api/api.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <strings.h>

#include "api/follow_trees.h"
#include "api/http_listen.h"
#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "plugin/plugin.h"

/* A push with a hundred commits is larger than what anybody else may send whom nobody knows. */
enum { PUMP_BUDGET = 200, STRANGERS_BODY = 64 * 1024, WEBHOOK_BODY = 512 * 1024 };

/* ---------------------------------------------------------------- watchers */

static void on_pump(void *arg) {
  struct bt_api *api = arg;
  if (bt_feed_pump(api->s.feed, PUMP_BUDGET))
    bt_timer_set(api->pump, 0);
}

void bt_api_pump(struct bt_api *api) { bt_timer_set(api->pump, 0); }

/* ---------------------------------------------------------------- routes of plug-ins */

static void plugin_done(void *arg, enum bt_code code, const char *message, int status, const struct berth_pair *headers,
                        size_t nheaders, const void *body, size_t len) {
  struct bt_exchange *x = arg;
  if (code != BT_OK) {
    bt_problem(x, code, message);
    return;
  }
  const char *type = "text/plain";
  for (size_t i = 0; i < nheaders; i++) {
    /* Framing is ours. */
    if (strcasecmp(headers[i].name, "content-type") == 0)
      type = headers[i].value;
    else if (strcasecmp(headers[i].name, "content-length") && strcasecmp(headers[i].name, "transfer-encoding") &&
             strcasecmp(headers[i].name, "connection"))
      bt_reply_header(x, headers[i].name, headers[i].value);
  }
  bt_reply(x, status, type, body, len);
}

/* Where the client goes away, the plug-in's answer comes all the same, within its 30 s, and ends the exchange. */
static void plugin_call(const struct bt_plugin_route *route, struct bt_exchange *x) {
  const struct bt_req *req = x->req;
  struct berth_pair headers[BT_REQ_MAX_HEADERS];
  size_t n = 0;
  for (size_t i = 0; i < req->nheaders; i++) {
    /* The server's own token is not for plug-ins. */
    if (strcmp(req->headers[i].name, "authorization") == 0 && !route->open)
      continue;
    headers[n++] = (struct berth_pair){req->headers[i].name, req->headers[i].value};
  }
  struct berth_route_request request = {.size = sizeof request,
                                        .method = req->method,
                                        .path = req->path,
                                        .query = req->query,
                                        .headers = headers,
                                        .nheaders = n,
                                        .body = req->body.data ? req->body.data : "",
                                        .body_len = req->body.len};
  bt_plugins_route_call(route, &request, plugin_done, x);
}

/* ---------------------------------------------------------------- dispatch */

/* A plug-in's route for the request: HEAD goes to GET. */
static bool plugin_route(struct bt_api *api, struct bt_exchange *x, struct bt_plugin_route *out) {
  const char *method = x->head_only ? "GET" : x->req->method;
  return api->s.plugins && bt_plugins_route(api->s.plugins, method, x->req->path, out, NULL);
}

/* The methods that plug-ins take at the path, as an Allow header has them; the caller frees. NULL: none. */
static char *plugin_methods(struct bt_api *api, const char *path) {
  static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
  struct bt_buf out = {0};
  struct bt_plugin_route route;
  for (size_t i = 0; api->s.plugins && i < BT_COUNT(methods); i++)
    if (bt_plugins_route(api->s.plugins, methods[i], path, &route, NULL))
      bt_buf_addf(&out, "%s%s%s", out.len ? ", " : "", methods[i], i == 0 ? ", HEAD" : "");
  return out.len ? bt_buf_steal(&out) : NULL;
}

static bool authenticated(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  if (bt_auth_check(api->auth, x, &err) == 0)
    return true;
  bt_problem_err(x, err);
  return false;
}

static void no_route(struct bt_api *api, struct bt_exchange *x, const char *allow) {
  BT_AUTO_FREE char *methods = allow ? bt_strdup(allow) : plugin_methods(api, x->req->path);
  if (methods) {
    bt_reply_header(x, "Allow", methods);
    bt_problem_status(x, 405, BT_UNSUPPORTED, "this address does not take that method");
  } else {
    BT_AUTO_FREE char *text = bt_asprintf("there is nothing at %.200s: see /v1/openapi.json", x->req->path);
    bt_problem(x, BT_NOT_FOUND, text);
  }
}

static bool json_body(const struct bt_req *req) {
  const char *type = bt_req_header(req, "content-type");
  return !type || strncasecmp(type, "application/json", 16) == 0;
}

/* Finds who answers, and whether the sender may ask. False: it is answered, and x is gone. */
static bool find_route(struct bt_api *api, struct bt_exchange *x) {
  const char *allow;
  struct bt_plugin_route plugin;
  const struct bt_route *route = bt_router_find(api->router, x, &allow);
  x->route = route;
  if (!route && plugin_route(api, x, &plugin))
    return plugin.open || authenticated(api, x);
  if (!(route && route->open) && !authenticated(api, x)) /* strangers learn nothing of what is there */
    return false;
  if (!route)
    no_route(api, x, allow);
  else if (route->request && !json_body(x->req))
    bt_problem_status(x, 415, BT_UNSUPPORTED, "the body's type has to be application/json");
  else
    return true;
  return false;
}

/* The head is here: refuse what can be refused before a body of 3 MB is read. For whom nobody knows no such body is kept. */
static void on_head(void *arg, struct bt_exchange *x) {
  if (find_route(arg, x) && !*x->actor)
    bt_req_limit_body(x->req, x->route ? STRANGERS_BODY : WEBHOOK_BODY);
}

static void on_request(void *arg, struct bt_exchange *x) {
  struct bt_api *api = arg;
  const struct bt_route *route = x->route;
  struct bt_plugin_route plugin;
  if (route)
    route->handle(api, x);
  else if (plugin_route(api, x, &plugin))
    plugin_call(&plugin, x);
  else
    no_route(api, x, NULL); /* removed since its head came */
}

/* ---------------------------------------------------------------- queries from inside */

struct query {
  void (*done)(void *arg, enum bt_code code, const char *message, const char *json);
  void *arg;
};

static void query_answer(void *arg, int status, const char *body, size_t len) {
  struct query *q = arg;
  BT_AUTO_FREE char *text = bt_strndup(len ? body : "", len);
  if (status < 300) {
    q->done(q->arg, BT_OK, "", text);
  } else {
    BT_AUTO_JSON problem = json_loads(text, 0, NULL);
    const char *code = json_string_value(json_object_get(problem, "code"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    q->done(q->arg, code ? bt_code_from_name(code) : BT_UNSUPPORTED, detail ? detail : "the query was refused", NULL);
  }
  free(q);
}

void bt_api_query(struct bt_api *api, const char *path,
                  void (*done)(void *arg, enum bt_code code, const char *message, const char *json), void *arg) {
  struct query *q = bt_new(struct query);
  q->done = done;
  q->arg = arg;
  struct bt_exchange *x = bt_exchange_internal(query_answer, q);
  strcpy(x->actor, "plugin");
  BT_AUTO_FREE char *text = bt_asprintf("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
  size_t used = bt_req_feed(x->req, text, strlen(text));
  const char *allow;
  const struct bt_route *route = x->req->state == BT_REQ_DONE && used == strlen(text) ? bt_router_find(api->router, x, &allow) : NULL;
  if (!route)
    bt_problem(x, x->req->state == BT_REQ_DONE ? BT_NOT_FOUND : BT_INVALID, "no such address in the API");
  else if (route->content && strcmp(route->content, "application/json") != 0)
    bt_problem(x, BT_UNSUPPORTED, "streams are not for queries");
  else
    route->handle(api, x);
}

bool bt_api_reserved(const struct bt_api *api, const char *method, const char *path) {
  (void)api;
  (void)method;
  if (strcmp(path, "/v1/sd") == 0)
    return false;
  return strcmp(path, "/v1") == 0 || strncmp(path, "/v1/", 4) == 0 || strcmp(path, "/") == 0;
}

/* ---------------------------------------------------------------- opening and closing */

static int open_tls(struct bt_api *api, const struct bt_api_options *o, struct bt_err **err) {
  api->tls = SSL_CTX_new(TLS_server_method());
  BT_ASSERT(api->tls);
  SSL_CTX_set_min_proto_version(api->tls, TLS1_2_VERSION);
  SSL_CTX_set_options(api->tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(api->tls, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_use_certificate_chain_file(api->tls, o->tls_cert) == 1 &&
      SSL_CTX_use_PrivateKey_file(api->tls, o->tls_key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(api->tls) == 1)
    return 0;
  const char *why = ERR_reason_error_string(ERR_peek_error());
  bt_err_set(err, BT_INVALID, "api.tcp.tls: the certificate %s with the key %s cannot be used: %s", o->tls_cert, o->tls_key,
             why ? why : "they do not fit each other");
  ERR_clear_error();
  return -1;
}

static int open_tcp(struct bt_api *api, const struct bt_api_options *o, struct bt_err **err) {
  if (!o->tcp_listen)
    return 0;
  if (!o->token_file)
    return bt_err_set(err, BT_INVALID, "api.tcp.listen needs api.tcp.token_file: nobody may come in over TCP without a token");
  if ((!o->tls_cert) != (!o->tls_key))
    return bt_err_set(err, BT_INVALID, "api.tcp.tls needs both cert and key");
  if (!o->tls_cert && !bt_address_is_loopback(o->tcp_listen))
    return bt_err_set(err, BT_INVALID, "api.tcp.listen: %s is no loopback address, and without api.tcp.tls the token would go over the "
                                       "network in the clear",
                      o->tcp_listen);
  if (o->tls_cert && open_tls(api, o, err) < 0)
    return -1;
  return bt_httpd_listen_tcp(api->httpd, o->tcp_listen, api->tls, err);
}

static int open_all(struct bt_api *api, const struct bt_api_options *o, struct bt_err **err) {
  if (bt_auth_new(o->tcp_listen ? o->token_file : NULL, &api->auth, err) < 0)
    return -1;
  if (o->socket_path && bt_httpd_listen_unix(api->httpd, o->socket_path, o->socket_mode ? (mode_t)o->socket_mode : 0660,
                                             o->socket_group, err) < 0)
    return -1;
  return open_tcp(api, o, err);
}

int bt_api_new(const struct bt_api_server *server, const struct bt_api_options *options, struct bt_api **out, struct bt_err **err) {
  static const struct bt_route_table *const tables[] = {&bt_routes_server,  &bt_routes_apps,  &bt_routes_instances,
                                                        &bt_routes_objects, &bt_routes_watch, &bt_routes_streams, &bt_routes_images,
                                                        &bt_routes_sources, &bt_routes_routes};
  *out = NULL;
  json_object_seed(0); /* before two threads make objects at once */
  struct bt_api *api = bt_new(struct bt_api);
  api->s = *server;
  api->pump = bt_timer_new(server->loop, "api-watch", on_pump, api);
  api->router = bt_router_new();
  for (size_t i = 0; i < BT_COUNT(tables); i++)
    bt_router_add(api->router, tables[i]->routes, tables[i]->n);
  api->httpd = bt_httpd_new(&(struct bt_httpd_options){.loop = server->loop, .on_head = on_head, .on_request = on_request, .arg = api});
  if (open_all(api, options, err) < 0) {
    bt_api_free(&api);
    return -1;
  }
  api->trees = bt_trees_keeper_new(api);
  *out = api;
  return 0;
}

void bt_api_free(struct bt_api **papi) {
  if (!*papi)
    return;
  struct bt_api *api = bt_steal(*papi);
  if (api->s.plugins)
    bt_plugins_end_owned(api->s.plugins, api);
  bt_trees_keeper_free(&api->trees);
  bt_watch_streams_close(api);
  bt_httpd_free(&api->httpd);
  bt_router_free(&api->router);
  if (api->auth)
    bt_auth_free(&api->auth);
  SSL_CTX_free(api->tls);
  bt_timer_free(&api->pump);
  free(api);
}

int bt_api_tcp_port(const struct bt_api *api) { return bt_httpd_port(api->httpd); }
