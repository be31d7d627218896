/* The host's services that bring things in: events, and requests to the routes that the plug-in adds. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "host.h"
#include "report.h"

enum { max_type = 64, max_message = 4096, max_data = 16 * 1024, max_path = 256 };

/* ---------------------------------------------------------------- events */

struct subscription {
  struct check_handle base;
  bool (*cb)(void *arg, const struct berth_event *event);
  void *arg;
  bool paused;
};

static void subscription_end(struct check_handle *handle) {
  check_handle_over(handle);
  free(handle);
}

static berth_handle events_subscribe(const struct berth_host *given, uint64_t after,
                                     bool (*cb)(void *arg, const struct berth_event *event), void *arg) {
  CHECK_SERVICE;
  (void)after;
  struct check_host *host = check_host_for(given, "events.subscribe");
  if (host && !cb)
    check_fail("events.subscribe: no callback [%s]", check_at());
  if (!host || !cb || host->state == CHECK_ENDING)
    return 0;
  struct subscription *s = bt_new(struct subscription);
  s->cb = cb;
  s->arg = arg;
  check_handle_add(host, &s->base, CHECK_SUBSCRIPTION, subscription_end);
  return s->base.id;
}

static struct subscription *subscription_of(const struct berth_host *given, berth_handle id, const char *what) {
  struct check_host *host = check_host_for(given, what);
  return host ? (struct subscription *)check_handle_of(host, id, CHECK_SUBSCRIPTION, what) : NULL;
}

static void events_resume(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct subscription *s = subscription_of(given, id, "events.resume");
  if (s)
    s->paused = false;
}

static void events_unsubscribe(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct subscription *s = subscription_of(given, id, "events.unsubscribe");
  if (s)
    subscription_end(&s->base);
}

static void events_publish(const struct berth_host *given, const char *type, const char *severity, const char *message,
                           const char *data_json) {
  CHECK_SERVICE;
  if (!check_host_for(given, "events.publish") || !check_text(type, "events.publish") || !check_text(message, "events.publish"))
    return;
  BT_AUTO_JSON data = data_json ? json_loads(data_json, 0, NULL) : json_object();
  bool known = severity && (!strcmp(severity, "info") || !strcmp(severity, "warning") || !strcmp(severity, "error"));
  if (!known || strlen(type) > max_type || strlen(message) > max_message || !json_is_object(data) ||
      (data_json && strlen(data_json) > max_data))
    check_fail("events.publish: type up to %d bytes, severity info, warning or error, message up to 4 KiB, data an object up to 16 KiB; "
               "else the server drops it [%s]",
               max_type, check_at());
}

const struct berth_host_events check_service_events = {.size = sizeof check_service_events,
                                                       .subscribe = events_subscribe,
                                                       .resume = events_resume,
                                                       .unsubscribe = events_unsubscribe,
                                                       .publish = events_publish};

static struct berth_event event_number(size_t i, bool hostile, const char *huge) {
  static const char *const types[] = {"app.applied", "rollout.failed", "instance.unhealthy", "instance.running", "gap"};
  struct berth_event e = {.size = sizeof e,
                          .revision = 1000 + i / 2,
                          .time_ms = bt_clock_wall_ms(),
                          .type = types[i % 4],
                          .severity = i % 3 ? "info" : "error",
                          .namespace_ = "default",
                          .app = "shop",
                          .subject = "instance/shop-web-1-k3f9a",
                          .message = "instance shop-web-1 became unhealthy",
                          .data_json = "{\"node\":\"n1\",\"exit_code\":137}"};
  if (!hostile)
    return e;
  e.type = i % 5 == 4 ? "gap" : i % 7 ? types[i % 4] : "%s%n..\\\"<script>";
  e.message = i % 11 == 3 ? huge : i % 2 ? "\"\\\r\n\t<&>%s%n{{severity}}{{data.}}{{" : "";
  e.subject = i % 2 ? "" : "plugin/checked";
  e.data_json = i % 3 ? "{\"a\":{\"b\":[1,null,{}]},\"\":\"\"}" : "{}";
  e.time_ms = i % 4 ? INT64_MAX : INT64_MIN;
  return e;
}

struct delivery {
  struct check_host *host;
  struct subscription *to;
  size_t next, n;
  bool hostile;
  char *huge;
};

/* A hundred a turn, as the server's feed does. */
static bool deliver(void *arg) {
  struct delivery *d = arg;
  for (int k = 0; k < 100 && d->next < d->n; k++) {
    if (d->host->handles.items[d->to->base.id - 1] != &d->to->base)
      return true; /* unsubscribed */
    if (d->to->paused)
      return false;
    struct berth_event e = event_number(d->next++, d->hostile, d->huge);
    check_enter("an event's callback");
    bool more = d->to->cb(d->to->arg, &e);
    check_leave();
    if (d->host->handles.items[d->to->base.id - 1] == &d->to->base)
      d->to->paused = !more;
  }
  return d->next == d->n;
}

void check_events_flood(struct check_host *host, size_t n, bool hostile) {
  size_t handles = host->handles.len;
  for (size_t i = 0; i < handles; i++) {
    struct check_handle *h = host->handles.items[i];
    if (!h || h->kind != CHECK_SUBSCRIPTION)
      continue;
    struct delivery d = {.host = host, .to = (struct subscription *)h, .n = n, .hostile = hostile};
    d.huge = bt_calloc(1, 100001);
    memset(d.huge, 'e', 100000);
    berth_handle id = h->id;
    if (!check_turn(host->loop, 4000, deliver, &d) && host->handles.items[id - 1])
      check_note("it paused the stream after %zu of %zu events", d.next, n);
    free(d.huge);
  }
}

/* ---------------------------------------------------------------- routes */

struct route {
  struct check_handle base;
  char *method, *path;
  void (*handle)(void *arg, berth_op reply, const struct berth_route_request *request);
  void *arg;
};

static void route_end(struct check_handle *handle) {
  struct route *r = (struct route *)handle;
  check_handle_over(handle);
  free(r->method);
  free(r->path);
  free(r);
}

static bool path_ok(const char *path) {
  const char *star = strchr(path, '*');
  return path[0] == '/' && strlen(path) <= max_path && !strpbrk(path, "?# ") && (!star || (star[1] == '\0' && star[-1] == '/'));
}

static berth_handle routes_add(const struct berth_host *given, const struct berth_route *route) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "routes.add");
  if (!host || !check_size(route->size, CHECK_THROUGH(struct berth_route, arg), "routes.add"))
    return 0;
  struct berth_route r;
  CHECK_TAKE(r, route);
  if (!r.method || !r.path || !r.handle || !path_ok(r.path)) {
    check_note("routes.add: \"%.80s\" is no path, or method or handle are missing [%s]", r.path ? r.path : "(null)", check_at());
    return 0;
  }
  if (host->state == CHECK_ENDING)
    return 0;
  struct route *own = bt_new(struct route);
  own->method = bt_strdup(r.method);
  own->path = bt_strdup(r.path);
  own->handle = r.handle;
  own->arg = r.arg;
  check_handle_add(host, &own->base, CHECK_ROUTE, route_end);
  return own->base.id;
}

static void routes_remove(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "routes.remove");
  struct check_handle *handle = host ? check_handle_of(host, id, CHECK_ROUTE, "routes.remove") : NULL;
  if (handle)
    route_end(handle);
}

static void take_reply(struct check_op *op, int status, const struct berth_pair *headers, size_t n, const void *body, size_t len) {
  if (op->method)
    check_fail("routes.reply: operation %llu is a method's; ops.finish ends it [%s]", (unsigned long long)op->id, check_at());
  else if (op->finished)
    check_fail("routes.reply: a request to %s was answered twice [%s]", op->label, check_at());
  op->finished = true;
  op->status = status;
  if (status < 200 || status > 599)
    check_fail("routes.reply: %d is no status of an answer [%s]", status, check_at());
  if (len && !body)
    check_fail("routes.reply: %zu bytes from NULL [%s]", len, check_at());
  for (size_t i = 0; i < n; i++)
    if (!headers[i].name || !headers[i].value || strpbrk(headers[i].name, "\r\n: ") || strpbrk(headers[i].value, "\r\n"))
      check_fail("routes.reply: header %zu is none, or holds a line end [%s]", i, check_at());
}

static void routes_reply(const struct berth_host *given, berth_op id, int status, const struct berth_pair *headers, size_t nheaders,
                         const void *body, size_t len) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "routes.reply");
  struct check_op *op = host ? check_op_of(host, id) : NULL;
  if (host && !op)
    check_fail("routes.reply: there never was a request %llu [%s]", (unsigned long long)id, check_at());
  if (op)
    take_reply(op, status, headers, nheaders, body, len);
}

const struct berth_host_routes check_service_routes = {
    .size = sizeof check_service_routes, .add = routes_add, .remove = routes_remove, .reply = routes_reply};

size_t check_routes_count(const struct check_host *host) {
  size_t n = 0;
  for (size_t i = 0; i < host->handles.len; i++)
    n += host->handles.items[i] && host->handles.items[i]->kind == CHECK_ROUTE;
  return n;
}

size_t check_routes_call(struct check_host *host, const struct berth_route_request *request) {
  size_t n = 0, handles = host->handles.len;
  for (size_t i = 0; i < handles; i++) {
    if (!host->handles.items[i] || host->handles.items[i]->kind != CHECK_ROUTE)
      continue;
    struct route *r = (struct route *)host->handles.items[i];
    struct berth_route_request own = *request;
    BT_AUTO_FREE char *path = bt_asprintf("%.*s%s", (int)strcspn(r->path, "*"), r->path, strchr(r->path, '*') ? request->path : "");
    own.path = path;
    own.method = r->method;
    struct check_op *op = check_op_new(host, "a route", NULL);
    check_enter("a route's handle()");
    r->handle(r->arg, op->id, &own);
    check_leave();
    n++;
  }
  return n;
}
