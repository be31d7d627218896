/* JSON over jansson: reading text from outside, members with defaults, strings from doubtful bytes. */
#include "config.h"
#include "util.h"

#include <stdio.h>

json_t *rd_json_parse(const char *text, size_t len) { return pu_json_load(text, len, JSON_ALLOW_NUL); }

/* Length of the valid UTF-8 sequence at p, 0 where there is none (also for NUL: the contract's strings end with it). */
static size_t utf8_len(const unsigned char *p, size_t n) {
  if (*p < 0x80)
    return *p != 0;
  size_t len = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
  if (*p < 0xc2 || *p > 0xf4 || len > n)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  bool overlong = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90);
  bool beyond = (*p == 0xed && p[1] > 0x9f) || (*p == 0xf4 && p[1] > 0x8f);
  return overlong || beyond ? 0 : len;
}

json_t *rd_json_bytes(const void *data, size_t len) {
  const unsigned char *p = data;
  PU_AUTO_BUF clean = {0};
  for (size_t i = 0; i < len;) {
    size_t run = i, step;
    while (run < len && (step = utf8_len(p + run, len - run)) > 0)
      run += step;
    pu_buf_add(&clean, p + i, run - i);
    if (run < len) {
      pu_buf_adds(&clean, "\xef\xbf\xbd");
      run++;
    }
    i = run;
  }
  return json_stringn(clean.data ? clean.data : "", clean.len);
}

int64_t rd_int(const json_t *o, const char *key, int64_t fallback) {
  const json_t *v = json_object_get(o, key);
  if (json_is_integer(v))
    return json_integer_value(v);
  if (json_is_real(v) && json_real_value(v) > -9e18 && json_real_value(v) < 9e18)
    return (int64_t)json_real_value(v);
  int64_t n;
  return json_is_string(v) && rd_size(json_string_value(v), &n) ? n : fallback;
}

bool rd_bool(const json_t *o, const char *key, bool fallback) {
  const json_t *v = json_object_get(o, key);
  if (json_is_boolean(v))
    return json_is_true(v);
  return json_is_string(v) ? pu_eq(json_string_value(v), "true") : fallback;
}

/* The shortest decimal that reads back as the same value: 0.1 stays "0.1". */
static char *real_text(double v) {
  char text[32];
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v)
      break;
  }
  return pu_strdup(text);
}

char *rd_scalar(const json_t *v) {
  if (json_is_string(v))
    return pu_strdup(json_string_value(v));
  if (json_is_integer(v))
    return pu_asprintf("%lld", (long long)json_integer_value(v));
  if (json_is_real(v))
    return real_text(json_real_value(v));
  return json_is_boolean(v) ? pu_strdup(json_is_true(v) ? "true" : "false") : NULL;
}
