/* berth.host.events/1: the stream of committed events, read off the feed; and events of a plug-in's own. */
#include "config.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "plugin/complain.h"
#include "plugin/internal.h"
#include "state/watch.h"

enum { max_data = 16 * 1024, publish_a_second = 100, publish_at_once = 200 };

/* The feed holds what was committed since the server started, and not all of that. What is older comes out of the store, once,
 * as a backlog. */
struct subscription {
  struct bt_resource base;
  struct bt_watcher *watcher;
  const struct bt_plugin_server *server;
  struct bt_loop *loop;
  struct bt_timer *kick; /* pumps the feed after a subscription or a resume: no commit may come to do it */
  const char *label;
  bool (*cb)(void *arg, const struct berth_event *event);
  void *arg;
  uint64_t last;   /* revision seen last; 0: none */
  json_t *backlog; /* being delivered; NULL none */
  size_t at;
  int busy;  /* depth of our own functions that stand on it */
  bool dead; /* released meanwhile: the last of them frees it */
};

static void enter(struct subscription *s) { s->busy++; }

static void leave(struct subscription *s) {
  if (--s->busy == 0 && s->dead)
    free(s);
}

/* False where the subscription is to rest, or is dead: the callback may unsubscribe. */
static bool tell(struct subscription *s, const struct berth_event *event) {
  bt_loop_enter(s->loop, s->label);
  bool more = s->cb(s->arg, event);
  bt_loop_leave(s->loop);
  return more && !s->dead;
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

static bool tell_event(struct subscription *s, uint64_t revision, const json_t *value) {
  json_t *data = bt_json_obj(value, "data");
  BT_AUTO_FREE char *data_json = data ? bt_json_text(data) : NULL;
  struct berth_event event = {.size = sizeof event,
                              .revision = revision,
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

/* ---------------------------------------------------------------- the past */

/* Delivers the backlog until its end or a pause. */
static bool deliver_backlog(struct subscription *s) {
  bool more = true;
  while (more && s->at < json_array_size(s->backlog)) {
    BT_AUTO_JSON value = json_incref(json_array_get(s->backlog, s->at++));
    more = tell_event(s, (uint64_t)bt_json_int(value, "revision", 0), value);
  }
  if (s->at == json_array_size(s->backlog)) {
    json_decref(s->backlog);
    s->backlog = NULL;
  }
  return more;
}

/* Events after s->last that are not over "until": the feed has those. *complete: nothing is missing in between. */
static json_t *past(const struct subscription *s, uint64_t until, bool *complete) {
  *complete = false;
  json_t *all = s->server->past_events && s->last ? s->server->past_events(s->server->arg, s->last, complete) : NULL;
  while (json_array_size(all) &&
         (uint64_t)bt_json_int(json_array_get(all, json_array_size(all) - 1), "revision", 0) > until)
    json_array_remove(all, json_array_size(all) - 1);
  return all;
}

static bool fed_gap(struct subscription *s, uint64_t revision) {
  bool complete = false;
  s->backlog = past(s, revision, &complete);
  s->at = 0;
  s->last = revision;
  bool more = complete || tell_gap(s, revision);
  return more && s->backlog ? deliver_backlog(s) : more;
}

static bool fed_event(struct subscription *s, const struct bt_feed_entry *entry) {
  s->last = entry->revision;
  if (strcmp(entry->kind, "event") != 0 || !entry->value)
    return true;
  BT_AUTO_JSON value = json_loads(entry->value, 0, NULL);
  return value ? tell_event(s, entry->revision, value) : true;
}

static bool fed(void *arg, const struct bt_feed_entry *entry) {
  struct subscription *s = arg;
  enter(s);
  bool more = strcmp(entry->kind, "gap") == 0 ? fed_gap(s, entry->revision) : fed_event(s, entry);
  leave(s);
  return more;
}

/* ---------------------------------------------------------------- life */

/* Goes on after a subscription or a resume. */
static void kicked(void *arg) {
  struct subscription *s = arg;
  enter(s);
  if (!s->backlog || deliver_backlog(s)) {
    bt_watcher_resume(s->watcher);
    if (bt_feed_pump(s->server->feed, 100) && !s->dead)
      bt_timer_set(s->kick, 0);
  }
  leave(s);
}

static void release(struct subscription *s) {
  bt_watcher_free(&s->watcher);
  bt_timer_free(&s->kick);
  json_decref(s->backlog);
  s->backlog = NULL;
  s->dead = true;
  if (!s->busy)
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
  s->server = entry->plugins->server;
  s->loop = entry->plugins->loop;
  s->label = entry->cell->label;
  s->cb = cb;
  s->arg = arg;
  s->last = after;
  s->watcher = bt_feed_watch(s->server->feed, after ? after : UINT64_MAX, fed, s);
  s->kick = bt_timer_new(s->loop, s->label, kicked, s);
  if (after)
    bt_timer_set(s->kick, 0);
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
    bt_timer_set(s->kick, 0);
}

static void events_unsubscribe(const struct berth_host *host, berth_handle id) {
  struct subscription *s = subscription_of(host, id, "events.unsubscribe");
  if (!s)
    return;
  bt_resource_del(&s->base);
  release(s);
}

/* 100 a second, 200 at once: each is a commit. */
static bool may_publish(struct bt_plugin *entry) {
  int64_t now = bt_clock_mono_ms();
  int64_t more = (now - entry->publish_ms) * publish_a_second / 1000;
  if (more > 0) {
    entry->publish_left = (int)BT_MIN(entry->publish_left + more, (int64_t)publish_at_once);
    entry->publish_ms = now;
    if (entry->publish_left && entry->publish_dropped) {
      bt_complain(&entry->cell->host, "it published %llu events over %d a second; dropped",
                  (unsigned long long)entry->publish_dropped, publish_a_second);
      entry->publish_dropped = 0;
    }
  }
  if (!entry->publish_left) {
    entry->publish_dropped++;
    return false;
  }
  entry->publish_left--;
  return true;
}

static void events_publish(const struct berth_host *host, const char *type, const char *severity, const char *message,
                           const char *data_json) {
  struct bt_plugin *entry = bt_host_entry(host, "events.publish");
  if (!entry || !type || !message || !may_publish(entry))
    return;
  const struct bt_plugin_server *server = entry->plugins->server;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON data = data_json ? bt_json_parse(data_json, strlen(data_json), max_data, 16, "event data", &err) : json_object();
  bool known = severity && (!strcmp(severity, "info") || !strcmp(severity, "warning") || !strcmp(severity, "error"));
  if (!json_is_object(data) || !known || strlen(type) > 64 || strlen(message) > 4096) {
    bt_complain(host, "an event was malformed (type up to 64 bytes, severity info, warning or error, message up to 4 KiB, data an "
                      "object up to 16 KiB); dropped");
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
