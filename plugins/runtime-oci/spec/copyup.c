/* An empty volume takes over what the image has at its place, as people know it from Docker. */
#include "config.h"
#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "copyfile.h"

enum { max_levels = 200 };

struct copy {
  char *at; /* where it failed */
};

static int copy_folder(struct copy *c, int from, int to, int level);

static int copy_below(struct copy *c, int from, int dir, const char *name, const struct stat *st, int level) {
  if (mkdirat(dir, name, 0700) != 0)
    return -1;
  int to = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int rc = to < 0 || copy_folder(c, from, to, level + 1) != 0 ? -1 : ro_copyfile_meta(from, to, st);
  int saved = errno;
  if (to >= 0)
    close(to);
  errno = saved;
  return rc;
}

static int copy_entry(struct copy *c, int from, const char *name, int to, int level) {
  struct stat st;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return -1;
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
    return ro_copyfile_other(from, name, to, &st);
  int fd = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (S_ISDIR(st.st_mode) ? O_DIRECTORY : 0));
  int rc = fd < 0 ? -1 : S_ISDIR(st.st_mode) ? copy_below(c, fd, to, name, &st, level) : ro_copyfile_bytes(fd, to, name, &st);
  int saved = errno;
  if (fd >= 0)
    close(fd);
  errno = saved;
  return rc;
}

static int copy_folder(struct copy *c, int from, int to, int level) {
  if (level > max_levels) {
    errno = ELOOP;
    return -1;
  }
  int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  struct dirent *e;
  int rc = dir ? 0 : -1;
  while (rc == 0 && (e = readdir(dir)))
    if (!pu_eq(e->d_name, ".") && !pu_eq(e->d_name, "..") && (rc = copy_entry(c, from, e->d_name, to, level)) != 0 && !c->at)
      c->at = pu_strdup(e->d_name);
  int saved = errno;
  if (dir)
    closedir(dir);
  errno = saved;
  return rc;
}

/* ---------------------------------------------------------------- whole */

static bool empty(int fd) {
  int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = own >= 0 ? fdopendir(own) : NULL;
  struct dirent *e;
  int n = 0;
  while (dir && n == 0 && (e = readdir(dir)))
    n += !pu_eq(e->d_name, ".") && !pu_eq(e->d_name, "..");
  if (dir)
    closedir(dir);
  return dir && n == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  return ftw->level == 0 ? 0 : type == FTW_DP ? rmdir(path) : unlink(path);
}

/* A file beside the target says that it is being filled: whoever finds it finds an unfinished copy, which no container has seen yet. */
static int fill(struct copy *c, int from, int to, const char *target) {
  struct stat st;
  PU_AUTO_FREE mark = pu_asprintf("%s.filling", target);
  if (access(mark, F_OK) == 0 && nftw(target, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
    return -1;
  if (!empty(to) || fstat(from, &st) != 0)
    return 0;
  int fd = open(mark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return -1;
  close(fd);
  if (copy_folder(c, from, to, 0) != 0 || ro_copyfile_meta(from, to, &st) != 0)
    return -1;
  return unlink(mark);
}

int ro_copy_up(const char *rootfs, const char *source, const char *target, char **at) {
  struct copy c = {0};
  int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC), to = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int from = root >= 0 ? ro_path_open(root, source, O_RDONLY | O_DIRECTORY, 0, false) : -1;
  int rc = to < 0 || root < 0 ? -1 : 0, saved = errno;
  if (rc == 0 && from >= 0) {
    rc = flock(to, LOCK_EX) != 0 ? -1 : fill(&c, from, to, target);
    saved = errno;
  } else if (rc == 0) {
    rc = saved == ENOENT || saved == ENOTDIR || saved == ELOOP ? 0 : -1;
  }
  const int fds[] = {root, to, from};
  for (size_t i = 0; i < PU_COUNT(fds); i++)
    if (fds[i] >= 0)
      close(fds[i]);
  *at = rc == 0 ? (free(c.at), NULL) : c.at;
  errno = saved;
  return rc;
}

int ro_own_empty(const char *path, uid_t uid, gid_t gid) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = fd < 0 || fstat(fd, &st) != 0 ? -1 : st.st_uid == 0 && empty(fd) ? fchown(fd, uid, gid) : 0, saved = errno;
  if (fd >= 0)
    close(fd);
  errno = saved;
  return rc;
}
