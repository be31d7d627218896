/* A container's root file system, mounted in the caller's private mount namespace: an overlay of up to 500 layers, by the kernel or by
 * fuse-overlayfs, or a copy of them. Everything goes with the namespace and its caller; only what fuse-overlayfs serves is to be left in order, so
 * that nothing is lost. Knows nothing of images. */
#ifndef RO_ROOT_H
#define RO_ROOT_H

#include <sys/types.h>

#include "fail.h"
#include "spec.h"

/* Gives the process a mount namespace of its own, out of which no mount leads back to the host's (unless s->shared: then only the mounts
 * that hold the run folder, the target and the hybrid cgroups are cut off; what is bound from one of these is not shared). flags: further CLONE_NEW… for the same call. */
int ro_root_private(const struct ro_monspec *s, int flags, struct ro_fail *why);
/* Mounts the root file system at s->target (made where absent). 0 where the spec has none. *server is the process that serves it (see fuse.h), 0
 * where there is none. */
int ro_root_mount(const struct ro_monspec *s, pid_t *server, struct ro_fail *why);
/* crun 1.8 refuses the second hierarchy of a hybrid machine: covers /sys/fs/cgroup/unified in this namespace. Covers, since what is below
 * is the host's own tmpfs, in which crun would then make folders that nobody sees and nobody removes. */
void ro_root_hide_unified(void);

#endif
