#include "config.h"
#include "base/program.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { max_parents = 4 };

static bool own_path(char path[PATH_MAX]) {
  ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
  if (n <= 0)
    return false;
  path[n] = '\0';
  return true;
}

char *bt_program_built(const char *file) {
  char dir[PATH_MAX];
  if (!own_path(dir))
    return NULL;
  for (int i = 0; i < max_parents; i++) {
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
      return NULL;
    *slash = '\0';
    BT_AUTO_FREE char *status = bt_path_join(dir, "config.status");
    BT_AUTO_FREE char *path = bt_path_join(dir, file);
    if (bt_file_exists(status) && bt_file_exists(path))
      return bt_steal(path);
  }
  return NULL;
}

char *bt_program_beside(const char *file) {
  char own[PATH_MAX];
  if (!own_path(own))
    return NULL;
  BT_AUTO_FREE char *dir = bt_path_dir(own);
  BT_AUTO_FREE char *path = bt_path_join(dir, file);
  return bt_file_exists(path) ? bt_steal(path) : NULL;
}
