/* berth.host.events/1: the stream of committed events, read off the feed; and events of a plug-in's own. */
#include "config.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "plugin/internal.h"
#include "state/watch.h"

enum { max_data = 16 * 1024 };

struct subscription {
  struct bt_resource base;
  struct bt_watcher *watcher;
  struct bt_loop *loop;
  const char *label;
  bool (*cb)(void *arg, const struct berth_event *event);
  void *arg;
};

static bool tell(struct subscription *s, const struct berth_event *event) {
  struct bt_loop *loop = s->loop; /* the callback may unsubscribe */
  bt_loop_enter(loop, s->label);
  bool more = s->cb(s->arg, event);
  bt_loop_leave(loop);
  return more;
}

static bool tell_gap(struct subscription *s, uint64_t revision) {
  struct berth_event event = {.size = sizeof event,
                              .revision = revision,
                              .time_ms = bt_clock_wall_ms(),
                              .type = "gap",
                              .severity = "warning",
                              .namespace_ = "",
                              .app = "",
                              .subject = "",
                              .message = "older events are no longer kept",
                              .data_json = "{}"};
  return tell(s, &event);
}

static int64_t time_of(const json_t *value) {
  int64_t ms = bt_json_int(value, "time_ms", 0);
  const char *text = bt_json_str(value, "time");
  if (!ms && text)
    bt_clock_parse(text, &ms);
  return ms;
}

static bool tell_event(struct subscription *s, const struct bt_feed_entry *entry) {
  BT_AUTO_JSON value = json_loads(entry->value, 0, NULL);
  if (!value)
    return true;
  json_t *data = bt_json_obj(value, "data");
  BT_AUTO_FREE char *data_json = data ? bt_json_text(data) : NULL;
  struct berth_event event = {.size = sizeof event,
                              .revision = entry->revision,
                              .time_ms = time_of(value),
                              .type = bt_json_str_or(value, "type", ""),
                              .severity = bt_json_str_or(value, "severity", "info"),
                              .namespace_ = bt_json_str_or(value, "namespace", ""),
                              .app = bt_json_str_or(value, "app", ""),
                              .subject = bt_json_str_or(value, "subject", ""),
                              .message = bt_json_str_or(value, "message", ""),
                              .data_json = data_json ? data_json : "{}"};
  return tell(s, &event);
}

static bool fed(void *arg, const struct bt_feed_entry *entry) {
  struct subscription *s = arg;
  if (strcmp(entry->kind, "gap") == 0)
    return tell_gap(s, entry->revision);
  if (strcmp(entry->kind, "event") != 0 || !entry->value)
    return true;
  return tell_event(s, entry);
}

static void release(struct subscription *s) {
  bt_watcher_free(&s->watcher);
  free(s);
}

static void detach(struct bt_resource *resource, struct bt_plugin *entry) {
  (void)entry;
  release((struct subscription *)resource);
}

static const struct bt_resource_kind subscription_kind = {.name = "subscription", .detach = detach};

static berth_handle events_subscribe(const struct berth_host *host, uint64_t after,
                                     bool (*cb)(void *arg, const struct berth_event *event), void *arg) {
  struct bt_plugin *entry = bt_host_entry_live(host, "events.subscribe");
  if (!entry || !cb)
    return 0;
  struct subscription *s = bt_new(struct subscription);
  s->loop = entry->plugins->loop;
  s->label = entry->cell->label;
  s->cb = cb;
  s->arg = arg;
  s->watcher = bt_feed_watch(entry->plugins->server->feed, after ? after : UINT64_MAX, fed, s);
  bt_resource_add(entry, &s->base, &subscription_kind);
  return s->base.id;
}

static struct subscription *subscription_of(const struct berth_host *host, berth_handle id, const char *what) {
  struct bt_plugin *entry = bt_host_entry(host, what);
  return entry ? (struct subscription *)bt_resource_get(entry, id, &subscription_kind) : NULL;
}

static void events_resume(const struct berth_host *host, berth_handle id) {
  struct subscription *s = subscription_of(host, id, "events.resume");
  if (s)
    bt_watcher_resume(s->watcher);
}

static void events_unsubscribe(const struct berth_host *host, berth_handle id) {
  struct subscription *s = subscription_of(host, id, "events.unsubscribe");
  if (!s)
    return;
  bt_resource_del(&s->base);
  release(s);
}

static void events_publish(const struct berth_host *host, const char *type, const char *severity, const char *message,
                           const char *data_json) {
  struct bt_plugin *entry = bt_host_entry(host, "events.publish");
  if (!entry || !type || !message)
    return;
  const struct bt_plugin_server *server = entry->plugins->server;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON data = data_json ? bt_json_parse(data_json, strlen(data_json), max_data, 16, "event data", &err) : json_object();
  bool known = severity && (!strcmp(severity, "info") || !strcmp(severity, "warning") || !strcmp(severity, "error"));
  if (!json_is_object(data) || !known || strlen(type) > 64 || strlen(message) > 4096) {
    bt_warn(entry->cell->label, "an event was malformed (type up to 64 bytes, severity info, warning or error, message up to "
                                "4 KiB, data an object up to 16 KiB); dropped");
    return;
  }
  BT_AUTO_FREE char *full = bt_asprintf("plugin.%s", type);
  if (server->publish)
    server->publish(server->arg, entry->cell->name, full, severity, message, data_json);
}

const struct berth_host_events bt_service_events = {.size = sizeof bt_service_events,
                                                    .subscribe = events_subscribe,
                                                    .resume = events_resume,
                                                    .unsubscribe = events_unsubscribe,
                                                    .publish = events_publish};
