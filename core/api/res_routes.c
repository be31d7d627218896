/* Routes: control's table, with what the load balancer counts for each. */
#include "config.h"

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"

enum { most_routes = 5000 };

/* An answer that waits for the load balancer's numbers. */
struct listing {
  struct bt_exchange *x;
  json_t *page;
};

static const json_t *stats_of(const json_t *stats, const json_t *row) {
  BT_AUTO_FREE char *id = bt_asprintf("%s/%s", bt_json_str_or(row, "namespace", ""), bt_json_str_or(row, "route", ""));
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(stats, "routes"), i, item) if (bt_streq(bt_json_str(item, "route"), id)) return item;
  return NULL;
}

/* null where nobody counts. */
static void add_numbers(json_t *row, const json_t *numbers) {
  static const char *const keys[] = {"requests", "errors", "denied", "rate", "open", "bytes_in", "bytes_out"};
  for (size_t i = 0; i < BT_COUNT(keys); i++) {
    json_t *value = json_object_get(numbers, keys[i]);
    bt_json_set(row, keys[i], value ? json_incref(value) : json_null());
  }
  json_t *instances = bt_json_arr(numbers, "endpoints");
  bt_json_set(row, "instances", instances ? json_incref(instances) : json_array());
}

static void counted(void *arg, const json_t *stats) {
  struct listing *l = arg;
  size_t i;
  json_t *row;
  json_array_foreach(bt_json_arr(l->page, "items"), i, row) add_numbers(row, stats_of(stats, row));
  bt_reply_json(l->x, 200, l->page);
  free(l);
}

static json_t *rows_of(struct bt_api *api, struct bt_exchange *x, const char *namespace_, struct bt_err **err) {
  BT_AUTO_FREE char *app = bt_req_query(x->req, "app");
  BT_AUTO_FREE char *cursor = bt_req_query(x->req, "cursor");
  BT_AUTO_FREE char *next = NULL;
  long long limit;
  if (bt_query_int(x->req, "limit", 0, most_routes, 0, &limit, err) < 0)
    return NULL;
  struct bt_query query = {.namespace_ = namespace_, .app = app, .cursor = cursor && *cursor ? cursor : NULL, .limit = (int)limit};
  json_t *items = bt_control_list(api->s.control(api->s.arg), "routes", &query, &next, err);
  if (!items)
    return NULL;
  json_t *page = json_object();
  bt_json_set(page, "items", items);
  bt_json_set(page, "next", next ? bt_json_string(next) : json_null());
  return page;
}

static void list(struct bt_api *api, struct bt_exchange *x, const char *namespace_) {
  BT_AUTO_ERR err = NULL;
  json_t *page = rows_of(api, x, namespace_, &err);
  if (!page) {
    bt_problem_err(x, err);
    return;
  }
  struct listing *l = bt_new(struct listing);
  *l = (struct listing){x, page};
  if (api->s.route_stats && json_array_size(bt_json_arr(page, "items")))
    api->s.route_stats(api->s.arg, counted, l);
  else
    counted(l, NULL);
}

static void all_routes(struct bt_api *api, struct bt_exchange *x) { list(api, x, NULL); }
static void routes_of(struct bt_api *api, struct bt_exchange *x) { list(api, x, x->params[0]); }

static const struct bt_route_param filters[] = {{"limit", "integer", "items of a page, at most 5000; 0: 500"},
                                                {"cursor", "string", "\"next\" of the page before"},
                                                {"app", "string", "only of this app"},
                                                {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/routes", .summary = "Routes of all namespaces", .query = filters, .response = "[Route]",
     .handle = all_routes},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/routes", .summary = "Routes: ways in for outside traffic", .query = filters,
     .response = "[Route]", .handle = routes_of},
};
const struct bt_route_table bt_routes_routes = {routes, BT_COUNT(routes)};
