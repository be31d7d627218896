#include "config.h"
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../../common/util.h"
#include "../spec/idmap.h"
#include "files.h"
#include "fuse.h"
#include "merge.h"

#define UNIFIED "/sys/fs/cgroup/unified"
enum { max_options = 4000 };

/* The mount that path lies in, cut off the host's alone: what is mounted on it here stays here. */
static int cut_off(const char *path, const char *id, struct ro_fail *why) {
  PU_AUTO_FREE at = pu_strdup(path);
  struct statx st;
  while (at[1] && (statx(AT_FDCWD, at, AT_SYMLINK_NOFOLLOW, 0, &st) < 0 || !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))) {
    char *slash = strrchr(at, '/');
    slash[slash == at] = 0;
  }
  return mount(NULL, at, NULL, MS_PRIVATE, NULL) < 0 ? ro_fail_errno(why, "cannot cut %s off the host's mounts for container %s", at, id) : 0;
}

int ro_root_private(const struct ro_monspec *s, int flags, struct ro_fail *why) {
  if (unshare(CLONE_NEWNS | flags) < 0)
    return ro_fail_errno(why, "cannot make namespaces for container %s", s->id);
  if (s->shared)
    return cut_off(s->target ? s->target : s->bundle, s->id, why) < 0 || cut_off(s->bundle, s->id, why) < 0 || cut_off(UNIFIED, s->id, why) < 0 ? -1 : 0;
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
    return ro_fail_errno(why, "cannot cut the mounts of container %s off the host's", s->id);
  return 0;
}

/* ---- overlay ---- */

/* The folders are opened and named by their descriptors with /proc/self/fd as working directory: so neither a colon in a path nor the
 * page that the option text must fit in is a limit (500 layers take 2 KB). */
struct folders {
  int fds[512];
  size_t n;
  int users;          /* a user namespace that the folders are mapped to, -1 */
  const char *places; /* where such mounts are put */
};

static int add(struct folders *f, const char *path) {
  int fd = f->users >= 0 ? ro_idmap_clone(path, f->users, f->places, f->n) : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0)
    f->fds[f->n++] = fd;
  return fd;
}

static void close_all(struct folders *f) {
  while (f->n)
    close(f->fds[--f->n]);
  if (f->users >= 0)
    close(f->users);
}

static int overlay_options(const struct ro_monspec *s, struct folders *f, struct pu_buf *out, struct ro_fail *why) {
  pu_buf_adds(out, "lowerdir=");
  for (size_t i = 0; i < s->nlower; i++) {
    int fd = add(f, s->lower[i]);
    if (fd < 0)
      return ro_fail_errno(why, "layer %s of container %s is not there: pull its image again", s->lower[i], s->id);
    pu_buf_addf(out, "%s%d", i ? ":" : "", fd);
  }
  /* Both by the folder that they are in: mapped to users of their own, they must be of one mount. */
  PU_AUTO_FREE above = pu_strdup(s->upper);
  char *name = strrchr(above, '/'), *work = strrchr(s->work, '/');
  if (!name || !work || name - above != work - s->work || strncmp(above, s->work, (size_t)(name - above)) != 0)
    return ro_fail(why, "invalid", "upper and work of container %s are not in one folder", s->id);
  *name++ = 0;
  int fd = add(f, above);
  if (fd < 0)
    return ro_fail_errno(why, "cannot open the writable layer of container %s (%s)", s->id, s->upper);
  pu_buf_addf(out, ",upperdir=%d/%s,workdir=%d/%s", fd, name, fd, work + 1);
  return out->len > max_options ? ro_fail(why, "invalid", "container %s has too many layers (%zu)", s->id, s->nlower) : 0;
}

/* An old kernel may not know the last two; what they switch off is off there anyway. */
static int mount_overlay(const char *target, const struct pu_buf *options) {
  PU_AUTO_FREE all = pu_asprintf("%s,index=off,metacopy=off", options->data);
  if (mount("overlay", target, "overlay", 0, all) == 0)
    return 0;
  return errno == EINVAL ? mount("overlay", target, "overlay", 0, options->data) : -1;
}

/* What an overlay makes of its own is made by whoever mounted it: where its folders are mapped, that must be one of theirs, with all rights. */
static void be(int64_t uid, int64_t gid) {
  prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
  setfsgid((gid_t)gid);
  setfsuid((uid_t)uid);
  prctl(PR_SET_SECUREBITS, 0);
}

static int overlay(const struct ro_monspec *s, struct ro_fail *why) {
  PU_AUTO_FREE places = pu_asprintf("%s/layers", s->bundle);
  struct folders f = {.n = 0, .users = -1, .places = places};
  PU_AUTO_BUF options = {0};
  const json_t *map = pu_obj(pu_obj(s->json, "rootfs"), "idmap");
  if (map && ((f.users = ro_idmap_users(pu_int(map, "uid", 0), pu_int(map, "gid", 0), pu_int(map, "count", 0))) < 0 || ro_make_dirs(places, 0700) < 0))
    return ro_fail_errno(why, "cannot map the users of container %s", s->id);
  int rc = overlay_options(s, &f, &options, why);
  if (rc == 0 && chdir("/proc/self/fd") < 0)
    rc = ro_fail_errno(why, "cannot use /proc");
  if (map)
    be(pu_int(map, "uid", 0), pu_int(map, "gid", 0));
  int mounted = rc == 0 ? mount_overlay(s->target, &options) : 0, saved = errno;
  if (map)
    be(0, 0);
  errno = saved;
  if (mounted < 0)
    rc = ro_fail_errno(why, "cannot mount the root file system of container %s", s->id);
  if (chdir("/") < 0 && rc == 0)
    rc = ro_fail_errno(why, "cannot use /");
  close_all(&f);
  return rc;
}

static int make(const char *path, struct ro_fail *why) {
  return ro_make_dirs(path, 0711) < 0 ? ro_fail_errno(why, "cannot make %s", path) : 0;
}

/* A folder as it is; its users mapped by the kernel where the container's are. */
static int bind_folder(const struct ro_monspec *s, struct ro_fail *why) {
  const json_t *map = pu_obj(pu_obj(s->json, "rootfs"), "idmap");
  PU_AUTO_FREE places = pu_asprintf("%s/layers", s->bundle);
  PU_AUTO_FREE mapped = pu_asprintf("%s/0", places);
  if (map) {
    int users = ro_idmap_users(pu_int(map, "uid", 0), pu_int(map, "gid", 0), pu_int(map, "count", 0));
    int fd = users < 0 || ro_make_dirs(places, 0700) < 0 ? -1 : ro_idmap_clone(s->upper, users, places, 0), saved = errno;
    if (users >= 0)
      close(users);
    if (fd >= 0)
      close(fd);
    errno = saved;
    if (fd < 0)
      return ro_fail_errno(why, "cannot map the users of container %s: the file system of %s must know mapped mounts", s->id, s->upper);
  }
  if (mount(map ? mapped : s->upper, s->target, NULL, MS_BIND, NULL) < 0)
    return ro_fail_errno(why, "cannot mount the root file system of container %s", s->id);
  return 0;
}

int ro_root_mount(const struct ro_monspec *s, pid_t *server, struct ro_fail *why) {
  *server = 0;
  if (!s->target)
    return 0;
  if (make(s->target, why) < 0)
    return -1;
  if (s->copy && s->nlower && ro_merge(s->lower, s->nlower, s->upper, s->id, why) < 0)
    return -1;
  if (!s->nlower || s->copy)
    return bind_folder(s, why);
  if (!s->fuse)
    return overlay(s, why);
  *server = ro_fuse_mount(s, why);
  return *server < 0 ? -1 : 0;
}

void ro_root_hide_unified(void) {
  struct statfs fs;
  if (statfs(UNIFIED, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
    mount("none", UNIFIED, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,nr_inodes=64,mode=755");
}
