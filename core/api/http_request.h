/* One HTTP/1.1 request, parsed as its bytes come. Stands on llhttp and is stricter than it: line ends are CR LF, no line is
 * folded, a header's name is a token right before its colon, a value has no control characters, HTTP/1.1 has one
 * Host, nothing follows the last chunk. No I/O and no clock: what a fuzzer can drive. */
#ifndef BT_API_HTTP_REQUEST_H
#define BT_API_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
  BT_REQ_MAX_HEAD = 16 * 1024,
  BT_REQ_MAX_HEADERS = 100,
  BT_REQ_MAX_BODY = 3 * 1024 * 1024,
};

enum bt_req_state {
  BT_REQ_HEAD,  /* the head is not whole yet */
  BT_REQ_BODY,  /* method, path and headers are here; the body is not whole */
  BT_REQ_DONE,
  BT_REQ_BAD    /* answer with status and problem, then close */
};

struct bt_req_header {
  const char *name; /* in lower case */
  const char *value;
};

struct bt_req {
  enum bt_req_state state;
  int status;          /* BAD: 400, 413, 417, 431, 501, 505 */
  const char *problem; /* BAD: a sentence */
  const char *method;  /* "GET" */
  const char *path;    /* decoded and clean: begins with a slash, no empty, "." or ".." segment */
  const char *query;   /* raw; "" where none */
  const struct bt_req_header *headers;
  size_t nheaders;
  bool keep_alive, expect_continue, http10, upgrade;
  struct bt_buf body;
  size_t max_body;     /* 3 MB where nobody lowered it */
  struct bt_req_parser *p;
};

struct bt_req *bt_req_new(void);
void bt_req_free(struct bt_req **req);
void bt_req_reset(struct bt_req *req); /* for the next request; keeps its memory where that is small */
/* Takes bytes until the state changes or all are taken; returns their number. Nothing is taken in DONE and BAD. */
size_t bt_req_feed(struct bt_req *req, const char *data, size_t len);
/* For a head that is whole: from now on no more of a body than that is taken; over it the state is BAD (413). */
void bt_req_limit_body(struct bt_req *req, size_t max);
bool bt_req_started(const struct bt_req *req); /* a byte of the request has come */
const char *bt_req_header(const struct bt_req *req, const char *name); /* NULL where absent; name in lower case */
/* The decoded value of a query parameter, or NULL where it is absent; the caller frees. A broken escape counts as absent. */
char *bt_req_query(const struct bt_req *req, const char *name);
/* Decodes %XX (and "+" as a space where form is set). False for a broken escape or a NUL. */
bool bt_url_decode(const char *text, size_t len, bool form, struct bt_buf *out);

#endif
