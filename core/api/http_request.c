#include "config.h"
#include "api/http_request.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/vec.h"

/* A piece of the head buffer. */
struct span {
  size_t at, len;
};

struct bt_req_parser {
  llhttp_t http;
  struct bt_buf head;   /* the head, whole lines; then the strings that the request points to */
  size_t line;          /* where the present line begins in head */
  struct span target;
  struct span names[BT_REQ_MAX_HEADERS], values[BT_REQ_MAX_HEADERS];
  struct bt_req_header headers[BT_REQ_MAX_HEADERS];
  size_t nnames;
  bool in_value;
  struct bt_buf path;
};

enum { KEEP_BODY = 64 * 1024 };

static int bad(struct bt_req *req, int status, const char *problem) {
  if (req->state != BT_REQ_BAD) {
    req->state = BT_REQ_BAD;
    req->status = status;
    req->problem = problem;
  }
  return -1;
}

/* ---------------------------------------------------------------- llhttp's callbacks */

/* llhttp may hand a token over in pieces; pieces that do not follow each other would be a folded line. */
static int extend(struct bt_req *req, struct span *s, const char *at, size_t len) {
  size_t off = (size_t)(at - req->p->head.data);
  if (s->len && s->at + s->len != off)
    return bad(req, 400, "a header line is folded");
  if (!s->len)
    s->at = off;
  s->len += len;
  return 0;
}

static int on_url(llhttp_t *h, const char *at, size_t len) {
  struct bt_req *req = h->data;
  return extend(req, &req->p->target, at, len);
}

static int on_field(llhttp_t *h, const char *at, size_t len) {
  struct bt_req *req = h->data;
  struct bt_req_parser *p = req->p;
  if (req->state != BT_REQ_HEAD)
    return bad(req, 400, "trailers after a chunked body are not taken");
  if (p->in_value || p->nnames == 0) {
    if (p->nnames == BT_REQ_MAX_HEADERS)
      return bad(req, 431, "more than 100 headers");
    p->names[p->nnames] = p->values[p->nnames] = (struct span){0};
    p->nnames++;
    p->in_value = false;
  }
  return extend(req, &p->names[p->nnames - 1], at, len);
}

static int on_value(llhttp_t *h, const char *at, size_t len) {
  struct bt_req *req = h->data;
  req->p->in_value = true;
  if (!req->p->nnames)
    return bad(req, 400, "a header without a name");
  return extend(req, &req->p->values[req->p->nnames - 1], at, len);
}

static int on_head_done(llhttp_t *h) {
  struct bt_req *req = h->data;
  req->state = BT_REQ_BODY;
  return 0;
}

static int body_too_large(struct bt_req *req) {
  return bad(req, 413, req->max_body == BT_REQ_MAX_BODY ? "the body is larger than 3 MB" : "the body is larger than this address takes");
}

static int on_body(llhttp_t *h, const char *at, size_t len) {
  struct bt_req *req = h->data;
  if (len > req->max_body - req->body.len)
    return body_too_large(req);
  bt_buf_add(&req->body, at, len);
  return 0;
}

static int on_chunk_header(llhttp_t *h) {
  struct bt_req *req = h->data;
  if (h->content_length > req->max_body - req->body.len)
    return body_too_large(req);
  return 0;
}

static int on_done(llhttp_t *h) {
  struct bt_req *req = h->data;
  if (req->state != BT_REQ_BAD)
    req->state = BT_REQ_DONE;
  return HPE_PAUSED; /* what follows is the next request: bt_req_feed gives those bytes back */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head_done,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_done,
};

/* ---------------------------------------------------------------- the head */

static bool is_token(const char *s, size_t len) {
  static const char extra[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < len; i++) {
    char c = s[i];
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alnum && (!c || !strchr(extra, c)))
      return false;
  }
  return len > 0;
}

/* One line of the head without its CR LF. llhttp lets a folded line and a space before the colon pass. */
static int check_line(struct bt_req *req, const char *line, size_t len, bool first) {
  if (memchr(line, '\r', len) || memchr(line, 0, len))
    return bad(req, 400, "a carriage return or NUL stands in the head");
  if (first || len == 0)
    return 0;
  const char *colon = memchr(line, ':', len);
  if (!colon || !is_token(line, (size_t)(colon - line)))
    return bad(req, 400, "a header's name is no token, or its line is folded");
  for (size_t i = 0; i < len; i++)
    if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
      return bad(req, 400, "a header's value holds a control character");
  return 0;
}

/* Takes whole lines into the head buffer until the empty one. Returns the bytes taken; *whole when it was the last. */
static size_t take_lines(struct bt_req *req, const char *data, size_t len, bool *whole) {
  struct bt_req_parser *p = req->p;
  size_t used = 0;
  while (used < len && !*whole) {
    const char *nl = memchr(data + used, '\n', len - used);
    size_t n = nl ? (size_t)(nl - data) + 1 - used : len - used;
    if (p->head.len + n > BT_REQ_MAX_HEAD) {
      bad(req, 431, "the head of the request is larger than 16 KB");
      return used;
    }
    bt_buf_add(&p->head, data + used, n);
    used += n;
    if (!nl)
      break;
    size_t end = p->head.len;
    if (end - p->line < 2 || p->head.data[end - 2] != '\r') {
      bad(req, 400, "a line of the head ends without a carriage return");
      return used;
    }
    size_t line_len = end - 2 - p->line;
    if (line_len == 0 && p->line == 0) { /* an empty line before the request: RFC 9112, 2.2 */
      bt_buf_truncate(&p->head, 0);
      continue;
    }
    if (check_line(req, p->head.data + p->line, line_len, p->line == 0) < 0)
      return used;
    *whole = line_len == 0;
    p->line = end;
  }
  return used;
}

bool bt_url_decode(const char *text, size_t len, bool form, struct bt_buf *out) {
  for (size_t i = 0; i < len; i++) {
    if (form && text[i] == '+') {
      bt_buf_addc(out, ' ');
    } else if (text[i] != '%') {
      bt_buf_addc(out, text[i]);
    } else {
      char hex[3] = {i + 1 < len ? text[i + 1] : 0, i + 2 < len ? text[i + 2] : 0, 0};
      char *end;
      long c = strtol(hex, &end, 16);
      if (end != hex + 2 || strchr("+- ", hex[0]) || c == 0)
        return false;
      bt_buf_addc(out, (char)c);
      i += 2;
    }
  }
  return true;
}

/* Decodes segment by segment: a slash or dot segment that comes out of an escape must not change the path's shape. */
static int set_path(struct bt_req *req, const char *raw, size_t len) {
  struct bt_buf *path = &req->p->path;
  bt_buf_truncate(path, 0);
  for (size_t i = 0; i < len;) {
    size_t end = i + 1;
    while (end < len && raw[end] != '/')
      end++;
    bt_buf_addc(path, '/');
    size_t from = path->len;
    if (!bt_url_decode(raw + i + 1, end - i - 1, false, path))
      return bad(req, 400, "the path holds a broken escape");
    const char *seg = path->len > from ? path->data + from : "";
    size_t n = path->len - from;
    bool last = end == len;
    if ((n == 0 && !(last && i == 0)) || bt_streq(seg, ".") || bt_streq(seg, "..") || memchr(seg, '/', n))
      return bad(req, 400, "the path holds an empty or dot segment or an escaped slash");
    for (size_t k = 0; k < n; k++)
      if ((unsigned char)seg[k] < 0x20 || seg[k] == 0x7f)
        return bad(req, 400, "the path holds a control character");
    i = end;
  }
  req->path = path->data;
  return 0;
}

static int set_target(struct bt_req *req) {
  struct bt_req_parser *p = req->p;
  char *t = p->head.data + p->target.at;
  t[p->target.len] = 0; /* the space behind it */
  if (strchr(t, '#'))
    return bad(req, 400, "the request's target holds a fragment");
  if (strncasecmp(t, "http://", 7) == 0 || strncasecmp(t, "https://", 8) == 0) { /* absolute form */
    t = strchr(t + 8, '/');
    if (!t)
      return bad(req, 400, "the request's target has no path");
  }
  if (*t != '/')
    return bad(req, 400, "the request's target is no path");
  size_t n = strcspn(t, "?");
  req->query = t[n] ? t + n + 1 : "";
  return set_path(req, t, n);
}

static void set_headers(struct bt_req *req) {
  struct bt_req_parser *p = req->p;
  for (size_t i = 0; i < p->nnames; i++) {
    char *name = p->head.data + p->names[i].at, *value = p->values[i].len ? p->head.data + p->values[i].at : NULL;
    name[p->names[i].len] = 0; /* the colon */
    for (char *c = name; *c; c++)
      if (*c >= 'A' && *c <= 'Z')
        *c = (char)(*c + 32);
    size_t n = p->values[i].len;
    while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
      n--;
    if (value)
      value[n] = 0; /* the CR, or white space before it */
    p->headers[i] = (struct bt_req_header){name, n ? value : ""};
  }
  req->headers = p->headers;
  req->nheaders = p->nnames;
}

static size_t header_count(const struct bt_req *req, const char *name) {
  size_t n = 0;
  for (size_t i = 0; i < req->nheaders; i++)
    n += strcmp(req->headers[i].name, name) == 0;
  return n;
}

static int check_host(struct bt_req *req) {
  size_t n = header_count(req, "host");
  if (n > 1 || (n == 0 && !req->http10))
    return bad(req, 400, n ? "more than one Host header" : "the Host header is missing");
  const char *host = bt_req_header(req, "host");
  if (host && host[strcspn(host, " \t,/@\\?#")])
    return bad(req, 400, "the Host header is no host");
  return 0;
}

static int check_framing(struct bt_req *req) {
  const char *te = bt_req_header(req, "transfer-encoding");
  if (te && (header_count(req, "transfer-encoding") > 1 || strcasecmp(te, "chunked") != 0 || req->http10))
    return bad(req, 400, "the transfer encoding is not exactly chunked");
  if (te && bt_req_header(req, "content-length"))
    return bad(req, 400, "Content-Length together with Transfer-Encoding");
  if (header_count(req, "content-length") > 1)
    return bad(req, 400, "more than one Content-Length");
  if (!te && req->p->http.content_length > req->max_body)
    return body_too_large(req);
  return 0;
}

static int check_head(struct bt_req *req) {
  llhttp_t *h = &req->p->http;
  if (h->http_major != 1 || h->http_minor > 1)
    return bad(req, h->http_major ? 505 : 400, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  req->method = llhttp_method_name((llhttp_method_t)h->method);
  req->http10 = h->http_minor == 0;
  if (h->method == HTTP_CONNECT)
    return bad(req, 501, "CONNECT is not offered");
  set_headers(req);
  if (set_target(req) < 0 || check_host(req) < 0 || check_framing(req) < 0)
    return -1;
  req->keep_alive = !req->http10 && llhttp_should_keep_alive(h);
  req->upgrade = h->upgrade;
  const char *expect = bt_req_header(req, "expect");
  req->expect_continue = expect && !req->http10 && strcasecmp(expect, "100-continue") == 0;
  if (expect && !req->http10 && !req->expect_continue)
    return bad(req, 417, "only Expect: 100-continue is understood");
  return 0;
}

static void after_parse(struct bt_req *req, llhttp_errno_t rc) {
  if (req->state == BT_REQ_BAD || rc == HPE_OK || rc == HPE_PAUSED || rc == HPE_PAUSED_UPGRADE)
    return;
  bad(req, 400, rc == HPE_INVALID_VERSION ? "no HTTP version that is spoken here" : llhttp_get_error_reason(&req->p->http));
}

static void parse_head(struct bt_req *req) {
  struct bt_req_parser *p = req->p;
  llhttp_init(&p->http, HTTP_REQUEST, &settings);
  p->http.data = req;
  llhttp_errno_t rc = llhttp_execute(&p->http, p->head.data, p->head.len);
  if (rc == HPE_PAUSED_UPGRADE)
    req->state = BT_REQ_DONE;
  after_parse(req, rc);
  if (req->state == BT_REQ_HEAD)
    bad(req, 400, "the head of the request is incomplete");
  if (req->state != BT_REQ_BAD)
    check_head(req);
}

static size_t parse_body(struct bt_req *req, const char *data, size_t len) {
  llhttp_t *h = &req->p->http;
  llhttp_errno_t rc = llhttp_execute(h, data, len);
  after_parse(req, rc);
  if (rc == HPE_PAUSED || rc == HPE_PAUSED_UPGRADE)
    return (size_t)(llhttp_get_error_pos(h) - data);
  return len;
}

/* ---------------------------------------------------------------- the interface */

struct bt_req *bt_req_new(void) {
  struct bt_req *req = bt_new(struct bt_req);
  req->p = bt_new(struct bt_req_parser);
  req->max_body = BT_REQ_MAX_BODY;
  return req;
}

void bt_req_free(struct bt_req **preq) {
  if (!*preq)
    return;
  struct bt_req *req = bt_steal(*preq);
  if (req->body.len)
    bt_wipe(req->body.data, req->body.len);
  bt_buf_free(&req->body);
  bt_buf_free(&req->p->head);
  bt_buf_free(&req->p->path);
  free(req->p);
  free(req);
}

void bt_req_reset(struct bt_req *req) {
  struct bt_req_parser *p = req->p;
  struct bt_buf body = req->body;
  if (body.len) /* it may have held a secret */
    bt_wipe(body.data, body.len);
  if (body.cap > KEEP_BODY)
    bt_buf_free(&body);
  else
    bt_buf_truncate(&body, 0);
  bt_buf_truncate(&p->head, 0);
  p->line = p->nnames = 0;
  p->target = (struct span){0};
  p->in_value = false;
  *req = (struct bt_req){.body = body, .max_body = BT_REQ_MAX_BODY, .p = p};
}

void bt_req_limit_body(struct bt_req *req, size_t max) {
  if (req->state != BT_REQ_BODY)
    return;
  req->max_body = max;
  if (!bt_req_header(req, "transfer-encoding") && req->p->http.content_length > max)
    body_too_large(req);
}

size_t bt_req_feed(struct bt_req *req, const char *data, size_t len) {
  if (req->state == BT_REQ_BODY)
    return parse_body(req, data, len);
  if (req->state != BT_REQ_HEAD)
    return 0;
  bool whole = false;
  size_t used = take_lines(req, data, len, &whole);
  if (whole && req->state == BT_REQ_HEAD)
    parse_head(req);
  return used;
}

bool bt_req_started(const struct bt_req *req) { return req->p->head.len > 0; }

const char *bt_req_header(const struct bt_req *req, const char *name) {
  for (size_t i = 0; i < req->nheaders; i++)
    if (strcmp(req->headers[i].name, name) == 0)
      return req->headers[i].value;
  return NULL;
}

char *bt_req_query(const struct bt_req *req, const char *name) {
  size_t n = strlen(name);
  for (const char *p = req->query; *p;) {
    size_t len = strcspn(p, "&");
    if (len >= n && strncmp(p, name, n) == 0 && (len == n || p[n] == '=')) {
      BT_AUTO_BUF out = {0};
      size_t from = len == n ? n : n + 1;
      return bt_url_decode(p + from, len - from, true, &out) ? bt_buf_steal(&out) : NULL;
    }
    p += len + (p[len] == '&');
  }
  return NULL;
}
