/* Folders whose files belong to other users when seen through a mount (idmapped mounts, Linux 5.12; below an overlay 5.19). Blocks. */
#ifndef RO_IDMAP_H
#define RO_IDMAP_H

#include <stddef.h>
#include <stdint.h>

/* A user namespace in which user 0 is uid of the machine, group 0 gid, and so on for count of both: its descriptor, or -1 with errno. For
 * processes of one thread. */
int ro_idmap_users(int64_t uid, int64_t gid, int64_t count);
/* A copy of the mount of the folder path, mapped to users, on places/N (made; N = n) in the caller's mount namespace: its descriptor, -1. */
int ro_idmap_clone(const char *path, int users, const char *places, size_t n);

#endif
