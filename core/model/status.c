#include "config.h"

#include "model/status.h"

#include "base/mem.h"

static const char *const names[BT_ST_COUNT] = {"pending", "pulling", "creating", "starting", "running",
                                               "stopping", "exited", "failed", "removed"};

const char *bt_state_name(enum bt_state state) { return names[state]; }

bool bt_state_parse(const char *name, enum bt_state *out) {
  for (int i = 0; i < BT_ST_COUNT; i++)
    if (bt_streq(name, names[i])) {
      *out = (enum bt_state)i;
      return true;
    }
  return false;
}
