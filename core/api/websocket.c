#include "config.h"
#include "api/websocket.h"

#include <openssl/sha.h>
#include <sodium.h>
#include <strings.h>

#include "api/ws_frame.h"
#include "base/mem.h"

enum {
  CLOSE_WAIT_MS = 2000,
  PING_MS = 30000,
  GONE = 1006 /* no close frame came */
};

struct bt_ws {
  struct bt_loop *loop;
  struct bt_exchange *x;
  struct bt_ws_handler h;
  struct bt_timer *timer; /* pings; after our close frame: the wait for the peer's */
  struct bt_buf message;  /* fragments so far */
  int op;                 /* of the fragmented message; 0: none */
  bool close_sent, awaiting_pong, ended;
  int code;
};

/* ---------------------------------------------------------------- the end */

/* In a turn of its own, so that closed never comes from inside a call of the caller's. */
static void on_end(void *arg) {
  struct bt_ws *ws = arg;
  if (ws->x)
    bt_reply_end(bt_steal(ws->x));
  bt_timer_free(&ws->timer);
  ws->h.closed(ws->h.arg, ws->code);
  bt_buf_free(&ws->message);
  free(ws);
}

static void end(struct bt_ws *ws, int code) {
  if (ws->ended)
    return;
  ws->ended = true;
  ws->code = code;
  bt_loop_post(ws->loop, "websocket", on_end, ws);
}

static void on_gone(void *arg) {
  struct bt_ws *ws = arg;
  end(ws, GONE);
}

/* ---------------------------------------------------------------- sending */

static size_t send_frame(struct bt_ws *ws, int op, const void *data, size_t len) {
  unsigned char head[10] = {(unsigned char)(0x80 | op)};
  size_t n = 2;
  if (len < 126) {
    head[1] = (unsigned char)len;
  } else if (len <= 0xffff) {
    head[1] = 126;
    head[2] = (unsigned char)(len >> 8);
    head[3] = (unsigned char)len;
    n = 4;
  } else {
    head[1] = 127;
    for (int i = 0; i < 8; i++)
      head[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
    n = 10;
  }
  bt_exchange_send(ws->x, head, n);
  return bt_exchange_send(ws->x, data, len);
}

size_t bt_ws_send(struct bt_ws *ws, bool text, const void *data, size_t len) {
  if (ws->ended || ws->close_sent)
    return 0;
  return send_frame(ws, text ? BT_WS_TEXT : BT_WS_BINARY, data, len);
}

size_t bt_ws_waiting(const struct bt_ws *ws) { return ws->ended ? 0 : bt_reply_waiting(ws->x); }

static void send_close(struct bt_ws *ws, int code, const char *reason) {
  char payload[125];
  size_t n = strnlen(reason, sizeof payload - 2);
  payload[0] = (char)(code >> 8);
  payload[1] = (char)code;
  memcpy(payload + 2, reason, n);
  send_frame(ws, BT_WS_CLOSE, payload, n + 2);
  ws->close_sent = true;
}

void bt_ws_close(struct bt_ws *ws, int code, const char *reason) {
  if (ws->ended || ws->close_sent)
    return;
  send_close(ws, code, reason);
  bt_exchange_pause(ws->x, false); /* the peer's close frame has to get in */
  bt_timer_set(ws->timer, CLOSE_WAIT_MS);
}

void bt_ws_pause(struct bt_ws *ws, bool pause) {
  if (!ws->ended && !ws->close_sent)
    bt_exchange_pause(ws->x, pause);
}

static void fail(struct bt_ws *ws, int code, const char *reason) {
  if (!ws->close_sent)
    send_close(ws, code, reason);
  end(ws, code);
}

static void on_timer(void *arg) {
  struct bt_ws *ws = arg;
  if (ws->close_sent || ws->awaiting_pong) {
    end(ws, GONE);
    return;
  }
  ws->awaiting_pong = true;
  send_frame(ws, BT_WS_PING, "berth", 5);
  bt_timer_set(ws->timer, PING_MS);
}

/* ---------------------------------------------------------------- receiving */

static void got_message(struct bt_ws *ws, int op, const char *data, size_t len) {
  if (op == BT_WS_TEXT && !bt_utf8_valid(data, len))
    fail(ws, 1007, "a text message is not UTF-8");
  else if (!ws->close_sent)
    ws->h.message(ws->h.arg, op == BT_WS_TEXT, data, len);
}

static void got_close(struct bt_ws *ws, const char *data, size_t len) {
  int code = len >= 2 ? (unsigned char)data[0] << 8 | (unsigned char)data[1] : 1005;
  if (len == 1 || (len >= 2 && !bt_ws_close_valid(code)) || (len > 2 && !bt_utf8_valid(data + 2, len - 2))) {
    fail(ws, 1002, "a close frame breaks the protocol");
    return;
  }
  if (!ws->close_sent)
    send_close(ws, len >= 2 ? code : 1000, "");
  end(ws, code);
}

static void got_frame(struct bt_ws *ws, const struct bt_ws_frame *f, const char *data) {
  switch (f->op) {
  case BT_WS_CLOSE:
    got_close(ws, data, f->len);
    return;
  case BT_WS_PING:
    if (!ws->close_sent)
      send_frame(ws, BT_WS_PONG, data, f->len);
    return;
  case BT_WS_PONG:
    ws->awaiting_pong = false;
    return;
  default:
    break;
  }
  if (f->fin && f->op != BT_WS_CONT) {
    got_message(ws, f->op, data, f->len);
    return;
  }
  bt_buf_add(&ws->message, data, f->len);
  if (f->op != BT_WS_CONT)
    ws->op = f->op;
  if (!f->fin)
    return;
  int op = ws->op;
  ws->op = 0;
  got_message(ws, op, ws->message.data, ws->message.len);
  bt_buf_free(&ws->message);
}

static size_t on_bytes(void *arg, const char *data, size_t len) {
  struct bt_ws *ws = arg;
  if (ws->ended)
    return len;
  struct bt_ws_frame f;
  int rc = bt_ws_frame_read((const unsigned char *)data, len, ws->op != 0, ws->message.len, BT_WS_MAX_MESSAGE, &f);
  if (rc > 1) {
    fail(ws, rc, rc == 1009 ? "a message is larger than 1 MiB" : "a frame breaks the protocol");
    return len;
  }
  if (rc == 0 || len - f.head < f.len)
    return 0;
  BT_AUTO_FREE char *plain = bt_memdup(data + f.head, f.len);
  for (size_t i = 0; i < f.len; i++)
    plain[i] = (char)(plain[i] ^ f.mask[i & 3]);
  got_frame(ws, &f, plain);
  return f.head + f.len;
}

/* ---------------------------------------------------------------- the handshake */

/* Is word an element of a header's comma-separated list? */
static bool list_has(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *p = list; p && *p;) {
    p += strspn(p, " \t,");
    size_t len = strcspn(p, " \t,");
    if (len == n && strncasecmp(p, word, n) == 0)
      return true;
    p += len;
  }
  return false;
}

static int check_handshake(const struct bt_req *req, struct bt_err **err) {
  const char *key = bt_req_header(req, "sec-websocket-key");
  unsigned char raw[24];
  size_t n = 0;
  if (!bt_streq(req->method, "GET") || req->http10 || !list_has(bt_req_header(req, "connection"), "upgrade") ||
      !list_has(bt_req_header(req, "upgrade"), "websocket"))
    return bt_err_set(err, BT_UNSUPPORTED, "this address is a WebSocket: ask with Upgrade: websocket");
  if (!bt_streq(bt_req_header(req, "sec-websocket-version"), "13"))
    return bt_err_set(err, BT_UNSUPPORTED, "only version 13 of the WebSocket protocol is spoken here");
  if (!key || sodium_base642bin(raw, sizeof raw, key, strlen(key), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) < 0 || n != 16)
    return bt_err_set(err, BT_INVALID, "Sec-WebSocket-Key is not 16 bytes in base64");
  return 0;
}

static void answer_handshake(struct bt_exchange *x) {
  BT_AUTO_FREE char *text =
      bt_asprintf("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", bt_req_header(x->req, "sec-websocket-key"));
  unsigned char sha[SHA_DIGEST_LENGTH];
  char accept[40];
  SHA1((const unsigned char *)text, strlen(text), sha);
  sodium_bin2base64(accept, sizeof accept, sha, sizeof sha, sodium_base64_VARIANT_ORIGINAL);
  bt_reply_header(x, "Upgrade", "websocket");
  bt_reply_header(x, "Connection", "Upgrade");
  bt_reply_header(x, "Sec-WebSocket-Accept", accept);
}

static void on_drain(void *arg) {
  struct bt_ws *ws = arg;
  if (!ws->ended && ws->h.drain)
    ws->h.drain(ws->h.arg);
}

struct bt_ws *bt_ws_accept(struct bt_loop *loop, struct bt_exchange *x, const struct bt_ws_handler *handler,
                           struct bt_err **err) {
  if (!x->conn) {
    bt_err_set(err, BT_UNSUPPORTED, "a WebSocket needs a connection of its own");
    return NULL;
  }
  if (check_handshake(x->req, err) < 0)
    return NULL;
  struct bt_ws *ws = bt_new(struct bt_ws);
  *ws = (struct bt_ws){.loop = loop, .x = x, .h = *handler};
  ws->timer = bt_timer_new(loop, "websocket", on_timer, ws);
  bt_timer_set(ws->timer, PING_MS);
  x->arg = ws;
  x->on_gone = on_gone;
  x->on_drain = on_drain;
  answer_handshake(x);
  bt_exchange_take_over(x, on_bytes);
  return ws;
}
