/* x-berth of a service, its routes above all, as JSON: what the loader takes is complete (checked again it stays as it is), can be read as
 * routes, and what a load balancer is told of them is JSON. Part "routes" reads what stands in the store. */
#include "config.h"

#include "base/json.h"
#include "base/mem.h"
#include "compose/support.h"
#include "model/route.h"
#include "tests/fuzz/parts.h"

static void use(const struct bt_routes *routes) {
  for (size_t i = 0; i < routes->len; i++) {
    const struct bt_route *a = &routes->items[i];
    BT_AUTO_JSON lb = bt_route_lb_json(a);
    BT_AUTO_FREE char *url = bt_route_url(a);
    BT_ASSERT(json_is_object(lb) && *url && a->key && bt_route_same(a, a) && !bt_route_differs(a, a));
    for (size_t k = 0; k < i && k < 4; k++) {
      const struct bt_route *b = &routes->items[k];
      BT_AUTO_FREE char *both = bt_route_overlap(a, b);
      BT_AUTO_FREE char *again = bt_route_overlap(b, a);
      BT_ASSERT(bt_route_same(a, b) == bt_route_same(b, a) && (both == NULL) == (again == NULL) && (both || !bt_route_same(a, b)));
    }
  }
}

static void routes(char *text, size_t len) {
  BT_AUTO_JSON list = bt_json_parse(text, len, 0, 0, "routes", NULL);
  BT_AUTO_ERR err = NULL;
  struct bt_routes all = {0};
  int rc = list ? bt_routes_parse("web", list, &all, &err) : 0;
  BT_ASSERT(rc == 0 || *bt_err_message(err));
  if (rc == 0)
    use(&all);
  bt_routes_free(&all);
}

/* Gives the completed mapping, or NULL. */
static struct bt_yaml *check(const json_t *json) {
  struct bt_compose_options options = {.compat = BT_COMPAT_REFUSE};
  struct bt_compose_result result = {0};
  struct bt_load load = {.options = &options, .result = &result, .diags = &result.diags};
  struct bt_yaml *tree = bt_yaml_from_json(json, (struct bt_loc){0});
  bt_compose_check_xberth(&load, tree, "web");
  if (result.diags.errors)
    bt_yaml_free(&tree);
  bt_compose_result_free(&result);
  return tree;
}

static void xberth(char *text, size_t len) {
  BT_AUTO_JSON json = bt_json_parse(text, len, 0, 0, "x-berth", NULL);
  BT_AUTO_YAML tree = json ? check(json) : NULL;
  if (!tree)
    return;
  BT_AUTO_JSON complete = bt_yaml_json(tree);
  BT_AUTO_YAML again = check(complete);
  BT_ASSERT(again);
  BT_AUTO_JSON same = bt_yaml_json(again);
  BT_ASSERT(bt_json_equal(complete, same));
  BT_AUTO_ERR err = NULL;
  struct bt_routes all = {0};
  int rc = bt_routes_parse("web", bt_json_arr(complete, "routes"), &all, &err);
  BT_ASSERT(rc == 0);
  use(&all);
  bt_routes_free(&all);
}

static const struct fuzz_part parts[] = {{'x', "xberth", xberth}, {'r', "routes", routes}};
FUZZ_PARTS(parts)
