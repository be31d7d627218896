/* The programs of entries that are no .so: that of a "command", and Berth's own for scripts in Lua. Finds them and looks whether
 * others could change what would run. */
#ifndef BT_PLUGIN_COMMAND_H
#define BT_PLUGIN_COMMAND_H

#include "base/err.h"
#include "base/vec.h"

/* Where programs without a path are looked for, and what they get as PATH. */
#define BT_COMMAND_PATH "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

/* The absolute path of the command's program. Refused, with a sentence: one that is not there, or that others may write, and so is the
 * first argument that is a file: the script of an interpreter. The caller frees. */
int bt_command_find(const struct bt_strs *command, char **program, struct bt_err **err) BT_CHECK;
/* Is the plug-in at path (may be NULL) a script in Lua? */
bool bt_command_is_script(const char *path);
/* Appends what runs the script: berth-plugin-lua and its arguments. */
void bt_command_of_script(const char *path, struct bt_strs *args);

#endif
