#include "config.h"
#include "loop/http_client.h"

#include "base/mem.h"
#include "loop/http_internal.h"

enum {
  DEFAULT_TIMEOUT_MS = 30000,
  DEFAULT_CONNECT_MS = 5000,
  DEFAULT_MAX_BODY = 4 * 1024 * 1024,
  SPARE_HANDLES = 16,  /* easy handles kept for the next request, 5 KB each: until bt_http_rest */
  MAX_CONNECTIONS = 16 /* idle ones kept alive, 3 KB each and more with TLS */
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
  bt_http_call_free(call);
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
  if (rc == CURLE_OK && call->swallow && bt_http_call_redirect(call) == 0) {
    drop_easy(call);
    call_start(call);
    return;
  }
  if (rc != CURLE_OK && call->refused)
    bt_http_call_fail(call, BT_DENIED, "egress does not allow the address of this host");
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
  bt_http_call_setup(call);
  if (call->code != BT_OK) { /* the hop is not allowed */
    bt_timer_set(http->turn, 0);
    return;
  }
  http->in_curl++;
  CURLMcode rc = curl_multi_add_handle(http->multi, call->easy);
  http->in_curl--;
  call->added = rc == CURLM_OK;
  if (rc != CURLM_OK) {
    bt_http_call_fail(call, BT_INTERNAL, curl_multi_strerror(rc));
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

void bt_http_rest(struct bt_http *http) {
  while (http->nspare > 0)
    curl_easy_cleanup(http->spare[--http->nspare]);
}

void bt_http_free(struct bt_http **phttp) {
  if (!*phttp)
    return;
  struct bt_http *http = bt_steal(*phttp);
  http->closing = true;
  while (http->calls)
    call_end(http->calls, BT_CANCELLED, "the client is closing");
  bt_http_tunnels_close(&http->tunnels);
  bt_http_rest(http);
  if (http->multi)
    curl_multi_cleanup(http->multi);
  bt_timer_free(&http->timer);
  bt_timer_free(&http->turn);
  free(http);
}

bool bt_http_token_ok(const char *text) {
  size_t len = strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  return len > 0 && !text[len];
}

bool bt_http_headers_ok(const struct bt_http_pair *headers, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!bt_http_token_ok(headers[i].name))
      return false;
    for (const unsigned char *c = (const unsigned char *)headers[i].value; *c; c++)
      if ((*c < ' ' && *c != '\t') || *c == 0x7f)
        return false;
  }
  return true;
}

static void copy_headers(struct bt_http_call *call, const struct bt_http_request *rq) {
  if (!bt_http_token_ok(call->method) || !bt_http_headers_ok(rq->headers, rq->nheaders)) {
    bt_http_call_fail(call, BT_INVALID, BT_HTTP_BAD_HEAD);
    return;
  }
  for (size_t i = 0; i < rq->nheaders; i++)
    bt_vec_push(&call->request_headers, ((struct bt_http_header){bt_strdup(rq->headers[i].name), bt_strdup(rq->headers[i].value)}));
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
      .allow = rq->allow,
      .allow_arg = rq->allow_arg,
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
