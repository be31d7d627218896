#include "config.h"
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/util.h"

static bool put_map(pid_t pid, const char *file, int64_t first, int64_t count) {
  PU_AUTO_FREE path = pu_asprintf("/proc/%d/%s", (int)pid, file);
  PU_AUTO_FREE text = pu_asprintf("0 %lld %lld\n", (long long)first, (long long)count);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  int saved = errno;
  if (fd >= 0)
    close(fd);
  errno = saved;
  return good;
}

/* The namespace is a child's that waits to be killed: only its descriptor stays. */
int ro_idmap_users(int64_t uid, int64_t gid, int64_t count) {
  int ready[2], fd = -1;
  char byte = 0;
  if (pipe2(ready, O_CLOEXEC) != 0)
    return -1;
  pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWUSER) != 0 || write(ready[1], "x", 1) != 1)
      _exit(1);
    for (;;)
      pause();
  }
  close(ready[1]);
  errno = EPERM;
  if (pid > 0 && read(ready[0], &byte, 1) == 1 && put_map(pid, "uid_map", uid, count) && put_map(pid, "gid_map", gid, count)) {
    PU_AUTO_FREE path = pu_asprintf("/proc/%d/ns/user", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
  }
  int saved = errno;
  close(ready[0]);
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  errno = saved;
  return fd;
}

int ro_idmap_clone(const char *path, int users, const char *places, size_t n) {
  PU_AUTO_FREE place = pu_asprintf("%s/%zu", places, n);
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)users};
  int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree >= 0 && mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0 && (mkdir(place, 0700) == 0 || errno == EEXIST) &&
      move_mount(tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) == 0)
    return tree;
  int saved = errno;
  if (tree >= 0)
    close(tree);
  errno = saved;
  return -1;
}
