#include "config.h"
#include "plugin/peek.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "plugin/wire.h"

enum { patience_ms = 10000, max_said = 64 * 1024 };

struct bt_peek {
  struct bt_process process;
  struct bt_buf in;
  struct bt_plugin_lib *lib;
  bool validates;
};

/* The next message; its head is the caller's. */
static int next_message(struct bt_peek *p, json_t **head, struct bt_err **err) {
  int64_t until = bt_clock_mono_ms() + patience_ms;
  for (;;) {
    struct bt_message m = {0};
    long n = p->in.len ? bt_wire_get(p->in.data, p->in.len, BT_WIRE_MAX_JSON_IN, &m, err) : 0;
    if (n < 0)
      return bt_err_wrap(err, "it sent garbage");
    if (n > 0) {
      *head = m.head;
      bt_buf_consume(&p->in, (size_t)n);
      return 0;
    }
    struct pollfd fd = {.fd = p->process.wire, .events = POLLIN};
    int64_t left = until - bt_clock_mono_ms();
    if (left <= 0 || poll(&fd, 1, (int)left) <= 0)
      return bt_err_set(err, BT_DEADLINE, "it did not answer within %d s", patience_ms / 1000);
    char chunk[16384];
    ssize_t got = read(p->process.wire, chunk, sizeof chunk);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
      return bt_err_set(err, BT_PLUGIN_CRASHED, "it ended before it answered");
    if (got > 0)
      bt_buf_add(&p->in, chunk, (size_t)got);
  }
}

static int hello(struct bt_peek *p, const char *path, struct bt_err **err) {
  json_t *got = NULL;
  if (next_message(p, &got, err) != 0)
    return bt_err_wrap(err, "plug-in %s", path);
  BT_AUTO_JSON head = got;
  const char *type = bt_json_str_or(head, "t", "");
  if (strcmp(type, "refused") == 0)
    return bt_err_set(err, BT_INVALID, "%s", bt_json_str_or(head, "message", "it cannot be loaded"));
  if (strcmp(type, "hello") != 0 || bt_json_int(head, "wire", 0) != BT_WIRE_VERSION)
    return bt_err_set(err, BT_PLUGIN_CRASHED, "plug-in %s does not say hello in version %d of the wire", path, BT_WIRE_VERSION);
  p->validates = bt_json_bool(head, "validate", false);
  p->lib = bt_loader_described(path, bt_json_obj(head, "manifest"), err);
  return p->lib ? 0 : -1;
}

/* Adds the last line of its standard error, which mostly says why it ended: the log has it where it runs, here nobody else shows it. */
static int with_last_words(const struct bt_peek *p, struct bt_err **err) {
  BT_AUTO_BUF said = {0};
  char chunk[4096];
  for (ssize_t n; said.len < max_said && (n = read(p->process.err, chunk, sizeof chunk)) > 0;)
    bt_buf_add(&said, chunk, (size_t)n);
  size_t end = said.len;
  while (end && (unsigned char)said.data[end - 1] <= ' ')
    end--;
  size_t begin = end;
  while (begin && (unsigned char)said.data[begin - 1] >= ' ')
    begin--;
  if (begin == end)
    return -1;
  BT_AUTO_FREE char *why = bt_strdup(bt_err_message(*err));
  return bt_err_set(err, bt_err_code(*err), "%s; its last words: %.*s", why, (int)BT_MIN(end - begin, (size_t)400), said.data + begin);
}

struct bt_peek *bt_peek_open(const struct bt_isolation *isolation, const char *name, const char *path, struct bt_err **err) {
  struct bt_peek *p = bt_new(struct bt_peek);
  p->process = (struct bt_process){.pid = -1, .pidfd = -1, .wire = -1, .err = -1, .report = -1};
  if ((path && bt_loader_check_file(path, err) != 0) || bt_spawn(isolation, name, path, &p->process, err) != 0 ||
      (hello(p, path ? path : name, err) != 0 && with_last_words(p, err) != 0))
    bt_peek_close(&p);
  return p;
}

const struct bt_plugin_lib *bt_peek_lib(const struct bt_peek *peek) { return peek->lib; }

static int say(struct bt_peek *p, json_t *head_steal, struct bt_err **err) {
  BT_AUTO_BUF out = {0};
  bt_wire_put(&out, head_steal, NULL, 0);
  for (size_t at = 0; at < out.len;) {
    ssize_t n = write(p->process.wire, out.data + at, out.len - at);
    if (n < 0 && errno != EINTR)
      return bt_err_errno(err, BT_PLUGIN_CRASHED, errno, "it cannot be asked");
    at += n > 0 ? (size_t)n : 0;
  }
  bt_wipe(out.data, out.len);
  return 0;
}

int bt_peek_validate(struct bt_peek *p, const json_t *config, struct bt_err **err) {
  json_t *got = NULL;
  if (!p->validates)
    return 0;
  json_t *ask = json_pack("{ss,si,sO}", "t", "validate", "id", 1, "config", config);
  if (say(p, ask, err) != 0)
    return -1;
  for (;;) {
    if (next_message(p, &got, err) != 0)
      return -1;
    BT_AUTO_JSON head = got;
    if (!bt_streq(bt_json_str(head, "t"), "done"))
      continue; /* it may log */
    if (bt_streq(bt_json_str(head, "code"), "ok"))
      return 0;
    return bt_err_set(err, BT_INVALID, "%s", bt_json_str_or(head, "message", "refused without a reason"));
  }
}

void bt_peek_close(struct bt_peek **peek) {
  struct bt_peek *p = *peek;
  if (!p)
    return;
  if (p->process.pid > 0) {
    bt_spawn_kill(&p->process);
    bt_spawn_reap(&p->process, 0, NULL);
  }
  bt_closep(&p->process.pidfd);
  bt_closep(&p->process.wire);
  bt_closep(&p->process.err);
  bt_closep(&p->process.report);
  bt_buf_free(&p->in);
  free(p);
  *peek = NULL;
}
