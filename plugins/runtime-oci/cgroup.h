/* A container's control groups, found by the process they hold: version 1, hybrid and 2 alike. Reads and writes of the kernel's files are
 * short, but for freezing. Any thread. */
#ifndef RO_CORE_CGROUP_H
#define RO_CORE_CGROUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What berth_runtime.stats tells of control groups; 0 where unknown. */
struct ro_usage {
  int64_t cpu_ns, memory, memory_limit, read_bytes, write_bytes, pids;
  int64_t pressure_cpu_us, pressure_memory_us, pressure_io_us; /* PSI: time that some stalled, total */
};

/* What the control group of the process uses; false where it has none. */
bool ro_cgroup_usage(pid_t pid, struct ro_usage *out);
/* False with *why (which may be NULL). freeze waits until all of it stands, at most a second. */
bool ro_cgroup_freeze(pid_t pid, bool freeze, char **why);

bool ro_cgroup_frozen(pid_t pid);

/* {"cpus": 0.5, "memory": bytes, "memory_reservation": bytes, "pids": n}, each may be absent; 0: no limit. 0 on success, else an errno, and *why. */
int ro_cgroup_update(pid_t pid, const json_t *resources, char **why);

#endif
