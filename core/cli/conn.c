#include "config.h"
#include "cli/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdint.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

enum { max_answer = 64 << 20, max_problem = 1 << 20 };

/* ---------------------------------------------------------------- where */

static int read_token(struct bt_conn *conn, struct bt_err **err) {
  const char *file = getenv("BERTH_TOKEN_FILE");
  if (!file || !*file)
    return 0;
  BT_AUTO_FREE char *token = NULL;
  size_t len;
  if (bt_file_read(file, 4096, &token, &len, err))
    return bt_err_wrap(err, "BERTH_TOKEN_FILE");
  token[strcspn(token, "\r\n")] = '\0';
  conn->bearer = bt_asprintf("Bearer %s", token);
  bt_wipe(token, len);
  return 0;
}

/* Is the server at an http:// address this machine? Of what follows a "@" nothing is believed. */
static bool is_this_machine(const char *url) {
  const char *at = url + strlen("http://");
  bool six = *at == '[';
  size_t n = six ? strcspn(at, "]") : strcspn(at, ":/?#@");
  BT_AUTO_FREE char *name = bt_strndup(at + six, n - six);
  struct in_addr in4;
  struct in6_addr in6;
  if (strchr(at, '@'))
    return false;
  if (six)
    return inet_pton(AF_INET6, name, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
  return bt_streq(name, "localhost") || (inet_pton(AF_INET, name, &in4) == 1 && ntohl(in4.s_addr) >> 24 == 127);
}

static int set_host(struct bt_conn *conn, const char *host, struct bt_err **err) {
  if (bt_starts(host, "unix://") && host[7] == '/') {
    conn->unix_socket = bt_strdup(host + 7);
    conn->base = bt_strdup("http://localhost");
    return 0;
  }
  if (!bt_starts(host, "http://") && !bt_starts(host, "https://"))
    return bt_err_set(err, BT_INVALID, "\"%s\" is no server: it is unix:///path, http://host:port or https://host:port", host);
  size_t n = strlen(host);
  conn->base = bt_strndup(host, host[n - 1] == '/' ? n - 1 : n);
  if (read_token(conn, err))
    return -1;
  if (conn->bearer && bt_starts(host, "http://") && !is_this_machine(host))
    return bt_err_set(err, BT_INVALID, "%s: the token would go over the network in the clear: say https://, or unset BERTH_TOKEN_FILE", host);
  return 0;
}

int bt_conn_open(const char *host, struct bt_conn **out, struct bt_err **err) {
  const char *named = host ? host : getenv("BERTH_HOST");
  if (!named || !*named)
    named = BT_DEFAULT_HOST;
  struct bt_conn *conn = bt_new(struct bt_conn);
  conn->shown = bt_strdup(named);
  conn->ca_file = bt_strdup(getenv("BERTH_CA_FILE"));
  if (set_host(conn, named, err)) {
    bt_conn_free(&conn);
    return -1;
  }
  conn->loop = bt_loop_new();
  conn->http = bt_http_new(conn->loop);
  *out = conn;
  return 0;
}

void bt_conn_free(struct bt_conn **pconn) {
  struct bt_conn *conn = bt_steal(*pconn);
  if (!conn)
    return;
  bt_http_free(&conn->http);
  bt_loop_free(&conn->loop);
  free(conn->shown);
  free(conn->base);
  free(conn->unix_socket);
  free(conn->bearer);
  free(conn->ca_file);
  free(conn);
}

/* ---------------------------------------------------------------- errors */

static enum bt_code code_of_status(int status) {
  for (int code = BT_INVALID; code < BT_CODE_MAX; code++)
    if (bt_code_http((enum bt_code)code) == status)
      return (enum bt_code)code;
  return status >= 500 ? BT_INTERNAL : BT_INVALID;
}

static void add_diagnostics(struct bt_buf *text, const json_t *diagnostics) {
  size_t i;
  json_t *d;
  json_array_foreach(diagnostics, i, d) {
    const char *file = bt_json_str(d, "file");
    bt_buf_addc(text, '\n');
    if (file)
      bt_buf_addf(text, "%s:%lld:%lld: ", file, bt_json_int(d, "line", 0), bt_json_int(d, "column", 0));
    bt_buf_addf(text, "%s: %s", bt_json_str_or(d, "severity", "error"), bt_json_str_or(d, "message", ""));
  }
}

int bt_conn_problem(int status, const char *body, size_t len, struct bt_err **err) {
  BT_AUTO_ERR not_json = NULL;
  BT_AUTO_JSON problem = bt_json_parse(body, len, max_problem, 0, "answer", &not_json);
  const char *name = problem ? bt_json_str(problem, "code") : NULL;
  enum bt_code code = name ? bt_code_from_name(name) : code_of_status(status);
  if (!problem)
    return bt_err_set(err, code, "the server answered with status %d: is it Berth?", status);
  BT_AUTO_BUF text = {0};
  bt_buf_adds(&text, bt_json_str_or(problem, "detail", bt_json_str_or(problem, "title", "no reason given")));
  add_diagnostics(&text, bt_json_arr(problem, "diagnostics"));
  return bt_err_set(err, code, "%s", text.data);
}

int bt_conn_unanswered(const struct bt_conn *conn, enum bt_code code, const char *message, struct bt_err **err) {
  if (code != BT_UNAVAILABLE)
    return bt_err_set(err, code, "%s: %s", conn->shown, message);
  if (conn->unix_socket && access(conn->unix_socket, W_OK) < 0 && errno == EACCES)
    return bt_err_set(err, BT_DENIED, "you may not write to %s: ask as root or as a member of its group", conn->unix_socket);
  return bt_err_set(err, code,
                    "no server answers at %s. Start one with \"berthd --config /etc/berth/berthd.yaml\" or "
                    "\"systemctl start berthd\", or name another with --host or BERTH_HOST",
                    conn->shown);
}

/* ---------------------------------------------------------------- requests */

struct sent {
  struct bt_conn *conn;
  void (*done)(void *arg, const json_t *answer, struct bt_err *err);
  void *arg;
};

enum { max_headers = 6 };

static size_t headers(const struct bt_conn *conn, bool body, struct bt_http_pair *out) {
  size_t n = 0;
  if (conn->bearer)
    out[n++] = (struct bt_http_pair){"Authorization", conn->bearer};
  if (body)
    out[n++] = (struct bt_http_pair){"Content-Type", "application/json"};
  return n;
}

/* The answer's JSON, or NULL with an error. */
static json_t *read_answer(const struct sent *sent, enum bt_code code, const char *message, int status, const char *body,
                           size_t len, struct bt_err **err) {
  if (!status)
    bt_conn_unanswered(sent->conn, code, message, err);
  else if (status < 200 || status > 299)
    bt_conn_problem(status, body, len, err);
  else if (code != BT_OK)
    bt_err_set(err, code, "%s: %s", sent->conn->shown, message);
  else if (len == 0)
    return json_object();
  else
    return bt_json_parse(body, len, max_answer, 0, "the server's answer", err);
  return NULL;
}

static void sent_done(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t len) {
  struct sent *sent = arg;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON answer = read_answer(sent, code, message ? message : "", status, body ? body : "", body ? len : 0, &err);
  sent->done(sent->arg, answer, err);
  free(sent);
}

void bt_conn_send(struct bt_conn *conn, const char *method, const char *path, const json_t *body, long long timeout_ms,
                  void (*done)(void *arg, const json_t *answer, struct bt_err *err), void *arg) {
  struct sent *sent = bt_new(struct sent);
  *sent = (struct sent){.conn = conn, .done = done, .arg = arg};
  BT_AUTO_FREE char *url = bt_asprintf("%s%s", conn->base, path);
  BT_AUTO_FREE char *text = body ? bt_json_text(body) : NULL;
  struct bt_http_pair pairs[max_headers];
  struct bt_http_request request = {
      .method = method, .url = url, .unix_socket = conn->unix_socket, .headers = pairs,
      .nheaders = headers(conn, body, pairs), .body = text, .body_len = text ? strlen(text) : 0, .timeout_ms = timeout_ms,
      .max_body = max_answer, .tls_ca_file = conn->ca_file, .done = sent_done, .arg = sent,
  };
  bt_http_request(conn->http, &request);
}

void bt_conn_cancel(struct bt_conn *conn) {
  bt_http_free(&conn->http);
  conn->http = bt_http_new(conn->loop);
}

struct wait {
  struct bt_loop *loop;
  json_t *answer;
  struct bt_err **err;
};

static void wait_done(void *arg, const json_t *answer, struct bt_err *err) {
  struct wait *wait = arg;
  wait->answer = answer ? json_incref((json_t *)(uintptr_t)answer) : NULL;
  if (err)
    bt_err_set(wait->err, bt_err_code(err), "%s", bt_err_message(err));
  bt_loop_stop(wait->loop);
}

int bt_conn_call(struct bt_conn *conn, const char *method, const char *path, const json_t *body, long long timeout_ms,
                 json_t **out, struct bt_err **err) {
  struct wait wait = {.loop = conn->loop, .err = err};
  bt_conn_send(conn, method, path, body, timeout_ms, wait_done, &wait);
  bt_loop_run(conn->loop);
  int rc = wait.answer ? 0 : -1;
  if (out)
    *out = bt_steal(wait.answer);
  json_decref(wait.answer);
  return rc;
}

int bt_conn_list(struct bt_conn *conn, const char *path, json_t **out, struct bt_err **err) {
  BT_AUTO_JSON all = json_array();
  BT_AUTO_FREE char *cursor = NULL;
  do {
    BT_AUTO_BUF url = {0};
    bt_buf_adds(&url, path);
    bt_url_query(&url, "limit", "5000");
    bt_url_query(&url, "cursor", cursor);
    BT_AUTO_JSON page = NULL;
    if (bt_conn_call(conn, "GET", url.data, NULL, 0, &page, err))
      return -1;
    json_t *items = json_is_array(page) ? page : bt_json_arr(page, "items");
    if (!items)
      return bt_err_set(err, BT_IO, "%s: the server's answer is no list", path);
    const char *next = json_is_object(page) ? bt_json_str(page, "next") : NULL;
    if (next && bt_streq(next, cursor)) /* else a broken server has us ask for ever */
      return bt_err_set(err, BT_IO, "%s: the server's list does not end", path);
    json_array_extend(all, items);
    bt_str_set(&cursor, next);
  } while (cursor);
  *out = bt_steal(all);
  return 0;
}

/* ---------------------------------------------------------------- streams */

struct stream {
  struct bt_conn *conn;
  bool (*data)(void *arg, const void *data, size_t len);
  void (*end)(void *arg, const struct bt_err *err);
  void *arg;
  int status;
  struct bt_buf problem;
};

static void stream_head(void *arg, int status, const struct bt_http_pair *pairs, size_t n) {
  (void)pairs;
  (void)n;
  ((struct stream *)arg)->status = status;
}

static bool stream_data(void *arg, const void *data, size_t len) {
  struct stream *s = arg;
  if (s->status >= 200 && s->status < 300)
    return s->data(s->arg, data, len);
  if (s->problem.len < max_problem)
    bt_buf_add(&s->problem, data, len);
  return true;
}

static void stream_done(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t len) {
  (void)body;
  (void)len;
  struct stream *s = arg;
  BT_AUTO_ERR err = NULL;
  int known = status ? status : s->status;
  if (!known)
    bt_conn_unanswered(s->conn, code, message, &err);
  else if (known < 200 || known > 299)
    bt_conn_problem(known, s->problem.data ? s->problem.data : "", s->problem.len, &err);
  else if (code != BT_OK)
    bt_err_set(&err, code, "%s: %s", s->conn->shown, message);
  s->end(s->arg, err);
  bt_buf_free(&s->problem);
  free(s);
}

struct bt_http_call *bt_conn_stream(struct bt_conn *conn, const struct bt_conn_stream *stream) {
  struct stream *s = bt_new(struct stream);
  *s = (struct stream){.conn = conn, .data = stream->data, .end = stream->end, .arg = stream->arg};
  BT_AUTO_FREE char *url = bt_asprintf("%s%s", conn->base, stream->path);
  struct bt_http_pair pairs[max_headers];
  BT_AUTO_FREE char *body = stream->body ? bt_json_text(stream->body) : NULL;
  size_t n = headers(conn, body != NULL, pairs);
  if (stream->accept)
    pairs[n++] = (struct bt_http_pair){"Accept", stream->accept};
  if (stream->last_id && *stream->last_id)
    pairs[n++] = (struct bt_http_pair){"Last-Event-ID", stream->last_id};
  struct bt_http_request request = {
      .method = stream->method ? stream->method : "GET", .url = url, .unix_socket = conn->unix_socket, .headers = pairs, .nheaders = n, .timeout_ms = -1,
      .body = body, .body_len = body ? strlen(body) : 0, .tls_ca_file = conn->ca_file, .on_head = stream_head, .on_data = stream_data, .done = stream_done, .arg = s,
  };
  return bt_http_request(conn->http, &request);
}

struct bt_http_tunnel *bt_conn_websocket(struct bt_conn *conn, const char *path, const struct bt_http_upgrade *callbacks) {
  unsigned char nonce[16];
  char key[sodium_base64_ENCODED_LEN(sizeof nonce, sodium_base64_VARIANT_ORIGINAL)];
  randombytes_buf(nonce, sizeof nonce);
  sodium_bin2base64(key, sizeof key, nonce, sizeof nonce, sodium_base64_VARIANT_ORIGINAL);
  BT_AUTO_FREE char *url = bt_asprintf("%s%s", conn->base, path);
  struct bt_http_pair pairs[max_headers];
  size_t n = headers(conn, false, pairs);
  pairs[n++] = (struct bt_http_pair){"Connection", "Upgrade"};
  pairs[n++] = (struct bt_http_pair){"Upgrade", "websocket"};
  pairs[n++] = (struct bt_http_pair){"Sec-WebSocket-Version", "13"};
  pairs[n++] = (struct bt_http_pair){"Sec-WebSocket-Key", key};
  struct bt_http_upgrade upgrade = *callbacks;
  upgrade.method = "GET";
  upgrade.url = url;
  upgrade.unix_socket = conn->unix_socket;
  upgrade.headers = pairs;
  upgrade.nheaders = n;
  upgrade.tls_ca_file = conn->ca_file;
  return bt_http_upgrade(conn->http, &upgrade);
}

/* ---------------------------------------------------------------- addresses */

void bt_url_encode(struct bt_buf *out, const char *text) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  for (; *text; text++) {
    if (strchr(plain, *text))
      bt_buf_addc(out, *text);
    else
      bt_buf_addf(out, "%%%02X", (unsigned char)*text);
  }
}

void bt_url_segments(struct bt_buf *url, const char *first, va_list ap) {
  for (const char *segment = first; segment; segment = va_arg(ap, const char *)) {
    bt_buf_addc(url, '/');
    bt_url_encode(url, segment);
  }
}

char *bt_url_path(const char *first, ...) {
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, "/v1");
  va_list ap;
  va_start(ap, first);
  bt_url_segments(&url, first, ap);
  va_end(ap);
  return bt_buf_steal(&url);
}

void bt_url_query(struct bt_buf *url, const char *name, const char *value) {
  if (!value)
    return;
  bt_buf_addc(url, strchr(url->data, '?') ? '&' : '?');
  bt_buf_addf(url, "%s=", name);
  bt_url_encode(url, value);
}
