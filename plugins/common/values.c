/* Values in the forms that people and engines write them: durations, sizes, times, scalars of JSON. */
#include "config.h"
#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

/* A decimal with an optional fraction at *p, which moves on. No sign, no exponent. */
static bool decimal(const char **p, double *out) {
  const char *s = *p;
  double v = 0, scale = 1;
  bool digits = false;
  for (; isdigit((unsigned char)*s); s++, digits = true)
    v = v * 10 + (*s - '0');
  if (*s == '.')
    for (s++; isdigit((unsigned char)*s); s++, digits = true)
      v += (*s - '0') * (scale /= 10);
  *p = s;
  *out = v;
  return digits;
}

static double duration_unit(const char **p) {
  static const struct {
    const char *name;
    double ns;
  } units[] = {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}, {"w", 604800e9}};
  for (size_t i = 0; i < PU_COUNT(units); i++)
    if (pu_starts(*p, units[i].name)) {
      *p += strlen(units[i].name);
      return units[i].ns;
    }
  return 0;
}

bool pu_duration(const char *s, int64_t unit_ns, int64_t *ns) {
  double total = 0, v;
  if (!*s)
    return false;
  for (bool first = true; *s; first = false) {
    if (!decimal(&s, &v))
      return false;
    double unit = first && !*s ? (double)unit_ns : duration_unit(&s);
    if (unit == 0)
      return false;
    total += v * unit;
  }
  if (total >= 9.2e18)
    return false;
  *ns = (int64_t)(total + 0.5);
  return true;
}

static bool size_unit(const char *s, double *factor) {
  static const char letters[] = "kmgtp";
  *factor = 1;
  const char *at = *s ? strchr(letters, tolower((unsigned char)*s)) : NULL;
  if (at) {
    for (const char *l = letters; l <= at; l++)
      *factor *= 1024;
    s++;
    if (tolower((unsigned char)*s) == 'i')
      s++;
  }
  return !*s || (tolower((unsigned char)*s) == 'b' && !s[1]);
}

bool pu_size(const char *s, int64_t *bytes) {
  char *end;
  errno = 0;
  long long whole = strtoll(s, &end, 10);
  if (*s && !isspace((unsigned char)*s) && *s != '+' && !*end && !errno) {
    *bytes = whole;
    return true;
  }
  double v, factor;
  if (!decimal(&s, &v) || !size_unit(s, &factor) || v * factor >= 9.2e18)
    return false;
  *bytes = (int64_t)(v * factor);
  return true;
}

int64_t pu_time_ms(const char *s) {
  struct tm tm = {0};
  int used = 0;
  if (!s || sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6)
    return -1;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  const char *p = s + used;
  double fraction = 0;
  if (*p == '.' && !decimal(&p, &fraction))
    return -1;
  int hours = 0, minutes = 0;
  if (*p == '+' || *p == '-') {
    if (sscanf(p + 1, "%2d:%2d", &hours, &minutes) != 2)
      return -1;
    if (*p == '-')
      hours = -hours, minutes = -minutes;
  } else if (*p != 'Z') {
    return -1;
  }
  return ((int64_t)timegm(&tm) - hours * 3600 - minutes * 60) * 1000 + (int64_t)(fraction * 1000);
}

char *pu_time_text(int64_t seconds) {
  time_t t = (time_t)seconds;
  struct tm tm;
  char text[40];
  if (!gmtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
    return pu_strdup("");
  return pu_strdup(text);
}

/* ---------------------------------------------------------------- JSON */

int64_t pu_number(const json_t *o, const char *key, int64_t fallback) {
  const json_t *v = json_object_get(o, key);
  if (json_is_integer(v))
    return json_integer_value(v);
  if (json_is_real(v) && json_real_value(v) > -9e18 && json_real_value(v) < 9e18)
    return (int64_t)json_real_value(v);
  int64_t n;
  return json_is_string(v) && pu_size(json_string_value(v), &n) ? n : fallback;
}

bool pu_flag(const json_t *o, const char *key, bool fallback) {
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

char *pu_scalar(const json_t *v) {
  if (json_is_string(v))
    return pu_strdup(json_string_value(v));
  if (json_is_integer(v))
    return pu_asprintf("%lld", (long long)json_integer_value(v));
  if (json_is_real(v))
    return real_text(json_real_value(v));
  return json_is_boolean(v) ? pu_strdup(json_is_true(v) ? "true" : "false") : NULL;
}

json_t *pu_strings(const json_t *v) {
  if (!v || json_is_null(v))
    return NULL;
  json_t *out = json_array(), *item;
  if (!json_is_array(v)) {
    PU_AUTO_FREE one = pu_scalar(v);
    if (one)
      json_array_append_new(out, json_string(one));
    return out;
  }
  size_t i;
  json_array_foreach(v, i, item) {
    PU_AUTO_FREE text = pu_scalar(item);
    if (text)
      json_array_append_new(out, json_string(text));
  }
  return out;
}

json_t *pu_map(const json_t *v) {
  if (!v || json_is_null(v))
    return NULL;
  json_t *out = json_object(), *item;
  const char *key;
  size_t i;
  json_object_foreach((json_t *)(uintptr_t)v, key, item) {
    PU_AUTO_FREE text = pu_scalar(item);
    json_object_set_new(out, key, json_string(text ? text : ""));
  }
  json_array_foreach(v, i, item) {
    PU_AUTO_FREE text = pu_scalar(item);
    char *eq = text ? strchr(text, '=') : NULL;
    if (eq)
      *eq = 0;
    if (text)
      json_object_set_new(out, text, json_string(eq ? eq + 1 : ""));
  }
  return out;
}
