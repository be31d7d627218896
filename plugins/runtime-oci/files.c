#include "config.h"
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/util.h"

static void tell(char **why, const char *path, const char *what) {
  int e = errno;
  if (why)
    *why = pu_asprintf("%s: %s%s%s", path, what, *what ? ": " : "", strerror(e));
  errno = e;
}

/* The content, NUL-terminated, of a regular file of at most most bytes; NULL with *why (which may be NULL), errno kept. */
static char *read_file(const char *path, size_t most, size_t *len, char **why) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) {
    tell(why, path, "");
    if (fd >= 0)
      close(fd);
    return NULL;
  }
  if (!S_ISREG(st.st_mode) || (uintmax_t)st.st_size > most) {
    close(fd);
    errno = EFBIG;
    if (why)
      *why = pu_asprintf("%s: not a file of at most %zu bytes", path, most);
    return NULL;
  }
  char *data = pu_calloc(1, (size_t)st.st_size + 1);
  size_t got = 0;
  ssize_t n;
  while (got < (size_t)st.st_size && (n = read(fd, data + got, (size_t)st.st_size - got)) > 0)
    got += (size_t)n;
  close(fd);
  if (len)
    *len = got;
  return data;
}

json_t *ro_file_json(const char *path, size_t most, char **why) {
  size_t len = 0;
  PU_AUTO_FREE text = read_file(path, most, &len, why);
  if (!text)
    return NULL;
  json_t *v = pu_json_parse(text, len);
  if (!v) {
    errno = EINVAL;
    if (why)
      *why = pu_asprintf("%s: it is no JSON", path);
  }
  return v;
}

static bool write_all(int fd, const char *data, size_t len) {
  while (len) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno != EINTR)
      return false;
    if (n > 0) {
      data += n;
      len -= (size_t)n;
    }
  }
  return true;
}

static bool sync_folder(const char *path) {
  PU_AUTO_FREE folder = pu_strdup(path);
  char *slash = strrchr(folder, '/');
  if (!slash || slash == folder)
    return true;
  *slash = 0;
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool good = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0)
    close(fd);
  return good;
}

bool ro_file_write(const char *path, const void *data, size_t len, mode_t mode, bool sync, char **why) {
  PU_AUTO_FREE tmp = pu_asprintf("%s.tmp", path);
  unlink(tmp);
  int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  bool good = fd >= 0 && fchmod(fd, mode) == 0 && write_all(fd, data, len) && (!sync || fdatasync(fd) == 0);
  good = good && rename(tmp, path) == 0 && (!sync || sync_folder(path));
  if (!good)
    tell(why, path, "it cannot be written");
  if (fd >= 0)
    close(fd);
  if (!good && fd >= 0)
    unlink(tmp);
  return good;
}

bool ro_file_write_json(const char *path, const json_t *v, mode_t mode, bool sync, char **why) {
  PU_AUTO_FREE text = pu_json_text(v);
  return ro_file_write(path, text, strlen(text), mode, sync, why);
}

/* The mode is the one asked for, whatever the umask of the server is: a container's root folder must be open to its users. */
static bool make_exactly(const char *path, mode_t mode) { return mkdir(path, mode) == 0 && chmod(path, mode) == 0; }

bool ro_dir_make(const char *path, mode_t mode, char **why) {
  if (make_exactly(path, mode))
    return true;
  if (errno == ENOENT) {
    PU_AUTO_FREE above = pu_strdup(path);
    char *slash = strrchr(above, '/');
    if (slash && slash != above) {
      *slash = 0;
      if (!ro_dir_make(above, 0755, why))
        return false;
      if (make_exactly(path, mode))
        return true;
    }
  }
  struct stat st;
  if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
    return true;
  tell(why, path, "this folder cannot be made");
  return false;
}

/* ---------------------------------------------------------------- trees */

/* Below an open folder, which is taken. Depth is the tree's own: what a container makes may be deep, so no path is ever built, and beyond
 * the limit of descriptors the folder is moved up and begun anew. */
static bool empty_folder(int fd, dev_t device, int depth, int top);

static bool remove_entry(int at, const char *name, dev_t device, int depth, int top) {
  if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
    return true;
  if (errno != EISDIR && errno != EPERM)
    return false;
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return false;
  enum { deepest = 128 };
  if (depth > deepest) {
    char moved[64];
    static int count;
    snprintf(moved, sizeof moved, ".deep-%d-%d", (int)getpid(), __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
    close(fd);
    return renameat(at, name, top, moved) == 0;
  }
  return empty_folder(fd, device, depth + 1, top) && (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT);
}

static bool empty_folder(int fd, dev_t device, int depth, int top) {
  struct stat st;
  DIR *d = fstat(fd, &st) == 0 && st.st_dev == device ? fdopendir(fd) : NULL;
  if (!d) {
    errno = st.st_dev == device ? errno : EXDEV;
    int e = errno;
    close(fd);
    errno = e;
    return false;
  }
  bool good = true;
  int failed = 0;
  struct dirent *e;
  while ((e = readdir(d)))
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !remove_entry(dirfd(d), e->d_name, device, depth, top)) {
      good = false;
      failed = errno;
    }
  closedir(d);
  errno = failed;
  return good;
}

bool ro_tree_remove(const char *path, char **why) {
  struct stat st;
  if (lstat(path, &st) != 0)
    return errno == ENOENT;
  if (!S_ISDIR(st.st_mode))
    return unlink(path) == 0 || errno == ENOENT;
  int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  bool good = top >= 0;
  /* Folders that were moved up are found by the next round. */
  for (int round = 0; good && round < 1000; round++) {
    int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    good = fd >= 0 && empty_folder(fd, st.st_dev, 0, top);
    if (good && (rmdir(path) == 0 || errno == ENOENT)) {
      close(top);
      return true;
    }
    good = good && errno == ENOTEMPTY;
  }
  tell(why, path, "it cannot be removed");
  if (top >= 0)
    close(top);
  return false;
}

bool ro_dir_each(const char *path, void (*found)(void *arg, const char *name), void *arg) {
  DIR *d = opendir(path);
  if (!d)
    return errno == ENOENT;
  struct dirent *e;
  while ((e = readdir(d)))
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
      found(arg, e->d_name);
  closedir(d);
  return true;
}
