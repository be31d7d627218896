/* An asynchronous HTTP client on libcurl's multi interface: TCP, TLS and unix sockets, streaming both ways; and connections
 * that leave HTTP (Upgrade, the Docker Engine's hijack) on bufferevents with llhttp for the head. Connections are
 * kept alive per host. */
#ifndef BT_LOOP_HTTP_CLIENT_H
#define BT_LOOP_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop/loop.h"

struct bt_http;         /* a client */
struct bt_http_call;    /* a request in flight; valid until done returned */
struct bt_http_tunnel;  /* an upgraded connection; valid until on_close returned */

struct sockaddr;

struct bt_http_pair {
  const char *name;
  const char *value;
};

/* Whether HTTP allows them (RFC 9110, 5.1, 5.5, 9.1): names and methods are tokens, values have no control characters but tabs. What is
 * not is refused before it is sent (BT_INVALID). */
bool bt_http_token_ok(const char *text);
bool bt_http_headers_ok(const struct bt_http_pair *headers, size_t n);

/* Members as in berth_http_request (plugin-api/include/berth/host.h): the plug-in host passes them through. */
struct bt_http_request {
  const char *method, *url, *unix_socket;
  const struct bt_http_pair *headers;
  size_t nheaders;
  const void *body;  /* copied */
  size_t body_len;
  ssize_t (*read_body)(void *arg, void *buf, size_t room); /* n, 0 end, -1 wait, -2 abort */
  int64_t timeout_ms, connect_timeout_ms;                  /* 0: 30,000 and 5,000; timeout -1: none */
  size_t max_body;                                         /* 0: 4 MiB */
  const char *tls_ca_file, *tls_cert_file, *tls_key_file;
  bool tls_insecure;
  bool follow_redirects;
  void (*on_head)(void *arg, int status, const struct bt_http_pair *headers, size_t nheaders);
  bool (*on_data)(void *arg, const void *data, size_t len);
  void (*done)(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t body_len);
  void *arg;
  /* Asked before each hop for the host of its address (addr NULL), and for every address that a connection is made to: false ends the
   * request with BT_DENIED. No proxy is used then. A connection that is kept alive is not asked for again: those who are asked
   * differently need a client of their own. NULL: nobody is asked. */
  bool (*allow)(const void *allow_arg, const char *host, int port, const struct sockaddr *addr);
  const void *allow_arg;
};

struct bt_http_upgrade {
  const char *method, *url, *unix_socket;
  const struct bt_http_pair *headers;
  size_t nheaders;
  const void *body;
  size_t body_len;
  const char *tls_ca_file, *tls_cert_file, *tls_key_file;
  void (*on_open)(void *arg, bool ok, int status, const char *body, size_t body_len);
  void (*on_data)(void *arg, const void *data, size_t len);
  void (*on_close)(void *arg, enum bt_code code, const char *message);
  void *arg;
  bool (*allow)(const void *allow_arg, const char *host, int port, const struct sockaddr *addr); /* as above */
  const void *allow_arg;
};

struct bt_http *bt_http_new(struct bt_loop *loop);
void bt_http_free(struct bt_http **http); /* cancels all: done and on_close come with BT_CANCELLED */
/* A burst of requests is over: gives back what was kept for the next one. Not from inside done or another callback. */
void bt_http_rest(struct bt_http *http);
/* Never NULL: a request that cannot even start ends with done from the next turn of the loop. */
struct bt_http_call *bt_http_request(struct bt_http *http, const struct bt_http_request *request);
void bt_http_resume(struct bt_http_call *call);
void bt_http_cancel(struct bt_http_call *call); /* done comes with BT_CANCELLED, not from inside this call */

struct bt_http_tunnel *bt_http_upgrade(struct bt_http *http, const struct bt_http_upgrade *upgrade);
size_t bt_http_tunnel_write(struct bt_http_tunnel *tunnel, const void *data, size_t len); /* bytes that wait */
void bt_http_tunnel_close_write(struct bt_http_tunnel *tunnel);
void bt_http_tunnel_cancel(struct bt_http_tunnel *tunnel);

#endif
