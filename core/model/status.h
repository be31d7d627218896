/* The states of an instance, as nodes report them and people read them. */
#ifndef BT_MODEL_STATUS_H
#define BT_MODEL_STATUS_H

#include <stdbool.h>

enum bt_state {
  BT_ST_PENDING, /* not on a node yet */
  BT_ST_PULLING,
  BT_ST_CREATING,
  BT_ST_STARTING,
  BT_ST_RUNNING,
  BT_ST_STOPPING,
  BT_ST_EXITED,
  BT_ST_FAILED,
  BT_ST_REMOVED,
  BT_ST_COUNT
};
const char *bt_state_name(enum bt_state state);
bool bt_state_parse(const char *name, enum bt_state *out); /* false (and *out untouched) for an unknown name */

#endif
