/* Between the modules of core/api only: the API's state, and the helpers of its resources. */
#ifndef BT_API_INTERNAL_H
#define BT_API_INTERNAL_H

#include "api/api.h"
#include "api/auth.h"
#include "api/problem.h"
#include "api/router.h"
#include "api/sse.h"

struct bt_progress_watcher;

struct bt_api {
  struct bt_api_server s;
  struct bt_httpd *httpd;
  struct bt_router *router;
  struct bt_auth *auth;
  SSL_CTX *tls;
  struct bt_timer *pump;         /* delivers what is due to watchers */
  struct bt_watch_stream *streams; /* open ones of res_watch.c */
  struct bt_trees_keeper *trees; /* NULL: none */
};

/* The tables of routes, one a resource. */
struct bt_route_table {
  const struct bt_route *routes;
  size_t n;
};
extern const struct bt_route_table bt_routes_server, bt_routes_apps, bt_routes_instances, bt_routes_objects, bt_routes_watch,
    bt_routes_images, bt_routes_routes, bt_routes_sources, bt_routes_streams;

/* ---- helpers.c ---- */

/* ?name=true. Anything but true, false, 1, 0 and empty (true) is refused. */
int bt_query_bool(const struct bt_req *req, const char *name, bool or, bool *out, struct bt_err **err) BT_CHECK;
int bt_query_int(const struct bt_req *req, const char *name, long long min, long long max, long long or, long long *out,
                 struct bt_err **err) BT_CHECK;
/* The body (at most max bytes: it is parsed on the loop) as a JSON object whose members are all among keys (ends with NULL); an
 * empty body is {}. */
json_t *bt_body_object(const struct bt_req *req, size_t max, const char *const *keys, struct bt_err **err);
/* Refuses members that are not among keys. */
int bt_check_keys(const json_t *obj, const char *what, const char *const *keys, struct bt_err **err) BT_CHECK;
/* If-Match: "12" as a JSON integer, null where absent. */
json_t *bt_if_match(const struct bt_req *req, struct bt_err **err);
/* Answers GET of a list from control: {"items","next"}. namespace_ NULL: all of them. */
void bt_reply_list(struct bt_api *api, struct bt_exchange *x, const char *kind, const char *namespace_, const char *app);
/* Answers GET of one object from control, with ETag. */
void bt_reply_one(struct bt_api *api, struct bt_exchange *x, const char *kind, const char *namespace_, const char *name);
/* Hands a write to control and answers with its result. args is stolen. more (stolen, may be NULL) is added to the result. */
void bt_api_write(struct bt_api *api, struct bt_exchange *x, const char *op, json_t *args, bool dry_run, json_t *more);
/* Delivers to watchers from the loop's next turn. */
void bt_api_pump(struct bt_api *api);

/* ---- res_watch.c ---- */
void bt_watch_streams_close(struct bt_api *api);

/* ---- openapi.c, schemas.c ---- */
json_t *bt_openapi_json(struct bt_api *api); /* new reference */
/* {"App": schema, …}; new reference. */
json_t *bt_schemas_json(void);

#endif
