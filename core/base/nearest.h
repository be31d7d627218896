/* "Did you mean …?": the known word nearest to one that is not known. */
#ifndef BT_BASE_NEAREST_H
#define BT_BASE_NEAREST_H

#include <stddef.h>

/* Feed candidates one after the other, then ask. A candidate counts as near when at most a third of its letters differ
 * (a swap of neighbours is one change); the first of equals wins. Strings are borrowed. Words over 64 bytes are far. */
struct bt_nearest {
  const char *word;
  const char *best; /* NULL where nothing is near */
  size_t distance;
};
static inline struct bt_nearest bt_nearest_start(const char *word) { return (struct bt_nearest){word, 0, (size_t)-1}; }
void bt_nearest_try(struct bt_nearest *n, const char *candidate);

/* The nearest of a list that ends with NULL, or NULL. */
const char *bt_nearest_of(const char *word, const char *const *candidates);
/* "; did you mean \"ports\"?" or "", in buf. Returns buf. */
char *bt_nearest_hint(const char *best, char buf[96]);

#endif
