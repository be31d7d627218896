/* Instances and services: what runs. Their logs and shells are in res_streams.c. */
#include "config.h"

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"

static void all_instances(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "instances", NULL, NULL); }
static void all_services(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "services", NULL, NULL); }
static void instances(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "instances", x->params[0], NULL); }
static void services(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "services", x->params[0], NULL); }

static void get_instance(struct bt_api *api, struct bt_exchange *x) {
  bt_reply_one(api, x, "instances", x->params[0], x->params[1]);
}

static void get_service(struct bt_api *api, struct bt_exchange *x) {
  bt_reply_one(api, x, "services", x->params[0], x->params[1]);
}

static void restart_instance(struct bt_api *api, struct bt_exchange *x) {
  json_t *args = json_object();
  bt_json_set_str(args, "namespace", x->params[0]);
  bt_json_set_str(args, "instance", x->params[1]);
  bt_api_write(api, x, "instance.restart", args, false, NULL);
}

/* ---------------------------------------------------------------- statistics */

static void stats_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct bt_exchange *x = arg;
  if (code == BT_OK)
    bt_reply_json(x, 200, result ? json_copy((json_t *)(uintptr_t)result) : json_object());
  else
    bt_problem(x, code, message);
}

static void stats(struct bt_api *api, struct bt_exchange *x, const char *instance, json_t *args) {
  struct bt_api_stream stream = {.done = stats_done, .arg = x};
  api->s.stream(api->s.arg, "stats", x->params[0], instance, args, &stream);
}

static void get_instance_stats(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  uint64_t revision;
  if (bt_control_get(api->s.control(api->s.arg), "instances", x->params[0], x->params[1], &revision, &err))
    stats(api, x, x->params[1], json_object());
  else
    bt_problem_err(x, err);
}

static void get_stats(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_FREE char *app = bt_req_query(x->req, "app");
  json_t *args = json_object();
  bt_json_set_str(args, "namespace", x->params[0]);
  if (app && *app)
    bt_json_set_str(args, "app", app);
  stats(api, x, "", args);
}

static const struct bt_route_param filters[] = {{"limit", "integer", "items of a page, at most 1000; 0: 500"},
                                                {"cursor", "string", "\"next\" of the page before"},
                                                {"app", "string", "only of this app"},
                                                {"service", "string", "only of this service"},
                                                {"node", "string", "only on this node"},
                                                {NULL, NULL, NULL}};
static const struct bt_route_param of_app[] = {{"app", "string", "only of this app"}, {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/instances", .summary = "Instances of all namespaces", .query = filters,
     .response = "[Instance]", .handle = all_instances},
    {.method = "GET", .pattern = "/v1/services", .summary = "Services of all namespaces", .query = filters,
     .response = "[Service]", .handle = all_services},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/instances", .summary = "Instances", .query = filters,
     .response = "[Instance]", .handle = instances},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/services", .summary = "Services", .query = filters,
     .response = "[Service]", .handle = services},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/services/{service}", .summary = "A service, by its name or as app.name",
     .response = "Service", .handle = get_service},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/instances/{id}", .summary = "An instance", .response = "Instance",
     .handle = get_instance},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/instances/{id}/restart", .summary = "Stop an instance and start it again",
     .response = "Any", .handle = restart_instance},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/instances/{id}/stats", .summary = "What an instance uses",
     .response = "Stats", .handle = get_instance_stats},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/stats", .summary = "What all instances use", .query = of_app,
     .response = "[Stats]", .handle = get_stats},
};
const struct bt_route_table bt_routes_instances = {routes, BT_COUNT(routes)};
