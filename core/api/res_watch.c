/* Changes and events as they happen: Server-Sent Events that resume by revision, and the list of past events. */
#include "config.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/vec.h"

enum { PAUSE_AT = 256 * 1024, PAST_PAGE = 100 };

/* An open stream. Also a list of them, for progress, which is in no feed. */
struct bt_watch_stream {
  struct bt_api *api;
  struct bt_watch_stream *prev, *next;
  struct bt_exchange *x;
  struct bt_sse *sse;
  struct bt_watcher *watcher;
  struct bt_timer *past; /* while events of before the feed are sent */
  uint64_t after;
  char *cursor;
  bool events; /* /v1/events: only events, bare */
  struct bt_strs kinds;
  char *namespace_, *app, *type;
};

/* Kinds that anyone who may read sees; "blob", "kv" and what else is in the store stay inside. */
static const char *const public_kinds[] = {"app",    "revision", "instance", "service", "node", "volume", "network",
                                           "secret", "config",   "event",    "progress"};

static bool is_public(const char *kind) {
  for (size_t i = 0; i < BT_COUNT(public_kinds); i++)
    if (strcmp(public_kinds[i], kind) == 0)
      return true;
  return false;
}

static bool wants(const struct bt_watch_stream *s, const char *kind) {
  if (s->events)
    return strcmp(kind, "event") == 0;
  for (size_t i = 0; i < s->kinds.len; i++)
    if (strcmp(s->kinds.items[i], kind) == 0)
      return true;
  return s->kinds.len == 0 && is_public(kind);
}

static void stream_free(struct bt_watch_stream *s) {
  if (s->prev)
    s->prev->next = s->next;
  else
    s->api->streams = s->next;
  if (s->next)
    s->next->prev = s->prev;
  bt_watcher_free(&s->watcher);
  bt_timer_free(&s->past);
  free(s->cursor);
  bt_sse_end(&s->sse);
  bt_strs_free(&s->kinds);
  free(s->namespace_);
  free(s->app);
  free(s->type);
  free(s);
}

static void on_gone(void *arg) { stream_free(arg); }

static void on_drain(void *arg) {
  struct bt_watch_stream *s = arg;
  if (s->past) {
    bt_timer_set(s->past, 0);
  } else {
    bt_watcher_resume(s->watcher);
    bt_api_pump(s->api);
  }
}

void bt_watch_streams_close(struct bt_api *api) {
  while (api->streams)
    stream_free(api->streams);
}

/* ---------------------------------------------------------------- entries */

static bool event_matches(const struct bt_watch_stream *s, const char *text) {
  if (!s->namespace_ && !s->app && !s->type)
    return true;
  BT_AUTO_JSON event = json_loads(text, 0, NULL);
  return event && (!s->namespace_ || bt_streq(bt_json_str(event, "namespace"), s->namespace_)) &&
         (!s->app || bt_streq(bt_json_str(event, "app"), s->app)) &&
         (!s->type || fnmatch(s->type, bt_json_str_or(event, "type", ""), 0) == 0);
}

/* A bare event carries its revision, so that a reader can resume without the frame's id. */
static size_t send_event(struct bt_watch_stream *s, const char *id, const char *value) {
  BT_AUTO_JSON event = json_loads(value, 0, NULL);
  if (!event)
    return 0;
  if (!json_object_get(event, "revision"))
    bt_json_set(event, "revision", json_integer(strtoll(id, NULL, 10)));
  BT_AUTO_FREE char *text = bt_json_text(event);
  return bt_sse_send(s->sse, id, "event", text);
}

static const char gap[] = "{\"message\":\"what happened before this revision is gone: read the objects anew\"}";

static bool on_entry(void *arg, const struct bt_feed_entry *e) {
  struct bt_watch_stream *s = arg;
  char id[24];
  snprintf(id, sizeof id, "%" PRIu64, e->revision);
  size_t waiting;
  if (strcmp(e->kind, "gap") == 0) {
    waiting = bt_sse_send(s->sse, id, "gap", gap);
  } else if (!wants(s, e->kind)) {
    return true;
  } else if (s->events) {
    if (!e->value || !event_matches(s, e->value))
      return true;
    waiting = send_event(s, id, e->value);
  } else {
    BT_AUTO_JSON key = bt_json_string(e->key);
    BT_AUTO_FREE char *key_text = json_dumps(key, JSON_ENCODE_ANY);
    BT_AUTO_BUF data = {0};
    bt_buf_addf(&data, "{\"key\":%s,\"value\":%s}", key_text, e->value ? e->value : "null");
    waiting = bt_sse_send(s->sse, id, e->kind, data.data);
  }
  return waiting <= PAUSE_AT;
}

void bt_api_progress(struct bt_api *api, const json_t *message) {
  BT_AUTO_FREE char *text = NULL;
  for (struct bt_watch_stream *s = api->streams; s; s = s->next) {
    if (s->events || !wants(s, "progress") || bt_reply_waiting(s->x) > PAUSE_AT) /* a slow reader misses some: they are a comfort */
      continue;
    if (!text)
      text = bt_json_text(message);
    bt_sse_send(s->sse, NULL, "progress", text);
  }
}

/* ---------------------------------------------------------------- events of before the feed */

/* Nothing is missing where the oldest event that is kept is not younger than "after", or is the very first. */
static bool all_kept(const struct bt_control *control, uint64_t after) {
  struct bt_query first = {.limit = 1};
  BT_AUTO_JSON oldest = bt_control_list(control, "events", &first, NULL, NULL);
  const json_t *o = json_array_get(oldest, 0);
  return after <= bt_control_revision(control) &&
         (!o || bt_json_int(o, "id", 0) == 1 || (uint64_t)bt_json_int(o, "revision", 0) <= after);
}

/* False where the page goes beyond the feed: what is still on its way to the disk comes from the feed. */
static bool send_past(struct bt_watch_stream *s, const json_t *events) {
  uint64_t durable = bt_feed_latest(s->api->s.feed);
  size_t i;
  json_t *event;
  json_array_foreach(events, i, event) {
    if ((uint64_t)bt_json_int(event, "revision", 0) > durable)
      return false;
    BT_AUTO_FREE char *text = bt_json_text(event);
    char id[24];
    snprintf(id, sizeof id, "%lld", bt_json_int(event, "revision", 0));
    if (event_matches(s, text))
      send_event(s, id, text);
  }
  return true;
}

/* Who begins now and is cut off before the first event resumes here: what happened meanwhile is not missed. */
static void mark_begin(struct bt_watch_stream *s) {
  char id[24];
  snprintf(id, sizeof id, "%" PRIu64, bt_feed_latest(s->api->s.feed));
  bt_sse_mark(s->sse, id);
}

static void go_live(struct bt_watch_stream *s, uint64_t after) {
  bt_timer_free(&s->past);
  if (after == UINT64_MAX)
    mark_begin(s);
  s->watcher = bt_feed_watch(s->api->s.feed, after, on_entry, s);
  bt_api_pump(s->api);
}

/* A page a turn of the loop, and none while the reader is behind. After the last one the feed takes over: nothing can come
 * between, since both are read in the same turn. */
static void on_past(void *arg) {
  struct bt_watch_stream *s = arg;
  if (bt_reply_waiting(s->x) > PAUSE_AT)
    return;
  const struct bt_control *control = s->api->s.control(s->api->s.arg);
  struct bt_query query = {.after = s->after, .limit = PAST_PAGE, .cursor = s->cursor};
  char *next = NULL;
  BT_AUTO_JSON page = bt_control_list(control, "events", &query, &next, NULL);
  bool more = send_past(s, page) && next;
  free(s->cursor);
  s->cursor = next;
  if (more)
    bt_timer_set(s->past, 0);
  else
    go_live(s, bt_feed_latest(s->api->s.feed));
}

/* The feed begins with the server's start; control keeps events for longer. */
static void begin(struct bt_watch_stream *s, uint64_t after) {
  if (!s->events || after == UINT64_MAX || after >= bt_feed_oldest(s->api->s.feed)) {
    go_live(s, after);
    return;
  }
  if (!all_kept(s->api->s.control(s->api->s.arg), after))
    bt_sse_send(s->sse, NULL, "gap", gap);
  s->after = after;
  s->past = bt_timer_new(s->api->s.loop, "api-events", on_past, s);
  bt_timer_set(s->past, 0);
}

/* ---------------------------------------------------------------- opening */

static int read_kinds(struct bt_watch_stream *s, const struct bt_req *req, struct bt_err **err) {
  BT_AUTO_FREE char *text = bt_req_query(req, "kinds");
  char *save = NULL;
  for (char *kind = text ? strtok_r(text, ",", &save) : NULL; kind; kind = strtok_r(NULL, ",", &save)) {
    if (!is_public(kind))
      return bt_err_set(err, BT_INVALID, "there is no kind \"%.40s\" to watch", kind);
    bt_strs_add(&s->kinds, kind);
  }
  /* Progress comes with the instances that make it. */
  if (s->kinds.len && wants(s, "instance"))
    bt_strs_add(&s->kinds, "progress");
  return 0;
}

static void open_stream(struct bt_api *api, struct bt_exchange *x, bool events) {
  BT_AUTO_ERR err = NULL;
  uint64_t after;
  struct bt_watch_stream *s = bt_new(struct bt_watch_stream);
  *s = (struct bt_watch_stream){.api = api, .x = x, .events = events, .next = api->streams};
  if (s->next)
    s->next->prev = s;
  api->streams = s;
  if (x->capture)
    bt_err_set(&err, BT_UNSUPPORTED, "streams are not for queries");
  if (err || bt_sse_resume_point(x->req, &after, &err) < 0 || (!events && read_kinds(s, x->req, &err) < 0)) {
    stream_free(s);
    bt_problem_err(x, err);
    return;
  }
  if (events) {
    s->namespace_ = bt_req_query(x->req, "namespace");
    s->app = bt_req_query(x->req, "app");
    s->type = bt_req_query(x->req, "type");
  }
  x->arg = s;
  x->on_gone = on_gone;
  x->on_drain = on_drain;
  s->sse = bt_sse_begin(api->s.loop, x);
  begin(s, after);
}

static void get_watch(struct bt_api *api, struct bt_exchange *x) { open_stream(api, x, false); }

static void get_events(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  bool follow;
  const char *accept = bt_req_header(x->req, "accept");
  if (bt_query_bool(x->req, "follow", accept && strstr(accept, "text/event-stream"), &follow, &err) < 0) {
    bt_problem_err(x, err);
  } else if (follow) {
    open_stream(api, x, true);
  } else {
    BT_AUTO_FREE char *namespace_ = bt_req_query(x->req, "namespace");
    bt_reply_list(api, x, "events", namespace_ && *namespace_ ? namespace_ : NULL, NULL);
  }
}

static const struct bt_route_param watch_params[] = {
    {"after", "integer", "resume after this revision (as Last-Event-ID); absent: from now on"},
    {"kinds", "string", "comma-separated: app, revision, instance, node, volume, network, secret, config, event"},
    {NULL, NULL, NULL}};
static const struct bt_route_param event_params[] = {
    {"after", "integer", "only events after this revision"},
    {"follow", "boolean", "true: a stream of Server-Sent Events"},
    {"namespace", "string", "only of this namespace"},
    {"app", "string", "only of this app"},
    {"type", "string", "only of this type; * stands for anything"},
    {"limit", "integer", "items of a page, at most 1000; 0: 500"},
    {"cursor", "string", "\"next\" of the page before"},
    {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/watch", .summary = "Committed changes of objects as they happen, and progress of pulls",
     .query = watch_params, .content = "text/event-stream", .handle = get_watch},
    {.method = "GET", .pattern = "/v1/events", .summary = "Events: past ones as a list, or a stream", .query = event_params,
     .response = "[Event]", .handle = get_events},
};
const struct bt_route_table bt_routes_watch = {routes, BT_COUNT(routes)};
