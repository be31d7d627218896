/* What belongs to a namespace beside its apps: volumes, networks, secrets, configs; and why anything is as it is. A secret's
 * content goes in here, and never out. */
#include "config.h"

#include <sodium.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

enum { MAX_SECRET = 512 * 1024 };

#define KIND(kind)                                                                                                        \
  static void list_##kind(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, #kind, x->params[0], NULL); } \
  static void get_##kind(struct bt_api *api, struct bt_exchange *x) { bt_reply_one(api, x, #kind, x->params[0], x->params[1]); }
KIND(volumes)
KIND(networks)
KIND(secrets)
KIND(configs)

static void delete_object(struct bt_api *api, struct bt_exchange *x, const char *op) {
  json_t *args = json_object();
  bt_json_set_str(args, "namespace", x->params[0]);
  bt_json_set_str(args, "name", x->params[1]);
  bt_api_write(api, x, op, args, false, NULL);
}

static void delete_volume(struct bt_api *api, struct bt_exchange *x) { delete_object(api, x, "volume.delete"); }
static void delete_network(struct bt_api *api, struct bt_exchange *x) { delete_object(api, x, "network.delete"); }
static void delete_secret(struct bt_api *api, struct bt_exchange *x) { delete_object(api, x, "secret.delete"); }

/* A secret of the namespace is sealed under "NS/-/NAME": not to be mistaken for one of an app. */
static json_t *seal(struct bt_api *api, const char *namespace_, const char *name, const char *data, struct bt_err **err) {
  size_t room = strlen(data), len = 0;
  BT_AUTO_FREE unsigned char *plain = bt_calloc(room + 1, 1);
  if (sodium_base642bin(plain, room, data, room, "\r\n", &len, NULL, sodium_base64_VARIANT_ORIGINAL) < 0) {
    bt_err_set(err, BT_INVALID, "the secret's \"data\" is no base64");
    return NULL;
  }
  json_t *args = NULL;
  if (len > MAX_SECRET) {
    bt_err_set(err, BT_TOO_LARGE, "a secret holds at most 512 KiB");
  } else {
    BT_AUTO_FREE char *sealed_name = bt_asprintf("%s/-/%s", namespace_, name);
    BT_AUTO_FREE char *sealed = bt_seal_encrypt(api->s.seal, sealed_name, plain, len);
    BT_AUTO_FREE char *fingerprint = bt_seal_fingerprint(api->s.seal, sealed_name, plain, len);
    args = json_object();
    bt_json_set_str(args, "namespace", namespace_);
    bt_json_set_str(args, "name", name);
    bt_json_set_str(args, "sealed", sealed);
    bt_json_set_str(args, "fingerprint", fingerprint);
    bt_json_set_int(args, "size", (long long)len);
  }
  bt_wipe(plain, room);
  return args;
}

static void put_secret(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"data", NULL};
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON body = bt_body_object(x->req, 2 * MAX_SECRET, keys, &err);
  const char *data = body ? bt_json_str(body, "data") : NULL;
  json_t *args = NULL;
  if (body && !data)
    bt_err_set(&err, BT_INVALID, "a secret needs \"data\", its content in base64");
  else if (data)
    args = seal(api, x->params[0], x->params[1], data, &err);
  if (args)
    bt_api_write(api, x, "secret.put", args, false, NULL);
  else
    bt_problem_err(x, err);
}

static void get_why(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *object = bt_req_query(x->req, "object");
  json_t *why = NULL;
  if (!object || !*object)
    bt_err_set(&err, BT_INVALID, "name an object: ?object=shop, ?object=shop/web, an instance's id, volume/NAME, route/NAME or node/NAME");
  else
    why = bt_control_why(api->s.control(api->s.arg), x->params[0], object, bt_clock_wall_ms(), &err);
  if (why)
    bt_reply_json(x, 200, why);
  else
    bt_problem_err(x, err);
}

static const struct bt_route_param filters[] = {{"limit", "integer", "items of a page, at most 1000; 0: 500"},
                                                {"cursor", "string", "\"next\" of the page before"},
                                                {"app", "string", "only of this app"},
                                                {NULL, NULL, NULL}};
static const struct bt_route_param object[] = {
    {"object", "string", "an app, app/service, an instance's id, volume/NAME, route/NAME or node/NAME"}, {NULL, NULL, NULL}};

#define LIST(kind, schema, text)                                                                              \
  {.method = "GET", .pattern = "/v1/namespaces/{ns}/" #kind, .summary = text, .query = filters,                \
   .response = "[" schema "]", .handle = list_##kind},                                                        \
  {.method = "GET", .pattern = "/v1/namespaces/{ns}/" #kind "/{name}", .summary = "One of the " #kind,         \
   .response = schema, .handle = get_##kind}

static const struct bt_route routes[] = {
    LIST(volumes, "Volume", "Volumes"),
    LIST(networks, "Network", "Networks"),
    LIST(secrets, "Secret", "Secrets, without their content"),
    LIST(configs, "Config", "Configs, without their content"),
    {.method = "DELETE", .pattern = "/v1/namespaces/{ns}/volumes/{name}", .summary = "Remove a volume that nothing uses",
     .response = "Any", .handle = delete_volume},
    {.method = "DELETE", .pattern = "/v1/namespaces/{ns}/networks/{name}", .summary = "Remove a network that nothing uses",
     .response = "Any", .handle = delete_network},
    {.method = "DELETE", .pattern = "/v1/namespaces/{ns}/secrets/{name}", .summary = "Remove a secret that nothing uses",
     .response = "Any", .handle = delete_secret},
    {.method = "PUT", .pattern = "/v1/namespaces/{ns}/secrets/{name}", .summary = "Set a secret of the namespace",
     .request = "SecretPut", .response = "Any", .handle = put_secret},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/why", .summary = "Why something is as it is", .query = object,
     .response = "Why", .handle = get_why},
};
const struct bt_route_table bt_routes_objects = {routes, BT_COUNT(routes)};
