/* Paths that a container's own files could lead astray: resolved by the kernel within a root (openat2), and held by a descriptor from then on,
 * so that nobody can swap a link in between. For whoever mounts (the monitor) and copies. Blocks; no loop. */
#ifndef RO_PATH_H
#define RO_PATH_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* Opens path as if the folder behind the descriptor root were "/": links and ".." stay inside, those of /proc are refused. flags as open's
 * (O_CLOEXEC is added); no_links: a link anywhere on the way is refused (ELOOP). The descriptor, or -1 with errno: ENOSYS where the kernel is older
 * than 5.6. A race with renames is tried again. */
int ro_path_open(int root, const char *path, int flags, mode_t mode, bool no_links);

/* Makes a folder and those above it (0755) where they are absent. 0, or -1 with errno. */
int ro_path_make(const char *path);

/* Makes struct ro_spec's "make", "binds", "own" and then, where rootfs (the mounted root file system) is not NULL, "copy_up" true, in this order; in the
 * mount namespace that the container will be started from, by one thread. 0, or -1 with a sentence in *why (the caller frees) and *code set to
 * a name of berth_code ("not_found", "invalid", "unavailable"). */
int ro_path_prepare(const json_t *monitor, const char *rootfs, const char **code, char **why);

/* Fills the folder target from source in the root file system while target is empty, with owners, modes, times, links and attributes; what an
 * interrupted call left is removed first. Nothing there to copy is no error. 0, or -1 with errno and the path in *at (the caller frees). */
int ro_copy_up(const char *rootfs, const char *source, const char *target, char **at);

/* Gives the folder to uid and gid while it is empty and root's. 0, or -1 with errno. */
int ro_own_empty(const char *path, uid_t uid, gid_t gid);

#endif
