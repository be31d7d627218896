/* For tests of the HTTP server: an application that answers in all the ways there are, and a client that is a plain socket, driven
 * by the same loop. A program makes the loop, then the server with start(). */
#ifndef BT_TESTS_HTTPD_KIT_H
#define BT_TESTS_HTTPD_KIT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_listen.h"
#include "api/http_server.h"
#include "base/mem.h"
#include "tap.h"

static struct bt_loop *loop;
static struct bt_httpd *httpd;
static struct bt_exchange *held; /* a request whose answer waits */
static int gone, drained;
static size_t big_left;

static inline void stop(void *arg) {
  (void)arg;
  bt_loop_stop(loop);
}

/* ---------------------------------------------------------------- the application */

static inline void on_gone(void *arg) {
  (void)arg;
  gone++;
}

/* A stream larger than any buffer, written only as fast as it is read. */
static inline void feed_big(void *arg) {
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

static inline void end_big(void *arg) { bt_reply_end(arg); }

static size_t flood_waited;
static inline void on_flood_gone(void *arg) {
  gone++;
  bt_reply_end(arg);
}

static inline size_t echo_bytes(void *arg, const char *data, size_t len) {
  struct bt_exchange *x = arg;
  bt_exchange_send(x, data, len);
  if (memchr(data, '!', len))
    bt_reply_end(x);
  return len;
}

static inline void on_request(void *arg, struct bt_exchange *x) {
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

static inline void on_head(void *arg, struct bt_exchange *x) {
  (void)arg;
  if (bt_streq(x->req->path, "/known"))
    strcpy(x->actor, "friend");
  if (bt_streq(x->req->path, "/forbidden"))
    bt_reply(x, 403, "text/plain", "no", 2);
}

static inline void start(struct bt_httpd_options o) {
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

static inline void on_bytes(void *arg, int fd, int events) {
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
static inline struct client dial_from(uint32_t last) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)bt_httpd_port(httpd)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffU) | last)};
  struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (bind(c.fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(c.fd, (struct sockaddr *)&in, sizeof in) < 0)
    abort();
  return c;
}

static inline struct client dial(void) { return dial_from(1); }

static inline void say(struct client *c, const char *data, size_t len) {
  while (len) {
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
    if (n <= 0)
      return;
    data += n;
    len -= (size_t)n;
  }
}

static inline void run_for(int64_t ms) {
  struct bt_timer *t = bt_timer_new(loop, "guard", stop, NULL);
  bt_timer_set(t, ms);
  bt_loop_run(loop);
  bt_timer_free(&t);
}

/* Reads until the server closes, or want bytes have come, or 5 s are over. */
static inline const char *hear(struct client *c, size_t want) {
  c->want = want;
  if (!c->closed && !c->watch)
    c->watch = bt_watch_new(loop, "client", c->fd, BT_WATCH_READ, on_bytes, c);
  if (!c->closed && !(want && c->got.len >= want))
    run_for(5000);
  bt_watch_free(&c->watch);
  return c->got.data ? c->got.data : "";
}

static inline void hang_up(struct client *c) {
  bt_watch_free(&c->watch);
  close(c->fd);
  bt_buf_free(&c->got);
}

/* Sends a whole request, waits for the close. */
static inline char *talk(const char *data, size_t len) {
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

static inline int status_of(const char *answer) { return bt_starts(answer, "HTTP/1.1 ") ? atoi(answer + 9) : -1; }

/* A text and its length, NUL bytes within it included. */
#define RQ(text) text, sizeof(text) - 1

#endif
