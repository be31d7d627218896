/* Text forms: URLs, base64url, durations, sizes, times. */
#include "config.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

char *rd_base64url(const void *data, size_t len) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const unsigned char *p = data;
  struct pu_buf out = {0};
  for (size_t i = 0; i < len; i += 3) {
    size_t n = len - i < 3 ? len - i : 3;
    uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
    char quad[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=', n > 2 ? digits[v & 63] : '='};
    pu_buf_add(&out, quad, 4);
  }
  return pu_buf_steal(&out);
}

static int base64_digit(char c) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

bool rd_base64_read(const char *text, struct pu_buf *out) {
  size_t len = strlen(text), pad = rd_ends(text, "==") ? 2 : rd_ends(text, "=") ? 1 : 0;
  if (len % 4)
    return false;
  for (size_t i = 0; i < len; i += 4) {
    uint32_t bits = 0;
    size_t skip = i + 4 == len ? pad : 0;
    for (size_t k = 0; k < 4; k++) {
      int digit = k < 4 - skip ? base64_digit(text[i + k]) : 0;
      if (digit < 0)
        return false;
      bits = bits << 6 | (uint32_t)digit;
    }
    const char raw[] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
    pu_buf_add(out, raw, 3 - skip);
  }
  return true;
}

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

bool rd_duration(const char *s, int64_t unit_ns, int64_t *ns) {
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

bool rd_size(const char *s, int64_t *bytes) {
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

int64_t rd_time_ms(const char *s) {
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

char *rd_time_text(int64_t seconds) {
  time_t t = (time_t)seconds;
  struct tm tm;
  char text[40];
  if (!gmtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
    return pu_strdup("");
  return pu_strdup(text);
}
