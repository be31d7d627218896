/* Images of the node: what there is, pulls and imports with their progress as newline-delimited JSON, removal. */
#include "config.h"

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"

#include <berth/runtime.h>

enum { MAX_BODY = 64 << 10 };

/* ---------------------------------------------------------------- with one answer */

static void answered(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct bt_exchange *x = arg;
  if (code == BT_OK)
    bt_reply_json(x, 200, result ? json_copy((json_t *)(uintptr_t)result) : json_object());
  else
    bt_problem(x, code, message);
}

static void ask(struct bt_api *api, struct bt_exchange *x, const char *op, json_t *args) {
  struct bt_api_stream stream = {.done = answered, .arg = x};
  api->s.stream(api->s.arg, op, "", "", args, &stream);
}

static void get_images(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_FREE char *label = bt_req_query(x->req, "label");
  json_t *args = json_object();
  bt_json_set_str(args, "label", label && *label ? label : NULL);
  ask(api, x, "image.list", args);
}

static void post_prune(struct bt_api *api, struct bt_exchange *x) { ask(api, x, "image.prune", json_object()); }

/* The body with its first key, which it must have; NULL: refused. */
static json_t *body_with(struct bt_exchange *x, const char *const *keys) {
  BT_AUTO_ERR err = NULL;
  json_t *body = bt_body_object(x->req, MAX_BODY, keys, &err);
  if (body && !bt_json_str(body, keys[0])) {
    json_decref(body);
    body = NULL;
    bt_err_set(&err, BT_INVALID, "\"%s\" is missing in the request, or is no string", keys[0]);
  }
  if (!body)
    bt_problem_err(x, err);
  return body;
}

static void post_remove(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"image", NULL};
  json_t *body = body_with(x, keys);
  if (body)
    ask(api, x, "image.remove", body);
}

/* ---------------------------------------------------------------- with progress */

struct progress {
  struct bt_api *api;
  struct bt_exchange *x;
  uint64_t handle;
  bool begun, gone;
};

static void line(struct progress *p, const json_t *o) {
  BT_AUTO_FREE char *text = bt_json_text(o);
  if (!p->begun)
    bt_reply_begin(p->x, 200, "application/x-ndjson");
  p->begun = true;
  bt_reply_write(p->x, text, strlen(text));
  bt_reply_write(p->x, "\n", 1);
}

static size_t progress_data(void *arg, int channel, const void *data, size_t len) {
  struct progress *p = arg;
  if (p->gone)
    return 0;
  BT_AUTO_JSON o = channel == BERTH_RUNTIME_PROGRESS && len ? bt_json_parse(data, len, 0, 0, "progress", NULL) : NULL;
  if (o)
    line(p, o);
  return bt_reply_waiting(p->x);
}

/* Once the answer has begun, its status is said: what failed then is its last line. */
static void progress_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct progress *p = arg;
  if (code != BT_OK && !p->begun) {
    bt_problem(p->x, code, message);
  } else {
    BT_AUTO_JSON last = code == BT_OK ? json_pack("{sO}", "result", result ? (json_t *)(uintptr_t)result : json_null())
                                      : json_pack("{ssss}", "error", message, "code", bt_code_name(code));
    line(p, last);
    bt_reply_end(p->x);
  }
  free(p);
}

static void progress_gone(void *arg) {
  struct progress *p = arg;
  p->gone = true;
  p->api->s.stream_cancel(p->api->s.arg, p->handle);
}

static void ask_with_progress(struct bt_api *api, struct bt_exchange *x, const char *op, json_t *args) {
  struct progress *p = bt_new(struct progress);
  *p = (struct progress){.api = api, .x = x};
  x->arg = p;
  x->on_gone = progress_gone;
  struct bt_api_stream stream = {.data = progress_data, .done = progress_done, .arg = p};
  p->handle = api->s.stream(api->s.arg, op, "", "", args, &stream);
}

static void post_pull(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"image", "platform", NULL};
  json_t *body = body_with(x, keys);
  if (body)
    ask_with_progress(api, x, "image.pull", body);
}

static void post_import(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"path", "name", NULL};
  json_t *body = body_with(x, keys);
  if (body)
    ask_with_progress(api, x, "image.import", body);
}

static const struct bt_route_param list_query[] = {{"label", "string", "only images with this label: key or key=value"}, {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/images", .summary = "Images that the node has", .query = list_query, .response = "Any", .handle = get_images},
    {.method = "POST", .pattern = "/v1/images/pull", .summary = "Pull an image; progress as newline-delimited JSON, \"result\" or \"error\" in the last line",
     .request = "Any", .response = "Any", .handle = post_pull},
    {.method = "POST", .pattern = "/v1/images/import",
     .summary = "Import images from an archive or OCI layout on the node; progress as newline-delimited JSON, \"result\" or \"error\" in the last line",
     .request = "Any", .response = "Any", .handle = post_import},
    {.method = "POST", .pattern = "/v1/images/remove", .summary = "Remove a name of an image, and the image with its last one", .request = "Any", .response = "Any",
     .handle = post_remove},
    {.method = "POST", .pattern = "/v1/images/prune", .summary = "Remove images that no container uses", .response = "Any", .handle = post_prune},
};
const struct bt_route_table bt_routes_images = {routes, BT_COUNT(routes)};
