#include "config.h"

#include "base/json.h"
#include "base/log.h"
#include "base/yaml.h"
#include "loop/loop.h"
#include "plugin/compat.h"
#include "plugin/fields.h"
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

/* ---------------------------------------------------------------- check without starting */

static void check_config(const struct bt_plugin_entry *entry, const struct bt_plugin_lib *lib, struct bt_diags *diags) {
  const struct berth_field *fields = lib->manifest->config;
  BT_AUTO_JSON config = NULL;
  BT_AUTO_STRS secrets = {0};
  BT_AUTO_ERR err = NULL;
  const char *why = NULL;
  if (bt_plugin_config_check(fields, entry->config, entry->places, diags, &config) != 0)
    return; /* said already */
  bt_plugin_config_secrets(fields, config, &secrets);
  if (secrets.len || !lib->plugin->validate)
    return; /* the store is not open: secrets are checked at the start */
  struct bt_loc loc = entry->places ? entry->places->loc : entry->loc;
  if (bt_plugin_config_resolve(fields, config, NULL, &err) != 0) {
    bt_diag_error(diags, loc, "plug-in entry %s: %s", entry->name, bt_err_message(err));
    return;
  }
  char *text = bt_json_text(config);
  if (lib->plugin->validate(text, &why) != BERTH_OK)
    bt_diag_error(diags, loc, "plug-in entry %s: %s", entry->name, why ? why : "refused without a reason");
  bt_wipe(text, strlen(text));
  free(text);
}

static void check_together(const struct bt_plugin_entry *entries, const struct bt_member *members, size_t n, struct bt_diags *diags) {
  for (size_t i = 0; i < n; i++) {
    BT_AUTO_FREE char *why = NULL;
    if (bt_compat_judge(members, n, i, &why) == BT_COMPAT_NO)
      bt_diag_error(diags, entries[i].loc, "plug-in entry %s: %s", entries[i].name, why);
  }
}

void bt_plugins_check(const struct bt_plugin_entry *entries, size_t n, const char *const *dirs, struct bt_diags *diags) {
  BT_AUTO_STRS folders = {0};
  BT_AUTO_FREE struct bt_member *members = bt_newn(struct bt_member, n + 1);
  bt_loader_dirs(dirs, &folders);
  for (size_t i = 0; i < n; i++) {
    members[i] = (struct bt_member){.name = entries[i].name, .state = BT_MEMBER_OUT};
    BT_AUTO_ERR err = NULL;
    BT_AUTO_FREE char *path = NULL;
    struct bt_plugin_lib *lib = NULL;
    struct bt_loc loc = entries[i].loc;
    if (bt_loader_find(entries[i].plugin, &folders, &path, &err) != 0 || bt_loader_open(path, &lib, &err) != 0) {
      bt_diag_error(diags, loc, "plug-in entry %s: %s", entries[i].name, bt_err_message(err));
      continue;
    }
    members[i].m = lib->manifest;
    members[i].state = BT_MEMBER_COMING;
    for (size_t k = 0; lib->manifest->needs && lib->manifest->needs[k]; k++)
      if (!bt_host_knows(lib->manifest->needs[k]))
        bt_diag_error(diags, loc, "plug-in entry %s needs the service %s, which this Berth does not offer", entries[i].name,
                      lib->manifest->needs[k]);
    check_config(&entries[i], lib, diags);
  }
  check_together(entries, members, n, diags);
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
