/* Paths that a container's files could lead astray, races included; another container's /dev/shm; volumes that take over an image's files. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/spec/path.h"
#include "../unit/tap.h"

static char dir[64];

static char *in_dir(const char *name) { return pu_asprintf("%s/%s", dir, name); }

static void put(const char *name, const char *text) {
  PU_AUTO_FREE path = in_dir(name);
  FILE *f = fopen(path, "we");
  if (!f)
    return;
  fputs(text, f);
  fclose(f);
}

static void folder(const char *name) {
  PU_AUTO_FREE path = in_dir(name);
  ro_path_make(path);
}

static void link_to(const char *name, const char *text) {
  PU_AUTO_FREE path = in_dir(name);
  if (symlink(text, path) != 0)
    printf("# %s: %s\n", path, strerror(errno));
}

static char *content(const char *path) {
  char text[256] = "";
  FILE *f = fopen(path, "re");
  size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
  if (f)
    fclose(f);
  text[n] = '\0';
  return pu_strdup(text);
}

/* What path opens in the volume: its text, or the error's name. */
static void opens(const char *path, bool no_links, const char *want) {
  PU_AUTO_FREE root = in_dir("vol");
  int base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = ro_path_open(base, path, O_RDONLY, 0, no_links);
  char text[64] = "";
  ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
  is_str(fd < 0 ? strerrorname_np(errno) : n < 0 ? "unread" : text, want, path);
  if (fd >= 0)
    close(fd);
  close(base);
}

static void test_open(void) {
  folder("vol/in/side");
  put("vol/in/side/f", "inside");
  put("vol/secret", "volume's own");
  put("secret", "the machine's");
  PU_AUTO_FREE machine = in_dir("secret");
  link_to("vol/up", "../secret");
  link_to("vol/abs", "/secret");
  link_to("vol/out", machine);
  link_to("vol/deep", "in/side");
  link_to("vol/magic", "/proc/self/root");
  link_to("vol/loop", "loop");
  opens("in/side/f", true, "inside");
  opens("deep/f", false, "inside");
  opens("deep/f", true, "ELOOP");
  opens("../secret", false, "volume's own");
  opens("../../../../../../in/../secret", false, "volume's own");
  opens("up", false, "volume's own");
  opens("abs", false, "volume's own");
  opens("out", false, "ENOENT");
  opens("magic", false, "ENOENT");
  opens("loop", false, "ELOOP");
  int self = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = ro_path_open(self, "/proc/self/root/etc", O_PATH, 0, false);
  ok(fd < 0 && errno == ELOOP, "links of /proc are refused");
  close(self);
}

/* Somebody swaps a folder for a link to the machine's while it is resolved, thousands of times. */
static void test_race(void) {
  PU_AUTO_FREE a = in_dir("vol/swap");
  PU_AUTO_FREE b = in_dir("vol/swapped");
  PU_AUTO_FREE root = in_dir("vol");
  folder("vol/swap");
  put("vol/swap/secret", "inside");
  link_to("vol/swapped", dir);
  pid_t pid = fork();
  if (pid == 0)
    for (;;)
      if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) != 0)
        _exit(1);
  int base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), inside = 0, refused = 0, outside = 0;
  time_t end = time(NULL) + 20;
  for (int i = 0; i < 20000 || ((!refused || !inside) && time(NULL) < end); i++) { /* both were seen: it raced */
    int fd = ro_path_open(base, "swap/secret", O_RDONLY, 0, false);
    char text[64] = "";
    if (fd < 0) {
      refused++;
      continue;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n > 0 && strcmp(text, "inside") == 0)
      inside++;
    else
      outside++;
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  close(base);
  ok(outside == 0 && inside > 0 && refused > 0, "a link swapped in never leads out: %d inside, %d refused, %d outside", inside, refused, outside);
}

/* ---------------------------------------------------------------- binds, in a mount namespace of their own */

static json_t *binds(const char *path, const char *target) {
  PU_AUTO_FREE root = in_dir("vol");
  PU_AUTO_FREE full = in_dir(target);
  return json_pack("{s:[{s:s,s:s,s:s}]}", "binds", "root", root, "path", path, "target", full);
}

static void bound(const char *path, const char *target, const char *file, const char *want) {
  PU_AUTO_JSON plan = binds(path, target);
  PU_AUTO_FREE why = NULL;
  PU_AUTO_FREE at = in_dir(file);
  const char *code = "";
  int rc = ro_path_prepare(plan, NULL, &code, &why);
  PU_AUTO_FREE text = content(at);
  is_str(rc == 0 ? text : why, want, path);
}

static void test_binds(void) {
  PU_AUTO_JSON absent = binds("not/there", "mnt/9");
  PU_AUTO_FREE why = NULL;
  const char *code = "";
  bound("deep", "mnt/0", "mnt/0/f", "inside");
  bound("deep/f", "mnt/1", "mnt/1", "inside");
  bound("abs", "mnt/2", "mnt/2", "volume's own");
  ok(ro_path_prepare(absent, NULL, &code, &why) != 0 && pu_eq(code, "not_found") && strstr(why, "subpath not/there"), "a subpath that is not there");
  PU_AUTO_FREE made = in_dir("made/by/us");
  PU_AUTO_JSON make = json_pack("{s:[s]}", "make", made);
  struct stat st;
  ok(ro_path_prepare(make, NULL, &code, &why) == 0 && stat(made, &st) == 0 && S_ISDIR(st.st_mode), "a folder of the machine is made");
}

/* Another process with a tmpfs of its own on /dev/shm, in its own mount namespace. */
static void test_process(void) {
  int ready[2], end[2];
  char byte = 0;
  if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(end, O_CLOEXEC) != 0)
    abort();
  pid_t pid = fork();
  if (pid == 0) {
    close(end[1]);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("shm", "/dev/shm", "tmpfs", 0, "size=1m") != 0)
      _exit(1);
    FILE *f = fopen("/dev/shm/theirs", "we");
    if (f) {
      fputs("shared", f);
      fclose(f);
    }
    if (write(ready[1], "x", 1) == 1 && read(end[0], &byte, 1) >= 0)
      _exit(0);
    _exit(1);
  }
  close(ready[1]);
  close(end[0]);
  ok(read(ready[0], &byte, 1) == 1, "another container runs");
  PU_AUTO_FREE target = in_dir("mnt/shm");
  PU_AUTO_FREE file = in_dir("mnt/shm/theirs");
  PU_AUTO_JSON plan = json_pack("{s:[{s:i,s:s,s:s}]}", "binds", "pid", (int)pid, "path", "/dev/shm", "target", target);
  PU_AUTO_FREE why = NULL;
  const char *code = "";
  int rc = ro_path_prepare(plan, NULL, &code, &why);
  PU_AUTO_FREE text = content(file);
  is_str(rc == 0 ? text : why, "shared", "its /dev/shm");
  close(end[1]);
  waitpid(pid, NULL, 0);
  close(ready[0]);
  PU_AUTO_JSON gone = json_pack("{s:[{s:i,s:s,s:s}]}", "binds", "pid", (int)pid, "path", "/dev/shm", "target", target);
  PU_AUTO_FREE gone_why = NULL;
  ok(ro_path_prepare(gone, NULL, &code, &gone_why) != 0 && pu_eq(code, "not_found"), "of one that is gone");
}

/* ---------------------------------------------------------------- copy up */

static void test_copy(void) {
  PU_AUTO_FREE root = in_dir("root");
  PU_AUTO_FREE target = in_dir("volume/_data");
  PU_AUTO_FREE at = NULL;
  PU_AUTO_FREE mark = in_dir("volume/_data.filling");
  struct stat st;
  folder("root/data/sub");
  folder("volume/_data");
  put("root/data/f", "of the image");
  link_to("root/data/l", "/etc/passwd");
  link_to("root/hop", "data");
  PU_AUTO_FREE file = in_dir("root/data/f");
  PU_AUTO_FREE data = in_dir("root/data");
  if (chown(file, 12, 34) != 0 || chmod(file, 04755) != 0 || chmod(data, 01770) != 0 || setxattr(file, "user.x", "y", 1, 0) != 0)
    printf("# %s\n", strerror(errno));
  is_int(ro_copy_up(root, "/hop", target, &at), 0, "an empty volume is filled");
  PU_AUTO_FREE copied = in_dir("volume/_data/f");
  PU_AUTO_FREE text = content(copied);
  is_str(text, "of the image", "with the image's files");
  ok(stat(copied, &st) == 0 && st.st_uid == 12 && st.st_gid == 34 && (st.st_mode & 07777) == 04755, "their owners and modes");
  char value[4] = "";
  ok(getxattr(copied, "user.x", value, sizeof value) == 1 || errno == ENOTSUP, "their attributes");
  ok(stat(target, &st) == 0 && (st.st_mode & 07777) == 01770, "and those of the folder itself");
  PU_AUTO_FREE link = in_dir("volume/_data/l");
  char to[64] = "";
  ok(readlink(link, to, sizeof to - 1) > 0 && pu_eq(to, "/etc/passwd"), "links stay links");
  ok(access(mark, F_OK) != 0, "no mark stays");
  put("root/data/later", "x");
  PU_AUTO_FREE later = in_dir("volume/_data/later");
  ok(ro_copy_up(root, "/data", target, &at) == 0 && access(later, F_OK) != 0, "one that has something is left alone");
  put("volume/_data.filling", "");
  ok(ro_copy_up(root, "/data", target, &at) == 0 && access(later, F_OK) == 0, "an unfinished copy is begun anew");
  is_int(ro_copy_up(root, "/absent", target, &at), 0, "nothing there to copy is no error");
  link_to("root/out", "../../../../../../../etc");
  PU_AUTO_FREE other = in_dir("volume/other");
  PU_AUTO_FREE passwd = in_dir("volume/other/passwd");
  folder("volume/other");
  ok(ro_copy_up(root, "/out", other, &at) == 0 && access(passwd, F_OK) != 0, "an image's link to the machine's /etc brings nothing over");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path), 0;
}

int main(void) {
  if (geteuid() != 0)
    return skip_all("mounts need root");
  snprintf(dir, sizeof dir, "/tmp/berth-ocipath-XXXXXX");
  if (!mkdtemp(dir))
    return 1;
  test_open();
  test_race();
  test_copy();
  pid_t pid = fork(); /* whose mounts go with it */
  if (pid == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
      ok(true, "binds # SKIP this machine gives no mount namespace");
      _exit(0);
    }
    test_binds();
    test_process();
    fflush(stdout);
    _exit(tap_failed ? 1 : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  tap_count += 8;
  ok(status == 0, "the binds");
  nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  return done_testing();
}
