/* Memory and short strings. Out of memory aborts with a sentence, so allocations never return NULL; every size that
 * comes from outside is capped by its reader first. Knows nothing of containers. */
#ifndef BT_BASE_MEM_H
#define BT_BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *bt_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *bt_realloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *bt_strdup(const char *s) __attribute__((malloc));                      /* NULL stays NULL */
char *bt_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *bt_memdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
char *bt_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *bt_vasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0), malloc, returns_nonnull));

#define bt_new(type) ((type *)bt_calloc(1, sizeof(type)))
#define bt_newn(type, n) ((type *)bt_calloc((n), sizeof(type)))

/* Takes the value out of a variable and leaves NULL: the cleanup attribute then frees nothing. */
#define bt_steal(p)          \
  ({                         \
    __typeof__(p) stolen_ = (p); \
    (p) = NULL;              \
    stolen_;                 \
  })

static inline void bt_freep(void *p) { free(*(void **)p); }
static inline void bt_free_strp(char **p) {
  free(*p);
  *p = NULL;
}
#define BT_AUTO_FREE __attribute__((cleanup(bt_freep)))
void bt_closep(int *fd); /* closes *fd where >= 0 and sets -1 */
#define BT_AUTO_CLOSE __attribute__((cleanup(bt_closep)))

/* Overwrites, even where the compiler thinks nobody looks again. */
void bt_wipe(void *p, size_t n);

/* NULL-safe comparisons. */
static inline bool bt_streq(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }
static inline bool bt_starts(const char *s, const char *prefix) {
  return s && strncmp(s, prefix, strlen(prefix)) == 0;
}
bool bt_ends(const char *s, const char *suffix);
/* Replaces the string in *dst by a copy of s (NULL allowed). */
void bt_str_set(char **dst, const char *s);
/* FNV-1a, 32 bits (RFC 9923): the same in every process and build, and no protection from whoever chooses the text: a map has its own. */
uint32_t bt_str_hash(const char *s);
/* Whole-string decimal integer within [min, max]; false (and *out untouched) otherwise: no sign '+', no spaces. */
bool bt_parse_i64(const char *s, long long min, long long max, long long *out);

/* An assertion that stays in production: an impossible state is a defect of ours, never bad input. */
#define BT_ASSERT(cond) ((cond) ? (void)0 : bt_assert_fail(#cond, __FILE__, __LINE__, __func__))
_Noreturn void bt_assert_fail(const char *cond, const char *file, int line, const char *func);

#define BT_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define BT_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
