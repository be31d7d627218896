/* A map from strings to pointers, with a keyed hash (SipHash), so that names chosen by strangers cannot make it slow.
 * uthash wrapped once. Iteration is in order of insertion. Removing the item at hand while iterating is allowed.
 * Cost: 88 bytes and the key per entry. */
#ifndef BT_BASE_MAP_H
#define BT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bt_map;

/* free_value may be NULL; else it is called for a value that is replaced, removed or left at the end. */
struct bt_map *bt_map_new(void (*free_value)(void *));
void bt_map_free(struct bt_map **map);

void *bt_map_get(const struct bt_map *map, const char *key); /* NULL where absent */
void bt_map_set(struct bt_map *map, const char *key, void *value);
bool bt_map_del(struct bt_map *map, const char *key);
void *bt_map_take(struct bt_map *map, const char *key); /* removes without freeing the value */
size_t bt_map_len(const struct bt_map *map);
uint32_t bt_map_hash(const void *p, size_t n); /* the keyed hash, for tables of one's own: differs from process to process */

/* for (struct bt_map_iter it = bt_map_iter(m); bt_map_next(&it);) use(it.key, it.value); */
struct bt_map_iter {
  const char *key;
  void *value;
  void *next_; /* private */
};
struct bt_map_iter bt_map_iter(const struct bt_map *map);
bool bt_map_next(struct bt_map_iter *it);

#define BT_AUTO_MAP __attribute__((cleanup(bt_map_free))) struct bt_map *

#endif
