/* What http_server.c (listeners, connections), http_crowd.c (too many of them) and http_reply.c (answers) share. */
#ifndef BT_API_HTTP_CONN_H
#define BT_API_HTTP_CONN_H

#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <time.h>

#include "api/http_listen.h"
#include "api/http_server.h"
#include "base/map.h"
#include "base/vec.h"

enum {
  BT_CONN_LOW_WATER = 64 * 1024,
  BT_CONN_HIGH_WATER = 256 * 1024,
  BT_CONN_MAX_OUTPUT = 16 * 1024 * 1024,
  BT_CONN_RAW_INPUT = 2 * 1024 * 1024, /* room for a whole WebSocket message */
};

enum bt_conn_state {
  BT_CONN_REQUEST, /* a request is read, or none is there */
  BT_CONN_ANSWER,  /* the exchange is with its handler */
  BT_CONN_RAW,     /* taken over */
  BT_CONN_LINGER   /* the last answer is on its way; what comes is thrown away, so that a reset does not eat the answer */
};

/* Where connections come from: one per address of a TCP listener. */
struct bt_origin {
  int count;
  char address[INET6_ADDRSTRLEN];
};

struct bt_listener {
  struct bt_httpd *httpd;
  struct evconnlistener *ev;
  struct bt_timer *again; /* after EMFILE, and while it is full */
  struct bt_socket_file file;
  SSL_CTX *tls;
  bool unix_socket;
  int count, port;
  struct bt_map *origins; /* address -> struct bt_origin; NULL for unix sockets */
};

struct bt_httpd {
  struct bt_httpd_options o;
  BT_VEC(struct bt_listener *) listeners;
  struct bt_conn *conns;
  size_t nconns;
  struct bt_exchange *spare;
  int nspare;
  time_t date_at;
  char date[40];
  bool closing;
};

struct bt_conn {
  struct bt_httpd *httpd;
  struct bt_listener *listener;
  struct bt_conn *prev, *next;
  struct bufferevent *bev;
  struct bt_peer peer;
  enum bt_conn_state state;
  struct bt_exchange *x; /* of the request being read or answered */
  struct bt_origin *origin; /* NULL: a unix socket, or this machine */
  struct bt_timer *timer;
  int64_t since;    /* monotonic ms: from when on it waits for the head of a request */
  int64_t deadline; /* monotonic ms; INT64_MAX: none */
  int64_t fires;    /* when the timer fires: no later than the deadline; it looks again then */
  bool eof, dead, shut, head_seen, close_after, paused;
  bool known; /* the application knows who sent the request that is in work */
  int hold; /* entered by so many callbacks: freeing waits */
  size_t (*on_bytes)(void *arg, const char *data, size_t len);
};

/* ---- http_crowd.c: what happens when a listener is full ---- */

/* Counts a new connection's origin. *full: that origin has as many connections as one may have. */
struct bt_origin *bt_crowd_enter(struct bt_listener *l, const struct sockaddr *from, bool *full);
void bt_crowd_leave(struct bt_listener *l, struct bt_origin **origin);
/* The connection that must make room: one that has sent no whole request for a while (whom the application knows: no whole head) or
 * has had its last answer, of the origin that has most connections, and of these the one that waits longest. only (may be NULL): of
 * this origin. NULL where all others have requests in work. */
struct bt_conn *bt_crowd_victim(const struct bt_listener *l, const struct bt_origin *only);

/* ---- http_server.c ---- */

/* The answer is complete (keep: the connection may go on with the next request). */
void bt_conn_answered(struct bt_conn *conn, bool keep);
void bt_conn_deadline(struct bt_conn *conn, int64_t ms);
void bt_conn_kill(struct bt_conn *conn); /* closes in the next turn; on_gone for an open exchange */
void bt_exchange_free(struct bt_exchange *x); /* detached from its connection */
const char *bt_httpd_date(struct bt_httpd *httpd); /* IMF-fixdate, at most a second old */

#endif
