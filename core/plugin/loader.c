#include "config.h"
#include "plugin/loader.h"

#include <berth/chat.h>
#include <berth/monitor.h>
#include <berth/registry.h>
#include <berth/runtime.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "plugin/fields.h"

enum { newest_abi_looked_for = 16, max_parents = 4 };

/* The size of a struct up to and with a member: what the first version of a header had, whatever was appended since. */
#define SIZE_THROUGH(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

static const struct {
  const char *id;
  size_t min;
} interfaces[] = {
    {BERTH_RUNTIME, SIZE_THROUGH(struct berth_runtime, copy_out)},
    {BERTH_REGISTRY, SIZE_THROUGH(struct berth_registry, probe)},
    {BERTH_MONITOR, SIZE_THROUGH(struct berth_monitor, probe)},
    {BERTH_CHAT, SIZE_THROUGH(struct berth_chat, probe)},
};

static struct bt_plugin_lib *libs; /* process-wide, as the mappings are */
static pthread_mutex_t libs_lock = PTHREAD_MUTEX_INITIALIZER;

size_t bt_loader_interface_min(const char *id) {
  for (size_t i = 0; i < BT_COUNT(interfaces); i++)
    if (strcmp(interfaces[i].id, id) == 0)
      return interfaces[i].min;
  return 0;
}

/* ---------------------------------------------------------------- find */

/* The plugins/ folder of the build tree that the running program stands in: it has config.status beside it. */
static char *build_tree_plugins(void) {
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  if (n <= 0)
    return NULL;
  exe[n] = '\0';
  for (int i = 0; i < max_parents; i++) {
    char *slash = strrchr(exe, '/');
    if (!slash || slash == exe)
      return NULL;
    *slash = '\0';
    BT_AUTO_FREE char *status = bt_path_join(exe, "config.status");
    if (bt_file_exists(status))
      return bt_path_join(exe, "plugins");
  }
  return NULL;
}

void bt_loader_dirs(const char *const *dirs, struct bt_strs *out) {
  for (size_t i = 0; dirs && dirs[i]; i++)
    bt_strs_add(out, dirs[i]);
  if (dirs)
    return;
  BT_AUTO_FREE char *build = build_tree_plugins();
  if (build)
    bt_strs_add(out, build);
  bt_strs_add(out, BERTH_PLUGINDIR);
}

static bool id_ok(const char *id) {
  size_t n = strlen(id);
  return n >= 3 && n <= 64 && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && id[0] != '-' && id[n - 1] != '-' &&
         strchr(id, '-');
}

int bt_loader_find(const char *plugin, const struct bt_strs *dirs, char **out, struct bt_err **err) {
  if (plugin[0] == '/') {
    *out = bt_strdup(plugin);
    return 0;
  }
  if (!id_ok(plugin))
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

static int abi_error(const char *path, unsigned abi, struct bt_err **err) {
  return bt_err_set(err, BT_UNSUPPORTED,
                    "plug-in %s was built for ABI %u; this Berth speaks %d: rebuild it with the headers of berth %s", path, abi,
                    BERTH_ABI, PACKAGE_VERSION);
}

static bool version_ok(const char *v) {
  int dots = 0;
  size_t i = 0;
  for (; v[i] && v[i] != '-' && v[i] != '+'; i++) {
    if (v[i] == '.' && i > 0 && isdigit((unsigned char)v[i - 1]) && isdigit((unsigned char)v[i + 1]))
      dots++;
    else if (!isdigit((unsigned char)v[i]))
      return false;
  }
  return dots == 2 && strlen(v) <= 64;
}

static bool interface_id_ok(const char *id) {
  const char *slash = strchr(id, '/');
  return strlen(id) <= 64 && bt_starts(id, "berth.") && slash && slash[1] >= '1' && slash[1] <= '9' &&
         strspn(slash + 1, "0123456789") == strlen(slash + 1);
}

/* Interfaces that this host does not know are left alone: the plug-in may serve a newer Berth as well. One it knows there
 * must be. */
static int check_interfaces(const struct berth_manifest *m, const char *path, struct bt_err **err) {
  size_t n = 0, known = 0;
  for (const struct berth_interface *i = m->interfaces; i && i->id; i++, n++) {
    if (n == BT_MAX_INTERFACES)
      return bt_err_set(err, BT_INVALID, "plug-in %s lists over %d interfaces: the list must end with id NULL", path,
                        BT_MAX_INTERFACES);
    if (!interface_id_ok(i->id) || !i->methods)
      return bt_err_set(err, BT_INVALID, "plug-in %s: interface \"%.64s\" has no table, or is no id as \"berth.chat/1\"", path,
                        i->id);
    size_t min = bt_loader_interface_min(i->id), size = 0;
    if (!min)
      continue;
    known++;
    memcpy(&size, i->methods, sizeof size); /* every table begins with its size */
    if (size < min)
      return bt_err_set(err, BT_INVALID, "plug-in %s: its table of %s has %zu bytes; the interface has at least %zu", path,
                        i->id, size, min);
  }
  if (!known)
    return bt_err_set(err, BT_UNSUPPORTED, "plug-in %s implements no interface that this Berth knows (its first: %s)", path,
                      n ? m->interfaces[0].id : "none");
  return 0;
}

static int check_needs(const struct berth_manifest *m, const char *path, struct bt_err **err) {
  for (size_t i = 0; m->needs && m->needs[i]; i++)
    if (i == BT_MAX_NEEDS || !interface_id_ok(m->needs[i]))
      return bt_err_set(err, BT_INVALID, "plug-in %s: its list of needed services holds \"%.64s\", or does not end with NULL",
                        path, m->needs[i]);
  return 0;
}

static int check_manifest(const struct berth_manifest *m, const char *path, struct bt_err **err) {
  if (m->size < SIZE_THROUGH(struct berth_manifest, config))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its manifest has %zu bytes; ABI %d has %zu: set size = sizeof", path, m->size,
                      BERTH_ABI, SIZE_THROUGH(struct berth_manifest, config));
  if (!m->id || !id_ok(m->id))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its id \"%.64s\" is not <kind>-<product> of 3 to 64 of a-z 0-9 -", path,
                      m->id ? m->id : "");
  if (!m->version || !version_ok(m->version))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its version \"%.64s\" is no semantic version as 1.2.3", path,
                      m->version ? m->version : "");
  if (!m->summary || !m->license)
    return bt_err_set(err, BT_INVALID, "plug-in %s: its manifest lacks a summary or a license", path);
  if (check_interfaces(m, path, err) != 0 || check_needs(m, path, err) != 0)
    return -1;
  if (bt_plugin_fields_check(m->config, err) != 0)
    return bt_err_wrap(err, "plug-in %s", path);
  return 0;
}

int bt_loader_check(const struct berth_plugin *p, const char *path, struct bt_err **err) {
  /* The ABI stands in front of everything that may differ with it. */
  if (p->size < SIZE_THROUGH(struct berth_plugin, manifest) || !p->manifest ||
      p->manifest->size < SIZE_THROUGH(struct berth_manifest, abi))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its %s has no manifest", path, BERTH_PLUGIN_SYMBOL_NAME);
  if (p->manifest->abi != BERTH_ABI)
    return abi_error(path, p->manifest->abi, err);
  if (p->size < SIZE_THROUGH(struct berth_plugin, cancel))
    return bt_err_set(err, BT_INVALID, "plug-in %s: its %s has %zu bytes; ABI %d has %zu: set size = sizeof", path,
                      BERTH_PLUGIN_SYMBOL_NAME, p->size, BERTH_ABI, SIZE_THROUGH(struct berth_plugin, cancel));
  if (check_manifest(p->manifest, path, err) != 0)
    return -1;
  if (!p->start || !p->stop || !p->cancel)
    return bt_err_set(err, BT_INVALID, "plug-in %s lacks start, stop or cancel", path);
  return 0;
}

/* ---------------------------------------------------------------- map */

static int find_symbol(void *handle, const char *path, const struct berth_plugin **out, struct bt_err **err) {
  *out = dlsym(handle, BERTH_PLUGIN_SYMBOL_NAME);
  if (*out)
    return 0;
  for (unsigned abi = 1; abi <= newest_abi_looked_for; abi++) {
    char name[40];
    snprintf(name, sizeof name, "berth_plugin_v%u", abi);
    if (dlsym(handle, name))
      return abi_error(path, abi, err);
  }
  return bt_err_set(err, BT_INVALID, "plug-in %s exports no %s: it is no Berth plug-in, or the symbol is hidden (BERTH_EXPORT)",
                    path, BERTH_PLUGIN_SYMBOL_NAME);
}

static int map_file(const char *path, const struct berth_plugin **out, struct bt_err **err) {
  dlerror();
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    size_t n = strlen(path);
    if (why && bt_starts(why, path) && bt_starts(why + n, ": "))
      why += n + 2;
    return bt_err_set(err, BT_INVALID, "plug-in %s cannot be loaded: %s", path, why ? why : "no reason given");
  }
  if (find_symbol(handle, path, out, err) != 0)
    return -1;
  return bt_loader_check(*out, path, err);
}

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
  if (map_file(path, &plugin, err) != 0)
    return -1;
  struct bt_plugin_lib *lib = bt_new(struct bt_plugin_lib);
  *lib = (struct bt_plugin_lib){.path = bt_strdup(path),
                                .dev = st.st_dev,
                                .ino = st.st_ino,
                                .mtime_ns = mtime_ns(&st),
                                .plugin = plugin,
                                .manifest = plugin->manifest,
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
