#include "config.h"
#include "sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "../../common/util.h"
#include "cgroup.h"
#include "files.h"
#include "hooks.h"
#include "proc.h"
#include "spec.h"

enum { death_ms = 10000 };

int ro_sweep(const char *id, const char *runtime_root, const char *cgroup, struct ro_fail *why) {
  if (cgroup) {
    if (!ro_cgroup_sound(cgroup, id))
      return ro_fail(why, "invalid", "cgroup %s is not that of container %s: its last part must be the id", cgroup, id);
    if (ro_cgroup_kill(cgroup, why) < 0 || ro_cgroup_remove(cgroup, why) < 0)
      return -1;
  }
  PU_AUTO_FREE state = pu_asprintf("%s/%s", runtime_root, id);
  if (ro_remove_tree(AT_FDCWD, state) < 0)
    return ro_fail_errno(why, "cannot remove the runtime's state %s", state);
  return 0;
}

/* Kills one process and waits until it is no more. */
static void end_process(pid_t pid, uint64_t started) {
  int fd = ro_proc_open(pid, started);
  if (fd < 0)
    return;
  ro_proc_signal(pid, started, SIGKILL);
  struct pollfd p = {.fd = fd, .events = POLLIN};
  while (poll(&p, 1, death_ms) < 0 && errno == EINTR)
    continue;
  close(fd);
}

/* A monitor that was spawned and has not begun yet must not begin after us: it reads monitor.json once it has the lock, so that
 * is put aside first; whoever has the lock by now is known from the record, and killed. -1 where somebody keeps it. */
static int take_lock(const char *run_dir, struct ro_fail *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/monitor.lock", run_dir);
  int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return ro_fail_errno(why, "cannot open %s", path);
  for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += 2) {
    struct ro_monitor m;
    if (ro_monitor_read(run_dir, &m))
      end_process(m.pid, m.started);
    if (waited > death_ms) {
      close(fd);
      return ro_fail(why, "unavailable", "somebody holds %s and does not end", path);
    }
    poll(NULL, 0, 2);
  }
  return fd;
}

int ro_sweep_run(const char *run_dir, struct ro_fail *why) {
  PU_AUTO_FREE spec = pu_asprintf("%s/monitor.json", run_dir);
  PU_AUTO_FREE aside = pu_asprintf("%s/" RO_SWEPT, run_dir);
  if (rename(spec, aside) < 0 && access(aside, F_OK) < 0)
    return 0;
  struct ro_monspec s;
  if (ro_monspec_read(aside, &s, why) < 0)
    return -1;
  struct ro_monitor m;
  int lock = take_lock(run_dir, why), rc = -1;
  if (lock >= 0) {
    bool ran = ro_monitor_read(run_dir, &m) && m.init > 0;
    if (ran)
      end_process(m.init, m.init_started);
    rc = ro_sweep(s.id, s.runtime_root, s.cgroup, why);
    if (rc == 0 && ran)
      ro_hooks_poststop(run_dir, &s);
    close(lock);
  }
  ro_monspec_free(&s);
  return rc;
}
