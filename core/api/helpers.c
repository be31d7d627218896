#include "config.h"

#include <string.h>

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"

int bt_query_bool(const struct bt_req *req, const char *name, bool or, bool *out, struct bt_err **err) {
  BT_AUTO_FREE char *text = bt_req_query(req, name);
  *out = or ;
  if (!text)
    return 0;
  if (bt_streq(text, "true") || bt_streq(text, "1") || !*text)
    *out = true;
  else if (bt_streq(text, "false") || bt_streq(text, "0"))
    *out = false;
  else
    return bt_err_set(err, BT_INVALID, "?%s takes true or false, not \"%.40s\"", name, text);
  return 0;
}

int bt_query_int(const struct bt_req *req, const char *name, long long min, long long max, long long or, long long *out,
                 struct bt_err **err) {
  BT_AUTO_FREE char *text = bt_req_query(req, name);
  *out = or ;
  if (!text || !*text || bt_parse_i64(text, min, max, out))
    return 0;
  return bt_err_set(err, BT_INVALID, "?%s takes a number from %lld to %lld, not \"%.40s\"", name, min, max, text);
}

int bt_check_keys(const json_t *obj, const char *what, const char *const *keys, struct bt_err **err) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)obj, key, value) {
    bool known = false;
    for (const char *const *k = keys; *k && !known; k++)
      known = strcmp(*k, key) == 0;
    if (!known)
      return bt_err_set(err, BT_INVALID, "%s has no member \"%.60s\"", what, key);
  }
  return 0;
}

json_t *bt_body_object(const struct bt_req *req, size_t max, const char *const *keys, struct bt_err **err) {
  if (req->body.len == 0)
    return json_object();
  BT_AUTO_JSON body = bt_json_parse(req->body.data, req->body.len, max, 0, "body", err);
  if (!body)
    return NULL;
  if (!json_is_object(body)) {
    bt_err_set(err, BT_INVALID, "the body is no JSON object");
    return NULL;
  }
  return bt_check_keys(body, "the body", keys, err) < 0 ? NULL : bt_steal(body);
}

json_t *bt_if_match(const struct bt_req *req, struct bt_err **err) {
  const char *text = bt_req_header(req, "if-match");
  if (!text)
    return json_null();
  BT_AUTO_FREE char *digits = bt_strdup(text[0] == '"' ? text + 1 : text);
  digits[strcspn(digits, text[0] == '"' ? "-\"" : "-")] = 0; /* an app's tag: what is behind the dash changes with its state */
  long long revision;
  if (!bt_parse_i64(digits, 0, INT64_MAX, &revision)) {
    bt_err_set(err, BT_INVALID, "If-Match takes one ETag, a revision in quotes, not %.60s", text);
    return NULL;
  }
  return json_integer(revision);
}

/* ---------------------------------------------------------------- reads */

/* A page takes some 20 µs an item on the loop: who asks for more gets it in several. */
enum { MAX_PAGE = 1000 };

struct filters {
  char *app, *service, *node, *type, *cursor;
};

static void filters_free(struct filters *f) {
  free(f->app);
  free(f->service);
  free(f->node);
  free(f->type);
  free(f->cursor);
}

void bt_reply_list(struct bt_api *api, struct bt_exchange *x, const char *kind, const char *namespace_, const char *app) {
  const struct bt_req *req = x->req;
  BT_AUTO_ERR err = NULL;
  long long limit, after;
  if (bt_query_int(req, "limit", 0, 5000, 0, &limit, &err) < 0 || bt_query_int(req, "after", 0, INT64_MAX, 0, &after, &err) < 0) {
    bt_problem_err(x, err);
    return;
  }
  struct filters f = {.app = app ? NULL : bt_req_query(req, "app"),
                      .service = bt_req_query(req, "service"),
                      .node = bt_req_query(req, "node"),
                      .type = bt_req_query(req, "type"),
                      .cursor = bt_req_query(req, "cursor")};
  struct bt_query query = {.namespace_ = namespace_, .app = app ? app : f.app, .service = f.service, .node = f.node, .type = f.type,
                           .after = (uint64_t)after, .cursor = f.cursor && *f.cursor ? f.cursor : NULL, .limit = (int)BT_MIN(limit, MAX_PAGE)};
  BT_AUTO_FREE char *next = NULL;
  json_t *items = bt_control_list(api->s.control(api->s.arg), kind, &query, &next, &err);
  filters_free(&f);
  if (!items) {
    bt_problem_err(x, err);
    return;
  }
  json_t *page = json_object();
  bt_json_set(page, "items", items);
  bt_json_set(page, "next", next ? bt_json_string(next) : json_null());
  bt_reply_json(x, 200, page);
}

void bt_reply_one(struct bt_api *api, struct bt_exchange *x, const char *kind, const char *namespace_, const char *name) {
  BT_AUTO_ERR err = NULL;
  uint64_t revision = 0;
  const char *text = bt_control_get(api->s.control(api->s.arg), kind, namespace_, name, &revision, &err);
  if (text)
    bt_reply_object(x, text, revision);
  else
    bt_problem_err(x, err);
}

/* ---------------------------------------------------------------- writes */

struct write {
  struct bt_exchange *x;
  json_t *more;
};

/* Adds ours to control's result, which is shared: lists that both have are joined in a new one. */
static void merge(json_t *answer, json_t *more) {
  const char *key;
  json_t *ours;
  json_object_foreach(more, key, ours) {
    json_t *theirs = json_object_get(answer, key);
    if (!theirs) {
      json_object_set(answer, key, ours);
    } else if (json_is_array(theirs) && json_is_array(ours)) {
      json_t *both = json_copy(theirs);
      json_array_extend(both, ours);
      bt_json_set(answer, key, both);
    }
  }
}

static void write_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct write *w = arg;
  if (code == BT_OK) {
    json_t *answer = result ? json_copy((json_t *)(uintptr_t)result) : json_object();
    merge(answer, w->more);
    bt_reply_json(w->x, 200, answer);
  } else {
    bt_problem_with(w->x, code, message, w->more ? json_incref(w->more) : NULL);
  }
  json_decref(w->more);
  free(w);
}

void bt_api_write(struct bt_api *api, struct bt_exchange *x, const char *op, json_t *args, bool dry_run, json_t *more) {
  struct write *w = bt_new(struct write);
  w->x = x;
  w->more = more;
  api->s.write(api->s.arg, op, args, x->actor, dry_run, write_done, w);
}
