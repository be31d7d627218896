/* Paths of a tree while it is walked, and patterns over them: "services.*.ports.[]". A part "*" of a pattern matches any
 * key or item; items of a sequence have the part "[]". Only inside the Compose loader. */
#ifndef BT_COMPOSE_WALK_H
#define BT_COMPOSE_WALK_H

#include "base/mem.h"
#include "base/yaml.h"

enum { bt_walk_max = 80 }; /* texts nest at most 64 deep; long forms add a few */

struct bt_walk {
  const char *parts[bt_walk_max]; /* borrowed */
  int len;
};

static inline void bt_walk_push(struct bt_walk *w, const char *part) {
  BT_ASSERT(w->len < bt_walk_max);
  w->parts[w->len++] = part;
}
static inline void bt_walk_pop(struct bt_walk *w) { w->len--; }

/* Index of the first pattern in a table that matches, or -1. stride: size of a row, whose first member is the pattern. */
int bt_walk_find(const struct bt_walk *w, const void *table, size_t rows, size_t stride);
/* "services.web.ports.[]"; the caller frees. */
char *bt_walk_text(const struct bt_walk *w);

#endif
