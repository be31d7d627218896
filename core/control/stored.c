/* What the store holds of one object, made again from the tables. */
#include "config.h"

#include <stdlib.h>

#include "control/internal.h"

static json_t *stored_app(const struct bt_control *c, const char *key) {
  const struct ctl_app *app = bt_map_get(c->apps, key);
  return app ? ctl_app_json(app) : NULL;
}

/* "ns/app/3" */
static char *stored_revision(const struct bt_control *c, const char *key) {
  const char *slash = strrchr(key, '/');
  BT_AUTO_FREE char *app_key = slash ? bt_strndup(key, (size_t)(slash - key)) : NULL;
  const struct ctl_app *app = bt_map_get(c->apps, app_key);
  const struct ctl_rev *rev = app ? ctl_rev_find(app, atoi(slash + 1)) : NULL;
  return rev ? ctl_rev_text(rev) : NULL;
}

/* "ns/id" */
static char *stored_instance(const struct bt_control *c, const char *key) {
  const char *slash = strchr(key, '/');
  const struct ctl_inst *inst = slash ? ctl_inst_find(c, slash + 1) : NULL;
  return inst ? ctl_inst_text(inst) : NULL;
}

static json_t *stored_resource(const struct bt_control *c, const char *kind, const char *key) {
  BT_AUTO_FREE char *id = bt_asprintf("%s/%s", kind, key);
  const struct ctl_res *res = bt_map_get(c->resources, id);
  return res ? ctl_res_json(res) : NULL;
}

static json_t *stored_content(const struct bt_control *c, const char *key) {
  const struct ctl_content *content = bt_map_get(c->contents, key);
  return content ? ctl_content_json(content) : NULL;
}

static json_t *stored_node(const struct bt_control *c, const char *key) {
  const struct ctl_node *node = bt_map_get(c->nodes, key);
  return node ? ctl_node_json(c, node) : NULL;
}

char *bt_control_stored(const struct bt_control *c, const char *kind, const char *key) {
  if (bt_streq(kind, "event"))
    return bt_strdup(ctl_event_text(c, strtoull(key, NULL, 16)));
  if (bt_streq(kind, "revision"))
    return stored_revision(c, key);
  if (bt_streq(kind, "instance"))
    return stored_instance(c, key);
  BT_AUTO_JSON value = NULL;
  if (bt_streq(kind, "app"))
    value = stored_app(c, key);
  else if (bt_streq(kind, "network") || bt_streq(kind, "volume"))
    value = stored_resource(c, kind, key);
  else if (bt_streq(kind, "secret") || bt_streq(kind, "config"))
    value = stored_content(c, key);
  else if (bt_streq(kind, "node"))
    value = stored_node(c, key);
  else if (bt_streq(kind, "source"))
    value = ctl_source_stored(c, key);
  return value ? bt_json_text(value) : NULL;
}
