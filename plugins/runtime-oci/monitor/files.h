/* Small files of a container's run folder: read whole, written atomically, removed with all below. Links are never followed out
 * of what was named. Knows nothing of containers. */
#ifndef RO_MONITOR_FILES_H
#define RO_MONITOR_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fail.h"

/* The whole file with a NUL behind it, to be freed by the caller; NULL with errno set where it cannot be read or is over max bytes
 * (EFBIG). len may be NULL. dirfd as of openat. */
char *ro_read_file(int dirfd, const char *path, size_t max, size_t *len);
/* Writes path by way of a temporary file beside it and a rename; not synced (run folders do not outlive a power cut). 0 or -1 with errno. */
int ro_write_file(const char *path, const void *data, size_t len, mode_t mode);
/* All of data, in as many writes as it takes. 0 or -1 with errno. */
int ro_write_all(int fd, const void *data, size_t len);
/* mkdir -p; 0 where it is there. */
int ro_make_dirs(const char *path, mode_t mode);
/* Removes a tree; links are removed, not followed, and mounts below are left (EBUSY). 0 where nothing is there; -1 with errno. */
int ro_remove_tree(int dirfd, const char *path);
/* 2026-11-23T19:00:00.123456789Z into out[32]; ns since 1970. */
void ro_time_text(long long ns, char out[32]);
long long ro_now_ns(void); /* wall clock */

#endif
