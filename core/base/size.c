#include "config.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char units[] = "kmgtp";

/* The factor that the text after the number stands for, or 0. */
static int64_t factor_of(const char *p) {
  if (*p == ' ')
    p++;
  int64_t factor = 1;
  const char *unit = *p ? strchr(units, *p | 0x20) : NULL;
  if (unit) {
    for (const char *u = units; u <= unit; u++)
      factor *= 1024;
    p++;
    if (*p == 'i' || *p == 'I')
      p++;
  }
  if (*p == 'b' || *p == 'B')
    p++;
  return *p ? 0 : factor;
}

bool bt_size_parse(const char *text, int64_t *bytes) {
  if (!text || *text < '0' || *text > '9')
    return false;
  int64_t whole = 0;
  for (; *text >= '0' && *text <= '9'; text++)
    if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *text - '0', &whole))
      return false;
  double fraction = 0, scale = 0.1;
  if (*text == '.')
    for (text++; *text >= '0' && *text <= '9'; text++, scale /= 10)
      fraction += (*text - '0') * scale;
  int64_t factor = factor_of(text), total;
  if (!factor || __builtin_mul_overflow(whole, factor, &total) ||
      __builtin_add_overflow(total, (int64_t)(fraction * (double)factor), &total))
    return false;
  *bytes = total;
  return true;
}

char *bt_size_format(int64_t bytes, char buf[32]) {
  static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t i = 0;
  while (bytes && bytes % 1024 == 0 && i + 1 < sizeof names / sizeof names[0]) {
    bytes /= 1024;
    i++;
  }
  snprintf(buf, 32, "%" PRId64 "%s", bytes, names[i]);
  return buf;
}
