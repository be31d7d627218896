/* Between http_client.c (the client, its multi handle), http_call.c (one transfer) and http_tunnel.c (tunnels). */
#ifndef BT_LOOP_HTTP_INTERNAL_H
#define BT_LOOP_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "base/buf.h"
#include "base/vec.h"
#include "loop/http_client.h"

struct evdns_base;

#define BT_HTTP_BAD_HEAD "the request's method or one of its headers has characters that HTTP does not allow there"

struct bt_http_tunnels {
  struct bt_loop *loop;
  struct evdns_base *dns; /* made with the first host name that is no address */
  struct bt_http_tunnel *first;
};

void bt_http_tunnels_init(struct bt_http_tunnels *tunnels, struct bt_loop *loop);
void bt_http_tunnels_close(struct bt_http_tunnels *tunnels); /* on_close comes with BT_CANCELLED */
struct bt_http_tunnel *bt_http_tunnel_open(struct bt_http_tunnels *tunnels, const struct bt_http_upgrade *upgrade);

/* ---- one transfer ---- */

struct bt_http_header {
  char *name, *value;
};

struct bt_http_call {
  struct bt_http *http;
  struct bt_http_call *prev, *next; /* all calls of the client */
  CURL *easy;                       /* NULL until started and after the end */
  char *method, *url, *unix_socket, *ca_file, *cert_file, *key_file;
  struct curl_slist *sent; /* request headers, in force until the end */
  BT_VEC(struct bt_http_header) request_headers;
  void *body;
  size_t body_len, max_body;
  int64_t timeout_ms, connect_timeout_ms;
  bool has_body, tls_insecure, follow;
  int redirects;
  bool paused, curl_paused, send_paused, resume;
  bool cancelled, added, in_body, swallow;
  enum bt_code code; /* set where a callback stops the transfer */
  char *message;
  int status;
  BT_VEC(struct bt_http_header) head;
  char *location;
  struct bt_buf answer;
  char errbuf[CURL_ERROR_SIZE];
  ssize_t (*read_body)(void *arg, void *buf, size_t room);
  void (*on_head)(void *arg, int status, const struct bt_http_pair *headers, size_t nheaders);
  bool (*on_data)(void *arg, const void *data, size_t len);
  void (*done)(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t body_len);
  void *arg;
  bool (*allow)(const void *allow_arg, const char *host, int port, const struct sockaddr *addr);
  const void *allow_arg;
  char *host; /* of this hop, where somebody is asked */
  int port;
  bool refused; /* an address of this hop was */
};

/* Puts all options of the call on its easy handle. */
void bt_http_call_setup(struct bt_http_call *call);
/* Notes why the call failed; the first reason stays. Returns -1. */
int bt_http_call_fail(struct bt_http_call *call, enum bt_code code, const char *message);
/* Prepares the call for the redirect that its answer asked for; -1 (noted) where the rules forbid it. */
int bt_http_call_redirect(struct bt_http_call *call);
void bt_http_call_free(struct bt_http_call *call);

#endif
