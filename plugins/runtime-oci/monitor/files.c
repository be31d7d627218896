#include "config.h"
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../common/util.h"

enum { max_depth = 512, first_guess = 4096 };

char *ro_read_file(int dirfd, const char *path, size_t max, size_t *len) {
  int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return NULL;
  size_t cap = first_guess, have = 0;
  char *text = malloc(cap + 1);
  while (text) {
    ssize_t n = read(fd, text + have, cap - have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 || have + (size_t)n > max) {
      int error = n < 0 ? errno : EFBIG;
      free(text);
      close(fd);
      errno = error;
      return NULL;
    }
    have += (size_t)n;
    if (n == 0)
      break;
    if (have == cap) {
      char *more = realloc(text, cap * 2 + 1);
      if (!more)
        abort();
      text = more;
      cap *= 2;
    }
  }
  close(fd);
  if (!text)
    abort();
  text[have] = 0;
  if (len)
    *len = have;
  return text;
}

int ro_write_all(int fd, const void *data, size_t len) {
  const char *p = data;
  while (len) {
    ssize_t n = write(fd, p, len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

int ro_write_file(const char *path, const void *data, size_t len, mode_t mode) {
  PU_AUTO_FREE temp = pu_asprintf("%s.%ld.new", path, (long)getpid());
  int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0)
    return -1;
  int bad = ro_write_all(fd, data, len);
  int error = errno;
  close(fd);
  if (bad == 0 && rename(temp, path) == 0)
    return 0;
  if (bad == 0)
    error = errno;
  unlink(temp);
  errno = error;
  return -1;
}

int ro_make_dirs(const char *path, mode_t mode) {
  if (mkdir(path, mode) == 0 || errno == EEXIST)
    return 0;
  if (errno != ENOENT)
    return -1;
  PU_AUTO_FREE copy = pu_strdup(path);
  for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
    *p = 0;
    if (mkdir(copy, mode) < 0 && errno != EEXIST)
      return -1;
    *p = '/';
  }
  return mkdir(path, mode) == 0 || errno == EEXIST ? 0 : -1;
}

static int remove_below(int dirfd, const char *name, int depth) {
  if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
    return 0;
  if (errno != EISDIR && errno != EPERM)
    return -1;
  if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
    return 0;
  if ((errno != ENOTEMPTY && errno != EEXIST) || depth > max_depth)
    return -1;
  int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -1;
  DIR *dir = fdopendir(fd);
  if (!dir) {
    close(fd);
    return -1;
  }
  int bad = 0, error = 0;
  struct dirent *e;
  while ((e = readdir(dir))) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
      continue;
    if (remove_below(fd, e->d_name, depth + 1) < 0) {
      bad = -1;
      error = errno;
    }
  }
  closedir(dir);
  if (bad < 0) {
    errno = error;
    return -1;
  }
  return unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int ro_remove_tree(int dirfd, const char *path) { return remove_below(dirfd, path, 0); }

long long ro_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

void ro_time_text(long long ns, char out[32]) {
  time_t seconds = ns / 1000000000;
  struct tm tm;
  gmtime_r(&seconds, &tm);
  size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(out + n, 32 - n, ".%09dZ", (int)(ns % 1000000000));
}
