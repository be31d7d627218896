/* The server itself: version, health, status, doctor, plug-ins, policies, nodes, namespaces. */
#include "config.h"

#include "api/internal.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "plugin/plugin.h"

static void get_version(struct bt_api *api, struct bt_exchange *x) {
  json_t *o = json_object();
  bt_json_set_str(o, "version", api->s.version);
  bt_json_set_str(o, "api", "v1");
  bt_json_set_str(o, "server_id", api->s.server_id);
  bt_reply_json(x, 200, o);
}

/* Open to load balancers: says whether changes are taken, and no more. */
static void get_health(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_JSON server = api->s.server_status ? api->s.server_status(api->s.arg) : NULL;
  const char *store = bt_json_str_or(bt_json_obj(server, "store"), "status", "ok");
  bool good = strcmp(store, "ok") == 0;
  bt_reply_json(x, good ? 200 : 503, json_pack("{s:s}", "status", good ? "ok" : "read-only"));
}

static void get_server(struct bt_api *api, struct bt_exchange *x) {
  json_t *o = api->s.server_status ? api->s.server_status(api->s.arg) : json_object();
  bt_json_set_str(o, "version", api->s.version);
  bt_json_set_str(o, "server_id", api->s.server_id);
  bt_json_set_int(o, "uptime_ms", bt_clock_wall_ms() - api->s.started_ms);
  bt_json_set_int(o, "connections", (long long)bt_httpd_connections(api->httpd));
  bt_reply_json(x, 200, o);
}

static void get_openapi(struct bt_api *api, struct bt_exchange *x) { bt_reply_json(x, 200, bt_openapi_json(api)); }

static json_t *page(json_t *items) {
  json_t *o = json_object();
  bt_json_set(o, "items", items);
  bt_json_set(o, "next", json_null());
  return o;
}

static void doctor_done(void *arg, json_t *report) { bt_reply_json(arg, 200, page(report)); }

static void get_doctor(struct bt_api *api, struct bt_exchange *x) {
  if (api->s.doctor)
    api->s.doctor(api->s.arg, doctor_done, x);
  else
    bt_problem(x, BT_UNSUPPORTED, "this server has no doctor");
}

static void get_plugins(struct bt_api *api, struct bt_exchange *x) {
  bt_reply_json(x, 200, page(api->s.plugins ? bt_plugins_json(api->s.plugins) : json_array()));
}

/* ---------------------------------------------------------------- policies: always in a worker */

struct policies {
  struct bt_policy *policy;
  struct bt_exchange *x;
  json_t *list;
  struct bt_err *err;
};

static void policies_work(void *arg) {
  struct policies *p = arg;
  bt_policy_refresh(p->policy, NULL); /* what is broken stands in the list */
  p->list = bt_policy_list(p->policy);
}

static void policies_done(void *arg) {
  struct policies *p = arg;
  bt_reply_json(p->x, 200, page(p->list));
  free(p);
}

static void get_policies(struct bt_api *api, struct bt_exchange *x) {
  if (!api->s.policy) {
    bt_reply_json(x, 200, page(json_array()));
    return;
  }
  struct policies *p = bt_new(struct policies);
  *p = (struct policies){.policy = api->s.policy, .x = x};
  bt_pool_run(api->s.pool, "policies", policies_work, policies_done, p);
}

static void test_work(void *arg) {
  struct policies *p = arg;
  if (bt_policy_test_own(p->policy, &p->list, &p->err) < 0)
    p->list = NULL;
}

static void test_done(void *arg) {
  struct policies *p = arg;
  if (p->list)
    bt_reply_json(p->x, 200, page(p->list));
  else
    bt_problem_err(p->x, p->err);
  bt_err_free(&p->err);
  free(p);
}

static void test_policies(struct bt_api *api, struct bt_exchange *x) {
  if (!api->s.policy) {
    bt_problem(x, BT_UNSUPPORTED, "this server has no folder of policies");
    return;
  }
  struct policies *p = bt_new(struct policies);
  *p = (struct policies){.policy = api->s.policy, .x = x};
  bt_pool_run(api->s.pool, "policy tests", test_work, test_done, p);
}

/* ---------------------------------------------------------------- nodes, namespaces */

static void get_nodes(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "nodes", NULL, NULL); }

static void get_node(struct bt_api *api, struct bt_exchange *x) { bt_reply_one(api, x, "nodes", NULL, x->params[0]); }

static void cordon(struct bt_api *api, struct bt_exchange *x, bool on) {
  json_t *args = json_object();
  bt_json_set_str(args, "node", x->params[0]);
  bt_json_set_bool(args, "cordoned", on);
  bt_api_write(api, x, "node.cordon", args, false, NULL);
}

static void post_cordon(struct bt_api *api, struct bt_exchange *x) { cordon(api, x, true); }
static void post_uncordon(struct bt_api *api, struct bt_exchange *x) { cordon(api, x, false); }

static void get_pools(struct bt_api *api, struct bt_exchange *x) { bt_reply_json(x, 200, page(bt_control_pools(api->s.control(api->s.arg)))); }

static void post_drain(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"timeout", NULL};
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON body = bt_body_object(x->req, 4096, keys, &err);
  const char *text = bt_json_str(body, "timeout");
  int64_t ns = 0;
  if (body && json_object_get(body, "timeout") && (!text || !bt_duration_parse(text, &ns) || ns < 0))
    bt_err_set(&err, BT_INVALID, "\"timeout\" must be a duration such as 10m");
  if (err) {
    bt_problem_err(x, err);
    return;
  }
  json_t *args = json_object();
  bt_json_set_str(args, "node", x->params[0]);
  if (text)
    bt_json_set_int(args, "timeout_ms", ns / 1000000);
  bt_api_write(api, x, "node.drain", args, false, NULL);
}

static void get_rebalance(struct bt_api *api, struct bt_exchange *x) { bt_reply_json(x, 200, bt_control_rebalance(api->s.control(api->s.arg))); }

static void get_namespaces(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "namespaces", NULL, NULL); }

static void get_quotas(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_FREE char *namespace_ = bt_req_query(x->req, "namespace");
  bt_reply_list(api, x, "quotas", namespace_, NULL);
}

static const struct bt_route_param paging[] = {{"limit", "integer", "items of a page, at most 1000; 0: 500"},
                                               {"cursor", "string", "\"next\" of the page before"},
                                               {NULL, NULL, NULL}};

static const struct bt_route_param quota_query[] = {{"limit", "integer", "items of a page, at most 1000; 0: 500"},
                                                    {"cursor", "string", "\"next\" of the page before"},
                                                    {"namespace", "string", "only of this namespace"},
                                                    {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/version", .summary = "The server's version", .response = "Version", .handle = get_version},
    {.method = "GET", .pattern = "/v1/health", .summary = "Does the server answer?", .response = "Health", .open = true,
     .handle = get_health},
    {.method = "GET", .pattern = "/v1/server", .summary = "Uptime, memory, loop and store statistics, warnings",
     .response = "Server", .handle = get_server},
    {.method = "GET", .pattern = "/v1/openapi.json", .summary = "This document", .response = "Any", .open = true,
     .handle = get_openapi},
    {.method = "GET", .pattern = "/v1/doctor", .summary = "Check that everything fits together", .response = "[Check]",
     .handle = get_doctor},
    {.method = "GET", .pattern = "/v1/plugins", .summary = "Plug-ins and how they are", .response = "[Plugin]",
     .handle = get_plugins},
    {.method = "GET", .pattern = "/v1/policies", .summary = "Policies in force", .response = "[Policy]", .handle = get_policies},
    {.method = "POST", .pattern = "/v1/policies/test", .summary = "Run the tests beside the server's policies",
     .response = "[PolicyTest]", .handle = test_policies},
    {.method = "GET", .pattern = "/v1/nodes", .summary = "Nodes", .query = paging, .response = "[Node]", .handle = get_nodes},
    {.method = "GET", .pattern = "/v1/nodes/{node}", .summary = "A node", .response = "Node", .handle = get_node},
    {.method = "POST", .pattern = "/v1/nodes/{node}/cordon", .summary = "Let a node take no new instances; it runs on", .response = "Cordon",
     .handle = post_cordon},
    {.method = "POST", .pattern = "/v1/nodes/{node}/uncordon", .summary = "Let a node take instances again", .response = "Cordon",
     .handle = post_uncordon},
    {.method = "POST", .pattern = "/v1/nodes/{node}/drain", .summary = "Move all instances of a node away; uncordon calls it off", .request = "DrainRequest", .response = "Cordon",
     .handle = post_drain},
    {.method = "GET", .pattern = "/v1/rebalance", .summary = "Which instances would have better places", .response = "Rebalance", .handle = get_rebalance},
    {.method = "GET", .pattern = "/v1/pools", .summary = "Pools of nodes, and what is free there", .response = "[Pool]", .handle = get_pools},
    {.method = "GET", .pattern = "/v1/quotas", .summary = "What namespaces may use, and use", .query = quota_query, .response = "[Quota]",
     .handle = get_quotas},
    {.method = "GET", .pattern = "/v1/namespaces", .summary = "Namespaces", .query = paging, .response = "[Namespace]",
     .handle = get_namespaces},
};
const struct bt_route_table bt_routes_server = {routes, BT_COUNT(routes)};
