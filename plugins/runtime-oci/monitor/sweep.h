/* What is left of a container whose monitor is gone: kill -9 of a monitor leaves the container's processes, its cgroup and the runtime's
 * state behind (mounts, the network namespace and its links go with the last process). The monitor itself ends with the same
 * sweep, so there is one way of removing. Blocking: for workers and programs. */
#ifndef RO_SWEEP_H
#define RO_SWEEP_H

#include "fail.h"

/* Kills everything in the cgroup, removes the cgroup and the runtime's state (runtime_root/id). Any part may be gone already. cgroup may
 * be NULL where the container has none. The caller knows that no monitor lives (ro_proc_open). 0, or -1 with why: something does not die or cannot be removed; trying again is safe. */
int ro_sweep(const char *id, const char *runtime_root, const char *cgroup, struct ro_fail *why);

/* The same for a run folder, from its monitor.json and monitor.pid: kills the monitor where it still lives, then sweeps, and runs the hooks poststop
 * of a container that ran where its monitor did not begin them (hooks.h). monitor.json becomes
 * RO_SWEPT, so that a monitor that was spawned and has not begun yet finds nothing to begin with: whoever starts the container again writes
 * it anew. 0 where there is none of both. Leaves the run folder itself. */
#define RO_SWEPT "swept.json"
int ro_sweep_run(const char *run_dir, struct ro_fail *why);

#endif
