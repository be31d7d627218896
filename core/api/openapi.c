/* The OpenAPI 3.1 document, made from the same table that requests are routed by, and the routes of plug-ins. */
#include "config.h"

#include <stdio.h>

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "plugin/plugin.h"

static json_t *schema_ref(const char *name) {
  size_t n = strlen(name);
  bool list = *name == '[';
  BT_AUTO_FREE char *text = bt_asprintf("#/components/schemas/%.*s", (int)(list ? n - 2 : n), list ? name + 1 : name);
  if (!list)
    return json_pack("{s:s}", "$ref", text);
  return json_pack("{s:s, s:{s:{s:s, s:{s:s}}, s:{s:[s, s], s:s}}, s:[s]}", "type", "object", "properties", "items", "type",
                   "array", "items", "$ref", text, "next", "type", "string", "null", "description", "cursor of the next page",
                   "required", "items");
}

static json_t *content(const char *type, const char *schema) {
  json_t *media = json_object();
  if (schema)
    bt_json_set(media, "schema", schema_ref(schema));
  return json_pack("{s:o}", type, media);
}

static void add_parameter(json_t *list, const char *name, const char *in, const char *type, const char *doc) {
  json_t *p = json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in", in, "required", strcmp(in, "path") == 0, "schema", "type",
                        type);
  bt_json_set_str(p, "description", doc);
  json_array_append_new(list, p);
}

static json_t *parameters(const struct bt_route *r) {
  json_t *list = json_array();
  for (const char *p = r->pattern; (p = strchr(p, '{')); p++) {
    BT_AUTO_FREE char *name = bt_strndup(p + 1, strcspn(p + 1, "}"));
    add_parameter(list, name, "path", "string", NULL);
  }
  for (const struct bt_route_param *q = r->query; q && q->name; q++)
    add_parameter(list, q->name, "query", q->type, q->doc);
  if (bt_streq(r->method, "PUT") && r->response && bt_streq(r->response, "ApplyResult"))
    add_parameter(list, "If-Match", "header", "string", "The app's ETag: refused where it has another revision by now");
  return list;
}

/* "/v1/namespaces/{ns}/apps" + GET -> "get_namespaces_apps", unique as the pattern is but for its params: those count too. */
static char *operation_id(const char *method, const char *pattern) {
  BT_AUTO_BUF out = {0};
  for (const char *p = method; *p; p++)
    bt_buf_addc(&out, (char)(*p | 0x20));
  for (const char *p = pattern; *p; p++) {
    bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
    if (alnum)
      bt_buf_addc(&out, *p);
    else if (out.data[out.len - 1] != '_' && p[1])
      bt_buf_addc(&out, '_');
  }
  return bt_buf_steal(&out);
}

static json_t *responses(const char *type, const char *schema, int status, bool open) {
  json_t *all = json_object();
  char text[8];
  snprintf(text, sizeof text, "%d", status ? status : 200);
  json_t *good = json_pack("{s:s}", "description", bt_http_reason(status ? status : 200));
  if (status != 101)
    bt_json_set(good, "content", content(type ? type : "application/json", schema));
  bt_json_set(all, text, good);
  if (!open)
    bt_json_set(all, "401", json_pack("{s:s}", "$ref", "#/components/responses/Problem"));
  bt_json_set(all, "default", json_pack("{s:s}", "$ref", "#/components/responses/Problem"));
  return all;
}

static void add_operation(json_t *paths, const char *path, const char *method, json_t *operation) {
  json_t *item = bt_json_obj(paths, path);
  if (!item)
    bt_json_set(paths, path, item = json_object());
  BT_AUTO_FREE char *lower = bt_strdup(method);
  for (char *p = lower; *p; p++)
    *p = (char)(*p | 0x20);
  bt_json_set(item, lower, operation);
}

static void add_route(json_t *paths, const struct bt_route *r) {
  BT_AUTO_FREE char *id = operation_id(r->method, r->pattern);
  json_t *o = json_object();
  bt_json_set_str(o, "operationId", id);
  bt_json_set_str(o, "summary", r->summary);
  json_t *list = parameters(r);
  if (json_array_size(list))
    json_object_set(o, "parameters", list);
  json_decref(list);
  if (r->request)
    bt_json_set(o, "requestBody", json_pack("{s:o}", "content", content("application/json", r->request)));
  bt_json_set(o, "responses", responses(r->content, r->response, r->status, r->open));
  if (r->open)
    bt_json_set(o, "security", json_array());
  add_operation(paths, r->pattern, r->method, o);
}

static void add_plugin_route(void *arg, const struct bt_plugin_route *r) {
  size_t n = strlen(r->path);
  bool prefix = n && r->path[n - 1] == '*'; /* shown as one more segment */
  BT_AUTO_FREE char *path = bt_asprintf("%.*s%s", (int)(prefix ? n - 1 : n), r->path, prefix ? "{path}" : "");
  BT_AUTO_FREE char *id = operation_id(r->method, path);
  json_t *o = json_object();
  bt_json_set_str(o, "operationId", id);
  bt_json_set_str(o, "summary", r->summary);
  bt_json_set(o, "tags", json_pack("[s]", bt_plugin_name(r->entry)));
  if (strchr(path, '{')) {
    json_t *list = json_array();
    add_parameter(list, "path", "path", "string", NULL);
    bt_json_set(o, "parameters", list);
  }
  bt_json_set(o, "responses", json_pack("{s:{s:s}}", "default", "description", "The plug-in's answer"));
  if (r->open)
    bt_json_set(o, "security", json_array());
  add_operation(arg, path, r->method, o);
}

json_t *bt_openapi_json(struct bt_api *api) {
  json_t *paths = json_object();
  for (size_t i = 0; i < bt_router_count(api->router); i++)
    add_route(paths, bt_router_at(api->router, i));
  if (api->s.plugins)
    bt_plugins_each_route(api->s.plugins, add_plugin_route, paths);
  json_t *problem = json_pack("{s:s, s:o}", "description", "An error", "content", content("application/problem+json", "Problem"));
  json_t *o = json_object();
  bt_json_set_str(o, "openapi", "3.1.0");
  bt_json_set(o, "info", json_pack("{s:s, s:s, s:s}", "title", "Berth", "version", api->s.version, "description",
                                   "Runs Compose apps. On the unix socket its group needs no token."));
  bt_json_set(o, "security", json_pack("[{s:[]}]", "token"));
  bt_json_set(o, "paths", paths);
  bt_json_set(o, "components",
              json_pack("{s:o, s:{s:o}, s:{s:{s:s, s:s}}}", "schemas", bt_schemas_json(), "responses", "Problem", problem,
                        "securitySchemes", "token", "type", "http", "scheme", "bearer"));
  return o;
}
