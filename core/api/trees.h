/* Folders and files of repositories' commits on this machine, for builds and mounts: DIR/NAMESPACE/APP/ID, where ID names the content, so
 * that what an app's commits have in common is there once. Each comes whole or not at all, is never changed, and goes when no revision
 * names it. What came from outside may mean harm: nothing of it is followed or run here. Knows nothing of git. For workers. */
#ifndef BT_API_TREES_H
#define BT_API_TREES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

enum { BT_TREES_MAX_FILES = 200000, BT_TREES_MAX_DEPTH = 100 };

/* The caller frees. */
char *bt_trees_path(const char *dir, const char *namespace_, const char *app, const char *id);
/* Whether it is there; then it counts as just used. */
bool bt_trees_has(const char *path);
/* A new, empty file in dir for what comes: its descriptor, and *path, which the caller frees; -1 with an error. */
int bt_trees_incoming(const char *dir, char **path, struct bt_err **err);
/* Makes of what came the tree at path. tar: it is the tar of a folder, else a file of its own. notes: sentences about what is not as one
 * may think (submodules, pointers of Git LFS). from stays. BT_INVALID, BT_TOO_LARGE, BT_IO. */
int bt_trees_take(const char *from, const char *path, bool tar, bool executable, struct bt_strs *notes, struct bt_err **err) BT_CHECK;

/* [{"namespace","app"}] that have trees; new reference. */
json_t *bt_trees_apps(const char *dir);
/* Removes what is not in keep {"NAMESPACE/APP/ID": true} and was not used for so long, and what was left half-way. */
void bt_trees_collect(const char *dir, const json_t *keep, int64_t unused_s);

#endif
