#include "config.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/vec.h"

enum { pipe_patience_ms = 10000 };

/* What whoever started us has opened for us: a terminal, a pipe of the shell. It may be of any kind, and slow. */
static bool is_given(const char *path) { return strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0; }

/* What is no file has side effects when it is opened or read (a tape winds back, a watchdog starts), so it is looked at before. */
static int check_kind(const char *path, struct bt_err **err) {
  struct stat st;
  if (stat(path, &st) < 0)
    return bt_err_errno(err, errno == ENOENT ? BT_NOT_FOUND : BT_IO, errno, "cannot open %s", path);
  if (S_ISDIR(st.st_mode))
    return bt_err_set(err, BT_INVALID, "%s is a folder, not a file", path);
  bool null = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
  if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || null || is_given(path))
    return 0;
  return bt_err_set(err, BT_INVALID, "%s is a %s, not a file", path, S_ISSOCK(st.st_mode) ? "socket" : "device");
}

/* As read(2) of a descriptor that does not block, but waits so long (ms; -1: for ever): a pipe that nobody writes to must not hold us. */
static ssize_t read_patiently(int fd, bool pipe, int patience, char *chunk, size_t room) {
  for (bool wait = pipe;; wait = true) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready = wait ? poll(&p, 1, patience) : 1;
    if (ready == 0)
      errno = ETIMEDOUT;
    if (ready <= 0 && errno != EINTR)
      return -1;
    ssize_t n = ready > 0 ? read(fd, chunk, room) : -1;
    if (n >= 0 || (errno != EINTR && errno != EAGAIN))
      return n;
  }
}

int bt_file_read(const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  if (check_kind(path, err) < 0)
    return -1;
  BT_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0)
    return bt_err_errno(err, errno == ENOENT ? BT_NOT_FOUND : BT_IO, errno, "cannot open %s", path);
  struct stat st;
  bool pipe = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
  BT_AUTO_BUF b = {0};
  char chunk[16384];
  int patience = is_given(path) ? -1 : pipe_patience_ms;
  for (ssize_t n; (n = read_patiently(fd, pipe, patience, chunk, sizeof chunk)) != 0;) {
    if (n < 0 && errno == ETIMEDOUT)
      return bt_err_set(err, BT_IO, "nothing comes from %s, whose other end nobody writes to", path);
    if (n < 0)
      return bt_err_errno(err, BT_IO, errno, "cannot read %s", path);
    if (b.len + (size_t)n > max)
      return bt_err_set(err, BT_TOO_LARGE, "%s is larger than the limit of %zu bytes", path, max);
    bt_buf_add(&b, chunk, (size_t)n);
  }
  if (len)
    *len = b.len;
  *out = bt_buf_steal(&b);
  return 0;
}

static int write_all(int fd, const char *p, size_t n) {
  while (n) {
    ssize_t k = write(fd, p, n);
    if (k < 0 && errno == EINTR)
      continue;
    if (k < 0)
      return -1;
    p += k;
    n -= (size_t)k;
  }
  return 0;
}

static void sync_folder(const char *path) {
  BT_AUTO_FREE char *dir = bt_path_dir(path);
  BT_AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0)
    fsync(fd);
}

int bt_file_write(const char *path, const void *data, size_t len, mode_t mode, struct bt_err **err) {
  BT_AUTO_FREE char *tmp = bt_asprintf("%s.tmp.%ld", path, (long)getpid());
  BT_AUTO_CLOSE int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot create %s", tmp);
  if (write_all(fd, data, len) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0) {
    int e = errno;
    unlink(tmp);
    return bt_err_errno(err, BT_IO, e, "cannot write %s", tmp);
  }
  if (rename(tmp, path) < 0) {
    int e = errno;
    unlink(tmp);
    return bt_err_errno(err, BT_IO, e, "cannot rename %s to %s", tmp, path);
  }
  sync_folder(path);
  return 0;
}

int bt_mkdirs(const char *path, mode_t mode, struct bt_err **err) {
  BT_AUTO_FREE char *copy = bt_strdup(path);
  for (char *p = copy + 1;; p++) {
    if (*p != '/' && *p != 0)
      continue;
    char saved = *p;
    *p = 0;
    if (mkdir(copy, mode) < 0 && errno != EEXIST)
      return bt_err_errno(err, BT_IO, errno, "cannot make the folder %s", copy);
    *p = saved;
    if (!saved)
      break;
  }
  struct stat st;
  if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
    return bt_err_set(err, BT_IO, "%s exists and is no folder", path);
  return 0;
}

bool bt_file_exists(const char *path) { return access(path, F_OK) == 0; }

char *bt_path_clean(const char *path) {
  BT_AUTO_STRS parts = {0};
  bool absolute = path[0] == '/';
  for (const char *p = path; *p;) {
    size_t n = strcspn(p, "/");
    BT_AUTO_FREE char *part = bt_strndup(p, n);
    if (bt_streq(part, "..") && parts.len && !bt_streq(parts.items[parts.len - 1], "..")) {
      free(parts.items[--parts.len]);
    } else if (n && !bt_streq(part, ".") && !(absolute && bt_streq(part, ".."))) {
      bt_strs_add(&parts, part);
    }
    p += n + (p[n] == '/');
  }
  BT_AUTO_BUF b = {0};
  for (size_t i = 0; i < parts.len; i++) {
    if (i || absolute)
      bt_buf_addc(&b, '/');
    bt_buf_adds(&b, parts.items[i]);
  }
  if (!b.len)
    bt_buf_adds(&b, absolute ? "/" : ".");
  return bt_buf_steal(&b);
}

char *bt_path_join(const char *a, const char *b) {
  if (b[0] == '/')
    return bt_path_clean(b);
  BT_AUTO_FREE char *joined = bt_asprintf("%s/%s", a, b);
  return bt_path_clean(joined);
}

char *bt_path_dir(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash)
    return bt_strdup(".");
  return slash == path ? bt_strdup("/") : bt_strndup(path, (size_t)(slash - path));
}

const char *bt_path_base(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}
