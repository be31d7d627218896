/* berth.host.routes/1: paths of the API's server that plug-ins answer. The server asks here for paths it does not know. */
#include "config.h"

#include "base/log.h"
#include "loop/loop.h"
#include "plugin/complain.h"
#include "plugin/internal.h"

struct route {
  struct bt_resource base;
  struct bt_plugin *entry; /* as base.entry, which detaching clears */
  char *method, *path, *summary;
  size_t prefix; /* length of the path before its star; 0: exact */
  bool open;
  void (*handle)(void *arg, berth_op reply, const struct berth_route_request *request);
  void *arg;
};

static void route_release(struct route *r) {
  free(r->method);
  free(r->path);
  free(r->summary);
  free(r);
}

static void route_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  (void)entry;
  route_release((struct route *)resource);
}

static const struct bt_resource_kind route_kind = {.name = "route", .detach = route_detach};

/* Walks the routes of all entries. */
struct route_iter {
  struct bt_plugins *plugins;
  size_t entry;
  struct bt_resource *next;
};

static struct route *route_next(struct route_iter *it) {
  for (;;) {
    while (!it->next) {
      if (it->entry == it->plugins->entries.len)
        return NULL;
      it->next = it->plugins->entries.items[it->entry++]->resources;
    }
    struct bt_resource *resource = it->next;
    it->next = resource->next;
    if (resource->kind == &route_kind)
      return (struct route *)resource;
  }
}

static const char hooks[] = "/hooks";

static bool is_hook(const char *path) {
  return strncmp(path, hooks, sizeof hooks - 1) == 0 && (!path[sizeof hooks - 1] || path[sizeof hooks - 1] == '/');
}

/* A webhook proves itself with a secret of the entry that it is named after, so what is under /hooks is that entry's alone: else another
 * plug-in could hear it while the entry is away. */
static bool others_hook(const struct bt_plugin *entry, const char *path) {
  const char *name = bt_plugin_name(entry);
  size_t n = strlen(name);
  if (!is_hook(path))
    return false;
  const char *rest = path + sizeof hooks - 1;
  return rest[0] != '/' || strncmp(rest + 1, name, n) != 0 || (rest[1 + n] && rest[1 + n] != '/');
}

static bool path_ok(const char *path) {
  const char *star = strchr(path, '*');
  if (path[0] != '/' || strlen(path) > 256 || strchr(path, '?') || strchr(path, '#') || strchr(path, ' '))
    return false;
  return !star || (star[1] == '\0' && star > path && star[-1] == '/');
}

static bool taken(struct bt_plugins *plugins, const char *method, const char *path) {
  struct route_iter it = {.plugins = plugins};
  for (struct route *r; (r = route_next(&it));)
    if (strcmp(r->method, method) == 0 && strcmp(r->path, path) == 0)
      return true;
  return false;
}

static berth_handle routes_add(const struct berth_host *host, const struct berth_route *given) {
  struct bt_plugin *entry = bt_host_entry_live(host, "routes.add");
  struct berth_route r;
  BT_TAKE(r, given);
  if (!entry || !r.method || !r.path || !r.handle || !path_ok(r.path))
    return 0;
  const struct bt_plugin_server *server = entry->plugins->server;
  if (others_hook(entry, r.path)) {
    bt_complain(host, "the route %.16s %.200s is not its own: what is under /hooks is named after the entry, so /hooks/%s would be", r.method,
                r.path, bt_plugin_name(entry));
    return 0;
  }
  if (taken(entry->plugins, r.method, r.path) || server->path_reserved(server->arg, r.method, r.path)) {
    bt_complain(host, "the route %.16s %.200s is taken", r.method, r.path);
    return 0;
  }
  struct route *route = bt_new(struct route);
  route->entry = entry;
  route->method = bt_strdup(r.method);
  route->path = bt_strdup(r.path);
  route->summary = bt_strdup(r.summary ? r.summary : "");
  route->prefix = strchr(r.path, '*') ? strlen(r.path) - 1 : 0;
  route->open = r.open;
  route->handle = r.handle;
  route->arg = r.arg;
  bt_resource_add(entry, &route->base, &route_kind);
  return route->base.id;
}

static void routes_remove(const struct berth_host *host, berth_handle id) {
  struct bt_plugin *entry = bt_host_entry(host, "routes.remove");
  struct bt_resource *resource = entry ? bt_resource_get(entry, id, &route_kind) : NULL;
  if (!resource)
    return;
  bt_resource_del(resource);
  route_release((struct route *)resource);
}

const struct berth_host_routes bt_service_routes = {
    .size = sizeof bt_service_routes, .add = routes_add, .remove = routes_remove, .reply = bt_ops_reply};

/* ---------------------------------------------------------------- the server's side */

/* A prefix that begins above /hooks does not reach into it. */
static bool matches(const struct route *r, const char *path) {
  if (is_hook(path) && !is_hook(r->path))
    return false;
  return r->prefix ? strncmp(r->path, path, r->prefix) == 0 : strcmp(r->path, path) == 0;
}

static void describe(const struct route *r, struct bt_plugin_route *out) {
  *out = (struct bt_plugin_route){.entry = r->entry,
                                  .method = r->method,
                                  .path = r->path,
                                  .summary = r->summary,
                                  .open = r->open,
                                  .id = r->base.id};
}

bool bt_plugins_route(struct bt_plugins *plugins, const char *method, const char *path, struct bt_plugin_route *out,
                      bool *allow) {
  struct route_iter it = {.plugins = plugins};
  const struct route *best = NULL;
  bool elsewhere = false;
  for (struct route *r; (r = route_next(&it));) {
    if (!matches(r, path))
      continue;
    if (strcmp(r->method, method) != 0)
      elsewhere = true;
    else if (!best || (best->prefix && (!r->prefix || r->prefix > best->prefix)))
      best = r;
  }
  if (allow)
    *allow = !best && elsewhere;
  if (best)
    describe(best, out);
  return best != NULL;
}

berth_op bt_plugins_route_call(const struct bt_plugin_route *route, const struct berth_route_request *request,
                               void (*done)(void *arg, enum bt_code code, const char *message, int status,
                                            const struct berth_pair *headers, size_t nheaders, const void *body, size_t len),
                               void *arg) {
  struct bt_plugin *entry = route->entry;
  berth_op op = bt_ops_begin_route(entry, done, arg);
  struct route *r = (struct route *)bt_resource_get(entry, route->id, &route_kind);
  if (!r) {
    bt_ops_end(entry, op, BT_UNAVAILABLE, "the plug-in behind this path went away");
    return op;
  }
  bt_plugin_enter(entry);
  r->handle(r->arg, op, request);
  bt_plugin_leave(entry);
  return op;
}

void bt_plugins_each_route(struct bt_plugins *plugins, void (*fn)(void *arg, const struct bt_plugin_route *route), void *arg) {
  struct route_iter it = {.plugins = plugins};
  for (struct route *r; (r = route_next(&it));) {
    struct bt_plugin_route route;
    describe(r, &route);
    fn(arg, &route);
  }
}
