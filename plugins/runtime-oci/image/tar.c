#define _GNU_SOURCE /* O_PATH */
#include "tar.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"

enum { max_marks = 200000, max_xattrs = 64, max_xattr = 64 << 10 };

struct folder_time {
  char *path;
  struct timespec mtime;
};

/* One unpacking. */
struct laying {
  int root;
  struct archive *tar;
  const struct ri_tar_limits *limits;
  struct ri_tar_done *out;
  struct ri_why *why;
  char *near_path; /* the folder used last: entries come in the order of a walk */
  int near;
  struct folder_time *times; /* a folder's time is set when nothing more comes into it */
  size_t ntimes, cap;
};

/* Where one entry goes. */
struct place {
  char *path, *parent; /* parent: "" for the root */
  const char *name;    /* within path; "" for the root itself */
  int dir;             /* of parent; borrowed */
};

/* ---------------------------------------------------------------- names */

char *ri_tar_path(const char *path, int max_depth, struct ri_why *why) {
  PU_AUTO_BUF out = {0};
  pu_buf_adds(&out, "");
  int depth = 0;
  if (strlen(path) >= PATH_MAX) {
    ri_why_set(why, BERTH_INVALID, "an entry's path has %zu bytes, more than a path may have: %.64s…", strlen(path), path);
    return NULL;
  }
  for (const char *p = path; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && p[0] == '.' && p[1] == '.') {
      ri_why_set(why, BERTH_DENIED, "the entry %.200s leads out of its folder: whoever made that archive means ill", path);
      return NULL;
    }
    if (n && !(n == 1 && p[0] == '.')) {
      if (++depth > max_depth || n > NAME_MAX) {
        ri_why_set(why, BERTH_TOO_LARGE, "the entry %.64s… is nested deeper than %d folders, or has a name of more than %d bytes", path, max_depth, NAME_MAX);
        return NULL;
      }
      if (out.len)
        pu_buf_addc(&out, '/');
      pu_buf_add(&out, p, n);
    }
    p += n + (p[n] == '/');
  }
  return pu_buf_steal(&out);
}

enum ri_whiteout ri_tar_whiteout(const char *name, const char **hides) {
  if (!pu_starts(name, ".wh."))
    return RI_NO_WHITEOUT;
  *hides = name + 4;
  if (pu_eq(name, ".wh..wh..opq"))
    return RI_OPAQUE;
  return pu_starts(name, ".wh..wh.") ? RI_AUFS : RI_WHITEOUT;
}

/* Marks a path in a set. */
static int mark(struct laying *l, json_t **set, const char *path) {
  if (!*set)
    *set = json_object();
  if (json_object_size(*set) >= max_marks)
    return ri_why_set(l->why, BERTH_TOO_LARGE, "more than %d folders are marked opaque or have no entry of their own", max_marks);
  if (json_object_set_new(*set, path, json_true()) < 0)
    return ri_why_set(l->why, BERTH_UNSUPPORTED, "a folder's name is no UTF-8, and no entry tells its owner: %.200s", path);
  return 0;
}

/* ---------------------------------------------------------------- folders on the way */

static void forget_near(struct laying *l) {
  pu_set(&l->near_path, NULL);
  ri_fd_close(&l->near);
}

/* The last "/" of a path apart: *parent (the caller frees), and the name within path. */
static const char *split(const char *path, char **parent) {
  const char *slash = strrchr(path, '/');
  *parent = slash ? pu_strndup(path, (size_t)(slash - path)) : pu_strdup("");
  return slash ? slash + 1 : path;
}

/* Opens the folder path, made where it is absent. A link among its parts is followed as the container would follow it. */
static int folder_open(struct laying *l, const char *path) {
  int fd = ri_open_inside(l->root, *path ? path : ".", O_PATH | O_DIRECTORY);
  if (fd >= 0)
    return fd;
  if (errno != ENOENT || !*path)
    return ri_why_errno(l->why, errno, "%s, which an entry lies in", path);
  PU_AUTO_FREE parent = NULL;
  const char *name = split(path, &parent);
  RI_AUTO_FD above = folder_open(l, parent);
  if (above < 0)
    return -1;
  if (mkdirat(above, name, 0755) < 0)
    return errno == EEXIST ? ri_why_set(l->why, BERTH_INVALID, "%s is a link to nowhere, and an entry lies in it", path)
                           : ri_why_errno(l->why, errno, "%s", path);
  if (mark(l, &l->out->implied, path) < 0)
    return -1;
  fd = openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return fd >= 0 ? fd : ri_why_errno(l->why, errno, "%s", path);
}

static int near_open(struct laying *l, const char *parent) {
  if (l->near >= 0 && pu_eq(l->near_path, parent))
    return l->near;
  forget_near(l);
  l->near = folder_open(l, parent);
  pu_set(&l->near_path, pu_strdup(parent));
  return l->near;
}

static void place_free(struct place *p) {
  free(p->path);
  free(p->parent);
}

static int place_of(struct laying *l, const char *raw, struct place *out) {
  *out = (struct place){.dir = -1};
  out->path = ri_tar_path(raw, l->limits->max_depth, l->why);
  if (!out->path)
    return -1;
  out->name = split(out->path, &out->parent);
  out->dir = near_open(l, out->parent);
  return out->dir < 0 ? -1 : 0;
}

static bool is_whiteout(const struct stat *st) { return S_ISCHR(st->st_mode) && st->st_rdev == 0; }

/* Makes way for an entry. A folder stays for a folder; a whiteout of this layer that a folder replaces makes that one opaque. */
static int make_way(struct laying *l, const struct place *p, bool folder, bool *stays) {
  struct stat st;
  *stays = false;
  if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : ri_why_errno(l->why, errno, "%s", p->path);
  *stays = folder && S_ISDIR(st.st_mode);
  if (*stays)
    return 0;
  if (folder && is_whiteout(&st) && mark(l, &l->out->opaque, p->path) < 0)
    return -1;
  int error = ri_tree_remove(p->dir, p->name, NULL);
  if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)) {
    PU_AUTO_FREE parent = pu_strdup(p->parent);
    forget_near(l);
    ((struct place *)(uintptr_t)p)->dir = near_open(l, parent);
  }
  return error ? ri_why_errno(l->why, error, "%s", p->path) : 0;
}

/* ---------------------------------------------------------------- what an entry brings along */

/* Rights that a program has when it starts, and users' own notes; the others are this machine's own matter. */
static bool xattr_kept(const char *name) {
  return pu_eq(name, "security.capability") || (pu_starts(name, "user.") && !pu_starts(name, "user.overlay."));
}

static int xattrs_set(struct laying *l, int fd, struct archive_entry *e, const char *path) {
  int n = archive_entry_xattr_reset(e);
  if (n > max_xattrs)
    return ri_why_set(l->why, BERTH_TOO_LARGE, "%s has %d extended attributes; at most %d are kept", path, n, max_xattrs);
  for (int i = 0; i < n; i++) {
    const char *name;
    const void *value;
    size_t size;
    if (archive_entry_xattr_next(e, &name, &value, &size) != ARCHIVE_OK || !name || !xattr_kept(name))
      continue;
    if (size > max_xattr)
      return ri_why_set(l->why, BERTH_TOO_LARGE, "%s has an extended attribute of %zu bytes", path, size);
    if (fsetxattr(fd, name, value, size, 0) < 0 && errno != EOPNOTSUPP)
      return ri_why_errno(l->why, errno, "%s: extended attribute %s", path, name);
  }
  return 0;
}

static struct timespec mtime_of(struct archive_entry *e) {
  return (struct timespec){archive_entry_mtime_is_set(e) ? archive_entry_mtime(e) : 0, archive_entry_mtime_is_set(e) ? archive_entry_mtime_nsec(e) : 0};
}

/* The owner first: it takes setuid bits and capabilities away. */
static int dress(struct laying *l, int fd, struct archive_entry *e, const char *path) {
  la_int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);
  if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
    return ri_why_set(l->why, BERTH_INVALID, "%s belongs to the impossible user %lld or group %lld", path, (long long)uid, (long long)gid);
  if (fchown(fd, (uid_t)uid, (gid_t)gid) < 0 || fchmod(fd, archive_entry_perm(e) & 07777) < 0)
    return ri_why_errno(l->why, errno, "%s", path);
  return xattrs_set(l, fd, e, path);
}

/* What cannot be opened: links, pipes, devices. */
static int dress_closed(struct laying *l, const struct place *p, struct archive_entry *e) {
  la_int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);
  if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
    return ri_why_set(l->why, BERTH_INVALID, "%s belongs to an impossible user or group", p->path);
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime_of(e)};
  if (fchownat(p->dir, p->name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) < 0 ||
      (archive_entry_filetype(e) != AE_IFLNK && fchmodat(p->dir, p->name, archive_entry_perm(e) & 07777, 0) < 0) ||
      utimensat(p->dir, p->name, times, AT_SYMLINK_NOFOLLOW) < 0)
    return ri_why_errno(l->why, errno, "%s", p->path);
  return 0;
}

/* ---------------------------------------------------------------- kinds of entries */

static int folder_lay(struct laying *l, struct place *p, struct archive_entry *e) {
  bool stays = !*p->name;
  if (*p->name && make_way(l, p, true, &stays) < 0)
    return -1;
  if (!stays && mkdirat(p->dir, p->name, 0700) < 0)
    return ri_why_errno(l->why, errno, "%s", p->path);
  RI_AUTO_FD fd = openat(p->dir, *p->name ? p->name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return ri_why_errno(l->why, errno, "%s", p->path);
  json_object_del(l->out->implied, p->path);
  if (l->ntimes == l->cap) {
    l->cap = l->cap ? l->cap * 2 : 256;
    l->times = reallocarray(l->times, l->cap, sizeof *l->times);
    if (!l->times)
      abort();
  }
  l->times[l->ntimes++] = (struct folder_time){pu_strdup(p->path), mtime_of(e)};
  return dress(l, fd, e, p->path);
}

static int count_bytes(struct laying *l, int64_t n) {
  if (n < 0 || n > l->limits->max_bytes || l->out->size > l->limits->max_bytes - n)
    return ri_why_set(l->why, BERTH_TOO_LARGE, "it unpacks to more than the %lld bytes that a layer may have (max_layer_size)", (long long)l->limits->max_bytes);
  l->out->size += n;
  return 0;
}

/* Holes stay holes. Bytes that the header did not speak of count as they come. */
static int data_write(struct laying *l, int fd, int64_t said, const char *path) {
  const void *block;
  size_t n;
  la_int64_t at = 0, end = 0;
  int r;
  while ((r = archive_read_data_block(l->tar, &block, &n, &at)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
    if (at < 0 || at + (int64_t)n > said)
      return ri_why_set(l->why, BERTH_INVALID, "%s is larger than its header says", path);
    int error = n ? ri_write_all(fd, block, n, at) : 0;
    if (error)
      return ri_why_errno(l->why, error, "%s", path);
    end = at + (int64_t)n;
  }
  if (r != ARCHIVE_EOF)
    return ri_why_set(l->why, BERTH_INVALID, "%s: %s", path, archive_error_string(l->tar));
  if (end < said && ftruncate(fd, said) < 0)
    return ri_why_errno(l->why, errno, "%s", path);
  return 0;
}

static int file_lay(struct laying *l, struct place *p, struct archive_entry *e) {
  bool stays;
  int64_t size = archive_entry_size(e);
  if (count_bytes(l, size) < 0 || make_way(l, p, false, &stays) < 0)
    return -1;
  RI_AUTO_FD fd = openat(p->dir, p->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return ri_why_errno(l->why, errno, "%s", p->path);
  if (data_write(l, fd, size, p->path) < 0 || dress(l, fd, e, p->path) < 0)
    return -1;
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime_of(e)};
  return futimens(fd, times) < 0 ? ri_why_errno(l->why, errno, "%s", p->path) : 0;
}

static int hard_link_lay(struct laying *l, struct place *p, const char *raw) {
  PU_AUTO_FREE target = ri_tar_path(raw, l->limits->max_depth, l->why);
  PU_AUTO_FREE parent = NULL;
  bool stays;
  if (!target)
    return -1;
  if (pu_eq(target, p->path))
    return 0;
  if (make_way(l, p, false, &stays) < 0)
    return -1;
  const char *name = split(target, &parent);
  RI_AUTO_FD dir = ri_open_inside(l->root, *parent ? parent : ".", O_PATH | O_DIRECTORY);
  if (dir < 0 || linkat(dir, name, p->dir, p->name, 0) < 0)
    return errno == ENOENT ? ri_why_set(l->why, BERTH_INVALID, "%s is a hard link to %s, which the layer does not have", p->path, target)
                           : ri_why_errno(l->why, errno, "%s, a hard link to %s", p->path, target);
  return 0;
}

static int symlink_lay(struct laying *l, struct place *p, struct archive_entry *e) {
  const char *target = archive_entry_symlink(e);
  bool stays;
  if (!target || !*target || strlen(target) >= PATH_MAX)
    return ri_why_set(l->why, BERTH_INVALID, "%s is a link to what is no path", p->path);
  if (make_way(l, p, false, &stays) < 0)
    return -1;
  if (symlinkat(target, p->dir, p->name) < 0)
    return ri_why_errno(l->why, errno, "%s", p->path);
  return dress_closed(l, p, e);
}

/* A device 0/0 would be a whiteout in disguise. */
static int node_lay(struct laying *l, struct place *p, struct archive_entry *e) {
  mode_t type = archive_entry_filetype(e);
  bool device = type != AE_IFIFO, stays;
  dev_t rdev = device ? makedev(archive_entry_rdevmajor(e), archive_entry_rdevminor(e)) : 0;
  if (device && l->limits->devices == RI_DEVICES_REFUSE)
    return ri_why_set(l->why, BERTH_DENIED, "%s is a device, and devices in images are refused here (devices: refuse)", p->path);
  if (device && (l->limits->devices == RI_DEVICES_SKIP || !rdev)) {
    l->out->devices++;
    return 0;
  }
  if (make_way(l, p, false, &stays) < 0)
    return -1;
  if (mknodat(p->dir, p->name, type | 0600, rdev) < 0)
    return ri_why_errno(l->why, errno, "%s", p->path);
  return dress_closed(l, p, e);
}

/* A file system that takes no device 0/0 (an overlay) gets the archive's own form: the kernel cannot mount layers on it, and fuse-overlayfs and the
 * copy know both. */
static int whiteout_beside(struct laying *l, const struct place *p) {
  int fd = openat(p->dir, p->name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return ri_why_errno(l->why, errno, "whiteout %s", p->path);
  close(fd);
  return 0;
}

/* What the layer itself has under that name stays: a whiteout speaks of the layers below. */
static int whiteout_lay(struct laying *l, struct place *p, const char *hides) {
  struct stat st;
  if (!*hides || pu_eq(hides, ".") || pu_eq(hides, "..") || strchr(hides, '/'))
    return ri_why_set(l->why, BERTH_INVALID, "%s is a whiteout of nothing", p->path);
  if (l->limits->bottom)
    return 0;
  if (fstatat(p->dir, hides, &st, AT_SYMLINK_NOFOLLOW) == 0) {
    PU_AUTO_FREE path = pu_asprintf("%s%s%s", p->parent, *p->parent ? "/" : "", hides);
    return S_ISDIR(st.st_mode) ? mark(l, &l->out->opaque, path) : 0;
  }
  if (mknodat(p->dir, hides, S_IFCHR, makedev(0, 0)) == 0)
    return 0;
  return errno == EPERM || errno == EOPNOTSUPP || errno == EINVAL ? whiteout_beside(l, p) : ri_why_errno(l->why, errno, "whiteout of %s", p->path);
}

/* ---------------------------------------------------------------- the archive */

static int entry_lay(struct laying *l, struct place *p, struct archive_entry *e) {
  const char *hides = NULL, *link = archive_entry_hardlink(e);
  switch (l->limits->plain ? RI_NO_WHITEOUT : ri_tar_whiteout(p->name, &hides)) {
    case RI_WHITEOUT: return whiteout_lay(l, p, hides);
    case RI_OPAQUE: return l->limits->bottom ? 0 : mark(l, &l->out->opaque, p->parent);
    case RI_AUFS: return 0;
    case RI_NO_WHITEOUT: break;
  }
  if (!*p->name && archive_entry_filetype(e) != AE_IFDIR)
    return ri_why_set(l->why, BERTH_INVALID, "an entry without a name is no folder");
  if (link)
    return hard_link_lay(l, p, link);
  switch (archive_entry_filetype(e)) {
    case AE_IFDIR: return folder_lay(l, p, e);
    case AE_IFREG: return file_lay(l, p, e);
    case AE_IFLNK: return symlink_lay(l, p, e);
    case AE_IFIFO:
    case AE_IFCHR:
    case AE_IFBLK: return node_lay(l, p, e);
    default: return ri_why_set(l->why, BERTH_INVALID, "%s is of a kind that no image has", p->path);
  }
}

static int entry_take(struct laying *l, struct archive_entry *e) {
  const char *raw = archive_entry_pathname(e);
  if (!raw)
    raw = archive_entry_pathname_utf8(e);
  if (!raw)
    return ri_why_set(l->why, BERTH_INVALID, "entry %lld has no name that can be read", (long long)l->out->entries);
  if (++l->out->entries > l->limits->max_entries)
    return ri_why_set(l->why, BERTH_TOO_LARGE, "it has more than the %lld entries that a layer may have (max_layer_entries)", (long long)l->limits->max_entries);
  struct place p __attribute__((cleanup(place_free)));
  return place_of(l, raw, &p) < 0 ? -1 : entry_lay(l, &p, e);
}

/* Backwards, so that a folder in a folder does not move the outer one's time. */
static void times_set(struct laying *l) {
  for (size_t i = l->ntimes; i-- > 0;) {
    RI_AUTO_FD fd = ri_open_inside(l->root, *l->times[i].path ? l->times[i].path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, l->times[i].mtime};
    if (fd >= 0)
      (void)!futimens(fd, times); /* a folder that became something else since has no such time */
    free(l->times[i].path);
  }
  free(l->times);
}

int ri_tar_unpack(int root, struct archive *tar, const struct ri_tar_limits *limits, struct ri_tar_done *out, struct ri_why *why) {
  struct laying l = {.root = root, .tar = tar, .limits = limits, .out = out, .why = why, .near = -1};
  struct archive_entry *e;
  int r, failed = 0;
  *out = (struct ri_tar_done){0};
  while (!failed && ((r = archive_read_next_header(tar, &e)) == ARCHIVE_OK || r == ARCHIVE_WARN))
    failed = entry_take(&l, e);
  if (!failed && r != ARCHIVE_EOF)
    failed = ri_why_set(why, BERTH_INVALID, "it is no tar archive that can be read: %s", archive_error_string(tar) ? archive_error_string(tar) : "broken");
  forget_near(&l);
  times_set(&l);
  return failed;
}
