/* The life of one configured entry: find and check its plug-in, check its configuration, fetch the secrets it names, start,
 * reload, stop. Whatever goes wrong ends in a sentence on the entry. */
#include "config.h"

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "loop/loop.h"
#include "plugin/fields.h"
#include "plugin/internal.h"

/* Secrets on their way. Outlives the entry's wish for them: the daemon's answers cannot be called back. */
struct bt_entry_secrets {
  struct bt_plugin *entry; /* NULL: nobody waits any more */
  struct bt_map *values;   /* name -> char * */
  json_t *config;          /* checked, with references */
  struct bt_err *err;
  size_t pending;
  bool asking;
};

struct secret_wait {
  struct bt_entry_secrets *of;
  char *name;
};

static void proceed(struct bt_plugin *entry, json_t *config_steal, const struct bt_map *secrets);

static void free_secret(void *text) {
  bt_wipe(text, strlen(text));
  free(text);
}

/* ---------------------------------------------------------------- status */

void bt_entry_set_status(struct bt_plugin *entry, enum bt_plugin_status status, const char *error) {
  bt_str_set(&entry->error, error);
  entry->status = status;
}

/* A running entry whose new configuration is refused goes on with the old one; any other is failed. */
static void refuse(struct bt_plugin *entry, const char *why) {
  if (entry->self) {
    BT_AUTO_FREE char *text = bt_asprintf("the new configuration was refused, the old one is in force: %s", why);
    bt_error(entry->cell->label, "%s", text);
    bt_entry_set_status(entry, BT_PLUGIN_OK, text);
    return;
  }
  bt_error(entry->cell->label, "failed: %s", why);
  bt_entry_set_status(entry, BT_PLUGIN_FAILED, why);
}

/* The sentence of a refusal by the plug-in. */
static void refuse_code(struct bt_plugin *entry, const char *step, enum berth_code code, const char *why) {
  BT_AUTO_FREE char *text = bt_asprintf("%s: %s (%s)", step, why && *why ? why : "no reason given",
                                        bt_code_name(bt_plugin_code(code)));
  refuse(entry, text);
}

/* ---------------------------------------------------------------- start, reload, stop */

static void take_config(struct bt_plugin *entry, json_t *config) {
  json_decref(entry->config);
  entry->config = json_incref(config);
}

static enum berth_code call_start(struct bt_plugin *entry, const char *text, const char **why) {
  bt_loop_enter(entry->plugins->loop, entry->cell->label);
  enum berth_code code = entry->lib->plugin->start(&entry->cell->host, text, &entry->self, why);
  bt_loop_leave(entry->plugins->loop);
  if (code == BERTH_OK && !entry->self) {
    *why = "it started without a state: set *out";
    code = BERTH_INTERNAL;
  }
  if (code != BERTH_OK)
    entry->self = NULL;
  return code;
}

/* Handles that a failed start left behind. */
static void drop_handles(struct bt_plugin *entry) {
  entry->stopping = true;
  bt_resources_detach(entry);
  entry->stopping = false;
}

static void start(struct bt_plugin *entry, json_t *config, const char *text) {
  const char *why = NULL;
  enum berth_code code = call_start(entry, text, &why);
  if (code != BERTH_OK) {
    BT_AUTO_FREE char *kept = bt_strdup(why); /* may point into what the handles' last callbacks free */
    drop_handles(entry);
    refuse_code(entry, "start", code, kept);
    return;
  }
  take_config(entry, config);
  const struct berth_manifest *m = entry->lib->manifest;
  bt_info(entry->cell->label, "%s %s started", m->id, m->version);
  bt_entry_set_status(entry, BT_PLUGIN_OK, NULL);
}

/* The secrets that are on their way are not waited for any more. */
static void forget_secrets(struct bt_plugin *entry) {
  if (entry->resolving)
    entry->resolving->entry = NULL;
  entry->resolving = NULL;
}

void bt_entry_stop(struct bt_plugin *entry) {
  forget_secrets(entry);
  if (!entry->self)
    return;
  entry->stopping = true;
  bt_ops_end_all(entry, BT_CANCELLED, "the plug-in is being stopped");
  bt_resources_detach(entry);
  entry->lib->plugin->stop(bt_plugin_enter(entry));
  bt_plugin_leave(entry);
  entry->self = NULL;
  bt_resources_detach(entry);
  bt_metrics_free(&entry->metrics);
  bt_map_free(&entry->kv_keys);
  entry->stopping = false;
}

static bool immutable_changed(const struct bt_plugin *entry, const json_t *config) {
  for (const struct berth_field *f = entry->lib->manifest->config; f && f->name; f++)
    if (f->immutable && !bt_json_equal(json_object_get(entry->config, f->name), json_object_get(config, f->name)))
      return true;
  return false;
}

/* The entry runs this very plug-in: nothing to do, reload, or a new start. */
static void change(struct bt_plugin *entry, json_t *config, const char *text) {
  const struct berth_plugin *p = entry->lib->plugin;
  if (bt_json_equal(entry->config, config)) {
    bt_entry_set_status(entry, BT_PLUGIN_OK, NULL);
    return;
  }
  if (!p->reload || immutable_changed(entry, config)) {
    bt_entry_stop(entry);
    start(entry, config, text);
    return;
  }
  const char *why = NULL;
  enum berth_code code = p->reload(bt_plugin_enter(entry), text, &why);
  bt_plugin_leave(entry);
  if (code != BERTH_OK) {
    refuse_code(entry, "reload", code, why);
    return;
  }
  take_config(entry, config);
  bt_info(entry->cell->label, "took its new configuration");
  bt_entry_set_status(entry, BT_PLUGIN_OK, NULL);
}

static bool valid(struct bt_plugin *entry, const char *text) {
  const struct berth_plugin *p = entry->lib->plugin;
  const char *why = NULL;
  if (!p->validate)
    return true;
  bt_loop_enter(entry->plugins->loop, entry->cell->label);
  enum berth_code code = p->validate(text, &why);
  bt_loop_leave(entry->plugins->loop);
  if (code != BERTH_OK)
    refuse_code(entry, "config", code, why);
  return code == BERTH_OK;
}

/* The configuration is checked and all secrets are there. */
static void proceed(struct bt_plugin *entry, json_t *config_steal, const struct bt_map *secrets) {
  BT_AUTO_JSON config = config_steal;
  BT_AUTO_ERR err = NULL;
  if (bt_plugin_config_resolve(entry->lib->manifest->config, config, secrets, &err) != 0) {
    refuse(entry, bt_err_message(err));
    return;
  }
  char *text = bt_json_text(config);
  if (valid(entry, text)) {
    if (entry->self)
      change(entry, config, text);
    else
      start(entry, config, text);
  }
  bt_wipe(text, strlen(text));
  free(text);
}

/* ---------------------------------------------------------------- secrets */

static void secrets_settled(struct bt_entry_secrets *s) {
  if (s->pending || s->asking)
    return;
  struct bt_plugin *entry = s->entry;
  if (entry) {
    entry->resolving = NULL;
    if (s->err)
      refuse(entry, bt_err_message(s->err));
    else
      proceed(entry, bt_steal(s->config), s->values);
  }
  json_decref(s->config);
  bt_map_free(&s->values);
  bt_err_free(&s->err);
  free(s);
}

static void secret_came(void *arg, enum bt_code code, const char *message, const void *value, size_t len) {
  struct secret_wait *w = arg;
  struct bt_entry_secrets *s = w->of;
  if (code != BT_OK)
    bt_err_set(&s->err, code, "secret \"%s\": %s", w->name, message ? message : bt_code_name(code));
  else
    bt_map_set(s->values, w->name, bt_strndup(value, len));
  s->pending--;
  free(w->name);
  free(w);
  secrets_settled(s);
}

static void fetch_secrets(struct bt_plugin *entry, json_t *config_steal, const struct bt_strs *names) {
  const struct bt_plugin_server *server = entry->plugins->server;
  struct bt_entry_secrets *s = bt_new(struct bt_entry_secrets);
  forget_secrets(entry); /* a newer wish */
  s->entry = entry;
  s->values = bt_map_new(free_secret);
  s->config = config_steal;
  s->asking = true; /* answers may come before all were asked for */
  entry->resolving = s;
  if (!entry->self)
    bt_entry_set_status(entry, BT_PLUGIN_STARTING, NULL);
  for (size_t i = 0; i < names->len; i++) {
    struct secret_wait *w = bt_new(struct secret_wait);
    w->of = s;
    w->name = bt_strdup(names->items[i]);
    s->pending++;
    server->secret(server->arg, w->name, secret_came, w);
  }
  s->asking = false;
  secrets_settled(s);
}

/* ---------------------------------------------------------------- apply */

static int check_needs(const struct bt_plugins *plugins, const struct berth_manifest *m, struct bt_err **err) {
  for (size_t i = 0; m->needs && m->needs[i]; i++)
    if (!bt_host_offers(plugins->server, m->needs[i]))
      return bt_err_set(err, BT_UNSUPPORTED, "plug-in %s %s needs the service %s, which this Berth %s does not offer", m->id,
                        m->version, m->needs[i], PACKAGE_VERSION);
  return 0;
}

/* Finds the plug-in that the configuration names and makes it the entry's, stopping another one that runs. */
static int take_lib(struct bt_plugin *entry, const char *plugin, struct bt_err **err) {
  BT_AUTO_FREE char *path = NULL;
  struct bt_plugin_lib *lib = NULL;
  if (bt_loader_find(plugin, &entry->plugins->dirs, &path, err) != 0 || bt_loader_open(path, &lib, err) != 0 ||
      check_needs(entry->plugins, lib->manifest, err) != 0)
    return -1;
  if (entry->lib != lib)
    bt_entry_stop(entry);
  entry->lib = lib;
  bt_str_set(&entry->plugin, plugin);
  return 0;
}

void bt_entry_apply(struct bt_plugin *entry, const struct bt_plugin_entry *want) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_DIAGS diags = {0};
  json_t *config = NULL;
  forget_secrets(entry);
  if (!entry->plugin)
    bt_str_set(&entry->plugin, want->plugin);
  if (take_lib(entry, want->plugin, &err) != 0) {
    refuse(entry, bt_err_message(err));
    return;
  }
  const struct berth_field *fields = entry->lib->manifest->config;
  if (bt_plugin_config_check(fields, want->config, want->places, &diags, &config) != 0) {
    int rc = bt_diags_err(&diags, &err);
    BT_ASSERT(rc != 0);
    refuse(entry, bt_err_message(err));
    return;
  }
  json_decref(entry->raw);
  entry->raw = want->config ? json_deep_copy(want->config) : json_object();
  BT_AUTO_STRS names = {0};
  bt_plugin_config_secrets(fields, config, &names);
  if (names.len && !entry->plugins->server->secret) {
    json_decref(config);
    refuse(entry, "its configuration names a secret, and this server offers none");
  } else if (names.len) {
    fetch_secrets(entry, config, &names);
  } else {
    proceed(entry, config, NULL);
  }
}

void bt_entry_secret_changed(struct bt_plugin *entry, const char *name) {
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_STRS names = {0};
  json_t *config = NULL;
  if (!entry->raw || !entry->plugins->server->secret)
    return;
  const struct berth_field *fields = entry->lib->manifest->config;
  if (bt_plugin_config_check(fields, entry->raw, NULL, &diags, &config) != 0)
    return; /* what was refused before names nothing */
  bt_plugin_config_secrets(fields, config, &names);
  if (names.len && (!name || bt_strs_has(&names, name)))
    fetch_secrets(entry, config, &names);
  else
    json_decref(config);
}

struct bt_plugin *bt_entry_new(struct bt_plugins *plugins, const char *name) {
  struct bt_plugin *entry = bt_new(struct bt_plugin);
  entry->plugins = plugins;
  entry->status = BT_PLUGIN_STARTING;
  entry->cell = bt_host_cell_new(entry, name);
  return entry;
}

void bt_entry_free(struct bt_plugin **entryp) {
  struct bt_plugin *entry = *entryp;
  if (!entry)
    return;
  bt_entry_stop(entry);
  bt_ops_end_all(entry, BT_CANCELLED, "the server is going down");
  bt_inbox_lock();
  entry->cell->entry = NULL;
  bt_inbox_unlock();
  free(entry->plugin);
  free(entry->error);
  free(entry->last_error);
  json_decref(entry->raw);
  json_decref(entry->config);
  free(entry);
  *entryp = NULL;
}
