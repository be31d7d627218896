/* Bytes from and to an instance: its logs as newline-delimited JSON, a command in it as a WebSocket. */
#include "config.h"

#include "api/internal.h"
#include "api/websocket.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <berth/runtime.h>

enum {
  CH_STDIN = 0,
  CH_RESULT = 3,
  CH_RESIZE = 4,
  CH_END = 5,
  INPUT_HIGH = 1024 * 1024, /* bytes that may wait for the command to read */
  INPUT_LOOK_MS = 50
};

static bool instance_there(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  uint64_t revision;
  if (bt_control_get(api->s.control(api->s.arg), "instances", x->params[0], x->params[1], &revision, &err))
    return true;
  bt_problem_err(x, err);
  return false;
}

/* ---------------------------------------------------------------- logs */

struct logs {
  struct bt_api *api;
  struct bt_exchange *x;
  uint64_t handle;
  bool begun, gone;
};

static void logs_begin(struct logs *l) {
  if (!l->begun)
    bt_reply_begin(l->x, 200, "application/x-ndjson");
  l->begun = true;
}

static size_t logs_data(void *arg, int channel, const void *data, size_t len) {
  struct logs *l = arg;
  if (l->gone)
    return 0;
  if (channel == BERTH_RUNTIME_LINE && len) {
    logs_begin(l);
    bt_reply_write(l->x, data, len);
    bt_reply_write(l->x, "\n", 1);
  }
  return bt_reply_waiting(l->x);
}

static void logs_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  (void)result;
  struct logs *l = arg;
  if (code != BT_OK && !l->begun) {
    bt_problem(l->x, code, message);
  } else if (code != BT_OK) {
    bt_reply_abort(l->x); /* the reader sees that the end is missing */
  } else {
    logs_begin(l);
    bt_reply_end(l->x);
  }
  free(l);
}

static void logs_gone(void *arg) {
  struct logs *l = arg;
  l->gone = true;
  l->api->s.stream_cancel(l->api->s.arg, l->handle);
}

/* ?since= as a time (RFC 3339) or a duration back from now ("10m"). */
static int since(const struct bt_req *req, int64_t *ms, struct bt_err **err) {
  BT_AUTO_FREE char *text = bt_req_query(req, "since");
  int64_t ns;
  *ms = 0;
  if (!text || !*text || bt_clock_parse(text, ms))
    return 0;
  if (!bt_duration_parse(text, &ns) || ns < 0)
    return bt_err_set(err, BT_INVALID, "?since takes a time such as 2026-11-23T06:00:00Z or a duration such as 10m, not \"%.40s\"",
                      text);
  *ms = bt_clock_wall_ms() - ns / 1000000;
  return 0;
}

static json_t *log_args(const struct bt_req *req, struct bt_err **err) {
  bool follow, timestamps;
  long long tail;
  int64_t since_ms;
  if (bt_query_bool(req, "follow", false, &follow, err) < 0 || bt_query_bool(req, "timestamps", true, &timestamps, err) < 0 ||
      since(req, &since_ms, err) < 0)
    return NULL;
  BT_AUTO_FREE char *tail_text = bt_req_query(req, "tail");
  tail = -1;
  if (!bt_streq(tail_text, "all") && bt_query_int(req, "tail", -1, 1000000, -1, &tail, err) < 0)
    return NULL;
  json_t *args = json_object();
  bt_json_set_bool(args, "follow", follow);
  bt_json_set_bool(args, "timestamps", true); /* lines carry their time always; who does not want it leaves it out */
  bt_json_set_int(args, "tail", tail);
  bt_json_set_int(args, "since_ms", since_ms);
  return args;
}

static void get_logs(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  json_t *args = log_args(x->req, &err);
  if (!args) {
    bt_problem_err(x, err);
    return;
  }
  if (!instance_there(api, x)) {
    json_decref(args);
    return;
  }
  struct logs *l = bt_new(struct logs);
  *l = (struct logs){.api = api, .x = x};
  x->arg = l;
  x->on_gone = logs_gone;
  struct bt_api_stream stream = {.data = logs_data, .done = logs_done, .arg = l};
  l->handle = api->s.stream(api->s.arg, "logs", x->params[0], x->params[1], args, &stream);
}

/* ---------------------------------------------------------------- exec */

struct exec {
  struct bt_api *api;
  struct bt_ws *ws;       /* NULL once closed */
  uint64_t handle;        /* 0 once done */
  struct bt_timer *look;  /* does the command read on? */
};

static void exec_free_if_over(struct exec *e) {
  if (e->ws || e->handle)
    return;
  bt_timer_free(&e->look);
  free(e);
}

static size_t exec_send(struct exec *e, int channel, const void *data, size_t len) {
  BT_AUTO_BUF frame = {0};
  bt_buf_addc(&frame, (char)channel);
  bt_buf_add(&frame, data, len);
  return e->ws ? bt_ws_send(e->ws, false, frame.data, frame.len) : 0;
}

static size_t exec_data(void *arg, int channel, const void *data, size_t len) {
  struct exec *e = arg;
  if (len && (channel == BERTH_RUNTIME_STDOUT || channel == BERTH_RUNTIME_STDERR))
    return exec_send(e, channel, data, len);
  return e->ws ? bt_ws_waiting(e->ws) : 0;
}

static void exec_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct exec *e = arg;
  BT_AUTO_JSON last = code == BT_OK ? json_copy((json_t *)(uintptr_t)result) : bt_problem_json(bt_code_http(code), code, message);
  BT_AUTO_FREE char *text = bt_json_text(last);
  exec_send(e, CH_RESULT, text, strlen(text));
  e->handle = 0;
  if (e->ws)
    bt_ws_close(e->ws, 1000, "");
  exec_free_if_over(e);
}

static void exec_closed(void *arg, int code) {
  (void)code;
  struct exec *e = arg;
  e->ws = NULL;
  if (e->handle)
    e->api->s.stream_cancel(e->api->s.arg, e->handle);
  exec_free_if_over(e);
}

/* The command does not read as fast as the client writes: stop listening for a while. Nobody tells when it has read. */
static void on_look(void *arg) {
  struct exec *e = arg;
  if (e->ws)
    bt_ws_pause(e->ws, false);
}

static void exec_resize(struct exec *e, const char *data, size_t len) {
  BT_AUTO_JSON size = bt_json_parse(data, len, 200, 2, "resize", NULL);
  long long rows = size ? bt_json_int(size, "rows", 0) : 0, cols = size ? bt_json_int(size, "cols", 0) : 0;
  if (rows > 0 && rows < 10000 && cols > 0 && cols < 10000)
    e->api->s.stream_resize(e->api->s.arg, e->handle, (int)rows, (int)cols);
}

static void exec_message(void *arg, bool text, const char *data, size_t len) {
  (void)text;
  struct exec *e = arg;
  if (len == 0 || !e->handle)
    return;
  switch (data[0]) {
  case CH_STDIN:
    if (len > 1 && e->api->s.stream_input(e->api->s.arg, e->handle, data + 1, len - 1) > INPUT_HIGH) {
      bt_ws_pause(e->ws, true);
      bt_timer_set(e->look, INPUT_LOOK_MS);
    }
    return;
  case CH_RESIZE:
    exec_resize(e, data + 1, len - 1);
    return;
  case CH_END:
    e->api->s.stream_input(e->api->s.arg, e->handle, "", 0);
    return;
  default:
    bt_ws_close(e->ws, 1003, "unknown channel");
  }
}

static json_t *read_command(const struct bt_req *req, struct bt_err **err) {
  BT_AUTO_FREE char *text = bt_req_query(req, "command");
  BT_AUTO_JSON command = text ? bt_json_parse(text, strlen(text), 0, 2, "?command", err) : NULL;
  bool good = json_is_array(command) && json_array_size(command) > 0;
  for (size_t i = 0; good && i < json_array_size(command); i++)
    good = json_is_string(json_array_get(command, i));
  if (good)
    return bt_steal(command);
  bt_err_set(err, BT_INVALID, "?command takes a JSON array of strings, such as [\"sh\"]");
  return NULL;
}

static void add_query(json_t *args, const struct bt_req *req, const char *name) {
  BT_AUTO_FREE char *text = bt_req_query(req, name);
  if (text && *text)
    bt_json_set_str(args, name, text);
}

static json_t *exec_args(const struct bt_req *req, struct bt_err **err) {
  bool tty, with_stdin;
  long long rows, cols;
  if (bt_query_bool(req, "tty", false, &tty, err) < 0 || bt_query_bool(req, "stdin", false, &with_stdin, err) < 0 ||
      bt_query_int(req, "rows", 0, 9999, 0, &rows, err) < 0 || bt_query_int(req, "cols", 0, 9999, 0, &cols, err) < 0)
    return NULL;
  json_t *command = read_command(req, err);
  if (!command)
    return NULL;
  json_t *args = json_object();
  bt_json_set(args, "command", command);
  bt_json_set_bool(args, "tty", tty);
  bt_json_set_bool(args, "stdin", with_stdin);
  bt_json_set_int(args, "rows", rows);
  bt_json_set_int(args, "cols", cols);
  add_query(args, req, "user");
  add_query(args, req, "workdir");
  return args;
}

static void get_exec(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON args = exec_args(x->req, &err);
  if (!args) {
    bt_problem_err(x, err);
    return;
  }
  if (!instance_there(api, x))
    return;
  struct exec *e = bt_new(struct exec);
  e->api = api;
  e->look = bt_timer_new(api->s.loop, "api-exec", on_look, e);
  e->ws = bt_ws_accept(api->s.loop, x, &(struct bt_ws_handler){.message = exec_message, .closed = exec_closed, .arg = e}, &err);
  if (!e->ws) {
    exec_free_if_over(e);
    bt_reply_header(x, "Upgrade", "websocket");
    bt_problem_status(x, bt_err_code(err) == BT_UNSUPPORTED ? 426 : 400, bt_err_code(err), bt_err_message(err));
    return;
  }
  struct bt_api_stream stream = {.data = exec_data, .done = exec_done, .arg = e};
  e->handle = api->s.stream(api->s.arg, "exec", x->params[0], x->params[1], bt_steal(args), &stream);
}

static const struct bt_route_param log_params[] = {{"follow", "boolean", "go on with what comes"},
                                                   {"tail", "integer", "only the last lines; \"all\""},
                                                   {"since", "string", "a time, or a duration back from now (10m)"},
                                                   {"timestamps", "boolean", "taken for compatibility: lines carry their time"},
                                                   {NULL, NULL, NULL}};
static const struct bt_route_param exec_params[] = {{"command", "string", "JSON array: program and arguments"},
                                                    {"tty", "boolean", "a terminal"},
                                                    {"stdin", "boolean", "input will come on channel 0"},
                                                    {"user", "string", "user or uid; else the container's"},
                                                    {"workdir", "string", "folder; else the container's"},
                                                    {"rows", "integer", "of the terminal"},
                                                    {"cols", "integer", "of the terminal"},
                                                    {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/instances/{id}/logs",
     .summary = "Lines of an instance's output: {\"stream\",\"time\",\"line\"}, one a line", .query = log_params,
     .content = "application/x-ndjson", .handle = get_logs},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/instances/{id}/exec",
     .summary = "Run a command in an instance: a WebSocket whose binary frames begin with the channel (0 stdin, 1 stdout, 2 stderr, "
                "3 result, 4 resize, 5 end of stdin)",
     .query = exec_params, .status = 101, .content = "application/octet-stream", .handle = get_exec},
};
const struct bt_route_table bt_routes_streams = {routes, BT_COUNT(routes)};
