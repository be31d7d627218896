#include "config.h"

#include "base/log.h"
#include "base/map.h"
#include "plugin/internal.h"

#define OFFER(member) offsetof(struct bt_plugin_server, member)
enum { always = (size_t)-1 };

/* Every service, and the member of bt_plugin_server that it stands on. */
static const struct {
  const char *id;
  const void *table;
  size_t on;
} services[] = {
    {BERTH_HOST_OPS, &bt_service_ops, always},
    {BERTH_HOST_LOG, &bt_service_log, always},
    {BERTH_HOST_TIMER, &bt_service_timer, always},
    {BERTH_HOST_FD, &bt_service_fd, always},
    {BERTH_HOST_WORKER, &bt_service_worker, always},
    {BERTH_HOST_CHILD, &bt_service_child, always},
    {BERTH_HOST_HTTP, &bt_service_http, always},
    {BERTH_HOST_KV, &bt_service_kv, OFFER(kv_put)},
    {BERTH_HOST_SECRET, &bt_service_secret, OFFER(secret)},
    {BERTH_HOST_METRICS, &bt_service_metrics, OFFER(collect)},
    {BERTH_HOST_EVENTS, &bt_service_events, OFFER(feed)},
    {BERTH_HOST_ROUTES, &bt_service_routes, OFFER(path_reserved)},
    {BERTH_HOST_QUERY, &bt_service_query, OFFER(query)},
};

const char *bt_host_service_id(size_t i) { return i < BT_COUNT(services) ? services[i].id : NULL; }

bool bt_host_knows(const char *id) {
  for (size_t i = 0; i < BT_COUNT(services); i++)
    if (strcmp(services[i].id, id) == 0)
      return true;
  return false;
}

static const void *service_of(const struct bt_plugin_server *server, const char *id) {
  for (size_t i = 0; i < BT_COUNT(services); i++) {
    if (strcmp(services[i].id, id) != 0)
      continue;
    void *member = NULL;
    if (services[i].on != always && server)
      memcpy(&member, (const char *)server + services[i].on, sizeof member);
    return services[i].on == always || member ? services[i].table : NULL;
  }
  return NULL;
}

bool bt_host_offers(const struct bt_plugin_server *server, const char *id) { return service_of(server, id) != NULL; }

static const void *host_service(const struct berth_host *host, const char *id) {
  struct bt_plugin *entry = bt_host_entry(host, "service");
  return entry && id ? service_of(entry->plugins->server, id) : NULL;
}

struct bt_host_cell *bt_host_cell_of_server(struct bt_plugin *entry, const char *name) {
  return bt_host_cell_new(entry, name, PACKAGE_VERSION, host_service);
}
