/* Helpers over jansson: typed reads with defaults, builders, limits for text from outside. */
#ifndef BT_BASE_JSON_H
#define BT_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Parses text from outside: duplicate keys, NUL in strings, nesting over max_depth (0: 64) and sizes over max_len
 * (0: 3 MiB) are refused. The error names "what" and line:column. New reference or NULL. */
json_t *bt_json_parse(const char *text, size_t len, size_t max_len, int max_depth, const char *what, struct bt_err **err);
/* Does the text hold at most max values (counted by commas and opening brackets outside of strings)? For text from outside, before it is
 * parsed: a tree of many small values is a hundred times its text. O(len). */
bool bt_json_within(const char *text, size_t len, size_t max);
/* Compact text with keys in order of insertion / sorted (canonical, for hashes: its numbers have 17 digits, as they always had). The caller frees. */
char *bt_json_text(const json_t *value);
char *bt_json_canonical(const json_t *value);
/* Numbers of JSON that jansson wrote take the shortest form that reads back as the same (0.2 for 0.20000000000000001); in place. Where there is none to
 * shorten it costs one search for points. bt_json_text has done it. */
void bt_json_shorten(char *text);

/* Members of an object; the default where absent, null or of another type. Strings are borrowed. */
const char *bt_json_str(const json_t *obj, const char *key);                    /* NULL */
const char *bt_json_str_or(const json_t *obj, const char *key, const char *or);
long long bt_json_int(const json_t *obj, const char *key, long long or);
double bt_json_num(const json_t *obj, const char *key, double or);
bool bt_json_bool(const json_t *obj, const char *key, bool or);
json_t *bt_json_obj(const json_t *obj, const char *key);                        /* borrowed; NULL unless an object */
json_t *bt_json_arr(const json_t *obj, const char *key);                        /* borrowed; NULL unless an array */
json_t *bt_json_obj_in(json_t *obj, const char *key); /* the object there, made where there is none (anything else is replaced); borrowed */

/* Setters take text that may be invalid UTF-8 (log lines, engine errors): bad bytes become U+FFFD. NULL sets null. */
json_t *bt_json_string(const char *s);
void bt_json_set_str(json_t *obj, const char *key, const char *s); /* leaves the key out for NULL */
void bt_json_set_int(json_t *obj, const char *key, long long v);
void bt_json_set_bool(json_t *obj, const char *key, bool v);
void bt_json_set(json_t *obj, const char *key, json_t *value);     /* steals value */
/* Deep equality that ignores the order of object keys. */
bool bt_json_equal(const json_t *a, const json_t *b);

static inline void bt_json_decrefp(json_t **p) {
  json_decref(*p);
  *p = NULL;
}
#define BT_AUTO_JSON __attribute__((cleanup(bt_json_decrefp))) json_t *

#endif
