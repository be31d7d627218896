/* Brings folders and files of a commit from the plug-in that speaks for its repository to this machine (trees.h), where they are not there
 * yet; and sees that those that no revision names are removed in time. */
#ifndef BT_API_FOLLOW_TREES_H
#define BT_API_FOLLOW_TREES_H

#include "api/internal.h"

struct bt_follow_trees_ask {
  const char *entry, *namespace_, *app, *repository, *commit, *ref; /* borrowed for the call */
};

/* needs: as bt_follow_needs gives it. done exactly once, not from inside, with {path: {"id", "kind", "at", "notes"}} or an error. */
void bt_follow_trees(struct bt_api *api, const struct bt_follow_trees_ask *ask, const json_t *needs,
                     void (*done)(void *arg, enum bt_code code, const char *message, const json_t *trees), void *arg);

/* From now on looks every hour, and soon after a start and after each change, for trees to be removed. */
struct bt_trees_keeper *bt_trees_keeper_new(struct bt_api *api);
void bt_trees_keeper_soon(struct bt_trees_keeper *keeper);
void bt_trees_keeper_free(struct bt_trees_keeper **keeper);

#endif
