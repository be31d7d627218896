/* A typed growing array, as macros over {items, len, cap}. Element pointers are valid until the next push. */
#ifndef BT_BASE_VEC_H
#define BT_BASE_VEC_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* struct things { BT_VEC(struct thing) v; }  or  BT_VEC(char *) names = {0}; */
#define BT_VEC(type) \
  struct {           \
    type *items;     \
    size_t len;      \
    size_t cap;      \
  }

#define bt_vec_push(v, item)                                                       \
  do {                                                                             \
    if ((v)->len == (v)->cap) {                                                    \
      (v)->cap = (v)->cap ? (v)->cap * 2 : 8;                                      \
      (v)->items = bt_realloc((v)->items, (v)->cap, sizeof *(v)->items);           \
    }                                                                              \
    (v)->items[(v)->len++] = (item);                                               \
  } while (0)

/* Removes item i and keeps the order. */
#define bt_vec_remove(v, i)                                                                             \
  do {                                                                                                  \
    size_t vec_i_ = (i);                                                                                \
    BT_ASSERT(vec_i_ < (v)->len);                                                                       \
    memmove((v)->items + vec_i_, (v)->items + vec_i_ + 1, ((v)->len - vec_i_ - 1) * sizeof *(v)->items); \
    (v)->len--;                                                                                         \
  } while (0)

/* Frees the array, not what its items point to. */
#define bt_vec_free(v)                    \
  do {                                    \
    free((v)->items);                     \
    (v)->items = NULL;                    \
    (v)->len = (v)->cap = 0;              \
  } while (0)

#define bt_vec_each(v, p) for (__typeof__((v)->items + 0) p = (v)->items; p && p < (v)->items + (v)->len; p++)

/* A vector of owned strings. */
struct bt_strs {
  char **items;
  size_t len;
  size_t cap;
};
static inline void bt_strs_add(struct bt_strs *v, const char *s) { bt_vec_push(v, bt_strdup(s)); }
static inline bool bt_strs_has(const struct bt_strs *v, const char *s) {
  for (size_t i = 0; i < v->len; i++)
    if (strcmp(v->items[i], s) == 0)
      return true;
  return false;
}
static inline void bt_strs_free(struct bt_strs *v) {
  for (size_t i = 0; i < v->len; i++)
    free(v->items[i]);
  bt_vec_free(v);
}
#define BT_AUTO_STRS __attribute__((cleanup(bt_strs_free))) struct bt_strs

#endif
