/* The life of one configured entry: find and check its plug-in, check its configuration, fetch the secrets it names, start,
 * reload, stop; in this process or in one of its own. Whatever goes wrong ends in a sentence on the entry. */
#include "config.h"

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "loop/http_client.h"
#include "loop/loop.h"
#include "plugin/complain.h"
#include "plugin/egress.h"
#include "plugin/fields.h"
#include "plugin/remote.h"

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
  bool same = entry->status == status;
  bt_str_set(&entry->error, error);
  entry->status = status;
  if (!same)
    bt_hold_changed(entry->plugins);
}

/* A running entry whose new configuration is refused goes on with the old one; any other is failed. */
static void refuse(struct bt_plugin *entry, const char *why) {
  if (entry->self) {
    if (!entry->again && entry->in_force) { /* should its process crash */
      json_decref(entry->wish);
      entry->wish = json_incref(entry->in_force);
    }
    BT_AUTO_FREE char *text = bt_asprintf("the new configuration was refused, the old one is in force: %s", why);
    bt_error(entry->cell->label, "%s", text);
    bt_entry_set_status(entry, BT_PLUGIN_OK, text);
    return;
  }
  bt_error(entry->cell->label, "failed: %s", why);
  bt_entry_set_status(entry, BT_PLUGIN_FAILED, why);
}

/* As refuse(), for what is found while its process waits for a configuration: that one goes. */
static void reject(struct bt_plugin *entry, const char *why) {
  if (!entry->self)
    bt_remote_stop(&entry->remote);
  refuse(entry, why);
}

/* The sentence of a refusal by the plug-in. */
static void refuse_code(struct bt_plugin *entry, const char *step, enum bt_code code, const char *why) {
  BT_AUTO_FREE char *text = bt_asprintf("%s: %s (%s)", step, why && *why ? why : "no reason given", bt_code_name(code));
  refuse(entry, text);
}

/* ---------------------------------------------------------------- start, reload, stop */

static void take_config(struct bt_plugin *entry, json_t *config) {
  json_decref(entry->in_force);
  entry->in_force = json_incref(entry->raw);
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

/* What stands behind the handles of a process are functions of ours: they are always told, which frees what they have. */
static void tell_ours(struct bt_plugin *entry) {
  struct berth_instance *self = entry->self;
  entry->self = self ? self : (struct berth_instance *)entry;
  bt_resources_detach(entry);
  entry->self = self;
}

static void start(struct bt_plugin *entry, json_t *config, const char *text) {
  const char *why = NULL;
  enum berth_code code = call_start(entry, text, &why);
  if (code != BERTH_OK) {
    BT_AUTO_FREE char *kept = bt_strdup(why); /* may point into what the handles' last callbacks free */
    drop_handles(entry);
    refuse_code(entry, "start", bt_plugin_code(code), kept);
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

/* Everything that the server holds for the entry goes; its open calls end so. Its own code is not called but for the last callbacks of
 * its handles. */
static void take_down(struct bt_plugin *entry, enum bt_code code, const char *message) {
  entry->stopping = true;
  bt_ops_end_all(entry, code, message);
  if (entry->isolation.process)
    tell_ours(entry);
  else
    bt_resources_detach(entry);
  bt_metrics_free(&entry->metrics);
  bt_map_free(&entry->kv_keys);
  entry->again = false;
}

static void stop_here(struct bt_plugin *entry) {
  take_down(entry, BT_CANCELLED, "the plug-in is being stopped");
  entry->lib->plugin->stop(bt_plugin_enter(entry));
  bt_plugin_leave(entry);
  entry->self = NULL;
  bt_resources_detach(entry);
  bt_metrics_free(&entry->metrics);
  bt_map_free(&entry->kv_keys);
  entry->stopping = false;
}

void bt_entry_stop(struct bt_plugin *entry) {
  forget_secrets(entry);
  bt_supervise_reset(entry);
  if (!entry->remote && entry->self) {
    stop_here(entry);
    return;
  }
  if (!entry->remote)
    return;
  take_down(entry, BT_CANCELLED, "the plug-in is being stopped");
  entry->self = NULL;
  entry->stopping = false;
  bt_remote_stop(&entry->remote);
}

static bool immutable_changed(const struct bt_plugin *entry, const json_t *config) {
  for (const struct berth_field *f = entry->lib->manifest->config; f && f->name; f++)
    if (f->immutable && !bt_json_equal(json_object_get(entry->config, f->name), json_object_get(config, f->name)))
      return true;
  return false;
}

/* As change(), where the plug-in runs in another process: the end of it comes later. */
static void change_there(struct bt_plugin *entry, json_t *config) {
  entry->again = entry->remote->config_id != 0; /* one is under way: this one when it has ended */
  if (entry->again)
    return;
  if (!entry->self) {
    bt_remote_configure(entry->remote, config);
  } else if (bt_json_equal(entry->config, config)) {
    bt_entry_set_status(entry, BT_PLUGIN_OK, NULL);
  } else if (!entry->remote->can_reload || immutable_changed(entry, config)) {
    bt_entry_stop(entry);
    bt_entry_launch(entry);
  } else {
    bt_remote_configure(entry->remote, config);
  }
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
    refuse_code(entry, "reload", bt_plugin_code(code), why);
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
    refuse_code(entry, "config", bt_plugin_code(code), why);
  return code == BERTH_OK;
}

/* Where it may go from now on. A default of the manifest's is the author's word, not the operator's: it counts only for what Berth
 * brings along. */
static void set_egress(struct bt_plugin *entry, const json_t *config) {
  bt_egress_free(&entry->egress);
  if (!entry->isolation.process && !entry->isolation.listed)
    return;
  entry->egress = bt_egress_new(entry->isolation.listed ? &entry->isolation.egress : NULL);
  BT_AUTO_JSON named = json_object();
  bool trusted = bt_loader_shipped(entry->path);
  json_t *all = (json_t *)(uintptr_t)config;
  for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it))
    if (trusted || json_object_get(entry->wish, json_object_iter_key(it)))
      json_object_set(named, json_object_iter_key(it), json_object_iter_value(it));
  bt_egress_name(entry->egress, named);
}

/* The configuration is checked and all secrets are there. */
static void proceed(struct bt_plugin *entry, json_t *config_steal, const struct bt_map *secrets) {
  BT_AUTO_JSON config = config_steal;
  BT_AUTO_ERR err = NULL;
  if (bt_plugin_config_resolve(entry->lib->manifest->config, config, secrets, &err) != 0) {
    reject(entry, bt_err_message(err));
    return;
  }
  set_egress(entry, config);
  if (entry->remote) {
    change_there(entry, config);
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
      reject(entry, bt_err_message(s->err));
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

/* The plug-in is known: checks the wish against it, fetches the secrets, goes on with proceed(). */
static void configure(struct bt_plugin *entry, const struct bt_yaml *places) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_DIAGS diags = {0};
  json_t *config = NULL;
  const struct berth_field *fields = entry->lib->manifest->config;
  if (check_needs(entry->plugins, entry->lib->manifest, &err) != 0) {
    reject(entry, bt_err_message(err));
    return;
  }
  if (!entry->self && !bt_hold_passes(entry))
    return;
  if (bt_plugin_config_check(fields, entry->wish, places, &diags, &config) != 0) {
    int rc = bt_diags_err(&diags, &err);
    BT_ASSERT(rc != 0);
    reject(entry, bt_err_message(err));
    return;
  }
  json_decref(entry->raw);
  entry->raw = json_incref(entry->wish);
  BT_AUTO_STRS names = {0};
  bt_plugin_config_secrets(fields, config, &names);
  if (names.len && !entry->plugins->server->secret) {
    json_decref(config);
    reject(entry, "its configuration names a secret, and this server offers none");
  } else if (names.len) {
    fetch_secrets(entry, config, &names);
  } else {
    proceed(entry, config, NULL);
  }
}

/* ---------------------------------------------------------------- in this process */

static int take_lib(struct bt_plugin *entry, const char *path, struct bt_err **err) {
  struct bt_plugin_lib *lib = NULL;
  if (bt_loader_open(path, &lib, err) != 0 || check_needs(entry->plugins, lib->manifest, err) != 0)
    return -1;
  if (entry->lib != lib)
    bt_entry_stop(entry);
  entry->lib = lib;
  return 0;
}

/* ---------------------------------------------------------------- held back */

void bt_entry_hold(struct bt_plugin *entry, const char *why) {
  entry->held = true;
  bt_error(entry->cell->label, "%s: %s", entry->self ? "stopped" : "failed", why);
  bt_entry_stop(entry);
  bt_entry_set_status(entry, BT_PLUGIN_FAILED, why);
}

void bt_entry_resume(struct bt_plugin *entry) {
  entry->held = false;
  if (entry->isolation.process && !entry->remote)
    bt_entry_launch(entry);
  else
    configure(entry, NULL);
}

/* ---------------------------------------------------------------- in a process of its own */

void bt_entry_launch(struct bt_plugin *entry) {
  BT_AUTO_ERR err = NULL;
  bt_entry_set_status(entry, BT_PLUGIN_STARTING, NULL);
  entry->remote = bt_remote_new(entry, &err);
  if (!entry->remote)
    refuse(entry, bt_err_message(err));
}

void bt_entry_refused(struct bt_plugin *entry, const char *why) {
  BT_AUTO_FREE char *text = bt_strdup(why); /* it may stand in a message of the process */
  reject(entry, text);
}

void bt_entry_hello(struct bt_plugin *entry, const json_t *manifest) {
  BT_AUTO_ERR err = NULL;
  struct bt_plugin_lib *lib = bt_loader_described(entry->path ? entry->path : entry->plugin, manifest, &err);
  if (!lib) {
    reject(entry, bt_err_message(err));
    return;
  }
  entry->lib = lib;
  configure(entry, NULL);
}

/* A newer wish came while the last one was under way. */
static void configure_again(struct bt_plugin *entry) {
  bool again = entry->again && entry->remote;
  entry->again = false;
  if (again)
    configure(entry, NULL);
}

void bt_entry_configured(struct bt_plugin *entry, json_t *config, bool starting, enum bt_code code, const char *step,
                         const char *message) {
  if (code != BT_OK) {
    BT_AUTO_FREE char *text = bt_strdup(message);
    BT_AUTO_FREE char *where = bt_strdup(step);
    if (starting)
      bt_remote_stop(&entry->remote);
    if (starting) {
      entry->stopping = true;
      tell_ours(entry);
      entry->stopping = false;
    }
    refuse_code(entry, where, code, text);
    configure_again(entry);
    return;
  }
  take_config(entry, config);
  if (starting) {
    entry->self = (struct berth_instance *)entry->remote; /* opaque to all but the functions in its tables */
    bt_supervise_started(entry);
  } else {
    bt_info(entry->cell->label, "took its new configuration");
  }
  bt_entry_set_status(entry, BT_PLUGIN_OK, NULL);
  configure_again(entry);
}

void bt_entry_lost(struct bt_plugin *entry, const char *why) {
  BT_AUTO_FREE char *message = bt_asprintf("plug-in %s %s", entry->cell->name, why);
  forget_secrets(entry);
  struct bt_remote *remote = entry->remote;
  take_down(entry, BT_PLUGIN_CRASHED, message);
  entry->stopping = false;
  if (entry->remote != remote)
    return; /* somebody who was told has changed the entry */
  entry->self = NULL;
  bt_remote_stop(&entry->remote);
  bt_supervise_lost(entry, why);
}

/* ---------------------------------------------------------------- apply */

/* Stops what runs elsewhere or otherwise than is wished now. */
static void settle_place(struct bt_plugin *entry, const struct bt_plugin_entry *want, const char *path) {
  struct bt_isolation iso = bt_isolation_of(&want->isolation, path);
  bool moved = !bt_isolation_same(&iso, &entry->isolation);
  if (moved || (iso.process && !bt_streq(path, entry->path))) {
    bt_entry_stop(entry);
    entry->lib = NULL;
  }
  bt_isolation_free(&entry->isolation);
  entry->isolation = iso;
  bt_str_set(&entry->path, path);
  bt_str_set(&entry->plugin, want->plugin);
}

static void apply_there(struct bt_plugin *entry, const struct bt_plugin_entry *want) {
  BT_AUTO_ERR err = NULL;
  if (entry->path && bt_loader_check_file(entry->path, &err) != 0) {
    refuse(entry, bt_err_message(err));
  } else if (entry->remote && entry->self) {
    configure(entry, want->places);
  } else {
    bt_entry_stop(entry);
    bt_entry_launch(entry);
  }
}

void bt_entry_apply(struct bt_plugin *entry, const struct bt_plugin_entry *want) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *path = NULL;
  forget_secrets(entry);
  entry->held = false;
  if (entry->status == BT_PLUGIN_REMOVED) /* it is back, and one of them again */
    bt_entry_set_status(entry, BT_PLUGIN_STARTING, NULL);
  if (!entry->plugin)
    bt_str_set(&entry->plugin, want->plugin);
  if (!want->isolation.command && bt_loader_find(want->plugin, &entry->plugins->dirs, &path, &err) != 0) {
    refuse(entry, bt_err_message(err));
    return;
  }
  if (want->isolation.egress && bt_egress_check(want->isolation.egress, &err) != 0) {
    refuse(entry, bt_err_message(err));
    return;
  }
  settle_place(entry, want, path);
  json_decref(entry->wish);
  entry->wish = want->config ? json_deep_copy(want->config) : json_object();
  if (entry->isolation.process)
    apply_there(entry, want);
  else if (take_lib(entry, path, &err) != 0)
    refuse(entry, bt_err_message(err));
  else
    configure(entry, want->places);
}

void bt_entry_secret_changed(struct bt_plugin *entry, const char *name) {
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_STRS names = {0};
  json_t *config = NULL;
  if (!entry->raw || !entry->lib || !entry->plugins->server->secret)
    return;
  const struct berth_field *fields = entry->lib->manifest->config;
  if (bt_plugin_config_check(fields, entry->raw, NULL, &diags, &config) != 0)
    return; /* what was refused before names nothing */
  bt_plugin_config_secrets(fields, config, &names);
  bool named = names.len && (!name || bt_strs_has(&names, name));
  if (named && (!entry->isolation.process || entry->self || entry->resolving)) {
    fetch_secrets(entry, config, &names);
    return;
  }
  json_decref(config);
  if (named && !entry->remote && entry->status == BT_PLUGIN_FAILED)
    bt_entry_launch(entry); /* its hello leads to the secrets */
}

struct bt_plugin *bt_entry_new(struct bt_plugins *plugins, const char *name) {
  struct bt_plugin *entry = bt_new(struct bt_plugin);
  entry->plugins = plugins;
  entry->status = BT_PLUGIN_STARTING;
  entry->cell = bt_host_cell_of_server(entry, name);
  return entry;
}

void bt_entry_free(struct bt_plugin **entryp) {
  struct bt_plugin *entry = *entryp;
  if (!entry)
    return;
  bt_entry_stop(entry);
  bt_ops_end_all(entry, BT_CANCELLED, "the server is going down");
  bt_remotes_forget(entry);
  tell_ours(entry); /* what a process asked for while it stopped is still open */
  bt_map_free(&entry->kv_keys);
  bt_timer_free(&entry->restart);
  bt_complain_count(entry->cell);
  bt_timer_free(&entry->count);
  bt_isolation_free(&entry->isolation);
  bt_http_free(&entry->http);
  bt_egress_free(&entry->egress);
  free(entry->path);
  free(entry->last_failure);
  json_decref(entry->wish);
  json_decref(entry->in_force);
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
