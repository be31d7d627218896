#include "config.h"
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"

#define ROOT "/sys/fs/cgroup"
enum { max_depth = 64, max_file = 8 << 20, patience_ms = 10000 };

/* ---- hierarchies ---- */

/* What is done in the container's folder of one hierarchy (or in one below). Stops where it returns nonzero. */
typedef int each_fn(int fd, void *arg);

static int in_folder(const char *root, const char *path, each_fn *each, void *arg) {
  PU_AUTO_FREE full = pu_asprintf("%s%s", root, path);
  int fd = open(full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return 0;
  struct statfs fs;
  int rc = 0;
  if (fstatfs(fd, &fs) == 0 && (fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC))
    rc = each(fd, arg);
  close(fd);
  return rc;
}

/* Version 1 mounts each controller in a folder of its own; links beside them are second names of the same. */
static int each_hierarchy(const char *path, each_fn *each, void *arg) {
  struct statfs fs;
  if (statfs(ROOT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
    return in_folder(ROOT, path, each, arg);
  DIR *dir = opendir(ROOT);
  struct dirent *e;
  int rc = 0;
  while (dir && rc == 0 && (e = readdir(dir))) {
    if (e->d_name[0] == '.' || e->d_type != DT_DIR)
      continue;
    PU_AUTO_FREE root = pu_asprintf(ROOT "/%s", e->d_name);
    rc = in_folder(root, path, each, arg);
  }
  if (dir)
    closedir(dir);
  return rc;
}

/* Children first. */
static int below(int fd, each_fn *each, void *arg, int depth) {
  int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = again >= 0 ? fdopendir(again) : NULL;
  if (!dir) {
    if (again >= 0)
      close(again);
    return 0;
  }
  struct dirent *e;
  int rc = 0;
  while (rc == 0 && depth < max_depth && (e = readdir(dir))) {
    if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
      continue;
    int child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0)
      continue;
    rc = below(child, each, arg, depth + 1);
    if (rc == 0)
      rc = each(child, arg);
    close(child);
  }
  closedir(dir);
  return rc;
}

bool ro_cgroup_sound(const char *path, const char *id) {
  const char *last = path ? strrchr(path, '/') : NULL;
  return last && path[0] == '/' && id && *id && *id != '.' && strcmp(last + 1, id) == 0 && !strstr(path, "/../") && !strstr(path, "//");
}

/* ---- out of memory ---- */

static int oom(int fd, void *arg) {
  (void)arg;
  static const char *const files[] = {"memory.oom_control", "memory.events"};
  for (size_t i = 0; i < PU_COUNT(files); i++) {
    PU_AUTO_FREE text = ro_read_file(fd, files[i], max_file, NULL);
    const char *p = text ? strstr(text, "oom_kill ") : NULL;
    if (p && strtoll(p + strlen("oom_kill "), NULL, 10) > 0)
      return 1;
  }
  return 0;
}

static int oom_with_children(int fd, void *arg) { return below(fd, oom, arg, 0) || oom(fd, arg); }

bool ro_cgroup_oom_killed(const char *path) { return each_hierarchy(path, oom_with_children, NULL) != 0; }

/* ---- kill ---- */

static void put(int fd, const char *file, const char *text) {
  int to = openat(fd, file, O_WRONLY | O_CLOEXEC);
  if (to < 0)
    return;
  if (write(to, text, strlen(text)) < 0 && errno != EBUSY)
    errno = 0; /* what counts is whether something is left afterwards */
  close(to);
}

struct killing {
  const char *path;
  long seen;
};

/* The number may have become another's since it was read: the pidfd holds whoever has it now, and that one must be in the cgroup. False
 * where it is dead: one that only waits to be reaped by whoever is its parent now is still listed, and is in nobody's way. */
static bool kill_one(const char *path, pid_t pid) {
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  struct pollfd dead = {.fd = fd, .events = POLLIN};
  if (fd < 0)
    return false;
  if (poll(&dead, 1, 0) == 1) {
    close(fd);
    return false;
  }
  char file[64];
  snprintf(file, sizeof file, "/proc/%ld/cgroup", (long)pid);
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, file, max_file, NULL);
  if (text && strstr(text, path))
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
  close(fd);
  return true;
}

static int kill_here(int fd, void *arg) {
  struct killing *k = arg;
  PU_AUTO_FREE text = ro_read_file(fd, "cgroup.procs", max_file, NULL);
  for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
    pid_t pid = (pid_t)strtol(p, NULL, 10);
    if (pid <= 1 || pid == getpid())
      continue;
    k->seen += kill_one(k->path, pid);
  }
  return 0;
}

static int kill_tree(int fd, void *arg) {
  put(fd, "cgroup.kill", "1"); /* version 2, Linux 5.14: the kernel does it all */
  below(fd, kill_here, arg, 0);
  return kill_here(fd, arg);
}

static int freeze(int fd, void *arg) {
  put(fd, "freezer.state", arg); /* version 1 */
  put(fd, "cgroup.freeze", strcmp(arg, "FROZEN") == 0 ? "1" : "0");
  return 0;
}

static void nap(int ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  nanosleep(&t, NULL);
}

int ro_cgroup_kill(const char *path, struct ro_fail *why) {
  for (int waited = 0, step = 1; waited < patience_ms; waited += step, step = step < 16 ? step * 2 : 16) {
    struct killing k = {path, 0};
    each_hierarchy(path, kill_tree, &k);
    if (!k.seen)
      return 0;
    if (waited > 2) { /* it breeds, or it was frozen: then what is pending waits for the thaw */
      each_hierarchy(path, freeze, (char[]){"FROZEN"});
      each_hierarchy(path, kill_tree, &k);
      each_hierarchy(path, freeze, (char[]){"THAWED"});
    }
    nap(step);
  }
  return ro_fail(why, "unavailable", "processes of cgroup %s do not end although they were killed: they may wait for a device or a network file system", path);
}

/* ---- remove ---- */

static int remove_below(int fd, int depth) {
  int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = again >= 0 ? fdopendir(again) : NULL;
  if (!dir) {
    if (again >= 0)
      close(again);
    return -1;
  }
  struct dirent *e;
  int rc = 0;
  while (depth < max_depth && (e = readdir(dir))) {
    if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
      continue;
    int child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0)
      continue;
    remove_below(child, depth + 1);
    close(child);
    if (unlinkat(fd, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
      rc = -1;
  }
  closedir(dir);
  return rc;
}

static int remove_one(int fd, void *arg) {
  char link[64], name[4096];
  remove_below(fd, 0);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, name, sizeof name - 1);
  if (n <= 0)
    return 0;
  name[n] = 0;
  if (rmdir(name) < 0 && errno != ENOENT)
    *(int *)arg = errno;
  return 0;
}

int ro_cgroup_remove(const char *path, struct ro_fail *why) {
  int error = 0;
  for (int waited = 0, step = 1; waited < patience_ms; waited += step, step = step < 16 ? step * 2 : 16) {
    error = 0;
    each_hierarchy(path, remove_one, &error);
    if (!error)
      return 0;
    /* Whoever was on the way into it when it was found empty is there by now. */
    struct killing k = {path, 0};
    each_hierarchy(path, kill_tree, &k);
    nap(step);
  }
  errno = error;
  return ro_fail_errno(why, "cannot remove cgroup %s", path);
}
