#include "config.h"
#include "base/diag.h"

#include <stdarg.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/vec.h"

enum { max_diags = 100 };

static void add(struct bt_diags *d, enum bt_severity severity, struct bt_loc loc, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

bool bt_diags_full(const struct bt_diags *d) { return d->len >= max_diags; }

static void add(struct bt_diags *d, enum bt_severity severity, struct bt_loc loc, const char *fmt, va_list ap) {
  if (severity == BT_SEV_ERROR)
    d->errors++;
  if (d->len >= max_diags) {
    d->dropped++;
    return;
  }
  struct bt_diag item = {severity, bt_strdup(loc.file), loc.line, loc.col, bt_vasprintf(fmt, ap)};
  bt_vec_push(d, item);
}

void bt_diag_error(struct bt_diags *d, struct bt_loc loc, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  add(d, BT_SEV_ERROR, loc, fmt, ap);
  va_end(ap);
}

void bt_diag_warn(struct bt_diags *d, struct bt_loc loc, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  add(d, BT_SEV_WARNING, loc, fmt, ap);
  va_end(ap);
}

static void add_place(struct bt_buf *b, const struct bt_diag *item) {
  if (!item->file)
    return;
  bt_buf_adds(b, item->file);
  if (item->line)
    bt_buf_addf(b, ":%d:%d", item->line, item->col);
  bt_buf_adds(b, ": ");
}

char *bt_diags_text(const struct bt_diags *d) {
  struct bt_buf b = {0};
  bt_vec_each(d, item) {
    add_place(&b, item);
    bt_buf_addf(&b, "%s: %s\n", item->severity == BT_SEV_ERROR ? "error" : "warning", item->message);
  }
  if (d->dropped)
    bt_buf_addf(&b, "(%zu more are not shown)\n", d->dropped);
  return bt_buf_steal(&b);
}

json_t *bt_diags_json(const struct bt_diags *d) {
  json_t *list = json_array();
  bt_vec_each(d, item) {
    json_t *o = json_object();
    bt_json_set_str(o, "severity", item->severity == BT_SEV_ERROR ? "error" : "warning");
    bt_json_set_str(o, "file", item->file);
    if (item->line) {
      bt_json_set_int(o, "line", item->line);
      bt_json_set_int(o, "column", item->col);
    }
    bt_json_set_str(o, "message", item->message);
    json_array_append_new(list, o);
  }
  return list;
}

int bt_diags_err(const struct bt_diags *d, struct bt_err **err) {
  if (!d->errors)
    return 0;
  bt_vec_each(d, item) {
    if (item->severity != BT_SEV_ERROR)
      continue;
    BT_AUTO_BUF b = {0};
    add_place(&b, item);
    bt_buf_adds(&b, item->message);
    if (d->errors > 1)
      bt_buf_addf(&b, " (and %zu more)", d->errors - 1);
    return bt_err_set(err, BT_INVALID, "%s", b.data);
  }
  return bt_err_set(err, BT_INVALID, "%zu errors", d->errors);
}

void bt_diags_free(struct bt_diags *d) {
  bt_vec_each(d, item) {
    free(item->file);
    free(item->message);
  }
  bt_vec_free(d);
  d->errors = d->dropped = 0;
}
