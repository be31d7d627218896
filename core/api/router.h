/* One table of routes, from which requests are dispatched and the OpenAPI document is made. A pattern is literal segments
 * and {params}: "/v1/namespaces/{ns}/apps/{app}". Literals go before params. */
#ifndef BT_API_ROUTER_H
#define BT_API_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "api/http_server.h"

struct bt_api;
struct bt_router;

struct bt_route_param {
  const char *name;
  const char *type; /* "string", "integer", "boolean" */
  const char *doc;
};

/* Literals all. */
struct bt_route {
  const char *method, *pattern, *summary;
  const struct bt_route_param *query; /* ends with a NULL name; NULL: none */
  const char *request, *response;     /* names of schemas (schemas.c); NULL: none; "[Name]" is a page of them */
  int status;                         /* of success; 0: 200 */
  const char *content;                /* media type of the answer; NULL: application/json */
  bool open;                          /* no token is asked for */
  void (*handle)(struct bt_api *api, struct bt_exchange *x);
};

struct bt_router *bt_router_new(void);
void bt_router_free(struct bt_router **router);
/* Borrows the routes. A pattern that is there twice under one method is a defect (assertion). */
void bt_router_add(struct bt_router *router, const struct bt_route *routes, size_t n);
/* The route of the exchange's method and path (HEAD goes to GET), with x->params filled. NULL where there is none: then *allow
 * is a list of methods ("GET, PUT") where the path is there under others, else NULL. */
const struct bt_route *bt_router_find(struct bt_router *router, struct bt_exchange *x, const char **allow);
/* In order of adding. */
size_t bt_router_count(const struct bt_router *router);
const struct bt_route *bt_router_at(const struct bt_router *router, size_t i);

#endif
