/* WebSockets over a socket pair's worth of loopback: the handshake of RFC 6455, frames in any split, what breaks them. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/problem.h"
#include "api/sse.h"
#include "api/websocket.h"
#include "base/mem.h"
#include "tap.h"

static struct bt_loop *loop;
static struct bt_httpd *httpd;
static struct bt_ws *ws;
static struct bt_sse *sse;
static char seen[256];
static size_t seen_len;
static int closed_code, closes;

static void stop(void *arg) {
  (void)arg;
  bt_loop_stop(loop);
}

static void on_message(void *arg, bool text, const char *data, size_t len) {
  (void)arg;
  seen_len = len;
  snprintf(seen, sizeof seen, "%s:%.*s", text ? "text" : "binary", (int)BT_MIN(len, 100), len ? data : "");
  bt_ws_send(ws, text, data, len);
}

static void on_closed(void *arg, int code) {
  (void)arg;
  closes++;
  closed_code = code;
}

static void on_sse_gone(void *arg) {
  (void)arg;
  bt_sse_end(&sse);
}

static void on_request(void *arg, struct bt_exchange *x) {
  (void)arg;
  BT_AUTO_ERR err = NULL;
  if (bt_streq(x->req->path, "/sse")) {
    x->on_gone = on_sse_gone;
    sse = bt_sse_begin(loop, x);
    bt_sse_send(sse, "7", "app", "{\"a\":1}");
    bt_sse_send(sse, NULL, NULL, "two\nlines");
    bt_sse_end(&sse);
    return;
  }
  ws = bt_ws_accept(loop, x, &(struct bt_ws_handler){.message = on_message, .closed = on_closed}, &err);
  if (!ws)
    bt_problem_status(x, 426, bt_err_code(err), bt_err_message(err));
}

static void run_for(int64_t ms) {
  struct bt_timer *t = bt_timer_new(loop, "guard", stop, NULL);
  bt_timer_set(t, ms);
  bt_loop_run(loop);
  bt_timer_free(&t);
}

static int dial(void) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)bt_httpd_port(httpd)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&in, sizeof in) < 0)
    abort();
  return fd;
}

static char got[70000];
static size_t got_len;

/* Lets the server work until at least want bytes are here (0: until it closes), 3 s at most. */
static void hear(int fd, size_t want) {
  got_len = 0;
  for (int i = 0; i < 300; i++) {
    run_for(i ? 10 : 1);
    ssize_t n = recv(fd, got + got_len, sizeof got - 1 - got_len, MSG_DONTWAIT);
    if (n > 0)
      got_len += (size_t)n;
    if (n == 0 || (want && got_len >= want))
      break;
  }
  got[got_len] = 0;
}

#define SHAKE                                                                                      \
  "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"     \
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static int open_ws(void) {
  int fd = dial();
  send(fd, SHAKE, sizeof SHAKE - 1, 0);
  hear(fd, 100);
  closes = 0;
  closed_code = 0;
  seen[0] = 0;
  return fd;
}

/* A masked frame as a client sends it. */
static size_t frame(char *out, int first, const void *data, size_t len) {
  static const unsigned char mask[4] = {1, 2, 3, 4};
  size_t n = 0;
  out[n++] = (char)first;
  if (len < 126) {
    out[n++] = (char)(0x80 | len);
  } else {
    out[n++] = (char)(0x80 | 126);
    out[n++] = (char)(len >> 8);
    out[n++] = (char)len;
  }
  memcpy(out + n, mask, 4);
  n += 4;
  for (size_t i = 0; i < len; i++)
    out[n++] = (char)(((const char *)data)[i] ^ mask[i & 3]);
  return n;
}

static void say(int fd, int first, const char *text) {
  char buf[300];
  size_t n = frame(buf, first, text, strlen(text));
  send(fd, buf, n, 0);
}

static void test_handshake(void) {
  int fd = open_ws();
  ok(bt_starts(got, "HTTP/1.1 101 ") && strstr(got, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
     "the handshake of RFC 6455's example");
  close(fd);
  run_for(30);
  ok(closes == 1 && closed_code == 1006, "a connection that just ends: 1006");
  static const char *const bad[] = {
      "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 8\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: c2hvcnQ=\r\n\r\n",
  };
  for (size_t i = 0; i < BT_COUNT(bad); i++) {
    fd = dial();
    send(fd, bad[i], strlen(bad[i]), 0);
    hear(fd, 0);
    ok(bt_starts(got, "HTTP/1.1 426 "), "no handshake: 426");
    close(fd);
  }
}

static void test_messages(void) {
  int fd = open_ws();
  say(fd, 0x81, "hello");
  hear(fd, 7);
  is_str(seen, "text:hello", "a text message");
  ok(got_len == 7 && memcmp(got, "\x81\x05hello", 7) == 0, "and back, unmasked");
  say(fd, 0x02, "one ");
  say(fd, 0x89, "ping");
  say(fd, 0x00, "two ");
  say(fd, 0x80, "three");
  hear(fd, 6 + 15);
  is_str(seen, "binary:one two three", "fragments, with a ping between");
  ok(memcmp(got, "\x8a\x04ping\x82\x0done two three", 6 + 15) == 0, "the pong comes at once");
  say(fd, 0x82, "");
  hear(fd, 2);
  is_str(seen, "binary:", "an empty message");
  char big[3010], out[3020];
  memset(big, 'b', sizeof big);
  size_t n = frame(out, 0x82, big, 3000);
  for (size_t i = 0; i < n; i++) { /* byte by byte */
    send(fd, out + i, 1, 0);
    if (i % 500 == 0)
      run_for(1);
  }
  hear(fd, 3004);
  ok(seen_len == 3000 && memcmp(got, "\x82\x7e\x0b\xb8", 4) == 0, "a 16-bit length, in pieces");
  say(fd, 0x88, "\x03\xe8" "bye");
  hear(fd, 0);
  ok(memcmp(got, "\x88\x02\x03\xe8", 4) == 0 && closes == 1 && closed_code == 1000, "the close is answered, the socket ends");
  close(fd);
}

static void test_broken(void) {
  static const struct {
    const char *name, *data;
    size_t len;
    int code;
  } t[] = {
      {"no mask", "\x81\x05hello", 7, 1002},
      {"a reserved bit", "\xc1\x80\1\2\3\4", 6, 1002},
      {"an unknown opcode", "\x83\x80\1\2\3\4", 6, 1002},
      {"a continuation of nothing", "\x80\x80\1\2\3\4", 6, 1002},
      {"a fragmented ping", "\x09\x80\1\2\3\4", 6, 1002},
      {"a ping with a long length", "\x89\xfe\x00\x80\1\2\3\4", 8, 1002},
      {"a length that is not the shortest", "\x82\xfe\x00\x05\1\2\3\4", 8, 1002},
      {"a message over 1 MiB", "\x82\xff\x00\x00\x00\x00\x00\x10\x00\x01\1\2\3\4", 14, 1009},
      {"a length of 2^63", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\1\2\3\4", 14, 1009},
      {"text that is not UTF-8", "\x81\x82\0\0\0\0\xc0\xaf", 8, 1007},
      {"a surrogate", "\x81\x83\0\0\0\0\xed\xa0\x80", 9, 1007},
      {"a close with one byte", "\x88\x81\0\0\0\0\x03", 7, 1002},
      {"a close with a reserved code", "\x88\x82\0\0\0\0\x03\xee", 8, 1002},
      {"a new message inside another", "\x01\x81\0\0\0\0x\x81\x81\0\0\0\0y", 14, 1002},
  };
  for (size_t i = 0; i < BT_COUNT(t); i++) {
    int fd = open_ws();
    send(fd, t[i].data, t[i].len, 0);
    hear(fd, 0);
    int code = got_len >= 4 ? (unsigned char)got[2] << 8 | (unsigned char)got[3] : 0;
    if (!ok((unsigned char)got[0] == 0x88 && code == t[i].code && closes == 1 && seen[0] == 0, "%s: %d", t[i].name, t[i].code))
      printf("# %zu bytes, code %d, closes %d, saw %s\n", got_len, code, closes, seen);
    close(fd);
  }
}

static void test_our_close(void) {
  int fd = open_ws();
  bt_ws_close(ws, 1001, "going away");
  bt_ws_close(ws, 1000, "again");
  hear(fd, 14);
  ok(got_len == 14 && memcmp(got, "\x88\x0c\x03\xe9going away", 14) == 0 && closes == 0, "our close waits for the peer's");
  say(fd, 0x81, "late");
  say(fd, 0x88, "\x03\xe9");
  hear(fd, 0);
  ok(closes == 1 && seen[0] == 0, "which ends it; messages in between are dropped");
  close(fd);
}

static void test_sse(void) {
  int fd = dial();
  static const char rq[] = "GET /sse HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  send(fd, rq, sizeof rq - 1, 0);
  hear(fd, 0);
  ok(strstr(got, "Content-Type: text/event-stream\r\n"), "an event stream");
  ok(strstr(got, "id: 7\nevent: app\ndata: {\"a\":1}\n\n") && strstr(got, "data: two\ndata: lines\n\n"), "events, framed");
  close(fd);
}

int main(void) {
  BT_AUTO_ERR err = NULL;
  loop = bt_loop_new();
  httpd = bt_httpd_new(&(struct bt_httpd_options){.loop = loop, .on_request = on_request});
  is_int(bt_httpd_listen_tcp(httpd, "127.0.0.1:0", NULL, &err), 0, "listening");
  test_handshake();
  test_messages();
  test_broken();
  test_our_close();
  test_sse();
  int fd = open_ws();
  bt_httpd_free(&httpd);
  run_for(20);
  is_int(closes, 1, "the server's end closes its sockets");
  close(fd);
  bt_loop_free(&loop);
  return done_testing();
}
