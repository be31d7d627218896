#include "config.h"
#include "copyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../common/util.h"

enum { max_attributes = 64 << 10 };

/* Capabilities of files, ACLs and users' own. */
static void copy_attributes(int from, int to) {
  if (flistxattr(from, NULL, 0) <= 0)
    return;
  PU_AUTO_FREE names = pu_calloc(1, max_attributes);
  PU_AUTO_FREE value = pu_calloc(1, max_attributes);
  ssize_t n = flistxattr(from, names, max_attributes);
  for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
    ssize_t len = fgetxattr(from, names + i, value, max_attributes);
    if (len >= 0 && !pu_starts(names + i, "trusted.") && !pu_starts(names + i, "security.selinux") && fsetxattr(to, names + i, value, (size_t)len, 0) != 0)
      continue;
  }
}

/* Owner first: it takes the set-uid bits away. */
int ro_copyfile_meta(int from, int to, const struct stat *st) {
  if (fchown(to, st->st_uid, st->st_gid) != 0 || fchmod(to, st->st_mode & 07777) != 0)
    return -1;
  copy_attributes(from, to);
  const struct timespec times[] = {st->st_atim, st->st_mtim};
  return futimens(to, times);
}

/* Btrfs and xfs share the blocks until somebody writes. */
static int copy_bytes(int from, int to) {
  ssize_t n;
  if (ioctl(to, FICLONE, from) == 0)
    return 0;
  while ((n = sendfile(to, from, NULL, 1 << 24)) > 0)
    ;
  return n < 0 ? -1 : 0;
}

int ro_copyfile_bytes(int from, int dir, const char *name, const struct stat *st) {
  int to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  int rc = to < 0 || (st->st_size > 0 && copy_bytes(from, to) != 0) ? -1 : ro_copyfile_meta(from, to, st);
  int saved = errno;
  if (to >= 0)
    close(to);
  errno = saved;
  return rc;
}

static int copy_link(int from, const char *name, int dir, const struct stat *st) {
  char text[4096];
  ssize_t n = readlinkat(from, name, text, sizeof text - 1);
  if (n < 0)
    return -1;
  text[n] = '\0';
  return symlinkat(text, dir, name) != 0 ? -1 : fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
}

/* Its rights are not what the umask leaves of them. */
static int copy_node(const char *name, int dir, const struct stat *st) {
  if (mknodat(dir, name, st->st_mode, st->st_rdev) != 0 || fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) != 0)
    return -1;
  return fchmodat(dir, name, st->st_mode & 07777, 0);
}

int ro_copyfile_other(int from, const char *name, int dir, const struct stat *st) {
  const struct timespec times[] = {st->st_atim, st->st_mtim};
  if (S_ISSOCK(st->st_mode))
    return 0;
  if ((S_ISLNK(st->st_mode) ? copy_link(from, name, dir, st) : copy_node(name, dir, st)) != 0)
    return -1;
  return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
}
