#include "config.h"
#include "base/mem.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

_Noreturn static void out_of_memory(void) {
  static const char text[] = "berth: out of memory\n";
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) { /* nothing left to try */
  }
  abort();
}

static void *take(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  if (!p)
    out_of_memory();
  return p;
}

/* glibc's calloc passes its cache of small pieces by: those are cheaper to clear than to look for. */
void *bt_calloc(size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes))
    out_of_memory();
  if (bytes <= 1024)
    return memset(take(bytes), 0, bytes ? bytes : 1);
  void *p = calloc(n, size);
  if (!p)
    out_of_memory();
  return p;
}

void *bt_realloc(void *p, size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes))
    out_of_memory();
  void *q = realloc(p, bytes ? bytes : 1);
  if (!q)
    out_of_memory();
  return q;
}

char *bt_strdup(const char *s) { return s ? bt_memdup(s, strlen(s) + 1) : NULL; }

char *bt_strndup(const char *s, size_t n) {
  size_t len = strnlen(s, n);
  char *p = bt_calloc(len + 1, 1);
  memcpy(p, s, len);
  return p;
}

void *bt_memdup(const void *p, size_t n) {
  void *q = take(n);
  if (n)
    memcpy(q, p, n);
  return q;
}

char *bt_vasprintf(const char *fmt, va_list ap) {
  char *s = NULL;
  if (vasprintf(&s, fmt, ap) < 0 || !s)
    out_of_memory();
  return s;
}

char *bt_asprintf(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *s = bt_vasprintf(fmt, ap);
  va_end(ap);
  return s;
}

void bt_closep(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

void bt_wipe(void *p, size_t n) { explicit_bzero(p, n); }

bool bt_ends(const char *s, const char *suffix) {
  if (!s)
    return false;
  size_t n = strlen(s), m = strlen(suffix);
  return n >= m && strcmp(s + n - m, suffix) == 0;
}

void bt_str_set(char **dst, const char *s) {
  char *copy = bt_strdup(s);
  free(*dst);
  *dst = copy;
}

bool bt_parse_i64(const char *s, long long min, long long max, long long *out) {
  if (!s || !(*s == '-' || (*s >= '0' && *s <= '9')))
    return false;
  char *end;
  errno = 0;
  long long v = strtoll(s, &end, 10);
  if (errno || *end || end == s || v < min || v > max)
    return false;
  *out = v;
  return true;
}

void bt_assert_fail(const char *cond, const char *file, int line, const char *func) {
  fprintf(stderr, "berth: assertion failed: %s (%s:%d, %s). This is a defect of Berth: please report it.\n", cond, file,
          line, func);
  abort();
}

uint32_t bt_str_hash(const char *s) {
  uint32_t h = 2166136261u;
  for (; *s; s++)
    h = (h ^ (unsigned char)*s) * 16777619u;
  return h;
}
