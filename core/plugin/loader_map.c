/* Mapping a shared object and checking what is in it: the part of the loader that the helper process has as well. */
#include "config.h"

#include <dlfcn.h>
#include <stdio.h>

#include "base/mem.h"
#include "plugin/loader.h"
#include "plugin/manifest.h"

enum { newest_abi_looked_for = 16 };

/* The size of a struct up to and with a member: what the first version of a header had, whatever was appended since. */
#define SIZE_THROUGH(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

static int abi_error(const char *path, unsigned abi, struct bt_err **err) {
  return bt_err_set(err, BT_UNSUPPORTED,
                    "plug-in %s was built for ABI %u; this Berth speaks %d: rebuild it with the headers of berth %s", path, abi,
                    BERTH_ABI, PACKAGE_VERSION);
}

struct bt_manifest *bt_loader_check(const struct berth_plugin *p, const char *path, struct bt_err **err) {
  /* The ABI stands in front of everything that may differ with it. */
  size_t least = SIZE_THROUGH(struct berth_manifest, config);
  struct bt_manifest *manifest = NULL;
  if (p->size < SIZE_THROUGH(struct berth_plugin, manifest) || !p->manifest ||
      p->manifest->size < SIZE_THROUGH(struct berth_manifest, abi))
    bt_err_set(err, BT_INVALID, "plug-in %s: its %s has no manifest", path, BERTH_PLUGIN_SYMBOL_NAME);
  else if (p->manifest->abi != BERTH_ABI)
    abi_error(path, p->manifest->abi, err);
  else if (p->size < SIZE_THROUGH(struct berth_plugin, cancel))
    bt_err_set(err, BT_INVALID, "plug-in %s: its %s has %zu bytes; ABI %d has %zu: set size = sizeof", path,
               BERTH_PLUGIN_SYMBOL_NAME, p->size, BERTH_ABI, SIZE_THROUGH(struct berth_plugin, cancel));
  else if (p->manifest->size < least)
    bt_err_set(err, BT_INVALID, "plug-in %s: its manifest has %zu bytes; ABI %d has %zu: set size = sizeof", path,
               p->manifest->size, BERTH_ABI, least);
  else
    manifest = bt_manifest_take(p->manifest, path, err);
  if (manifest && (!p->start || !p->stop || !p->cancel)) {
    bt_manifest_free(&manifest);
    bt_err_set(err, BT_INVALID, "plug-in %s lacks start, stop or cancel", path);
  }
  return manifest;
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

int bt_loader_map(const char *path, const char *real, const struct berth_plugin **out, struct bt_manifest **manifest,
                  struct bt_err **err) {
  dlerror();
  void *handle = dlopen(real, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    size_t n = strlen(real);
    if (why && bt_starts(why, real) && bt_starts(why + n, ": "))
      why += n + 2;
    return bt_err_set(err, BT_INVALID, "plug-in %s cannot be loaded: %s", path, why ? why : "no reason given");
  }
  if (find_symbol(handle, path, out, err) != 0)
    return -1;
  *manifest = bt_loader_check(*out, path, err);
  return *manifest ? 0 : -1;
}
