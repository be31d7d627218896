/* Operations, and the engine's version, which every operation waits for once. */
#include "config.h"
#include "engine.h"

#include <stdio.h>

#include "../common/host.h"
#include "normal.h"

enum { newest_api = 147 }; /* what the translation knows of; an engine of later date still speaks it */

/* ---------------------------------------------------------------- life of an operation */

void *rd_op_new(struct berth_instance *self, berth_op id, size_t size, void (*drop)(struct rd_op *op), const char *subject_fmt,
                ...) {
  struct rd_op *op = pu_calloc(1, size);
  va_list ap;
  va_start(ap, subject_fmt);
  op->subject = pu_vasprintf(subject_fmt, ap);
  va_end(ap);
  op->self = self;
  op->id = id;
  op->drop = drop;
  op->prev = self->last;
  if (self->last)
    self->last->next = op;
  else
    self->first = op;
  self->last = op;
  return op;
}

void rd_op_drop(struct rd_op *op) {
  struct berth_instance *self = op->self;
  if (op->prev)
    op->prev->next = op->next;
  else
    self->first = op->next;
  if (op->next)
    op->next->prev = op->prev;
  else
    self->last = op->prev;
  rd_calls_cut(op);
  if (op->timer)
    self->timer->cancel(self->host, op->timer);
  if (op->drop)
    op->drop(op);
  free(op->subject);
  free(op);
}

void rd_op_done_text(struct rd_op *op, const char *result_json) {
  struct berth_instance *self = op->self;
  berth_op id = op->id;
  rd_op_drop(op);
  if (id)
    self->ops->finish(self->host, id, BERTH_OK, NULL, result_json);
}

void rd_op_done(struct rd_op *op, json_t *result) {
  PU_AUTO_FREE text = result ? pu_json_text(result) : NULL;
  json_decref(result);
  rd_op_done_text(op, text);
}

void rd_op_fail(struct rd_op *op, enum berth_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE message = pu_vasprintf(fmt, ap);
  va_end(ap);
  struct berth_instance *self = op->self;
  berth_op id = op->id;
  rd_op_drop(op);
  if (id)
    self->ops->finish(self->host, id, code, message, NULL);
}

static void timer_fired(void *arg) {
  struct rd_op *op = arg;
  op->timer = 0;
  op->on_timer(op);
}

void rd_op_after(struct rd_op *op, int64_t ms, void (*fn)(struct rd_op *op)) {
  if (op->timer)
    op->self->timer->cancel(op->self->host, op->timer);
  op->on_timer = fn;
  op->timer = op->self->timer->after(op->self->host, ms, timer_fired, op);
}

bool rd_op_room(struct rd_op *op) { return pu_emit(op->self->host, op->self->ops, op->id, 0, NULL, 0) <= pu_most_waiting; }

bool rd_op_emit(struct rd_op *op, int channel, const void *data, size_t len) {
  return !len || pu_emit(op->self->host, op->self->ops, op->id, channel, data, len) <= pu_most_waiting;
}

bool rd_op_emit_json(struct rd_op *op, int channel, const json_t *v) {
  PU_AUTO_FREE text = pu_json_text(v);
  return rd_op_emit(op, channel, text, strlen(text));
}

struct rd_op *rd_op_find(struct berth_instance *self, berth_op id) {
  for (struct rd_op *op = self->first; op; op = op->next)
    if (op->id == id)
      return op;
  return NULL;
}

void rd_log(struct berth_instance *self, enum berth_log_level level, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  pu_vlog(self->host, self->log, level, fmt, ap);
  va_end(ap);
}

/* ---------------------------------------------------------------- the engine's version */

/* "1.41" -> 141; 0 where it is no version. */
static int api_number(const char *text) {
  unsigned major, minor;
  return text && sscanf(text, "%2u.%2u", &major, &minor) == 2 ? (int)(major * 100 + minor) : 0;
}

/* Takes one waiting operation after the other: each may end itself or others, or begin new ones. */
static void waiting_go(struct berth_instance *self, enum berth_code code, const char *why) {
  for (struct rd_op *op = self->first; op;) {
    void (*ready)(struct rd_op *) = op->ready;
    if (!ready) {
      op = op->next;
      continue;
    }
    op->ready = NULL;
    if (!code)
      ready(op);
    else if (op->unready)
      op->unready(op, code, why);
    else
      rd_op_fail(op, code, "%s: %s", op->subject, why);
    op = self->first;
  }
}

/* What keeps this engine from being used; NULL: nothing. Sets self->api. */
static char *version_take(struct berth_instance *self, json_t *version) {
  int most = api_number(pu_str(version, "ApiVersion")), least = api_number(pu_str(version, "MinAPIVersion"));
  const char *product = rd_is_podman(version) ? "Podman" : "Docker";
  if (!most)
    return pu_asprintf("what answers at %s is no Docker Engine (it tells no ApiVersion)", self->config.host);
  if (most < self->config.api_min)
    return pu_asprintf("%s %s at %s speaks API %d.%d; at least %d.%d is needed: upgrade it", product, pu_str_or(version, "Version", ""),
                       self->config.host, most / 100, most % 100, self->config.api_min / 100, self->config.api_min % 100);
  int api = most < newest_api ? most : newest_api;
  if (api < least)
    return pu_asprintf("%s %s at %s speaks API %d.%d and later only, which this plug-in is too old for", product,
                       pu_str_or(version, "Version", ""), self->config.host, least / 100, least % 100);
  json_decref(self->version);
  self->version = json_incref(version);
  self->podman = rd_is_podman(version);
  rd_limits_read(&self->limits, self->config.socket);
  self->api = api;
  return NULL;
}

static void version_done(struct rd_op *op, const struct rd_answer *a) {
  struct berth_instance *self = op->self;
  PU_AUTO_FREE why = NULL;
  enum berth_code code = BERTH_UNAVAILABLE;
  if (a->code) {
    why = pu_asprintf("the container engine at %s does not answer (%s): is it running?", self->config.host, a->message);
  } else if (a->status >= 400 || !a->json) {
    why = pu_asprintf("the container engine at %s answers with status %d to /version", self->config.host, a->status);
  } else {
    why = version_take(self, a->json);
    code = BERTH_UNSUPPORTED;
  }
  self->asking = false;
  rd_op_drop(op);
  waiting_go(self, why ? code : BERTH_OK, why);
}

static void version_ask(struct berth_instance *self) {
  if (self->asking)
    return;
  self->asking = true;
  struct rd_op *op = rd_op_new(self, 0, sizeof *op, NULL, "engine");
  rd_request(op, &(struct rd_request){.method = "GET", .path = "/version", .timeout_ms = 10000, .done = version_done});
}

void rd_op_ready(struct rd_op *op, void (*fn)(struct rd_op *op)) {
  if (op->self->api) {
    fn(op);
    return;
  }
  op->ready = fn;
  version_ask(op->self);
}
