/* logs, copy_in and copy_out: bytes out of and into a container. */
#include "config.h"
#include "engine.h"

#include "frames.h"
#include "normal.h"

struct logs {
  struct rd_op op;
  char *id;
  bool follow, timestamps, tty, room;
  int64_t tail, since_ms, until_ms;
  struct rd_frames frames;
  struct rd_loglines loglines;
  struct rd_lines lines; /* of a tty with timestamps */
  bool garbled;
};

static void logs_drop(struct rd_op *op) {
  struct logs *l = (struct logs *)op;
  free(l->id);
  rd_loglines_free(&l->loglines);
  pu_buf_free(&l->lines.rest);
}

static void emit_line(void *arg, int stream, const char *time, const char *text, size_t len) {
  struct logs *l = arg;
  PU_AUTO_JSON line = json_object();
  json_object_set_new(line, "time", rd_json_bytes(time, strlen(time)));
  json_object_set_new(line, "stream", json_string(stream == 2 ? "stderr" : "stdout"));
  json_object_set_new(line, "line", rd_json_bytes(text, len));
  l->room = rd_op_emit_json(&l->op, BERTH_RUNTIME_LINE, line) && l->room;
}

static void tty_line(void *arg, char *text, size_t len) {
  char *space = memchr(text, ' ', len < 40 ? len : 40);
  size_t stamp = space ? (size_t)(space - text) : 0;
  PU_AUTO_FREE time = pu_asprintf("%.*s", (int)stamp, text);
  emit_line(arg, 1, time, text + (space ? stamp + 1 : 0), len - (space ? stamp + 1 : 0));
}

static void frame_part(void *arg, int stream, const void *data, size_t len, bool last) {
  struct logs *l = arg;
  if (l->timestamps)
    rd_loglines_part(&l->loglines, stream, data, len, last, emit_line, l);
  else if (len)
    l->room = rd_op_emit(&l->op, stream == 2 ? BERTH_RUNTIME_STDERR : BERTH_RUNTIME_STDOUT, data, len) && l->room;
}

static bool logs_data(struct rd_op *op, const void *data, size_t len) {
  struct logs *l = (struct logs *)op;
  l->room = true;
  if (l->garbled)
    return true;
  if (!l->tty)
    l->garbled = !rd_frames_feed(&l->frames, data, len, !l->timestamps, frame_part, l);
  else if (l->timestamps)
    rd_lines_feed(&l->lines, data, len, tty_line, l);
  else
    l->room = rd_op_emit(op, BERTH_RUNTIME_STDOUT, data, len);
  return l->room;
}

static void logs_done(struct rd_op *op, const struct rd_answer *a) {
  struct logs *l = (struct logs *)op;
  if (!rd_answer_good(op, a))
    return;
  rd_loglines_end(&l->loglines, emit_line, l);
  rd_lines_end(&l->lines, tty_line, l);
  if (l->garbled)
    rd_op_fail(op, BERTH_INTERNAL, "%s: the engine's log stream is not framed as it should be", op->subject);
  else
    rd_op_done(op, NULL);
}

static void logs_path_time(struct pu_buf *path, const char *key, int64_t ms) {
  if (ms > 0)
    pu_buf_addf(path, "&%s=%lld.%03lld000000", key, (long long)(ms / 1000), (long long)(ms % 1000));
}

/* Whether the stream is framed depends on the container's tty, which only an inspect tells. */
static void logs_inspected(struct rd_op *op, const struct rd_answer *a) {
  struct logs *l = (struct logs *)op;
  if (!rd_answer_good(op, a))
    return;
  l->tty = pu_flag(pu_obj(a->json, "Config"), "Tty", false);
  PU_AUTO_BUF query = {0};
  pu_buf_addf(&query, "/logs?stdout=1&stderr=1&follow=%d&timestamps=%d", l->follow, l->timestamps);
  if (l->tail >= 0)
    pu_buf_addf(&query, "&tail=%lld", (long long)l->tail);
  logs_path_time(&query, "since", l->since_ms);
  logs_path_time(&query, "until", l->until_ms);
  PU_AUTO_FREE path = rd_path("/containers/", l->id, query.data);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .timeout_ms = -1, .on_data = logs_data, .done = logs_done});
}

static void logs_ready(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/containers/", ((struct logs *)op)->id, "/json");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = logs_inspected});
}

void rd_logs(struct berth_instance *self, berth_op id, const struct berth_runtime_logs *r) {
  struct logs *l = rd_op_new(self, id, sizeof *l, logs_drop, "logs of container %.256s", r->id ? r->id : "");
  l->id = pu_strdup(r->id ? r->id : "");
  l->follow = r->follow;
  l->timestamps = r->timestamps;
  l->tail = r->tail;
  l->since_ms = r->since_ms;
  l->until_ms = r->until_ms;
  l->lines.cap = 256 * 1024;
  if (!*l->id)
    rd_op_fail(&l->op, BERTH_INVALID, "no container is named");
  else
    rd_op_ready(&l->op, logs_ready);
}

/* ---------------------------------------------------------------- copy */

struct copy {
  struct rd_op op;
  char *id, *path;
  const void *tar; /* the caller's while its call lasts, else kept */
  char *kept;      /* a copy, only while the engine's version is asked for */
  size_t len;
};

static void copy_drop(struct rd_op *op) {
  struct copy *c = (struct copy *)op;
  free(c->id);
  free(c->path);
  free(c->kept);
}

static char *copy_url(const struct copy *c, const char *more) {
  PU_AUTO_BUF query = {0};
  pu_buf_adds(&query, "/archive?path=");
  pu_url_add(&query, c->path, "/");
  pu_buf_adds(&query, more);
  return rd_path("/containers/", c->id, query.data);
}

static void copy_in_done(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, NULL);
}

static void copy_in_ready(struct rd_op *op) {
  struct copy *c = (struct copy *)op;
  PU_AUTO_FREE url = copy_url(c, "");
  char *kept = c->kept; /* the host makes its own copy, and the request may end op */
  c->kept = NULL;
  rd_request(op, &(struct rd_request){.method = "PUT", .path = url, .bytes = c->tar, .nbytes = c->len, .done = copy_in_done});
  free(kept);
}

static bool copy_out_data(struct rd_op *op, const void *data, size_t len) { return rd_op_emit(op, BERTH_RUNTIME_STDOUT, data, len); }

static void copy_out_done(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, NULL);
}

static void copy_out_ready(struct rd_op *op) {
  PU_AUTO_FREE url = copy_url((struct copy *)op, "");
  rd_request(op, &(struct rd_request){.method = "GET", .path = url, .timeout_ms = -1, .on_data = copy_out_data, .done = copy_out_done});
}

static struct copy *copy_new(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *r) {
  struct copy *c = rd_op_new(self, id, sizeof *c, copy_drop, "container %.256s: %.1024s", r->id ? r->id : "", r->path ? r->path : "");
  c->id = pu_strdup(r->id ? r->id : "");
  c->path = pu_strdup(r->path ? r->path : "");
  return c;
}

void rd_copy_in(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *request) {
  enum { most = 64 << 20 };
  struct copy *c = copy_new(self, id, request);
  if (!*c->id || !*c->path) {
    rd_op_fail(&c->op, BERTH_INVALID, "%s: a container and a folder in it must be named", c->op.subject);
  } else if (request->tar_len > most) {
    rd_op_fail(&c->op, BERTH_TOO_LARGE, "%s: %zu bytes are more than the 64 MiB that can be copied at once", c->op.subject,
               request->tar_len);
  } else {
    c->tar = request->tar_len ? request->tar : "";
    c->len = request->tar_len;
    if (!self->api) { /* it has to wait */
      struct pu_buf copy = {0};
      pu_buf_add(&copy, request->tar, request->tar_len);
      c->tar = c->kept = pu_buf_steal(&copy);
    }
    rd_op_ready(&c->op, copy_in_ready);
  }
}

void rd_copy_out(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *request) {
  struct copy *c = copy_new(self, id, request);
  if (!*c->id || !*c->path)
    rd_op_fail(&c->op, BERTH_INVALID, "%s: a container and a path in it must be named", c->op.subject);
  else
    rd_op_ready(&c->op, copy_out_ready);
}
