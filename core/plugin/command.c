#include "config.h"
#include "plugin/command.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "plugin/loader.h"
#include "plugin/spawn.h"

static bool runnable(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The first folder of the safe path that has it. */
static char *look_up(const char *name) {
  const char *at = BT_COMMAND_PATH;
  while (*at) {
    size_t n = strcspn(at, ":");
    BT_AUTO_FREE char *path = bt_asprintf("%.*s/%s", (int)n, at, name);
    if (runnable(path))
      return bt_steal(path);
    at += n + (at[n] == ':');
  }
  return NULL;
}

/* Programs run in "/", so that is where a relative path begins. The first file is the script; what is behind it is the script's
 * business. */
static int check_script(const struct bt_strs *command, struct bt_err **err) {
  for (size_t i = 1; i < command->len; i++) {
    BT_AUTO_FREE char *path = bt_path_join("/", command->items[i]);
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
      return bt_loader_check_file(path, err);
  }
  return 0;
}

int bt_command_find(const struct bt_strs *command, char **program, struct bt_err **err) {
  const char *name = command->items[0];
  bool bare = strchr(name, '/') == NULL;
  if (!bare && name[0] != '/')
    return bt_err_set(err, BT_INVALID, "command: %s is neither an absolute path nor a program's name", name);
  BT_AUTO_FREE char *path = bare ? look_up(name) : bt_strdup(name);
  if (!path)
    return bt_err_set(err, BT_NOT_FOUND, "command: there is no program %s in " BT_COMMAND_PATH, name);
  if (!runnable(path))
    return bt_err_set(err, BT_NOT_FOUND, "command: %s is no program that can be run", path);
  if (bt_loader_check_file(path, err) != 0 || check_script(command, err) != 0)
    return -1;
  *program = bt_steal(path);
  return 0;
}

bool bt_command_is_script(const char *path) { return path && bt_ends(path, ".lua"); }

void bt_command_of_script(const char *path, struct bt_strs *args) {
  BT_AUTO_FREE char *program = bt_spawn_libexec("berth-plugin-lua");
  bt_strs_add(args, program);
  bt_strs_add(args, path);
}
