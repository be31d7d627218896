/* chat-webhook: events as messages to Slack-compatible incoming webhooks (Slack, Mattermost, Rocket.Chat, Discord's /slack). */
#include <berth/chat.h>
#include <berth/host.h>
#include <stdio.h>

#include "../common/plugin.h"
#include "queue.h"
#include "settings.h"

enum { cursor_after_ms = 5000, failures_to_tell = 3 };

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_log *log;
  const struct berth_host_timer *timer;
  const struct berth_host_http *http;
  const struct berth_host_events *events;
  const struct berth_host_metrics *metrics; /* may be absent */
  struct cw_settings settings;
  struct cw_queue queue;
  char *own_subject;       /* of events about this entry */
  berth_handle subscription;
  bool paused;             /* the subscription rests: the queue is full */
  uint64_t skip_revision, skip; /* events of an earlier run still to be passed over */
  berth_handle send_timer, cursor_timer, request;
  size_t sending;          /* messages in the request on its way */
  int64_t retry_after_s;   /* of the last answer; -1 none */
  int failures;            /* in a row */
  bool told;               /* that it is failing */
  uint64_t sent, dropped;
  char *detail;            /* of the last failure; without the URL */
  struct queued *queueing; /* calls of send whose message is on its way into the store */
};

static void plan_send(struct berth_instance *self, int64_t ms);

/* ---------------------------------------------------------------- telling */

static void metric(struct berth_instance *self, const char *name, const char *help, enum berth_metric_kind kind, double value) {
  struct berth_metric_sample s = {.size = sizeof s, .name = name, .help = help, .kind = kind, .value = value};
  if (self->metrics)
    self->metrics->set(self->host, &s);
}

static void show_metrics(struct berth_instance *self) {
  metric(self, "berth_chat_queue_length", "Messages that wait to be sent.", BERTH_GAUGE, (double)self->queue.len);
  metric(self, "berth_chat_sent_total", "Messages that were sent.", BERTH_COUNTER, (double)self->sent);
  metric(self, "berth_chat_dropped_total", "Messages that were given up.", BERTH_COUNTER, (double)self->dropped);
  metric(self, "berth_chat_failing", "1 where the receiver does not take messages.", BERTH_GAUGE, self->failures > 0);
}

/* What the HTTP client says may hold the URL, whose path is the password: "/…" stands for it. */
static char *without_path(const struct berth_instance *self, const char *message) {
  const char *path = self->settings.path;
  struct pu_buf b = {0};
  for (const char *p = message; *p;) {
    const char *at = strlen(path) > 1 ? strstr(p, path) : NULL;
    pu_buf_add(&b, p, at ? (size_t)(at - p) : strlen(p));
    if (!at)
      break;
    pu_buf_adds(&b, "/…");
    p = at + strlen(path);
  }
  return pu_buf_steal(&b);
}

static void failed(struct berth_instance *self, char *why_steal) {
  pu_set(&self->detail, why_steal);
  self->failures++;
  if (self->failures == 1 || self->failures == failures_to_tell) {
    PU_AUTO_FREE text = pu_asprintf("%s does not take messages: %s; trying again", self->settings.host, self->detail);
    self->log->log(self->host, BERTH_LOG_WARN, text);
    if (self->failures == failures_to_tell && !self->told) {
      self->told = true;
      self->events->publish(self->host, "webhook-failing", "warning", text, NULL);
    }
  }
}

static void recovered(struct berth_instance *self) {
  if (self->told) {
    PU_AUTO_FREE text = pu_asprintf("%s takes messages again", self->settings.host);
    self->log->log(self->host, BERTH_LOG_INFO, text);
    self->events->publish(self->host, "webhook-recovered", "info", text, NULL);
  }
  self->told = false;
  self->failures = 0;
  pu_set(&self->detail, NULL);
}

/* ---------------------------------------------------------------- sending */

/* 1, 2, 4 … times retry_min, up to retry_max; the receiver's own word counts where it asks for more. */
static int64_t backoff_ms(const struct berth_instance *self) {
  int64_t ms = self->settings.retry_min_ms;
  for (int i = 1; i < self->failures && ms < self->settings.retry_max_ms; i++)
    ms *= 2;
  if (ms > self->settings.retry_max_ms)
    ms = self->settings.retry_max_ms;
  int64_t asked = self->retry_after_s * 1000;
  return asked > ms ? asked : ms;
}

static void drop_sent(struct berth_instance *self, bool taken) {
  for (; self->sending && self->queue.first; self->sending--) {
    cw_queue_drop_first(&self->queue);
    if (taken)
      self->sent++;
    else
      self->dropped++;
  }
  if (self->paused && self->queue.len <= self->settings.max_queue / 2) {
    self->paused = false;
    self->events->resume(self->host, self->subscription);
  }
}

static void give_up_old(struct berth_instance *self) {
  int64_t now = self->timer->wall_ms(self->host);
  size_t n = 0;
  while (self->settings.max_age_ms && self->queue.first && now - self->queue.first->at_ms > self->settings.max_age_ms) {
    cw_queue_drop_first(&self->queue);
    n++;
  }
  self->dropped += n;
  if (n) {
    PU_AUTO_FREE text = pu_asprintf("%zu messages are given up: they are older than max_age", n);
    self->log->log(self->host, BERTH_LOG_WARN, text);
  }
}

/* Is the message at fault, and not the receiver? Another try would fail the same. */
static bool message_at_fault(int status) { return status == 400 || status == 413 || status == 415 || status == 422; }

static void on_head(void *arg, int status, const struct berth_pair *headers, size_t n) {
  struct berth_instance *self = arg;
  (void)status;
  for (size_t i = 0; i < n; i++)
    if (pu_eq(headers[i].name, "retry-after"))
      self->retry_after_s = cw_retry_after(headers[i].value, self->timer->wall_ms(self->host));
}

static void on_sent(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct berth_instance *self = arg;
  self->request = 0;
  if (code == BERTH_CANCELLED) {
    self->sending = 0; /* they stay in the queue */
    return;
  }
  if (code == BERTH_OK && status >= 200 && status <= 299) {
    recovered(self);
    drop_sent(self, true);
  } else if (code == BERTH_OK && message_at_fault(status)) {
    PU_AUTO_FREE text = pu_asprintf("%s refuses a message with status %d (%.*s); it is given up", self->settings.host, status,
                                    (int)(len < 100 ? len : 100), body);
    self->log->log(self->host, BERTH_LOG_ERROR, text);
    drop_sent(self, false);
  } else {
    self->sending = 0;
    failed(self, code ? without_path(self, message) : pu_asprintf("it answers with status %d", status));
  }
  show_metrics(self);
  if (self->queue.len)
    plan_send(self, self->failures ? backoff_ms(self) : 0);
}

/* As many messages for one channel as fit; a line each. */
static char *batch_text(struct berth_instance *self) {
  struct pu_buf b = {0};
  const struct cw_message *first = self->queue.first;
  self->sending = 0;
  for (const struct cw_message *m = first; m && self->sending < self->settings.batch_max; m = m->next) {
    if (!pu_eq(m->channel, first->channel) || (b.len && b.len + 1 + strlen(m->text) > self->settings.text_limit))
      break;
    if (b.len)
      pu_buf_addc(&b, '\n');
    pu_buf_adds(&b, m->text);
    self->sending++;
  }
  char *text = pu_buf_steal(&b);
  cw_cut(text, self->settings.text_limit);
  return text;
}

static void set_text(json_t *o, const char *key, const char *value) {
  if (value)
    json_object_set_new(o, key, pu_json_string(value));
}

static void send_batch(void *arg) {
  struct berth_instance *self = arg;
  const struct cw_settings *s = &self->settings;
  self->send_timer = 0;
  if (self->request)
    return;
  give_up_old(self);
  show_metrics(self);
  if (!self->queue.first)
    return;
  PU_AUTO_FREE text = batch_text(self);
  PU_AUTO_JSON o = json_object();
  set_text(o, "text", text);
  set_text(o, "channel", self->queue.first->channel ? self->queue.first->channel : s->channel);
  set_text(o, "username", s->username);
  set_text(o, "icon_emoji", s->icon);
  PU_AUTO_FREE body = pu_json_text(o);
  struct berth_pair header = {"Content-Type", "application/json"};
  struct berth_http_request request = {.size = sizeof request,
                                       .method = "POST",
                                       .url = s->url,
                                       .headers = &header,
                                       .nheaders = 1,
                                       .body = body,
                                       .body_len = strlen(body),
                                       .timeout_ms = s->timeout_ms,
                                       .max_body = 64 * 1024,
                                       .tls_ca_file = s->ca_file,
                                       .on_head = on_head,
                                       .done = on_sent,
                                       .arg = self};
  self->retry_after_s = -1;
  self->request = self->http->request(self->host, &request);
  if (!self->request)
    self->sending = 0;
}

/* What is planned already stays planned: a batch's window runs from its first message, a wait after a failure to its end. */
static void plan_send(struct berth_instance *self, int64_t ms) {
  if (!self->send_timer && !self->request)
    self->send_timer = self->timer->after(self->host, ms, send_batch, self);
}

/* ---------------------------------------------------------------- events */

static void store_cursor(void *arg) {
  struct berth_instance *self = arg;
  self->cursor_timer = 0;
  cw_queue_store_cursor(&self->queue);
}

/* Events that an earlier run dealt with come again where they share the cursor's revision. */
static bool skipped(struct berth_instance *self, uint64_t revision) {
  if (self->skip && revision == self->skip_revision) {
    self->skip--;
    return true;
  }
  if (revision > self->skip_revision)
    self->skip = 0;
  return false;
}

static bool on_event(void *arg, const struct berth_event *event) {
  struct berth_instance *self = arg;
  bool gap = pu_eq(event->type, "gap");
  if (!gap && (skipped(self, event->revision) || !cw_queue_pass(&self->queue, event->revision)))
    return true;
  if (!self->cursor_timer)
    self->cursor_timer = self->timer->after(self->host, cursor_after_ms, store_cursor, self);
  if (pu_eq(event->subject, self->own_subject) || (!gap && !cw_settings_want(&self->settings, event)))
    return true;
  char *text = cw_template_text(self->settings.template, event);
  cw_cut(text, self->settings.text_limit);
  cw_queue_add(&self->queue, !gap, text, NULL, self->timer->wall_ms(self->host), NULL, NULL);
  plan_send(self, self->settings.batch_window_ms);
  self->paused = self->queue.len >= self->settings.max_queue;
  return !self->paused;
}

/* ---------------------------------------------------------------- methods */

struct queued {
  struct berth_instance *self;
  berth_op op; /* 0: cancelled */
  uint64_t sequence;
  struct queued *next;
};

static void on_queued(void *arg, enum berth_code code, const char *message) {
  struct queued *q = arg, **at = &q->self->queueing;
  while (*at != q)
    at = &(*at)->next;
  *at = q->next;
  if (q->op)
    q->self->ops->finish(q->self->host, q->op, code, message, "{\"queued\":true}");
  free(q);
}

static void send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  if (!request->text || !*request->text) {
    self->ops->finish(self->host, op, BERTH_INVALID, "a message needs a text", NULL);
    return;
  }
  if (self->queue.len >= self->settings.max_queue) {
    self->ops->finish(self->host, op, BERTH_EXHAUSTED, "the queue is full: the receiver does not take messages", NULL);
    return;
  }
  struct pu_buf text = {0};
  cw_escape(&text, request->text);
  char *escaped = pu_buf_steal(&text);
  cw_cut(escaped, self->settings.text_limit);
  struct queued *q = pu_new(struct queued);
  *q = (struct queued){.self = self, .op = op, .sequence = self->queue.next_sequence, .next = self->queueing};
  self->queueing = q; /* the store may answer before it returns */
  cw_queue_add(&self->queue, false, escaped, request->channel, self->timer->wall_ms(self->host), on_queued, q);
  plan_send(self, self->settings.batch_window_ms);
}

static void probe(struct berth_instance *self, berth_op op) {
  PU_AUTO_JSON o = json_pack("{s:s,s:I,s:I,s:o}", "status", self->failures ? "failing" : "ok", "queued",
                             (json_int_t)self->queue.len, "dropped", (json_int_t)self->dropped, "detail",
                             pu_json_string(self->detail ? self->detail : "the last message was taken, or none was sent yet"));
  PU_AUTO_FREE text = pu_json_text(o);
  self->ops->finish(self->host, op, BERTH_OK, NULL, text);
}

/* Who gave up may ask again: what is not stored yet and not on its way is taken back. */
static void cancel(struct berth_instance *self, berth_op op) {
  struct queued *q = self->queueing;
  while (q && q->op != op)
    q = q->next;
  if (!q || !op)
    return;
  q->op = 0;
  cw_queue_withdraw(&self->queue, q->sequence, self->sending);
  self->ops->finish(self->host, op, BERTH_CANCELLED, "cancelled", NULL);
}

/* ---------------------------------------------------------------- life */

PU_SETTINGS(struct cw_settings, cw_settings_read, cw_settings_free)

static void get_services(struct berth_instance *self, const struct berth_host *host) {
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->log = host->service(host, BERTH_HOST_LOG);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->http = host->service(host, BERTH_HOST_HTTP);
  self->events = host->service(host, BERTH_HOST_EVENTS);
  self->metrics = host->service(host, BERTH_HOST_METRICS);
}

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out,
                             const char **why) {
  struct cw_settings settings;
  enum berth_code code = read_settings(config_json, &settings, why);
  if (code != BERTH_OK)
    return code;
  struct berth_instance *self = pu_new(struct berth_instance);
  get_services(self, host);
  self->settings = settings;
  self->own_subject = pu_asprintf("plugin/%s", host->name);
  cw_queue_init(&self->queue, host);
  cw_queue_load(&self->queue);
  self->skip_revision = self->queue.revision;
  self->skip = self->queue.seen;
  self->subscription = self->events->subscribe(host, cw_queue_resume_from(&self->queue), on_event, self);
  if (self->queue.len)
    plan_send(self, 0);
  show_metrics(self);
  *out = self;
  return BERTH_OK;
}

/* The queue stays; what waits after a failure is tried at once, since the URL may have been mended. */
static enum berth_code reload(struct berth_instance *self, const char *config_json, const char **why) {
  struct cw_settings fresh;
  enum berth_code code = read_settings(config_json, &fresh, why);
  if (code != BERTH_OK)
    return code;
  cw_settings_free(&self->settings);
  self->settings = fresh;
  self->timer->cancel(self->host, self->send_timer);
  self->send_timer = 0;
  if (self->queue.len)
    plan_send(self, 0);
  return BERTH_OK;
}

static void stop(struct berth_instance *self) {
  cw_queue_store_cursor(&self->queue);
  cw_queue_free(&self->queue);
  cw_settings_free(&self->settings);
  free(self->own_subject);
  free(self->detail);
  free(self);
}

static const struct berth_field fields[] = {
    {.name = "url",
     .type = BERTH_STRING,
     .required = true,
     .secret = true,
     .doc = "The webhook's address, https; its path is its password."},
    {.name = "channel", .type = BERTH_STRING, .doc = "Channel in place of the webhook's own, where the product allows it."},
    {.name = "username", .type = BERTH_STRING, .doc = "Name in place of the webhook's own."},
    {.name = "icon_emoji", .type = BERTH_STRING, .doc = "Icon in place of the webhook's own, as \":ship:\"."},
    {.name = "types",
     .type = BERTH_LIST,
     .fallback = "[\"*\"]",
     .doc = "Types of events that are sent, with * and ?; \"!pattern\" takes out again."},
    {.name = "severity", .type = BERTH_STRING, .fallback = "info", .doc = "The least severity: info, warning or error."},
    {.name = "namespaces", .type = BERTH_LIST, .fallback = "[\"*\"]", .doc = "Namespaces, as types."},
    {.name = "apps", .type = BERTH_LIST, .fallback = "[\"*\"]", .doc = "Apps, as types; events of no app have the name \"\"."},
    {.name = "template",
     .type = BERTH_STRING,
     .fallback = "[{{severity}}] {{message}}",
     .doc = "The text of an event: {{type}} {{severity}} {{namespace}} {{app}} {{subject}} {{message}} {{time}} {{revision}} "
            "{{data.NAME}}."},
    {.name = "batch_window",
     .type = BERTH_DURATION,
     .fallback = "2s",
     .min = 0,
     .max = 600000,
     .doc = "How long the first message waits for others, to be sent as one."},
    {.name = "batch_max", .type = BERTH_INT, .fallback = "20", .min = 1, .max = 100, .doc = "Messages in one request."},
    {.name = "text_limit", .type = BERTH_INT, .fallback = "4000", .min = 100, .max = 40000, .doc = "Bytes of text in one request."},
    {.name = "max_queue",
     .type = BERTH_INT,
     .fallback = "1000",
     .min = 1,
     .max = 5000,
     .doc = "Messages that wait; when it is full, reading events pauses."},
    {.name = "max_age",
     .type = BERTH_DURATION,
     .fallback = "24h",
     .min = 0,
     .max = 2592000000,
     .doc = "Messages older than this are given up; 0s: never."},
    {.name = "timeout", .type = BERTH_DURATION, .fallback = "10s", .min = 100, .max = 300000, .doc = "Of one request."},
    {.name = "retry_min",
     .type = BERTH_DURATION,
     .fallback = "1s",
     .min = 10,
     .max = 3600000,
     .doc = "Wait after the first failure; it doubles with each."},
    {.name = "retry_max", .type = BERTH_DURATION, .fallback = "5m", .min = 10, .max = 3600000, .doc = "The longest wait."},
    {.name = "ca_file", .type = BERTH_STRING, .doc = "File with the CA's certificates in place of the system's."},
    {0}};

static const struct berth_chat methods = {.size = sizeof methods, .send = send, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_CHAT, &methods}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_LOG, BERTH_HOST_TIMER, BERTH_HOST_HTTP, BERTH_HOST_KV,
                                    BERTH_HOST_EVENTS, NULL};
PU_PLUGIN("chat-webhook", "Events as messages to Slack-compatible incoming webhooks.", interfaces, needs, fields, (),
          .validate = validate, .start = start, .reload = reload, .stop = stop, .cancel = cancel);
