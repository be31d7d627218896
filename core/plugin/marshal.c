#include "config.h"
#include "plugin/marshal.h"

#include <berth/host.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/vec.h"

enum { max_strings = 4096 };

struct bt_request {
  BT_VEC(void *) lists;
  _Alignas(max_align_t) char data[];
};

/* ---------------------------------------------------------------- to JSON */

#define LOAD(type, at)                  \
  ({                                    \
    type load_;                         \
    memcpy(&load_, (at), sizeof load_); \
    load_;                              \
  })

static json_t *texts_json(const char *const *list) {
  json_t *array = json_array();
  for (size_t i = 0; list[i] && i < max_strings; i++)
    json_array_append_new(array, bt_json_string(list[i]));
  return array;
}

static size_t size_of(enum bt_arg_kind kind) {
  return kind == BT_ARG_INT32 ? sizeof(int32_t)
         : kind == BT_ARG_BOOL ? sizeof(bool)
         : kind == BT_ARG_BYTES || kind == BT_ARG_BLOBS ? sizeof(void *) + sizeof(size_t)
                                : sizeof(int64_t);
}

static json_t *blobs_json(const struct bt_blob *blobs, size_t n, struct bt_buf *scratch) {
  json_t *array = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *item = json_array();
    json_array_append_new(item, bt_json_string(blobs[i].name));
    json_array_append_new(item, json_integer((json_int_t)blobs[i].len));
    json_array_append_new(array, item);
    bt_buf_add(scratch, blobs[i].data, blobs[i].len);
  }
  return array;
}

static void put_member(json_t *o, const struct bt_arg *a, const char *at, struct bt_buf *scratch, const void **bytes,
                       size_t *len) {
  const char *const *list;
  switch (a->kind) {
  case BT_ARG_STRING:
  case BT_ARG_JSON:
    bt_json_set_str(o, a->name, LOAD(const char *, at));
    break;
  case BT_ARG_STRINGS:
    list = LOAD(const char *const *, at);
    if (list)
      bt_json_set(o, a->name, texts_json(list));
    break;
  case BT_ARG_INT:
    bt_json_set_int(o, a->name, LOAD(int64_t, at));
    break;
  case BT_ARG_INT32:
    bt_json_set_int(o, a->name, LOAD(int32_t, at));
    break;
  case BT_ARG_BOOL:
    bt_json_set_bool(o, a->name, LOAD(bool, at));
    break;
  case BT_ARG_DOUBLE:
    bt_json_set(o, a->name, json_real(LOAD(double, at)));
    break;
  case BT_ARG_BYTES:
    *bytes = LOAD(const void *, at);
    *len = *bytes ? LOAD(size_t, at + sizeof(void *)) : 0;
    break;
  case BT_ARG_BLOBS:
    bt_json_set(o, a->name, blobs_json(LOAD(const struct bt_blob *, at), LOAD(size_t, at + sizeof(void *)), scratch));
    *bytes = scratch->data;
    *len = scratch->len;
    break;
  }
}

json_t *bt_marshal_request(const struct bt_method *method, const void *request, struct bt_buf *scratch, const void **bytes,
                           size_t *len) {
  json_t *o = json_object();
  size_t size = LOAD(size_t, request);
  *bytes = NULL;
  *len = 0;
  for (const struct bt_arg *a = method->args; a->name; a++)
    if (a->offset + size_of(a->kind) <= size)
      put_member(o, a, (const char *)request + a->offset, scratch, bytes, len);
  return o;
}

/* ---------------------------------------------------------------- from JSON */

#define STORE(type, at, value)             \
  do {                                     \
    type store_ = (type)(value);           \
    memcpy((at), &store_, sizeof store_);  \
  } while (0)

static bool read_texts(struct bt_request *r, char *at, const json_t *value) {
  size_t n = json_array_size(value);
  if (!json_is_array(value) || n > max_strings)
    return false;
  const char **list = bt_newn(const char *, n + 1);
  bt_vec_push(&r->lists, list);
  for (size_t i = 0; i < n; i++)
    if (!(list[i] = json_string_value(json_array_get(value, i))))
      return false;
  STORE(const char **, at, list);
  return true;
}

static bool read_blobs(struct bt_request *r, char *at, const json_t *value, const char *bytes, size_t len) {
  size_t n = json_array_size(value);
  if (!json_is_array(value) || n > max_strings)
    return false;
  struct bt_blob *blobs = bt_newn(struct bt_blob, n + 1);
  bt_vec_push(&r->lists, blobs);
  for (size_t i = 0; i < n; i++) {
    const json_t *item = json_array_get(value, i), *size = json_array_get(item, 1);
    size_t own = (size_t)json_integer_value(size);
    blobs[i] = (struct bt_blob){json_string_value(json_array_get(item, 0)), bytes, own};
    if (!blobs[i].name || !json_is_integer(size) || own > len)
      return false;
    bytes += own;
    len -= own;
  }
  STORE(const struct bt_blob *, at, blobs);
  STORE(size_t, at + sizeof(void *), n);
  return true;
}

static bool read_member(struct bt_request *r, const struct bt_arg *a, const json_t *value, const void *bytes, size_t len) {
  char *at = r->data + a->offset;
  switch (a->kind) {
  case BT_ARG_STRING:
  case BT_ARG_JSON:
    STORE(const char *, at, json_string_value(value));
    return json_is_string(value);
  case BT_ARG_STRINGS:
    return read_texts(r, at, value);
  case BT_ARG_INT:
    STORE(int64_t, at, json_integer_value(value));
    return json_is_integer(value);
  case BT_ARG_INT32:
    STORE(int32_t, at, json_integer_value(value));
    return json_is_integer(value) && json_integer_value(value) == (int32_t)json_integer_value(value);
  case BT_ARG_BOOL:
    STORE(bool, at, json_is_true(value));
    return json_is_boolean(value);
  case BT_ARG_DOUBLE:
    STORE(double, at, json_number_value(value));
    return json_is_number(value);
  case BT_ARG_BLOBS:
    return read_blobs(r, at, value, bytes, len);
  case BT_ARG_BYTES:
    break;
  }
  return false;
}

struct bt_request *bt_marshal_read(const struct bt_method *method, const json_t *args, const void *bytes, size_t len,
                                   struct bt_err **err) {
  struct bt_request *r = bt_calloc(1, sizeof *r + method->size);
  STORE(size_t, r->data, method->size);
  for (const struct bt_arg *a = method->args; a->name; a++) {
    const json_t *value = json_object_get(args, a->name);
    if (a->kind == BT_ARG_BYTES) {
      STORE(const void *, r->data + a->offset, bytes);
      STORE(size_t, r->data + a->offset + sizeof(void *), len);
    } else if (value && !json_is_null(value) && !read_member(r, a, value, bytes, len)) {
      bt_err_set(err, BT_INVALID, "the argument %s of %s has another type", a->name, method->name);
      bt_request_free(&r);
      return NULL;
    }
  }
  return r;
}

const void *bt_request_struct(const struct bt_request *request) { return request->data; }

void bt_request_free(struct bt_request **request) {
  if (!*request)
    return;
  bt_vec_each(&(*request)->lists, list) free(*list);
  bt_vec_free(&(*request)->lists);
  free(*request);
  *request = NULL;
}

/* ---------------------------------------------------------------- pairs */

enum { max_pairs = 256 };

json_t *bt_pairs_json(const struct berth_pair *pairs, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *pair = json_array();
    json_array_append_new(pair, bt_json_string(pairs[i].name));
    json_array_append_new(pair, bt_json_string(pairs[i].value));
    json_array_append_new(array, pair);
  }
  return array;
}

struct berth_pair *bt_pairs_read(const json_t *array, size_t *n) {
  *n = BT_MIN(json_array_size(array), (size_t)max_pairs);
  struct berth_pair *pairs = bt_newn(struct berth_pair, *n + 1);
  for (size_t i = 0; i < *n; i++) {
    const json_t *pair = json_array_get(array, i);
    const char *name = json_string_value(json_array_get(pair, 0)), *value = json_string_value(json_array_get(pair, 1));
    pairs[i] = (struct berth_pair){name ? name : "", value ? value : ""};
  }
  return pairs;
}
