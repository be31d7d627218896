#include "config.h"
#include "copy.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../common/util.h"
#include "resolve.h"

enum { block = 65536, max_depth = 256, max_xattrs = 65536 };

struct out {
  const struct ro_copy *c;
  struct archive *a;
  struct archive_entry_linkresolver *links; /* second names of a file become hard links */
  struct ro_fail *why;
};

static int broken(struct out *x, const char *name) {
  return ro_fail(x->why, "unavailable", "cannot write the archive at %s: %s", name, archive_error_string(x->a));
}

/* As many bytes as the head has promised, whatever happens to the file meanwhile. */
static int write_data(struct out *x, int fd, int64_t left, const char *name) {
  static char bytes[block];
  while (left > 0) {
    ssize_t n = read(fd, bytes, left < block ? (size_t)left : block);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return ro_fail_errno(x->why, "cannot read %s in the container", name);
    if (n == 0) {
      n = left < block ? left : block;
      memset(bytes, 0, (size_t)n);
    }
    if (archive_write_data(x->a, bytes, (size_t)n) != n)
      return broken(x, name);
    left -= n;
  }
  return 0;
}

static void add_xattrs(struct archive_entry *e, int fd) {
  char names[4096], value[4096];
  ssize_t n = flistxattr(fd, names, sizeof names);
  for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
    ssize_t size = pu_starts(p, "user.") || pu_eq(p, "security.capability") ? fgetxattr(fd, p, value, sizeof value) : -1;
    if (size >= 0)
      archive_entry_xattr_add_entry(e, p, value, (size_t)size);
  }
}

static struct archive_entry *entry_of(struct out *x, int at, const char *last, const char *name, const struct stat *st) {
  struct archive_entry *e = archive_entry_new();
  archive_entry_copy_stat(e, st);
  archive_entry_copy_pathname(e, name);
  archive_entry_set_uid(e, ro_copy_in_id(&x->c->uids, st->st_uid));
  archive_entry_set_gid(e, ro_copy_in_id(&x->c->gids, st->st_gid));
  if (S_ISLNK(st->st_mode)) {
    char target[4097];
    ssize_t n = readlinkat(at, last, target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    archive_entry_copy_symlink(e, target);
  }
  return e;
}

static int put_entry(struct out *x, struct archive_entry *e, int fd, const char *name) {
  struct archive_entry *spare = NULL;
  archive_entry_linkify(x->links, &e, &spare);
  int rc = archive_write_header(x->a, e) < ARCHIVE_WARN ? broken(x, name) : 0;
  if (rc == 0 && fd >= 0 && archive_entry_size(e) > 0)
    rc = write_data(x, fd, archive_entry_size(e), name);
  archive_entry_free(e);
  return rc;
}

static int walk(struct out *x, int at, const char *last, const char *name, int depth);

static int walk_folder(struct out *x, int fd, const char *name, int depth) {
  DIR *dir = fdopendir(fd);
  if (!dir) {
    close(fd);
    return ro_fail_errno(x->why, "cannot read folder %s in the container", name);
  }
  int rc = 0;
  struct dirent *d;
  while (rc == 0 && (d = readdir(dir))) {
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
      continue;
    PU_AUTO_FREE below = pu_asprintf("%s/%s", name, d->d_name);
    rc = walk(x, fd, d->d_name, below, depth + 1);
  }
  closedir(dir);
  return rc;
}

/* What went away since its folder was read is left out; sockets have no place in a tar. */
static int walk(struct out *x, int at, const char *last, const char *name, int depth) {
  struct stat st;
  if (depth > max_depth)
    return ro_fail(x->why, "too_large", "folders are nested over %d deep at %s", max_depth, name);
  if (fstatat(at, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return depth && errno == ENOENT ? 0 : ro_fail_errno(x->why, "cannot look at %s in the container", name);
  if (S_ISSOCK(st.st_mode))
    return 0;
  int fd = -1;
  if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
    fd = openat(at, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (S_ISDIR(st.st_mode) ? O_DIRECTORY : 0));
    if (fd < 0 || fstat(fd, &st) < 0)
      return depth && (errno == ENOENT || errno == ELOOP) ? 0 : ro_fail_errno(x->why, "cannot open %s in the container", name);
  }
  struct archive_entry *e = entry_of(x, at, last, name, &st);
  if (fd >= 0)
    add_xattrs(e, fd);
  int rc = put_entry(x, e, S_ISREG(st.st_mode) ? fd : -1, name);
  if (rc == 0 && S_ISDIR(st.st_mode))
    return walk_folder(x, fd, name, depth);
  if (fd >= 0)
    close(fd);
  return rc;
}

int ro_copy_out(const struct ro_copy *c, const char *path, struct ro_fail *why) {
  PU_AUTO_FREE folder = NULL;
  PU_AUTO_FREE last = NULL;
  ro_path_split(path, &folder, &last);
  int at = ro_open_inside(c->root, *folder ? folder : "/", O_RDONLY | O_DIRECTORY, 0);
  struct stat st;
  if (at < 0 || fstatat(at, last, &st, AT_SYMLINK_NOFOLLOW) < 0) {
    ro_fail_errno(why, "cannot open %s in the container", path);
    if (at >= 0)
      close(at);
    return -1;
  }
  if (strcmp(last, "..") == 0) {
    close(at);
    return ro_fail(why, "invalid", "%s: name the folder itself", path);
  }
  struct out x = {c, archive_write_new(), archive_entry_linkresolver_new(), why};
  archive_write_set_format_pax_restricted(x.a);
  archive_write_set_bytes_per_block(x.a, block);
  archive_entry_linkresolver_set_strategy(x.links, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
  int rc = archive_write_open_fd(x.a, 1) == ARCHIVE_OK ? walk(&x, at, last, last, 0) : broken(&x, path);
  if (rc == 0 && archive_write_close(x.a) != ARCHIVE_OK)
    rc = broken(&x, path);
  archive_entry_linkresolver_free(x.links);
  archive_write_free(x.a);
  close(at);
  return rc;
}
