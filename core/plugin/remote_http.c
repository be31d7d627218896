/* berth.host.http/1 for plug-ins in another process: the requests are made here, by the same service and under the same egress as for
 * those in this process. Bodies flow with a window each way. */
#include "config.h"

#include "base/json.h"
#include "plugin/marshal.h"
#include "plugin/remote.h"

enum {
  window = 1024 * 1024,
  go_on_at = 512 * 1024,
  max_bodies = 128 * 1024 * 1024, /* of one plug-in's requests together */
  default_answer = 4 * 1024 * 1024,
  answer_share = 4 /* answers of the largest size are rare: so many of them count as one */
};

/* ---------------------------------------------------------------- requests */

struct request {
  struct bt_remote_handle base;
  size_t ahead; /* data sent, and not taken over there */
  bool paused;
  struct bt_buf body; /* of the request, as it comes from there */
  bool body_end, body_abort, body_asked;
  size_t charged; /* of the remote's bodies */
};

/* Room for so many bytes more? Else the request is not made. */
static bool charge(struct bt_remote *r, struct request *q, size_t len) {
  if (len > max_bodies - BT_MIN(r->bodies, (size_t)max_bodies))
    return false;
  r->bodies += len;
  q->charged += len;
  return true;
}

/* done still comes, and frees it. */
static void request_close(struct bt_remote_handle *h, struct bt_remote *r) {
  if (r->host)
    r->services->http->cancel(r->host, h->here);
}
static const struct bt_remote_kind request_kind = {"http request", request_close};

static void on_head(void *arg, int status, const struct berth_pair *headers, size_t n) {
  struct request *q = arg;
  if (!q->base.remote)
    return;
  json_t *head = bt_remote_message("http.head", q->base.id);
  bt_json_set_int(head, "status", status);
  bt_json_set(head, "headers", bt_pairs_json(headers, n));
  bt_remote_send(q->base.remote, head, NULL, 0);
}

static bool on_data(void *arg, const void *data, size_t len) {
  struct request *q = arg;
  if (!q->base.remote)
    return true;
  q->ahead += len;
  bt_remote_send(q->base.remote, bt_remote_message("http.data", q->base.id), data, len);
  q->paused = q->ahead >= window;
  return !q->paused;
}

static void ask_body(struct request *q) {
  if (q->body_asked || q->body_end)
    return;
  q->body_asked = true;
  bt_remote_send(q->base.remote, bt_remote_message("http.read", q->base.id), NULL, 0);
}

static ssize_t read_body(void *arg, void *buf, size_t room) {
  struct request *q = arg;
  if (!q->base.remote || q->body_abort)
    return -2;
  size_t n = BT_MIN(room, q->body.len);
  if (n) {
    memcpy(buf, q->body.data, n);
    bt_buf_consume(&q->body, n);
    q->charged -= n;
    q->base.remote->bodies -= n;
  }
  if (q->body.len == 0)
    ask_body(q);
  return n ? (ssize_t)n : q->body_end ? 0 : -1;
}

static void send_done(struct bt_remote *r, berth_handle id, enum berth_code code, const char *message, int status, const char *body,
                      size_t len) {
  json_t *head = bt_remote_message("http.done", id);
  bt_json_set_str(head, "code", bt_code_name(bt_plugin_code(code)));
  bt_json_set_str(head, "message", message);
  bt_json_set_int(head, "status", status);
  bt_remote_send(r, head, body, len);
}

static void on_done(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct request *q = arg;
  struct bt_remote *r = q->base.remote;
  berth_handle id = q->base.id;
  if (r)
    r->bodies -= q->charged;
  bt_remote_handle_off(&q->base);
  bt_buf_free(&q->body);
  free(q);
  if (r)
    send_done(r, id, code, message, status, body, len);
}

static void start_request(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  size_t n = 0;
  BT_AUTO_FREE struct berth_pair *headers = bt_pairs_read(bt_json_arr(m->head, "headers"), &n);
  struct request *q = bt_remote_handle_new(r, id, &request_kind, sizeof *q);
  if (!q) {
    send_done(r, id, BERTH_EXHAUSTED, "over 2,000 requests, subscriptions and routes at once", 0, NULL, 0);
    return;
  }
  const json_t *h = m->head;
  size_t answer = (size_t)BT_MAX(bt_json_int(h, "max_body", 0), 0);
  answer = BT_MIN(answer, (size_t)BT_WIRE_MAX_BYTES - 4096);
  size_t kept = bt_json_bool(h, "stream", false) ? (size_t)window : answer ? answer : (size_t)default_answer;
  if (!charge(r, q, m->len + kept / answer_share)) {
    on_done(q, BERTH_EXHAUSTED, "its requests at once have over 128 MiB of bodies", 0, NULL, 0);
    return;
  }
  struct berth_http_request request = {.size = sizeof request,
                                       .method = bt_json_str_or(h, "method", "GET"),
                                       .url = bt_json_str_or(h, "url", ""),
                                       .unix_socket = bt_json_str(h, "unix_socket"),
                                       .headers = headers,
                                       .nheaders = n,
                                       .body = bt_json_bool(h, "body", m->len > 0) ? m->bytes : NULL,
                                       .body_len = m->len,
                                       .read_body = bt_json_bool(h, "upload", false) ? read_body : NULL,
                                       .timeout_ms = bt_json_int(h, "timeout_ms", 0),
                                       .connect_timeout_ms = bt_json_int(h, "connect_timeout_ms", 0),
                                       .max_body = answer,
                                       .tls_ca_file = bt_json_str(h, "tls_ca_file"),
                                       .tls_cert_file = bt_json_str(h, "tls_cert_file"),
                                       .tls_key_file = bt_json_str(h, "tls_key_file"),
                                       .tls_insecure = bt_json_bool(h, "tls_insecure", false),
                                       .follow_redirects = bt_json_bool(h, "follow_redirects", false),
                                       .on_head = on_head,
                                       .on_data = bt_json_bool(h, "stream", false) ? on_data : NULL,
                                       .done = on_done,
                                       .arg = q};
  q->base.here = r->services->http->request(r->host, &request);
  if (!q->base.here)
    on_done(q, BERTH_CANCELLED, "the plug-in is stopping", 0, NULL, 0);
}

static void on_body(struct bt_remote *r, const struct bt_message *m, struct request *q) {
  if (q->body_end || !q->body_asked)
    return;
  bool room = charge(r, q, m->len);
  if (room)
    bt_buf_add(&q->body, m->bytes, m->len);
  q->body_end = bt_json_bool(m->head, "end", false);
  q->body_abort = !room || bt_json_bool(m->head, "abort", false);
  q->body_asked = false;
  r->services->http->resume(r->host, q->base.here);
}

static void on_taken(struct bt_remote *r, const struct bt_message *m, struct request *q) {
  q->ahead -= BT_MIN((size_t)BT_MAX(bt_json_int(m->head, "bytes", 0), 0), q->ahead);
  if (!q->paused || q->ahead > go_on_at)
    return;
  q->paused = false;
  r->services->http->resume(r->host, q->base.here);
}

/* ---------------------------------------------------------------- upgraded connections */

static void tunnel_close(struct bt_remote_handle *h, struct bt_remote *r) {
  if (r->host)
    r->services->http->cancel(r->host, h->here);
}
static const struct bt_remote_kind tunnel_kind = {"http upgrade", tunnel_close};

static void tunnel_open(void *arg, bool ok, int status, const char *body, size_t len) {
  const struct bt_remote_handle *h = arg;
  if (!h->remote)
    return;
  json_t *head = bt_remote_message("http.open", h->id);
  bt_json_set_bool(head, "ok", ok);
  bt_json_set_int(head, "status", status);
  bt_remote_send(h->remote, head, body, len);
}

static void tunnel_data(void *arg, const void *data, size_t len) {
  const struct bt_remote_handle *h = arg;
  if (h->remote)
    bt_remote_send(h->remote, bt_remote_message("http.data", h->id), data, len);
}

static void send_closed(struct bt_remote *r, berth_handle id, enum berth_code code, const char *message) {
  json_t *head = bt_remote_message("http.closed", id);
  bt_json_set_str(head, "code", bt_code_name(bt_plugin_code(code)));
  bt_json_set_str(head, "message", message);
  bt_remote_send(r, head, NULL, 0);
}

static void tunnel_closed(void *arg, enum berth_code code, const char *message) {
  struct bt_remote_handle *h = arg;
  struct bt_remote *r = h->remote;
  berth_handle id = h->id;
  bt_remote_handle_off(h);
  free(h);
  if (r)
    send_closed(r, id, code, message);
}

static void start_upgrade(struct bt_remote *r, const struct bt_message *m, berth_handle id) {
  size_t n = 0;
  BT_AUTO_FREE struct berth_pair *headers = bt_pairs_read(bt_json_arr(m->head, "headers"), &n);
  struct bt_remote_handle *h = bt_remote_handle_new(r, id, &tunnel_kind, sizeof *h);
  if (!h) {
    send_closed(r, id, BERTH_EXHAUSTED, "over 2,000 requests, subscriptions and routes at once");
    return;
  }
  struct berth_http_upgrade upgrade = {.size = sizeof upgrade,
                                       .method = bt_json_str_or(m->head, "method", "GET"),
                                       .url = bt_json_str_or(m->head, "url", ""),
                                       .unix_socket = bt_json_str(m->head, "unix_socket"),
                                       .headers = headers,
                                       .nheaders = n,
                                       .body = bt_json_bool(m->head, "body", m->len > 0) ? m->bytes : NULL,
                                       .body_len = m->len,
                                       .tls_ca_file = bt_json_str(m->head, "tls_ca_file"),
                                       .tls_cert_file = bt_json_str(m->head, "tls_cert_file"),
                                       .tls_key_file = bt_json_str(m->head, "tls_key_file"),
                                       .on_open = tunnel_open,
                                       .on_data = tunnel_data,
                                       .on_close = tunnel_closed,
                                       .arg = h};
  h->here = r->services->http->upgrade(r->host, &upgrade);
  if (!h->here)
    tunnel_closed(h, BERTH_CANCELLED, "the plug-in is stopping");
}

static void on_write(struct bt_remote *r, const struct bt_message *m, const struct bt_remote_handle *h) {
  size_t waiting = r->services->http->write(r->host, h->here, m->bytes, m->len);
  json_t *head = bt_remote_message("http.taken", h->id);
  bt_json_set_int(head, "bytes", (long long)m->len);
  bt_json_set_int(head, "waiting", (long long)waiting);
  bt_remote_send(r, head, NULL, 0);
  if (waiting > max_bodies) /* it does not look at what waits */
    r->services->http->cancel(r->host, h->here);
}

/* ---------------------------------------------------------------- all */

bool bt_remote_http_message(struct bt_remote *r, const struct bt_message *m) {
  if (!bt_starts(m->type, "http."))
    return false;
  const char *type = m->type + strlen("http.");
  berth_handle id = (berth_handle)bt_json_int(m->head, "id", 0);
  struct request *q = bt_remote_handle_get(r, id, &request_kind);
  struct bt_remote_handle *tunnel = bt_remote_handle_get(r, id, &tunnel_kind);
  const struct berth_host *host = r->host;
  if (strcmp(type, "request") == 0)
    start_request(r, m, id);
  else if (strcmp(type, "upgrade") == 0)
    start_upgrade(r, m, id);
  else if (strcmp(type, "cancel") == 0 && (q || tunnel))
    r->services->http->cancel(host, q ? q->base.here : tunnel->here);
  else if (strcmp(type, "body") == 0 && q)
    on_body(r, m, q);
  else if (strcmp(type, "taken") == 0 && q)
    on_taken(r, m, q);
  else if (strcmp(type, "write") == 0 && tunnel)
    on_write(r, m, tunnel);
  else if (strcmp(type, "close_write") == 0 && tunnel)
    r->services->http->close_write(host, tunnel->here);
  /* The rest speaks of what has just ended here. */
  return true;
}
