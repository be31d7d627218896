/* Values in the forms that Compose files, engines and people write them: durations, sizes, times, and members of JSON objects that may
 * hold a number or a truth as text. Knows nothing of products. */
#ifndef PU_VALUES_H
#define PU_VALUES_H

#include "util.h"

/* "1m30s", "500ms", "10s", also fractions ("1.5s"); a bare number counts in unit_ns. False where it is none of these or
 * beyond an int64 of nanoseconds. */
bool pu_duration(const char *s, int64_t unit_ns, int64_t *ns);
/* "67108864", "64m", "1.5GiB", "-1" (negative only as a whole number). */
bool pu_size(const char *s, int64_t *bytes);
/* RFC 3339 -> milliseconds since 1970; -1 where it is not one. Zone "Z" or an offset. */
int64_t pu_time_ms(const char *s);
char *pu_time_text(int64_t seconds); /* RFC 3339, UTC */

/* Members; the default where absent or of another type. */
int64_t pu_number(const json_t *o, const char *key, int64_t fallback); /* integers, reals, strings of digits */
bool pu_flag(const json_t *o, const char *key, bool fallback);       /* true, "true" */
/* A scalar as text ("1", "0.5", "true", the string itself); NULL for null, arrays, objects. The caller frees. */
char *pu_scalar(const json_t *v);
/* A scalar or an array of scalars as a new array of strings; NULL where v is absent or null. */
json_t *pu_strings(const json_t *v);
/* A Compose mapping, or a list of "K=V", as a new object of strings; null values become "". NULL where absent. */
json_t *pu_map(const json_t *v);

#endif
