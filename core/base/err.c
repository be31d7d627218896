#include "config.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct bt_err {
  enum bt_code code;
  char *message;
};

static const struct {
  const char *name;
  int http;
  int exit;
} codes[BT_CODE_MAX] = {
    [BT_OK] = {"ok", 200, 0},
    [BT_INVALID] = {"invalid", 400, 2},
    [BT_NOT_FOUND] = {"not_found", 404, 3},
    [BT_CONFLICT] = {"conflict", 409, 4},
    [BT_PRECONDITION] = {"precondition", 412, 4},
    [BT_UNAUTHENTICATED] = {"unauthenticated", 401, 5},
    [BT_DENIED] = {"denied", 403, 5},
    [BT_UNSUPPORTED] = {"unsupported", 422, 6},
    [BT_TOO_LARGE] = {"too_large", 413, 2},
    [BT_EXHAUSTED] = {"exhausted", 429, 7},
    [BT_UNAVAILABLE] = {"unavailable", 503, 8},
    [BT_DEADLINE] = {"deadline", 504, 9},
    [BT_CANCELLED] = {"cancelled", 499, 10},
    [BT_IO] = {"io", 500, 11},
    [BT_PLUGIN_CRASHED] = {"plugin_crashed", 502, 12},
    [BT_INTERNAL] = {"internal", 500, 13},
    [BT_NO_SPACE] = {"no_space", 507, 7},
};

static int err_store(struct bt_err **err, enum bt_code code, char *message) {
  if (!err) {
    free(message);
    return -1;
  }
  bt_err_free(err);
  *err = bt_new(struct bt_err);
  (*err)->code = code;
  (*err)->message = message;
  return -1;
}

int bt_err_set(struct bt_err **err, enum bt_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *message = bt_vasprintf(fmt, ap);
  va_end(ap);
  return err_store(err, code, message);
}

int bt_err_errno(struct bt_err **err, enum bt_code code, int errnum, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *message = bt_vasprintf(fmt, ap);
  va_end(ap);
  return err_store(err, code, bt_asprintf("%s: %s", message, strerror(errnum)));
}

int bt_err_wrap(struct bt_err **err, const char *fmt, ...) {
  if (!err || !*err)
    return -1;
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *context = bt_vasprintf(fmt, ap);
  va_end(ap);
  char *message = bt_asprintf("%s: %s", context, (*err)->message);
  free((*err)->message);
  (*err)->message = message;
  return -1;
}

int bt_err_move(struct bt_err **dst, struct bt_err *src) {
  if (!dst) {
    bt_err_free(&src);
    return -1;
  }
  bt_err_free(dst);
  *dst = src;
  return -1;
}

enum bt_code bt_err_code(const struct bt_err *err) { return err ? err->code : BT_OK; }

const char *bt_err_message(const struct bt_err *err) { return err ? err->message : ""; }

void bt_err_free(struct bt_err **err) {
  if (!err || !*err)
    return;
  free((*err)->message);
  free(*err);
  *err = NULL;
}

const char *bt_code_name(enum bt_code code) {
  return (unsigned)code < BT_CODE_MAX ? codes[code].name : codes[BT_INTERNAL].name;
}

enum bt_code bt_code_from_name(const char *name) {
  for (int i = 0; name && i < BT_CODE_MAX; i++)
    if (strcmp(codes[i].name, name) == 0)
      return (enum bt_code)i;
  return BT_INTERNAL;
}

int bt_code_http(enum bt_code code) {
  return (unsigned)code < BT_CODE_MAX ? codes[code].http : codes[BT_INTERNAL].http;
}

int bt_code_exit(enum bt_code code) {
  return (unsigned)code < BT_CODE_MAX ? codes[code].exit : codes[BT_INTERNAL].exit;
}
