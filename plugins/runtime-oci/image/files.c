#define _GNU_SOURCE /* openat2's constants, syncfs */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../common/util.h"

enum { max_nested = 4096 };

void ri_fd_close(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

int64_t ri_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *ri_boot_id(void) {
  static char id[64];
  if (!id[0]) {
    RI_AUTO_FD fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, id, sizeof id - 1) : 0;
    id[n > 0 ? n : 0] = 0;
    id[strcspn(id, "\n")] = 0;
  }
  return id;
}

/* ---------------------------------------------------------------- whole files */

int ri_write_all(int fd, const void *data, size_t len, off_t at) {
  const char *p = data;
  while (len) {
    ssize_t n = at < 0 ? write(fd, p, len) : pwrite(fd, p, len, at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? errno : ENOSPC;
    p += n;
    len -= (size_t)n;
    at += at < 0 ? 0 : n;
  }
  return 0;
}

int ri_file_read(int dir, const char *path, size_t max, char **out, size_t *len) {
  RI_AUTO_FD fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    return errno;
  if (!S_ISREG(st.st_mode))
    return EINVAL;
  if (st.st_size < 0 || (size_t)st.st_size > max)
    return EFBIG;
  PU_AUTO_FREE text = pu_calloc(1, (size_t)st.st_size + 1);
  size_t have = 0;
  while (have < (size_t)st.st_size) {
    ssize_t n = read(fd, text + have, (size_t)st.st_size - have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    if (!n)
      break;
    have += (size_t)n;
  }
  *len = have;
  *out = text;
  text = NULL;
  return 0;
}

int ri_file_write(int dir, const char *name, const void *data, size_t len) {
  PU_AUTO_FREE tmp = pu_asprintf(".%s.%d.%lx", name, getpid(), (unsigned long)pthread_self());
  RI_AUTO_FD fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return errno;
  int error = ri_write_all(fd, data, len, -1);
  if (!error && fsync(fd) < 0)
    error = errno;
  if (!error && renameat(dir, tmp, dir, name) < 0)
    error = errno;
  if (error)
    unlinkat(dir, tmp, 0);
  else if (fsync(dir) < 0 && errno != EINVAL && errno != EBADF) /* an O_PATH folder: the file itself is safe */
    error = errno;
  return error;
}

/* ---------------------------------------------------------------- folders */

int ri_mkdirs(const char *path, mode_t mode) {
  PU_AUTO_FREE copy = pu_strdup(path);
  for (char *p = copy + 1;; p++) {
    if (*p && *p != '/')
      continue;
    char was = *p;
    *p = 0;
    if (mkdir(copy, mode) < 0 && errno != EEXIST)
      return errno;
    *p = was;
    if (!was)
      return 0;
  }
}

int ri_dir_open(int dir, const char *path, bool make) {
  if (make && mkdirat(dir, path, 0700) < 0 && errno != EEXIST)
    return -1;
  return openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int ri_open_inside(int dir, const char *path, int flags) {
  struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  long fd;
  do
    fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
  while (fd < 0 && errno == EAGAIN);
  return (int)fd;
}

int ri_each_name(int dir, int (*each)(void *arg, const char *name), void *arg) {
  int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  int r = 0;
  if (!d) {
    if (fd >= 0)
      close(fd);
    return errno;
  }
  for (struct dirent *e; !r && (e = readdir(d));)
    if (!pu_eq(e->d_name, ".") && !pu_eq(e->d_name, ".."))
      r = each(arg, e->d_name);
  closedir(d);
  return r;
}

static int remove_below(int fd, int depth, int64_t *freed);

static int remove_entry(int dir, const char *name, int depth, int64_t *freed) {
  struct stat st;
  if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : errno;
  if (!S_ISDIR(st.st_mode)) {
    if (freed && st.st_nlink <= 1)
      *freed += st.st_blocks * 512;
    return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? errno : 0;
  }
  int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  int error = fd < 0 ? errno : remove_below(fd, depth + 1, freed);
  if (!error && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
    error = errno;
  return error;
}

/* Takes fd. */
static int remove_below(int fd, int depth, int64_t *freed) {
  DIR *d = depth > max_nested ? NULL : fdopendir(fd);
  if (!d) {
    close(fd);
    return ELOOP;
  }
  int error = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (pu_eq(e->d_name, ".") || pu_eq(e->d_name, ".."))
      continue;
    int one = remove_entry(dirfd(d), e->d_name, depth, freed);
    error = error ? error : one;
  }
  closedir(d);
  return error;
}

int ri_tree_remove(int dir, const char *name, int64_t *freed) { return remove_entry(dir, name, 0, freed); }

/* ---------------------------------------------------------------- locks */

int ri_lock_turn(int fd, enum ri_lock how) {
  int op = how == RI_SHARED ? LOCK_SH : how == RI_ALONE ? LOCK_EX : LOCK_EX | LOCK_NB;
  while (flock(fd, op) < 0)
    if (errno != EINTR)
      return errno;
  return 0;
}

/* Who removes a lock's file holds it alone: so what was got may be a file that is there no more, and then it is tried anew. */
int ri_lock_take(int dir, const char *name, enum ri_lock how) {
  for (;;) {
    RI_AUTO_FD fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
      return -1;
    int error = ri_lock_turn(fd, how);
    if (error) {
      errno = error;
      return -1;
    }
    struct stat mine, there;
    if (fstat(fd, &mine) == 0 && fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && mine.st_ino == there.st_ino &&
        mine.st_dev == there.st_dev) {
      int held = fd;
      fd = -1;
      return held;
    }
  }
}
