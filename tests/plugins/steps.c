/* Preloaded into berthd by tests/it/oci_crash.py: counts the steps by which it changes something outside of itself, and has it killed (SIGKILL) before or after
 * the one that is asked for. A step is a call that makes, renames, removes or syncs a file, writes to a database, mounts, starts a process, takes a port or speaks
 * netlink. Each counts twice: before it is made, and after.
 *
 * BERTH_STEPS names a file of two 64-bit numbers, shared with who asks: how many ticks are left until the end (0: it is not asked for), and how many there were. Programs that
 * berthd starts are let alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct shared {
  _Atomic long long left, total;
};
static struct shared *shared;
static pid_t self;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("BERTH_STEPS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd >= 0)
    close(fd);
  unsetenv("LD_PRELOAD");
  unsetenv("BERTH_STEPS");
  self = getpid();
  shared = map == MAP_FAILED ? NULL : map;
}

static void tick(void) {
  int saved = errno;
  if (!shared || getpid() != self)
    return;
  atomic_fetch_add(&shared->total, 1);
  if (atomic_load(&shared->left) > 0 && atomic_fetch_sub(&shared->left, 1) == 1)
    kill(self, SIGKILL);
  errno = saved;
}

static void *real(const char *name) {
  void *f = dlsym(RTLD_NEXT, name);
  if (!f)
    abort();
  return f;
}

#pragma GCC visibility push(default)

/* A function of the C library by its own type: both ticks around it. */
#define STEP(type, name, parameters, ...)             \
  type name parameters {                              \
    static type(*_Atomic next) parameters;            \
    if (!next)                                        \
      next = (type(*) parameters)real(#name);         \
    tick();                                           \
    type rc = next(__VA_ARGS__);                      \
    tick();                                           \
    return rc;                                        \
  }

STEP(int, mkdir, (const char *path, mode_t mode), path, mode)
STEP(int, mkdirat, (int dir, const char *path, mode_t mode), dir, path, mode)
STEP(int, rmdir, (const char *path), path)
STEP(int, unlink, (const char *path), path)
STEP(int, unlinkat, (int dir, const char *path, int flags), dir, path, flags)
STEP(int, rename, (const char *from, const char *to), from, to)
STEP(int, renameat, (int a, const char *from, int b, const char *to), a, from, b, to)
STEP(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), a, from, b, to, flags)
STEP(int, symlink, (const char *to, const char *path), to, path)
STEP(int, link, (const char *from, const char *to), from, to)
STEP(int, linkat, (int a, const char *from, int b, const char *to, int flags), a, from, b, to, flags)
STEP(int, fsync, (int fd), fd)
STEP(int, fdatasync, (int fd), fd)
STEP(int, ftruncate, (int fd, off_t at), fd, at)
STEP(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), fd, data, len, at)
STEP(ssize_t, pwrite64, (int fd, const void *data, size_t len, off64_t at), fd, data, len, at)
STEP(int, mount, (const char *what, const char *where, const char *type, unsigned long flags, const void *data), what, where, type, flags, data)
STEP(int, umount2, (const char *where, int flags), where, flags)
STEP(int, bind, (int fd, const struct sockaddr *to, socklen_t len), fd, to, len)
STEP(int, posix_spawn,
     (pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict actions, const posix_spawnattr_t *restrict how, char *const argv[restrict],
      char *const env[restrict]),
     pid, path, actions, how, argv, env)
STEP(int, posix_spawnp,
     (pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict actions, const posix_spawnattr_t *restrict how, char *const argv[restrict],
      char *const env[restrict]),
     pid, path, actions, how, argv, env)
STEP(pid_t, fork, (void), )

/* Only opening that may make a file is a step, and only what goes over netlink. */
#define OPEN(name, parameters, ...)                                          \
  int name parameters {                                                      \
    static int (*_Atomic next)parameters;                                    \
    if (!next)                                                               \
      next = (int(*) parameters)real(#name);                                 \
    mode_t mode = 0;                                                         \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                   \
      va_list ap;                                                            \
      va_start(ap, flags);                                                   \
      mode = va_arg(ap, mode_t);                                             \
      va_end(ap);                                                            \
      tick();                                                                \
    }                                                                        \
    int rc = next(__VA_ARGS__, mode);                                        \
    if (flags & (O_CREAT | __O_TMPFILE))                                     \
      tick();                                                                \
    return rc;                                                               \
  }

OPEN(open, (const char *path, int flags, ...), path, flags)
OPEN(open64, (const char *path, int flags, ...), path, flags)
OPEN(openat, (int dir, const char *path, int flags, ...), dir, path, flags)
OPEN(openat64, (int dir, const char *path, int flags, ...), dir, path, flags)

static int netlink(int fd) {
  int domain = 0;
  socklen_t len = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK;
}

#define SEND(name, parameters, ...)                   \
  ssize_t name parameters {                           \
    static ssize_t (*_Atomic next)parameters;         \
    if (!next)                                        \
      next = (ssize_t(*) parameters)real(#name);      \
    int counts = netlink(fd);                         \
    if (counts)                                       \
      tick();                                         \
    ssize_t rc = next(__VA_ARGS__);                   \
    if (counts)                                       \
      tick();                                         \
    return rc;                                        \
  }

SEND(send, (int fd, const void *data, size_t len, int flags), fd, data, len, flags)
SEND(sendto, (int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t n), fd, data, len, flags, to, n)
SEND(sendmsg, (int fd, const struct msghdr *m, int flags), fd, m, flags)

#pragma GCC visibility pop
