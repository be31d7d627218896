#include "config.h"
#include "plugin/loader.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/program.h"
#include "plugin/manifest.h"
#include "plugin/remote.h"

static struct bt_plugin_lib *libs; /* process-wide, as the mappings are */
static struct bt_plugin_lib *described; /* manifests that other processes told */
static pthread_mutex_t libs_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---------------------------------------------------------------- find */

void bt_loader_dirs(const char *const *dirs, struct bt_strs *out) {
  for (size_t i = 0; dirs && dirs[i]; i++)
    bt_strs_add(out, dirs[i]);
  if (dirs)
    return;
  BT_AUTO_FREE char *build = bt_program_built("plugins");
  if (build)
    bt_strs_add(out, build);
  bt_strs_add(out, BERTH_PLUGINDIR);
}

int bt_loader_find(const char *plugin, const struct bt_strs *dirs, char **out, struct bt_err **err) {
  if (plugin[0] == '/') {
    *out = bt_strdup(plugin);
    return 0;
  }
  if (!bt_plugin_id_ok(plugin))
    return bt_err_set(err, BT_INVALID,
                      "\"%s\" is neither a plug-in's name (as \"runtime-docker\") nor an absolute path of a .so", plugin);
  for (size_t i = 0; i < dirs->len; i++) {
    BT_AUTO_FREE char *flat = bt_asprintf("%s/%s.so", dirs->items[i], plugin);
    BT_AUTO_FREE char *built = bt_asprintf("%s/%s/.libs/%s.so", dirs->items[i], plugin, plugin);
    if (bt_file_exists(flat) || bt_file_exists(built)) {
      *out = bt_strdup(bt_file_exists(flat) ? flat : built);
      return 0;
    }
  }
  bt_err_set(err, BT_NOT_FOUND, "no plug-in %s is installed: no %s.so in %s", plugin, plugin,
             dirs->len ? dirs->items[dirs->len - 1] : "any folder");
  return -1;
}

/* ---------------------------------------------------------------- check */

/* A thing that others may write would let them run code as us. */
static int check_writable_by_us_only(const char *path, const struct stat *st, struct bt_err **err) {
  if (st->st_uid != 0 && st->st_uid != geteuid())
    return bt_err_set(err, BT_DENIED, "%s belongs to user %u, neither root nor the user that Berth runs as: chown it", path,
                      (unsigned)st->st_uid);
  bool group = (st->st_mode & S_IWGRP) && st->st_gid != 0 && st->st_gid != getegid();
  bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);
  if (((st->st_mode & S_IWOTH) || group) && !sticky)
    return bt_err_set(err, BT_DENIED, "%s is writable by others: chmod go-w it", path);
  return 0;
}

bool bt_loader_shipped(const char *path) {
  BT_AUTO_FREE char *real = path ? realpath(path, NULL) : NULL;
  BT_AUTO_FREE char *build = bt_program_built("plugins");
  BT_AUTO_FREE char *built = build ? realpath(build, NULL) : NULL;
  BT_AUTO_FREE char *installed = realpath(BERTH_PLUGINDIR, NULL);
  const char *const folders[] = {built, installed};
  for (size_t i = 0; real && i < BT_COUNT(folders); i++)
    if (folders[i] && bt_starts(real, folders[i]) && real[strlen(folders[i])] == '/')
      return true;
  return false;
}

static int check_file(const char *path, struct stat *st, struct bt_err **err) {
  if (stat(path, st) != 0)
    return bt_err_errno(err, errno == ENOENT ? BT_NOT_FOUND : BT_IO, errno, "plug-in %s", path);
  if (!S_ISREG(st->st_mode))
    return bt_err_set(err, BT_INVALID, "plug-in %s is not a regular file", path);
  if (check_writable_by_us_only(path, st, err) != 0)
    return -1;
  BT_AUTO_FREE char *dir = bt_path_dir(path);
  struct stat dst;
  if (stat(dir, &dst) != 0)
    return bt_err_errno(err, BT_IO, errno, "%s", dir);
  return check_writable_by_us_only(dir, &dst, err);
}

int bt_loader_check_file(const char *path, struct bt_err **err) {
  struct stat st;
  return check_file(path, &st, err);
}

/* ---------------------------------------------------------------- map */

static int64_t mtime_ns(const struct stat *st) { return st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec; }

/* The same file, under this or another path. A file that was replaced under its path since is not mapped again: the old code
 * runs in this process, and the dynamic linker would hand it out once more. */
static struct bt_plugin_lib *known_lib(const char *path, const struct stat *st) {
  for (struct bt_plugin_lib *l = libs; l; l = l->next) {
    bool same = l->dev == st->st_dev && l->ino == st->st_ino && l->mtime_ns == mtime_ns(st);
    if (!same && strcmp(l->path, path) == 0)
      bt_warn("plugin", "%s changed since it was loaded: a restart of the server makes the change count", path);
    if (same || strcmp(l->path, path) == 0)
      return l;
  }
  return NULL;
}

static int open_locked(const char *path, struct bt_plugin_lib **out, struct bt_err **err) {
  struct stat st;
  if (check_file(path, &st, err) != 0)
    return -1;
  *out = known_lib(path, &st);
  if (*out)
    return 0;
  const struct berth_plugin *plugin = NULL;
  struct bt_manifest *manifest = NULL;
  if (bt_loader_map(path, path, &plugin, &manifest, err) != 0)
    return -1;
  struct bt_plugin_lib *lib = bt_new(struct bt_plugin_lib);
  *lib = (struct bt_plugin_lib){.path = bt_strdup(path),
                                .dev = st.st_dev,
                                .ino = st.st_ino,
                                .mtime_ns = mtime_ns(&st),
                                .plugin = plugin,
                                .own = manifest,
                                .manifest = &manifest->m,
                                .next = libs};
  *out = libs = lib;
  return 0;
}

int bt_loader_open(const char *path, struct bt_plugin_lib **out, struct bt_err **err) {
  pthread_mutex_lock(&libs_lock);
  int rc = open_locked(path, out, err);
  pthread_mutex_unlock(&libs_lock);
  return rc;
}

/* ---------------------------------------------------------------- of another process */

static struct bt_plugin_lib *described_locked(const char *path, const json_t *json, struct bt_err **err) {
  for (struct bt_plugin_lib *l = described; l; l = l->next)
    if (strcmp(l->path, path) == 0 && bt_json_equal(l->own->json, json))
      return l;
  struct bt_manifest *manifest = bt_manifest_read(json, path, err);
  if (!manifest)
    return NULL;
  bt_remote_tables(manifest);
  struct bt_plugin_lib *lib = bt_new(struct bt_plugin_lib);
  *lib = (struct bt_plugin_lib){.path = bt_strdup(path), .own = manifest, .manifest = &manifest->m, .next = described};
  described = lib;
  return lib;
}

struct bt_plugin_lib *bt_loader_described(const char *path, const json_t *manifest, struct bt_err **err) {
  pthread_mutex_lock(&libs_lock);
  struct bt_plugin_lib *lib = described_locked(path, manifest, err);
  pthread_mutex_unlock(&libs_lock);
  return lib;
}
