/* Entries and manifests as JSON, for readers. */
#include "config.h"

#include "base/json.h"
#include "plugin/fields.h"
#include "plugin/remote.h"

static const char *const status_names[] = {"starting", "ok", "failed", "removed", "restarting", "broken"};

static json_t *interface_ids(const struct berth_manifest *m) {
  json_t *ids = json_array();
  for (const struct berth_interface *i = m ? m->interfaces : NULL; i && i->id; i++)
    json_array_append_new(ids, bt_json_string(i->id));
  return ids;
}

/* What both lists have of a manifest; "" where nothing was loaded. */
static void put_manifest(json_t *o, const struct bt_plugin_lib *lib) {
  const struct berth_manifest *m = lib ? lib->manifest : NULL;
  bt_json_set_str(o, "version", m ? m->version : "");
  bt_json_set_int(o, "abi", m ? m->abi : 0);
  bt_json_set_str(o, "path", lib ? lib->path : "");
  bt_json_set(o, "interfaces", interface_ids(m));
  bt_json_set_str(o, "summary", m ? m->summary : "");
}

/* Of the process that is there; before its hello nothing is known, and nothing said. */
static void put_confinement(json_t *o, const struct bt_plugin *e) {
  const struct bt_remote *r = e->remote && e->remote->state > BT_REMOTE_HELLO ? e->remote : NULL;
  bt_json_set(o, "confined", r ? bt_confinement_has(&r->confinement) : json_array());
  bt_json_set(o, "unconfined", r ? bt_confinement_lacks(&r->confinement) : json_array());
}

static json_t *entry_json(const struct bt_plugin *e) {
  json_t *o = json_object();
  bt_json_set_str(o, "name", e->cell->name);
  bt_json_set_str(o, "plugin", e->lib ? e->lib->manifest->id : e->plugin);
  put_manifest(o, e->lib);
  bt_json_set_str(o, "status", status_names[e->status]);
  bt_json_set_str(o, "error", bt_plugin_error(e));
  bt_json_set_int(o, "calls", (json_int_t)e->calls);
  bt_json_set_int(o, "errors", (json_int_t)e->errors);
  bt_json_set_int(o, "in_flight", (json_int_t)e->in_flight);
  bt_json_set_str(o, "last_error", e->last_error ? e->last_error : "");
  bt_json_set_str(o, "isolation", e->isolation.process ? "process" : "none");
  bt_json_set_int(o, "pid", e->remote ? e->remote->process.pid : 0);
  put_confinement(o, e);
  bt_json_set_int(o, "restarts", (json_int_t)e->restarts);
  bt_json_set_str(o, "last_failure", e->last_failure ? e->last_failure : "");
  return o;
}

json_t *bt_plugins_json(const struct bt_plugins *plugins) {
  json_t *list = json_array();
  bt_vec_each(&plugins->entries, e) {
    if ((*e)->status != BT_PLUGIN_REMOVED)
      json_array_append_new(list, entry_json(*e));
  }
  return list;
}

json_t *bt_manifest_describe(const struct bt_plugin_lib *lib) {
  const struct berth_manifest *m = lib->manifest;
  json_t *o = json_object(), *needs = json_array();
  bt_json_set_str(o, "plugin", m->id);
  put_manifest(o, lib);
  bt_json_set_str(o, "license", m->license);
  for (size_t i = 0; m->needs && m->needs[i]; i++)
    json_array_append_new(needs, bt_json_string(m->needs[i]));
  bt_json_set(o, "needs", needs);
  bt_json_set(o, "config", bt_plugin_fields_schema(m->config, m->id));
  return o;
}
