/* One server uses a root: a lock on ROOT/lock, in which the owner's process number stands. */
#include "config.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "../common/util.h"

enum { tries = 30, pause_ms = 10 };

/* Who had it until now may be on its way out: a restart does not wait for the last of its threads. */
static bool locked(int fd) {
  for (int i = 0; i < tries; i++) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
      return true;
    if (errno != EWOULDBLOCK)
      return false;
    nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000000}, NULL);
  }
  errno = EWOULDBLOCK;
  return false;
}

int ro_root_take(const char *root, bool make, char **why) {
  PU_AUTO_FREE path = pu_asprintf("%s/lock", root);
  char owner[32] = "";
  int fd = open(path, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && locked(fd)) {
    if (ftruncate(fd, 0) == 0)
      dprintf(fd, "%ld\n", (long)getpid());
    return fd;
  }
  int error = errno;
  if (fd >= 0 && error == EWOULDBLOCK && pread(fd, owner, sizeof owner - 1, 0) < 0)
    owner[0] = '\0';
  if (fd >= 0)
    close(fd);
  long pid = strtol(owner, NULL, 10);
  PU_AUTO_FREE who = pid > 0 ? pu_asprintf(" (process %ld)", pid) : pu_strdup("");
  pu_set(why, error == EWOULDBLOCK ? pu_asprintf("%s is in use by another berthd%s: stop that one, or give this one its own root and run", root, who) : pu_asprintf("%s: %s", path, strerror(error)));
  errno = error;
  return -1;
}
