/* How much a container may write: a limit of blocks on a project of its own, to which its writable layer belongs (xfs, and ext4 with the feature "project",
 * mounted with prjquota). What the layer's files take is counted by the file system; over the limit, writes fail with ENOSPC or EDQUOT. Reaches the file
 * system through quotactl_fd (Linux 5.14), so that no device need be known. Formats: linux/dqblk_xfs.h, FS_IOC_FSSETXATTR of linux/fs.h. Blocks: for
 * workers. Cost: two system calls per start, a record of the file system per container. */
#ifndef RO_QUOTA_H
#define RO_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the file system of the folder has limits for projects that are in force; false with a sentence (the caller frees). */
bool ro_quota_able(const char *dir, char **why);
/* Lets what is in the layer (its folder upper, and work where there is one) take so many bytes at most; 0: no limit any more. Files that are there already
 * keep the project that they had. id: the container's. False with a sentence. */
bool ro_quota_set(const char *upper, const char *work, const char *id, int64_t bytes, char **why);
/* Forgets the limit of the layer, before that is removed: whoever has its number next starts without one. Where there is none, nothing happens. */
void ro_quota_drop(const char *upper);

#endif
