#include "config.h"

#include "base/log.h"
#include "loop/loop.h"
#include "plugin/internal.h"
#include "plugin/remote.h"

enum { default_retry_ms = 200 };

static const struct bt_plugin_server no_server; /* every optional service absent */

struct bt_plugins *bt_plugins_new(const struct bt_plugins_setup *setup) {
  struct bt_plugins *plugins = bt_new(struct bt_plugins);
  plugins->loop = setup->loop;
  plugins->http = setup->http;
  plugins->pool = setup->pool;
  plugins->server = setup->server ? setup->server : &no_server;
  plugins->retry_ms = setup->retry_ms > 0 ? setup->retry_ms : default_retry_ms;
  bt_loader_dirs(setup->dirs, &plugins->dirs);
  bt_ops_init(plugins);
  return plugins;
}

void bt_plugins_free(struct bt_plugins **pluginsp) {
  struct bt_plugins *plugins = *pluginsp;
  if (!plugins)
    return;
  bt_timer_free(&plugins->judge);
  bt_vec_each(&plugins->entries, e) bt_entry_stop(*e);
  bt_remotes_finish(plugins);
  bt_vec_each(&plugins->entries, e) bt_entry_free(e);
  bt_vec_free(&plugins->entries);
  bt_ops_free(plugins);
  bt_slots_free(&plugins->handles);
  bt_strs_free(&plugins->dirs);
  bt_timer_free(&plugins->judge); /* the last steps may have set it again */
  free(plugins);
  *pluginsp = NULL;
}

/* ---------------------------------------------------------------- load */

static bool entry_name_ok(const char *name) {
  size_t n = name ? strlen(name) : 0;
  return n >= 1 && n <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static struct bt_plugin *entry_of(struct bt_plugins *plugins, const char *name) {
  bt_vec_each(&plugins->entries, e) if (strcmp((*e)->cell->name, name) == 0) return *e;
  return NULL;
}

/* Puts the entries into the order of the configuration, makes new ones, and leaves those that are gone behind them. */
static void arrange(struct bt_plugins *plugins, const struct bt_plugin_entry *entries, size_t n) {
  __typeof__(plugins->entries) ordered = {0};
  bt_vec_each(&plugins->entries, e) (*e)->wanted = NULL;
  for (size_t i = 0; i < n; i++) {
    if (!entry_name_ok(entries[i].name) || !entries[i].plugin) {
      bt_error("plugin", "the entry \"%.64s\" has no usable name, or names no plug-in; left out",
               entries[i].name ? entries[i].name : "");
      continue;
    }
    struct bt_plugin *entry = entry_of(plugins, entries[i].name);
    if (entry && entry->wanted) {
      bt_error("plugin", "two entries have the name %s; the second is left out", entries[i].name);
      continue;
    }
    if (!entry) {
      entry = bt_entry_new(plugins, entries[i].name);
      bt_vec_push(&plugins->entries, entry);
    }
    entry->wanted = &entries[i];
    bt_vec_push(&ordered, entry);
  }
  bt_vec_each(&plugins->entries, e) if (!(*e)->wanted) bt_vec_push(&ordered, *e);
  bt_vec_free(&plugins->entries);
  plugins->entries.items = ordered.items;
  plugins->entries.len = ordered.len;
  plugins->entries.cap = ordered.cap;
}

void bt_plugins_load(struct bt_plugins *plugins, const struct bt_plugin_entry *entries, size_t n) {
  arrange(plugins, entries, n);
  /* First those that go: they may hold a path or a port that another one takes over. */
  bt_vec_each(&plugins->entries, e) {
    if ((*e)->wanted || (*e)->status == BT_PLUGIN_REMOVED)
      continue;
    bt_entry_stop(*e);
    bt_entry_set_status(*e, BT_PLUGIN_REMOVED, NULL);
  }
  bt_vec_each(&plugins->entries, e) {
    if ((*e)->wanted)
      bt_entry_apply(*e, (*e)->wanted);
    (*e)->wanted = NULL;
  }
}

void bt_plugins_secret_changed(struct bt_plugins *plugins, const char *name) {
  bt_vec_each(&plugins->entries, e) if ((*e)->status != BT_PLUGIN_REMOVED) bt_entry_secret_changed(*e, name);
}

/* ---------------------------------------------------------------- lookup */

const void *bt_plugin_methods(const struct bt_plugin *entry, const char *interface) {
  if (!entry || entry->status != BT_PLUGIN_OK || entry->stopping || !entry->self)
    return NULL;
  for (const struct berth_interface *i = entry->lib->manifest->interfaces; i->id; i++)
    if (strcmp(i->id, interface) == 0)
      return i->methods;
  return NULL;
}

struct bt_plugin *bt_plugins_find(struct bt_plugins *plugins, const char *interface, size_t i) {
  bt_vec_each(&plugins->entries, e) if (bt_plugin_methods(*e, interface) && i-- == 0) return *e;
  return NULL;
}

struct bt_plugin *bt_plugins_named(struct bt_plugins *plugins, const char *name) {
  struct bt_plugin *entry = entry_of(plugins, name);
  return entry && entry->status != BT_PLUGIN_REMOVED ? entry : NULL;
}

const char *bt_plugin_name(const struct bt_plugin *entry) { return entry->cell->name; }
enum bt_plugin_status bt_plugin_status(const struct bt_plugin *entry) { return entry->status; }
const char *bt_plugin_error(const struct bt_plugin *entry) { return entry->error ? entry->error : ""; }
