/* Events and routes: what the server sends of its own accord once the plug-in has asked for it. */
#include "config.h"

#include "base/json.h"
#include "base/vec.h"
#include "plugin/helper/helper.h"
#include "plugin/marshal.h"

enum { answer_ms = 5000, taken_together = 16 };

/* ---------------------------------------------------------------- events */

struct subscription {
  struct bt_resource base;
  bool (*cb)(void *arg, const struct berth_event *event);
  void *arg;
  bool paused, dead;
  int busy;
  int taken; /* not told yet */
  BT_VEC(json_t *) queue; /* came while it paused */
};

static void subscription_free(struct subscription *s) {
  bt_vec_each(&s->queue, e) json_decref(*e);
  bt_vec_free(&s->queue);
  free(s);
}

static void subscription_end(struct subscription *s) {
  s->dead = true;
  if (!s->busy)
    subscription_free(s);
}

static void subscription_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  (void)entry;
  subscription_end((struct subscription *)resource);
}

static const struct bt_resource_kind subscription_kind = {.name = "subscription", .detach = subscription_detach};

static void tell_taken(struct subscription *s) {
  if (!s->taken || s->dead)
    return;
  json_t *head = helper_message("events.taken", s->base.id);
  bt_json_set_int(head, "count", s->taken);
  s->taken = 0;
  helper_send(head, NULL, 0);
}

static void give(struct subscription *s, const json_t *head) {
  struct berth_event event = {.size = sizeof event,
                              .revision = (uint64_t)bt_json_int(head, "revision", 0),
                              .time_ms = bt_json_int(head, "time_ms", 0),
                              .type = bt_json_str_or(head, "type", ""),
                              .severity = bt_json_str_or(head, "severity", "info"),
                              .namespace_ = bt_json_str_or(head, "namespace", ""),
                              .app = bt_json_str_or(head, "app", ""),
                              .subject = bt_json_str_or(head, "subject", ""),
                              .message = bt_json_str_or(head, "message", ""),
                              .data_json = bt_json_str_or(head, "data_json", "{}")};
  s->busy++;
  s->paused = !s->cb(s->arg, &event);
  s->busy--;
  s->taken++;
  if (s->dead && !s->busy)
    subscription_free(s);
  else if (s->taken >= taken_together)
    tell_taken(s);
}

static void on_event(const struct bt_message *m) {
  struct bt_resource *resource = bt_resource_get(&helper.entry, (berth_handle)bt_json_int(m->head, "id", 0), &subscription_kind);
  struct subscription *s = (struct subscription *)resource;
  if (!s)
    return;
  if (s->paused || s->queue.len || s->busy)
    bt_vec_push(&s->queue, json_incref(m->head));
  else
    give(s, m->head);
}

static berth_handle events_subscribe(const struct berth_host *host, uint64_t after,
                                     bool (*cb)(void *arg, const struct berth_event *event), void *arg) {
  struct bt_plugin *entry = bt_host_entry_live(host, "events.subscribe");
  if (!entry || !cb)
    return 0;
  struct subscription *s = bt_new(struct subscription);
  s->cb = cb;
  s->arg = arg;
  bt_resource_add(entry, &s->base, &subscription_kind);
  json_t *head = helper_message("events.subscribe", s->base.id);
  bt_json_set_int(head, "after", (long long)after);
  helper_send(head, NULL, 0);
  return s->base.id;
}

/* What is queued is given from the loop, never from inside resume. */
static void go_on(void *arg) {
  berth_handle id = (berth_handle)(uintptr_t)arg;
  struct subscription *s;
  while ((s = (struct subscription *)bt_resource_get(&helper.entry, id, &subscription_kind)) && !s->paused && s->queue.len) {
    BT_AUTO_JSON head = s->queue.items[0];
    bt_vec_remove(&s->queue, 0);
    give(s, head);
  }
}

static struct subscription *subscription_of(const struct berth_host *host, berth_handle id, const char *what) {
  struct bt_plugin *entry = bt_host_entry(host, what);
  return entry ? (struct subscription *)bt_resource_get(entry, id, &subscription_kind) : NULL;
}

static void events_resume(const struct berth_host *host, berth_handle id) {
  struct subscription *s = subscription_of(host, id, "events.resume");
  if (!s)
    return;
  s->paused = false;
  tell_taken(s);
  bt_service_timer.after(host, 0, go_on, (void *)(uintptr_t)id);
}

static void events_unsubscribe(const struct berth_host *host, berth_handle id) {
  struct subscription *s = subscription_of(host, id, "events.unsubscribe");
  if (!s)
    return;
  helper_send(helper_message("events.unsubscribe", id), NULL, 0);
  bt_resource_del(&s->base);
  subscription_end(s);
}

static void events_publish(const struct berth_host *host, const char *type, const char *severity, const char *message,
                           const char *data_json) {
  if (!bt_host_entry(host, "events.publish") || !type || !message)
    return;
  json_t *head = helper_message("events.publish", 0);
  bt_json_set_str(head, "type", type);
  bt_json_set_str(head, "severity", severity);
  bt_json_set_str(head, "message", message);
  bt_json_set_str(head, "data_json", data_json);
  helper_send(head, NULL, 0);
}

const struct berth_host_events helper_events = {.size = sizeof helper_events,
                                                .subscribe = events_subscribe,
                                                .resume = events_resume,
                                                .unsubscribe = events_unsubscribe,
                                                .publish = events_publish};

/* ---------------------------------------------------------------- routes */

struct route {
  struct bt_resource base;
  void (*handle)(void *arg, berth_op reply, const struct berth_route_request *request);
  void *arg;
};

static void route_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  (void)entry;
  free(resource);
}

static const struct bt_resource_kind route_kind = {.name = "route", .detach = route_detach};

/* Plug-ins learn at once whether the path is taken, so this waits for the answer. */
static berth_handle routes_add(const struct berth_host *host, const struct berth_route *given) {
  struct bt_plugin *entry = bt_host_entry_live(host, "routes.add");
  struct berth_route r;
  BT_TAKE(r, given);
  if (!entry || !r.method || !r.path || !r.handle)
    return 0;
  struct route *route = bt_new(struct route);
  route->handle = r.handle;
  route->arg = r.arg;
  bt_resource_add(entry, &route->base, &route_kind);
  json_t *head = helper_message("routes.add", route->base.id);
  bt_json_set_str(head, "method", r.method);
  bt_json_set_str(head, "path", r.path);
  bt_json_set_str(head, "summary", r.summary);
  bt_json_set_bool(head, "open", r.open);
  helper_send(head, NULL, 0);
  struct bt_message m;
  bool fine = false;
  if (bt_link_await(helper.link, "reply", (int64_t)route->base.id, answer_ms, &m)) {
    fine = helper_code(m.head) == BERTH_OK;
    json_decref(m.head);
  }
  if (fine)
    return route->base.id;
  bt_resource_del(&route->base);
  free(route);
  return 0;
}

static void routes_remove(const struct berth_host *host, berth_handle id) {
  struct bt_plugin *entry = bt_host_entry(host, "routes.remove");
  struct bt_resource *resource = entry ? bt_resource_get(entry, id, &route_kind) : NULL;
  if (!resource)
    return;
  helper_send(helper_message("routes.remove", id), NULL, 0);
  bt_resource_del(resource);
  free(resource);
}

static void routes_reply(const struct berth_host *host, berth_op reply, int status, const struct berth_pair *headers,
                         size_t nheaders, const void *body, size_t len) {
  (void)host;
  json_t *head = helper_message("respond", 0);
  bt_json_set_int(head, "op", (long long)reply);
  bt_json_set_int(head, "status", status);
  bt_json_set(head, "headers", bt_pairs_json(headers, nheaders));
  helper_send(head, body, body ? len : 0);
}

const struct berth_host_routes helper_routes = {
    .size = sizeof helper_routes, .add = routes_add, .remove = routes_remove, .reply = routes_reply};

static void on_request(const struct bt_message *m) {
  struct bt_resource *resource = bt_resource_get(&helper.entry, (berth_handle)bt_json_int(m->head, "id", 0), &route_kind);
  struct route *route = (struct route *)resource;
  berth_op op = (berth_op)bt_json_int(m->head, "op", 0);
  if (!route) {
    routes_reply(&helper.entry.cell->host, op, 404, NULL, 0, NULL, 0);
    return;
  }
  size_t n = 0;
  BT_AUTO_FREE struct berth_pair *headers = bt_pairs_read(bt_json_arr(m->head, "headers"), &n);
  struct berth_route_request request = {.size = sizeof request,
                                        .method = bt_json_str_or(m->head, "method", ""),
                                        .path = bt_json_str_or(m->head, "path", ""),
                                        .query = bt_json_str_or(m->head, "query", ""),
                                        .headers = headers,
                                        .nheaders = n,
                                        .body = m->bytes ? m->bytes : "",
                                        .body_len = m->len};
  route->handle(route->arg, op, &request);
}

bool helper_stream_message(const struct bt_message *m) {
  if (strcmp(m->type, "event") == 0)
    on_event(m);
  else if (strcmp(m->type, "request") == 0)
    on_request(m);
  else
    return false;
  return true;
}
