#include "config.h"
#include "util.h"

#include <stdio.h>

static _Noreturn void out_of_memory(void) {
  fputs("runtime-docker: out of memory\n", stderr);
  abort();
}

void *rd_calloc(size_t n, size_t size) {
  void *p = calloc(n ? n : 1, size ? size : 1);
  if (!p)
    out_of_memory();
  return p;
}

char *rd_strdup(const char *s) {
  if (!s)
    return NULL;
  char *copy = strdup(s);
  if (!copy)
    out_of_memory();
  return copy;
}

char *rd_vasprintf(const char *fmt, va_list ap) {
  char *s;
  if (vasprintf(&s, fmt, ap) < 0)
    out_of_memory();
  return s;
}

char *rd_asprintf(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *s = rd_vasprintf(fmt, ap);
  va_end(ap);
  return s;
}

void rd_set(char **dst, char *owned) {
  free(*dst);
  *dst = owned;
}

void rd_free_charp(char **p) {
  free(*p);
  *p = NULL;
}

bool rd_eq(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

bool rd_starts(const char *s, const char *prefix) { return s && strncmp(s, prefix, strlen(prefix)) == 0; }

bool rd_ends(const char *s, const char *suffix) {
  size_t n = s ? strlen(s) : 0, m = strlen(suffix);
  return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* ---------------------------------------------------------------- bytes */

void rd_buf_add(struct rd_buf *b, const void *p, size_t n) {
  size_t need;
  if (__builtin_add_overflow(b->len, n, &need) || __builtin_add_overflow(need, (size_t)1, &need))
    out_of_memory();
  if (need > b->cap) {
    size_t cap = b->cap ? b->cap * 2 : 128;
    b->cap = cap < need ? need : cap;
    b->data = realloc(b->data, b->cap);
    if (!b->data)
      out_of_memory();
  }
  if (n)
    memcpy(b->data + b->len, p, n);
  b->len += n;
  b->data[b->len] = 0;
}

void rd_buf_adds(struct rd_buf *b, const char *s) { rd_buf_add(b, s, strlen(s)); }

void rd_buf_addf(struct rd_buf *b, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  RD_AUTO_FREE s = rd_vasprintf(fmt, ap);
  va_end(ap);
  rd_buf_adds(b, s);
}

void rd_buf_consume(struct rd_buf *b, size_t n) {
  if (!n)
    return;
  memmove(b->data, b->data + n, b->len - n + 1);
  b->len -= n;
}

char *rd_buf_steal(struct rd_buf *b) {
  char *s = b->data ? b->data : rd_strdup("");
  *b = (struct rd_buf){0};
  return s;
}

void rd_buf_free(struct rd_buf *b) {
  free(b->data);
  *b = (struct rd_buf){0};
}

static void line_out(struct rd_lines *l, void (*line)(void *arg, char *text, size_t len), void *arg) {
  struct rd_buf whole = l->rest; /* the callback may feed the splitter anew */
  l->rest = (struct rd_buf){0};
  size_t n = whole.len;
  while (n && whole.data[n - 1] == '\r')
    whole.data[--n] = 0;
  line(arg, whole.data ? whole.data : (char[1]){0}, n);
  rd_buf_free(&whole);
}

void rd_lines_feed(struct rd_lines *l, const void *data, size_t len, void (*line)(void *arg, char *text, size_t len),
                   void *arg) {
  const char *p = data, *end = p + len;
  while (p < end) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((nl ? nl : end) - p), room = l->cap - l->rest.len;
    if (n > room) {
      rd_buf_add(&l->rest, p, room);
      p += room;
      line_out(l, line, arg);
      continue;
    }
    rd_buf_add(&l->rest, p, n);
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
  rd_buf_free(&l->rest);
}
