#include "config.h"
#include "cli/ws.h"

#include "base/mem.h"

enum { max_message = 4 << 20 };

void bt_ws_frame(struct bt_buf *out, enum bt_ws_opcode opcode, const uint8_t mask[4], const void *data, size_t len) {
  uint8_t head[14] = {(uint8_t)(0x80 | opcode)};
  size_t n = 2, width = len < 126 ? 0 : len < 65536 ? 2 : 8;
  head[1] = (uint8_t)(0x80 | (width == 0 ? len : width == 2 ? 126 : 127));
  for (size_t i = 0; i < width; i++)
    head[n++] = (uint8_t)(len >> (8 * (width - 1 - i)));
  memcpy(head + n, mask, 4);
  bt_buf_add(out, head, n + 4);
  const uint8_t *bytes = data;
  for (size_t i = 0; i < len; i++)
    bt_buf_addc(out, (char)(bytes[i] ^ mask[i % 4]));
}

struct frame {
  bool fin;
  enum bt_ws_opcode opcode;
  size_t head, len;
};

static int broken(struct bt_err **err, const char *what) {
  return bt_err_set(err, BT_IO, "the server broke the WebSocket protocol: %s", what);
}

/* 1 where a whole frame stands at the front of in, 0 where bytes are missing, -1 where it is against the protocol. */
static int parse(const struct bt_buf *in, struct frame *f, struct bt_err **err) {
  const uint8_t *p = (const uint8_t *)in->data;
  if (in->len < 2)
    return 0;
  if (p[0] & 0x70)
    return broken(err, "reserved bits are set");
  if (p[1] & 0x80)
    return broken(err, "a frame is masked");
  *f = (struct frame){.fin = p[0] & 0x80, .opcode = (enum bt_ws_opcode)(p[0] & 15), .head = 2, .len = p[1] & 127};
  size_t width = f->len == 126 ? 2 : f->len == 127 ? 8 : 0;
  if (f->opcode >= BT_WS_CLOSE && (width || !f->fin))
    return broken(err, "a control frame is long or in pieces");
  if (in->len < f->head + width)
    return 0;
  uint64_t len = width ? 0 : f->len;
  for (size_t i = 0; i < width; i++)
    len = len << 8 | p[f->head++];
  if (len > max_message)
    return broken(err, "a message is over 4 MiB");
  f->len = (size_t)len;
  return in->len >= f->head + f->len;
}

static int take(struct bt_ws *ws, const struct frame *f, const char *data, struct bt_err **err) {
  if (f->opcode >= BT_WS_CLOSE) {
    if (f->opcode > BT_WS_PONG)
      return broken(err, "an unknown kind of frame");
    ws->closed |= f->opcode == BT_WS_CLOSE;
    ws->message(ws->arg, f->opcode, data, f->len);
    return 0;
  }
  if (f->opcode > BT_WS_BINARY)
    return broken(err, "an unknown kind of frame");
  if ((f->opcode == BT_WS_MORE) != (ws->joined_opcode != BT_WS_MORE))
    return broken(err, "the pieces of a message are out of order");
  if (ws->joined.len + f->len > max_message)
    return broken(err, "a message is over 4 MiB");
  if (f->opcode != BT_WS_MORE)
    ws->joined_opcode = f->opcode;
  bt_buf_add(&ws->joined, data, f->len);
  if (f->fin) {
    ws->message(ws->arg, ws->joined_opcode, ws->joined.data, ws->joined.len);
    bt_buf_truncate(&ws->joined, 0);
    ws->joined_opcode = BT_WS_MORE;
  }
  return 0;
}

int bt_ws_feed(struct bt_ws *ws, const void *data, size_t len, struct bt_err **err) {
  bt_buf_add(&ws->in, data, len);
  struct frame f = {0};
  int whole = 0;
  size_t used = 0;
  struct bt_buf left = ws->in;
  while (!ws->closed && (whole = parse(&left, &f, err)) == 1) {
    if (take(ws, &f, left.data + f.head, err))
      return -1;
    used += f.head + f.len;
    left = (struct bt_buf){.data = ws->in.data + used, .len = ws->in.len - used};
  }
  bt_buf_consume(&ws->in, ws->closed ? ws->in.len : used);
  return whole < 0 ? -1 : 0;
}

void bt_ws_free(struct bt_ws *ws) {
  bt_buf_free(&ws->in);
  bt_buf_free(&ws->joined);
}
