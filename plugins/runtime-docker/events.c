/* events: one stream for as long as the host wants it, over as many connections as it takes. */
#include "config.h"
#include "engine.h"

#include "normal.h"

enum { max_line = 1 << 20, first_wait_ms = 100, longest_wait_ms = 5000, ping_ms = 15000 };

struct events {
  struct rd_op op;
  char *label;
  struct rd_lines lines;
  int64_t seen_ms;   /* wall clock of the request or of the last event: the next connection begins there */
  int64_t wait_ms;   /* before the next try */
  bool gap_told;
};

static void connect_stream(struct rd_op *op);

static void events_drop(struct rd_op *op) {
  struct events *e = (struct events *)op;
  free(e->label);
  pu_buf_free(&e->lines.rest);
}

/* ---------------------------------------------------------------- broken */

static void try_again(struct rd_op *op) { rd_op_ready(op, connect_stream); }

static void broken(struct events *e, const char *why) {
  rd_calls_cut(&e->op); /* a ping under way */
  pu_buf_free(&e->lines.rest);
  if (!e->gap_told) {
    e->gap_told = true;
    PU_AUTO_JSON gap = json_object();
    json_object_set_new(gap, "action", json_string("gap"));
    json_object_set_new(gap, "message", rd_json_bytes(why, strlen(why)));
    rd_op_emit_json(&e->op, BERTH_RUNTIME_EVENT, gap);
  }
  rd_op_after(&e->op, e->wait_ms, try_again);
  e->wait_ms = e->wait_ms * 2 < longest_wait_ms ? e->wait_ms * 2 : longest_wait_ms;
}

static void unready(struct rd_op *op, enum berth_code code, const char *why) {
  (void)code;
  broken((struct events *)op, why);
}

static void stream_done(struct rd_op *op, const struct rd_answer *a) {
  struct events *e = (struct events *)op;
  PU_AUTO_FREE sentence = a->code ? pu_strdup(a->message) : rd_sentence(a->body, a->len);
  op->self->api = 0; /* whatever ended it, the engine that comes back may be another one */
  PU_AUTO_FREE why = pu_asprintf("the engine's event stream ended%s%s", *sentence ? ": " : "", sentence);
  broken(e, why);
}

/* ---------------------------------------------------------------- under way */

static void event_line(void *arg, char *text, size_t len) {
  struct events *e = arg;
  PU_AUTO_JSON raw = len ? rd_json_parse(text, len) : NULL;
  PU_AUTO_JSON event = raw ? rd_normal_event(raw) : NULL;
  if (!event)
    return;
  e->seen_ms = pu_number(event, "time_ms", e->seen_ms) + 1;
  rd_op_emit_json(&e->op, BERTH_RUNTIME_EVENT, event);
}

static bool stream_data(struct rd_op *op, const void *data, size_t len) {
  struct events *e = (struct events *)op;
  rd_lines_feed(&e->lines, data, len, event_line, e);
  return true; /* an engine drops slow listeners: take all, the host's queue is the place to wait */
}

/* ---------------------------------------------------------------- another machine may be gone without a word */

static void ping(struct rd_op *op);

static void ping_done(struct rd_op *op, const struct rd_answer *a) {
  if (!a->code) {
    rd_op_after(op, ping_ms, ping);
    return;
  }
  PU_AUTO_FREE why = pu_asprintf("the engine no longer answers: %s", a->message);
  broken((struct events *)op, why);
}

static void ping(struct rd_op *op) {
  rd_request(op, &(struct rd_request){.method = "GET", .path = "/_ping", .raw = true, .timeout_ms = 10000, .done = ping_done});
}

static void stream_head(struct rd_op *op, int status, const struct berth_pair *headers, size_t nheaders) {
  struct events *e = (struct events *)op;
  (void)headers;
  (void)nheaders;
  if (status != 200)
    return;
  e->gap_told = false;
  e->wait_ms = first_wait_ms;
  rd_op_emit(op, BERTH_RUNTIME_EVENT, "{\"action\":\"connected\"}", strlen("{\"action\":\"connected\"}"));
  if (!op->self->config.socket)
    rd_op_after(op, ping_ms, ping);
}

/* ---------------------------------------------------------------- connecting */

/* Docker filters by action, so that exec_* events (three for each health check) stay where they are; Podman has other words
 * for actions, so there we choose ourselves. */
static char *events_path(const struct events *e) {
  PU_AUTO_JSON filters = json_pack("{s:[s]}", "type", "container");
  if (!e->op.self->podman)
    json_object_set_new(filters, "event", json_pack("[s, s, s, s, s, s, s]", "start", "die", "oom", "health_status", "destroy", "pause",
                                                    "unpause"));
  if (e->label && *e->label)
    json_object_set_new(filters, "label", json_pack("[s]", e->label));
  PU_AUTO_FREE text = pu_json_text(filters);
  struct pu_buf path = {0};
  /* The engine sends its head before it begins to listen; since closes that hole out of its memory of late events. */
  pu_buf_addf(&path, "/events?since=%lld.%03lld000000&filters=", (long long)(e->seen_ms / 1000), (long long)(e->seen_ms % 1000));
  pu_url_add(&path, text, "");
  return pu_buf_steal(&path);
}

static void connect_stream(struct rd_op *op) {
  struct events *e = (struct events *)op;
  if (!e->seen_ms)
    e->seen_ms = op->self->timer->wall_ms(op->self->host);
  op->unready = unready;
  PU_AUTO_FREE path = events_path(e);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .timeout_ms = -1, .on_head = stream_head, .on_data = stream_data,
                                      .done = stream_done});
}

void rd_events(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct events *e = rd_op_new(self, id, sizeof *e, events_drop, "events of the engine");
  e->label = pu_strdup(request->label);
  e->lines.cap = max_line;
  e->wait_ms = first_wait_ms;
  e->op.unready = unready;
  rd_op_ready(&e->op, connect_stream);
}
