#include "config.h"
#include "util.h"

bool rd_ends(const char *s, const char *suffix) {
  size_t n = s ? strlen(s) : 0, m = strlen(suffix);
  return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

void rd_buf_consume(struct pu_buf *b, size_t n) {
  if (!n)
    return;
  memmove(b->data, b->data + n, b->len - n + 1);
  b->len -= n;
}

static void line_out(struct rd_lines *l, void (*line)(void *arg, char *text, size_t len), void *arg) {
  struct pu_buf whole = l->rest; /* the callback may feed the splitter anew */
  l->rest = (struct pu_buf){0};
  size_t n = whole.len;
  while (n && whole.data[n - 1] == '\r')
    whole.data[--n] = 0;
  line(arg, whole.data ? whole.data : (char[1]){0}, n);
  pu_buf_free(&whole);
}

void rd_lines_feed(struct rd_lines *l, const void *data, size_t len, void (*line)(void *arg, char *text, size_t len),
                   void *arg) {
  const char *p = data, *end = p + len;
  while (p < end) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((nl ? nl : end) - p), room = l->cap - l->rest.len;
    if (n > room) {
      pu_buf_add(&l->rest, p, room);
      p += room;
      line_out(l, line, arg);
      continue;
    }
    pu_buf_add(&l->rest, p, n);
    p += n;
    if (nl) {
      p++;
      line_out(l, line, arg);
    }
  }
}

void rd_lines_end(struct rd_lines *l, void (*line)(void *arg, char *text, size_t len), void *arg) {
  if (l->rest.len)
    line_out(l, line, arg);
  pu_buf_free(&l->rest);
}
