/* A route as Berth understands it: one item of a service's canonical x-berth.routes, read once. Which requests it means, which of
 * two it clashes with, and what a load balancer gets to know of it. Pure; knows nothing of instances and of products. */
#ifndef BT_MODEL_ROUTE_H
#define BT_MODEL_ROUTE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

struct bt_route {
  bool tcp;
  int port;             /* inside the container */
  int listen;           /* tcp: the port of the machine */
  int weight;           /* of its service among those that share the route */
  struct bt_strs hosts; /* empty: any; in order of the alphabet */
  struct bt_strs paths;
  char *key;            /* what it means in short: "shop.example/api", "*" for any host, "tcp/5432"; the same for the same requests */
  char *share;          /* word that allows other apps to have the same route; NULL */
  char *secret;         /* of TLS: key of the model's secrets; NULL: plain */
  const json_t *json;   /* the canonical item; borrowed from the service */
};

struct bt_routes {
  struct bt_route *items;
  size_t len, cap;
};

/* Reads canonical x-berth.routes; list may be NULL. -1 with BT_INVALID and a sentence that names the service. */
int bt_routes_parse(const char *service, const json_t *list, struct bt_routes *out, struct bt_err **err) BT_CHECK;
void bt_routes_free(struct bt_routes *routes);

/* Do they mean exactly the same requests? Then they may share, else they clash where any is meant by both. */
bool bt_route_same(const struct bt_route *a, const struct bt_route *b);
/* A request that both mean ("shop.example/api", "port 5432"), or NULL; the caller frees. */
char *bt_route_overlap(const struct bt_route *a, const struct bt_route *b);
/* A host that both want, whatever the paths: the same name (or any), or a name under the other's star; NULL: none; the caller frees. */
char *bt_route_common_host(const struct bt_route *a, const struct bt_route *b);
/* The first setting besides port and weight in which two that share differ ("tls", "timeouts"), or NULL; a literal or borrowed. */
const char *bt_route_differs(const struct bt_route *a, const struct bt_route *b);

/* What berth.lb/1 is told of it but for id, targets and the certificate; new reference. */
json_t *bt_route_lb_json(const struct bt_route *route);
/* The URL that a person would open ("https://shop.example/api", "tcp://:5432"); the caller frees. */
char *bt_route_url(const struct bt_route *route);

#endif
