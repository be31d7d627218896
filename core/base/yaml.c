#include "config.h"
#include "base/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>

#include "base/json.h"
#include "base/vec.h"
#include "base/yaml_scalar.h"

/* --- building --- */

struct bt_yaml *bt_yaml_new(enum bt_yaml_kind kind, struct bt_loc loc) {
  struct bt_yaml *node = bt_new(struct bt_yaml);
  node->kind = kind;
  node->loc = loc;
  if (kind == BT_YAML_NULL)
    node->text = bt_strdup("");
  return node;
}

struct bt_yaml *bt_yaml_str(const char *s, struct bt_loc loc) {
  struct bt_yaml *node = bt_yaml_new(BT_YAML_STR, loc);
  node->text = bt_strdup(s ? s : "");
  return node;
}

struct bt_yaml *bt_yaml_int(long long v, struct bt_loc loc) {
  struct bt_yaml *node = bt_yaml_new(BT_YAML_INT, loc);
  node->integer = v;
  node->plain = true;
  node->text = bt_asprintf("%lld", v);
  return node;
}

struct bt_yaml *bt_yaml_bool(bool v, struct bt_loc loc) {
  struct bt_yaml *node = bt_yaml_new(BT_YAML_BOOL, loc);
  node->boolean = v;
  node->plain = true;
  node->text = bt_strdup(v ? "true" : "false");
  return node;
}

static void clear(struct bt_yaml *node) {
  if (node->kind == BT_YAML_SEQ) {
    for (size_t i = 0; i < node->seq.len; i++)
      bt_yaml_free(&node->seq.items[i]);
    bt_vec_free(&node->seq);
  } else if (node->kind == BT_YAML_MAP) {
    for (size_t i = 0; i < node->map.len; i++) {
      free(node->map.items[i].key);
      bt_yaml_free(&node->map.items[i].value);
    }
    bt_vec_free(&node->map);
  }
}

void bt_yaml_free(struct bt_yaml **p) {
  if (!p || !*p)
    return;
  struct bt_yaml *node = bt_steal(*p);
  clear(node);
  free(node->text);
  free(node);
}

struct bt_yaml *bt_yaml_copy(const struct bt_yaml *node) {
  if (!node)
    return NULL;
  struct bt_yaml *copy = bt_memdup(node, sizeof *node);
  copy->text = bt_strdup(node->text);
  if (node->kind == BT_YAML_SEQ) {
    memset(&copy->seq, 0, sizeof copy->seq);
    for (size_t i = 0; i < node->seq.len; i++)
      bt_vec_push(&copy->seq, bt_yaml_copy(node->seq.items[i]));
  } else if (node->kind == BT_YAML_MAP) {
    memset(&copy->map, 0, sizeof copy->map);
    for (size_t i = 0; i < node->map.len; i++) {
      const struct bt_yaml_pair *p = &node->map.items[i];
      struct bt_yaml_pair pair = {bt_strdup(p->key), p->loc, bt_yaml_copy(p->value)};
      bt_vec_push(&copy->map, pair);
    }
  }
  return copy;
}

/* --- scalars --- */

static bool one_of(const char *s, const char *const *words, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(s, words[i]) == 0)
      return true;
  return false;
}
#define ONE_OF(s, ...) \
  one_of((s), (const char *const[]){__VA_ARGS__}, BT_COUNT(((const char *const[]){__VA_ARGS__})))

/* Digits with "_" between them taken out; false where it does not fit (no number is that long). */
static bool strip_underscores(const char *s, char *out, size_t size) {
  size_t n = 0;
  for (; *s; s++) {
    if (*s == '_')
      continue;
    if (n + 1 >= size)
      return false;
    out[n++] = *s;
  }
  out[n] = 0;
  return n > 0;
}

/* [+-] then 0x…, 0o…, 0b…, 0… (octal) or decimal digits. */
static bool parse_int(const char *s, long long *out) {
  bool minus = *s == '-';
  if (*s == '-' || *s == '+')
    s++;
  int base = 10;
  if (s[0] == '0' && s[1]) {
    char c = s[1] | 0x20;
    base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
    s += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
  }
  if (!*s || strspn(s, base == 16 ? "0123456789abcdefABCDEF" : base == 10 ? "0123456789" : base == 8 ? "01234567" : "01") != strlen(s))
    return false;
  errno = 0;
  unsigned long long v = strtoull(s, NULL, base);
  if (errno || v > (unsigned long long)INT64_MAX + minus)
    return false;
  *out = minus ? (long long)(0 - v) : (long long)v;
  return true;
}

/* [-+]? ( .5 | 5 | 5. | 5.5 ) ( e[-+]?5 )? : what strtod takes beyond that (hex, "nan") is no YAML number. */
static bool parse_float(const char *s, double *out) {
  const char *p = s + (*s == '-' || *s == '+');
  size_t before = strspn(p, "0123456789");
  p += before;
  if (*p == '.') {
    size_t after = strspn(p + 1, "0123456789");
    if (!before && !after)
      return false;
    p += 1 + after;
  } else if (!before) {
    return false;
  }
  if (*p == 'e' || *p == 'E') {
    p += 1 + (p[1] == '-' || p[1] == '+');
    size_t digits = strspn(p, "0123456789");
    if (!digits)
      return false;
    p += digits;
  }
  if (*p)
    return false;
  *out = strtod(s, NULL);
  return true;
}

void bt_yaml_resolve(struct bt_yaml *node) {
  const char *s = node->text;
  node->kind = BT_YAML_STR;
  if (!*s || ONE_OF(s, "~", "null", "Null", "NULL")) {
    node->kind = BT_YAML_NULL;
  } else if (ONE_OF(s, "true", "True", "TRUE", "false", "False", "FALSE")) {
    node->kind = BT_YAML_BOOL;
    node->boolean = (*s | 0x20) == 't';
  } else if (ONE_OF(s, ".nan", ".NaN", ".NAN")) {
    node->kind = BT_YAML_FLOAT;
    node->real = NAN;
  } else if (ONE_OF(s + (*s == '-' || *s == '+'), ".inf", ".Inf", ".INF")) {
    node->kind = BT_YAML_FLOAT;
    node->real = *s == '-' ? -INFINITY : INFINITY;
  } else if (strchr("0123456789+-.", *s)) {
    char digits[128];
    if (!strip_underscores(s, digits, sizeof digits))
      return;
    if (parse_int(digits, &node->integer))
      node->kind = BT_YAML_INT;
    else if (parse_float(digits, &node->real))
      node->kind = BT_YAML_FLOAT;
  }
}

/* --- maps and sequences --- */

struct bt_yaml_pair *bt_yaml_pair(const struct bt_yaml *map, const char *key) {
  if (!map || map->kind != BT_YAML_MAP)
    return NULL;
  for (size_t i = 0; i < map->map.len; i++)
    if (strcmp(map->map.items[i].key, key) == 0)
      return &map->map.items[i];
  return NULL;
}

struct bt_yaml *bt_yaml_get(const struct bt_yaml *map, const char *key) {
  struct bt_yaml_pair *pair = bt_yaml_pair(map, key);
  return pair ? pair->value : NULL;
}

void bt_yaml_set(struct bt_yaml *map, const char *key, struct bt_loc key_loc, struct bt_yaml *value) {
  BT_ASSERT(map->kind == BT_YAML_MAP);
  struct bt_yaml_pair *pair = bt_yaml_pair(map, key);
  if (pair) {
    if (pair->value != value)
      bt_yaml_free(&pair->value);
    pair->value = value;
    pair->loc = key_loc;
    return;
  }
  struct bt_yaml_pair added = {bt_strdup(key), key_loc, value};
  bt_vec_push(&map->map, added);
}

struct bt_yaml *bt_yaml_take(struct bt_yaml *map, const char *key) {
  struct bt_yaml_pair *pair = bt_yaml_pair(map, key);
  if (!pair)
    return NULL;
  struct bt_yaml *value = pair->value;
  free(pair->key);
  bt_vec_remove(&map->map, (size_t)(pair - map->map.items));
  return value;
}

void bt_yaml_push(struct bt_yaml *seq, struct bt_yaml *item) {
  BT_ASSERT(seq->kind == BT_YAML_SEQ);
  bt_vec_push(&seq->seq, item);
}

const char *bt_yaml_kind_name(enum bt_yaml_kind kind) {
  static const char *const names[] = {"null", "boolean", "integer", "number", "string", "sequence", "mapping"};
  return names[kind];
}

/* --- JSON --- */

/* Keys of a parsed text are UTF-8, those a stage has made of a variable's value may not be: jansson would refuse them. */
static void set_member(json_t *obj, const char *key, json_t *value) {
  BT_AUTO_JSON name = bt_json_string(key);
  bt_json_set(obj, json_string_value(name), value);
}

json_t *bt_yaml_json(const struct bt_yaml *node) {
  switch (node ? node->kind : BT_YAML_NULL) {
    case BT_YAML_NULL:
      return json_null();
    case BT_YAML_BOOL:
      return json_boolean(node->boolean);
    case BT_YAML_INT:
      return json_integer(node->integer);
    case BT_YAML_FLOAT: /* JSON has no infinity */
      return isfinite(node->real) ? json_real(node->real) : bt_json_string(node->text);
    case BT_YAML_STR:
      return bt_json_string(node->text);
    case BT_YAML_SEQ: {
      json_t *list = json_array();
      for (size_t i = 0; i < node->seq.len; i++)
        json_array_append_new(list, bt_yaml_json(node->seq.items[i]));
      return list;
    }
    case BT_YAML_MAP: {
      json_t *obj = json_object();
      for (size_t i = 0; i < node->map.len; i++)
        set_member(obj, node->map.items[i].key, bt_yaml_json(node->map.items[i].value));
      return obj;
    }
  }
  return json_null();
}

static struct bt_yaml *scalar_from_json(const json_t *value, struct bt_loc loc) {
  if (json_is_string(value))
    return bt_yaml_str(json_string_value(value), loc);
  if (json_is_integer(value))
    return bt_yaml_int(json_integer_value(value), loc);
  if (json_is_boolean(value))
    return bt_yaml_bool(json_is_true(value), loc);
  struct bt_yaml *node = bt_yaml_new(BT_YAML_NULL, loc);
  node->plain = true;
  if (json_is_real(value)) {
    node->kind = BT_YAML_FLOAT;
    node->real = json_real_value(value);
    free(node->text);
    node->text = bt_asprintf("%.17g", node->real);
  }
  return node;
}

struct bt_yaml *bt_yaml_from_json(const json_t *value, struct bt_loc loc) {
  if (json_is_array(value)) {
    struct bt_yaml *seq = bt_yaml_new(BT_YAML_SEQ, loc);
    for (size_t i = 0; i < json_array_size(value); i++)
      bt_yaml_push(seq, bt_yaml_from_json(json_array_get(value, i), loc));
    return seq;
  }
  if (!json_is_object(value))
    return scalar_from_json(value, loc);
  struct bt_yaml *map = bt_yaml_new(BT_YAML_MAP, loc);
  /* jansson's iterators want a mutable object, though they do not change it */
  json_t *obj = (json_t *)(uintptr_t)value;
  for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it)) {
    struct bt_yaml_pair pair = {bt_strdup(json_object_iter_key(it)), loc,
                                bt_yaml_from_json(json_object_iter_value(it), loc)};
    bt_vec_push(&map->map, pair);
  }
  return map;
}
