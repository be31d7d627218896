/* Any bytes as HTTP requests of one connection: taken whole and in pieces they must come out the same, and what is taken must be
 * clean. */
#include "config.h"

#include <ctype.h>
#include <stdint.h>

#include "api/http_request.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_good(const struct bt_req *req) {
  BT_ASSERT(req->path[0] == '/' && !strstr(req->path, "/../") && !strstr(req->path, "/./") && !strstr(req->path, "//"));
  BT_ASSERT(req->method && req->query && req->nheaders <= BT_REQ_MAX_HEADERS);
  BT_ASSERT(req->body.len <= BT_REQ_MAX_BODY);
  for (size_t i = 0; i < req->nheaders; i++) {
    const char *name = req->headers[i].name, *value = req->headers[i].value;
    BT_ASSERT(*name && !strpbrk(name, " \t\r\n:") && !strpbrk(value, "\r\n"));
    for (; *name; name++)
      BT_ASSERT(!isupper((unsigned char)*name));
  }
  free(bt_req_query(req, "a"));
  BT_AUTO_BUF out = {0};
  bt_url_decode(req->query, strlen(req->query), true, &out);
}

/* Feeds step bytes at a time. Writes down what came of each request. */
static void run(const char *data, size_t size, size_t step, struct bt_buf *log) {
  struct bt_req *req = bt_req_new();
  size_t at = 0, upto = 0;
  while (at < size && req->state != BT_REQ_BAD) {
    upto = BT_MIN(size, BT_MAX(upto, at) + (upto > at ? 0 : step));
    size_t used = bt_req_feed(req, data + at, upto - at);
    at += used;
    if (req->state == BT_REQ_DONE) {
      check_good(req);
      bt_buf_addf(log, "%s %s?%s %zu headers %zu bytes\n", req->method, req->path, req->query, req->nheaders, req->body.len);
      bt_req_reset(req);
    } else if (used == 0 && req->state != BT_REQ_BAD) {
      upto = BT_MIN(size, upto + step);
    }
  }
  bt_buf_addf(log, "%d\n", req->state == BT_REQ_BAD ? req->status : 0);
  if (req->state == BT_REQ_BAD)
    BT_ASSERT(req->problem && req->status >= 400);
  bt_req_free(&req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1)
    return 0;
  const char *text = (const char *)data + 1;
  BT_AUTO_BUF whole = {0};
  BT_AUTO_BUF pieces = {0};
  run(text, size - 1, size, &whole);
  run(text, size - 1, (size_t)data[0] % 16 + 1, &pieces);
  BT_ASSERT(bt_streq(whole.data, pieces.data));
  return 0;
}
