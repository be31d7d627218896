#include "config.h"
#include "state/store.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/vec.h"

void bt_batch_put(struct bt_batch *batch, const char *kind, const char *key, char *value_steal) {
  bt_batch_put_steal(batch, kind, bt_strdup(key), value_steal);
}

void bt_batch_put_steal(struct bt_batch *batch, const char *kind, char *key_steal, char *value_steal) {
  BT_ASSERT(value_steal);
  struct bt_change change = {.kind = kind, .key = key_steal, .value = value_steal};
  bt_vec_push(batch, change);
}

void bt_batch_del(struct bt_batch *batch, const char *kind, const char *key) {
  struct bt_change change = {.kind = kind, .key = bt_strdup(key)};
  bt_vec_push(batch, change);
}

void bt_batch_free(struct bt_batch *batch) {
  bt_vec_each(batch, change) {
    free(change->key);
    free(change->value);
  }
  bt_vec_free(batch);
}
