#include "config.h"
#include "loop/http_client.h"

#include <curl/curl.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <llhttp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/http_internal.h"

enum {
  HEAD_MS = 30000,          /* to connect and get the head of the answer */
  MAX_HEAD = 64 * 1024,     /* head, and error body, of the answer */
  READ_CHUNK = 64 * 1024,
};

enum state { CONNECTING, WAIT_HEAD, OPEN, REFUSED };

struct bt_http_tunnel {
  struct bt_http_tunnels *owner;
  struct bt_http_tunnel *prev, *next;
  struct bufferevent *bev;
  SSL_CTX *tls;
  struct bt_timer *turn, *deadline;
  char *unix_socket, *host, *ca_file, *cert_file, *key_file;
  bool https;
  int port;
  struct bt_buf request; /* head and body, until connected */
  llhttp_t parser;
  size_t head_len;
  enum state state;
  bool head_done, close_write, half_closed, cancelled;
  int status;
  struct bt_buf body; /* of an error answer */
  enum bt_code code;  /* set where the request cannot start */
  char *message;
  void (*on_open)(void *arg, bool ok, int status, const char *body, size_t body_len);
  void (*on_data)(void *arg, const void *data, size_t len);
  void (*on_close)(void *arg, enum bt_code code, const char *message);
  void *arg;
  bool (*allow)(const void *allow_arg, const char *host, int port, const struct sockaddr *addr);
  const void *allow_arg;
  struct evdns_getaddrinfo_request *lookup; /* of a host whose addresses are asked for */
};

void bt_http_tunnels_init(struct bt_http_tunnels *tunnels, struct bt_loop *loop) {
  *tunnels = (struct bt_http_tunnels){.loop = loop};
}

static void tunnel_free(struct bt_http_tunnel *t) {
  if (t->lookup)
    evdns_getaddrinfo_cancel(t->lookup); /* its callback comes no more: see looked_up */
  if (t->bev)
    bufferevent_free(t->bev); /* closes the socket and frees its SSL */
  SSL_CTX_free(t->tls);
  bt_timer_free(&t->turn);
  bt_timer_free(&t->deadline);
  bt_buf_free(&t->request);
  bt_buf_free(&t->body);
  free(t->unix_socket);
  free(t->host);
  free(t->ca_file);
  free(t->cert_file);
  free(t->key_file);
  free(t->message);
  free(t);
}

static void tunnel_end(struct bt_http_tunnel *t, enum bt_code code, const char *message) {
  if (t->prev)
    t->prev->next = t->next;
  else
    t->owner->first = t->next;
  if (t->next)
    t->next->prev = t->prev;
  if (t->on_close)
    t->on_close(t->arg, code, message);
  tunnel_free(t);
}

static void tunnel_fail(struct bt_http_tunnel *t, enum bt_code code, const char *why) {
  BT_AUTO_FREE char *text = bt_asprintf("%s: %s", t->unix_socket ? t->unix_socket : t->host ? t->host : "upgrade", why);
  tunnel_end(t, code, text);
}

static int set_error(struct bt_http_tunnel *t, enum bt_code code, const char *message) {
  t->code = code;
  bt_str_set(&t->message, message);
  return -1;
}

/* ---------------------------------------------------------------- the answer's head */

/* 101, or the 200 of a Docker hijack: what follows the head are the raw bytes of the tunnel. 2 tells llhttp so. */
static int on_headers_complete(llhttp_t *p) {
  struct bt_http_tunnel *t = p->data;
  int status = llhttp_get_status_code(p);
  if (status < 200 && status != 101)
    return 0;
  t->head_done = true;
  t->status = status;
  return t->status == 101 || t->status == 200 ? 2 : 0;
}

static int on_body(llhttp_t *p, const char *data, size_t len) {
  struct bt_http_tunnel *t = p->data;
  bt_buf_add(&t->body, data, BT_MIN(len, MAX_HEAD - t->body.len));
  return 0;
}

static int on_message_complete(llhttp_t *p) {
  struct bt_http_tunnel *t = p->data;
  if (t->head_done && t->status != 101 && t->status != 200)
    t->state = REFUSED;
  return 0;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static enum bt_code code_of_status(int status) {
  switch (status) {
  case 400:
    return BT_INVALID;
  case 401:
    return BT_UNAUTHENTICATED;
  case 403:
    return BT_DENIED;
  case 404:
    return BT_NOT_FOUND;
  case 409:
    return BT_CONFLICT;
  default:
    return BT_UNAVAILABLE;
  }
}

static void refused(struct bt_http_tunnel *t) {
  if (t->on_open)
    t->on_open(t->arg, false, t->status, t->body.data ? t->body.data : "", t->body.len);
  char text[64];
  snprintf(text, sizeof text, "the server answered with status %d", t->status);
  tunnel_fail(t, code_of_status(t->status), text);
}

/* Feeds the parser. Returns the number of bytes used, or -1 where the tunnel has ended. */
static ssize_t read_head(struct bt_http_tunnel *t, const char *data, size_t len) {
  t->head_len += len;
  llhttp_errno_t rc = llhttp_execute(&t->parser, data, len);
  if (rc == HPE_PAUSED_UPGRADE) {
    t->state = OPEN;
    return llhttp_get_error_pos(&t->parser) - data;
  }
  if (t->state == REFUSED) {
    refused(t);
    return -1;
  }
  if (rc != HPE_OK || t->head_len > 2 * MAX_HEAD) {
    tunnel_fail(t, BT_UNAVAILABLE, "the answer is no HTTP");
    return -1;
  }
  return (ssize_t)len;
}

/* ---------------------------------------------------------------- the connection */

static void half_close(struct bt_http_tunnel *t) {
  if (!t->close_write || t->half_closed || t->state != OPEN || evbuffer_get_length(bufferevent_get_output(t->bev)))
    return;
  t->half_closed = true;
  SSL *ssl = t->https ? bufferevent_openssl_get_ssl(t->bev) : NULL;
  if (ssl)
    SSL_shutdown(ssl);
  else
    shutdown(bufferevent_getfd(t->bev), SHUT_WR);
}

/* Hands on what has come. Returns false where the tunnel has ended. */
static bool pump(struct bt_http_tunnel *t) {
  struct evbuffer *in = bufferevent_get_input(t->bev);
  for (size_t len; (len = evbuffer_get_contiguous_space(in)) > 0 && !t->cancelled;) {
    const char *data = (const char *)evbuffer_pullup(in, (ev_ssize_t)len);
    if (t->state == OPEN) {
      if (t->on_data)
        t->on_data(t->arg, data, len);
      evbuffer_drain(in, len);
      continue;
    }
    ssize_t used = read_head(t, data, len);
    if (used < 0)
      return false;
    evbuffer_drain(in, (size_t)used);
    if (t->state == OPEN) {
      bt_timer_clear(t->deadline);
      if (t->on_open)
        t->on_open(t->arg, true, t->status, "", 0);
      half_close(t);
    }
  }
  return true;
}

static void on_readable(struct bufferevent *bev, void *arg) {
  (void)bev;
  struct bt_http_tunnel *t = arg;
  struct bt_loop *loop = t->owner->loop;
  bt_loop_enter(loop, "http-tunnel");
  pump(t);
  bt_loop_leave(loop);
}

static void on_writable(struct bufferevent *bev, void *arg) {
  (void)bev;
  half_close(arg);
}

static void connected(struct bt_http_tunnel *t) {
  t->state = WAIT_HEAD;
  bufferevent_write(t->bev, t->request.data, t->request.len);
  bt_buf_free(&t->request);
  bufferevent_enable(t->bev, EV_READ | EV_WRITE);
}

static void closed_by_peer(struct bt_http_tunnel *t) {
  if (!pump(t))
    return;
  if (t->cancelled) {
    tunnel_end(t, BT_CANCELLED, "cancelled");
  } else if (t->state == OPEN) {
    tunnel_end(t, BT_OK, "");
  } else if (t->head_done && llhttp_finish(&t->parser) == HPE_OK) {
    refused(t);
  } else {
    tunnel_fail(t, BT_UNAVAILABLE, "the connection ended before an answer");
  }
}

static void connection_error(struct bt_http_tunnel *t) {
  unsigned long tls = bufferevent_get_openssl_error(t->bev);
  int saved = EVUTIL_SOCKET_ERROR();
  const char *reason = tls ? ERR_reason_error_string(tls) : NULL;
  BT_AUTO_FREE char *text = bt_asprintf("%s%s", tls ? "TLS: " : "",
                                        tls     ? reason ? reason : "broken connection"
                                        : saved ? evutil_socket_error_to_string(saved)
                                                : "cannot connect");
  if (t->state == OPEN && !pump(t))
    return;
  tunnel_fail(t, BT_UNAVAILABLE, text);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
  (void)bev;
  struct bt_http_tunnel *t = arg;
  struct bt_loop *loop = t->owner->loop;
  bt_loop_enter(loop, "http-tunnel");
  if (what & BEV_EVENT_CONNECTED)
    connected(t);
  else if (what & BEV_EVENT_ERROR)
    connection_error(t);
  else if (what & BEV_EVENT_EOF)
    closed_by_peer(t);
  bt_loop_leave(loop);
}

static int open_tls(struct bt_http_tunnel *t) {
  t->tls = SSL_CTX_new(TLS_client_method());
  BT_ASSERT(t->tls);
  SSL_CTX_set_min_proto_version(t->tls, TLS1_2_VERSION);
  SSL_CTX_set_verify(t->tls, SSL_VERIFY_PEER, NULL);
  int rc = t->ca_file ? SSL_CTX_load_verify_locations(t->tls, t->ca_file, NULL) : SSL_CTX_set_default_verify_paths(t->tls);
  if (rc == 1 && t->cert_file)
    rc = SSL_CTX_use_certificate_chain_file(t->tls, t->cert_file);
  if (rc == 1 && t->cert_file)
    rc = SSL_CTX_use_PrivateKey_file(t->tls, t->key_file ? t->key_file : t->cert_file, SSL_FILETYPE_PEM);
  if (rc != 1) {
    ERR_clear_error();
    return set_error(t, BT_INVALID, "the TLS files (CA, certificate, key) cannot be used");
  }
  SSL *ssl = SSL_new(t->tls);
  BT_ASSERT(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), t->host) != 1) {
    SSL_set1_host(ssl, t->host);
    SSL_set_tlsext_host_name(ssl, t->host);
  }
  t->bev = bufferevent_openssl_socket_new(bt_loop_base(t->owner->loop), -1, ssl, BUFFEREVENT_SSL_CONNECTING,
                                          BEV_OPT_CLOSE_ON_FREE);
  return 0;
}

static bool allowed(const struct bt_http_tunnel *t, const struct sockaddr *addr) {
  return !t->allow || t->allow(t->allow_arg, t->host, t->port, addr);
}

static const char refused_address[] = "egress does not allow the address of this host";

/* The addresses came: to the first that is allowed. */
static void looked_up(int rc, struct evutil_addrinfo *list, void *arg) {
  struct bt_http_tunnel *t = arg;
  if (rc == EVUTIL_EAI_CANCEL)
    return; /* t is being freed */
  struct bt_loop *loop = t->owner->loop;
  t->lookup = NULL;
  bt_loop_enter(loop, "http-tunnel");
  struct evutil_addrinfo *a = list;
  while (a && !allowed(t, a->ai_addr))
    a = a->ai_next;
  if (rc)
    tunnel_fail(t, BT_UNAVAILABLE, evutil_gai_strerror(rc));
  else if (!a)
    tunnel_fail(t, BT_DENIED, refused_address);
  else /* a failure comes to on_event */
    bufferevent_socket_connect(t->bev, a->ai_addr, (int)a->ai_addrlen);
  if (list)
    evutil_freeaddrinfo(list);
  bt_loop_leave(loop);
}

static int dial_checked(struct bt_http_tunnel *t) {
  struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
  char port[8];
  snprintf(port, sizeof port, "%d", t->port);
  t->lookup = evdns_getaddrinfo(t->owner->dns, t->host, port, &hints, looked_up, t);
  return 0; /* NULL: it has called back already, and may have ended the tunnel */
}

static int dial(struct bt_http_tunnel *t) {
  if (t->unix_socket) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(t->unix_socket) >= sizeof un.sun_path)
      return set_error(t, BT_INVALID, "the socket's path is too long");
    strcpy(un.sun_path, t->unix_socket);
    return bufferevent_socket_connect(t->bev, (struct sockaddr *)&un, sizeof un);
  }
  struct sockaddr_storage ss;
  int len = sizeof ss;
  bool v6 = strchr(t->host, ':') != NULL;
  BT_AUTO_FREE char *address = bt_asprintf(v6 ? "[%s]:%d" : "%s:%d", t->host, t->port);
  if (!allowed(t, NULL))
    return set_error(t, BT_DENIED, "egress does not allow this host");
  if (evutil_parse_sockaddr_port(address, (struct sockaddr *)&ss, &len) == 0) {
    if (!allowed(t, (struct sockaddr *)&ss))
      return set_error(t, BT_DENIED, refused_address);
    return bufferevent_socket_connect(t->bev, (struct sockaddr *)&ss, len);
  }
  struct bt_http_tunnels *owner = t->owner;
  if (!owner->dns)
    owner->dns = evdns_base_new(bt_loop_base(owner->loop),
                                EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
  if (t->allow)
    return dial_checked(t);
  return bufferevent_socket_connect_hostname(t->bev, owner->dns, AF_UNSPEC, t->host, t->port);
}

/* A turn later than bt_http_upgrade, so that no callback comes from inside it; cancels come here as well. */
static void on_turn(void *arg) {
  struct bt_http_tunnel *t = arg;
  if (t->cancelled) {
    tunnel_end(t, BT_CANCELLED, "cancelled");
    return;
  }
  if (t->code == BT_OK && t->https)
    open_tls(t);
  else if (t->code == BT_OK)
    t->bev = bufferevent_socket_new(bt_loop_base(t->owner->loop), -1, BEV_OPT_CLOSE_ON_FREE);
  if (t->code != BT_OK) {
    tunnel_fail(t, t->code, t->message);
    return;
  }
  llhttp_init(&t->parser, HTTP_RESPONSE, &settings);
  t->parser.data = t;
  bufferevent_setcb(t->bev, on_readable, on_writable, on_event, t);
  bufferevent_set_max_single_read(t->bev, READ_CHUNK);
  bt_timer_set(t->deadline, HEAD_MS);
  struct bt_http_tunnels *owner = t->owner;
  if (dial(t) == 0)
    return;
  for (struct bt_http_tunnel *o = owner->first; o; o = o->next) /* on_event may have ended it already */
    if (o == t) {
      tunnel_fail(t, t->code != BT_OK ? t->code : BT_UNAVAILABLE, t->message ? t->message : "cannot connect");
      return;
    }
}

static void on_deadline(void *arg) { tunnel_fail(arg, BT_DEADLINE, "no answer within 30 s"); }

/* ---------------------------------------------------------------- the request */

static void write_request(struct bt_http_tunnel *t, const struct bt_http_upgrade *up, const char *target,
                          const char *authority) {
  const char *method = up->method ? up->method : "GET";
  if (!bt_http_token_ok(method) || !bt_http_headers_ok(up->headers, up->nheaders)) {
    set_error(t, BT_INVALID, BT_HTTP_BAD_HEAD);
    return;
  }
  bt_buf_addf(&t->request, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, authority);
  for (size_t i = 0; i < up->nheaders; i++)
    bt_buf_addf(&t->request, "%s: %s\r\n", up->headers[i].name, up->headers[i].value);
  if (up->body || bt_streq(up->method, "POST"))
    bt_buf_addf(&t->request, "Content-Length: %zu\r\n", up->body ? up->body_len : (size_t)0);
  bt_buf_adds(&t->request, "\r\n");
  if (up->body)
    bt_buf_add(&t->request, up->body, up->body_len);
}

static void set_target(struct bt_http_tunnel *t, const struct bt_http_upgrade *up) {
  CURLU *u = curl_url();
  char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *query = NULL;
  if (curl_url_set(u, CURLUPART_URL, up->url ? up->url : "", 0) == CURLUE_OK) {
    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(u, CURLUPART_HOST, &host, 0);
    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    curl_url_get(u, CURLUPART_PATH, &path, 0);
    curl_url_get(u, CURLUPART_QUERY, &query, 0);
  }
  if (!host || !port || !(bt_streq(scheme, "http") || bt_streq(scheme, "https"))) {
    set_error(t, BT_INVALID, "the address is no http or https URL");
  } else {
    t->https = bt_streq(scheme, "https") && !t->unix_socket;
    t->port = atoi(port);
    size_t n = strlen(host);
    t->host = *host == '[' ? bt_strndup(host + 1, n - 2) : bt_strdup(host);
    BT_AUTO_FREE char *target = bt_asprintf("%s%s%s", path, query ? "?" : "", query ? query : "");
    BT_AUTO_FREE char *authority = bt_asprintf("%s:%s", host, port);
    write_request(t, up, target, authority);
  }
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  curl_free(query);
  curl_url_cleanup(u);
}

struct bt_http_tunnel *bt_http_tunnel_open(struct bt_http_tunnels *tunnels, const struct bt_http_upgrade *up) {
  struct bt_http_tunnel *t = bt_new(struct bt_http_tunnel);
  t->owner = tunnels;
  t->on_open = up->on_open;
  t->on_data = up->on_data;
  t->on_close = up->on_close;
  t->arg = up->arg;
  t->allow = up->allow;
  t->allow_arg = up->allow_arg;
  t->unix_socket = bt_strdup(up->unix_socket);
  t->ca_file = bt_strdup(up->tls_ca_file);
  t->cert_file = bt_strdup(up->tls_cert_file);
  t->key_file = bt_strdup(up->tls_key_file);
  t->next = tunnels->first;
  if (t->next)
    t->next->prev = t;
  tunnels->first = t;
  t->turn = bt_timer_new(tunnels->loop, "http-tunnel", on_turn, t);
  t->deadline = bt_timer_new(tunnels->loop, "http-tunnel", on_deadline, t);
  set_target(t, up);
  bt_timer_set(t->turn, 0);
  return t;
}

void bt_http_tunnels_close(struct bt_http_tunnels *tunnels) {
  while (tunnels->first)
    tunnel_end(tunnels->first, BT_CANCELLED, "the client is closing");
  if (tunnels->dns)
    evdns_base_free(tunnels->dns, 0);
  tunnels->dns = NULL;
}

size_t bt_http_tunnel_write(struct bt_http_tunnel *t, const void *data, size_t len) {
  if (t->state != OPEN || t->close_write || t->cancelled)
    return 0;
  bufferevent_write(t->bev, data, len);
  return evbuffer_get_length(bufferevent_get_output(t->bev));
}

void bt_http_tunnel_close_write(struct bt_http_tunnel *t) {
  t->close_write = true;
  half_close(t);
}

void bt_http_tunnel_cancel(struct bt_http_tunnel *t) {
  t->cancelled = true;
  bt_timer_set(t->turn, 0);
}
