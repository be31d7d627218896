#include "config.h"
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/util.h"

enum { max_tries = 1000 };

int ro_path_open(int root, const char *path, int flags, mode_t mode, bool no_links) {
  struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .mode = flags & O_CREAT ? mode : 0};
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (no_links ? RESOLVE_NO_SYMLINKS : 0);
  for (int i = 0; i < max_tries; i++) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
      return (int)fd;
  }
  return -1;
}

int ro_path_make(const char *path) {
  PU_AUTO_FREE text = pu_strdup(path);
  struct stat st;
  for (char *p = text + 1; *text; p++) {
    if (*p && *p != '/')
      continue;
    char end = *p;
    *p = '\0';
    if (mkdir(text, 0755) != 0 && errno != EEXIST)
      return -1;
    *p = end;
    if (!end)
      break;
  }
  return stat(path, &st);
}

/* ---------------------------------------------------------------- binds */

static int fail(const char **code, char **why, const char *name, char *owned) {
  *code = name;
  *why = owned;
  return -1;
}

/* A folder or a file for what is bound there, whichever that is. */
static int place_for(int fd, const char *target) {
  struct stat st;
  PU_AUTO_FREE above = pu_strdup(target);
  char *slash = strrchr(above, '/');
  if (slash && slash > above) {
    *slash = '\0';
    if (ro_path_make(above) != 0)
      return -1;
  }
  if (fstat(fd, &st) != 0)
    return -1;
  if (S_ISDIR(st.st_mode))
    return mkdir(target, 0700) != 0 && errno != EEXIST ? -1 : 0;
  int file = open(target, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  return file < 0 ? -1 : close(file);
}

static int bind_root(const json_t *bind, const char **code, char **why) {
  const char *root = pu_str_or(bind, "root", ""), *path = pu_str_or(bind, "path", ""), *target = pu_str_or(bind, "target", "");
  int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = dir >= 0 ? ro_path_open(dir, path, O_PATH, 0, false) : -1;
  int saved = errno;
  if (dir >= 0)
    close(dir);
  if (dir < 0)
    return fail(code, why, "not_found", pu_asprintf("volumes: %s is not there: %s", root, strerror(saved)));
  if (fd < 0)
    return fail(code, why, saved == ENOENT ? "not_found" : "invalid", pu_asprintf("volumes: the subpath %s of %s cannot be used: %s", path, root, strerror(saved)));
  PU_AUTO_FREE self = pu_asprintf("/proc/self/fd/%d", fd);
  int rc = place_for(fd, target) == 0 ? mount(self, target, NULL, MS_BIND | MS_REC, NULL) : -1;
  saved = errno;
  close(fd);
  return rc == 0 ? 0 : fail(code, why, "unavailable", pu_asprintf("volumes: the subpath %s of %s cannot be bound to %s: %s", path, root, target, strerror(saved)));
}

/* A copy of the other's mount, taken in its mount namespace, where its root is the container's own: links cannot lead out. */
static int take_tree(int theirs, const char *path) {
  int back = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), tree = -1;
  if (back >= 0 && setns(theirs, CLONE_NEWNS) == 0) {
    tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    int saved = errno;
    if (setns(back, CLONE_NEWNS) != 0)
      abort(); /* nothing may go on in a container's mounts */
    errno = saved;
  }
  int saved = errno;
  if (back >= 0)
    close(back);
  errno = saved;
  return tree;
}

static int bind_process(const json_t *bind, const char **code, char **why) {
  const char *path = pu_str_or(bind, "path", ""), *target = pu_str_or(bind, "target", "");
  PU_AUTO_FREE space = pu_asprintf("/proc/%lld/ns/mnt", (long long)pu_int(bind, "pid", 0));
  int theirs = open(space, O_RDONLY | O_CLOEXEC), tree = theirs >= 0 ? take_tree(theirs, path) : -1, saved = errno;
  if (theirs >= 0)
    close(theirs);
  if (tree < 0)
    return fail(code, why, theirs < 0 ? "not_found" : "unavailable", pu_asprintf("ipc: %s of the other container cannot be had: %s", path, strerror(saved)));
  int rc = place_for(tree, target) == 0 ? move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) : -1;
  saved = errno;
  close(tree);
  return rc == 0 ? 0 : fail(code, why, "unavailable", pu_asprintf("ipc: %s of the other container cannot be bound to %s: %s", path, target, strerror(saved)));
}

int ro_path_prepare(const json_t *monitor, const char *rootfs, const char **code, char **why) {
  size_t i;
  json_t *v;
  json_array_foreach(pu_arr(monitor, "make"), i, v)
    if (!json_is_string(v) || (access(json_string_value(v), F_OK) != 0 && ro_path_make(json_string_value(v)) != 0))
      return fail(code, why, "invalid", pu_asprintf("volumes: the folder %s cannot be made: %s", json_is_string(v) ? json_string_value(v) : "", strerror(errno)));
  json_array_foreach(pu_arr(monitor, "binds"), i, v)
    if ((pu_str(v, "root") ? bind_root : bind_process)(v, code, why) != 0)
      return -1;
  json_array_foreach(pu_arr(monitor, "own"), i, v)
    if (ro_own_empty(pu_str_or(v, "path", ""), (uid_t)pu_int(v, "uid", 0), (gid_t)pu_int(v, "gid", 0)) != 0)
      return fail(code, why, "unavailable", pu_asprintf("volumes: %s cannot be given to the container's users: %s", pu_str_or(v, "path", ""), strerror(errno)));
  json_array_foreach(rootfs ? pu_arr(monitor, "copy_up") : NULL, i, v) {
    PU_AUTO_FREE at = NULL;
    if (ro_copy_up(rootfs, pu_str_or(v, "source", ""), pu_str_or(v, "target", ""), &at) != 0)
      return fail(code, why, errno == ENOSPC ? "no_space" : "unavailable",
                  pu_asprintf("volumes: the image's %s cannot be copied to %s: %s: %s", pu_str_or(v, "source", ""), pu_str_or(v, "target", ""), at ? at : "", strerror(errno)));
  }
  return 0;
}
