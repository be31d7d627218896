#include "config.h"
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/util.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* the same on all architectures */
#endif

/* Our projects, where others' (1 and up; kubelet's from 1048577) are not. */
enum { first = 0x42000000, mask = 0x00ffffff, tries = 64, block = 512 };

static int ctl(int fd, unsigned cmd, uint32_t project, void *addr) { return (int)syscall(SYS_quotactl_fd, fd, QCMD(cmd, PRJQUOTA), project, addr); }

static int open_dir(const char *path) { return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }

static bool sad(char **why, const char *dir) {
  if (errno == ENOSYS)
    *why = pu_strdup("quotactl_fd is of Linux 5.14: run a newer kernel");
  else
    *why = pu_asprintf("the file system of %s has no limits for projects in force (%s): put root on xfs, or ext4 with the feature project, mounted with prjquota", dir,
                       strerror(errno));
  return false;
}

/* fs_quota_statv says which kinds are enforced; ext4 knows it too. */
static bool enforced(int fd) {
  struct fs_quota_statv v = {.qs_version = FS_QSTATV_VERSION1};
  if (ctl(fd, Q_XGETQSTATV, 0, &v) != 0)
    return false;
  errno = ESRCH;
  return v.qs_flags & FS_QUOTA_PDQ_ENFD;
}

bool ro_quota_able(const char *dir, char **why) {
  int fd = open_dir(dir);
  bool able = fd >= 0 && enforced(fd);
  if (!able)
    sad(why, dir);
  if (fd >= 0)
    close(fd);
  return able;
}

/* Whether nobody else has it: no limit, nothing written. */
static bool is_free(int fd, uint32_t project) {
  struct fs_disk_quota q = {0};
  if (ctl(fd, Q_XGETQUOTA, project, &q) != 0)
    return errno == ENOENT;
  return q.d_blk_hardlimit == 0 && q.d_bcount == 0 && q.d_icount == 0;
}

/* The numbers start from the id, which is random. 0: all that were tried are taken. */
static uint32_t find(int fd, const char *id) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (const char *p = id; *p; p++)
    hash = (hash ^ (unsigned char)*p) * 16777619u;
  for (uint32_t i = 0; i < tries; i++) {
    uint32_t project = first | ((hash + i) & mask);
    if (is_free(fd, project))
      return project;
  }
  return 0;
}

/* Of ours; 0: of none, or of somebody else's. */
static uint32_t project_of(int fd) {
  struct fsxattr a;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &a) != 0)
    return 0;
  return (a.fsx_projid & ~(uint32_t)mask) == first ? a.fsx_projid : 0;
}

/* The folder and what will be made in it. */
static bool join(int fd, uint32_t project) {
  struct fsxattr a;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &a) != 0)
    return false;
  a.fsx_projid = project;
  a.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return ioctl(fd, FS_IOC_FSSETXATTR, &a) == 0;
}

static bool limit(int fd, uint32_t project, int64_t bytes) {
  struct fs_disk_quota q = {.d_version = FS_DQUOT_VERSION, .d_flags = FS_PROJ_QUOTA, .d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT, .d_id = project};
  q.d_blk_hardlimit = q.d_blk_softlimit = bytes > 0 ? ((uint64_t)bytes + block - 1) / block : 0;
  return ctl(fd, Q_XSETQLIM, project, &q) == 0;
}

static bool set(int fd, const char *upper, const char *work, const char *id, int64_t bytes, char **why) {
  uint32_t project = project_of(fd);
  if (!project && bytes <= 0)
    return true;
  if (!enforced(fd))
    return sad(why, upper);
  if (!project && !(project = find(fd, id))) {
    *why = pu_asprintf("no number of a project is free on the file system of %s", upper);
    return false;
  }
  int other = work ? open_dir(work) : -1;
  bool done = (!work || (other >= 0 && join(other, project))) && join(fd, project) && limit(fd, project, bytes);
  if (!done)
    *why = pu_asprintf("%s cannot be limited to %lld bytes: %s", upper, (long long)bytes, strerror(errno));
  if (other >= 0)
    close(other);
  return done;
}

bool ro_quota_set(const char *upper, const char *work, const char *id, int64_t bytes, char **why) {
  int fd = open_dir(upper);
  bool done = fd < 0 ? bytes <= 0 || sad(why, upper) : set(fd, upper, work, id, bytes, why); /* a copy is made later */
  if (fd >= 0)
    close(fd);
  return done;
}

void ro_quota_drop(const char *upper) {
  int fd = open_dir(upper);
  uint32_t project = fd < 0 ? 0 : project_of(fd);
  if (project)
    (void)limit(fd, project, 0); /* nothing is lost by a limit that stays: is_free passes the number over */
  if (fd >= 0)
    close(fd);
}
