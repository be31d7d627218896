#include "config.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t now_us(clockid_t id) {
  struct timespec ts;
  clock_gettime(id, &ts);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t bt_clock_mono_us(void) { return now_us(CLOCK_MONOTONIC); }
int64_t bt_clock_mono_ms(void) { return now_us(CLOCK_MONOTONIC) / 1000; }
int64_t bt_clock_wall_ms(void) { return now_us(CLOCK_REALTIME) / 1000; }

/* The value's last n digits; returns what is behind them. Many rows have such times, and printf is slow. */
static char *digits(char *p, int value, int n) {
  for (int i = n; i-- > 0; value /= 10)
    p[i] = (char)('0' + value % 10);
  return p + n;
}

char *bt_clock_format(int64_t wall_ms, char buf[32]) {
  time_t s = (time_t)(wall_ms / 1000);
  int ms = (int)(wall_ms % 1000);
  if (ms < 0) {
    ms += 1000;
    s--;
  }
  struct tm tm;
  if (!gmtime_r(&s, &tm) || tm.tm_year > 8099 || tm.tm_year < -1899) {
    snprintf(buf, 32, "0001-01-01T00:00:00Z");
    return buf;
  }
  const struct {
    int value, digits;
    char after;
  } parts[] = {{tm.tm_year + 1900, 4, '-'}, {tm.tm_mon + 1, 2, '-'}, {tm.tm_mday, 2, 'T'}, {tm.tm_hour, 2, ':'}, {tm.tm_min, 2, ':'}, {tm.tm_sec, 2, '.'}, {ms, 3, 'Z'}};
  char *p = buf;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    p = digits(p, parts[i].value, parts[i].digits);
    *p++ = parts[i].after;
  }
  *p = 0;
  return buf;
}

bool bt_clock_parse(const char *text, int64_t *wall_ms) {
  struct tm tm = {0};
  const char *p = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
  if (!p)
    return false;
  int64_t ms = 0;
  if (*p == '.') {
    int scale = 100;
    for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
      ms += (*p - '0') * scale;
  }
  int64_t offset = 0;
  if (*p == '+' || *p == '-') {
    int h, m, used = 0;
    if (sscanf(p + 1, "%2d:%2d%n", &h, &m, &used) != 2 || used != 5)
      return false;
    offset = (int64_t)(h * 60 + m) * 60000 * (*p == '-' ? -1 : 1);
    p += 6;
  } else if (*p == 'Z') {
    p++;
  } else {
    return false;
  }
  if (*p)
    return false;
  *wall_ms = (int64_t)timegm(&tm) * 1000 + ms - offset;
  return true;
}

char *bt_duration_human(int64_t ms, char buf[32]) {
  int64_t s = ms / 1000;
  if (ms < 0)
    snprintf(buf, 32, "0s");
  else if (ms < 1000)
    snprintf(buf, 32, "%" PRId64 "ms", ms);
  else if (s < 60)
    snprintf(buf, 32, "%" PRId64 "s", s);
  else if (s < 3600)
    snprintf(buf, 32, s % 60 ? "%" PRId64 "m%" PRId64 "s" : "%" PRId64 "m", s / 60, s % 60);
  else if (s < 86400)
    snprintf(buf, 32, s / 60 % 60 ? "%" PRId64 "h%" PRId64 "m" : "%" PRId64 "h", s / 3600, s / 60 % 60);
  else
    snprintf(buf, 32, s / 3600 % 24 ? "%" PRId64 "d%" PRId64 "h" : "%" PRId64 "d", s / 86400, s / 3600 % 24);
  return buf;
}

static const char *unit_of(const char *p, int64_t *ns) {
  static const struct {
    const char *name;
    int64_t ns;
  } units[] = {{"ns", 1},       {"us", 1000},       {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
               {"ms", 1000000}, {"s", 1000000000},  {"m", 60000000000},  {"h", 3600000000000}};
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    size_t n = strlen(units[i].name);
    if (strncmp(p, units[i].name, n) == 0) {
      *ns = units[i].ns;
      return p + n;
    }
  }
  return NULL;
}

/* One "<number><unit>" at p, added to *total. The fraction is cut to whole nanoseconds, as Go does. */
static const char *duration_part(const char *p, int64_t *total) {
  int64_t whole = 0, digits = 0, frac = 0;
  double scale = 1;
  for (; *p >= '0' && *p <= '9'; p++, digits++)
    if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *p - '0', &whole))
      return NULL;
  if (*p == '.')
    for (p++; *p >= '0' && *p <= '9'; p++, digits++) {
      if (frac > INT64_MAX / 10 - 9)
        continue; /* digits that no nanosecond needs */
      frac = frac * 10 + (*p - '0');
      scale *= 10;
    }
  int64_t unit, ns;
  if (!digits || !(p = unit_of(p, &unit)))
    return NULL;
  if (__builtin_mul_overflow(whole, unit, &ns) || __builtin_add_overflow(ns, (int64_t)((double)frac * ((double)unit / scale)), &ns) ||
      __builtin_add_overflow(*total, ns, total))
    return NULL;
  return p;
}

bool bt_duration_parse(const char *text, int64_t *ns) {
  if (!text || !*text)
    return false;
  const char *p = text;
  bool negative = *p == '-';
  if (*p == '-' || *p == '+')
    p++;
  int64_t total = 0;
  if (strcmp(p, "0") != 0) {
    if (!*p)
      return false;
    while (p && *p)
      p = duration_part(p, &total);
    if (!p)
      return false;
  }
  *ns = negative ? -total : total;
  return true;
}

static void go_fraction(char *out, size_t n, int64_t value, int64_t unit, const char *name) {
  char frac[32] = "";
  if (value % unit) {
    int digits = unit == 1000000000 ? 9 : unit == 1000000 ? 6 : 3;
    snprintf(frac, sizeof frac, ".%0*" PRId64, digits, value % unit);
    for (size_t k = strlen(frac); k && frac[k - 1] == '0'; k--)
      frac[k - 1] = 0;
  }
  snprintf(out, n, "%" PRId64 "%s%s", value / unit, frac, name);
}

char *bt_duration_go(int64_t ns, char buf[64]) {
  char *out = buf;
  if (ns < 0) {
    *out++ = '-';
    ns = -ns;
  }
  size_t room = 64 - (size_t)(out - buf);
  if (ns == 0) {
    snprintf(out, room, "0s");
  } else if (ns < 1000) {
    snprintf(out, room, "%" PRId64 "ns", ns);
  } else if (ns < 1000000) {
    go_fraction(out, room, ns, 1000, "\xc2\xb5s");
  } else if (ns < 1000000000) {
    go_fraction(out, room, ns, 1000000, "ms");
  } else {
    int64_t minutes = ns / 60000000000;
    char seconds[40];
    go_fraction(seconds, sizeof seconds, ns % 60000000000, 1000000000, "s");
    if (minutes >= 60)
      snprintf(out, room, "%" PRId64 "h%" PRId64 "m%s", minutes / 60, minutes % 60, seconds);
    else if (minutes)
      snprintf(out, room, "%" PRId64 "m%s", minutes, seconds);
    else
      snprintf(out, room, "%s", seconds);
  }
  return buf;
}
