#include "config.h"
#include "compose/walk.h"

#include "base/buf.h"

/* Does the whole path match the whole pattern? */
static bool matches(const struct bt_walk *w, const char *pattern) {
  const char *p = pattern;
  for (int i = 0; i < w->len; i++) {
    if (!p)
      return false;
    size_t n = strcspn(p, ".");
    bool any = n == 1 && *p == '*';
    if (!any && (strncmp(w->parts[i], p, n) != 0 || w->parts[i][n]))
      return false;
    p = p[n] ? p + n + 1 : NULL;
  }
  return p == NULL;
}

int bt_walk_find(const struct bt_walk *w, const void *table, size_t rows, size_t stride) {
  for (size_t i = 0; i < rows; i++) {
    const char *pattern;
    memcpy(&pattern, (const char *)table + i * stride, sizeof pattern);
    if (matches(w, pattern))
      return (int)i;
  }
  return -1;
}

char *bt_walk_text(const struct bt_walk *w) {
  struct bt_buf b = {0};
  for (int i = 0; i < w->len; i++) {
    if (i)
      bt_buf_addc(&b, '.');
    bt_buf_adds(&b, w->parts[i]);
  }
  return bt_buf_steal(&b);
}
