#include "config.h"
#include "loop/http_client.h"

#include <curl/curl.h>
#include <strings.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "loop/http_internal.h"

enum {
  DEFAULT_TIMEOUT_MS = 30000,
  DEFAULT_CONNECT_MS = 5000,
  DEFAULT_MAX_BODY = 4 * 1024 * 1024,
  MAX_HEADERS = 256,
  MAX_REDIRECTS = 5,
  SPARE_HANDLES = 16,  /* easy handles kept for the next request */
  MAX_CONNECTIONS = 64 /* idle ones kept alive */
};

struct header {
  char *name, *value;
};

struct bt_http_call {
  struct bt_http *http;
  struct bt_http_call *prev, *next; /* all calls of the client */
  CURL *easy;                       /* NULL until started and after the end */
  char *method, *url, *unix_socket, *ca_file, *cert_file, *key_file;
  struct curl_slist *sent; /* request headers, in force until the end */
  BT_VEC(struct header) request_headers;
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
  BT_VEC(struct header) head;
  char *location;
  struct bt_buf answer;
  char errbuf[CURL_ERROR_SIZE];
  ssize_t (*read_body)(void *arg, void *buf, size_t room);
  void (*on_head)(void *arg, int status, const struct bt_http_pair *headers, size_t nheaders);
  bool (*on_data)(void *arg, const void *data, size_t len);
  void (*done)(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t body_len);
  void *arg;
};

struct bt_http {
  struct bt_loop *loop;
  CURLM *multi; /* NULL until the first request */
  struct bt_timer *timer, *turn; /* curl's own; ours for what may not happen inside its callbacks */
  struct bt_http_call *calls;
  struct bt_http_tunnels tunnels;
  CURL *spare[SPARE_HANDLES];
  int nspare;
  int in_curl;
  bool closing;
};

static void call_start(struct bt_http_call *call);

static void headers_clear(struct bt_http_call *call) {
  bt_vec_each(&call->head, h) {
    free(h->name);
    free(h->value);
  }
  call->head.len = 0;
  free(bt_steal(call->location));
}

static void call_free(struct bt_http_call *call) {
  headers_clear(call);
  bt_vec_free(&call->head);
  bt_vec_each(&call->request_headers, h) {
    free(h->name);
    free(h->value);
  }
  bt_vec_free(&call->request_headers);
  curl_slist_free_all(call->sent);
  bt_buf_free(&call->answer);
  free(call->method);
  free(call->url);
  free(call->unix_socket);
  free(call->ca_file);
  free(call->cert_file);
  free(call->key_file);
  free(call->body);
  free(call->message);
  free(call);
}

/* Gives the easy handle back: out of the multi handle, and kept for the next request where there is room. */
static void drop_easy(struct bt_http_call *call) {
  struct bt_http *http = call->http;
  CURL *easy = bt_steal(call->easy);
  if (!easy)
    return;
  http->in_curl++;
  if (call->added)
    curl_multi_remove_handle(http->multi, easy);
  call->added = false;
  http->in_curl--;
  if (http->nspare < SPARE_HANDLES && !http->closing) {
    curl_easy_reset(easy);
    http->spare[http->nspare++] = easy;
  } else {
    curl_easy_cleanup(easy);
  }
}

/* Ends the call: never inside a callback of curl's. */
static void call_end(struct bt_http_call *call, enum bt_code code, const char *message) {
  struct bt_http *http = call->http;
  BT_ASSERT(!http->in_curl);
  drop_easy(call);
  if (call->prev)
    call->prev->next = call->next;
  else
    http->calls = call->next;
  if (call->next)
    call->next->prev = call->prev;
  if (call->done)
    call->done(call->arg, code, message ? message : "", call->status, call->answer.data ? call->answer.data : "",
               call->answer.len);
  call_free(call);
}

static int fail(struct bt_http_call *call, enum bt_code code, const char *message) {
  if (call->code == BT_OK) {
    call->code = code;
    bt_str_set(&call->message, message);
  }
  return -1;
}

/* ---------------------------------------------------------------- curl's callbacks of one transfer */

static const char *header_get(const struct bt_http_call *call, const char *name) {
  for (size_t i = 0; i < call->head.len; i++)
    if (bt_streq(call->head.items[i].name, name))
      return call->head.items[i].value;
  return NULL;
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The head is whole: hand it on, or keep quiet where the redirect will be followed. */
static void head_complete(struct bt_http_call *call) {
  long status = 0;
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 && status != 101)
    return;
  call->in_body = true;
  call->status = (int)status;
  const char *location = header_get(call, "location");
  if (call->follow && !call->read_body && is_redirect(call->status) && location) {
    call->swallow = true;
    bt_str_set(&call->location, location);
    return;
  }
  if (!call->on_head)
    return;
  BT_VEC(struct bt_http_pair) pairs = {0};
  bt_vec_each(&call->head, h)
    bt_vec_push(&pairs, ((struct bt_http_pair){h->name, h->value}));
  call->on_head(call->arg, call->status, pairs.items, pairs.len);
  bt_vec_free(&pairs);
}

static void add_header(struct bt_http_call *call, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len);
  if (!colon || colon == line)
    return;
  struct header h = {.name = bt_strndup(line, (size_t)(colon - line))};
  for (char *p = h.name; *p; p++)
    if (*p >= 'A' && *p <= 'Z')
      *p = (char)(*p + 32);
  const char *v = colon + 1, *end = line + len;
  while (v < end && (*v == ' ' || *v == '\t'))
    v++;
  while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  h.value = bt_strndup(v, (size_t)(end - v));
  bt_vec_push(&call->head, h);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg) {
  struct bt_http_call *call = arg;
  size_t len = size * n;
  while (len && (line[len - 1] == '\r' || line[len - 1] == '\n'))
    len--;
  if (call->cancelled)
    return 0;
  if (call->in_body) /* trailers: nobody asked for them */
    return size * n;
  if (call->head.len >= MAX_HEADERS) {
    fail(call, BT_TOO_LARGE, "the answer has more than 256 headers");
    return 0;
  }
  if (len == 0)
    head_complete(call);
  else if (len > 5 && strncmp(line, "HTTP/", 5) == 0)
    headers_clear(call);
  else
    add_header(call, line, len);
  return call->cancelled ? 0 : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
  struct bt_http_call *call = arg;
  size_t len = size * n;
  if (call->cancelled)
    return 0;
  if (call->swallow)
    return len;
  if (call->paused) {
    call->curl_paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (call->on_data) {
    call->paused = !call->on_data(call->arg, data, len);
    return call->cancelled ? 0 : len;
  }
  if (len > call->max_body - call->answer.len) {
    BT_AUTO_FREE char *text = bt_asprintf("the answer is larger than %zu bytes", call->max_body);
    fail(call, BT_TOO_LARGE, text);
    return 0;
  }
  bt_buf_add(&call->answer, data, len);
  return len;
}

static size_t on_read(char *buf, size_t size, size_t n, void *arg) {
  struct bt_http_call *call = arg;
  if (call->cancelled)
    return CURL_READFUNC_ABORT;
  ssize_t got = call->read_body(call->arg, buf, size * n);
  if (got >= 0)
    return (size_t)got;
  if (got == -1) {
    call->send_paused = true;
    return CURL_READFUNC_PAUSE;
  }
  fail(call, BT_CANCELLED, "the sender gave up");
  return CURL_READFUNC_ABORT;
}

/* ---------------------------------------------------------------- setting up a transfer */

static bool has_header(const struct bt_http_call *call, const char *name) {
  for (size_t i = 0; i < call->request_headers.len; i++)
    if (strcasecmp(call->request_headers.items[i].name, name) == 0)
      return true;
  return false;
}

static void set_headers(struct bt_http_call *call) {
  struct curl_slist *list = NULL;
  bt_vec_each(&call->request_headers, h) {
    /* "Name;" is curl's way to send a header without a value. */
    BT_AUTO_FREE char *line = *h->value ? bt_asprintf("%s: %s", h->name, h->value) : bt_asprintf("%s;", h->name);
    list = curl_slist_append(list, line);
  }
  if (!has_header(call, "expect"))
    list = curl_slist_append(list, "Expect:");
  if (!has_header(call, "content-type"))
    list = curl_slist_append(list, "Content-Type:");
  if (!has_header(call, "user-agent"))
    list = curl_slist_append(list, "User-Agent: berth/" PACKAGE_VERSION);
  curl_slist_free_all(call->sent);
  call->sent = list;
  curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, list);
}

static void set_method(struct bt_http_call *call) {
  CURL *e = call->easy;
  if (call->read_body) {
    curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(e, CURLOPT_READDATA, call);
  } else if (call->has_body || bt_streq(call->method, "POST") || bt_streq(call->method, "PUT")) {
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body ? call->body : "");
  } else if (bt_streq(call->method, "HEAD")) {
    curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    return;
  } else {
    curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
  }
  curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_tls(struct bt_http_call *call) {
  CURL *e = call->easy;
  curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  if (call->ca_file)
    curl_easy_setopt(e, CURLOPT_CAINFO, call->ca_file);
  if (call->cert_file)
    curl_easy_setopt(e, CURLOPT_SSLCERT, call->cert_file);
  if (call->key_file)
    curl_easy_setopt(e, CURLOPT_SSLKEY, call->key_file);
  if (call->tls_insecure) {
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

static void set_options(struct bt_http_call *call) {
  CURL *e = call->easy;
  curl_easy_setopt(e, CURLOPT_PRIVATE, call);
  curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->errbuf);
  curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(e, CURLOPT_URL, call->url);
  if (call->unix_socket) {
    curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
  }
  curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
  if (call->timeout_ms > 0)
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
  curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_timeout_ms);
  curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
  curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
}

/* ---------------------------------------------------------------- redirects */

/* Scheme, host and port alike? Then credentials may go along. */
static bool same_origin(CURLU *a, CURLU *b) {
  static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
  for (size_t i = 0; i < BT_COUNT(parts); i++) {
    char *x = NULL, *y = NULL;
    curl_url_get(a, parts[i], &x, CURLU_DEFAULT_PORT);
    curl_url_get(b, parts[i], &y, CURLU_DEFAULT_PORT);
    bool same = x && y && strcasecmp(x, y) == 0;
    curl_free(x);
    curl_free(y);
    if (!same)
      return false;
  }
  return true;
}

/* To another host go only headers that are known to carry no credential, and no client certificate. */
static void drop_credentials(struct bt_http_call *call) {
  static const char *const harmless[] = {"accept",   "accept-encoding", "accept-language", "cache-control", "content-type",
                                         "if-match", "if-none-match",   "range",           "user-agent"};
  for (size_t i = call->request_headers.len; i-- > 0;) {
    struct header h = call->request_headers.items[i];
    bool keep = false;
    for (size_t k = 0; k < BT_COUNT(harmless); k++)
      keep |= strcasecmp(h.name, harmless[k]) == 0;
    if (keep)
      continue;
    free(h.name);
    free(h.value);
    bt_vec_remove(&call->request_headers, i);
  }
  free(bt_steal(call->cert_file));
  free(bt_steal(call->key_file));
}

static int check_hop(struct bt_http_call *call, CURLU *from, CURLU *to) {
  char *a = NULL, *b = NULL;
  curl_url_get(from, CURLUPART_SCHEME, &a, 0);
  curl_url_get(to, CURLUPART_SCHEME, &b, 0);
  bool down = bt_streq(a, "https") && !bt_streq(b, "https");
  curl_free(a);
  curl_free(b);
  if (down)
    return fail(call, BT_UNAVAILABLE, "the server redirects from https to an unprotected address");
  if (same_origin(from, to))
    return 0;
  if (call->unix_socket)
    return fail(call, BT_UNAVAILABLE, "the server on the unix socket redirects to another host");
  drop_credentials(call);
  return 0;
}

static int redirect(struct bt_http_call *call) {
  if (++call->redirects > MAX_REDIRECTS)
    return fail(call, BT_UNAVAILABLE, "more than 5 redirects");
  CURLU *from = curl_url(), *to = curl_url();
  char *next = NULL;
  int rc = -1;
  if (curl_url_set(from, CURLUPART_URL, call->url, 0) || curl_url_set(to, CURLUPART_URL, call->url, 0) ||
      curl_url_set(to, CURLUPART_URL, call->location, 0))
    fail(call, BT_UNAVAILABLE, "the server redirects to an address that is none");
  else if (check_hop(call, from, to) == 0 && curl_url_get(to, CURLUPART_URL, &next, 0) == CURLUE_OK)
    rc = 0;
  curl_url_cleanup(from);
  curl_url_cleanup(to);
  if (rc == 0)
    bt_str_set(&call->url, next);
  curl_free(next);
  bool to_get = call->status == 303 || (call->status < 303 && bt_streq(call->method, "POST"));
  if (to_get && !bt_streq(call->method, "HEAD")) {
    bt_str_set(&call->method, "GET");
    free(bt_steal(call->body));
    call->body_len = 0;
    call->has_body = false;
  }
  call->in_body = call->swallow = false;
  headers_clear(call);
  return rc;
}

/* ---------------------------------------------------------------- the multi handle */

static enum bt_code code_of(CURLcode rc) {
  switch (rc) {
  case CURLE_OK:
    return BT_OK;
  case CURLE_OPERATION_TIMEDOUT:
    return BT_DEADLINE;
  case CURLE_URL_MALFORMAT:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CACERT_BADFILE:
    return BT_INVALID;
  default:
    return BT_UNAVAILABLE;
  }
}

static void call_finished(struct bt_http_call *call, CURLcode rc) {
  if (call->cancelled) {
    call_end(call, BT_CANCELLED, "cancelled");
    return;
  }
  if (rc == CURLE_OK && call->swallow && redirect(call) == 0) {
    drop_easy(call);
    call_start(call);
    return;
  }
  enum bt_code code = call->code != BT_OK ? call->code : code_of(rc);
  if (code == BT_OK) {
    call_end(call, BT_OK, "");
    return;
  }
  const char *why = call->message ? call->message : call->errbuf[0] ? call->errbuf : curl_easy_strerror(rc);
  /* Without the query: it may carry a token. */
  BT_AUTO_FREE char *text =
      bt_asprintf("%s %.*s%s%s: %s", call->method, (int)strcspn(call->url, "?"), call->url,
                  call->unix_socket ? " on " : "", call->unix_socket ? call->unix_socket : "", why);
  call_end(call, code, text);
}

static void read_messages(struct bt_http *http) {
  int left;
  for (CURLMsg *m; (m = curl_multi_info_read(http->multi, &left));) {
    if (m->msg != CURLMSG_DONE)
      continue;
    CURLcode rc = m->data.result;
    struct bt_http_call *call = NULL;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
    call_finished(call, rc);
  }
}

static void action(struct bt_http *http, curl_socket_t fd, int mask) {
  int running;
  http->in_curl++;
  curl_multi_socket_action(http->multi, fd, mask, &running);
  http->in_curl--;
  read_messages(http);
}

static void on_curl_timer(void *arg) { action(arg, CURL_SOCKET_TIMEOUT, 0); }

static int set_timer(CURLM *multi, long ms, void *arg) {
  (void)multi;
  struct bt_http *http = arg;
  if (ms < 0)
    bt_timer_clear(http->timer);
  else
    bt_timer_set(http->timer, ms);
  return 0;
}

static void on_socket(void *arg, int fd, int events) {
  action(arg, fd, (events & BT_WATCH_READ ? CURL_CSELECT_IN : 0) | (events & BT_WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp) {
  (void)easy;
  struct bt_http *http = arg;
  struct bt_watch *watch = sockp;
  bt_watch_free(&watch);
  if (what != CURL_POLL_REMOVE) {
    int events = (what & CURL_POLL_IN ? BT_WATCH_READ : 0) | (what & CURL_POLL_OUT ? BT_WATCH_WRITE : 0);
    watch = bt_watch_new(http->loop, "http-client", fd, events, on_socket, http);
  }
  curl_multi_assign(http->multi, fd, watch);
  return 0;
}

static void multi_open(struct bt_http *http) {
  static bool once;
  if (!once)
    BT_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
  once = true;
  http->multi = curl_multi_init();
  BT_ASSERT(http->multi);
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)MAX_CONNECTIONS);
}

static void call_start(struct bt_http_call *call) {
  struct bt_http *http = call->http;
  if (!http->multi)
    multi_open(http);
  call->easy = http->nspare > 0 ? http->spare[--http->nspare] : curl_easy_init();
  BT_ASSERT(call->easy);
  call->errbuf[0] = 0;
  set_options(call);
  set_tls(call);
  set_method(call);
  set_headers(call);
  http->in_curl++;
  CURLMcode rc = curl_multi_add_handle(http->multi, call->easy);
  http->in_curl--;
  call->added = rc == CURLM_OK;
  if (rc != CURLM_OK) {
    fail(call, BT_INTERNAL, curl_multi_strerror(rc));
    bt_timer_set(http->turn, 0);
  }
}

/* What waited for a place outside of curl's callbacks: starts, failed starts, cancels, resumes. */
static void on_turn(void *arg) {
  struct bt_http *http = arg;
  for (struct bt_http_call *call = http->calls, *next; call; call = next) {
    next = call->next;
    if (call->cancelled) {
      call_end(call, BT_CANCELLED, "cancelled");
    } else if (!call->added && call->code != BT_OK) {
      call_end(call, call->code, call->message);
    } else if (!call->easy) {
      call_start(call);
    } else if (call->resume) {
      call->resume = call->paused = call->curl_paused = call->send_paused = false;
      http->in_curl++;
      curl_easy_pause(call->easy, CURLPAUSE_CONT);
      http->in_curl--;
    } else {
      continue;
    }
    next = http->calls; /* a done() may have changed the list: begin again */
  }
  if (http->multi)
    read_messages(http);
}

/* ---------------------------------------------------------------- the interface */

struct bt_http *bt_http_new(struct bt_loop *loop) {
  struct bt_http *http = bt_new(struct bt_http);
  http->loop = loop;
  http->timer = bt_timer_new(loop, "http-client", on_curl_timer, http);
  http->turn = bt_timer_new(loop, "http-client", on_turn, http);
  bt_http_tunnels_init(&http->tunnels, loop);
  return http;
}

void bt_http_free(struct bt_http **phttp) {
  if (!*phttp)
    return;
  struct bt_http *http = bt_steal(*phttp);
  http->closing = true;
  while (http->calls)
    call_end(http->calls, BT_CANCELLED, "the client is closing");
  bt_http_tunnels_close(&http->tunnels);
  while (http->nspare > 0)
    curl_easy_cleanup(http->spare[--http->nspare]);
  if (http->multi)
    curl_multi_cleanup(http->multi);
  bt_timer_free(&http->timer);
  bt_timer_free(&http->turn);
  free(http);
}

static void copy_headers(struct bt_http_call *call, const struct bt_http_request *rq) {
  for (size_t i = 0; i < rq->nheaders; i++) {
    const char *name = rq->headers[i].name, *value = rq->headers[i].value;
    if (!*name || name[strcspn(name, "\r\n: ")] || value[strcspn(value, "\r\n")]) {
      fail(call, BT_INVALID, "a header of the request holds a line break or an empty name");
      continue;
    }
    bt_vec_push(&call->request_headers, ((struct header){bt_strdup(name), bt_strdup(value)}));
  }
}

struct bt_http_call *bt_http_request(struct bt_http *http, const struct bt_http_request *rq) {
  struct bt_http_call *call = bt_new(struct bt_http_call);
  *call = (struct bt_http_call){
      .http = http,
      .method = bt_strdup(rq->method ? rq->method : "GET"),
      .url = bt_strdup(rq->url ? rq->url : ""),
      .unix_socket = bt_strdup(rq->unix_socket),
      .ca_file = bt_strdup(rq->tls_ca_file),
      .cert_file = bt_strdup(rq->tls_cert_file),
      .key_file = bt_strdup(rq->tls_key_file),
      .body = rq->body ? bt_memdup(rq->body, rq->body_len) : NULL,
      .body_len = rq->body ? rq->body_len : 0,
      .has_body = rq->body != NULL,
      .max_body = rq->max_body ? rq->max_body : DEFAULT_MAX_BODY,
      .timeout_ms = rq->timeout_ms ? rq->timeout_ms : DEFAULT_TIMEOUT_MS,
      .connect_timeout_ms = rq->connect_timeout_ms > 0 ? rq->connect_timeout_ms : DEFAULT_CONNECT_MS,
      .tls_insecure = rq->tls_insecure,
      .follow = rq->follow_redirects,
      .read_body = rq->read_body,
      .on_head = rq->on_head,
      .on_data = rq->on_data,
      .done = rq->done,
      .arg = rq->arg,
  };
  copy_headers(call, rq);
  call->next = http->calls;
  if (http->calls)
    http->calls->prev = call;
  http->calls = call;
  if (http->in_curl || http->closing || call->code != BT_OK)
    bt_timer_set(http->turn, 0);
  else
    call_start(call);
  return call;
}

void bt_http_resume(struct bt_http_call *call) {
  call->resume = true;
  bt_timer_set(call->http->turn, 0);
}

void bt_http_cancel(struct bt_http_call *call) {
  call->cancelled = true;
  bt_timer_set(call->http->turn, 0);
}

struct bt_http_tunnel *bt_http_upgrade(struct bt_http *http, const struct bt_http_upgrade *upgrade) {
  return bt_http_tunnel_open(&http->tunnels, upgrade);
}
