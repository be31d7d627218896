/* What a plug-in in another process asks of the server, but for HTTP: each message becomes a call of the very service that a plug-in
 * in this process calls, so that every rule and every limit holds for both. */
#include "config.h"

#include "base/json.h"
#include "plugin/marshal.h"
#include "plugin/remote.h"

enum { samples_together = 200, max_ahead = 64, go_on_at = 32, max_scan_bytes = 32 * 1024 * 1024 };

/* ---------------------------------------------------------------- messages to it */

json_t *bt_remote_message(const char *type, berth_handle id) {
  json_t *head = json_object();
  json_object_set_new(head, "t", json_string(type));
  if (id)
    json_object_set_new(head, "id", json_integer((json_int_t)id));
  return head;
}

size_t bt_remote_send(struct bt_remote *r, json_t *head_steal, const void *bytes, size_t len) {
  if (r->link)
    return bt_link_send(r->link, head_steal, bytes, len);
  json_decref(head_steal);
  return 0;
}

/* ---------------------------------------------------------------- handles */

void *bt_remote_handle_new(struct bt_remote *r, berth_handle id, const struct bt_remote_kind *kind, size_t size) {
  if (r->handles.len >= BT_REMOTE_MAX_HANDLES)
    return NULL;
  struct bt_remote_handle *h = bt_calloc(1, size);
  *h = (struct bt_remote_handle){.remote = r, .id = id, .kind = kind};
  bt_vec_push(&r->handles, h);
  return h;
}

void *bt_remote_handle_get(struct bt_remote *r, berth_handle id, const struct bt_remote_kind *kind) {
  bt_vec_each(&r->handles, h) if ((*h)->id == id && (*h)->kind == kind) return *h;
  return NULL;
}

void bt_remote_handle_off(struct bt_remote_handle *h) {
  struct bt_remote *r = h->remote;
  for (size_t i = 0; r && i < r->handles.len; i++)
    if (r->handles.items[i] == h) {
      bt_vec_remove(&r->handles, i);
      break;
    }
  h->remote = NULL;
}

void bt_remote_handles_free(struct bt_remote *r) {
  while (r->handles.len) {
    struct bt_remote_handle *h = r->handles.items[r->handles.len - 1];
    bt_remote_handle_off(h);
    h->kind->close(h, r);
  }
  bt_vec_free(&r->handles);
}

static void send_reply(struct bt_remote *r, berth_handle id, enum berth_code code, const char *message, const void *bytes,
                     size_t len) {
  json_t *head = bt_remote_message("reply", id);
  bt_json_set_str(head, "code", bt_code_name(bt_plugin_code(code)));
  if (code != BERTH_OK)
    bt_json_set_str(head, "message", message);
  bt_remote_send(r, head, bytes, len);
}

static const char too_many[] = "over 2,000 requests, subscriptions and routes at once";

/* ---------------------------------------------------------------- questions with one answer */

/* The service still answers into it, and that frees it. */
static void question_close(struct bt_remote_handle *h, struct bt_remote *r) { (void)h, (void)r; }
static const struct bt_remote_kind question_kind = {"question", question_close};

struct question {
  struct bt_remote_handle base;
  json_t *samples; /* of collect */
};

static struct question *question_new(struct bt_remote *r, berth_handle id) {
  struct question *q = bt_remote_handle_new(r, id, &question_kind, sizeof *q);
  if (!q)
    send_reply(r, id, BERTH_EXHAUSTED, too_many, NULL, 0);
  return q;
}

static void answer(struct question *q, enum berth_code code, const char *message, const void *bytes, size_t len) {
  struct bt_remote *r = q->base.remote;
  berth_handle id = q->base.id;
  bt_remote_handle_off(&q->base);
  json_decref(q->samples);
  free(q);
  if (r)
    send_reply(r, id, code, message, bytes, len);
}

static void put_done(void *arg, enum berth_code code, const char *message) { answer(arg, code, message, NULL, 0); }

static void secret_done(void *arg, enum berth_code code, const char *message, const void *value, size_t len) {
  answer(arg, code, message, value, value ? len : 0);
}

static void query_done(void *arg, enum berth_code code, const char *message, const char *json) {
  answer(arg, code, message, json, strlen(json));
}

static void on_kv_put(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct question *q = question_new(r, id);
  if (q)
    r->services->kv->put(r->host, bt_json_str_or(m->head, "key", ""),
                      bt_json_bool(m->head, "delete", false) ? NULL : m->bytes, m->len, put_done, q);
}

struct scan {
  json_t *keys, *sizes;
  struct bt_buf bytes;
};

static bool scan_found(void *arg, const char *key, const void *value, size_t len) {
  struct scan *s = arg;
  if (s->bytes.len + len > max_scan_bytes)
    return false;
  json_array_append_new(s->keys, bt_json_string(key));
  json_array_append_new(s->sizes, json_integer((json_int_t)len));
  bt_buf_add(&s->bytes, value, len);
  return true;
}

static void on_kv_scan(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct scan s = {.keys = json_array(), .sizes = json_array()};
  r->services->kv->scan(r->host, bt_json_str_or(m->head, "prefix", ""), scan_found, &s);
  json_t *head = bt_remote_message("reply", id);
  bt_json_set_str(head, "code", "ok");
  bt_json_set(head, "keys", s.keys);
  bt_json_set(head, "sizes", s.sizes);
  bt_remote_send(r, head, s.bytes.data, s.bytes.len);
  bt_buf_free(&s.bytes);
}

static void on_secret(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct question *q = question_new(r, id);
  if (q)
    r->services->secret->get(r->host, bt_json_str_or(m->head, "name", ""), secret_done, q);
}

static void on_query(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct question *q = question_new(r, id);
  if (q)
    r->services->query->get(r->host, bt_json_str_or(m->head, "path", ""), query_done, q);
}

/* ---------------------------------------------------------------- metrics */

static void on_metrics_set(struct bt_remote *r, const struct bt_message *m) {
  json_t *given = bt_json_obj(m->head, "labels");
  size_t n = 0;
  BT_AUTO_FREE struct berth_pair *labels = bt_newn(struct berth_pair, json_object_size(given) + 1);
  for (void *it = json_object_iter(given); it; it = json_object_iter_next(given, it))
    labels[n++] = (struct berth_pair){json_object_iter_key(it), json_string_value(json_object_iter_value(it))};
  struct berth_metric_sample s = {.size = sizeof s,
                                  .name = bt_json_str_or(m->head, "name", ""),
                                  .help = bt_json_str_or(m->head, "help", ""),
                                  .kind = bt_streq(bt_json_str(m->head, "kind"), "counter") ? BERTH_COUNTER : BERTH_GAUGE,
                                  .labels = labels,
                                  .nlabels = n,
                                  .value = bt_json_num(m->head, "value", 0)};
  r->services->metrics->set(r->host, &s);
}

static void flush_samples(struct question *q) {
  if (!q->base.remote || !q->samples)
    return;
  json_t *head = bt_remote_message("samples", q->base.id);
  bt_json_set(head, "samples", bt_steal(q->samples));
  bt_remote_send(q->base.remote, head, NULL, 0);
}

static void sample(void *arg, const struct berth_metric_sample *s) {
  struct question *q = arg;
  json_t *o = json_object(), *labels = json_object();
  bt_json_set_str(o, "name", s->name);
  bt_json_set_str(o, "help", s->help);
  bt_json_set_str(o, "kind", s->kind == BERTH_COUNTER ? "counter" : "gauge");
  for (size_t i = 0; i < s->nlabels; i++)
    bt_json_set_str(labels, s->labels[i].name, s->labels[i].value);
  bt_json_set(o, "labels", labels);
  bt_json_set(o, "value", json_real(s->value));
  if (!q->samples)
    q->samples = json_array();
  json_array_append_new(q->samples, o);
  if (json_array_size(q->samples) >= samples_together)
    flush_samples(q);
}

static void collected(void *arg, enum berth_code code, const char *message) {
  flush_samples(arg);
  answer(arg, code, message, NULL, 0);
}

static void on_collect(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct question *q = question_new(r, id);
  if (q)
    r->services->metrics->collect(r->host, bt_json_int(m->head, "max_age_ms", 0), sample, collected, q);
}

/* ---------------------------------------------------------------- events */

struct subscription {
  struct bt_remote_handle base;
  long long ahead; /* sent, and not taken over there */
  bool paused;
};

static void subscription_close(struct bt_remote_handle *h, struct bt_remote *r) {
  if (r->host)
    r->services->events->unsubscribe(r->host, h->here);
  free(h);
}
static const struct bt_remote_kind subscription_kind = {"subscription", subscription_close};

static bool on_event(void *arg, const struct berth_event *e) {
  struct subscription *s = arg;
  json_t *head = bt_remote_message("event", s->base.id);
  bt_json_set_int(head, "revision", (long long)e->revision);
  bt_json_set_int(head, "time_ms", e->time_ms);
  bt_json_set_str(head, "type", e->type);
  bt_json_set_str(head, "severity", e->severity);
  bt_json_set_str(head, "namespace", e->namespace_);
  bt_json_set_str(head, "app", e->app);
  bt_json_set_str(head, "subject", e->subject);
  bt_json_set_str(head, "message", e->message);
  bt_json_set_str(head, "data_json", e->data_json);
  bt_remote_send(s->base.remote, head, NULL, 0);
  s->paused = ++s->ahead >= max_ahead;
  return !s->paused;
}

static void on_subscribe(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct subscription *s = bt_remote_handle_new(r, id, &subscription_kind, sizeof *s);
  if (s)
    s->base.here = r->services->events->subscribe(r->host, (uint64_t)bt_json_int(m->head, "after", 0), on_event, s);
}

static void on_events_taken(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct subscription *s = bt_remote_handle_get(r, id, &subscription_kind);
  if (!s)
    return;
  s->ahead = BT_MAX(s->ahead - BT_MAX(bt_json_int(m->head, "count", 0), 0), 0);
  if (!s->paused || s->ahead > go_on_at)
    return;
  s->paused = false;
  r->services->events->resume(r->host, s->base.here);
}

static void on_unsubscribe(struct bt_remote *r, berth_handle id) {
  struct subscription *s = bt_remote_handle_get(r, id, &subscription_kind);
  if (!s)
    return;
  bt_remote_handle_off(&s->base);
  subscription_close(&s->base, r);
}

static void on_publish(struct bt_remote *r, const struct bt_message *m) {
  r->services->events->publish(r->host, bt_json_str_or(m->head, "type", ""), bt_json_str(m->head, "severity"),
                            bt_json_str_or(m->head, "message", ""), bt_json_str(m->head, "data_json"));
}

/* ---------------------------------------------------------------- routes */

static void route_close(struct bt_remote_handle *h, struct bt_remote *r) {
  if (r->host)
    r->services->routes->remove(r->host, h->here);
  free(h);
}
static const struct bt_remote_kind route_kind = {"route", route_close};

static void on_route(void *arg, berth_op op, const struct berth_route_request *request) {
  const struct bt_remote_handle *h = arg;
  json_t *head = bt_remote_message("request", h->id);
  bt_json_set_int(head, "op", (long long)op);
  bt_json_set_str(head, "method", request->method);
  bt_json_set_str(head, "path", request->path);
  bt_json_set_str(head, "query", request->query);
  bt_json_set(head, "headers", bt_pairs_json(request->headers, request->nheaders));
  bt_remote_send(h->remote, head, request->body, request->body_len);
}

static void on_routes_add(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  struct bt_remote_handle *h = bt_remote_handle_new(r, id, &route_kind, sizeof *h);
  struct berth_route route = {.size = sizeof route,
                              .method = bt_json_str(m->head, "method"),
                              .path = bt_json_str(m->head, "path"),
                              .summary = bt_json_str(m->head, "summary"),
                              .open = bt_json_bool(m->head, "open", false),
                              .handle = on_route,
                              .arg = h};
  if (h)
    h->here = r->services->routes->add(r->host, &route);
  bool fine = h && h->here;
  if (h && !fine) {
    bt_remote_handle_off(h);
    free(h);
  }
  send_reply(r, id, fine ? BERTH_OK : BERTH_CONFLICT, "this path is taken or reserved", NULL, 0);
}

static void on_routes_remove(struct bt_remote *r, berth_handle id) {
  struct bt_remote_handle *h = bt_remote_handle_get(r, id, &route_kind);
  if (!h)
    return;
  bt_remote_handle_off(h);
  route_close(h, r);
}

/* ---------------------------------------------------------------- all */

static void on_metrics(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  (void)id;
  on_metrics_set(r, m);
}
static void on_events_publish(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  (void)id;
  on_publish(r, m);
}
static void on_events_unsubscribe(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  (void)m;
  on_unsubscribe(r, id);
}
static void on_remove(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  (void)m;
  on_routes_remove(r, id);
}

static const struct {
  const char *type;
  void (*fn)(struct bt_remote *r, const struct bt_message *m, berth_handle id);
} verbs[] = {{"kv.put", on_kv_put},
             {"kv.scan", on_kv_scan},
             {"secret.get", on_secret},
             {"query.get", on_query},
             {"metrics.set", on_metrics},
             {"metrics.collect", on_collect},
             {"events.subscribe", on_subscribe},
             {"events.taken", on_events_taken},
             {"events.unsubscribe", on_events_unsubscribe},
             {"events.publish", on_events_publish},
             {"routes.add", on_routes_add},
             {"routes.remove", on_remove}};

/* The service of a message stands before its dot; what this server does not offer is not asked for by who reads "services". */
static bool offered(const struct bt_remote *r, const char *type) {
  BT_AUTO_FREE char *id = bt_asprintf("berth.host.%.*s/1", (int)strcspn(type, "."), type);
  return r->services->offers(r->host, id);
}

bool bt_remote_service_message(struct bt_remote *r, const struct bt_message *m) {
  berth_handle id = (berth_handle)bt_json_int(m->head, "id", 0);
  for (size_t i = 0; i < BT_COUNT(verbs); i++) {
    if (strcmp(verbs[i].type, m->type) != 0)
      continue;
    if (offered(r, m->type))
      verbs[i].fn(r, m, id);
    else if (id)
      send_reply(r, id, BERTH_UNSUPPORTED, "this server does not offer the service", NULL, 0);
    return true;
  }
  return false;
}
