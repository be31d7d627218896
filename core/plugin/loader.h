/* Shared objects: find, check, map. A refusal is a sentence. What was mapped once stays mapped (no dlclose), and the same file
 * is mapped once. Knows nothing of entries and calls. */
#ifndef BT_PLUGIN_LOADER_H
#define BT_PLUGIN_LOADER_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

struct bt_manifest;

/* A mapped plug-in; lives as long as the process. */
struct bt_plugin_lib {
  char *path;
  uint64_t dev, ino;
  int64_t mtime_ns;
  const struct berth_plugin *plugin; /* NULL: it runs in another process */
  struct bt_manifest *own;
  const struct berth_manifest *manifest; /* the host's copy: its arrays have the sizes of this build */
  struct bt_plugin_lib *next;
};

/* Folders to search: those given, or (NULL) the build tree that this program stands in and the installed folder. */
void bt_loader_dirs(const char *const *dirs, struct bt_strs *out);
/* Finds NAME in the folders, or takes an absolute path. *out: the path; the caller frees. */
int bt_loader_find(const char *plugin, const struct bt_strs *dirs, char **out, struct bt_err **err) BT_CHECK;
/* Does Berth bring it along: does it stand in the folder of the installed plug-ins, or in the build tree's? NULL: no. */
bool bt_loader_shipped(const char *path);
/* Refuses files and folders that others may write, and owners other than root and us. */
int bt_loader_check_file(const char *path, struct bt_err **err) BT_CHECK;
/* What another process says of the plug-in at path; its tables send calls there. Kept as long as the process lives. NULL with a
 * sentence. */
struct bt_plugin_lib *bt_loader_described(const char *path, const json_t *manifest, struct bt_err **err) BT_CHECK;
/* Maps the file and checks its manifest. Refused: files and folders that others may write, owners other than root and us,
 * another ABI, a broken manifest. */
int bt_loader_open(const char *path, struct bt_plugin_lib **out, struct bt_err **err) BT_CHECK;
/* Maps the file under "real", which is path's or another name of it, and checks what is in it, but neither its owner nor who may
 * write it. path is for sentences. */
int bt_loader_map(const char *path, const char *real, const struct berth_plugin **out, struct bt_manifest **manifest,
                  struct bt_err **err) BT_CHECK;
/* Checks a plug-in struct and its manifest as bt_loader_open does. path is for sentences. NULL with a sentence. */
struct bt_manifest *bt_loader_check(const struct berth_plugin *plugin, const char *path, struct bt_err **err) BT_CHECK;

#endif
