/* The HTTP server over real sockets on loopback: what it refuses, its limits in bytes and time, order, slow readers. The
 * client is a plain socket that a second thread of control is not needed for: it is driven by the same loop. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/http_listen.h"
#include "api/http_server.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tap.h"

static struct bt_loop *loop;
static struct bt_httpd *httpd;
static char dir[] = "/tmp/berth-httpd-XXXXXX";
static char *sock_path;
static struct bt_exchange *held; /* a request whose answer waits */
static int gone, drained;
static size_t big_left;

static void stop(void *arg) {
  (void)arg;
  bt_loop_stop(loop);
}

/* ---------------------------------------------------------------- the application */

static void on_gone(void *arg) {
  (void)arg;
  gone++;
}

/* A stream larger than any buffer, written only as fast as it is read. */
static void feed_big(void *arg) {
  struct bt_exchange *x = arg;
  static char chunk[32768];
  memset(chunk, 'x', sizeof chunk);
  drained++;
  while (big_left > 0) {
    size_t n = BT_MIN(big_left, sizeof chunk);
    big_left -= n;
    if (bt_reply_write(x, chunk, n) > 256 * 1024)
      return;
  }
  bt_reply_end(x);
}

static void end_big(void *arg) { bt_reply_end(arg); }

static size_t flood_waited;
static void on_flood_gone(void *arg) {
  gone++;
  bt_reply_end(arg);
}

static size_t echo_bytes(void *arg, const char *data, size_t len) {
  struct bt_exchange *x = arg;
  bt_exchange_send(x, data, len);
  if (memchr(data, '!', len))
    bt_reply_end(x);
  return len;
}

static void on_request(void *arg, struct bt_exchange *x) {
  (void)arg;
  x->arg = x;
  if (bt_streq(x->req->path, "/hold")) {
    x->on_gone = on_gone;
    held = x;
    bt_loop_stop(loop);
  } else if (bt_streq(x->req->path, "/stream")) {
    bt_reply_begin(x, 200, "text/plain");
    bt_reply_write(x, "one", 3);
    bt_reply_write(x, "two", 3);
    bt_reply_end(x);
  } else if (bt_streq(x->req->path, "/big")) {
    big_left = 8 * 1024 * 1024;
    x->on_drain = feed_big;
    x->on_gone = end_big;
    bt_reply_begin(x, 200, "text/plain");
    feed_big(x);
  } else if (bt_streq(x->req->path, "/flood")) { /* a writer that does not look at what waits */
    static char chunk[1024 * 1024];
    x->on_gone = on_flood_gone;
    bt_reply_begin(x, 200, "text/plain");
    for (int i = 0; i < 40; i++)
      flood_waited = BT_MAX(flood_waited, bt_reply_write(x, chunk, sizeof chunk));
  } else if (bt_streq(x->req->path, "/raw")) {
    bt_exchange_take_over(x, echo_bytes);
  } else {
    bt_reply_header(x, "X-Extra", "a\r\nEvil: b");
    BT_AUTO_BUF out = {0};
    bt_buf_addf(&out, "%s %s?%s [", x->req->method, x->req->path, x->req->query);
    bt_buf_add(&out, x->req->body.data, x->req->body.len);
    bt_buf_adds(&out, "]");
    bt_reply(x, 200, "text/plain", out.data, out.len);
  }
}

static void on_head(void *arg, struct bt_exchange *x) {
  (void)arg;
  if (bt_streq(x->req->path, "/known"))
    strcpy(x->actor, "friend");
  if (bt_streq(x->req->path, "/forbidden"))
    bt_reply(x, 403, "text/plain", "no", 2);
}

static void start(struct bt_httpd_options o) {
  BT_AUTO_ERR err = NULL;
  o.loop = loop;
  o.on_request = on_request;
  o.on_head = on_head;
  httpd = bt_httpd_new(&o);
  if (bt_httpd_listen_tcp(httpd, "127.0.0.1:0", NULL, &err) < 0)
    printf("# %s\n", bt_err_message(err));
}

/* ---------------------------------------------------------------- the client */

struct client {
  int fd;
  struct bt_watch *watch;
  struct bt_buf got;
  bool closed;
  size_t want; /* stop the loop once so much has come */
};

static void on_bytes(void *arg, int fd, int events) {
  (void)events;
  struct client *c = arg;
  char buf[65536];
  ssize_t n = read(fd, buf, sizeof buf);
  if (n > 0)
    bt_buf_add(&c->got, buf, (size_t)n);
  if (n <= 0) {
    c->closed = true;
    bt_watch_free(&c->watch);
  }
  if (n <= 0 || (c->want && c->got.len >= c->want))
    bt_loop_stop(loop);
}

/* As if from another machine: last is the last part of 127.0.0.x. */
static struct client dial_from(uint32_t last) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)bt_httpd_port(httpd)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffU) | last)};
  struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (bind(c.fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(c.fd, (struct sockaddr *)&in, sizeof in) < 0)
    abort();
  return c;
}

static struct client dial(void) { return dial_from(1); }

static void say(struct client *c, const char *data, size_t len) {
  while (len) {
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
    if (n <= 0)
      return;
    data += n;
    len -= (size_t)n;
  }
}

static void run_for(int64_t ms) {
  struct bt_timer *t = bt_timer_new(loop, "guard", stop, NULL);
  bt_timer_set(t, ms);
  bt_loop_run(loop);
  bt_timer_free(&t);
}

/* Reads until the server closes, or want bytes have come, or 5 s are over. */
static const char *hear(struct client *c, size_t want) {
  c->want = want;
  if (!c->closed && !c->watch)
    c->watch = bt_watch_new(loop, "client", c->fd, BT_WATCH_READ, on_bytes, c);
  if (!c->closed && !(want && c->got.len >= want))
    run_for(5000);
  bt_watch_free(&c->watch);
  return c->got.data ? c->got.data : "";
}

static void hang_up(struct client *c) {
  bt_watch_free(&c->watch);
  close(c->fd);
  bt_buf_free(&c->got);
}

/* Sends a whole request, waits for the close. */
static char *talk(const char *data, size_t len) {
  struct client c = dial();
  say(&c, data, len);
  char *out = bt_strdup(hear(&c, 0));
  if (!c.closed) {
    printf("# the server did not close\n");
    out[0] = 0;
  }
  hang_up(&c);
  return out;
}

static int status_of(const char *answer) { return bt_starts(answer, "HTTP/1.1 ") ? atoi(answer + 9) : -1; }

/* ---------------------------------------------------------------- tests */

#define RQ(text) text, sizeof(text) - 1

static void test_malformed(void) {
  static const struct {
    const char *name, *data;
    size_t len;
  } t[] = {
      {"Content-Length with Transfer-Encoding", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"Transfer-Encoding with Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")},
      {"two Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na")},
      {"two equal Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na")},
      {"a Content-Length list", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na")},
      {"obs-fold", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n")},
      {"obs-fold with a tab", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc: d\r\n\r\n")},
      {"a bare LF after the request line", RQ("GET / HTTP/1.1\nHost: x\r\n\r\n")},
      {"a bare LF after a header", RQ("GET / HTTP/1.1\r\nHost: x\n\r\n")},
      {"a bare LF as the empty line", RQ("GET / HTTP/1.1\r\nHost: x\r\n\n")},
      {"a bare CR in a value", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n")},
      {"chunk size 0x3", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n")},
      {"chunk size +3", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n")},
      {"chunk size -3", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n")},
      {"a bare LF after a chunk size", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n")},
      {"a bare LF after a chunk", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n")},
      {"a chunk longer than its size", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n")},
      {"a trailer", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHost: y\r\n\r\n")},
      {"Content-Length +3", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc")},
      {"Content-Length 0x3", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc")},
      {"Content-Length -1", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc")},
      {"an empty Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc")},
      {"an overflowing Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\nabc")},
      {"Transfer-Encoding: gzip, chunked", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
      {"Transfer-Encoding: xchunked", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")},
      {"two Transfer-Encodings", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"Transfer-Encoding in HTTP/1.0", RQ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"no Host", RQ("GET / HTTP/1.1\r\nA: b\r\n\r\n")},
      {"two Hosts", RQ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n")},
      {"a Host that is none", RQ("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n")},
      {"a space before the colon", RQ("GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n")},
      {"a header without colon", RQ("GET / HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n")},
      {"a header without name", RQ("GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n")},
      {"NUL in a value", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n")},
      {"NUL in a name", RQ("GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n")},
      {"a control character in a value", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n")},
      {"NUL in the path", RQ("GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"a dot segment", RQ("GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"an escaped dot segment", RQ("GET /a/%2e%2e/b HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"an escaped slash", RQ("GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"a broken escape", RQ("GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"HTTP/0.9", RQ("GET /\r\n\r\n")},
      {"no method that is one", RQ("G@T / HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"the preface of HTTP/2", RQ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
      {"a TLS hello", RQ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n")},
  };
  for (size_t i = 0; i < BT_COUNT(t); i++) {
    BT_AUTO_FREE char *answer = talk(t[i].data, t[i].len);
    const char *second = strstr(answer, "\r\nDate: ");
    second = second ? strstr(second + 1, "\r\nDate: ") : NULL;
    if (!ok(status_of(answer) == 400 && !second && strstr(answer, "Connection: close"), "400 and close: %s", t[i].name))
      printf("# %.60s\n", answer);
  }
}

static void test_limits(void) {
  BT_AUTO_BUF rq = {0};
  bt_buf_adds(&rq, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
  for (int i = 0; i < 17000; i++)
    bt_buf_addc(&rq, 'a');
  BT_AUTO_FREE char *a = talk(rq.data, rq.len);
  is_int(status_of(a), 431, "a head over 16 KB, also before it ends");
  bt_buf_truncate(&rq, 0);
  bt_buf_adds(&rq, "GET / HTTP/1.1\r\nHost: x\r\n");
  for (int i = 0; i < 100; i++)
    bt_buf_addf(&rq, "a%d: b\r\n", i);
  bt_buf_adds(&rq, "\r\n");
  BT_AUTO_FREE char *b = talk(rq.data, rq.len);
  is_int(status_of(b), 431, "more than 100 headers");
  BT_AUTO_FREE char *c = talk(RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3145729\r\n\r\n"));
  is_int(status_of(c), 413, "a body over 3 MB is refused before it comes");
  BT_AUTO_FREE char *d = talk(RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n300001\r\n"));
  is_int(status_of(d), 413, "a chunk over 3 MB as well");
  bt_buf_truncate(&rq, 0);
  bt_buf_adds(&rq, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  char kb[1025];
  memset(kb, 'x', 1024);
  kb[1024] = 0;
  for (int i = 0; i < 3073; i++)
    bt_buf_addf(&rq, "400\r\n%s\r\n", kb);
  struct client cl = dial();
  fcntl(cl.fd, F_SETFL, O_NONBLOCK);
  for (size_t at = 0; at < rq.len && !cl.closed;) {
    ssize_t n = send(cl.fd, rq.data + at, BT_MIN(rq.len - at, 65536), MSG_NOSIGNAL);
    if (n > 0)
      at += (size_t)n;
    else
      run_for(1);
  }
  is_int(status_of(hear(&cl, 0)), 413, "and many chunks that add up");
  hang_up(&cl);
  BT_AUTO_FREE char *e = talk(RQ("GET / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n"));
  is_int(status_of(e), 417, "an Expect that we do not know");
  BT_AUTO_FREE char *f = talk(RQ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"));
  is_int(status_of(f), 501, "CONNECT");
}

static void test_good(void) {
  BT_AUTO_FREE char *a = talk(RQ("GET /a%20b?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(status_of(a) == 200 && strstr(a, "\r\n\r\nGET /a b?x=1 []"), "a plain GET");
  ok(!strstr(a, "\nEvil"), "a header of ours cannot be split");
  BT_AUTO_FREE char *b = talk(RQ("GET / HTTP/1.0\r\n\r\n"));
  is_int(status_of(b), 200, "HTTP/1.0 without Host, closed after it");
  BT_AUTO_FREE char *c = talk(RQ("\r\nGET http://x/abs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(c, "GET /abs?"), "the absolute form, after an empty line");
  BT_AUTO_FREE char *d = talk(RQ("HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(status_of(d) == 200 && strstr(d, "Content-Length: 11\r\n") && bt_ends(d, "\r\n\r\n"), "HEAD: a length, no body");
  BT_AUTO_FREE char *e = talk(RQ("POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"));
  ok(strstr(e, "POST /c? [abcdefg]"), "a chunked body");
  BT_AUTO_FREE char *f = talk(RQ("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(f, "Transfer-Encoding: chunked\r\n") && bt_ends(f, "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "a chunked answer");
  BT_AUTO_FREE char *g = talk(RQ("GET /stream HTTP/1.0\r\n\r\n"));
  ok(bt_ends(g, "\r\n\r\nonetwo"), "HTTP/1.0 gets it plain");
  BT_AUTO_FREE char *h = talk(RQ("POST /forbidden HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  ok(status_of(h) == 403, "refused by its head: no 100, no body");
}

static void test_continue(void) {
  struct client c = dial();
  say(&c, RQ("POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"));
  is_str(hear(&c, 25), "HTTP/1.1 100 Continue\r\n\r\n", "100 Continue");
  say(&c, "hello", 5);
  ok(strstr(hear(&c, 0), "POST /e? [hello]"), "then the body");
  hang_up(&c);
}

static void test_pieces_and_pipeline(void) {
  static const char rq[] = "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                           "GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  BT_AUTO_FREE char *whole = talk(rq, sizeof rq - 1);
  const char *p1 = strstr(whole, "POST /1? [abc]"), *p2 = strstr(whole, "GET /2? []"), *p3 = strstr(whole, "3\r\ntwo"),
             *p4 = strstr(whole, "GET /3? []");
  ok(p1 && p2 > p1 && p3 > p2 && p4 > p3, "pipelined requests are answered in order");
  struct client c = dial();
  for (size_t i = 0; i < sizeof rq - 1; i++) {
    say(&c, rq + i, 1);
    if (i % 8 == 0)
      run_for(0);
  }
  char *pieces = bt_strdup(hear(&c, 0));
  for (char *d; (d = strstr(pieces, "Date: "));) /* may differ by a second */
    memset(d, '-', 35);
  for (char *d; (d = strstr(whole, "Date: "));)
    memset(d, '-', 35);
  is_str(pieces, whole, "byte by byte comes out the same");
  free(pieces);
  hang_up(&c);
}

static void test_late_answers(void) {
  struct client c = dial();
  say(&c, RQ("GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  run_for(5000);
  run_for(20);
  ok(held && c.got.len == 0, "an answer may come later, the next request waits");
  bt_reply(held, 200, "text/plain", "late", 4);
  const char *a = hear(&c, 0);
  const char *p = strstr(a, "late");
  ok(p && strstr(p, "GET /after? []"), "and goes on then");
  hang_up(&c);
  c = dial();
  held = NULL;
  gone = 0;
  say(&c, RQ("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
  run_for(5000);
  struct linger lg = {1, 0};
  setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg); /* a reset */
  hang_up(&c);
  run_for(50);
  is_int(gone, 1, "a client that goes away is told of");
  bt_reply(held, 200, "text/plain", "x", 1);
  ok(true, "and may still be answered");
  c = dial();
  say(&c, RQ("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
  shutdown(c.fd, SHUT_WR);
  run_for(5000);
  run_for(20);
  bt_reply(held, 200, "text/plain", "half", 4);
  ok(strstr(hear(&c, 0), "half") && c.closed, "a half-closed client gets its answer");
  hang_up(&c);
}

static void test_slow_reader(void) {
  struct client c = dial();
  setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){16384}, sizeof(int));
  drained = 0;
  say(&c, RQ("GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  run_for(100);
  size_t sent = 8 * 1024 * 1024 - big_left;
  ok(sent < 6 * 1024 * 1024 && big_left > 0, "a slow reader holds the writer back (%zu KB out)", sent / 1024);
  setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){1024 * 1024}, sizeof(int));
  hear(&c, 0);
  ok(c.got.len > 8 * 1024 * 1024 && bt_ends(c.got.data, "0\r\n\r\n"), "and gets all in the end, in %d steps", drained);
  hang_up(&c);
}

static void test_flood(void) {
  struct client c = dial();
  gone = 0;
  say(&c, RQ("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"));
  for (int i = 0; i < 50 && !gone; i++)
    run_for(20);
  is_int(gone, 1, "a client for whom too much waits is dropped");
  ok(flood_waited < 18 * 1024 * 1024, "and no more than that is kept (%zu MB)", flood_waited >> 20);
  hang_up(&c);
}

static void test_raw(void) {
  struct client c = dial();
  say(&c, RQ("GET /raw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\nearly "));
  run_for(20);
  say(&c, RQ("late!"));
  const char *a = hear(&c, 0);
  ok(status_of(a) == 101 && bt_ends(a, "\r\n\r\nearly late!") && c.closed, "a connection taken over");
  hang_up(&c);
  BT_AUTO_FREE char *b = talk(RQ("GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
                                 "GET /y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(b, "GET /x? []") && strstr(b, "GET /y? []"), "an upgrade that nobody takes up is a plain request");
}

static void test_deadlines(void) {
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.head_ms = 150, .body_ms = 200, .idle_ms = 100, .write_ms = 200, .max_connections = 2});
  int64_t t0 = bt_clock_mono_ms();
  struct client c = dial();
  say(&c, RQ("GET / HTTP/1.1\r\nHost:"));
  run_for(100);
  say(&c, RQ(" x\r\n")); /* a trickle does not extend it */
  is_int(status_of(hear(&c, 0)), 408, "a head that does not end: 408");
  ok(bt_clock_mono_ms() - t0 < 2500, "in time");
  hang_up(&c);
  c = dial();
  say(&c, RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"));
  is_int(status_of(hear(&c, 0)), 408, "a body that does not end: 408");
  hang_up(&c);
  c = dial();
  is_str(hear(&c, 0), "", "a connection without a word is closed");
  ok(c.closed, "closed");
  hang_up(&c);
  c = dial();
  say(&c, RQ("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  ok(status_of(hear(&c, 0)) == 200 && c.closed, "an idle keep-alive connection is closed");
  hang_up(&c);
  c = dial();
  setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){16384}, sizeof(int));
  say(&c, RQ("GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  big_left = 1;
  size_t before = bt_httpd_connections(httpd);
  for (int i = 0; i < 40 && bt_httpd_connections(httpd) >= BT_MAX(before, 1); i++)
    run_for(50);
  is_int(bt_httpd_connections(httpd), 0, "a reader that takes nothing is dropped");
  hang_up(&c);
}

static void test_max_connections(void) {
  struct client a = dial(), b = dial(), c = dial();
  run_for(20);
  is_int(bt_httpd_connections(httpd), 2, "no more connections than allowed");
  say(&c, RQ("GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  hang_up(&a);
  ok(strstr(hear(&c, 0), "GET /c? []"), "the next one waits for a place");
  hang_up(&b);
  hang_up(&c);
}

static const char half[] = "GET /half HTTP/1.1\r\nHo", whole[] = "GET /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static bool is_open(struct client *c) {
  char byte;
  ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return n > 0 || (n < 0 && errno == EAGAIN);
}

/* A newcomer's whole request is answered, and soon. */
static bool served(uint32_t from) {
  int64_t t0 = bt_clock_mono_ms();
  struct client c = dial_from(from);
  say(&c, whole, sizeof whole - 1);
  bool good = strstr(hear(&c, 0), "GET /whole? []") != NULL && bt_clock_mono_ms() - t0 < 2000;
  hang_up(&c);
  return good;
}

static void halves(struct client *c, size_t n, uint32_t from) {
  for (size_t i = 0; i < n; i++) {
    c[i] = dial_from(from);
    say(&c[i], half, sizeof half - 1);
    run_for(10); /* one after the other */
  }
}

static void test_half_open(void) {
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.max_connections = 64, .grace_ms = 100});
  struct client c[64];
  halves(c, 64, 1);
  is_int(bt_httpd_connections(httpd), 64, "half-open connections fill the listener");
  ok(served(1), "a whole request is answered all the same");
  ok(!is_open(&c[0]) && is_open(&c[2]) && is_open(&c[63]), "for which the oldest of them goes");
  ok(served(1) && served(1), "and the next ones");
  for (size_t i = 0; i < 64; i++)
    hang_up(&c[i]);
  for (size_t i = 0; i < 64; i++) {
    c[i] = dial();
    say(&c[i], RQ("GET /raw HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  run_for(150);
  struct client late = dial();
  say(&late, whole, sizeof whole - 1);
  run_for(150);
  ok(bt_httpd_connections(httpd) == 64 && is_open(&c[0]) && is_open(&late), "who has a request in work stays; the next one waits");
  say(&c[5], "!", 1);
  ok(strstr(hear(&late, 0), "GET /whole? []"), "until one of them ends");
  hang_up(&late);
  for (size_t i = 0; i < 64; i++)
    say(&c[i], "!", 1);
  run_for(50);
  for (size_t i = 0; i < 64; i++)
    hang_up(&c[i]);
}

/* The head is whole, and then the body comes slowly; or the answer is not fetched. Only whom the application knows may do so. */
static void test_slow_bodies(void) {
  static const char stranger[] = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nx",
                    friend[] = "POST /known HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx";
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.max_connections = 8, .grace_ms = 100});
  struct client c[8];
  for (size_t i = 0; i < 8; i++) {
    c[i] = dial();
    say(&c[i], i < 2 ? friend : stranger, i < 2 ? sizeof friend - 1 : sizeof stranger - 1);
    run_for(10);
  }
  run_for(120);
  ok(served(1), "a stranger whose body does not come makes room");
  ok(is_open(&c[0]) && is_open(&c[1]) && !is_open(&c[2]) && is_open(&c[3]), "the first one to have come; whoever is known stays");
  say(&c[0], "y", 1);
  ok(strstr(hear(&c[0], 4), "/known? [xy]"), "and gets an answer");
  for (size_t i = 0; i < 8; i++)
    hang_up(&c[i]);
  for (size_t i = 0; i < 8; i++) {
    c[i] = dial();
    say(&c[i], RQ("GET / HTTP/1.1\r\n\r\n")); /* a refusal, which lingers until we hang up */
  }
  run_for(120);
  ok(bt_httpd_connections(httpd) == 8 && served(1), "who has had a last answer makes room");
  for (size_t i = 0; i < 8; i++)
    hang_up(&c[i]);
}

static void test_origins(void) {
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.max_connections = 8, .max_per_peer = 6, .grace_ms = 100});
  struct client mine[1], theirs[7], last;
  halves(mine, 1, 1);
  halves(theirs, 7, 2);
  run_for(20);
  ok(bt_httpd_connections(httpd) == 7 && !is_open(&theirs[6]), "one address gets so many connections and no more");
  run_for(120);
  last = dial_from(3);
  ok(served(1), "a newcomer finds room");
  ok(is_open(&mine[0]) && !is_open(&theirs[0]) && is_open(&theirs[1]), "at the cost of the address that has most");
  ok(served(2), "also that one, at its own cost");
  ok(is_open(&mine[0]) && is_open(&last), "and at nobody else's");
  hang_up(&mine[0]);
  hang_up(&last);
  for (size_t i = 0; i < 7; i++)
    hang_up(&theirs[i]);
}

static int unix_dial(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sock_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&un, sizeof un) == 0)
    return fd;
  close(fd);
  return -1;
}

static void test_unix(void) {
  BT_AUTO_ERR err = NULL;
  is_int(bt_httpd_listen_unix(httpd, sock_path, 0640, NULL, &err), 0, "a unix socket");
  struct stat st;
  ok(stat(sock_path, &st) == 0 && (st.st_mode & 0777) == 0640, "with its mode");
  struct client c = {.fd = unix_dial()};
  say(&c, RQ("GET /u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(hear(&c, 0), "GET /u? []"), "answers");
  hang_up(&c);
  struct bt_httpd *second = bt_httpd_new(&(struct bt_httpd_options){.loop = loop, .on_request = on_request});
  is_int(bt_httpd_listen_unix(second, sock_path, 0600, NULL, &err), -1, "a socket in use is not taken");
  is_int(bt_err_code(err), BT_CONFLICT, "conflict");
  bt_err_free(&err);
  bt_httpd_free(&httpd);
  ok(access(sock_path, F_OK) < 0, "the file goes with the server");
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sock_path);
  int stale = socket(AF_UNIX, SOCK_STREAM, 0);
  ok(bind(stale, (struct sockaddr *)&un, sizeof un) == 0 && close(stale) == 0, "a stale socket");
  is_int(bt_httpd_listen_unix(second, sock_path, 0600, NULL, &err), 0, "is replaced");
  bt_httpd_free(&second);
  int fd = open(sock_path, O_CREAT | O_WRONLY, 0600);
  close(fd);
  second = bt_httpd_new(&(struct bt_httpd_options){.loop = loop, .on_request = on_request});
  is_int(bt_httpd_listen_unix(second, sock_path, 0600, NULL, &err), -1, "a file that is no socket stays");
  ok(access(sock_path, F_OK) == 0, "it is there");
  bt_httpd_free(&second);
  unlink(sock_path);
  ok(bt_address_is_loopback("127.1.2.3:1") && bt_address_is_loopback("[::1]:1") && !bt_address_is_loopback("0.0.0.0:1") &&
         !bt_address_is_loopback("[::]:1") && !bt_address_is_loopback("localhost:1"),
     "which addresses are loopback");
}

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  sock_path = bt_asprintf("%s/s", dir);
  loop = bt_loop_new();
  start((struct bt_httpd_options){0});
  test_malformed();
  test_limits();
  test_good();
  test_continue();
  test_pieces_and_pipeline();
  test_late_answers();
  test_slow_reader();
  test_flood();
  test_raw();
  test_deadlines();
  test_max_connections();
  test_half_open();
  test_slow_bodies();
  test_origins();
  test_unix();
  bt_httpd_free(&httpd);
  bt_loop_free(&loop);
  rmdir(dir);
  free(sock_path);
  return done_testing();
}
