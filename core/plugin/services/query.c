/* berth.host.query/1: reads of the server's API. */
#include "config.h"

#include "loop/loop.h"
#include "plugin/internal.h"

struct query {
  struct bt_resource base;
  struct bt_loop *loop;
  const char *label;
  void (*done)(void *arg, enum berth_code code, const char *message, const char *json);
  void *arg;
};

static void query_tell(struct query *q, enum bt_code code, const char *message, const char *json) {
  if (!q->done)
    return;
  bt_loop_enter(q->loop, q->label);
  q->done(q->arg, bt_plugin_code_out(code), message ? message : "", json ? json : "");
  bt_loop_leave(q->loop);
  q->done = NULL;
}

static void query_done(void *arg, enum bt_code code, const char *message, const char *json) {
  struct query *q = arg;
  bt_resource_del(&q->base);
  query_tell(q, code, message, json);
  free(q);
}

static void query_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct query *q = (struct query *)resource;
  if (!entry->self)
    q->done = NULL;
  query_tell(q, BT_CANCELLED, "the plug-in is stopping", NULL);
}

static const struct bt_resource_kind query_kind = {.name = "query", .detach = query_detach};

static void query_get(const struct berth_host *host, const char *path,
                      void (*done)(void *arg, enum berth_code code, const char *message, const char *json), void *arg) {
  struct bt_plugin *entry = bt_host_entry(host, "query.get");
  if (!done)
    return;
  if (!entry || !path) {
    done(arg, entry ? BERTH_INVALID : BERTH_CANCELLED, "no path, or the server is going down", "");
    return;
  }
  struct query *q = bt_new(struct query);
  q->loop = entry->plugins->loop;
  q->label = entry->cell->label;
  q->done = done;
  q->arg = arg;
  bt_resource_add(entry, &q->base, &query_kind);
  const struct bt_plugin_server *server = entry->plugins->server;
  server->query(server->arg, path, query_done, q);
}

const struct berth_host_query bt_service_query = {.size = sizeof bt_service_query, .get = query_get};
