/* Who a process is: a number alone may be another's by now, number and start time are not. And the record a monitor keeps of itself
 * and of its container's first process, by which the plug-in finds both again. */
#ifndef RO_PROC_H
#define RO_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Start of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 where there is no such process. */
uint64_t ro_proc_started(pid_t pid);
/* A pidfd (close on exec; the caller closes it) of the process that has this number and this start time; -1 with errno ESRCH where
 * it is gone. It may be a zombie: the pidfd is readable then. */
int ro_proc_open(pid_t pid, uint64_t started);
/* All signals as a fresh program expects them, none blocked: for a child before exec. */
void ro_proc_plain_signals(void);
/* Signals that process and no other. 0, or -1 with errno. */
int ro_proc_signal(pid_t pid, uint64_t started, int signal);

/* RUN/ID/monitor.pid: {"pid", "start_time", "init", "init_start_time", "started_at"}. The last three are there once the container
 * runs; init is 0 before. */
struct ro_monitor {
  pid_t pid;
  uint64_t started;
  pid_t init;
  uint64_t init_started;
  char started_at[32];
};
/* False where there is no such record (or no sound one). Says nothing of whether they still live: ro_proc_open does. */
bool ro_monitor_read(const char *run_dir, struct ro_monitor *out);
int ro_monitor_write(const char *run_dir, const struct ro_monitor *m); /* atomically; 0 or -1 with errno */

#endif
