/* berth.host.http/1 of the helper: the server makes the requests, under the entry's egress; here are the plug-in's callbacks. */
#include "config.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/vec.h"
#include "plugin/helper/helper.h"
#include "plugin/marshal.h"

enum { upload_chunk = 64 * 1024 };

/* ---------------------------------------------------------------- requests */

struct request {
  struct bt_resource base;
  struct berth_http_request r; /* the plug-in's callbacks; its strings are not kept */
  bool paused;                 /* on_data said so */
  bool wanted;                 /* the server asks for more of the body, and there was none */
  struct bt_buf held;          /* data that came while it paused */
  json_t *end;                 /* "http.done" that came while it paused, and its bytes */
  struct bt_buf end_bytes;
};

static void request_free(struct request *q) {
  bt_buf_free(&q->held);
  bt_buf_free(&q->end_bytes);
  json_decref(q->end);
  free(q);
}

static void request_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct request *q = (struct request *)resource;
  if (entry->self)
    q->r.done(q->r.arg, BERTH_CANCELLED, "the plug-in is stopping", 0, "", 0);
  request_free(q);
}

static const struct bt_resource_kind request_kind = {.name = "http request", .detach = request_detach};

static struct request *request_of(berth_handle id) {
  return (struct request *)bt_resource_get(&helper.entry, id, &request_kind);
}

static void put_common(json_t *head, const char *method, const char *url, const char *unix_socket, const struct berth_pair *headers,
                       size_t nheaders) {
  bt_json_set_str(head, "method", method);
  bt_json_set_str(head, "url", url);
  bt_json_set_str(head, "unix_socket", unix_socket);
  bt_json_set(head, "headers", bt_pairs_json(headers, nheaders));
}

static berth_handle http_request(const struct berth_host *host, const struct berth_http_request *given) {
  struct bt_plugin *entry = bt_host_entry_live(host, "http.request");
  if (!entry)
    return 0;
  struct request *q = bt_new(struct request);
  BT_TAKE(q->r, given);
  const struct berth_http_request *r = &q->r;
  if (!r->method || !r->url || !r->done) {
    free(q);
    return 0;
  }
  bt_resource_add(entry, &q->base, &request_kind);
  json_t *head = helper_message("http.request", q->base.id);
  put_common(head, r->method, r->url, r->unix_socket, r->headers, r->nheaders);
  bt_json_set_int(head, "timeout_ms", r->timeout_ms);
  bt_json_set_int(head, "connect_timeout_ms", r->connect_timeout_ms);
  bt_json_set_int(head, "max_body", (long long)r->max_body);
  bt_json_set_str(head, "tls_ca_file", r->tls_ca_file);
  bt_json_set_str(head, "tls_cert_file", r->tls_cert_file);
  bt_json_set_str(head, "tls_key_file", r->tls_key_file);
  bt_json_set_bool(head, "tls_insecure", r->tls_insecure);
  bt_json_set_bool(head, "follow_redirects", r->follow_redirects);
  bt_json_set_bool(head, "stream", r->on_data != NULL);
  bt_json_set_bool(head, "upload", r->read_body != NULL);
  bt_json_set_bool(head, "body", r->body != NULL);
  helper_send(head, r->body, r->body ? r->body_len : 0);
  return q->base.id;
}

static void tell_taken(berth_handle id, size_t bytes) {
  json_t *head = helper_message("http.taken", id);
  bt_json_set_int(head, "bytes", (long long)bytes);
  helper_send(head, NULL, 0);
}

/* A piece to the plug-in. It may cancel from inside, but the request lives on until done. */
static void give_data(struct request *q, const void *data, size_t len) {
  berth_handle id = q->base.id;
  q->paused = !q->r.on_data(q->r.arg, data, len);
  tell_taken(id, len);
}

static void on_head(const struct bt_message *m, struct request *q) {
  size_t n = 0;
  BT_AUTO_FREE struct berth_pair *headers = bt_pairs_read(bt_json_arr(m->head, "headers"), &n);
  if (q->r.on_head)
    q->r.on_head(q->r.arg, (int)bt_json_int(m->head, "status", 0), headers, n);
}

static void finish(struct request *q, const json_t *head, const char *body, size_t len) {
  bt_resource_del(&q->base);
  q->r.done(q->r.arg, helper_code(head), bt_json_str_or(head, "message", ""), (int)bt_json_int(head, "status", 0), body, len);
  request_free(q);
}

static void on_data(const struct bt_message *m, struct request *q) {
  if (!q->r.on_data)
    return;
  if (q->paused || q->held.len)
    bt_buf_add(&q->held, m->bytes, m->len);
  else
    give_data(q, m->bytes, m->len);
}

static void on_done(const struct bt_message *m, struct request *q) {
  BT_AUTO_FREE char *body = bt_strndup(m->bytes ? m->bytes : "", 0);
  body = bt_realloc(body, m->len + 1, 1);
  if (m->len)
    memcpy(body, m->bytes, m->len);
  body[m->len] = '\0';
  if (q->held.len && helper_code(m->head) == BERTH_OK) { /* the data goes first */
    q->end = json_incref(m->head);
    bt_buf_add(&q->end_bytes, body, m->len);
    return;
  }
  finish(q, m->head, body, m->len);
}

/* Asks the plug-in for a piece of its body. */
static void pull(struct request *q) {
  char *buf = bt_calloc(1, upload_chunk);
  berth_handle id = q->base.id;
  ssize_t n = q->r.read_body(q->r.arg, buf, upload_chunk);
  if (n == -1) {
    q->wanted = true;
  } else {
    json_t *head = helper_message("http.body", id);
    bt_json_set_bool(head, "end", n == 0);
    bt_json_set_bool(head, "abort", n < -1 || n > upload_chunk);
    helper_send(head, buf, n > 0 && n <= upload_chunk ? (size_t)n : 0);
  }
  free(buf);
}

/* After resume, from the loop. */
static void go_on(void *arg) {
  struct request *q = request_of((berth_handle)(uintptr_t)arg);
  if (!q)
    return;
  if (q->held.len && !q->paused) {
    struct bt_buf held = q->held;
    q->held = (struct bt_buf){0};
    give_data(q, held.data, held.len);
    bt_buf_free(&held);
  }
  if (q->end && !q->held.len) {
    struct bt_buf bytes = q->end_bytes;
    BT_AUTO_JSON head = bt_steal(q->end);
    q->end_bytes = (struct bt_buf){0};
    finish(q, head, bytes.data ? bytes.data : "", bytes.len);
    bt_buf_free(&bytes);
    return;
  }
  if (q->wanted && q->r.read_body) {
    q->wanted = false;
    pull(q);
  }
}

static void http_resume(const struct berth_host *host, berth_handle id) {
  struct request *q = bt_host_entry(host, "http.resume") ? request_of(id) : NULL;
  if (!q)
    return;
  q->paused = false;
  bt_service_timer.after(host, 0, go_on, (void *)(uintptr_t)id);
}

/* ---------------------------------------------------------------- upgraded connections */

struct tunnel {
  struct bt_resource base;
  struct berth_http_upgrade u;
  size_t sent, waiting; /* written and not taken by the server; what waits there */
};

static void tunnel_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct tunnel *t = (struct tunnel *)resource;
  if (entry->self)
    t->u.on_close(t->u.arg, BERTH_CANCELLED, "the plug-in is stopping");
  free(t);
}

static const struct bt_resource_kind tunnel_kind = {.name = "http upgrade", .detach = tunnel_detach};

static struct tunnel *tunnel_of(berth_handle id) { return (struct tunnel *)bt_resource_get(&helper.entry, id, &tunnel_kind); }

static berth_handle http_upgrade(const struct berth_host *host, const struct berth_http_upgrade *given) {
  struct bt_plugin *entry = bt_host_entry_live(host, "http.upgrade");
  if (!entry)
    return 0;
  struct tunnel *t = bt_new(struct tunnel);
  BT_TAKE(t->u, given);
  const struct berth_http_upgrade *u = &t->u;
  if (!u->method || !u->url || !u->on_close) {
    free(t);
    return 0;
  }
  bt_resource_add(entry, &t->base, &tunnel_kind);
  json_t *head = helper_message("http.upgrade", t->base.id);
  put_common(head, u->method, u->url, u->unix_socket, u->headers, u->nheaders);
  bt_json_set_str(head, "tls_ca_file", u->tls_ca_file);
  bt_json_set_str(head, "tls_cert_file", u->tls_cert_file);
  bt_json_set_str(head, "tls_key_file", u->tls_key_file);
  bt_json_set_bool(head, "body", u->body != NULL);
  helper_send(head, u->body, u->body ? u->body_len : 0);
  return t->base.id;
}

static size_t http_write(const struct berth_host *host, berth_handle id, const void *data, size_t len) {
  struct tunnel *t = bt_host_entry(host, "http.write") ? tunnel_of(id) : NULL;
  if (!t)
    return 0;
  t->sent += len;
  helper_send(helper_message("http.write", id), data, len);
  return t->sent + t->waiting;
}

static void http_close_write(const struct berth_host *host, berth_handle id) {
  if (bt_host_entry(host, "http.close_write") && tunnel_of(id))
    helper_send(helper_message("http.close_write", id), NULL, 0);
}

static void http_cancel(const struct berth_host *host, berth_handle id) {
  if (bt_host_entry(host, "http.cancel") && (tunnel_of(id) || request_of(id)))
    helper_send(helper_message("http.cancel", id), NULL, 0);
}

const struct berth_host_http helper_http = {.size = sizeof helper_http,
                                            .request = http_request,
                                            .resume = http_resume,
                                            .cancel = http_cancel,
                                            .upgrade = http_upgrade,
                                            .write = http_write,
                                            .close_write = http_close_write};

static void tunnel_message(const struct bt_message *m, struct tunnel *t) {
  const char *type = m->type + strlen("http.");
  if (strcmp(type, "open") == 0) {
    if (t->u.on_open)
      t->u.on_open(t->u.arg, bt_json_bool(m->head, "ok", false), (int)bt_json_int(m->head, "status", 0), m->bytes ? m->bytes : "",
                   m->len);
  } else if (strcmp(type, "data") == 0) {
    if (t->u.on_data)
      t->u.on_data(t->u.arg, m->bytes, m->len);
  } else if (strcmp(type, "taken") == 0) {
    t->sent -= BT_MIN((size_t)bt_json_int(m->head, "bytes", 0), t->sent);
    t->waiting = (size_t)bt_json_int(m->head, "waiting", 0);
  } else if (strcmp(type, "closed") == 0) {
    bt_resource_del(&t->base);
    t->u.on_close(t->u.arg, helper_code(m->head), bt_json_str_or(m->head, "message", ""));
    free(t);
  }
}

bool helper_http_message(const struct bt_message *m) {
  if (!bt_starts(m->type, "http."))
    return false;
  berth_handle id = (berth_handle)bt_json_int(m->head, "id", 0);
  struct tunnel *t = tunnel_of(id);
  struct request *q = request_of(id);
  const char *type = m->type + strlen("http.");
  if (q && q->end) /* nothing comes behind the end */
    return true;
  if (t)
    tunnel_message(m, t);
  else if (q && strcmp(type, "head") == 0)
    on_head(m, q);
  else if (q && strcmp(type, "data") == 0)
    on_data(m, q);
  else if (q && strcmp(type, "read") == 0 && q->r.read_body)
    pull(q);
  else if (q && strcmp(type, "done") == 0)
    on_done(m, q);
  return true;
}
