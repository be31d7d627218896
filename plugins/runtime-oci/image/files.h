/* What the store needs of the file system: whole reads with a cap, atomic durable writes, locks that may be removed, removal of
 * trees, and descriptors below a folder that no link leads out of. Every descriptor is O_CLOEXEC. Knows nothing of images. */
#ifndef RI_IMAGE_FILES_H
#define RI_IMAGE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "why.h"

/* Closes *fd where it is open and makes it -1. */
void ri_fd_close(int *fd);
#define RI_AUTO_FD __attribute__((cleanup(ri_fd_close))) int

/* A whole regular file of at most max bytes; *out is NUL-terminated, the caller frees. 0, or an errno (EFBIG where it is larger). */
int ri_file_read(int dir, const char *path, size_t max, char **out, size_t *len);
/* Writes dir/name by way of a temporary file beside it, with fsync and rename. 0 or an errno. */
int ri_file_write(int dir, const char *name, const void *data, size_t len);
/* All of it at an offset (< 0: where it stands). 0 or an errno. */
int ri_write_all(int fd, const void *data, size_t len, off_t at);

/* Makes path and its parents with mode. 0 or an errno; what is there is fine. */
int ri_mkdirs(const char *path, mode_t mode);
/* Opens dir/path (a folder) with O_DIRECTORY; made first where make. -1 with errno. */
int ri_dir_open(int dir, const char *path, bool make);
/* Opens a path as if dir were the root of the file system: no link, no ".." leads out. -1 with errno. */
int ri_open_inside(int dir, const char *path, int flags);
/* Removes dir/name with all below it, which crosses no mount and follows no link. Bytes freed are added to *freed (may be NULL).
 * 0 or an errno; what is not there is fine. */
int ri_tree_remove(int dir, const char *name, int64_t *freed);

/* Calls each with the names in dir, but "." and "..", until it returns other than 0, and returns that; an errno where dir cannot be read. */
int ri_each_name(int dir, int (*each)(void *arg, const char *name), void *arg);

enum ri_lock { RI_SHARED, RI_ALONE, RI_TRY_ALONE };
/* flock on dir/name, made where absent; waits but for RI_TRY_ALONE. The lock goes with the descriptor. -1 with errno (EWOULDBLOCK). */
int ri_lock_take(int dir, const char *name, enum ri_lock how);
/* Another kind for a lock that is held; between the two it may be nobody's. 0 or an errno. */
int ri_lock_turn(int fd, enum ri_lock how);

int64_t ri_now_ms(void);           /* wall clock */
const char *ri_boot_id(void);      /* of this boot of the kernel; "" where unknown. Not for threads at once the first time. */

#endif
