#include "config.h"
#include "api/problem.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"

json_t *bt_problem_json(int status, enum bt_code code, const char *detail) {
  json_t *obj = json_object();
  bt_json_set_str(obj, "type", "about:blank");
  bt_json_set_str(obj, "title", bt_http_reason(status));
  bt_json_set_int(obj, "status", status);
  bt_json_set_str(obj, "detail", detail ? detail : "");
  bt_json_set_str(obj, "code", bt_code_name(code));
  return obj;
}

static void send_problem(struct bt_exchange *x, int status, json_t *obj) {
  BT_AUTO_FREE char *text = bt_json_text(obj);
  json_decref(obj);
  bt_reply(x, status, "application/problem+json", text, strlen(text));
}

void bt_problem_status(struct bt_exchange *x, int status, enum bt_code code, const char *detail) {
  send_problem(x, status, bt_problem_json(status, code, detail));
}

void bt_problem_with(struct bt_exchange *x, enum bt_code code, const char *detail, json_t *more) {
  int status = bt_code_http(code);
  json_t *obj = bt_problem_json(status, code, detail);
  if (more)
    json_object_update_missing(obj, more);
  json_decref(more);
  send_problem(x, status, obj);
}

void bt_problem(struct bt_exchange *x, enum bt_code code, const char *detail) { bt_problem_with(x, code, detail, NULL); }

void bt_problem_err(struct bt_exchange *x, const struct bt_err *err) { bt_problem(x, bt_err_code(err), bt_err_message(err)); }

void bt_reply_json(struct bt_exchange *x, int status, json_t *value) {
  BT_AUTO_FREE char *text = bt_json_text(value);
  json_decref(value);
  bt_reply(x, status, "application/json", text, strlen(text));
}

/* If-None-Match: "1", W/"2", * */
static bool etag_matches(const char *list, const char *tag) {
  if (!list)
    return false;
  if (bt_streq(list, "*"))
    return true;
  const char *at = strstr(list, tag);
  return at != NULL;
}

static void reply_etag(struct bt_exchange *x, const char *text, const char *tag) {
  bt_reply_header(x, "ETag", tag);
  if (etag_matches(bt_req_header(x->req, "if-none-match"), tag))
    bt_reply(x, 304, NULL, NULL, 0);
  else
    bt_reply(x, 200, "application/json", text, strlen(text));
}

void bt_reply_object(struct bt_exchange *x, const char *text, uint64_t revision) {
  char tag[32];
  snprintf(tag, sizeof tag, "\"%" PRIu64 "\"", revision);
  reply_etag(x, text, tag);
}

void bt_reply_tagged(struct bt_exchange *x, const char *text, long long revision, uint64_t change) {
  char tag[64];
  snprintf(tag, sizeof tag, "\"%lld-%" PRIu64 "\"", revision, change);
  reply_etag(x, text, tag);
}
