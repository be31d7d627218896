/* What small plug-ins need of memory, bytes and JSON, since a plug-in links nothing of the core. Out of memory aborts; every
 * size that comes from outside is capped by its reader. Knows nothing of products. */
#ifndef PU_UTIL_H
#define PU_UTIL_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PU_COUNT(a) (sizeof(a) / sizeof((a)[0]))

void *pu_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
#define pu_new(type) ((type *)pu_calloc(1, sizeof(type)))
char *pu_strdup(const char *s) __attribute__((malloc)); /* NULL stays NULL */
char *pu_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *pu_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *pu_vasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0), malloc, returns_nonnull));
void pu_set(char **dst, char *owned); /* frees *dst and takes owned */
void pu_wipe_free(char *secret);      /* overwrites first */

void pu_free_charp(char **p);
#define PU_AUTO_FREE __attribute__((cleanup(pu_free_charp))) char *

bool pu_eq(const char *a, const char *b); /* NULL-safe */
bool pu_starts(const char *s, const char *prefix);
uint32_t pu_hash(const char *s); /* FNV-1a: the same everywhere and for ever; no protection from whoever chooses the text */
/* "*" stands for any bytes, "?" for one. */
bool pu_glob(const char *pattern, const char *text);

/* ---- bytes ---- */

/* Grows; always followed by a NUL that is not counted. Zero-initialise. secret: what it held is overwritten wherever it leaves a place,
 * also when it grows; pu_buf_addf makes a copy of its own, so secrets are added by the others. What is stolen is the caller's to wipe. */
struct pu_buf {
  char *data;
  size_t len, cap;
  bool secret;
};
void pu_buf_add(struct pu_buf *b, const void *p, size_t n);
void pu_buf_adds(struct pu_buf *b, const char *s);
void pu_buf_addc(struct pu_buf *b, char c);
void pu_buf_addf(struct pu_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *pu_buf_steal(struct pu_buf *b); /* the caller frees; never NULL */
void pu_buf_free(struct pu_buf *b);
#define PU_AUTO_BUF __attribute__((cleanup(pu_buf_free))) struct pu_buf

void pu_url_add(struct pu_buf *b, const char *s, const char *keep); /* percent-encodes all but unreserved bytes and keep */

/* ---- JSON ---- */

void pu_json_decref(json_t **p);
#define PU_AUTO_JSON __attribute__((cleanup(pu_json_decref))) json_t *

/* Text from outside: at most 64 levels, no duplicate keys; NULL where it is not JSON. New reference. */
json_t *pu_json_parse(const char *text, size_t len);
/* The same with jansson's flags of the caller's choice, and NULL for NULL. */
json_t *pu_json_load(const char *text, size_t len, size_t flags);
char *pu_json_text(const json_t *v); /* compact, "null" for NULL; the caller frees */
/* A string value from text that may be no UTF-8: bad bytes become "?". */
json_t *pu_json_string(const char *s);

/* Members; the default where absent or of another type. Strings are borrowed. */
const char *pu_str(const json_t *o, const char *key); /* NULL */
const char *pu_str_or(const json_t *o, const char *key, const char *fallback);
int64_t pu_int(const json_t *o, const char *key, int64_t fallback);
bool pu_bool(const json_t *o, const char *key, bool fallback);
json_t *pu_obj(const json_t *o, const char *key); /* borrowed; NULL unless an object */
json_t *pu_arr(const json_t *o, const char *key); /* borrowed; NULL unless an array */

#endif
