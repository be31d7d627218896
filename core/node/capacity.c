/* What the node tells the server that it has: of the engine's info, of the machine where the engine runs on it, and of the configuration. */
#include "config.h"

#include <stdio.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "node/internal.h"

/* Of the file system that images and containers lie on: what is not kept for root. 0: not known. */
static int64_t disk_of(const char *path) {
  struct statvfs fs;
  if (!path || *path != '/' || statvfs(path, &fs) < 0 || fs.f_bfree < fs.f_bavail)
    return 0;
  return (int64_t)((fs.f_blocks - (fs.f_bfree - fs.f_bavail)) * fs.f_frsize);
}

static int64_t most_pids(void) {
  FILE *file = fopen("/proc/sys/kernel/pid_max", "re");
  long long most = 0;
  if (!file)
    return 0;
  if (fscanf(file, "%lld", &most) != 1)
    most = 0;
  fclose(file);
  return most;
}

/* The engine's own word goes first; of an engine elsewhere nothing is known but that. */
static void add_amount(json_t *node, const char *key, const json_t *info, int64_t here) {
  int64_t amount = bt_json_int(info, key, here);
  if (amount > 0)
    bt_json_set_int(node, key, amount);
}

void bt_capacity_add(const struct bt_agent *agent, json_t *node) {
  bool local = bt_json_bool(agent->info, "local", false);
  /* Never down to 0, which would say that it is not known. */
  double cpus = bt_json_num(agent->info, "cpus", 0);
  long long memory = bt_json_int(agent->info, "memory", 0);
  bt_json_set(node, "cpus", json_real(cpus > 0 ? BT_MAX(cpus - agent->o.reserve_cpus, 0.001) : 0));
  bt_json_set_int(node, "memory", memory > 0 ? BT_MAX(memory - agent->o.reserve_memory, 1) : 0);
  add_amount(node, "disk", agent->info, local ? disk_of(bt_json_str(agent->info, "root_dir")) : 0);
  add_amount(node, "pids", agent->info, local ? most_pids() : 0);
  if (json_is_array(agent->devices))
    json_object_set(node, "devices", agent->devices);
  if (json_object_size(agent->resources))
    json_object_set(node, "resources", agent->resources);
}
