/* A root file system served by fuse-overlayfs, where the kernel's overlay cannot be had: a process that dies with whoever mounted, and the
 * mount with it. Knows nothing of images. */
#ifndef RO_FUSE_H
#define RO_FUSE_H

#include <sys/types.h>

#include "fail.h"
#include "spec.h"

/* Mounts s's layers at s->target in the caller's mount namespace. The process that serves it, a child of the caller which is killed when the
 * caller ends, or -1 with why. */
pid_t ro_fuse_mount(const struct ro_monspec *s, struct ro_fail *why);
/* Writes out what is still to be written, unmounts and ends the process (and reaps it). Nothing where server is not positive. */
void ro_fuse_end(const char *target, pid_t server);

#endif
