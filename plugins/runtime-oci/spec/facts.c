#include "config.h"
#include "facts.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../../common/util.h"

/* Compose's names and the kernel's in /proc/PID/limits. */
static const struct {
  const char *name, *kernel;
} names[RO_LIMITS] = {{"as", "Max address space"},    {"core", "Max core file size"},   {"cpu", "Max cpu time"},
                      {"data", "Max data size"},      {"fsize", "Max file size"},       {"locks", "Max file locks"},
                      {"memlock", "Max locked memory"}, {"msgqueue", "Max msgqueue size"}, {"nice", "Max nice priority"},
                      {"nofile", "Max open files"},   {"nproc", "Max processes"},       {"rss", "Max resident set"},
                      {"rtprio", "Max realtime priority"}, {"rttime", "Max realtime timeout"}, {"sigpending", "Max pending signals"},
                      {"stack", "Max stack size"}};

int ro_limit_index(const char *name) {
  for (int i = 0; i < RO_LIMITS; i++)
    if (strcmp(names[i].name, name) == 0)
      return i;
  return -1;
}

/* "Max open files            1024                 20000                files" */
static void parse_limit(struct ro_facts *out, const char *line) {
  for (int i = 0; i < RO_LIMITS; i++) {
    int64_t hard;
    if (pu_starts(line, names[i].kernel) && sscanf(line + strlen(names[i].kernel), " %*s %" SCNd64, &hard) == 1)
      out->hard[i] = hard; /* "unlimited" is no number and stays -1 */
  }
}

void ro_facts_limits(struct ro_facts *out, const char *limits, const char *status) {
  for (int i = 0; i < RO_LIMITS; i++)
    out->hard[i] = -1;
  const char *bounding = strstr(status, "CapBnd:");
  if (!bounding || sscanf(bounding, "CapBnd: %" SCNx64, &out->capabilities) != 1)
    out->capabilities = 0;
  out->raise = out->capabilities & (uint64_t)1 << CAP_SYS_RESOURCE;
  for (const char *line = limits; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    parse_limit(out, line);
}

/* ---------------------------------------------------------------- reading */

/* The first 64 KiB of a file, without its last line end; NULL where it cannot be read. */
static char *slurp(const char *path) {
  FILE *f = fopen(path, "re");
  if (!f)
    return NULL;
  char *text = pu_calloc(1, 65536);
  size_t n = fread(text, 1, 65535, f);
  fclose(f);
  while (n > 0 && text[n - 1] == '\n')
    text[--n] = '\0';
  return text;
}

static bool there(const char *path) { return access(path, F_OK) == 0; }

static uint32_t have(const char *path, uint32_t bit) { return there(path) ? bit : 0; }

#define V1 "/sys/fs/cgroup"

/* The root of each hierarchy has what its children can limit, but for the few that stand in children only: there the kernel's own list
 * of subsystems says it. */
static uint32_t cgroup_v1(void) {
  return have(V1 "/cpu/cpu.shares", RO_HAS_CPU) | have(V1 "/cpu/cpu.cfs_quota_us", RO_HAS_CFS) | have(V1 "/cpu/cpu.rt_runtime_us", RO_HAS_REALTIME) |
         have(V1 "/cpuset/cpuset.cpus", RO_HAS_CPUSET) | have(V1 "/memory/memory.limit_in_bytes", RO_HAS_MEMORY) |
         have(V1 "/memory/memory.soft_limit_in_bytes", RO_HAS_SOFT_MEMORY) | have(V1 "/memory/memory.memsw.limit_in_bytes", RO_HAS_SWAP) |
         have(V1 "/memory/memory.swappiness", RO_HAS_SWAPPINESS) | have(V1 "/memory/memory.oom_control", RO_HAS_OOM_CONTROL) |
         have(V1 "/pids/cgroup.procs", RO_HAS_PIDS) | have(V1 "/blkio/blkio.throttle.read_bps_device", RO_HAS_IO) |
         have(V1 "/blkio/blkio.weight", RO_HAS_IO_WEIGHT) | have(V1 "/blkio/blkio.bfq.weight", RO_HAS_IO_WEIGHT) |
         have(V1 "/devices/devices.allow", RO_HAS_DEVICES);
}

static uint32_t cgroup_v2(const char *controllers) {
  static const struct {
    const char *name;
    uint32_t has;
  } table[] = {{"cpu", RO_HAS_CPU | RO_HAS_CFS},
               {"cpuset", RO_HAS_CPUSET},
               {"memory", RO_HAS_MEMORY | RO_HAS_SOFT_MEMORY},
               {"pids", RO_HAS_PIDS},
               {"io", RO_HAS_IO | RO_HAS_IO_WEIGHT}};
  uint32_t has = RO_HAS_DEVICES; /* by a program of the kernel's, not by a controller */
  PU_AUTO_FREE words = pu_strdup(controllers);
  char *save = NULL;
  for (char *w = strtok_r(words, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
    for (size_t i = 0; i < PU_COUNT(table); i++)
      if (pu_eq(w, table[i].name))
        has |= table[i].has;
  if (has & RO_HAS_MEMORY && there("/proc/swaps"))
    has |= RO_HAS_SWAP;
  return has;
}

static void read_cgroups(struct ro_facts *out) {
  PU_AUTO_FREE controllers = slurp(V1 "/cgroup.controllers");
  out->cgroup = controllers ? 2 : 1;
  out->has |= controllers ? cgroup_v2(controllers) : cgroup_v1();
  out->cpu_list = slurp(controllers ? V1 "/cpuset.cpus.effective" : V1 "/cpuset/cpuset.cpus");
  out->mem_list = slurp(controllers ? V1 "/cpuset.mems.effective" : V1 "/cpuset/cpuset.mems");
}

static void read_security(struct ro_facts *out) {
  PU_AUTO_FREE apparmor = slurp("/sys/module/apparmor/parameters/enabled");
  PU_AUTO_FREE profiles = slurp("/sys/kernel/security/apparmor/profiles");
  PU_AUTO_FREE most = slurp("/proc/sys/user/max_user_namespaces");
  static const char *const known[] = {"berth-default", "docker-default", "containers-default"};
  out->has |= have("/proc/sys/kernel/seccomp/actions_avail", RO_HAS_SECCOMP);
  if (apparmor && *apparmor == 'Y')
    out->has |= RO_HAS_APPARMOR;
  for (size_t i = 0; profiles && i < PU_COUNT(known) && !out->apparmor; i++)
    if (strstr(profiles, known[i]))
      out->apparmor = pu_strdup(known[i]);
  out->has |= have("/sys/fs/selinux/enforce", RO_HAS_SELINUX);
  if (there("/proc/self/ns/user") && most && strtol(most, NULL, 10) > 0)
    out->has |= RO_HAS_USERNS;
}

static const char *machine_arch(const char *machine) {
  static const char *const table[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"},   {"armv6l", "arm"},  {"i686", "386"},
                                         {"ppc64le", "ppc64le"}, {"s390x", "s390x"}, {"riscv64", "riscv64"}, {"loongarch64", "loong64"}};
  for (size_t i = 0; i < PU_COUNT(table); i++)
    if (pu_eq(machine, table[i][0]))
      return table[i][1];
  return "unknown";
}

/* Each of them takes "-- COMMAND…". */
static char *find_init(void) {
  static const char *const paths[] = {"/usr/bin/docker-init", "/usr/libexec/docker/docker-init", "/usr/bin/tini-static", "/usr/bin/tini", "/usr/bin/catatonit",
                                      "/usr/libexec/podman/catatonit", "/usr/local/bin/tini"};
  for (size_t i = 0; i < PU_COUNT(paths); i++)
    if (access(paths[i], X_OK) == 0)
      return pu_strdup(paths[i]);
  return NULL;
}

void ro_facts_read(struct ro_facts *out) {
  *out = (struct ro_facts){.arch = "unknown"};
  struct utsname u;
  if (uname(&u) == 0) {
    out->arch = machine_arch(u.machine);
    out->hostname = pu_strdup(u.nodename);
    if (sscanf(u.release, "%d.%d", &out->kernel[0], &out->kernel[1]) != 2)
      out->kernel[0] = out->kernel[1] = 0;
  }
  PU_AUTO_FREE limits = slurp("/proc/self/limits");
  PU_AUTO_FREE status = slurp("/proc/self/status");
  PU_AUTO_FREE files = slurp("/proc/sys/fs/nr_open");
  ro_facts_limits(out, limits ? limits : "", status ? status : "");
  if (!files || sscanf(files, "%" SCNd64, &out->nr_open) != 1)
    out->nr_open = 0;
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  out->cpus = cpus > 0 ? (int)cpus : 0;
  out->init = find_init();
  read_cgroups(out);
  read_security(out);
}

void ro_facts_free(struct ro_facts *f) {
  free(f->cpu_list);
  free(f->mem_list);
  free(f->hostname);
  free(f->init);
  free(f->apparmor);
  *f = (struct ro_facts){0};
}
