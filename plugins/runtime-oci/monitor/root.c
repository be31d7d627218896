#include "config.h"
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"

enum { max_options = 4000 };

int ro_root_private(const struct ro_monspec *s, int flags, struct ro_fail *why) {
  if (unshare(CLONE_NEWNS | flags) < 0)
    return ro_fail_errno(why, "cannot make namespaces for container %s", s->id);
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
};

static int add(struct folders *f, const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0)
    f->fds[f->n++] = fd;
  return fd;
}

static void close_all(struct folders *f) {
  while (f->n)
    close(f->fds[--f->n]);
}

static int overlay_options(const struct ro_monspec *s, struct folders *f, struct pu_buf *out, struct ro_fail *why) {
  pu_buf_adds(out, "lowerdir=");
  for (size_t i = 0; i < s->nlower; i++) {
    int fd = add(f, s->lower[i]);
    if (fd < 0)
      return ro_fail_errno(why, "layer %s of container %s is not there: pull its image again", s->lower[i], s->id);
    pu_buf_addf(out, "%s%d", i ? ":" : "", fd);
  }
  int upper = add(f, s->upper), work = upper < 0 ? -1 : add(f, s->work);
  if (work < 0)
    return ro_fail_errno(why, "cannot open the writable layer of container %s (%s)", s->id, upper < 0 ? s->upper : s->work);
  pu_buf_addf(out, ",upperdir=%d,workdir=%d", upper, work);
  return out->len > max_options ? ro_fail(why, "invalid", "container %s has too many layers (%zu)", s->id, s->nlower) : 0;
}

/* An old kernel may not know the last two; what they switch off is off there anyway. */
static int mount_overlay(const char *target, const struct pu_buf *options) {
  PU_AUTO_FREE all = pu_asprintf("%s,index=off,metacopy=off", options->data);
  if (mount("overlay", target, "overlay", 0, all) == 0)
    return 0;
  return errno == EINVAL ? mount("overlay", target, "overlay", 0, options->data) : -1;
}

static int overlay(const struct ro_monspec *s, struct ro_fail *why) {
  struct folders f = {.n = 0};
  PU_AUTO_BUF options = {0};
  int rc = overlay_options(s, &f, &options, why);
  if (rc == 0 && chdir("/proc/self/fd") < 0)
    rc = ro_fail_errno(why, "cannot use /proc");
  if (rc == 0 && mount_overlay(s->target, &options) < 0)
    rc = ro_fail_errno(why, "cannot mount the root file system of container %s", s->id);
  if (chdir("/") < 0 && rc == 0)
    rc = ro_fail_errno(why, "cannot use /");
  close_all(&f);
  return rc;
}

static int make(const char *path, struct ro_fail *why) {
  return ro_make_dirs(path, 0711) < 0 ? ro_fail_errno(why, "cannot make %s", path) : 0;
}

int ro_root_mount(const struct ro_monspec *s, struct ro_fail *why) {
  if (!s->target)
    return 0;
  if (make(s->target, why) < 0)
    return -1;
  if (s->nlower)
    return overlay(s, why);
  if (mount(s->upper, s->target, NULL, MS_BIND, NULL) < 0)
    return ro_fail_errno(why, "cannot mount the root file system of container %s", s->id);
  return 0;
}

void ro_root_hide_unified(void) {
  static const char unified[] = "/sys/fs/cgroup/unified";
  struct statfs fs;
  if (statfs(unified, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
    mount("none", unified, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,nr_inodes=64,mode=755");
}
