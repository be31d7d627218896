/* The table `inet berth` and the names of bridges are one server's: two that kept networks in one network namespace would take each other's
 * rules away. So whoever has networks holds a lock, a file below /run that only root opens, named by the namespace. Who lets go
 * removes the file while it still holds it; who opened it before that sees that it has lost its name, and begins anew. */
#include "config.h"
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { tries = 100, path_max = 64 };

static bool path_of(char path[path_max]) {
  struct stat ns;
  if (stat("/proc/thread-self/ns/net", &ns) != 0)
    return false;
  snprintf(path, path_max, "/run/berth-net-%llu.lock", (unsigned long long)ns.st_ino);
  return true;
}

static bool still_named(int fd, const char *path) {
  struct stat mine, there;
  return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

int ro_only_take(struct ro_why *why) {
  char path[path_max];
  if (!path_of(path))
    return ro_why_set(why, BERTH_IO, "/proc/thread-self/ns/net cannot be read: is /proc mounted?");
  for (int i = 0; i < tries; i++) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
      return ro_why_set(why, BERTH_IO, "%s cannot be made: %m", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      close(fd);
      return ro_why_set(why, BERTH_CONFLICT, "another server has networks on this machine (%s), and the packet filter's table is one server's: stop that one, or start this one in a network namespace of its own", path);
    }
    if (still_named(fd, path))
      return fd;
    close(fd);
  }
  return ro_why_set(why, BERTH_UNAVAILABLE, "%s comes and goes: try again", path);
}

void ro_only_release(int *fd) {
  char path[path_max];
  if (*fd < 0)
    return;
  if (path_of(path) && still_named(*fd, path))
    unlink(path);
  close(*fd);
  *fd = -1;
}
