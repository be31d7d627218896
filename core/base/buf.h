/* A growing byte buffer that doubles as a string builder. The bytes are always followed by a NUL that is not counted. */
#ifndef BT_BASE_BUF_H
#define BT_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

/* Zero-initialise (= {0}) or BT_AUTO_BUF. data is NULL until the first byte. */
struct bt_buf {
  char *data;
  size_t len;
  size_t cap;
};

void bt_buf_reserve(struct bt_buf *b, size_t more); /* room for so many more bytes, where about how many come is known */
void bt_buf_add(struct bt_buf *b, const void *p, size_t n);
void bt_buf_adds(struct bt_buf *b, const char *s);
void bt_buf_addc(struct bt_buf *b, char c);
void bt_buf_addf(struct bt_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bt_buf_vaddf(struct bt_buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void bt_buf_truncate(struct bt_buf *b, size_t len); /* len <= b->len */
void bt_buf_consume(struct bt_buf *b, size_t n);    /* drops n bytes from the front */
char *bt_buf_steal(struct bt_buf *b);               /* the caller frees; never NULL ("" where empty) */
void bt_buf_free(struct bt_buf *b);                 /* frees the bytes and resets to empty */

#define BT_AUTO_BUF __attribute__((cleanup(bt_buf_free))) struct bt_buf

#endif
