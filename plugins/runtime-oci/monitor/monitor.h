/* The monitor of one container: makes its namespaces and its root file system, runs the OCI runtime, writes the log, and keeps the exit
 * code for whoever comes to read it. A process of its own that outlives the agent; where it is killed itself (SIGKILL; nothing
 * else ends it), it cannot take the container along, since init is not its child by birth: see sweep.h. Hooks "poststop" of config.json
 * are run by it (hooks.h), as the runtime's state is removed without the runtime. */
#ifndef RO_MONITOR_H
#define RO_MONITOR_H

#include <signal.h>
#include <stdbool.h>

#include "fail.h"
#include "logwrite.h"
#include "proc.h"
#include "spec.h"

struct ro_watch {
  struct ro_monspec spec;
  const char *dir; /* the run folder */
  int lock;        /* held while the monitor lives */
  struct ro_monitor self;
  int in;          /* our end of a stdin that is held open, -1 */
  int out, err;    /* our ends of its pipes, or the tty's master as out; -1 */
  pid_t server;    /* that has the root file system (fuse.h); 0: nobody, -1: it ended before its container */
  bool ended;
  int status;      /* of the container's first process, once ended */
};

/* `berth-monitor start DIR`: becomes the starter, which prints one line and returns the exit code of the program. The monitor itself is
 * its child and never returns from here. */
int ro_start(const char *dir);
/* `berth-monitor exec DIR`: see frames.h. Returns the exit code of the program. */
int ro_exec(const char *dir);

/* One monitor a container: takes the lock of w->dir for life, before anything is read (see sweep.c). -1 with "conflict" where another has it. */
int ro_begin_lock(struct ro_watch *w, struct ro_fail *why);
/* Steps of the start (begin.c): everything up to the running container. 0, or -1 with why and what was begun to be swept. */
int ro_begin(struct ro_watch *w, struct ro_fail *why);
/* The rest of the monitor's life (watch.c): log and exit; returns when the container is gone and exit.json is written. */
void ro_watch(struct ro_watch *w);
/* Writes exit.json. why: what hindered the start, or NULL. lost: lines of the log. */
void ro_finish(const struct ro_watch *w, int exit_code, bool oom_killed, const struct ro_fail *why, uint64_t lost);

#endif
