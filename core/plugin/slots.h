/* Numbers for things: a table of slots whose ids carry a generation, so that an id is never used again within a process and
 * an old one finds nothing. Knows nothing of what it holds. */
#ifndef BT_PLUGIN_SLOTS_H
#define BT_PLUGIN_SLOTS_H

#include <stddef.h>
#include <stdint.h>

struct bt_slot {
  uint64_t generation;
  void *object; /* NULL: free */
  uint32_t next_free;
};

/* Zero-initialise. */
struct bt_slots {
  struct bt_slot *items;
  uint32_t len, cap;
  uint32_t first_free; /* index + 1; 0: none */
  size_t used;
};

uint64_t bt_slots_add(struct bt_slots *slots, void *object); /* an id > 0 */
void *bt_slots_get(const struct bt_slots *slots, uint64_t id); /* NULL where gone or never given */
void bt_slots_del(struct bt_slots *slots, uint64_t id);
void bt_slots_free(struct bt_slots *slots);
/* The object of slot i of slots->len (NULL where free), to walk all. */
static inline void *bt_slots_at(const struct bt_slots *slots, uint32_t i) { return slots->items[i].object; }

#endif
