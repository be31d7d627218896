#include "config.h"
#include "api/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <time.h>
#include <unistd.h>

#include "api/http_conn.h"
#include "api/http_listen.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"

enum {
  DEFAULT_CONNECTIONS = 512,
  DEFAULT_GRACE_MS = 500,
  DEFAULT_HEAD_MS = 10000,
  DEFAULT_BODY_MS = 60000,
  DEFAULT_IDLE_MS = 75000,
  DEFAULT_WRITE_MS = 30000,
  LINGER_MS = 2000,
  ACCEPT_AGAIN_MS = 200,
  SPARES = 64 /* exchanges kept for the next connection */
};

static void conn_process(struct bt_conn *conn);

const char *bt_httpd_date(struct bt_httpd *httpd) {
  time_t now = (time_t)(bt_clock_wall_ms() / 1000);
  if (now != httpd->date_at) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    gmtime_r(&now, &tm);
    httpd->date_at = now;
    snprintf(httpd->date, sizeof httpd->date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday % 100,
             months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
  }
  return httpd->date;
}

/* ---------------------------------------------------------------- exchanges */

static struct bt_exchange *exchange_new(struct bt_httpd *httpd) {
  struct bt_exchange *x = httpd ? httpd->spare : NULL;
  if (!x) {
    x = bt_new(struct bt_exchange);
    x->req = bt_req_new();
    return x;
  }
  httpd->spare = x->next;
  httpd->nspare--;
  x->next = NULL;
  return x;
}

void bt_exchange_free(struct bt_exchange *x) {
  bt_req_free(&x->req);
  bt_buf_free(&x->extra);
  bt_buf_free(&x->segments);
  free(x);
}

static void exchange_recycle(struct bt_httpd *httpd, struct bt_exchange *x) {
  if (httpd->closing || httpd->nspare >= SPARES) {
    bt_exchange_free(x);
    return;
  }
  struct bt_req *req = x->req;
  struct bt_buf extra = x->extra, segments = x->segments;
  bt_req_reset(req);
  bt_buf_truncate(&extra, 0);
  bt_buf_truncate(&segments, 0);
  *x = (struct bt_exchange){.req = req, .extra = extra, .segments = segments, .next = httpd->spare};
  httpd->spare = x;
  httpd->nspare++;
}

struct bt_exchange *bt_exchange_internal(void (*capture)(void *arg, int status, const char *body, size_t len), void *arg) {
  struct bt_exchange *x = exchange_new(NULL);
  x->capture = capture;
  x->capture_arg = arg;
  x->peer_store = (struct bt_peer){.unix_socket = true, .in_group = true};
  x->peer = &x->peer_store;
  return x;
}

/* The connection lets go of its exchange: one that its handler has not ended lives on without it. */
static void exchange_detach(struct bt_conn *conn) {
  struct bt_exchange *x = bt_steal(conn->x);
  if (!x)
    return;
  x->conn = NULL;
  x->peer_store = conn->peer;
  x->peer = &x->peer_store;
  if (conn->state == BT_CONN_REQUEST || conn->state == BT_CONN_LINGER)
    exchange_recycle(conn->httpd, x); /* no handler has it */
  else if (x->on_gone)
    x->on_gone(x->arg);
}

/* ---------------------------------------------------------------- connections */

static void listener_resume(struct bt_listener *l) {
  if (l->ev && !l->httpd->closing)
    evconnlistener_enable(l->ev);
}

static void conn_destroy(struct bt_conn *conn) {
  struct bt_httpd *httpd = conn->httpd;
  exchange_detach(conn);
  if (conn->prev)
    conn->prev->next = conn->next;
  else
    httpd->conns = conn->next;
  if (conn->next)
    conn->next->prev = conn->prev;
  httpd->nconns--;
  conn->listener->count--;
  listener_resume(conn->listener);
  bt_timer_free(&conn->timer);
  bt_crowd_leave(conn->listener, &conn->origin);
  bufferevent_free(conn->bev); /* closes the socket */
  free(conn);
}

static void conn_release(struct bt_conn *conn) {
  if (--conn->hold == 0 && conn->dead)
    conn_destroy(conn);
}

void bt_conn_kill(struct bt_conn *conn) {
  conn->dead = true;
  bt_timer_set(conn->timer, 0);
}

/* ms < 0: none. The timer is left alone where it fires soon enough: it looks at the deadline itself. So a busy keep-alive
 * connection does not touch the loop's heap for each request. */
void bt_conn_deadline(struct bt_conn *conn, int64_t ms) {
  conn->deadline = ms < 0 ? INT64_MAX : bt_clock_mono_ms() + ms;
  if (conn->deadline >= conn->fires)
    return;
  bt_timer_set(conn->timer, ms);
  conn->fires = conn->deadline;
}

static void start_linger(struct bt_conn *conn) {
  conn->state = BT_CONN_LINGER;
  bt_conn_deadline(conn, conn->httpd->o.write_ms);
  struct evbuffer *in = bufferevent_get_input(conn->bev);
  evbuffer_drain(in, evbuffer_get_length(in));
  bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
}

/* The last byte is out: tell the peer, and give it a moment to read before the socket goes. */
static void linger_sent(struct bt_conn *conn) {
  if (conn->shut || evbuffer_get_length(bufferevent_get_output(conn->bev)))
    return;
  conn->shut = true;
  SSL *ssl = conn->peer.tls ? bufferevent_openssl_get_ssl(conn->bev) : NULL;
  if (ssl)
    SSL_shutdown(ssl);
  shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
  bt_conn_deadline(conn, LINGER_MS);
  if (conn->eof)
    bt_conn_kill(conn);
}

static void next_request(struct bt_conn *conn) {
  conn->state = BT_CONN_REQUEST;
  conn->head_seen = conn->known = false;
  conn->since = bt_clock_mono_ms();
  conn->x = exchange_new(conn->httpd);
  conn->x->conn = conn;
  conn->x->peer = &conn->peer;
}

void bt_conn_answered(struct bt_conn *conn, bool keep) {
  conn->hold++;
  struct bt_exchange *x = bt_steal(conn->x);
  exchange_recycle(conn->httpd, x);
  if (conn->dead) {
    conn->state = BT_CONN_LINGER;
  } else if (keep) {
    next_request(conn);
    bt_conn_deadline(conn, conn->httpd->o.idle_ms);
    if (conn->hold == 1) /* an answer from outside of conn_process: go on with what is already here */
      conn_process(conn);
  } else {
    start_linger(conn);
    linger_sent(conn);
  }
  conn_release(conn);
}

/* An answer of the server's own: the request never reached a handler. */
static void refuse(struct bt_conn *conn, int status, const char *problem) {
  const char *code = status == 413 || status == 431 ? "too_large" : status == 408 ? "deadline" : "invalid";
  BT_AUTO_JSON problem_json = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title", "Malformed request",
                                        "status", status, "detail", problem, "code", code);
  BT_AUTO_FREE char *body = bt_json_text(problem_json);
  conn->state = BT_CONN_ANSWER;
  conn->close_after = true;
  bt_reply(conn->x, status, "application/problem+json", body, strlen(body));
}

static void head_arrived(struct bt_conn *conn) {
  struct bt_httpd *httpd = conn->httpd;
  struct bt_exchange *x = conn->x;
  conn->head_seen = true;
  x->head_only = strcmp(x->req->method, "HEAD") == 0;
  bool more = x->req->state == BT_REQ_BODY;
  if (more)
    bt_conn_deadline(conn, httpd->o.body_ms);
  conn->state = BT_CONN_ANSWER;
  if (httpd->o.on_head)
    httpd->o.on_head(httpd->o.arg, x);
  if (conn->state != BT_CONN_ANSWER) /* answered; where a body was to come, the connection lingers now */
    return;
  conn->state = BT_CONN_REQUEST;
  conn->known = *x->actor;
  if (more && x->req->state == BT_REQ_BODY && x->req->expect_continue)
    bufferevent_write(conn->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Feeds what is there to the request. Returns false where nothing more can be done now. */
static bool process_some(struct bt_conn *conn) {
  struct evbuffer *in = bufferevent_get_input(conn->bev);
  if (conn->state == BT_CONN_LINGER) {
    evbuffer_drain(in, evbuffer_get_length(in));
    return false;
  }
  size_t len = evbuffer_get_contiguous_space(in);
  if (conn->state != BT_CONN_REQUEST || len == 0 ||
      evbuffer_get_length(bufferevent_get_output(conn->bev)) > BT_CONN_HIGH_WATER)
    return false;
  struct bt_req *req = conn->x->req;
  bool fresh = !bt_req_started(req);
  evbuffer_drain(in, bt_req_feed(req, (const char *)evbuffer_pullup(in, (ev_ssize_t)len), len));
  if (req->state == BT_REQ_HEAD && fresh && bt_req_started(req) &&
      conn->deadline > bt_clock_mono_ms() + conn->httpd->o.head_ms)
    bt_conn_deadline(conn, conn->httpd->o.head_ms);
  if (req->state != BT_REQ_HEAD && req->state != BT_REQ_BAD && !conn->head_seen) {
    head_arrived(conn);
    if (conn->state != BT_CONN_REQUEST || !conn->head_seen)
      return true;
  }
  if (req->state == BT_REQ_BAD) {
    refuse(conn, req->status, req->problem);
  } else if (req->state == BT_REQ_DONE) {
    conn->state = BT_CONN_ANSWER;
    bt_conn_deadline(conn, -1);
    conn->httpd->o.on_request(conn->httpd->o.arg, conn->x);
  }
  return true;
}

static void process_raw(struct bt_conn *conn) {
  struct evbuffer *in = bufferevent_get_input(conn->bev);
  for (size_t len; (len = evbuffer_get_length(in)) > 0 && conn->state == BT_CONN_RAW && !conn->dead && !conn->paused;) {
    size_t used = conn->on_bytes(conn->x->arg, (const char *)evbuffer_pullup(in, -1), len);
    if (conn->state != BT_CONN_RAW)
      return;
    evbuffer_drain(in, used);
    if (used == 0)
      return;
  }
}

/* The peer has sent all it will. A request that is being answered gets its answer; a stream has lost its reader. */
static void conn_eof(struct bt_conn *conn) {
  bool streaming = conn->x && conn->x->streaming;
  if (conn->state == BT_CONN_ANSWER && !streaming)
    return;
  if (conn->state == BT_CONN_LINGER && !conn->shut)
    return;
  if (conn->state == BT_CONN_REQUEST && bt_req_started(conn->x->req)) {
    refuse(conn, 400, "the request ended early");
    return;
  }
  if (conn->state == BT_CONN_REQUEST && evbuffer_get_length(bufferevent_get_output(conn->bev))) {
    struct bt_exchange *x = bt_steal(conn->x);
    exchange_recycle(conn->httpd, x);
    start_linger(conn);
    return;
  }
  conn->dead = true;
}

static void conn_process(struct bt_conn *conn) {
  conn->hold++;
  while (!conn->dead && process_some(conn)) {
  }
  if (!conn->dead && conn->state == BT_CONN_RAW)
    process_raw(conn);
  if (!conn->dead && conn->eof && evbuffer_get_length(bufferevent_get_input(conn->bev)) == 0)
    conn_eof(conn);
  conn_release(conn);
}

static void on_readable(struct bufferevent *bev, void *arg) {
  (void)bev;
  struct bt_conn *conn = arg;
  struct bt_loop *loop = conn->httpd->o.loop;
  bt_loop_enter(loop, "api");
  conn_process(conn);
  bt_loop_leave(loop);
}

static void on_writable(struct bufferevent *bev, void *arg) {
  (void)bev;
  struct bt_conn *conn = arg;
  struct bt_loop *loop = conn->httpd->o.loop;
  bt_loop_enter(loop, "api");
  conn->hold++;
  if (conn->state == BT_CONN_LINGER)
    linger_sent(conn);
  else if (conn->x && conn->x->streaming && conn->x->on_drain)
    conn->x->on_drain(conn->x->arg);
  if (conn->state == BT_CONN_REQUEST)
    conn_process(conn); /* pipelined requests that waited for a slow reader */
  conn_release(conn);
  bt_loop_leave(loop);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
  (void)bev;
  struct bt_conn *conn = arg;
  struct bt_loop *loop = conn->httpd->o.loop;
  if (what & BEV_EVENT_CONNECTED) /* the TLS handshake */
    return;
  bt_loop_enter(loop, "api");
  conn->hold++;
  conn->eof = true;
  if (what & BEV_EVENT_EOF)
    conn_process(conn);
  else
    conn->dead = true; /* reset, TLS failure, or a reader that took nothing for write_ms */
  conn_release(conn);
  bt_loop_leave(loop);
}

static void on_timer(void *arg) {
  struct bt_conn *conn = arg;
  int64_t left = conn->deadline - bt_clock_mono_ms();
  conn->fires = INT64_MAX;
  if (!conn->dead && left > 0) {
    if (conn->deadline != INT64_MAX)
      bt_conn_deadline(conn, left);
    return;
  }
  conn->hold++;
  if (!conn->dead && conn->state == BT_CONN_REQUEST && bt_req_started(conn->x->req))
    refuse(conn, 408, conn->head_seen ? "the body did not come in time" : "the head of the request did not come in time");
  else
    conn->dead = true;
  conn_release(conn);
}

static void conn_new(struct bt_listener *l, int fd, struct bt_origin *origin) {
  struct bt_httpd *httpd = l->httpd;
  struct bt_conn *conn = bt_new(struct bt_conn);
  conn->httpd = httpd;
  conn->listener = l;
  conn->origin = origin;
  conn->deadline = conn->fires = INT64_MAX;
  conn->peer = (struct bt_peer){.unix_socket = l->unix_socket, .tls = l->tls != NULL, .uid = (uid_t)-1};
  if (l->unix_socket)
    bt_socket_peer(fd, &l->file, &conn->peer);
  else
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  struct event_base *base = bt_loop_base(httpd->o.loop);
  conn->bev = l->tls ? bufferevent_openssl_socket_new(base, fd, SSL_new(l->tls), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
                     : bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  BT_ASSERT(conn->bev);
  conn->timer = bt_timer_new(httpd->o.loop, "api-timer", on_timer, conn);
  bufferevent_setcb(conn->bev, on_readable, on_writable, on_event, conn);
  bufferevent_setwatermark(conn->bev, EV_READ, 0, BT_CONN_HIGH_WATER);
  bufferevent_setwatermark(conn->bev, EV_WRITE, BT_CONN_LOW_WATER, 0);
  struct timeval tv = {.tv_sec = (time_t)(httpd->o.write_ms / 1000), .tv_usec = (suseconds_t)(httpd->o.write_ms % 1000) * 1000};
  bufferevent_set_timeouts(conn->bev, NULL, &tv);
  conn->next = httpd->conns;
  if (conn->next)
    conn->next->prev = conn;
  httpd->conns = conn;
  httpd->nconns++;
  l->count++;
  next_request(conn);
  bt_conn_deadline(conn, httpd->o.head_ms);
  bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
}

/* ---------------------------------------------------------------- listeners */

static bool is_full(const struct bt_listener *l) { return l->count >= l->httpd->o.max_connections; }

/* Where nobody makes room, the rest waits in the kernel's queue, until somebody leaves or has been silent for too long. */
static void rest(struct bt_listener *l) {
  evconnlistener_disable(l->ev);
  bt_timer_set(l->again, ACCEPT_AGAIN_MS);
}

static void take(struct bt_listener *l, int fd, const struct sockaddr *from) {
  bool greedy;
  struct bt_origin *origin = bt_crowd_enter(l, from, &greedy);
  struct bt_conn *victim = greedy || is_full(l) ? bt_crowd_victim(l, greedy ? origin : NULL) : NULL;
  if (greedy && !victim) {
    bt_crowd_leave(l, &origin);
    close(fd);
    return;
  }
  if (victim)
    conn_destroy(victim);
  conn_new(l, fd, origin);
  if (is_full(l) && !bt_crowd_victim(l, NULL))
    rest(l);
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg) {
  (void)ev;
  (void)len;
  struct bt_listener *l = arg;
  bt_loop_enter(l->httpd->o.loop, "api-accept");
  take(l, (int)fd, sa);
  bt_loop_leave(l->httpd->o.loop);
}

static void accept_again(void *arg) {
  struct bt_listener *l = arg;
  if (is_full(l) && !bt_crowd_victim(l, NULL))
    rest(l);
  else
    listener_resume(l);
}

/* Out of descriptors, most of all: look again a little later instead of spinning. */
static void on_accept_error(struct evconnlistener *ev, void *arg) {
  struct bt_listener *l = arg;
  bt_warn("api", "accept: %s", strerror(errno));
  (void)ev;
  rest(l);
}

static void listener_add(struct bt_httpd *httpd, struct bt_listener *l, int fd) {
  l->httpd = httpd;
  l->again = bt_timer_new(httpd->o.loop, "api-accept", accept_again, l);
  l->ev = evconnlistener_new(bt_loop_base(httpd->o.loop), on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
  BT_ASSERT(l->ev);
  evconnlistener_set_error_cb(l->ev, on_accept_error);
  bt_vec_push(&httpd->listeners, l);
}

int bt_httpd_listen_unix(struct bt_httpd *httpd, const char *path, mode_t mode, const char *group, struct bt_err **err) {
  struct bt_socket_file file;
  int fd = bt_socket_listen_unix(path, mode, group, &file, err);
  if (fd < 0)
    return -1;
  struct bt_listener *l = bt_new(struct bt_listener);
  l->unix_socket = true;
  l->file = file;
  listener_add(httpd, l, fd);
  return 0;
}

int bt_httpd_listen_tcp(struct bt_httpd *httpd, const char *address, SSL_CTX *tls, struct bt_err **err) {
  int port;
  int fd = bt_socket_listen_tcp(address, &port, err);
  if (fd < 0)
    return -1;
  struct bt_listener *l = bt_new(struct bt_listener);
  l->port = port;
  l->tls = tls;
  if (tls)
    SSL_CTX_up_ref(tls);
  listener_add(httpd, l, fd);
  return 0;
}

int bt_httpd_port(const struct bt_httpd *httpd) {
  int port = 0;
  bt_vec_each(&httpd->listeners, l)
    port = (*l)->port ? (*l)->port : port;
  return port;
}

size_t bt_httpd_connections(const struct bt_httpd *httpd) { return httpd->nconns; }

struct bt_httpd *bt_httpd_new(const struct bt_httpd_options *options) {
  struct bt_httpd *httpd = bt_new(struct bt_httpd);
  struct bt_httpd_options *o = &httpd->o;
  *o = *options;
  o->max_connections = o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS;
  o->max_per_peer = o->max_per_peer ? o->max_per_peer : o->max_connections / 4 * 3;
  o->grace_ms = o->grace_ms ? o->grace_ms : DEFAULT_GRACE_MS;
  o->head_ms = o->head_ms ? o->head_ms : DEFAULT_HEAD_MS;
  o->body_ms = o->body_ms ? o->body_ms : DEFAULT_BODY_MS;
  o->idle_ms = o->idle_ms ? o->idle_ms : DEFAULT_IDLE_MS;
  o->write_ms = o->write_ms ? o->write_ms : DEFAULT_WRITE_MS;
  return httpd;
}

static void listener_free(struct bt_listener *l) {
  evconnlistener_free(l->ev);
  bt_timer_free(&l->again);
  bt_socket_file_remove(&l->file);
  bt_map_free(&l->origins);
  SSL_CTX_free(l->tls);
  free(l);
}

void bt_httpd_free(struct bt_httpd **phttpd) {
  if (!*phttpd)
    return;
  struct bt_httpd *httpd = bt_steal(*phttpd);
  httpd->closing = true;
  while (httpd->conns)
    conn_destroy(httpd->conns);
  bt_vec_each(&httpd->listeners, l)
    listener_free(*l);
  bt_vec_free(&httpd->listeners);
  while (httpd->spare) {
    struct bt_exchange *x = httpd->spare;
    httpd->spare = x->next;
    bt_exchange_free(x);
  }
  free(httpd);
}
