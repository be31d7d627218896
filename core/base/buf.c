#include "config.h"
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void bt_buf_reserve(struct bt_buf *b, size_t more) {
  size_t need;
  BT_ASSERT(!__builtin_add_overflow(b->len, more + 1, &need));
  if (need <= b->cap)
    return;
  size_t cap = b->cap ? b->cap * 2 : 64;
  if (cap < need)
    cap = need;
  b->data = bt_realloc(b->data, cap, 1);
  b->cap = cap;
  b->data[b->len] = 0;
}

void bt_buf_add(struct bt_buf *b, const void *p, size_t n) {
  bt_buf_reserve(b, n);
  if (n)
    memcpy(b->data + b->len, p, n);
  b->len += n;
  b->data[b->len] = 0;
}

void bt_buf_adds(struct bt_buf *b, const char *s) { bt_buf_add(b, s, strlen(s)); }

void bt_buf_addc(struct bt_buf *b, char c) { bt_buf_add(b, &c, 1); }

void bt_buf_vaddf(struct bt_buf *b, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  BT_ASSERT(n >= 0);
  bt_buf_reserve(b, (size_t)n);
  vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
  va_end(again);
  b->len += (size_t)n;
}

void bt_buf_addf(struct bt_buf *b, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  bt_buf_vaddf(b, fmt, ap);
  va_end(ap);
}

void bt_buf_truncate(struct bt_buf *b, size_t len) {
  BT_ASSERT(len <= b->len);
  b->len = len;
  if (b->data)
    b->data[len] = 0;
}

void bt_buf_consume(struct bt_buf *b, size_t n) {
  BT_ASSERT(n <= b->len);
  if (!n)
    return;
  memmove(b->data, b->data + n, b->len - n + 1);
  b->len -= n;
}

char *bt_buf_steal(struct bt_buf *b) {
  char *s = b->data ? b->data : bt_strdup("");
  *b = (struct bt_buf){0};
  return s;
}

void bt_buf_free(struct bt_buf *b) {
  free(b->data);
  *b = (struct bt_buf){0};
}
