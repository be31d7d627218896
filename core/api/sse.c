#include "config.h"
#include "api/sse.h"

#include "base/mem.h"

enum { KEEPALIVE_MS = 15000 };

struct bt_sse {
  struct bt_exchange *x;
  struct bt_timer *alive;
  struct bt_buf frame; /* kept for the next event */
};

static void on_alive(void *arg) {
  struct bt_sse *sse = arg;
  bt_reply_write(sse->x, ":\n\n", 3);
  bt_timer_set(sse->alive, KEEPALIVE_MS);
}

struct bt_sse *bt_sse_begin(struct bt_loop *loop, struct bt_exchange *x) {
  struct bt_sse *sse = bt_new(struct bt_sse);
  sse->x = x;
  bt_reply_begin(x, 200, "text/event-stream");
  sse->alive = bt_timer_new(loop, "api-sse", on_alive, sse);
  on_alive(sse);
  return sse;
}

size_t bt_sse_send(struct bt_sse *sse, const char *id, const char *event, const char *data) {
  struct bt_buf *f = &sse->frame;
  bt_buf_truncate(f, 0);
  if (id)
    bt_buf_addf(f, "id: %s\n", id);
  if (event)
    bt_buf_addf(f, "event: %s\n", event);
  for (const char *line = data;;) {
    size_t n = strcspn(line, "\r\n");
    bt_buf_adds(f, "data: ");
    bt_buf_add(f, line, n);
    bt_buf_addc(f, '\n');
    if (!line[n])
      break;
    line += n + (line[n] == '\r' && line[n + 1] == '\n' ? 2 : 1);
  }
  bt_buf_addc(f, '\n');
  return bt_reply_write(sse->x, f->data, f->len);
}

void bt_sse_mark(struct bt_sse *sse, const char *id) {
  struct bt_buf *f = &sse->frame;
  bt_buf_truncate(f, 0);
  bt_buf_addf(f, "id: %s\n\n", id);
  bt_reply_write(sse->x, f->data, f->len);
}

void bt_sse_end(struct bt_sse **psse) {
  if (!*psse)
    return;
  struct bt_sse *sse = bt_steal(*psse);
  bt_timer_free(&sse->alive);
  bt_buf_free(&sse->frame);
  bt_reply_end(sse->x);
  free(sse);
}

int bt_sse_resume_point(const struct bt_req *req, uint64_t *after, struct bt_err **err) {
  const char *last = bt_req_header(req, "last-event-id");
  BT_AUTO_FREE char *query = bt_req_query(req, "after");
  const char *text = last && *last ? last : query;
  long long v;
  *after = UINT64_MAX;
  if (!text || !*text)
    return 0;
  if (!bt_parse_i64(text, 0, INT64_MAX, &v))
    return bt_err_set(err, BT_INVALID, "\"%.40s\" is no revision to resume after", text);
  *after = (uint64_t)v;
  return 0;
}
