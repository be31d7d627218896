/* Files: whole reads with a cap, atomic durable writes, folders. Every descriptor is O_CLOEXEC. */
#ifndef BT_BASE_FILE_H
#define BT_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Reads a regular file, /dev/null or a pipe (from which something has to come every 10 s) of at most max bytes, and /dev/stdin and
 * /dev/fd/N whatever they are; *out is NUL-terminated, the caller frees. */
int bt_file_read(const char *path, size_t max, char **out, size_t *len, struct bt_err **err) BT_CHECK;
/* Writes to a temporary sibling, fsyncs it, renames it over path and fsyncs the folder. */
int bt_file_write(const char *path, const void *data, size_t len, mode_t mode, struct bt_err **err) BT_CHECK;
/* Makes the folder and its parents; an existing folder is fine. */
int bt_mkdirs(const char *path, mode_t mode, struct bt_err **err) BT_CHECK;
bool bt_file_exists(const char *path);
/* Joins with one slash; an absolute b replaces a. Cleans "." and ".." lexically. The caller frees. */
char *bt_path_join(const char *a, const char *b);
char *bt_path_clean(const char *path);
char *bt_path_dir(const char *path);       /* folder part, "." where none; the caller frees */
const char *bt_path_base(const char *path); /* borrowed */

#endif
