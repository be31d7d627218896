#include "config.h"
#include "plugin/slots.h"

#include "base/mem.h"

/* id = generation << 24 | index + 1: 16 million things at once, 10^12 over a process's life per slot. */
enum { index_bits = 24 };
static const uint64_t index_mask = (1u << index_bits) - 1;

static struct bt_slot *slot_of(const struct bt_slots *slots, uint64_t id) {
  uint64_t index = id & index_mask;
  if (!index || index > slots->len)
    return NULL;
  struct bt_slot *slot = &slots->items[index - 1];
  return slot->object && slot->generation == id >> index_bits ? slot : NULL;
}

static uint32_t grow(struct bt_slots *slots) {
  if (slots->len == slots->cap) {
    slots->cap = slots->cap ? slots->cap * 2 : 16;
    slots->items = bt_realloc(slots->items, slots->cap, sizeof *slots->items);
  }
  BT_ASSERT(slots->len < index_mask);
  slots->items[slots->len] = (struct bt_slot){.generation = 0};
  return slots->len++;
}

uint64_t bt_slots_add(struct bt_slots *slots, void *object) {
  BT_ASSERT(object);
  uint32_t index;
  if (slots->first_free) {
    index = slots->first_free - 1;
    slots->first_free = slots->items[index].next_free;
  } else {
    index = grow(slots);
  }
  struct bt_slot *slot = &slots->items[index];
  slot->object = object;
  slot->generation++;
  slots->used++;
  return slot->generation << index_bits | (index + 1);
}

void *bt_slots_get(const struct bt_slots *slots, uint64_t id) {
  struct bt_slot *slot = slot_of(slots, id);
  return slot ? slot->object : NULL;
}

void bt_slots_del(struct bt_slots *slots, uint64_t id) {
  struct bt_slot *slot = slot_of(slots, id);
  BT_ASSERT(slot);
  slot->object = NULL;
  slot->next_free = slots->first_free;
  slots->first_free = (uint32_t)(id & index_mask);
  slots->used--;
}

void bt_slots_free(struct bt_slots *slots) {
  free(slots->items);
  *slots = (struct bt_slots){0};
}
