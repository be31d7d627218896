/* berth.host.http/1 without a network: each request gets what check_world.play says, piece by piece over turns of the loop, and with
 * the codes that the server's own client would give. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "host.h"
#include "report.h"

enum { default_max_body = 4 << 20, piece_room = 64 * 1024, huge_pieces = 4096, upload_max = 256 << 20, tunnel_error_max = 64 * 1024 };

static const struct {
  const char *name, *doc;
} plays[CHECK_PLAYS] = {{"good", "200 and what --http-script says, or {}"},
                        {"error", "status 500"},
                        {"refused", "status 401 with a challenge"},
                        {"garbage", "200 and bytes that are no text"},
                        {"wrong", "200 and JSON of another shape"},
                        {"truncated", "half a body, then the connection ends"},
                        {"drip", "a byte at a time"},
                        {"huge", "a body without an end"},
                        {"redirect", "a redirect to itself"},
                        {"reset", "the connection ends at once"},
                        {"hang", "no answer"}};

const char *check_play_name(enum check_play play) { return plays[play].name; }
const char *check_play_doc(enum check_play play) { return plays[play].doc; }

/* ---------------------------------------------------------------- what is answered */

struct answer {
  int status;
  struct berth_pair headers[16];
  size_t nheaders;
  char *body;
  size_t len;
  char *url;
  bool always; /* answered well, whatever else is played */
};

static enum check_play play_of(const struct answer *a) { return a->always ? CHECK_GOOD : check_world.play; }

static void answer_free(struct answer *a) {
  free(a->body);
  free(a->url);
}

static void header(struct answer *a, const char *name, const char *value) {
  if (a->nheaders < BT_COUNT(a->headers))
    a->headers[a->nheaders++] = (struct berth_pair){name, value};
}

static void body(struct answer *a, const void *data, size_t len) {
  a->body = bt_memdup(data, len ? len : 1);
  a->len = len;
}

static void garbage(struct answer *a) {
  enum { n = 3000 };
  a->body = bt_calloc(1, n);
  a->len = n;
  unsigned x = 12345;
  for (size_t i = 0; i < n; i++, x = x * 1103515245 + 12345)
    a->body[i] = (char)(x >> 16);
}

/* Members that many formats have, each of a type that none expects. */
static void wrong(struct answer *a) {
  static const char text[] =
      "{\"name\":7,\"id\":[],\"Id\":null,\"digest\":{},\"token\":9,\"config\":\"x\",\"manifests\":7,\"tags\":{\"a\":1},\"items\":\"no\","
      "\"errors\":[null,7],\"error\":[],\"message\":{},\"State\":\"x\",\"Labels\":[1],\"NetworkSettings\":[],\"layers\":[[]],"
      "\"expires_in\":-1e300,\"schemaVersion\":\"2\",\"mediaType\":0,\"size\":-1,\"data\":[[[[[[[[]]]]]]]],\"Config\":1,\"status\":{}}";
  body(a, text, sizeof text - 1);
}

static bool path_fits(const char *pattern, const char *url) {
  const char *path = strstr(url, "://");
  path = path ? strchr(path + 3, '/') : url;
  path = path ? path : "/";
  size_t n = strcspn(path, "?");
  const char *star = strchr(pattern, '*');
  return star ? strncmp(pattern, path, (size_t)(star - pattern)) == 0 && n >= (size_t)(star - pattern)
              : strlen(pattern) == n && strncmp(pattern, path, n) == 0;
}

/* The first step of the script that fits; false where none does. */
static bool scripted(struct answer *a, const char *method, const char *url, bool always) {
  size_t i;
  json_t *step;
  json_array_foreach(check_world.script, i, step) {
    const char *m = bt_json_str(step, "method");
    if ((m && strcmp(m, method) != 0) || !path_fits(bt_json_str_or(step, "path", "/*"), url) ||
        (always && !bt_json_bool(step, "always", false)))
      continue;
    a->always = always;
    a->status = (int)bt_json_int(step, "status", 200);
    json_t *headers = bt_json_obj(step, "headers"), *value = json_object_get(step, "json");
    const char *key;
    json_t *v;
    json_object_foreach(headers, key, v) header(a, key, json_string_value(v) ? json_string_value(v) : "");
    BT_AUTO_FREE char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : bt_strdup(bt_json_str_or(step, "body", ""));
    body(a, text, strlen(text));
    return true;
  }
  return false;
}

static void answer_for(struct answer *a, const char *method, const char *url) {
  *a = (struct answer){.status = 200};
  enum check_play play = check_world.play;
  if (scripted(a, method, url, true))
    return;
  if (play == CHECK_GOOD || play == CHECK_DRIP || play == CHECK_TRUNCATED) {
    if (!scripted(a, method, url, false)) {
      header(a, "content-type", "application/json");
      body(a, "{}", 2);
    }
    return;
  }
  header(a, "content-type", "application/json");
  if (play == CHECK_ERROR) {
    a->status = 500;
    body(a, "{\"message\":\"it broke\"}", 22);
  } else if (play == CHECK_REFUSED) {
    a->status = 401;
    header(a, "www-authenticate", "Bearer realm=\"http://127.0.0.1:9/token\",service=\"\",scope=\"=,\\\"");
    body(a, "{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}", 35);
  } else if (play == CHECK_REDIRECT) {
    a->status = 307;
    a->url = bt_strdup(url); /* the plug-in's is gone when the answer comes */
    header(a, "location", a->url);
    body(a, "", 0);
  } else if (play == CHECK_WRONG) {
    wrong(a);
  } else {
    garbage(a);
  }
}

/* ---------------------------------------------------------------- requests */

struct request {
  struct check_handle base;
  struct berth_http_request r; /* the plug-in's callbacks; its strings are not kept */
  struct answer answer;
  struct bt_timer *timer;
  struct bt_buf collected;
  enum { UPLOAD, HEAD, BODY, DONE } phase;
  size_t at, uploaded;
  int pieces, rests;
  bool paused, cancelled;
};

static void request_free(struct request *q) {
  bt_timer_free(&q->timer);
  bt_buf_free(&q->collected);
  answer_free(&q->answer);
  free(q);
}

static void request_end(struct request *q, enum berth_code code, const char *message) {
  int status = code == BERTH_OK ? q->answer.status : 0;
  bool told = !code && !q->r.on_data && q->collected.len;
  check_handle_over(&q->base);
  check_enter("an HTTP request's done()");
  q->r.done(q->r.arg, code, message, status, told ? q->collected.data : "", told ? q->collected.len : 0);
  check_leave();
  request_free(q);
}

/* Hands over one piece; false where the request has ended. */
static bool give(struct request *q, const void *data, size_t len) {
  if (q->r.on_data) {
    check_enter("an HTTP request's on_data()");
    q->paused = !q->r.on_data(q->r.arg, data, len);
    check_leave();
    return true;
  }
  if (q->collected.len + len > (q->r.max_body ? q->r.max_body : default_max_body)) {
    request_end(q, BERTH_TOO_LARGE, "the answer is larger than what was asked for");
    return false;
  }
  bt_buf_add(&q->collected, data, len);
  return true;
}

static void step_upload(struct request *q) {
  static char room[piece_room + 1];
  check_enter("an HTTP request's read_body()");
  ssize_t n = q->r.read_body(q->r.arg, room, piece_room);
  check_leave();
  if (n > piece_room || n < -2)
    check_fail("http.request: read_body() says it wrote %zd bytes into %d [%s]", n, piece_room, check_at());
  q->uploaded += n > 0 ? (size_t)n : 0;
  if (n == -2)
    request_end(q, BERTH_CANCELLED, "the sender gave up");
  else if (q->uploaded > upload_max)
    request_end(q, BERTH_UNAVAILABLE, "the server closed the connection");
  else if (n == -1) {
    q->paused = true;
  } else {
    if (n == 0)
      q->phase = HEAD;
    bt_timer_set(q->timer, 0);
  }
}

static void step_head(struct request *q) {
  enum check_play play = play_of(&q->answer);
  if (play == CHECK_HANG) {
    q->phase = HEAD; /* looks again: the test may change its mind */
    bt_timer_set(q->timer, 20);
    return;
  }
  if (play == CHECK_RESET) {
    request_end(q, BERTH_UNAVAILABLE, "the connection was reset");
    return;
  }
  if (play == CHECK_REDIRECT && q->r.follow_redirects) {
    request_end(q, BERTH_UNAVAILABLE, "more than 5 redirects");
    return;
  }
  q->phase = BODY;
  if (q->r.on_head) {
    check_enter("an HTTP request's on_head()");
    q->r.on_head(q->r.arg, q->answer.status, q->answer.headers, q->answer.nheaders);
    check_leave();
  }
  bt_timer_set(q->timer, 0);
}

static void step_huge(struct request *q) {
  static char piece[piece_room];
  memset(piece, 'A', sizeof piece);
  if (q->pieces == 0)
    memcpy(piece, "{\"a\":\"", 6);
  if (q->pieces++ == huge_pieces)
    request_end(q, BERTH_UNAVAILABLE, "the server closed the connection before the end of its answer");
  else if (give(q, piece, sizeof piece))
    bt_timer_set(q->timer, 0);
}

static void step_body(struct request *q) {
  enum check_play play = play_of(&q->answer);
  const struct answer *a = &q->answer;
  if (play == CHECK_HUGE) {
    step_huge(q);
    return;
  }
  size_t end = play == CHECK_TRUNCATED ? a->len / 2 : a->len, n = play == CHECK_DRIP ? 1 : piece_room;
  if (q->at >= end) {
    if (play == CHECK_TRUNCATED)
      request_end(q, BERTH_UNAVAILABLE, "the connection ended before the answer did");
    else
      request_end(q, BERTH_OK, "");
    return;
  }
  n = BT_MIN(n, end - q->at);
  q->at += n;
  if (give(q, a->body + q->at - n, n))
    bt_timer_set(q->timer, play == CHECK_DRIP ? 1 : 0);
}

static void request_step(void *arg) {
  struct request *q = arg;
  if (q->cancelled)
    request_end(q, BERTH_CANCELLED, "cancelled");
  else if (q->paused)
    return;
  else if (q->phase == UPLOAD)
    step_upload(q);
  else if (q->phase == HEAD)
    step_head(q);
  else
    step_body(q);
}

static void request_detach(struct check_handle *handle) {
  struct request *q = (struct request *)handle;
  if (handle->host->self) {
    request_end(q, BERTH_CANCELLED, "the plug-in is stopping");
    return;
  }
  check_handle_over(handle);
  request_free(q);
}

static void check_headers(const struct berth_pair *headers, size_t n, const char *what) {
  for (size_t i = 0; i < n; i++) {
    const char *name = headers[i].name, *value = headers[i].value;
    if (!name || !value || !*name || strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
      check_fail("%s: header %zu is none: a name without spaces, a value without line ends (injected by a caller?) [%s]", what, i,
                 check_at());
  }
}

static bool check_url(const char *url, const char *what) {
  size_t n = url ? strlen(url) : 0;
  bool good = n > 7 && (bt_starts(url, "http://") || bt_starts(url, "https://"));
  for (size_t i = 0; good && i < n; i++)
    good = (unsigned char)url[i] > ' ' && url[i] != 0x7f;
  if (!good)
    check_fail("%s: \"%.80s\" is no URL with http:// or https:// and without spaces [%s]", what, url ? url : "(null)", check_at());
  return good;
}

static berth_handle http_request(const struct berth_host *given, const struct berth_http_request *request) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "http.request");
  if (!host || !check_size(request->size, CHECK_THROUGH(struct berth_http_request, arg), "http.request"))
    return 0;
  struct berth_http_request r;
  CHECK_TAKE(r, request);
  if (!r.method || !r.done) {
    check_fail("http.request: without method or done [%s]", check_at());
    return 0;
  }
  check_headers(r.headers, r.nheaders, "http.request");
  if (!check_url(r.url, "http.request") || host->state == CHECK_ENDING)
    return 0;
  check_world.requests++;
  struct request *q = bt_new(struct request);
  q->r = r;
  q->phase = r.read_body ? UPLOAD : HEAD;
  answer_for(&q->answer, r.method, r.url);
  q->timer = bt_timer_new(host->loop, "check", request_step, q);
  bt_timer_set(q->timer, 0);
  check_handle_add(host, &q->base, CHECK_REQUEST, request_detach);
  return q->base.id;
}

static void http_resume(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "http.resume");
  struct request *q = host ? (struct request *)check_handle_of(host, id, CHECK_REQUEST, "http.resume") : NULL;
  if (q) {
    q->paused = false;
    bt_timer_set(q->timer, 0);
  }
}

/* ---------------------------------------------------------------- upgraded connections */

struct tunnel {
  struct check_handle base;
  struct berth_http_upgrade u;
  struct answer answer;
  struct bt_timer *timer;
  size_t at;
  bool opened, cancelled;
};

static void tunnel_end(struct tunnel *t, enum berth_code code, const char *message) {
  check_handle_over(&t->base);
  check_enter("a connection's on_close()");
  t->u.on_close(t->u.arg, code, message);
  check_leave();
  bt_timer_free(&t->timer);
  answer_free(&t->answer);
  free(t);
}

static void tunnel_open(struct tunnel *t) {
  enum check_play play = play_of(&t->answer);
  bool good = play != CHECK_ERROR && play != CHECK_REFUSED && play != CHECK_REDIRECT && t->answer.status < 300;
  t->opened = true;
  if (t->u.on_open) {
    check_enter("a connection's on_open()");
    t->u.on_open(t->u.arg, good, good ? 101 : t->answer.status, good ? "" : t->answer.body,
                 good ? 0 : BT_MIN(t->answer.len, (size_t)tunnel_error_max));
    check_leave();
  }
  t->at = good ? 0 : t->answer.len;
  bt_timer_set(t->timer, 0);
}

static void tunnel_step(void *arg) {
  struct tunnel *t = arg;
  enum check_play play = play_of(&t->answer);
  if (t->cancelled) {
    tunnel_end(t, BERTH_CANCELLED, "cancelled");
  } else if (play == CHECK_HANG) {
    bt_timer_set(t->timer, 20);
  } else if (play == CHECK_RESET) {
    tunnel_end(t, BERTH_UNAVAILABLE, "the connection was reset");
  } else if (!t->opened) {
    tunnel_open(t);
  } else if (t->at >= (play == CHECK_TRUNCATED ? t->answer.len / 2 : t->answer.len)) {
    tunnel_end(t, play == CHECK_TRUNCATED ? BERTH_UNAVAILABLE : BERTH_OK, play == CHECK_TRUNCATED ? "the connection broke" : "");
  } else {
    size_t n = play == CHECK_DRIP ? 1 : t->answer.len - t->at;
    t->at += n;
    bt_timer_set(t->timer, 0);
    if (t->u.on_data) {
      check_enter("a connection's on_data()");
      t->u.on_data(t->u.arg, t->answer.body + t->at - n, n);
      check_leave();
    }
  }
}

static void tunnel_detach(struct check_handle *handle) {
  struct tunnel *t = (struct tunnel *)handle;
  if (handle->host->self) {
    tunnel_end(t, BERTH_CANCELLED, "the plug-in is stopping");
    return;
  }
  check_handle_over(handle);
  bt_timer_free(&t->timer);
  answer_free(&t->answer);
  free(t);
}

static berth_handle http_upgrade(const struct berth_host *given, const struct berth_http_upgrade *upgrade) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "http.upgrade");
  if (!host || !check_size(upgrade->size, CHECK_THROUGH(struct berth_http_upgrade, arg), "http.upgrade"))
    return 0;
  struct berth_http_upgrade u;
  CHECK_TAKE(u, upgrade);
  if (!u.method || !u.on_close) {
    check_fail("http.upgrade: without method or on_close [%s]", check_at());
    return 0;
  }
  check_headers(u.headers, u.nheaders, "http.upgrade");
  if (!check_url(u.url, "http.upgrade") || host->state == CHECK_ENDING)
    return 0;
  check_world.requests++;
  struct tunnel *t = bt_new(struct tunnel);
  t->u = u;
  answer_for(&t->answer, u.method, u.url);
  t->timer = bt_timer_new(host->loop, "check", tunnel_step, t);
  bt_timer_set(t->timer, 0);
  check_handle_add(host, &t->base, CHECK_UPGRADE, tunnel_detach);
  return t->base.id;
}

static size_t http_write(const struct berth_host *given, berth_handle id, const void *data, size_t len) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "http.write");
  if (host && len && !data)
    check_fail("http.write: %zu bytes from NULL [%s]", len, check_at());
  if (host)
    check_handle_of(host, id, CHECK_UPGRADE, "http.write");
  return 0;
}

static void http_close_write(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "http.close_write");
  if (host)
    check_handle_of(host, id, CHECK_UPGRADE, "http.close_write");
}

static void http_cancel(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "http.cancel");
  struct check_handle *handle = host ? check_handle_of(host, id, CHECK_REQUEST, "http.cancel") : NULL;
  if (!handle)
    return;
  if (handle->kind == CHECK_REQUEST)
    ((struct request *)handle)->cancelled = true;
  else
    ((struct tunnel *)handle)->cancelled = true;
  bt_timer_set(handle->kind == CHECK_REQUEST ? ((struct request *)handle)->timer : ((struct tunnel *)handle)->timer, 0);
}

const struct berth_host_http check_service_http = {.size = sizeof check_service_http,
                                                   .request = http_request,
                                                   .resume = http_resume,
                                                   .cancel = http_cancel,
                                                   .upgrade = http_upgrade,
                                                   .write = http_write,
                                                   .close_write = http_close_write};
