#include "config.h"
#include "fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "proc.h"

enum { patience_ms = 30000, max_log = 4096 };

static char *options_of(const struct ro_monspec *s) {
  struct pu_buf out = {0};
  const json_t *map = pu_obj(pu_obj(s->json, "rootfs"), "idmap");
  pu_buf_adds(&out, "lowerdir=");
  for (size_t i = 0; i < s->nlower; i++)
    pu_buf_addf(&out, "%s%s", i ? ":" : "", s->lower[i]);
  pu_buf_addf(&out, ",upperdir=%s,workdir=%s", s->upper, s->work);
  if (map)
    pu_buf_addf(&out, ",uidmapping=0:%lld:%lld,gidmapping=0:%lld:%lld", (long long)pu_int(map, "uid", 0), (long long)pu_int(map, "count", 0),
                (long long)pu_int(map, "gid", 0), (long long)pu_int(map, "count", 0));
  return pu_buf_steal(&out);
}

static _Noreturn void serve(const struct ro_monspec *s, const char *options, const char *log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent)
    _exit(127);
  ro_proc_plain_signals();
  int null = open("/dev/null", O_RDWR | O_CLOEXEC), words = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  dup2(null, 0);
  dup2(words >= 0 ? words : null, 1);
  dup2(words >= 0 ? words : null, 2);
  execl(s->fuse, s->fuse, "-f", "-o", options, s->target, (char *)NULL);
  _exit(127);
}

static bool is_mounted(const char *target) {
  struct statfs fs;
  return statfs(target, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC;
}

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The table of mounts is readable (POLLPRI) whenever it changes. Looked at every 50 ms as well, since a child that ends changes nothing there. */
static bool wait_mounted(const char *target, pid_t server) {
  int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  bool there = false, ended = false;
  for (long long until = now_ms() + patience_ms; !there && !ended && now_ms() < until;) {
    struct pollfd p = {.fd = mounts, .events = POLLPRI};
    there = is_mounted(target);
    ended = !there && waitpid(server, NULL, WNOHANG) == server;
    if (!there && !ended)
      poll(&p, 1, 50);
  }
  if (mounts >= 0)
    close(mounts);
  if (!there && !ended) {
    kill(server, SIGKILL);
    while (waitpid(server, NULL, 0) < 0 && errno == EINTR)
      continue;
  }
  return there;
}

pid_t ro_fuse_mount(const struct ro_monspec *s, struct ro_fail *why) {
  PU_AUTO_FREE options = options_of(s);
  PU_AUTO_FREE log = pu_asprintf("%s/fuse.log", s->bundle);
  if (access(s->fuse, X_OK) < 0)
    return ro_fail_errno(why, "cannot run %s, which is to have the files of container %s", s->fuse, s->id);
  pid_t parent = getpid(), server = fork();
  if (server == 0)
    serve(s, options, log, parent);
  if (server < 0)
    return ro_fail_errno(why, "cannot start %s for container %s", s->fuse, s->id);
  if (wait_mounted(s->target, server))
    return server;
  PU_AUTO_FREE words = ro_read_file(AT_FDCWD, log, max_log, NULL);
  return ro_fail(why, "unavailable", "%s does not mount the root file system of container %s: %s", s->fuse, s->id, words && *words ? words : "it says nothing; is /dev/fuse there?");
}

void ro_fuse_end(const char *target, pid_t server) {
  if (server <= 0)
    return;
  int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    syncfs(fd);
    close(fd);
  }
  umount2(target, MNT_DETACH);
  kill(server, SIGKILL);
  while (waitpid(server, NULL, 0) < 0 && errno == EINTR)
    continue;
}
