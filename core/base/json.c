#include "config.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { default_depth = 64, default_len = 3 * 1024 * 1024, long_number = 17 /* characters: 16 digits and the point */ };

/* jansson allows 2048 levels; a reader with a lower cap counts brackets outside of strings first, without recursion. */
static bool too_deep(const char *s, size_t n, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < n; i++) {
    char c = s[i];
    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > max_depth)
        return true;
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return false;
}

bool bt_json_within(const char *s, size_t n, size_t max) {
  size_t values = 1;
  bool in_string = false;
  for (size_t i = 0; i < n && values <= max; i++) {
    char c = s[i];
    if (in_string && c == '\\')
      i++;
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string)
      values += c == ',' || c == '{' || c == '[';
  }
  return values <= max;
}

json_t *bt_json_parse(const char *text, size_t len, size_t max_len, int max_depth, const char *what, struct bt_err **err) {
  if (!max_len)
    max_len = default_len;
  if (!max_depth)
    max_depth = default_depth;
  if (len > max_len) {
    bt_err_set(err, BT_TOO_LARGE, "%s: %zu bytes are more than the limit of %zu", what, len, max_len);
    return NULL;
  }
  if (!len) {
    bt_err_set(err, BT_INVALID, "%s is empty: it has to be JSON", what);
    return NULL;
  }
  if (too_deep(text, len, max_depth)) {
    bt_err_set(err, BT_INVALID, "%s: nested deeper than %d levels", what, max_depth);
    return NULL;
  }
  json_error_t e;
  json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
  if (value)
    return value;
  /* The parser quotes the text at that place, which may be a secret's. */
  char *quote = strstr(e.text, " near '");
  if (quote)
    *quote = 0;
  bt_err_set(err, BT_INVALID, "%s:%d:%d: not valid JSON: %s", what, e.line, e.column, e.text);
  return NULL;
}

/* ---- short numbers ---- */

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* How many digits there are around the point: within the text before it, and after it. */
static size_t digits_around(const char *start, const char *point) {
  const char *from = point, *to = point + 1;
  while (from > start && digit(from[-1]))
    from--;
  while (digit(*to))
    to++;
  return (size_t)(to - from) - 1;
}

/* The end of the string that begins at the quote: behind its last quote. */
static const char *behind_string(const char *quote) {
  for (const char *p = quote + 1; (p = strchr(p, '"')); p++) {
    size_t slashes = 0;
    while (p[-1 - (ptrdiff_t)slashes] == '\\')
      slashes++;
    if (slashes % 2 == 0)
      return p + 1;
  }
  return quote + strlen(quote);
}

/* Thousandths, as cpus are counted in, take a way that is quick; 0: it is no such number. */
static int thousandths(double value, char buf[40]) {
  long long n = value > -1e9 && value < 1e9 ? (long long)(value * 1000 + (value < 0 ? -0.5 : 0.5)) : 0;
  if (n == 0 || (double)n / 1000 != value)
    return 0;
  int len = snprintf(buf, 40, "%s%lld.%03lld", n < 0 ? "-" : "", llabs(n) / 1000, llabs(n) % 1000);
  while (buf[len - 1] == '0' && buf[len - 2] != '.')
    len--;
  return len;
}

/* Writes the number of that many characters again where it has a shorter form; returns the length now. 15 digits, without zeros at the end, are the
 * shortest form of each number that has one of so few; 17 are enough for all. */
static size_t shorten(char *number, size_t len) {
  char buf[40];
  double value = strtod(number, NULL);
  int n = thousandths(value, buf);
  for (int digits = 15; n == 0 && digits < 17; digits++) {
    n = snprintf(buf, sizeof buf - 2, "%.*g", digits, value);
    if (strtod(buf, NULL) != value) /* as who reads it will */
      n = 0;
    else if (!strpbrk(buf, ".e"))
      n += snprintf(buf + n, sizeof buf - (size_t)n, ".0"); /* it stays a real */
  }
  if (n == 0 || (size_t)n >= len)
    return len;
  memcpy(number, buf, (size_t)n);
  return (size_t)n;
}

/* Goes through the text, in which only its numbers become shorter. */
static void shorten_all(char *text) {
  char *out = text;
  for (const char *p = text; *p;) {
    size_t n = *p == '"' ? (size_t)(behind_string(p) - p) : digit(*p) || *p == '-' ? strspn(p, "0123456789+-.eE") : 1;
    bool number = digit(*p) || *p == '-';
    if (n == 1)
      *out = *p;
    else if (out != p)
      memmove(out, p, n);
    p += n;
    char *end = out + n, kept = *end;
    if (number && n >= long_number) {
      *end = 0;
      size_t now = shorten(out, n);
      *end = kept;
      n = now;
    }
    out += n;
  }
  *out = 0;
}

void bt_json_shorten(char *text) {
  for (const char *p = text; (p = strchr(p, '.')); p++)
    if (digit(p[1]) && digits_around(text, p) >= long_number - 1) {
      shorten_all(text);
      return;
    }
}

static char *dump(const json_t *value, size_t flags) {
  char *s = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | flags);
  BT_ASSERT(s);
  return s;
}

char *bt_json_text(const json_t *value) {
  char *text = dump(value, 0);
  bt_json_shorten(text);
  return text;
}

char *bt_json_canonical(const json_t *value) { return dump(value, JSON_SORT_KEYS); }

const char *bt_json_str(const json_t *obj, const char *key) { return json_string_value(json_object_get(obj, key)); }

const char *bt_json_str_or(const json_t *obj, const char *key, const char *or) {
  const char *s = bt_json_str(obj, key);
  return s ? s : or;
}

long long bt_json_int(const json_t *obj, const char *key, long long or) {
  json_t *v = json_object_get(obj, key);
  return json_is_integer(v) ? json_integer_value(v) : or;
}

double bt_json_num(const json_t *obj, const char *key, double or) {
  json_t *v = json_object_get(obj, key);
  return json_is_number(v) ? json_number_value(v) : or;
}

bool bt_json_bool(const json_t *obj, const char *key, bool or) {
  json_t *v = json_object_get(obj, key);
  return json_is_boolean(v) ? json_is_true(v) : or;
}

json_t *bt_json_obj(const json_t *obj, const char *key) {
  json_t *v = json_object_get(obj, key);
  return json_is_object(v) ? v : NULL;
}

json_t *bt_json_arr(const json_t *obj, const char *key) {
  json_t *v = json_object_get(obj, key);
  return json_is_array(v) ? v : NULL;
}

json_t *bt_json_obj_in(json_t *obj, const char *key) {
  json_t *in = bt_json_obj(obj, key);
  if (!in)
    json_object_set_new(obj, key, in = json_object());
  return in;
}

/* Length of the valid UTF-8 sequence at s (n bytes left), or 0. RFC 3629: no overlongs, no surrogates. */
static size_t utf8_len(const unsigned char *s, size_t n) {
  if (s[0] < 0x80)
    return 1;
  size_t k = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
  if (!k || n < k)
    return 0;
  for (size_t i = 1; i < k; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
      (s[0] == 0xf4 && s[1] > 0x8f))
    return 0;
  return k;
}

static json_t *string_n(const char *s, size_t n) {
  json_t *v = json_stringn(s, n);
  if (v)
    return v;
  BT_AUTO_BUF b = {0};
  for (size_t i = 0; i < n;) {
    size_t k = utf8_len((const unsigned char *)s + i, n - i);
    bt_buf_add(&b, k ? s + i : "\xef\xbf\xbd", k ? k : 3);
    i += k ? k : 1;
  }
  return json_stringn(b.data, b.len);
}

json_t *bt_json_string(const char *s) { return s ? string_n(s, strlen(s)) : json_null(); }

void bt_json_set(json_t *obj, const char *key, json_t *value) {
  int rc = json_object_set_new(obj, key, value);
  BT_ASSERT(rc == 0);
}

void bt_json_set_str(json_t *obj, const char *key, const char *s) {
  if (s)
    bt_json_set(obj, key, bt_json_string(s));
}

void bt_json_set_int(json_t *obj, const char *key, long long v) { bt_json_set(obj, key, json_integer(v)); }

void bt_json_set_bool(json_t *obj, const char *key, bool v) { bt_json_set(obj, key, json_boolean(v)); }

bool bt_json_equal(const json_t *a, const json_t *b) { return a == b || (a && b && json_equal(a, b)); }
