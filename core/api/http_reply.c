#include "config.h"
#include "api/http_server.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>

#include "api/http_conn.h"
#include "base/mem.h"

const char *bt_http_reason(int status) {
  static const struct {
    int status;
    const char *text;
  } table[] = {
      {101, "Switching Protocols"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
      {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
      {405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"}, {412, "Precondition Failed"},
      {413, "Content Too Large"}, {415, "Unsupported Media Type"}, {417, "Expectation Failed"},
      {422, "Unprocessable Content"}, {426, "Upgrade Required"}, {428, "Precondition Required"},
      {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
      {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
  };
  for (size_t i = 0; i < BT_COUNT(table); i++)
    if (table[i].status == status)
      return table[i].text;
  return "Status";
}

static struct evbuffer *output(const struct bt_exchange *x) { return bufferevent_get_output(x->conn->bev); }

void bt_reply_header(struct bt_exchange *x, const char *name, const char *value) {
  bt_buf_addf(&x->extra, "%s: %.*s\r\n", name, (int)strcspn(value, "\r\n"), value);
}

/* True where the connection closes after this answer. */
static bool closes(const struct bt_exchange *x) {
  const struct bt_req *req = x->req;
  return !req->keep_alive || req->state != BT_REQ_DONE || x->conn->eof || x->conn->close_after;
}

/* As a rule nothing here may be kept or guessed at; who answers may say otherwise. */
static const char *standing_headers(struct bt_exchange *x, int status) {
  if (status == 101)
    return "";
  bool own = x->extra.len && strcasestr(x->extra.data, "cache-control:");
  return own ? "X-Content-Type-Options: nosniff\r\n" : "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n";
}

/* length < 0: unknown. */
static void send_head(struct bt_exchange *x, int status, const char *type, long long length, bool close) {
  char head[512];
  int n = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s", status, bt_http_reason(status), bt_httpd_date(x->conn->httpd),
                   standing_headers(x, status));
  if (type)
    n += snprintf(head + n, sizeof head - (size_t)n, "Content-Type: %.100s\r\n", type);
  if (length >= 0 && status != 204 && status != 304)
    n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %lld\r\n", length);
  if (length < 0 && x->chunked)
    n += snprintf(head + n, sizeof head - (size_t)n, "Transfer-Encoding: chunked\r\n");
  if (close)
    n += snprintf(head + n, sizeof head - (size_t)n, "Connection: close\r\n");
  struct evbuffer *out = output(x);
  evbuffer_add(out, head, (size_t)n);
  bt_buf_adds(&x->extra, "\r\n");
  evbuffer_add(out, x->extra.data, x->extra.len);
}

static void end(struct bt_exchange *x, bool keep) {
  struct bt_conn *conn = x->conn;
  if (conn)
    bt_conn_answered(conn, keep); /* takes the exchange back */
  else
    bt_exchange_free(x);
}

void bt_reply(struct bt_exchange *x, int status, const char *type, const void *body, size_t len) {
  BT_ASSERT(!x->replied);
  x->replied = true;
  if (x->capture)
    x->capture(x->capture_arg, status, body, len);
  if (!x->conn) {
    end(x, false);
    return;
  }
  bool close = closes(x);
  send_head(x, status, type, (long long)len, close);
  if (len && !x->head_only && status != 204 && status != 304)
    evbuffer_add(output(x), body, len);
  end(x, !close);
}

void bt_reply_begin(struct bt_exchange *x, int status, const char *type) {
  BT_ASSERT(!x->replied);
  x->replied = x->streaming = true;
  if (!x->conn)
    return;
  x->chunked = !x->req->http10;
  bt_conn_deadline(x->conn, -1);
  send_head(x, status, type, -1, closes(x));
}

size_t bt_reply_waiting(const struct bt_exchange *x) { return x->conn ? evbuffer_get_length(output(x)) : 0; }

static size_t check_waiting(struct bt_exchange *x) {
  size_t waiting = bt_reply_waiting(x);
  if (waiting > BT_CONN_MAX_OUTPUT)
    bt_conn_kill(x->conn);
  return waiting;
}

size_t bt_reply_write(struct bt_exchange *x, const void *data, size_t len) {
  if (!x->conn || x->conn->dead || x->head_only || len == 0)
    return bt_reply_waiting(x);
  struct evbuffer *out = output(x);
  if (x->chunked)
    evbuffer_add_printf(out, "%zx\r\n", len);
  evbuffer_add(out, data, len);
  if (x->chunked)
    evbuffer_add(out, "\r\n", 2);
  return check_waiting(x);
}

void bt_reply_end(struct bt_exchange *x) {
  if (x->conn && x->chunked && !x->head_only)
    evbuffer_add(output(x), "0\r\n\r\n", 5);
  end(x, x->conn && x->chunked && !closes(x));
}

void bt_reply_abort(struct bt_exchange *x) { end(x, false); }

void bt_exchange_take_over(struct bt_exchange *x, size_t (*on_bytes)(void *arg, const char *data, size_t len)) {
  BT_ASSERT(!x->replied && x->conn);
  x->replied = x->streaming = true;
  bt_conn_deadline(x->conn, -1);
  send_head(x, 101, NULL, -1, false);
  bufferevent_setwatermark(x->conn->bev, EV_READ, 0, BT_CONN_RAW_INPUT);
  x->conn->state = BT_CONN_RAW;
  x->conn->on_bytes = on_bytes;
}

size_t bt_exchange_send(struct bt_exchange *x, const void *data, size_t len) {
  if (!x->conn || x->conn->dead)
    return 0;
  evbuffer_add(output(x), data, len);
  return check_waiting(x);
}

void bt_exchange_pause(struct bt_exchange *x, bool pause) {
  if (!x->conn || x->conn->paused == pause)
    return;
  x->conn->paused = pause;
  if (pause)
    bufferevent_disable(x->conn->bev, EV_READ);
  else
    bufferevent_enable(x->conn->bev, EV_READ);
}
