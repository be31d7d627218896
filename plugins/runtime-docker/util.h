/* What the plug-in needs of memory, bytes and JSON, since a plug-in links nothing of the core. Out of memory aborts; every
 * size that comes from outside is capped by its reader. Knows nothing of engines. */
#ifndef RD_UTIL_H
#define RD_UTIL_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RD_COUNT(a) (sizeof(a) / sizeof((a)[0]))

void *rd_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
char *rd_strdup(const char *s) __attribute__((malloc)); /* NULL stays NULL */
char *rd_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *rd_vasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0), malloc, returns_nonnull));
void rd_set(char **dst, char *owned); /* frees *dst and takes owned */

void rd_free_charp(char **p);
#define RD_AUTO_FREE __attribute__((cleanup(rd_free_charp))) char *

bool rd_eq(const char *a, const char *b); /* NULL-safe */
bool rd_starts(const char *s, const char *prefix);
bool rd_ends(const char *s, const char *suffix);

/* ---- bytes ---- */

/* Grows; always followed by a NUL that is not counted. Zero-initialise. */
struct rd_buf {
  char *data;
  size_t len, cap;
};
void rd_buf_add(struct rd_buf *b, const void *p, size_t n);
void rd_buf_adds(struct rd_buf *b, const char *s);
void rd_buf_addf(struct rd_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rd_buf_consume(struct rd_buf *b, size_t n); /* drops n bytes from the front */
char *rd_buf_steal(struct rd_buf *b);            /* the caller frees; never NULL */
void rd_buf_free(struct rd_buf *b);
#define RD_AUTO_BUF __attribute__((cleanup(rd_buf_free))) struct rd_buf

/* Splits a stream into lines and hands each over without its line end (NUL-terminated). A line over cap is handed over in
 * pieces of cap bytes. Zero-initialise but cap. */
struct rd_lines {
  struct rd_buf rest;
  size_t cap;
};
void rd_lines_feed(struct rd_lines *l, const void *data, size_t len, void (*line)(void *arg, char *text, size_t len),
                   void *arg);
void rd_lines_end(struct rd_lines *l, void (*line)(void *arg, char *text, size_t len), void *arg); /* the unfinished one */

/* ---- text forms ---- */

void rd_url_add(struct rd_buf *b, const char *s, const char *keep); /* percent-encodes all but unreserved bytes and keep */
char *rd_base64url(const void *data, size_t len);                   /* with padding, as the engine's headers want it */
bool rd_base64_read(const char *text, struct rd_buf *out);          /* the usual alphabet, with padding; false: it is none */
/* "1m30s", "500ms", "10s", also fractions ("1.5s"); a bare number counts in unit_ns. False where it is none of these or
 * beyond an int64 of nanoseconds. */
bool rd_duration(const char *s, int64_t unit_ns, int64_t *ns);
/* "67108864", "64m", "1.5GiB", "-1" (negative only as a whole number). */
bool rd_size(const char *s, int64_t *bytes);
/* RFC 3339 -> milliseconds since 1970; -1 where it is not one. Zone "Z" or an offset. */
int64_t rd_time_ms(const char *s);
char *rd_time_text(int64_t seconds); /* RFC 3339, UTC */

/* ---- JSON ---- */

void rd_json_decref(json_t **p);
#define RD_AUTO_JSON __attribute__((cleanup(rd_json_decref))) json_t *

/* Text from outside: at most 64 levels; NULL where it is not JSON. New reference. */
json_t *rd_json_parse(const char *text, size_t len);
char *rd_json_text(const json_t *v); /* compact; the caller frees */
/* A string value from bytes that may be no UTF-8: bad bytes become U+FFFD, NULs too. */
json_t *rd_json_bytes(const void *data, size_t len);

/* Members; the default where absent or of another type. Strings are borrowed. */
const char *rd_str(const json_t *o, const char *key);                       /* NULL */
const char *rd_str_or(const json_t *o, const char *key, const char *fallback);
int64_t rd_int(const json_t *o, const char *key, int64_t fallback);         /* integers, reals, strings of digits */
bool rd_bool(const json_t *o, const char *key, bool fallback);              /* true, "true" */
json_t *rd_obj(const json_t *o, const char *key);                           /* borrowed; NULL unless an object */
json_t *rd_arr(const json_t *o, const char *key);                           /* borrowed; NULL unless an array */
/* A scalar as text ("1", "0.5", "true", the string itself); NULL for null, arrays, objects. The caller frees. */
char *rd_scalar(const json_t *v);

#endif
