#include "config.h"
#include "cli/sse.h"

#include <string.h>

#include "base/mem.h"

enum { max_line = 4 << 20 };

static const char *text(const struct bt_buf *b) { return b->data ? b->data : ""; }

static void dispatch(struct bt_sse *sse) {
  if (sse->data.len) {
    bt_buf_truncate(&sse->data, sse->data.len - 1); /* the last line's end */
    struct bt_sse_event event = {sse->type.len ? text(&sse->type) : "message", text(&sse->data), text(&sse->id)};
    sse->event(sse->arg, &event);
  }
  bt_buf_truncate(&sse->data, 0);
  bt_buf_truncate(&sse->type, 0);
}

static void field(struct bt_sse *sse, const char *name, size_t n, const char *value) {
  if (n == 4 && memcmp(name, "data", n) == 0) {
    bt_buf_adds(&sse->data, value);
    bt_buf_addc(&sse->data, '\n');
  } else if (n == 5 && memcmp(name, "event", n) == 0) {
    bt_buf_truncate(&sse->type, 0);
    bt_buf_adds(&sse->type, value);
  } else if (n == 2 && memcmp(name, "id", n) == 0) {
    bt_buf_truncate(&sse->id, 0);
    bt_buf_adds(&sse->id, value);
  }
}

static void line_done(struct bt_sse *sse) {
  const char *line = text(&sse->line);
  if (!sse->begun && bt_starts(line, "\xef\xbb\xbf"))
    line += 3;
  sse->begun = true;
  if (!*line) {
    dispatch(sse);
  } else if (*line != ':') { /* a comment keeps the connection alive */
    const char *colon = strchr(line, ':');
    size_t n = colon ? (size_t)(colon - line) : strlen(line);
    const char *value = colon ? colon + 1 : "";
    field(sse, line, n, *value == ' ' ? value + 1 : value);
  }
  bt_buf_truncate(&sse->line, 0);
}

void bt_sse_feed(struct bt_sse *sse, const void *data, size_t len) {
  for (const char *p = data, *end = p + len; p < end; p++) {
    bool second = *p == '\n' && sse->after_cr; /* of CR LF */
    sse->after_cr = *p == '\r';
    if (second)
      continue;
    if (*p == '\n' || *p == '\r')
      line_done(sse);
    else if (sse->line.len < max_line)
      bt_buf_addc(&sse->line, *p);
  }
}

void bt_sse_reset(struct bt_sse *sse) {
  bt_buf_truncate(&sse->line, 0);
  bt_buf_truncate(&sse->data, 0);
  bt_buf_truncate(&sse->type, 0);
  sse->after_cr = sse->begun = false;
}

void bt_sse_free(struct bt_sse *sse) {
  bt_buf_free(&sse->line);
  bt_buf_free(&sse->data);
  bt_buf_free(&sse->type);
  bt_buf_free(&sse->id);
}
