/* "berth exec": a command in a running instance, over the API's WebSocket. Its first byte names the channel (api/api.h). */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/target.h"
#include "cli/tty.h"
#include "cli/ws.h"

enum channel { CH_STDIN, CH_STDOUT, CH_STDERR, CH_RESULT, CH_RESIZE, CH_END_OF_STDIN };
enum { high_water = 256 << 10, drain_ms = 20 };

struct exec {
  struct bt_cli *cli;
  struct bt_http_tunnel *tunnel;
  struct bt_ws ws;
  struct bt_watch *input;
  struct bt_timer *drain; /* looks again whether the server took what it was sent */
  bool stdin_open, tty, open, ended;
  int exit_code;
  struct bt_err *err;
};

static struct exec *at_work;

static void finish(struct exec *exec) {
  exec->ended = true;
  bt_loop_stop(exec->cli->conn->loop);
}

/* ---------------------------------------------------------------- to the server */

static size_t send_frame(struct exec *exec, enum bt_ws_opcode opcode, const void *data, size_t len) {
  uint8_t mask[4];
  BT_AUTO_BUF frame = {0};
  randombytes_buf(mask, sizeof mask);
  bt_ws_frame(&frame, opcode, mask, data, len);
  return bt_http_tunnel_write(exec->tunnel, frame.data, frame.len);
}

static size_t send_channel(struct exec *exec, enum channel channel, const void *data, size_t len) {
  BT_AUTO_BUF message = {0};
  bt_buf_addc(&message, (char)channel);
  bt_buf_add(&message, data, len);
  return send_frame(exec, BT_WS_BINARY, message.data, message.len);
}

static void send_size(struct exec *exec) {
  int rows, cols;
  char text[64];
  if (exec->tty && exec->open && bt_tty_size(&rows, &cols))
    send_channel(exec, CH_RESIZE, text, (size_t)snprintf(text, sizeof text, "{\"rows\":%d,\"cols\":%d}", rows, cols));
}

/* One read of standard input. False where there is nothing more to read for now: the end, or enough is on its way. */
static bool pass_input(struct exec *exec) {
  char buf[16384];
  ssize_t n = read(STDIN_FILENO, buf, sizeof buf);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return false;
  if (n > 0 && send_channel(exec, CH_STDIN, buf, (size_t)n) <= high_water)
    return true;
  bt_watch_free(&exec->input);
  if (n > 0) {
    bt_timer_set(exec->drain, drain_ms);
  } else {
    exec->stdin_open = false;
    send_channel(exec, CH_END_OF_STDIN, NULL, 0);
  }
  return false;
}

static void on_input(void *arg, int fd, int events) {
  (void)fd;
  (void)events;
  pass_input(arg);
}

/* Files and /dev/null are always ready and cannot be watched. */
static bool can_watch(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && (isatty(fd) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* Goes on with standard input as far as the connection takes it. */
static void on_drain(void *arg) {
  struct exec *exec = arg;
  if (exec->ended || !exec->stdin_open || !exec->tunnel)
    return;
  if (bt_http_tunnel_write(exec->tunnel, "", 0) > high_water)
    bt_timer_set(exec->drain, drain_ms);
  else if (can_watch(STDIN_FILENO))
    exec->input = bt_watch_new(exec->cli->conn->loop, "stdin", STDIN_FILENO, BT_WATCH_READ, on_input, exec);
  else if (pass_input(exec))
    bt_timer_set(exec->drain, 0);
}

/* ---------------------------------------------------------------- from the server */

static void take_result(struct exec *exec, const char *data, size_t len) {
  BT_AUTO_JSON result = bt_json_parse(data, len, 0, 0, "the command's result", &exec->err);
  if (result && json_is_integer(json_object_get(result, "exit_code")))
    exec->exit_code = (int)bt_json_int(result, "exit_code", 0);
  else if (result)
    bt_conn_problem((int)bt_json_int(result, "status", 500), data, len, &exec->err);
  exec->ended = true;
}

static void on_message(void *arg, enum bt_ws_opcode opcode, const void *data, size_t len) {
  struct exec *exec = arg;
  const char *bytes = data;
  if (opcode == BT_WS_PING)
    send_frame(exec, BT_WS_PONG, data, len);
  else if (opcode == BT_WS_CLOSE)
    finish(exec);
  if (opcode != BT_WS_BINARY || !len)
    return;
  struct bt_buf payload = {.data = (char *)(uintptr_t)(bytes + 1), .len = len - 1};
  if (bytes[0] == CH_STDOUT || bytes[0] == CH_STDERR)
    bt_out_write(bytes[0] == CH_STDOUT ? STDOUT_FILENO : STDERR_FILENO, &payload);
  else if (bytes[0] == CH_RESULT)
    take_result(exec, bytes + 1, len - 1);
  if (exec->ended)
    finish(exec);
}

static void on_open(void *arg, bool ok, int status, const char *body, size_t len) {
  struct exec *exec = arg;
  if (!ok) {
    bt_conn_problem(status, body, len, &exec->err);
    return;
  }
  exec->open = true;
  if (exec->tty && exec->stdin_open)
    bt_tty_raw();
  send_size(exec);
  if (exec->stdin_open)
    on_drain(exec);
  else
    send_channel(exec, CH_END_OF_STDIN, NULL, 0);
}

static void on_data(void *arg, const void *data, size_t len) {
  struct exec *exec = arg;
  if (!exec->ended && bt_ws_feed(&exec->ws, data, len, &exec->err))
    finish(exec);
}

static void on_close(void *arg, enum bt_code code, const char *message) {
  struct exec *exec = arg;
  exec->tunnel = NULL;
  if (!exec->ended && !exec->err) {
    if (exec->open)
      bt_err_set(&exec->err, code == BT_OK ? BT_UNAVAILABLE : code,
                 "the connection ended before the command did (%s); it may still run", message ? message : "closed");
    else
      bt_conn_unanswered(exec->cli->conn, code, message ? message : "", &exec->err);
  }
  bt_watch_free(&exec->input);
  finish(exec);
}

static void on_resize(void *arg) {
  (void)arg;
  if (at_work && at_work->tunnel)
    send_size(at_work);
}

/* ---------------------------------------------------------------- the verb */

/* The instance that is meant: the first of the target that runs. */
static int choose(struct bt_cli *cli, char **id, char **namespace_, struct bt_err **err) {
  const char *word = cli->args.rest.items[0];
  BT_AUTO_TARGET target = {0};
  BT_AUTO_JSON instances = NULL;
  if (bt_target_resolve(cli, word, &target, &instances, err))
    return -1;
  const json_t *best = NULL;
  size_t i;
  json_t *instance;
  json_array_foreach(instances, i, instance) {
    bool runs = bt_streq(bt_json_str(instance, "state"), "running") && !bt_json_bool(instance, "leaving", false);
    if (bt_target_holds(&target, instance) && runs &&
        (!best || bt_json_int(instance, "slot", 0) < bt_json_int(best, "slot", 0)))
      best = instance;
  }
  if (!best)
    return bt_err_set(err, BT_UNAVAILABLE, "no instance of %s runs; see \"berth why %s\"", word, word);
  *id = bt_strdup(bt_json_str(best, "instance"));
  *namespace_ = bt_strdup(bt_json_str_or(best, "namespace", cli->namespace_));
  return 0;
}

static char *exec_url(const struct exec *exec, const char *id, const char *namespace_) {
  const struct bt_args *args = &exec->cli->args;
  BT_AUTO_JSON command = json_array();
  for (size_t i = 1; i < args->rest.len; i++)
    json_array_append_new(command, bt_json_string(args->rest.items[i]));
  BT_AUTO_FREE char *text = bt_json_text(command);
  BT_AUTO_FREE char *path = bt_url_path("namespaces", namespace_, "instances", id, "exec", NULL);
  BT_AUTO_BUF url = {0};
  int rows, cols;
  bt_buf_adds(&url, path);
  bt_url_query(&url, "command", text);
  bt_url_query(&url, "tty", exec->tty ? "true" : NULL);
  bt_url_query(&url, "stdin", exec->stdin_open ? "true" : NULL);
  bt_url_query(&url, "user", bt_args_text(args, "user"));
  bt_url_query(&url, "workdir", bt_args_text(args, "workdir"));
  if (exec->tty && bt_tty_size(&rows, &cols))
    bt_buf_addf(&url, "&rows=%d&cols=%d", rows, cols);
  return bt_buf_steal(&url);
}

static int run(struct exec *exec, const char *id, const char *namespace_, struct bt_err **err) {
  struct bt_conn *conn = exec->cli->conn;
  BT_AUTO_FREE char *url = exec_url(exec, id, namespace_);
  exec->ws.message = on_message;
  exec->ws.arg = exec;
  exec->drain = bt_timer_new(conn->loop, "drain", on_drain, exec);
  at_work = exec;
  bt_loop_on_signal(conn->loop, SIGWINCH, on_resize, NULL);
  exec->tunnel = bt_conn_websocket(conn, url, &(struct bt_http_upgrade){
                                                  .on_open = on_open, .on_data = on_data, .on_close = on_close, .arg = exec});
  bt_loop_run(conn->loop);
  at_work = NULL;
  exec->ended = true;
  bt_conn_cancel(conn);
  bt_tty_restore();
  bt_watch_free(&exec->input);
  bt_timer_free(&exec->drain);
  bt_ws_free(&exec->ws);
  return exec->err ? bt_err_move(err, bt_steal(exec->err)) : exec->exit_code;
}

int bt_verb_exec(struct bt_cli *cli, struct bt_err **err) {
  struct exec exec = {.cli = cli, .tty = bt_args_has(&cli->args, "tty"), .stdin_open = bt_args_has(&cli->args, "interactive")};
  BT_AUTO_FREE char *id = NULL;
  BT_AUTO_FREE char *namespace_ = NULL;
  if (exec.tty && exec.stdin_open && !isatty(STDIN_FILENO))
    return bt_err_set(err, BT_INVALID, "standard input is no terminal: leave -t out");
  if (choose(cli, &id, &namespace_, err))
    return -1;
  return run(&exec, id, namespace_, err);
}
