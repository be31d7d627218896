#include "config.h"
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/util.h"

/* ---------------------------------------------------------------- where */

static bool names_controller(const char *list, const char *controller) {
  size_t n = strlen(controller);
  for (const char *at = list; (at = strstr(at, controller)); at += n)
    if ((at == list || at[-1] == ',') && (at[n] == ',' || !at[n]))
      return true;
  return false;
}

/* The folder of a controller ("memory", "cpu", "freezer", "pids", "blkio") for the process, below /sys/fs/cgroup; with version 2 the same for all.
 * NULL: none. The caller frees. Lines of /proc/PID/cgroup: "4:memory:/berth/ID", "0::/berth/ID". */
static char *path_of(pid_t pid, const char *controller, bool *unified) {
  char file[64], line[4400];
  snprintf(file, sizeof file, "/proc/%d/cgroup", (int)pid);
  FILE *f = pid > 0 ? fopen(file, "re") : NULL;
  char *one = NULL, *two = NULL;
  while (f && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    if (!path)
      continue;
    *path++ = 0;
    list++;
    if (!*list)
      pu_set(&two, pu_asprintf("/sys/fs/cgroup%s", path));
    else if (names_controller(list, controller))
      pu_set(&one, pu_asprintf("/sys/fs/cgroup/%s%s", controller, path));
  }
  if (f)
    fclose(f);
  *unified = !one;
  if (one)
    free(two);
  return one ? one : two;
}

static bool read_text(const char *dir, const char *name, char *text, size_t room) {
  char path[4600];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, room - 1);
  if (fd >= 0)
    close(fd);
  text[n > 0 ? n : 0] = 0;
  return n > 0;
}

static int64_t read_number(const char *dir, const char *name) {
  char text[64];
  return read_text(dir, name, text, sizeof text) && *text >= '0' && *text <= '9' ? strtoll(text, NULL, 10) : 0;
}

/* "key value" lines. */
static int64_t read_key(const char *dir, const char *name, const char *key) {
  char text[8192];
  size_t n = strlen(key);
  if (!read_text(dir, name, text, sizeof text))
    return 0;
  for (char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
    if (strncmp(at, key, n) == 0 && at[n] == ' ')
      return strtoll(at + n + 1, NULL, 10);
  return 0;
}

static int write_text(const char *dir, const char *name, const char *text) {
  char path[4600];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  int e = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;
  if (fd >= 0)
    close(fd);
  return e;
}

/* ---------------------------------------------------------------- usage */

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=123" */
static int64_t pressure(const char *dir, const char *name) {
  char text[512];
  char *at = read_text(dir, name, text, sizeof text) ? strstr(text, "total=") : NULL;
  return at ? strtoll(at + 6, NULL, 10) : 0;
}

/* Version 2: "8:0 rbytes=1 wbytes=2 …" per device. */
static void io_two(const char *dir, struct ro_usage *out) {
  char text[16384];
  if (!read_text(dir, "io.stat", text, sizeof text))
    return;
  for (char *at = text; (at = strstr(at, "rbytes=")); at++)
    out->read_bytes += strtoll(at + 7, NULL, 10);
  for (char *at = text; (at = strstr(at, "wbytes=")); at++)
    out->write_bytes += strtoll(at + 7, NULL, 10);
}

/* Version 1: "8:0 Read 1" per device and kind. */
static void io_one(const char *dir, struct ro_usage *out) {
  char text[16384];
  if (!read_text(dir, "blkio.throttle.io_service_bytes", text, sizeof text))
    return;
  for (char *at = text; (at = strstr(at, " Read ")); at++)
    out->read_bytes += strtoll(at + 6, NULL, 10);
  for (char *at = text; (at = strstr(at, " Write ")); at++)
    out->write_bytes += strtoll(at + 7, NULL, 10);
}

static int64_t total_memory(void) { return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE); }

static bool usage_two(const char *dir, struct ro_usage *out) {
  int64_t cache = read_key(dir, "memory.stat", "inactive_file");
  out->cpu_ns = read_key(dir, "cpu.stat", "usage_usec") * 1000;
  out->memory = read_number(dir, "memory.current");
  out->memory -= cache < out->memory ? cache : 0;
  out->memory_limit = read_number(dir, "memory.max");
  out->pids = read_number(dir, "pids.current");
  out->pressure_cpu_us = pressure(dir, "cpu.pressure");
  out->pressure_memory_us = pressure(dir, "memory.pressure");
  out->pressure_io_us = pressure(dir, "io.pressure");
  io_two(dir, out);
  return access(dir, F_OK) == 0;
}

bool ro_cgroup_usage(pid_t pid, struct ro_usage *out) {
  bool unified = false;
  *out = (struct ro_usage){0};
  PU_AUTO_FREE memory = path_of(pid, "memory", &unified);
  bool good = memory != NULL;
  if (good && unified) {
    good = usage_two(memory, out);
  } else if (good) {
    PU_AUTO_FREE cpu = path_of(pid, "cpuacct", &unified);
    PU_AUTO_FREE pids = path_of(pid, "pids", &unified);
    PU_AUTO_FREE io = path_of(pid, "blkio", &unified);
    int64_t cache = read_key(memory, "memory.stat", "total_inactive_file");
    out->cpu_ns = cpu ? read_number(cpu, "cpuacct.usage") : 0;
    out->memory = read_number(memory, "memory.usage_in_bytes");
    out->memory -= cache < out->memory ? cache : 0;
    out->memory_limit = read_number(memory, "memory.limit_in_bytes");
    out->pids = pids ? read_number(pids, "pids.current") : 0;
    if (io)
      io_one(io, out);
  }
  if (out->memory_limit <= 0 || out->memory_limit > total_memory())
    out->memory_limit = total_memory();
  return good;
}

/* ---------------------------------------------------------------- freezer */

static bool frozen(const char *dir, bool unified, bool freeze) {
  char text[64] = "";
  if (unified)
    return read_key(dir, "cgroup.events", "frozen") == freeze;
  return read_text(dir, "freezer.state", text, sizeof text) && pu_starts(text, freeze ? "FROZEN" : "THAWED");
}

bool ro_cgroup_freeze(pid_t pid, bool freeze, char **why) {
  bool unified = false;
  PU_AUTO_FREE dir = path_of(pid, "freezer", &unified);
  int e = !dir ? ENOENT
          : unified ? write_text(dir, "cgroup.freeze", freeze ? "1" : "0")
                    : write_text(dir, "freezer.state", freeze ? "FROZEN" : "THAWED");
  if (!e && !freeze)
    return true; /* thawing happens by itself */
  for (int i = 0; !e && i < 100 && !frozen(dir, unified, freeze); i++) {
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    if (!unified && i % 10 == 9)
      write_text(dir, "freezer.state", "FROZEN"); /* one that forks meanwhile: the kernel wants to be asked again */
  }
  if (!e && !frozen(dir, unified, freeze))
    e = EBUSY;
  if (e && freeze && dir)
    unified ? write_text(dir, "cgroup.freeze", "0") : write_text(dir, "freezer.state", "THAWED");
  if (e && why)
    *why = pu_asprintf("its control group cannot be %s: %s", freeze ? "frozen" : "thawed", strerror(e));
  return !e;
}

bool ro_cgroup_frozen(pid_t pid) {
  bool unified = false;
  PU_AUTO_FREE dir = path_of(pid, "freezer", &unified);
  return dir && frozen(dir, unified, true);
}

/* ---------------------------------------------------------------- limits */

static int set(pid_t pid, const char *controller, const char *one, const char *two, const char *text_one, const char *text_two, char **why) {
  bool unified = false;
  PU_AUTO_FREE dir = path_of(pid, controller, &unified);
  int e = dir ? write_text(dir, unified ? two : one, unified ? text_two : text_one) : ENOENT;
  if (e && !*why)
    *why = pu_asprintf("%s: %s", unified ? two : one, strerror(e));
  return e;
}

static int set_cpus(pid_t pid, double cpus, char **why) {
  enum { period = 100000 };
  PU_AUTO_FREE quota = pu_asprintf("%lld", cpus > 0 ? (long long)(cpus * period + 0.5) : -1);
  PU_AUTO_FREE both = cpus > 0 ? pu_asprintf("%s %d", quota, period) : pu_asprintf("max %d", period);
  int e = cpus > 0 ? set(pid, "cpu", "cpu.cfs_period_us", "cpu.max", "100000", both, why) : 0;
  return e ? e : set(pid, "cpu", "cpu.cfs_quota_us", "cpu.max", quota, both, why);
}

/* memory.memsw may never be below memory: it goes up first and down last. A limit below what is in use is refused before the kernel would
 * begin to kill for it. */
static int set_memory(pid_t pid, int64_t bytes, char **why) {
  bool unified = false;
  struct ro_usage usage;
  PU_AUTO_FREE dir = path_of(pid, "memory", &unified);
  if (bytes > 0 && ro_cgroup_usage(pid, &usage) && usage.memory > bytes) {
    *why = pu_asprintf("it has %.1f MiB of memory now, more than the new limit of %.1f MiB", (double)usage.memory / (1 << 20), (double)bytes / (1 << 20));
    return EBUSY;
  }
  PU_AUTO_FREE number = pu_asprintf("%lld", bytes > 0 ? (long long)bytes : -1);
  PU_AUTO_FREE swap = pu_asprintf("%lld", bytes > 0 ? (long long)bytes * 2 : -1);
  if (!dir)
    return ENOENT;
  if (unified)
    return set(pid, "memory", "", "memory.max", "", bytes > 0 ? number : "max", why);
  bool swapped = read_number(dir, "memory.memsw.limit_in_bytes") > 0;
  int64_t now = read_number(dir, "memory.limit_in_bytes");
  bool up = bytes <= 0 || bytes > now;
  int e = 0;
  if (swapped && up)
    e = set(pid, "memory", "memory.memsw.limit_in_bytes", "", swap, "", why);
  if (!e)
    e = set(pid, "memory", "memory.limit_in_bytes", "", number, "", why);
  if (!e && swapped && !up)
    e = set(pid, "memory", "memory.memsw.limit_in_bytes", "", swap, "", why);
  return e;
}

int ro_cgroup_update(pid_t pid, const json_t *r, char **why) {
  json_t *cpus = json_object_get(r, "cpus");
  int e = 0;
  if (json_object_get(r, "memory"))
    e = set_memory(pid, pu_int(r, "memory", 0), why);
  if (!e && json_object_get(r, "memory_reservation")) {
    PU_AUTO_FREE text = pu_asprintf("%lld", (long long)pu_int(r, "memory_reservation", 0) > 0 ? (long long)pu_int(r, "memory_reservation", 0) : -1);
    e = set(pid, "memory", "memory.soft_limit_in_bytes", "memory.low", text, pu_starts(text, "-") ? "0" : text, why);
  }
  if (!e && json_object_get(r, "pids")) {
    PU_AUTO_FREE text = pu_int(r, "pids", 0) > 0 ? pu_asprintf("%lld", (long long)pu_int(r, "pids", 0)) : pu_strdup("max");
    e = set(pid, "pids", "pids.max", "pids.max", text, text, why);
  }
  if (!e && json_is_number(cpus))
    e = set_cpus(pid, json_number_value(cpus), why);
  return e;
}
