/* What this plug-in needs of text, bytes and JSON beyond ../common/util.h: lines of a stream, base64, doubtful
 * bytes. Every size that comes from outside is capped by its reader. Knows nothing of engines. */
#ifndef RD_UTIL_H
#define RD_UTIL_H

#include "../common/util.h"
#include "../common/values.h"

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

/* ---- JSON ---- */

/* Text from outside: at most 64 levels, NULs allowed; NULL where it is not JSON. New reference. */
json_t *rd_json_parse(const char *text, size_t len);
/* A string value from bytes that may be no UTF-8: bad bytes become U+FFFD, NULs too. */
json_t *rd_json_bytes(const void *data, size_t len);

#endif
