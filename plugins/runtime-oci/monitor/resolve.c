#include "config.h"
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/util.h"

int ro_open_inside(int root, const char *path, int flags, mode_t mode) {
  struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  int fd;
  do /* the kernel gives up where something was renamed meanwhile */
    fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
  while (fd < 0 && (errno == EAGAIN || errno == EINTR));
  return fd;
}

void ro_path_split(const char *path, char **folder, char **name) {
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/')
    len--;
  PU_AUTO_FREE clean = pu_strndup(path, len);
  char *slash = strrchr(clean, '/');
  *name = pu_strdup(slash ? slash + 1 : clean);
  if (slash)
    *slash = 0;
  *folder = pu_strdup(slash ? clean : "");
  if (!**name)
    pu_set(name, pu_strdup("."));
}

int ro_folder_inside(int root, const char *path, int make) {
  int fd = ro_open_inside(root, path, O_PATH | O_DIRECTORY, 0);
  if (fd >= 0 || errno != ENOENT || !make)
    return fd;
  PU_AUTO_FREE folder = NULL;
  PU_AUTO_FREE name = NULL;
  ro_path_split(path, &folder, &name);
  if (strcmp(name, ".") == 0 || strcmp(folder, path) == 0)
    return -1;
  int above = ro_folder_inside(root, folder, make);
  if (above < 0)
    return -1;
  int bad = mkdirat(above, name, 0755) < 0 && errno != EEXIST, error = errno;
  close(above);
  errno = error;
  return bad ? -1 : ro_open_inside(root, path, O_PATH | O_DIRECTORY, 0);
}
