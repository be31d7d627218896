/* What this plug-in needs of text, bytes and JSON beyond ../common/util.h: lines of a stream, the engine's forms of numbers and
 * times. Every size that comes from outside is capped by its reader. Knows nothing of engines. */
#ifndef RD_UTIL_H
#define RD_UTIL_H

#include "../common/util.h"

bool rd_ends(const char *s, const char *suffix);

/* ---- bytes ---- */

void rd_buf_consume(struct pu_buf *b, size_t n); /* drops n bytes from the front */

/* Splits a stream into lines and hands each over without its line end (NUL-terminated). A line over cap is handed over in
 * pieces of cap bytes. Zero-initialise but cap. */
struct rd_lines {
  struct pu_buf rest;
  size_t cap;
};
void rd_lines_feed(struct rd_lines *l, const void *data, size_t len, void (*line)(void *arg, char *text, size_t len),
                   void *arg);
void rd_lines_end(struct rd_lines *l, void (*line)(void *arg, char *text, size_t len), void *arg); /* the unfinished one */

/* ---- text forms ---- */

char *rd_base64url(const void *data, size_t len);          /* with padding, as the engine's headers want it */
bool rd_base64_read(const char *text, struct pu_buf *out); /* the usual alphabet, with padding; false: it is none */
/* "1m30s", "500ms", "10s", also fractions ("1.5s"); a bare number counts in unit_ns. False where it is none of these or
 * beyond an int64 of nanoseconds. */
bool rd_duration(const char *s, int64_t unit_ns, int64_t *ns);
/* "67108864", "64m", "1.5GiB", "-1" (negative only as a whole number). */
bool rd_size(const char *s, int64_t *bytes);
/* RFC 3339 -> milliseconds since 1970; -1 where it is not one. Zone "Z" or an offset. */
int64_t rd_time_ms(const char *s);
char *rd_time_text(int64_t seconds); /* RFC 3339, UTC */

/* ---- JSON ---- */

/* Text from outside: at most 64 levels, NULs allowed; NULL where it is not JSON. New reference. */
json_t *rd_json_parse(const char *text, size_t len);
/* A string value from bytes that may be no UTF-8: bad bytes become U+FFFD, NULs too. */
json_t *rd_json_bytes(const void *data, size_t len);

/* Members; the default where absent or of another type. */
int64_t rd_int(const json_t *o, const char *key, int64_t fallback); /* integers, reals, strings of digits */
bool rd_bool(const json_t *o, const char *key, bool fallback);      /* true, "true" */
/* A scalar as text ("1", "0.5", "true", the string itself); NULL for null, arrays, objects. The caller frees. */
char *rd_scalar(const json_t *v);

#endif
