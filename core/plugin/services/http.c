/* berth.host.http/1 over the loop's HTTP client: requests and upgraded connections. */
#include "config.h"

#include "loop/http_client.h"
#include "loop/loop.h"
#include "plugin/egress.h"
#include "plugin/internal.h"

/* What a pair of ours and of theirs look like is the same; the arrays pass as they are. */
_Static_assert(sizeof(struct berth_pair) == sizeof(struct bt_http_pair) &&
                   offsetof(struct berth_pair, value) == offsetof(struct bt_http_pair, value),
               "pairs pass through");

/* ---------------------------------------------------------------- egress */

/* The entry outlives its requests; its egress may change under them. */
static bool allow(const void *arg, const char *host, int port, const struct sockaddr *addr) {
  const struct bt_plugin *entry = arg;
  return !entry->egress || bt_egress_allows(entry->egress, host, port, addr);
}

/* Where there is an egress: a client of the entry's own, so that no connection is used that others were allowed. */
static struct bt_http *client_of(struct bt_plugin *entry) {
  if (!entry->egress)
    return entry->plugins->http;
  if (!entry->http)
    entry->http = bt_http_new(entry->plugins->loop);
  return entry->http;
}

/* Sockets and, of a plug-in in a process of its own, files that the server would open for it: those that an operator named. NULL, or
 * why not. */
static const char *refused(const struct bt_plugin *entry, const char *unix_socket, const char *const files[3]) {
  if (!entry->egress)
    return NULL;
  if (unix_socket && !bt_egress_allows_unix(entry->egress, unix_socket))
    return "egress does not allow this unix socket: name it as unix:/path";
  for (int i = 0; entry->isolation.process && i < 3; i++)
    if (files[i] && !bt_egress_allows_file(entry->egress, files[i]))
      return "the TLS files must be named in the plug-in's config";
  return NULL;
}

/* ---------------------------------------------------------------- requests */

struct request {
  struct bt_resource base;
  struct bt_http_call *call;
  struct bt_loop *loop;
  const char *label;
  struct berth_http_request r; /* the plug-in's callbacks; its strings are not kept */
  bool detached;
  const char *refused; /* why it is not made */
};

static void request_head(void *arg, int status, const struct bt_http_pair *headers, size_t n) {
  struct request *q = arg;
  if (q->detached || !q->r.on_head)
    return;
  bt_loop_enter(q->loop, q->label);
  q->r.on_head(q->r.arg, status, (const struct berth_pair *)headers, n);
  bt_loop_leave(q->loop);
}

static bool request_data(void *arg, const void *data, size_t len) {
  struct request *q = arg;
  if (q->detached)
    return true;
  bt_loop_enter(q->loop, q->label);
  bool more = q->r.on_data(q->r.arg, data, len);
  bt_loop_leave(q->loop);
  return more;
}

static ssize_t request_read(void *arg, void *buf, size_t room) {
  struct request *q = arg;
  if (q->detached)
    return -2;
  bt_loop_enter(q->loop, q->label);
  ssize_t n = q->r.read_body(q->r.arg, buf, room);
  bt_loop_leave(q->loop);
  return n;
}

static void request_done(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t len) {
  struct request *q = arg;
  bool detached = q->detached;
  bt_resource_del(&q->base);
  if (q->refused && code != BT_CANCELLED) {
    code = BT_DENIED;
    message = q->refused;
  }
  if (!detached) {
    bt_loop_enter(q->loop, q->label);
    q->r.done(q->r.arg, bt_plugin_code_out(code), message ? message : "", status, body ? body : "", len);
    bt_loop_leave(q->loop);
  }
  free(q);
}

static void request_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct request *q = (struct request *)resource;
  q->detached = true;
  bt_loop_enter(q->loop, q->label);
  if (entry->self)
    q->r.done(q->r.arg, BERTH_CANCELLED, "the plug-in is stopping", 0, "", 0);
  bt_loop_leave(q->loop);
  bt_http_cancel(q->call); /* request_done frees it */
}

static const struct bt_resource_kind request_kind = {.name = "http request", .detach = request_detach};

static berth_handle http_request(const struct berth_host *host, const struct berth_http_request *given) {
  struct bt_plugin *entry = bt_host_entry_live(host, "http.request");
  if (!entry)
    return 0;
  struct request *q = bt_new(struct request);
  BT_TAKE(q->r, given);
  q->loop = entry->plugins->loop;
  q->label = entry->cell->label;
  const struct berth_http_request *r = &q->r;
  if (!r->method || !r->url || !r->done) {
    free(q);
    return 0;
  }
  struct bt_http_request request = {.method = r->method,
                                    .url = r->url,
                                    .unix_socket = r->unix_socket,
                                    .headers = (const struct bt_http_pair *)r->headers,
                                    .nheaders = r->nheaders,
                                    .body = r->body,
                                    .body_len = r->body_len,
                                    .read_body = r->read_body ? request_read : NULL,
                                    .timeout_ms = r->timeout_ms,
                                    .connect_timeout_ms = r->connect_timeout_ms,
                                    .max_body = r->max_body,
                                    .tls_ca_file = r->tls_ca_file,
                                    .tls_cert_file = r->tls_cert_file,
                                    .tls_key_file = r->tls_key_file,
                                    .tls_insecure = r->tls_insecure,
                                    .follow_redirects = r->follow_redirects,
                                    .on_head = request_head,
                                    .on_data = r->on_data ? request_data : NULL,
                                    .done = request_done,
                                    .arg = q,
                                    .allow = entry->egress ? allow : NULL,
                                    .allow_arg = entry};
  q->refused = refused(entry, r->unix_socket, (const char *const[]){r->tls_ca_file, r->tls_cert_file, r->tls_key_file});
  if (q->refused) /* an address that is none: it ends in the next turn, as one that is not allowed does */
    request.url = request.unix_socket = NULL;
  bt_resource_add(entry, &q->base, &request_kind);
  q->call = bt_http_request(client_of(entry), &request);
  return q->base.id;
}

static void http_resume(const struct berth_host *host, berth_handle id) {
  struct bt_plugin *entry = bt_host_entry(host, "http.resume");
  struct bt_resource *resource = entry ? bt_resource_get(entry, id, &request_kind) : NULL;
  if (resource)
    bt_http_resume(((struct request *)resource)->call);
}

/* ---------------------------------------------------------------- upgraded connections */

struct tunnel {
  struct bt_resource base;
  struct bt_http_tunnel *tunnel;
  struct bt_loop *loop;
  const char *label;
  struct berth_http_upgrade u;
  bool detached;
  const char *refused;
};

static void tunnel_open(void *arg, bool ok, int status, const char *body, size_t len) {
  struct tunnel *t = arg;
  if (t->detached || !t->u.on_open)
    return;
  bt_loop_enter(t->loop, t->label);
  t->u.on_open(t->u.arg, ok, status, body ? body : "", len);
  bt_loop_leave(t->loop);
}

static void tunnel_data(void *arg, const void *data, size_t len) {
  struct tunnel *t = arg;
  if (t->detached || !t->u.on_data)
    return;
  bt_loop_enter(t->loop, t->label);
  t->u.on_data(t->u.arg, data, len);
  bt_loop_leave(t->loop);
}

static void tunnel_closed(void *arg, enum bt_code code, const char *message) {
  struct tunnel *t = arg;
  bool detached = t->detached;
  bt_resource_del(&t->base);
  if (t->refused && code != BT_CANCELLED) {
    code = BT_DENIED;
    message = t->refused;
  }
  if (!detached) {
    bt_loop_enter(t->loop, t->label);
    t->u.on_close(t->u.arg, bt_plugin_code_out(code), message ? message : "");
    bt_loop_leave(t->loop);
  }
  free(t);
}

static void tunnel_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct tunnel *t = (struct tunnel *)resource;
  t->detached = true;
  bt_loop_enter(t->loop, t->label);
  if (entry->self)
    t->u.on_close(t->u.arg, BERTH_CANCELLED, "the plug-in is stopping");
  bt_loop_leave(t->loop);
  bt_http_tunnel_cancel(t->tunnel); /* tunnel_closed frees it */
}

static const struct bt_resource_kind tunnel_kind = {.name = "http upgrade", .detach = tunnel_detach};

static berth_handle http_upgrade(const struct berth_host *host, const struct berth_http_upgrade *given) {
  struct bt_plugin *entry = bt_host_entry_live(host, "http.upgrade");
  if (!entry)
    return 0;
  struct tunnel *t = bt_new(struct tunnel);
  BT_TAKE(t->u, given);
  t->loop = entry->plugins->loop;
  t->label = entry->cell->label;
  const struct berth_http_upgrade *u = &t->u;
  if (!u->method || !u->url || !u->on_close) {
    free(t);
    return 0;
  }
  struct bt_http_upgrade upgrade = {.method = u->method,
                                    .url = u->url,
                                    .unix_socket = u->unix_socket,
                                    .headers = (const struct bt_http_pair *)u->headers,
                                    .nheaders = u->nheaders,
                                    .body = u->body,
                                    .body_len = u->body_len,
                                    .tls_ca_file = u->tls_ca_file,
                                    .tls_cert_file = u->tls_cert_file,
                                    .tls_key_file = u->tls_key_file,
                                    .on_open = tunnel_open,
                                    .on_data = tunnel_data,
                                    .on_close = tunnel_closed,
                                    .arg = t,
                                    .allow = entry->egress ? allow : NULL,
                                    .allow_arg = entry};
  t->refused = refused(entry, u->unix_socket, (const char *const[]){u->tls_ca_file, u->tls_cert_file, u->tls_key_file});
  if (t->refused)
    upgrade.url = upgrade.unix_socket = NULL;
  bt_resource_add(entry, &t->base, &tunnel_kind);
  t->tunnel = bt_http_upgrade(client_of(entry), &upgrade);
  return t->base.id;
}

static struct tunnel *tunnel_of(const struct berth_host *host, berth_handle id, const char *what) {
  struct bt_plugin *entry = bt_host_entry(host, what);
  return entry ? (struct tunnel *)bt_resource_get(entry, id, &tunnel_kind) : NULL;
}

static size_t http_write(const struct berth_host *host, berth_handle id, const void *data, size_t len) {
  struct tunnel *t = tunnel_of(host, id, "http.write");
  return t ? bt_http_tunnel_write(t->tunnel, data, len) : 0;
}

static void http_close_write(const struct berth_host *host, berth_handle id) {
  struct tunnel *t = tunnel_of(host, id, "http.close_write");
  if (t)
    bt_http_tunnel_close_write(t->tunnel);
}

static void http_cancel(const struct berth_host *host, berth_handle id) {
  struct bt_plugin *entry = bt_host_entry(host, "http.cancel");
  struct bt_resource *resource = entry ? bt_resource_get(entry, id, &request_kind) : NULL;
  if (resource)
    bt_http_cancel(((struct request *)resource)->call);
  struct tunnel *t = entry ? (struct tunnel *)bt_resource_get(entry, id, &tunnel_kind) : NULL;
  if (t)
    bt_http_tunnel_cancel(t->tunnel);
}

const struct berth_host_http bt_service_http = {.size = sizeof bt_service_http,
                                                .request = http_request,
                                                .resume = http_resume,
                                                .cancel = http_cancel,
                                                .upgrade = http_upgrade,
                                                .write = http_write,
                                                .close_write = http_close_write};
