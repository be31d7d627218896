/* Requests to the engine over the host's HTTP client, tunnels, jobs. What the host knows of is a separate allocation that
 * outlives the operation: the host's last call back then finds nobody and frees it. */
#include "config.h"
#include "engine.h"

#include "normal.h"

enum { max_error_body = 64 * 1024, pause_ms = 20 };

struct rd_call {
  struct rd_op *op; /* NULL: cut off */
  struct rd_call *prev, *next;
  const struct berth_host *host;
  const struct berth_host_http *http;
  const struct berth_host_timer *timer;
  berth_handle handle, pause;
  int busy;   /* we are in a call of the host's or it in one of ours: the end must not free the call beneath it */
  bool ended;
  bool raw;
  int status;
  struct pu_buf error; /* body of a refused stream */
  bool (*on_data)(struct rd_op *op, const void *data, size_t len);
  void (*on_head)(struct rd_op *op, int status, const struct berth_pair *headers, size_t nheaders);
  ssize_t (*read_body)(struct rd_op *op, void *buf, size_t room);
  void (*done)(struct rd_op *op, const struct rd_answer *answer);
};

static void call_unlink(struct rd_call *c) {
  if (!c->op)
    return;
  if (c->prev)
    c->prev->next = c->next;
  else
    c->op->calls = c->next;
  if (c->next)
    c->next->prev = c->prev;
  c->op = NULL;
}

static void call_free(struct rd_call *c) {
  if (c->pause)
    c->timer->cancel(c->host, c->pause);
  pu_buf_free(&c->error);
  free(c);
}

static void call_leave(struct rd_call *c) {
  if (--c->busy == 0 && c->ended)
    call_free(c);
}

/* ---------------------------------------------------------------- call backs */

static void call_head(void *arg, int status, const struct berth_pair *headers, size_t nheaders) {
  struct rd_call *c = arg;
  c->status = status;
  c->busy++;
  if (c->op && c->on_head)
    c->on_head(c->op, status, headers, nheaders);
  call_leave(c);
}

/* Where the host is still behind it pauses again. */
static void pause_over(void *arg) {
  struct rd_call *c = arg;
  c->pause = 0;
  if (c->op && !rd_op_room(c->op))
    c->pause = c->timer->after(c->host, pause_ms, pause_over, c);
  else
    c->http->resume(c->host, c->handle);
}

static bool call_data(void *arg, const void *data, size_t len) {
  struct rd_call *c = arg;
  if (!c->op)
    return true;
  if (c->status >= 400) {
    size_t room = max_error_body - c->error.len;
    pu_buf_add(&c->error, data, len < room ? len : room);
    return true;
  }
  c->busy++;
  bool go_on = c->on_data(c->op, data, len) || !c->op;
  if (!go_on && !c->pause)
    c->pause = c->timer->after(c->host, pause_ms, pause_over, c);
  call_leave(c);
  return go_on;
}

static ssize_t call_body(void *arg, void *buf, size_t room) {
  struct rd_call *c = arg;
  c->busy++;
  ssize_t n = c->op ? c->read_body(c->op, buf, room) : -2;
  call_leave(c);
  return n;
}

static void call_done(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct rd_call *c = arg;
  struct rd_op *op = c->op;
  c->busy++;
  call_unlink(c);
  if (op) {
    struct rd_answer a = {.code = code, .message = message ? message : "", .status = status, .body = body, .len = len};
    if (c->on_data) {
      a.body = c->error.data;
      a.len = c->error.len;
    }
    if (code == BERTH_UNAVAILABLE)
      op->self->api = 0; /* another engine may come back in its place */
    PU_AUTO_JSON json = c->raw || c->on_data || code || !a.len ? NULL : rd_json_parse(a.body, a.len);
    a.json = json;
    c->done(op, &a);
  }
  c->ended = true;
  call_leave(c);
}

/* ---------------------------------------------------------------- sending */

static char *request_url(struct berth_instance *self, const char *path) {
  return self->api ? pu_asprintf("%s/v%d.%d%s", self->config.base, self->api / 100, self->api % 100, path)
                   : pu_asprintf("%s%s", self->config.base, path);
}

static size_t request_headers(const struct rd_request *r, struct berth_pair headers[2]) {
  size_t n = 0;
  if (r->body)
    headers[n++] = (struct berth_pair){"Content-Type", "application/json"};
  else if (r->bytes || r->read_body)
    headers[n++] = (struct berth_pair){"Content-Type", "application/x-tar"};
  if (r->header)
    headers[n++] = (struct berth_pair){r->header, r->header_value};
  return n;
}

static struct rd_call *call_new(struct rd_op *op, const struct rd_request *r) {
  struct rd_call *c = pu_calloc(1, sizeof *c);
  *c = (struct rd_call){.op = op, .next = op->calls, .host = op->self->host, .http = op->self->http, .timer = op->self->timer,
                        .raw = r->raw, .on_data = r->on_data, .on_head = r->on_head, .read_body = r->read_body, .done = r->done};
  if (op->calls)
    op->calls->prev = c;
  op->calls = c;
  return c;
}

struct rd_call *rd_request(struct rd_op *op, const struct rd_request *r) {
  struct berth_instance *self = op->self;
  struct rd_call *c = call_new(op, r);
  PU_AUTO_FREE url = request_url(self, r->path);
  PU_AUTO_FREE json = r->body ? pu_json_text(r->body) : NULL;
  struct berth_pair headers[2];
  struct berth_http_request request = {
      .size = sizeof request, .method = r->method, .url = url, .unix_socket = self->config.socket, .headers = headers,
      .nheaders = request_headers(r, headers), .body = json ? json : r->bytes, .body_len = json ? strlen(json) : r->nbytes,
      .read_body = r->read_body ? call_body : NULL, .timeout_ms = r->timeout_ms ? r->timeout_ms : self->config.timeout_ms,
      .connect_timeout_ms = self->config.connect_timeout_ms, .max_body = r->max_body, .tls_ca_file = self->config.tls_ca,
      .tls_cert_file = self->config.tls_cert, .tls_key_file = self->config.tls_key, .on_head = call_head,
      .on_data = r->on_data ? call_data : NULL, .done = call_done, .arg = c};
  c->busy++;
  c->handle = c->http->request(c->host, &request);
  if (!c->handle && !c->ended)
    call_done(c, BERTH_UNAVAILABLE, "the host takes no request now", 0, NULL, 0);
  bool under_way = !c->ended;
  call_leave(c);
  return under_way ? c : NULL;
}

void rd_call_resume(struct rd_call *c) { c->http->resume(c->host, c->handle); }

/* ---------------------------------------------------------------- answers */

void rd_answer_fail(struct rd_op *op, const struct rd_answer *a) {
  if (a->code == BERTH_TOO_LARGE) {
    rd_op_fail(op, a->code, "%s: the engine's answer is too large", op->subject);
  } else if (a->code) {
    bool late = a->code == BERTH_DEADLINE;
    rd_op_fail(op, late ? BERTH_DEADLINE : BERTH_UNAVAILABLE, "%s: the container engine at %s %s (%s)", op->subject,
               op->self->config.host, late ? "took too long" : "does not answer", a->message);
  } else {
    PU_AUTO_FREE sentence = rd_sentence(a->body, a->len);
    rd_op_fail(op, rd_code(a->status, sentence), "%s: %s%s", op->subject, *sentence ? sentence : "the engine refuses without a reason",
               *sentence ? "" : ", see its log");
  }
}

enum berth_code rd_answer_code(const struct rd_answer *a) {
  if (a->code || a->status < 400)
    return a->code;
  PU_AUTO_FREE sentence = rd_sentence(a->body, a->len);
  return rd_code(a->status, sentence);
}

bool rd_answer_good(struct rd_op *op, const struct rd_answer *a) {
  if (!a->code && a->status < 400)
    return true;
  rd_answer_fail(op, a);
  return false;
}

char *rd_filters(const char *label, const char *key, const char *value) {
  PU_AUTO_JSON filters = json_object();
  if (label && *label)
    json_object_set_new(filters, "label", json_pack("[s]", label));
  if (key)
    json_object_set_new(filters, key, json_pack("[s]", value));
  PU_AUTO_FREE text = pu_json_text(filters);
  struct pu_buf out = {0};
  pu_buf_adds(&out, "filters=");
  pu_url_add(&out, text, "");
  return pu_buf_steal(&out);
}

char *rd_path(const char *prefix, const char *name, const char *suffix) {
  struct pu_buf out = {0};
  pu_buf_adds(&out, prefix);
  pu_url_add(&out, name ? name : "", "");
  pu_buf_adds(&out, suffix);
  return pu_buf_steal(&out);
}

/* ---------------------------------------------------------------- tunnels */

struct rd_tunnel {
  struct rd_op *op; /* NULL: cut off */
  const struct berth_host *host;
  const struct berth_host_http *http;
  struct rd_tunnel_events events;
  berth_handle handle;
  int busy;
  bool ended;
};

static void tunnel_leave(struct rd_tunnel *t) {
  if (--t->busy == 0 && t->ended)
    free(t);
}

static void tunnel_on_open(void *arg, bool good, int status, const char *body, size_t len) {
  struct rd_tunnel *t = arg;
  t->busy++;
  if (t->op)
    t->events.on_open(t->op, good, status, body, len);
  tunnel_leave(t);
}

static void tunnel_on_data(void *arg, const void *data, size_t len) {
  struct rd_tunnel *t = arg;
  t->busy++;
  if (t->op)
    t->events.on_data(t->op, data, len);
  tunnel_leave(t);
}

static void tunnel_on_close(void *arg, enum berth_code code, const char *message) {
  struct rd_tunnel *t = arg;
  struct rd_op *op = t->op;
  t->busy++;
  if (op) {
    op->tunnel = NULL;
    t->op = NULL;
    t->events.on_close(op, code, message ? message : "");
  }
  t->ended = true;
  tunnel_leave(t);
}

static void tunnel_begin(struct rd_op *op, const char *path, const struct berth_pair *headers, size_t nheaders, const char *body,
                         const struct rd_tunnel_events *events) {
  struct berth_instance *self = op->self;
  PU_AUTO_FREE url = request_url(self, path);
  struct rd_tunnel *t = pu_calloc(1, sizeof *t);
  *t = (struct rd_tunnel){.op = op, .host = self->host, .http = self->http, .events = *events, .busy = 1};
  op->tunnel = t;
  struct berth_http_upgrade upgrade = {.size = sizeof upgrade, .method = "POST", .url = url, .unix_socket = self->config.socket,
                                       .headers = headers, .nheaders = nheaders, .body = body, .body_len = body ? strlen(body) : 0,
                                       .tls_ca_file = self->config.tls_ca, .tls_cert_file = self->config.tls_cert,
                                       .tls_key_file = self->config.tls_key, .on_open = tunnel_on_open, .on_data = tunnel_on_data,
                                       .on_close = tunnel_on_close, .arg = t};
  t->handle = self->http->upgrade(self->host, &upgrade);
  if (!t->handle && !t->ended)
    tunnel_on_close(t, BERTH_UNAVAILABLE, "the host opens no connection now");
  tunnel_leave(t);
}

void rd_tunnel_open(struct rd_op *op, const char *path, const json_t *body, const struct rd_tunnel_events *events) {
  static const struct berth_pair headers[] = {{"Connection", "Upgrade"}, {"Upgrade", "tcp"}, {"Content-Type", "application/json"}};
  PU_AUTO_FREE json = pu_json_text(body);
  tunnel_begin(op, path, headers, PU_COUNT(headers), json, events);
}

void rd_tunnel_hijack(struct rd_op *op, const char *path, const struct berth_pair *headers, size_t nheaders,
                      const struct rd_tunnel_events *events) {
  tunnel_begin(op, path, headers, nheaders, NULL, events);
}

size_t rd_tunnel_write(struct rd_op *op, const void *data, size_t len) {
  return op->tunnel ? op->tunnel->http->write(op->tunnel->host, op->tunnel->handle, data, len) : 0;
}

void rd_tunnel_close_write(struct rd_op *op) {
  if (op->tunnel)
    op->tunnel->http->close_write(op->tunnel->host, op->tunnel->handle);
}

/* ---------------------------------------------------------------- jobs */

struct rd_job {
  struct rd_op *op; /* NULL: cut off */
  void *data;
  void (*work)(void *data);
  void (*done)(struct rd_op *op, void *data);
  void (*free_data)(void *data);
};

static void job_work(void *arg) {
  struct rd_job *j = arg;
  j->work(j->data);
}

static void job_done(void *arg) {
  struct rd_job *j = arg;
  if (j->op) {
    j->op->job = NULL;
    j->done(j->op, j->data);
  }
  j->free_data(j->data);
  free(j);
}

void rd_job_run(struct rd_op *op, void *data, void (*work)(void *data), void (*done)(struct rd_op *op, void *data),
                void (*free_data)(void *data)) {
  struct rd_job *j = pu_calloc(1, sizeof *j);
  *j = (struct rd_job){.op = op, .data = data, .work = work, .done = done, .free_data = free_data};
  op->job = j;
  op->self->worker->run(op->self->host, job_work, job_done, j);
}

void rd_calls_cut(struct rd_op *op) {
  while (op->calls) {
    struct rd_call *c = op->calls;
    call_unlink(c);
    if (c->pause)
      c->timer->cancel(c->host, c->pause);
    c->pause = 0;
    if (c->handle)
      c->http->cancel(c->host, c->handle); /* its done still comes, and frees it */
  }
  if (op->tunnel) {
    struct rd_tunnel *t = op->tunnel;
    op->tunnel = NULL;
    t->op = NULL;
    if (t->handle)
      t->http->cancel(t->host, t->handle);
  }
  if (op->job) {
    op->job->op = NULL;
    op->job = NULL;
  }
}
