#include "config.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

static _Atomic int min_level = BT_LOG_INFO;
static _Atomic bool as_json;
static const char *const names[] = {"debug", "info", "warn", "error"};

void bt_log_setup(enum bt_log_level min, bool json) {
  min_level = (int)min;
  as_json = json;
}

static void add_escaped(struct bt_buf *b, const char *s) {
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '\n')
      bt_buf_adds(b, "\\n");
    else if (c < 0x20 || c == 0x7f)
      bt_buf_addf(b, "\\x%02x", c);
    else
      bt_buf_addc(b, *s);
  }
}

void bt_log(enum bt_log_level level, const char *room, const char *fmt, ...) {
  if ((int)level < min_level)
    return;
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *text = bt_vasprintf(fmt, ap);
  va_end(ap);
  char when[32];
  bt_clock_format(bt_clock_wall_ms(), when);
  BT_AUTO_BUF line = {0};
  if (as_json) {
    BT_AUTO_JSON obj = json_object();
    bt_json_set_str(obj, "time", when);
    bt_json_set_str(obj, "level", names[level]);
    bt_json_set_str(obj, "room", room);
    bt_json_set_str(obj, "message", text);
    BT_AUTO_FREE char *s = bt_json_text(obj);
    bt_buf_addf(&line, "%s\n", s);
  } else {
    bt_buf_addf(&line, "%s %-5s %s: ", when, names[level], room);
    add_escaped(&line, text);
    bt_buf_addc(&line, '\n');
  }
  /* One write, so that lines of several threads do not mix. A full disk or closed stderr must not stop the server. */
  if (write(STDERR_FILENO, line.data, line.len) < 0) {
  }
}
