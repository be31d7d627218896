/* Processes of containers as /proc and pidfds know them. Any thread. */
#ifndef RO_CORE_PROC_H
#define RO_CORE_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* A pidfd (the caller closes it) of the process that has this number and began at started (ticks since boot, field 22 of
 * /proc/PID/stat); -1 where it is gone, a zombie included. */
int ro_pidfd(pid_t pid, uint64_t started);

#endif
