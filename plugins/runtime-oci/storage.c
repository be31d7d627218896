#include "config.h"
#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/util.h"
#include "files.h"
#include "quota.h"
#include "settings.h"

enum { patience_s = 20 };

static const char *const kinds[] = {"auto", "overlay", "fuse-overlayfs", "copy"}; /* by enum ro_storage_kind */

bool ro_storage_known(const char *wanted) {
  for (size_t i = 0; i < PU_COUNT(kinds); i++)
    if (pu_eq(kinds[i], wanted))
      return true;
  return false;
}

const char *ro_storage_word(enum ro_storage_kind kind) { return kind == RO_STORAGE_NONE ? "none" : kinds[kind]; }

/* ---------------------------------------------------------------- trying */

/* What a child tries: all made before the fork, since this process has threads and may hold any lock. */
struct trial {
  char *dir, *target, *file, *options, *plain;
  const char *program; /* fuse-overlayfs; NULL: the kernel's */
};

static _Noreturn void run_program(const struct trial *t) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++)
    dup2(null, fd);
  execl(t->program, t->program, "-o", t->plain, t->target, (char *)NULL);
  _exit(127);
}

/* The program goes to the background once it has mounted, and ends with the mount. */
static int mount_by_program(const struct trial *t) {
  struct statfs fs;
  int status = 0;
  pid_t pid = fork();
  if (pid == 0)
    run_program(t);
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    return errno;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 && statfs(t->target, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC ? 0 : ENOTSUP;
}

static int mount_by_kernel(const struct trial *t) {
  if (mount("overlay", t->target, "overlay", 0, t->options) == 0)
    return 0;
  return errno == EINVAL && mount("overlay", t->target, "overlay", 0, t->plain) == 0 ? 0 : errno;
}

/* Only system calls. A file of the layer below is replaced by a folder: whiteout and opaque mark at once. */
static int trial_child(const struct trial *t) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGALRM, SIG_DFL);
  alarm(patience_s);
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
    return errno;
  int error = t->program ? mount_by_program(t) : mount_by_kernel(t);
  if (error)
    return error;
  error = unlink(t->file) != 0 || mkdir(t->file, 0700) != 0 ? errno : 0;
  umount2(t->target, MNT_DETACH);
  return error;
}

/* 0, or why not: an errno. */
static int trial_run(const struct trial *t) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0)
    _exit(trial_child(t));
  if (pid < 0)
    return errno;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : ETIMEDOUT;
}

static void trial_free(struct trial *t) {
  ro_tree_remove(t->dir, NULL);
  free(t->dir);
  free(t->target);
  free(t->file);
  free(t->options);
  free(t->plain);
}

/* False where the folders cannot be made: then nothing can. */
static bool trial_make(struct trial *t, const char *root) {
  static const char *const names[] = {"lower", "upper", "work", "target"};
  *t = (struct trial){.dir = pu_asprintf("%s/probe", root)};
  t->target = pu_asprintf("%s/target", t->dir);
  t->file = pu_asprintf("%s/file", t->target);
  t->plain = pu_asprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", t->dir, t->dir, t->dir);
  t->options = pu_asprintf("%s,index=off,metacopy=off", t->plain);
  if (!ro_tree_remove(t->dir, NULL))
    return false;
  for (size_t i = 0; i < PU_COUNT(names); i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", t->dir, names[i]);
    if (!ro_dir_make(path, 0700, NULL))
      return false;
  }
  PU_AUTO_FREE file = pu_asprintf("%s/lower/file", t->dir);
  return ro_file_write(file, "x", 1, 0600, false, NULL);
}

/* Whether a file system shares the blocks of a copy. */
static bool try_share(const struct trial *t) {
  PU_AUTO_FREE from = pu_asprintf("%s/lower/file", t->dir);
  PU_AUTO_FREE to = pu_asprintf("%s/clone", t->dir);
  int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool good = in >= 0 && out >= 0 && ioctl(out, FICLONE, in) == 0;
  if (in >= 0)
    close(in);
  if (out >= 0)
    close(out);
  return good;
}

/* Why fuse-overlayfs cannot be used; NULL: it works. */
static char *try_program(const char *root, const char *program) {
  if (!program)
    return pu_strdup("fuse-overlayfs is not installed");
  struct trial t;
  bool made = trial_make(&t, root);
  t.program = program;
  int error = made ? trial_run(&t) : EIO;
  trial_free(&t);
  return error ? pu_asprintf("%s does not mount (is /dev/fuse there?)", program) : NULL;
}

/* ---------------------------------------------------------------- choosing */

/* What the kernel says of overlayfs; NULL: it works. Sees beside whether copies share. */
static char *try_kernel(const char *root, bool *shares) {
  struct trial t;
  bool made = trial_make(&t, root);
  int error = made ? trial_run(&t) : EIO;
  *shares = made && try_share(&t);
  trial_free(&t);
  return error ? pu_asprintf("overlayfs cannot be mounted on the file system of %s: %s", root, strerror(error)) : NULL;
}

static enum ro_storage_kind wanted_kind(const char *wanted) {
  enum ro_storage_kind kind = RO_STORAGE_COPY;
  while (kind > RO_STORAGE_NONE && !pu_eq(kinds[kind], wanted))
    kind--;
  return kind;
}

/* The program's path in PATH; NULL: there is none. The caller frees. */
static char *find_program(void) {
  char *path = ro_program_path("fuse-overlayfs");
  if (*path == '/')
    return path;
  free(path);
  return NULL;
}

/* What was asked for does not work: nothing else is taken in its place. */
static void refuse(struct ro_storage *s, char *why) {
  s->kind = why ? RO_STORAGE_NONE : s->kind;
  s->why = why;
}

/* The first that works. */
static void choose(struct ro_storage *s, const char *root, char *kernel) {
  s->kind = RO_STORAGE_OVERLAY;
  if (!kernel)
    return;
  PU_AUTO_FREE program = try_program(root, s->program);
  s->kind = program ? RO_STORAGE_COPY : RO_STORAGE_FUSE;
  s->why = program ? pu_asprintf("%s, and %s", kernel, program) : pu_strdup(kernel);
  free(kernel);
}

void ro_storage_probe(const char *root, const char *wanted, struct ro_storage *out) {
  *out = (struct ro_storage){.kind = wanted_kind(wanted), .program = find_program()};
  char *kernel = try_kernel(root, &out->shares);
  if (out->kind == RO_STORAGE_NONE)
    choose(out, root, kernel);
  else if (out->kind == RO_STORAGE_OVERLAY)
    refuse(out, kernel);
  else {
    free(kernel);
    refuse(out, out->kind == RO_STORAGE_FUSE ? try_program(root, out->program) : NULL);
  }
  (void)ro_quota_able(root, &out->unlimited);
}

struct ro_storage ro_storage_copy(const struct ro_storage *s) {
  return (struct ro_storage){.kind = s->kind, .shares = s->shares, .program = s->program ? pu_strdup(s->program) : NULL, .why = s->why ? pu_strdup(s->why) : NULL,
                             .unlimited = s->unlimited ? pu_strdup(s->unlimited) : NULL};
}

void ro_storage_free(struct ro_storage *s) {
  free(s->program);
  free(s->why);
  free(s->unlimited);
  *s = (struct ro_storage){0};
}

/* ---------------------------------------------------------------- a container's */

static const char *const folders[] = {[RO_STORAGE_OVERLAY] = "upper", [RO_STORAGE_FUSE] = "fuse", [RO_STORAGE_COPY] = "copy"};

/* What a container has written stays where it is and as it is, whatever the machine or the configuration is by now: whiteouts of one kind are files of
 * another. */
static enum ro_storage_kind kind_of(const char *dir, enum ro_storage_kind usual) {
  for (enum ro_storage_kind kind = RO_STORAGE_OVERLAY; kind <= RO_STORAGE_COPY; kind++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", dir, folders[kind]);
    if (access(path, F_OK) == 0)
      return kind;
  }
  return usual;
}

/* The writable layer, whose own owner and mode are those that the container sees of its "/": the image's. */
static bool make_upper(const char *path, const char *top, char **why) {
  struct stat st;
  if (access(path, F_OK) == 0)
    return true;
  if (!ro_dir_make(path, 0755, why))
    return false;
  if (!top || stat(top, &st) != 0 || (chown(path, st.st_uid, st.st_gid) == 0 && chmod(path, st.st_mode & 07777) == 0))
    return true;
  *why = pu_asprintf("%s: %s", path, strerror(errno));
  return false;
}

json_t *ro_storage_rootfs(const struct ro_storage *s, const char *dir, json_t *layers, const char *target, char **why) {
  enum ro_storage_kind kind = kind_of(dir, s->kind);
  if (kind == RO_STORAGE_NONE || (kind == RO_STORAGE_FUSE && !s->program)) {
    *why = kind == RO_STORAGE_NONE ? pu_asprintf("no root file system can be made: %s; set storage to auto", s->why)
                                   : pu_strdup("its files were written through fuse-overlayfs, which is not installed: apt-get install fuse-overlayfs");
    return NULL;
  }
  PU_AUTO_FREE upper = pu_asprintf("%s/%s", dir, folders[kind]);
  PU_AUTO_FREE work = pu_asprintf("%s/work", dir);
  json_t *out = json_pack("{s:O, s:s, s:s}", "lower", layers, "upper", upper, "target", target);
  if (kind == RO_STORAGE_COPY) {
    json_object_set_new(out, "copy", json_true());
    return out;
  }
  json_object_set_new(out, "work", json_string(work));
  if (kind == RO_STORAGE_FUSE)
    json_object_set_new(out, "fuse", json_string(s->program));
  if (make_upper(upper, json_string_value(json_array_get(layers, 0)), why) && ro_dir_make(work, 0700, why))
    return out;
  json_decref(out);
  return NULL;
}

void ro_storage_forget(const char *dir) {
  for (enum ro_storage_kind kind = RO_STORAGE_OVERLAY; kind < RO_STORAGE_COPY; kind++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", dir, folders[kind]);
    ro_quota_drop(path);
  }
}
