#include "config.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"

enum { start_field = 22, max_record = 4096 };

uint64_t ro_proc_started(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, path, max_record, NULL);
  /* The second field is the name in parentheses, which may hold anything: count from its end. */
  const char *p = text ? strrchr(text, ')') : NULL;
  for (int field = 2; p && field < start_field; field++)
    p = strchr(p + 1, ' ');
  return p ? strtoull(p + 1, NULL, 10) : 0;
}

int ro_proc_open(pid_t pid, uint64_t started) {
  if (pid <= 0 || !started) {
    errno = ESRCH;
    return -1;
  }
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd >= 0 && ro_proc_started(pid) != started) {
    close(fd);
    errno = ESRCH;
    return -1;
  }
  return fd;
}

int ro_proc_signal(pid_t pid, uint64_t started, int signal) {
  int fd = ro_proc_open(pid, started);
  if (fd < 0)
    return -1;
  int rc = (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
  int error = errno;
  close(fd);
  errno = error;
  return rc;
}

bool ro_monitor_read(const char *run_dir, struct ro_monitor *out) {
  memset(out, 0, sizeof *out);
  PU_AUTO_FREE path = pu_asprintf("%s/monitor.pid", run_dir);
  size_t len;
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, path, max_record, &len);
  PU_AUTO_JSON v = text ? pu_json_parse(text, len) : NULL;
  out->pid = (pid_t)pu_int(v, "pid", 0);
  out->started = (uint64_t)pu_int(v, "start_time", 0);
  out->init = (pid_t)pu_int(v, "init", 0);
  out->init_started = (uint64_t)pu_int(v, "init_start_time", 0);
  snprintf(out->started_at, sizeof out->started_at, "%s", pu_str_or(v, "started_at", ""));
  return out->pid > 0 && out->started;
}

int ro_monitor_write(const char *run_dir, const struct ro_monitor *m) {
  PU_AUTO_FREE path = pu_asprintf("%s/monitor.pid", run_dir);
  PU_AUTO_BUF b = {0};
  pu_buf_addf(&b, "{\"pid\":%ld,\"start_time\":%" PRIu64, (long)m->pid, m->started);
  if (m->init > 0)
    pu_buf_addf(&b, ",\"init\":%ld,\"init_start_time\":%" PRIu64 ",\"started_at\":\"%s\"", (long)m->init, m->init_started,
                m->started_at);
  pu_buf_adds(&b, "}\n");
  return ro_write_file(path, b.data, b.len, 0600);
}

void ro_proc_plain_signals(void) {
  for (int i = 1; i < 32; i++)
    signal(i, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}
