/* berth.host.child/1 of the helper: the children are its own, under its limits, and end with it, however it ends. For that each is
 * started through this very program (--exec), which asks the kernel to end it with its parent. */
#include "config.h"

#include <unistd.h>

#include "base/file.h"
#include "plugin/helper/helper.h"

static char *self_path;

void helper_child_init(const char *program) { self_path = bt_strdup(program); }

/* Is there such a program? What --exec finds out later could only be told as exit status 127. */
static bool found(const char *program, const char *const *env) {
  if (strchr(program, '/'))
    return access(program, X_OK) == 0;
  const char *path = getenv("PATH");
  for (size_t i = 0; env && env[i]; i++)
    if (bt_starts(env[i], "PATH="))
      path = env[i] + strlen("PATH=");
  BT_AUTO_FREE char *folders = bt_strdup(path ? path : "/usr/bin:/bin");
  for (char *save = NULL, *dir = strtok_r(folders, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
    BT_AUTO_FREE char *file = bt_path_join(dir, program);
    if (access(file, X_OK) == 0)
      return true;
  }
  return false;
}

static berth_handle child_spawn(const struct berth_host *host, const struct berth_child_request *given) {
  struct berth_child_request r;
  BT_TAKE(r, given);
  if (!r.argv || !r.argv[0] || access(self_path, X_OK) != 0)
    return bt_service_child.spawn(host, given);
  if (!found(r.argv[0], r.env))
    return 0;
  BT_VEC(const char *) argv = {0};
  const char *const before[] = {self_path, "--network", "--exec", "--"}; /* sockets stay forbidden where they are */
  for (size_t i = 0; i < BT_COUNT(before); i++)
    bt_vec_push(&argv, before[i]);
  for (size_t i = 0; r.argv[i]; i++)
    bt_vec_push(&argv, r.argv[i]);
  bt_vec_push(&argv, NULL);
  r.size = sizeof r;
  r.argv = argv.items;
  berth_handle handle = bt_service_child.spawn(host, &r);
  bt_vec_free(&argv);
  return handle;
}

static void child_kill(const struct berth_host *host, berth_handle child) { bt_service_child.kill(host, child); }

const struct berth_host_child helper_child = {.size = sizeof helper_child, .spawn = child_spawn, .kill = child_kill};
