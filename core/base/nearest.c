#include "config.h"
#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { max_word = 64 };

static size_t min3(size_t a, size_t b, size_t c) { return BT_MIN(a, BT_MIN(b, c)); }

static int lower(char c) { return c == '-' ? '_' : tolower((unsigned char)c); }

/* Optimal string alignment over three rows; letters' case, and dash against underscore, cost nothing. */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
  size_t rows[3][max_word + 1];
  size_t *before = rows[0], *last = rows[1], *now = rows[2];
  for (size_t j = 0; j <= m; j++)
    last[j] = j;
  memset(before, 0, sizeof rows[0]);
  for (size_t i = 1; i <= n; i++) {
    now[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t change = lower(a[i - 1]) != lower(b[j - 1]);
      now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + change);
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
        now[j] = BT_MIN(now[j], before[j - 2] + 1);
    }
    size_t *spare = before;
    before = last;
    last = now;
    now = spare;
  }
  return last[m];
}

void bt_nearest_try(struct bt_nearest *n, const char *candidate) {
  size_t a = strlen(n->word), b = strlen(candidate);
  if (a > max_word || b > max_word || !a)
    return;
  size_t d = distance(n->word, a, candidate, b);
  size_t allowed = BT_MAX((BT_MAX(a, b) + 1) / 3, (size_t)1);
  if (d <= allowed && d < n->distance && d < BT_MAX(a, b)) {
    n->best = candidate;
    n->distance = d;
  }
}

const char *bt_nearest_of(const char *word, const char *const *candidates) {
  struct bt_nearest n = bt_nearest_start(word);
  for (; *candidates; candidates++)
    bt_nearest_try(&n, *candidates);
  return n.best;
}

char *bt_nearest_hint(const char *best, char buf[96]) {
  buf[0] = '\0';
  if (best)
    snprintf(buf, 96, "; did you mean \"%s\"?", best);
  return buf;
}
