/* Entries checked without starting them, for berthd --check. What is not trusted runs in a helper for that, too. */
#include "config.h"

#include "base/json.h"
#include "base/yaml.h"
#include "plugin/compat.h"
#include "plugin/egress.h"
#include "plugin/fields.h"
#include "plugin/internal.h"
#include "plugin/peek.h"

static int validate(const struct bt_plugin_lib *lib, struct bt_peek *peek, const json_t *config, struct bt_err **err) {
  const char *why = NULL;
  if (peek)
    return bt_peek_validate(peek, config, err);
  if (!lib->plugin->validate)
    return 0;
  char *text = bt_json_text(config);
  enum berth_code code = lib->plugin->validate(text, &why);
  bt_wipe(text, strlen(text));
  free(text);
  return code == BERTH_OK ? 0 : bt_err_set(err, BT_INVALID, "%s", why ? why : "refused without a reason");
}

static void check_config(const struct bt_plugin_entry *entry, const struct bt_plugin_lib *lib, struct bt_peek *peek,
                         struct bt_diags *diags) {
  const struct berth_field *fields = lib->manifest->config;
  BT_AUTO_JSON config = NULL;
  BT_AUTO_STRS secrets = {0};
  BT_AUTO_ERR err = NULL;
  if (bt_plugin_config_check(fields, entry->config, entry->places, diags, &config) != 0)
    return; /* said already */
  bt_plugin_config_secrets(fields, config, &secrets);
  if (secrets.len)
    return; /* the store is not open: secrets are checked at the start */
  struct bt_loc loc = entry->places ? entry->places->loc : entry->loc;
  if (bt_plugin_config_resolve(fields, config, NULL, &err) != 0 || validate(lib, peek, config, &err) != 0)
    bt_diag_error(diags, loc, "plug-in entry %s: %s", entry->name, bt_err_message(err));
}

static void check_needs(const struct bt_plugin_entry *entry, const struct bt_plugin_lib *lib, struct bt_diags *diags) {
  for (size_t k = 0; lib->manifest->needs && lib->manifest->needs[k]; k++)
    if (!bt_host_knows(lib->manifest->needs[k]))
      bt_diag_error(diags, entry->loc, "plug-in entry %s needs the service %s, which this Berth does not offer", entry->name,
                    lib->manifest->needs[k]);
}

/* Where it would run it is opened: peek is NULL for this process. */
static const struct bt_plugin_lib *open_there(const struct bt_plugin_entry *entry, const struct bt_strs *folders,
                                              struct bt_peek **peek, struct bt_err **err) {
  BT_AUTO_FREE char *path = NULL;
  struct bt_plugin_lib *lib = NULL;
  const struct bt_plugin_isolation *want = &entry->isolation;
  if ((!want->command && bt_loader_find(entry->plugin, folders, &path, err) != 0) ||
      (want->egress && bt_egress_check(want->egress, err) != 0))
    return NULL;
  struct bt_isolation isolation = bt_isolation_of(want, path);
  if (isolation.process)
    *peek = bt_peek_open(&isolation, entry->name, path, err);
  else if (bt_loader_open(path, &lib, err) != 0)
    lib = NULL;
  bt_isolation_free(&isolation);
  return *peek ? bt_peek_lib(*peek) : lib;
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
    struct bt_peek *peek = NULL;
    const struct bt_plugin_lib *lib = open_there(&entries[i], &folders, &peek, &err);
    if (!lib) {
      bt_diag_error(diags, entries[i].loc, "plug-in entry %s: %s", entries[i].name, bt_err_message(err));
      continue;
    }
    members[i].m = lib->manifest; /* lives as long as the process, also where a helper told it */
    members[i].state = BT_MEMBER_COMING;
    check_needs(&entries[i], lib, diags);
    check_config(&entries[i], lib, peek, diags);
    bt_peek_close(&peek);
  }
  check_together(entries, members, n, diags);
}

json_t *bt_plugin_inspect(const char *plugin, const char *const *dirs, struct bt_err **err) {
  BT_AUTO_STRS folders = {0};
  struct bt_peek *peek = NULL;
  const struct bt_plugin_entry entry = {.name = "inspect", .plugin = plugin};
  bt_loader_dirs(dirs, &folders);
  const struct bt_plugin_lib *lib = open_there(&entry, &folders, &peek, err);
  if (!lib)
    return NULL;
  json_t *o = bt_manifest_describe(lib);
  bt_peek_close(&peek);
  return o;
}
