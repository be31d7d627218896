/* exec: make it, start it, stream it, ask how it ended. With input the connection leaves HTTP (a tunnel both ways); without,
 * it is an answer that streams, which can be paused when the host is slow. */
#include "config.h"
#include "engine.h"

#include "frames.h"
#include "normal.h"

enum { max_early_input = 16 << 20, ask_ms = 10, most_asks = 60 };

struct exec {
  struct rd_op op;
  char *container, *exec_id;
  json_t *body; /* of the create */
  bool tty, input, open, input_ended, garbled, room;
  int32_t rows, cols;
  int asks, resizes;
  struct rd_frames frames;
  struct pu_buf early; /* input that came before the tunnel stood */
};

static void exec_drop(struct rd_op *op) {
  struct exec *e = (struct exec *)op;
  free(e->container);
  free(e->exec_id);
  json_decref(e->body);
  pu_buf_free(&e->early);
}

/* ---------------------------------------------------------------- the end */

static void exec_ask(struct rd_op *op);

/* The stream may close a moment before the engine has noted the exit code. */
static void exec_asked(struct rd_op *op, const struct rd_answer *a) {
  struct exec *e = (struct exec *)op;
  if (!rd_answer_good(op, a))
    return;
  const json_t *code = json_object_get(a->json, "ExitCode");
  if (!pu_flag(a->json, "Running", false) && json_is_integer(code))
    rd_op_done(op, json_pack("{s:I}", "exit_code", json_integer_value(code)));
  else if (e->asks++ < most_asks)
    rd_op_after(op, ask_ms * (e->asks < 10 ? e->asks : 10), exec_ask);
  else
    rd_op_fail(op, BERTH_UNAVAILABLE, "%s: its output ended, but the command still runs", op->subject);
}

static void exec_ask(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/exec/", ((struct exec *)op)->exec_id, "/json");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = exec_asked});
}

static void exec_ended(struct exec *e) {
  if (e->garbled)
    rd_op_fail(&e->op, BERTH_INTERNAL, "%s: the engine's stream is not framed as it should be", e->op.subject);
  else
    exec_ask(&e->op);
}

/* ---------------------------------------------------------------- output */

static void exec_part(void *arg, int stream, const void *data, size_t len, bool last) {
  struct exec *e = arg;
  (void)last;
  if (len)
    e->room = rd_op_emit(&e->op, stream == 2 ? BERTH_RUNTIME_STDERR : BERTH_RUNTIME_STDOUT, data, len) && e->room;
}

static bool exec_output(struct rd_op *op, const void *data, size_t len) {
  struct exec *e = (struct exec *)op;
  e->room = true;
  if (e->tty)
    return rd_op_emit(op, BERTH_RUNTIME_STDOUT, data, len);
  if (!e->garbled)
    e->garbled = !rd_frames_feed(&e->frames, data, len, true, exec_part, e);
  return e->room;
}

/* ---------------------------------------------------------------- size of the tty */

static void resize_send(struct rd_op *op);

/* Just after the start there may be no process yet whose tty could be sized: some tries, then it is left as it is. */
static void resized(struct rd_op *op, const struct rd_answer *a) {
  enum { most_tries = 10 };
  struct exec *e = (struct exec *)op;
  if (!a->code && a->status >= 400 && e->open && e->resizes++ < most_tries)
    rd_op_after(op, 10 * e->resizes, resize_send);
}

static void resize_send(struct rd_op *op) {
  struct exec *e = (struct exec *)op;
  PU_AUTO_FREE query = pu_asprintf("/resize?h=%d&w=%d", e->rows, e->cols);
  PU_AUTO_FREE path = rd_path("/exec/", e->exec_id, query);
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .raw = true, .done = resized});
}

static void exec_opened(struct exec *e) {
  e->open = true;
  e->resizes = 0;
  if (e->tty && e->rows > 0 && e->cols > 0)
    resize_send(&e->op);
}

void rd_resize(struct berth_instance *self, berth_op id, int32_t rows, int32_t cols) {
  struct rd_op *op = rd_op_find(self, id);
  if (!op || op->drop != exec_drop || rows <= 0 || cols <= 0)
    return;
  struct exec *e = (struct exec *)op;
  e->rows = rows;
  e->cols = cols;
  e->resizes = 0;
  if (e->open && e->tty)
    resize_send(op);
}

/* ---------------------------------------------------------------- without input: an answer */

static void answer_head(struct rd_op *op, int status, const struct berth_pair *headers, size_t nheaders) {
  (void)headers;
  (void)nheaders;
  if (status < 400)
    exec_opened((struct exec *)op);
}

static void answer_done(struct rd_op *op, const struct rd_answer *a) {
  struct exec *e = (struct exec *)op;
  e->open = false;
  if (rd_answer_good(op, a))
    exec_ended(e);
}

/* ---------------------------------------------------------------- with input: a tunnel */

static void tunnel_opened(struct rd_op *op, bool good, int status, const char *body, size_t len) {
  struct exec *e = (struct exec *)op;
  if (!good) {
    rd_answer_fail(op, &(struct rd_answer){.status = status, .message = "", .body = body, .len = len});
    return;
  }
  if (e->early.len)
    rd_tunnel_write(op, e->early.data, e->early.len);
  pu_buf_free(&e->early);
  if (e->input_ended)
    rd_tunnel_close_write(op);
  exec_opened(e);
}

static void tunnel_data(struct rd_op *op, const void *data, size_t len) { exec_output(op, data, len); }

static void tunnel_closed(struct rd_op *op, enum berth_code code, const char *message) {
  struct exec *e = (struct exec *)op;
  bool was_open = e->open;
  e->open = false;
  if (was_open)
    exec_ended(e);
  else
    rd_answer_fail(op, &(struct rd_answer){.code = code ? code : BERTH_UNAVAILABLE, .message = message});
}

size_t rd_input(struct berth_instance *self, berth_op id, const void *data, size_t len) {
  struct rd_op *op = rd_op_find(self, id);
  if (!op || op->drop != exec_drop || !((struct exec *)op)->input)
    return 0;
  struct exec *e = (struct exec *)op;
  if (!e->open && len > max_early_input - e->early.len) { /* a caller that minds what waits stops long before */
    rd_op_fail(op, BERTH_EXHAUSTED, "%s: more than 16 MiB of input wait for its start", op->subject);
    return 0;
  }
  if (!e->open) {
    pu_buf_add(&e->early, data, len);
    e->input_ended = e->input_ended || !len;
    return e->early.len;
  }
  if (len)
    return rd_tunnel_write(op, data, len);
  rd_tunnel_close_write(op);
  return 0;
}

/* ---------------------------------------------------------------- beginning */

static void exec_start(struct exec *e) {
  static const struct rd_tunnel_events events = {tunnel_opened, tunnel_data, tunnel_closed};
  PU_AUTO_FREE path = rd_path("/exec/", e->exec_id, "/start");
  PU_AUTO_JSON body = json_pack("{s:b, s:b}", "Detach", 0, "Tty", e->tty);
  if (e->input)
    rd_tunnel_open(&e->op, path, body, &events);
  else
    rd_request(&e->op, &(struct rd_request){.method = "POST", .path = path, .body = body, .timeout_ms = -1, .on_head = answer_head,
                                            .on_data = exec_output, .done = answer_done});
}

static void exec_created(struct rd_op *op, const struct rd_answer *a) {
  struct exec *e = (struct exec *)op;
  if (!rd_answer_good(op, a))
    return;
  e->exec_id = pu_strdup(pu_str_or(a->json, "Id", ""));
  exec_start(e);
}

static void exec_ready(struct rd_op *op) {
  struct exec *e = (struct exec *)op;
  PU_AUTO_FREE path = rd_path("/containers/", e->container, "/exec");
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .body = e->body, .done = exec_created});
}

/* {"A": "1"} -> ["A=1"] */
static json_t *env_list(const char *env_json) {
  PU_AUTO_JSON env = env_json ? rd_json_parse(env_json, strlen(env_json)) : NULL;
  json_t *list = json_array(), *v;
  const char *key;
  json_object_foreach(env, key, v) {
    PU_AUTO_FREE text = pu_scalar(v);
    PU_AUTO_FREE pair = pu_asprintf("%s=%s", key, text ? text : "");
    json_array_append_new(list, json_string(pair));
  }
  return list;
}

static json_t *exec_body(const struct berth_runtime_exec *r, json_t *command) {
  json_t *body = json_pack("{s:b, s:b, s:b, s:b, s:b, s:O, s:o}", "AttachStdin", r->stdin_open, "AttachStdout", 1, "AttachStderr", 1, "Tty",
                           r->tty, "Privileged", r->privileged, "Cmd", command, "Env", env_list(r->env_json));
  if (r->user && *r->user)
    json_object_set_new(body, "User", json_string(r->user));
  if (r->workdir && *r->workdir)
    json_object_set_new(body, "WorkingDir", json_string(r->workdir));
  return body;
}

void rd_exec(struct berth_instance *self, berth_op id, const struct berth_runtime_exec *r) {
  struct exec *e = rd_op_new(self, id, sizeof *e, exec_drop, "command in container %.256s", r->id ? r->id : "");
  PU_AUTO_JSON command = r->command_json ? rd_json_parse(r->command_json, strlen(r->command_json)) : NULL;
  e->container = pu_strdup(r->id ? r->id : "");
  e->tty = r->tty;
  e->input = r->stdin_open;
  e->rows = r->rows;
  e->cols = r->cols;
  if (!*e->container || !json_is_array(command) || !json_array_size(command)) {
    rd_op_fail(&e->op, BERTH_INVALID, "%s: a container and a command (a list of words) must be given", e->op.subject);
    return;
  }
  e->body = exec_body(r, command);
  rd_op_ready(&e->op, exec_ready);
}
