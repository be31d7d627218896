/* An HTTP/1.1 server on libevent's bufferevents: listeners, connections, answers, streams. Strict in what it takes
 * (http_request.h), bounded in what it holds: connections, time for a head, a body and a slow reader, bytes that wait.
 * Requests of one connection are answered in order, one at a time. Knows nothing of routes. Loop's thread only. */
#ifndef BT_API_HTTP_SERVER_H
#define BT_API_HTTP_SERVER_H

#include <openssl/types.h>
#include <sys/types.h>

#include "api/http_request.h"
#include "base/err.h"
#include "loop/loop.h"

enum { BT_MAX_PARAMS = 4 };

struct bt_httpd;
struct bt_conn;
struct evbuffer;

/* Who is at the other end. */
struct bt_peer {
  bool unix_socket, tls;
  uid_t uid;
  bool in_group; /* of the socket's group (unix sockets) */
};

/* One request and its answer. It lives until its answer ends, also where the client has gone: every handler ends
 * every exchange exactly once, with bt_reply, bt_reply_end or (WebSockets) the close. */
struct bt_exchange {
  struct bt_req *req;
  const struct bt_peer *peer;
  /* Filled in by the application above. */
  const void *route;
  const char *params[BT_MAX_PARAMS]; /* of the route's pattern, decoded, in order */
  int nparams;
  char actor[48];                    /* who asks: "root@unix", "token" */
  /* The client went away before the end. The handler stops its work and ends the exchange, here or later. May be NULL. */
  void (*on_gone)(void *arg);
  void (*on_drain)(void *arg); /* a stream: what waited has gone out, down to 64 KB */
  void *arg;
  /* Where the answer goes when there is no connection (queries from inside). */
  void (*capture)(void *arg, int status, const char *body, size_t len);
  void *capture_arg;
  struct bt_conn *conn; /* private from here */
  struct bt_peer peer_store;
  struct bt_buf extra;    /* header lines of the answer */
  struct bt_buf segments; /* of the path, each with its NUL: what params points to */
  bool replied, streaming, head_only, chunked;
  struct bt_exchange *next;
};

struct bt_httpd_options {
  struct bt_loop *loop;
  int max_connections;  /* per listener; 0: 512 */
  int max_per_peer;     /* per listener, of one address that is not this machine's; 0: three quarters of max_connections */
  int64_t grace_ms;     /* 0: 500: where a listener is full, who sends no whole head for so long makes room for the next one */
  int64_t head_ms;      /* 0: 10,000: from the first byte (or the connection) to the whole head; over it 408 */
  int64_t body_ms;      /* 0: 60,000 for the whole body; over it 408 */
  int64_t idle_ms;      /* 0: 75,000 between requests, then the connection is closed */
  int64_t write_ms;     /* 0: 30,000 without a byte taken by the reader, then the connection is closed */
  /* The head is whole: may answer (then the body is not read, and the connection closes where there is one). May be NULL. */
  void (*on_head)(void *arg, struct bt_exchange *x);
  void (*on_request)(void *arg, struct bt_exchange *x);
  void *arg;
};

struct bt_httpd *bt_httpd_new(const struct bt_httpd_options *options);
void bt_httpd_free(struct bt_httpd **httpd); /* closes all; on_gone comes for open exchanges */
/* Binds a unix socket with that mode and group (NULL: ours). A stale file is removed only where nobody listens on it. */
int bt_httpd_listen_unix(struct bt_httpd *httpd, const char *path, mode_t mode, const char *group, struct bt_err **err) BT_CHECK;
/* address: "127.0.0.1:7171", "[::1]:0". tls NULL: plain; else a reference is taken. */
int bt_httpd_listen_tcp(struct bt_httpd *httpd, const char *address, SSL_CTX *tls, struct bt_err **err) BT_CHECK;
int bt_httpd_port(const struct bt_httpd *httpd); /* of the last TCP listener */
size_t bt_httpd_connections(const struct bt_httpd *httpd);

/* An exchange without a connection: its answer goes to capture (whole, once). */
struct bt_exchange *bt_exchange_internal(void (*capture)(void *arg, int status, const char *body, size_t len), void *arg);

const char *bt_http_reason(int status);
/* Adds a header to the answer to come. value must not hold line breaks: they are cut. */
void bt_reply_header(struct bt_exchange *x, const char *name, const char *value);
/* The whole answer. type NULL: no body. Ends the exchange. */
void bt_reply(struct bt_exchange *x, int status, const char *type, const void *body, size_t len);

/* An answer of unknown length: chunked (HTTP/1.1) or until the close (1.0). */
void bt_reply_begin(struct bt_exchange *x, int status, const char *type);
/* Returns the bytes that wait for the client: over 256 KB, pause until on_drain. Over 16 MB the client is dropped. */
size_t bt_reply_write(struct bt_exchange *x, const void *data, size_t len);
size_t bt_reply_waiting(const struct bt_exchange *x);
void bt_reply_end(struct bt_exchange *x);
/* Ends it so that the client can tell it from a good end (no last chunk). */
void bt_reply_abort(struct bt_exchange *x);

/* Takes the connection out of HTTP after a 101 with the header lines added before: bytes both ways from now on. on_bytes returns
 * the bytes it took, the rest comes again with more; on_gone when the peer has gone. Ended by bt_reply_end (what
 * waits is sent first). */
void bt_exchange_take_over(struct bt_exchange *x, size_t (*on_bytes)(void *arg, const char *data, size_t len));
size_t bt_exchange_send(struct bt_exchange *x, const void *data, size_t len); /* raw; returns the bytes that wait */
/* Stops and resumes reading from the peer (back-pressure for uploads). */
void bt_exchange_pause(struct bt_exchange *x, bool pause);

#endif
