/* A container's cgroup by its path below the roots, whatever the machine has: version 1, version 2, or both (hybrid). Files are read and
 * written below /sys/fs/cgroup; everything is done for every hierarchy there is. Blocking, for programs and workers. */
#ifndef RO_CGROUP_H
#define RO_CGROUP_H

#include <stdbool.h>

#include "fail.h"

/* True where path is one that may be killed and removed: absolute, no "..", and its last part is id. */
bool ro_cgroup_sound(const char *path, const char *id);
/* Has the kernel killed anything in it for want of memory? False where the cgroup is gone. */
bool ro_cgroup_oom_killed(const char *path);
/* SIGKILL to everything in it and below until nothing is left (fork bombs are frozen first). 0, or -1 where something is still there
 * after ten seconds. */
int ro_cgroup_kill(const char *path, struct ro_fail *why);
/* Removes it and all below. What comes into it meanwhile (a runtime that was killed half-way has a child that goes on) is killed; waits up
 * to ten seconds for what is dying. 0 also where it is not there. */
int ro_cgroup_remove(const char *path, struct ro_fail *why);

#endif
