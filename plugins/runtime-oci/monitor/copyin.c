#include "config.h"
#include "copy.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "resolve.h"

enum { block = 65536 };

struct in {
  const struct ro_copy *c;
  const char *path; /* the folder, as given */
  struct archive *a;
  struct archive_entry *e;
  struct ro_fail *why;
};

static bool leads_up(const char *p) {
  for (; *p; p += strcspn(p, "/"), p += strspn(p, "/"))
    if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
      return true;
  return false;
}

/* The folder that holds name of the archive (made where absent), and the last part of name. -1 with why. */
static int place_of(struct in *x, const char *name, char **last) {
  name += strspn(name, "/");
  if (leads_up(name))
    return ro_fail(x->why, "invalid", "\"%s\" of the archive leads out of the folder it is for", name);
  PU_AUTO_FREE folder = NULL;
  ro_path_split(name, &folder, last);
  PU_AUTO_FREE whole = pu_asprintf("%s/%s", x->path, folder);
  int fd = ro_folder_inside(x->c->root, whole, 1);
  return fd < 0 ? ro_fail_errno(x->why, "cannot open folder %s in the container", whole) : fd;
}

/* ---- what is made ---- */

static int make_folder(int at, const char *name) {
  if (strcmp(name, ".") == 0 || mkdirat(at, name, 0700) == 0)
    return 0;
  struct stat st;
  if (errno == EEXIST && fstatat(at, name, &st, 0) == 0 && S_ISDIR(st.st_mode))
    return 0; /* a link to a folder stays one */
  return -1;
}

/* A folder is not replaced. */
static int clear(int at, const char *name) { return unlinkat(at, name, 0) < 0 && errno != ENOENT ? -1 : 0; }

static int write_data(struct in *x, int fd) {
  const void *data;
  size_t len;
  la_int64_t at;
  int rc;
  while ((rc = archive_read_data_block(x->a, &data, &len, &at)) == ARCHIVE_OK) {
    if (lseek(fd, at, SEEK_SET) < 0 || ro_write_all(fd, data, len) < 0)
      return ro_fail_errno(x->why, "cannot write %s in the container", archive_entry_pathname(x->e));
  }
  if (rc != ARCHIVE_EOF)
    return ro_fail(x->why, "invalid", "the archive is damaged in %s: %s", archive_entry_pathname(x->e), archive_error_string(x->a));
  return ftruncate(fd, archive_entry_size(x->e)) < 0 ? ro_fail_errno(x->why, "cannot write %s in the container", archive_entry_pathname(x->e)) : 0;
}

static void set_xattrs(struct in *x, int fd) {
  const char *name;
  const void *value;
  size_t size;
  archive_entry_xattr_reset(x->e);
  while (archive_entry_xattr_next(x->e, &name, &value, &size) == ARCHIVE_OK)
    if (pu_starts(name, "user.") || pu_eq(name, "security.capability"))
      fsetxattr(fd, name, value, size, 0);
}

/* A file that is a mount of its own (/etc/hosts) cannot be replaced, but written. */
static int make_file(struct in *x, int at, const char *name) {
  int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, fd;
  if (clear(at, name) == 0)
    fd = openat(at, name, flags | O_EXCL | O_CLOEXEC, 0600);
  else
    fd = errno == EBUSY ? openat(at, name, flags | O_TRUNC | O_CLOEXEC, 0600) : -1;
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
    if (fd >= 0)
      close(fd);
    return -1;
  }
  int rc = write_data(x, fd);
  if (rc == 0)
    rc = fchown(fd, ro_copy_out_id(&x->c->uids, (uint32_t)archive_entry_uid(x->e)), ro_copy_out_id(&x->c->gids, (uint32_t)archive_entry_gid(x->e)));
  if (rc == 0)
    set_xattrs(x, fd); /* after the owner: a change of it takes capabilities away */
  close(fd);
  return rc;
}

static int make_hard_link(struct in *x, int at, const char *name, const char *target) {
  PU_AUTO_FREE last = NULL;
  int from = place_of(x, target, &last);
  if (from < 0)
    return -1;
  int rc = clear(at, name) < 0 ? -1 : linkat(from, last, at, name, 0), error = errno;
  close(from);
  errno = error;
  return rc;
}

static int make(struct in *x, int at, const char *name) {
  const char *hard = archive_entry_hardlink(x->e);
  if (hard)
    return make_hard_link(x, at, name, hard);
  switch (archive_entry_filetype(x->e)) {
  case AE_IFDIR:
    return make_folder(at, name);
  case AE_IFREG:
    return make_file(x, at, name);
  case AE_IFLNK:
    return clear(at, name) < 0 ? -1 : symlinkat(archive_entry_symlink(x->e) ? archive_entry_symlink(x->e) : "", at, name);
  case AE_IFIFO:
    return clear(at, name) < 0 ? -1 : mkfifoat(at, name, 0600);
  default:
    return ro_fail(x->why, "denied", "\"%s\" of the archive is a device or a socket; those are not copied", archive_entry_pathname(x->e));
  }
}

/* ---- whose it is, and when ---- */

static int set_owner(struct in *x, int at, const char *name) {
  struct stat st;
  if (archive_entry_hardlink(x->e))
    return 0;
  uid_t uid = ro_copy_out_id(&x->c->uids, (uint32_t)archive_entry_uid(x->e));
  gid_t gid = ro_copy_out_id(&x->c->gids, (uint32_t)archive_entry_gid(x->e));
  if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (!S_ISREG(st.st_mode) && fchownat(at, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0))
    return -1;
  if (S_ISLNK(st.st_mode))
    return 0;
  /* By way of a descriptor that is known to be no link: fchmodat would follow one that was put there meanwhile. */
  int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int rc = fd < 0 || fstat(fd, &st) < 0 || S_ISLNK(st.st_mode) ? -1 : chmod(path, archive_entry_perm(x->e));
  if (fd >= 0)
    close(fd);
  return rc;
}

static void set_time(struct in *x, int at, const char *name) {
  struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = archive_entry_mtime(x->e), .tv_nsec = archive_entry_mtime_nsec(x->e)}};
  if (!archive_entry_hardlink(x->e) && archive_entry_mtime_is_set(x->e) && utimensat(at, name, t, AT_SYMLINK_NOFOLLOW) < 0)
    errno = 0; /* a file system without times is none that fails */
}

static int one(struct in *x) {
  const char *name = archive_entry_pathname(x->e);
  PU_AUTO_FREE last = NULL;
  int at = name ? place_of(x, name, &last) : ro_fail(x->why, "invalid", "an entry of the archive has no readable name");
  if (at < 0)
    return -1;
  int rc = make(x, at, last);
  if (rc == 0 && strcmp(last, ".") != 0) {
    rc = set_owner(x, at, last);
    set_time(x, at, last);
  }
  if (rc < 0 && (errno == EISDIR || errno == EEXIST || errno == ENOTDIR))
    ro_fail(x->why, "conflict", "cannot put %s into %s: a folder is not replaced by a file, nor a file by a folder", name, x->path);
  else if (rc < 0)
    ro_fail_errno(x->why, "cannot put %s into %s", name, x->path);
  close(at);
  return rc;
}

int ro_copy_in(const struct ro_copy *c, const char *path, struct ro_fail *why) {
  int folder = ro_folder_inside(c->root, path, 0);
  if (folder < 0 && errno == ENOTDIR)
    return ro_fail(why, "invalid", "%s in the container is no folder", path);
  if (folder < 0)
    return ro_fail_errno(why, "cannot open %s in the container", path);
  close(folder);
  struct in x = {c, path, archive_read_new(), NULL, why};
  int rc = 0, got = ARCHIVE_OK;
  archive_read_support_format_tar(x.a);
  if (archive_read_open_fd(x.a, 0, block) != ARCHIVE_OK)
    rc = ro_fail(why, "invalid", "the archive cannot be read: %s", archive_error_string(x.a));
  while (rc == 0 && (got = archive_read_next_header(x.a, &x.e)) == ARCHIVE_OK)
    rc = one(&x);
  if (rc == 0 && got != ARCHIVE_EOF)
    rc = ro_fail(why, "invalid", "the archive is no sound tar: %s", archive_error_string(x.a));
  archive_read_free(x.a);
  return rc;
}
