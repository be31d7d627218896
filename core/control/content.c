#include "config.h"

#include "control/internal.h"

/* Contents are two objects in the store: "secret" or "config" with what anyone may know, and "blob" with the sealed or plain data,
 * which goes to no reader but the node's agent. */

void ctl_content_free(void *arg) {
  struct ctl_content *content = arg;
  char **strings[] = {&content->ns, &content->app, &content->name, &content->fingerprint, &content->id, &content->data};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    free(*strings[i]);
  free(content);
}

static char *content_id(const char *ns, bool config, const char *app, const char *name, const char *fingerprint) {
  const char *kind = config ? "configs" : "secrets";
  return app ? bt_asprintf("%s/%s/%s/%s/%s", ns, kind, app, name, fingerprint) : bt_asprintf("%s/%s/-/%s", ns, kind, name);
}

json_t *ctl_content_json(const struct ctl_content *content) {
  json_t *o = json_object();
  bt_json_set_str(o, "namespace", content->ns);
  bt_json_set_str(o, "app", content->app);
  bt_json_set_str(o, "name", content->name);
  bt_json_set_str(o, "fingerprint", content->fingerprint);
  bt_json_set_int(o, "size", content->size);
  ctl_set_time(o, "created_at", content->created_ms);
  ctl_set_time(o, "updated_at", content->updated_ms);
  return o;
}

static void save(struct bt_control *c, struct ctl_content *content) {
  ctl_put(c, content->config ? "config" : "secret", content->id, ctl_content_json(content));
  json_t *blob = json_object();
  bt_json_set_str(blob, "data", content->data);
  ctl_put(c, "blob", content->id, blob);
}

static void forget(struct bt_control *c, struct ctl_content *content) {
  ctl_del(c, content->config ? "config" : "secret", content->id);
  ctl_del(c, "blob", content->id);
  bt_map_del(c->contents, content->id);
}

static struct ctl_content *attach(struct bt_control *c, const char *id) {
  struct ctl_content *content = bt_map_get(c->contents, id);
  if (!content) {
    content = bt_new(struct ctl_content);
    content->id = bt_strdup(id);
    content->created_ms = content->updated_ms = ctl_wall(c);
    bt_map_set(c->contents, id, content);
  }
  return content;
}

int ctl_content_load(struct bt_control *c, const char *id, const json_t *value, struct bt_err **err) {
  const char *slash = strchr(id, '/');
  if (!slash)
    return bt_err_set(err, BT_INTERNAL, "content %s has no namespace", id);
  struct ctl_content *content = attach(c, id);
  content->config = bt_starts(slash + 1, "configs/");
  if (bt_json_str(value, "data")) {
    bt_str_set(&content->data, bt_json_str(value, "data"));
    return 0;
  }
  bt_str_set(&content->ns, bt_json_str_or(value, "namespace", "default"));
  bt_str_set(&content->app, bt_json_str(value, "app"));
  bt_str_set(&content->name, bt_json_str_or(value, "name", ""));
  bt_str_set(&content->fingerprint, bt_json_str_or(value, "fingerprint", ""));
  content->size = bt_json_int(value, "size", 0);
  content->created_ms = ctl_get_time(value, "created_at");
  content->updated_ms = ctl_get_time(value, "updated_at");
  return 0;
}

static const struct ctl_content *external(const struct ctl_rev *rev, const char *kind, const char *name) {
  BT_AUTO_FREE char *id = content_id(rev->app->ns, bt_streq(kind, "configs"), NULL, name, NULL);
  return bt_map_get(rev->app->control->contents, id);
}

static json_t *ref_json(const char *fingerprint, long long size) {
  json_t *o = json_object();
  bt_json_set_str(o, "fingerprint", fingerprint);
  bt_json_set_int(o, "size", size);
  return o;
}

static int add_ref(json_t *refs, const struct ctl_rev *rev, const char *kind, const char *source, const json_t *contents,
                   struct bt_err **err) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", kind, source);
  if (json_object_get(refs, key))
    return 0;
  const json_t *item = bt_json_obj(bt_json_obj(rev->model, kind), source), *given = bt_json_obj(contents, key);
  const json_t *ext = json_object_get(item, "external");
  if (!json_is_true(ext) && !json_is_object(ext)) {
    const char *fingerprint = bt_json_str(given, "fingerprint");
    if (!fingerprint || strchr(fingerprint, '/'))
      return bt_err_set(err, BT_INVALID, "%s: its content was not sent along", key);
    bt_json_set(refs, key, ref_json(fingerprint, bt_json_int(given, "size", 0)));
    return 0;
  }
  const char *name = bt_json_str_or(item, "name", source);
  const struct ctl_content *content = external(rev, kind, name);
  bool secret = bt_streq(kind, "secrets");
  if (!content)
    return bt_err_set(err, BT_NOT_FOUND, "%s %s is external, but namespace %s has none of that name; %s%s",
                      secret ? "secret" : "config", name, rev->app->ns, secret ? "make it first: berth secret put " : "give it with the app: ",
                      secret ? name : "file, content or environment");
  json_t *ref = ref_json(content->fingerprint, content->size);
  bt_json_set_bool(ref, "external", true);
  bt_json_set_str(ref, "name", name);
  bt_json_set(refs, key, ref);
  return 0;
}

json_t *ctl_content_refs(const struct ctl_rev *rev, const json_t *contents, struct bt_err **err) {
  BT_AUTO_JSON refs = json_object();
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    bt_vec_each(&s->secrets, grant) if (add_ref(refs, rev, "secrets", grant->source, contents, err)) return NULL;
    bt_vec_each(&s->build_secrets, grant) if (add_ref(refs, rev, "secrets", grant->source, contents, err)) return NULL;
    bt_vec_each(&s->configs, grant) if (add_ref(refs, rev, "configs", grant->source, contents, err)) return NULL;
    bt_vec_each(&s->routes, route) if (route->secret && add_ref(refs, rev, "secrets", route->secret, contents, err)) return NULL;
  }
  return bt_steal(refs);
}

void ctl_content_store(struct ctl_rev *rev, const json_t *contents) {
  struct bt_control *c = rev->app->control;
  const char *key;
  json_t *ref;
  json_object_foreach(rev->contents, key, ref) {
    const json_t *given = bt_json_obj(contents, key);
    if (bt_json_bool(ref, "external", false) || !given)
      continue;
    bool config = bt_starts(key, "configs/");
    BT_AUTO_FREE char *id = content_id(rev->app->ns, config, rev->app->name, strchr(key, '/') + 1, bt_json_str(ref, "fingerprint"));
    if (bt_map_get(c->contents, id))
      continue;
    struct ctl_content *content = attach(c, id);
    content->config = config;
    bt_str_set(&content->ns, rev->app->ns);
    bt_str_set(&content->app, rev->app->name);
    bt_str_set(&content->name, strchr(key, '/') + 1);
    bt_str_set(&content->fingerprint, bt_json_str(ref, "fingerprint"));
    content->size = bt_json_int(ref, "size", 0);
    bt_str_set(&content->data, bt_json_str_or(given, config ? "data" : "sealed", ""));
    save(c, content);
  }
}

static bool needed(const struct ctl_app *app, const struct ctl_content *content) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", content->config ? "configs" : "secrets", content->name);
  bt_vec_each(&app->revs, rev) {
    const json_t *ref = bt_json_obj((*rev)->contents, key);
    if (ref && bt_streq(bt_json_str(ref, "fingerprint"), content->fingerprint))
      return true;
  }
  return false;
}

void ctl_content_collect(struct ctl_app *app, bool all) {
  struct bt_control *c = app->control;
  for (struct bt_map_iter it = bt_map_iter(c->contents); bt_map_next(&it);) {
    struct ctl_content *content = it.value;
    if (content->app && bt_streq(content->app, app->name) && bt_streq(content->ns, app->ns) && (all || !needed(app, content)))
      forget(c, content);
  }
}

/* ---- views ---- */

/* Does a revision's reference, under the model's name for it, mean this content? */
static bool refers(const json_t *ref, const char *source, const struct ctl_content *content) {
  bool ext = bt_json_bool(ref, "external", false);
  return content->app ? !ext && bt_streq(source, content->name) && bt_streq(bt_json_str(ref, "fingerprint"), content->fingerprint)
                      : ext && bt_streq(bt_json_str(ref, "name"), content->name);
}

static bool grants_it(const struct ctl_rev *rev, const struct bt_grant *grants, size_t n, const struct ctl_content *content) {
  for (size_t i = 0; i < n; i++) {
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s", content->config ? "configs" : "secrets", grants[i].source);
    if (refers(bt_json_obj(rev->contents, key), grants[i].source, content))
      return true;
  }
  return false;
}

static void add_users(json_t *list, const struct ctl_app *app, const struct ctl_content *content) {
  const struct ctl_rev *rev = ctl_rev_latest(app);
  if (!rev || app->state == CTL_APP_REMOVING || !bt_streq(app->ns, content->ns) || (content->app && !bt_streq(app->name, content->app)))
    return;
  bt_vec_each(&rev->specs, spec) {
    const struct bt_service *s = (*spec)->service;
    bool uses = content->config ? grants_it(rev, s->configs.items, s->configs.len, content)
                                : grants_it(rev, s->secrets.items, s->secrets.len, content) ||
                                      grants_it(rev, s->build_secrets.items, s->build_secrets.len, content);
    BT_AUTO_FREE char *user = bt_asprintf("%s/%s", app->name, s->name);
    if (uses)
      json_array_append_new(list, bt_json_string(user));
  }
}

json_t *ctl_content_view(const struct bt_control *c, const struct ctl_content *content) {
  json_t *o = ctl_content_json(content), *users = json_array();
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);)
    add_users(users, it.value, content);
  bt_json_set(o, "used_by", users);
  return o;
}

/* Of two contents of one app and name: the one of the app's newest revision, else the younger. */
static bool is_newer(const struct bt_control *c, const struct ctl_content *a, const struct ctl_content *b) {
  const struct ctl_app *app = ctl_app_find(c, a->ns, a->app);
  const struct ctl_rev *rev = app ? ctl_rev_latest(app) : NULL;
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", a->config ? "configs" : "secrets", a->name);
  const char *present = bt_json_str(rev ? bt_json_obj(rev->contents, key) : NULL, "fingerprint");
  if (bt_streq(a->fingerprint, present) != bt_streq(b->fingerprint, present))
    return bt_streq(a->fingerprint, present);
  return a->created_ms > b->created_ms;
}

const struct ctl_content *ctl_content_named(const struct bt_control *c, const char *ns, bool config, const char *name, struct bt_err **err) {
  BT_AUTO_FREE char *id = content_id(ns, config, NULL, name, NULL);
  const char *kind = config ? "config" : "secret";
  const struct ctl_content *found = bt_map_get(c->contents, id);
  for (struct bt_map_iter it = bt_map_iter(found ? NULL : c->contents); bt_map_next(&it);) {
    const struct ctl_content *content = it.value;
    size_t n = content->app ? strlen(content->app) : 0;
    bool full = n && strncmp(name, content->app, n) == 0 && name[n] == '.' && bt_streq(name + n + 1, content->name);
    if (!n || content->config != config || !bt_streq(content->ns, ns) || (!full && !bt_streq(content->name, name)))
      continue;
    if (found && !bt_streq(found->app, content->app)) {
      bt_err_set(err, BT_CONFLICT, "more than one app has a %s %s: write %s.%s or %s.%s", kind, name, found->app, name, content->app, name);
      return NULL;
    }
    if (!found || is_newer(c, content, found))
      found = content;
  }
  if (!found)
    bt_err_set(err, BT_NOT_FOUND, "there is no %s %s in namespace %s", kind, name, ns);
  return found;
}

/* ---- the namespace's own secrets ---- */

/* The revision that an app stands on uses the secret. */
static bool app_uses(const struct ctl_app *app, const char *name) {
  const struct ctl_rev *rev = ctl_rev_latest(app);
  const char *key;
  json_t *ref;
  if (rev && app->state != CTL_APP_REMOVING)
    json_object_foreach(rev->contents, key, ref) {
      if (bt_starts(key, "secrets/") && bt_json_bool(ref, "external", false) && bt_streq(bt_json_str(ref, "name"), name))
        return true;
    }
  return false;
}

static void roll_users(struct bt_control *c, const char *ns, const char *name, const char *actor) {
  BT_AUTO_FREE char *message = bt_asprintf("secret %s changed", name);
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    struct ctl_app *app = it.value;
    if (bt_streq(app->ns, ns) && app_uses(app, name))
      ctl_apply_again(app, actor, message);
  }
}

void ctl_secret_put(struct bt_control *c, const struct bt_request *request) {
  const json_t *args = request->args;
  const char *ns = bt_json_str_or(args, "namespace", "default"), *name = bt_json_str_or(args, "name", "");
  const char *sealed = bt_json_str(args, "sealed"), *fingerprint = bt_json_str(args, "fingerprint");
  BT_AUTO_ERR err = NULL;
  if (ctl_check_name("namespace", ns, &err) || ctl_check_name("secret", name, &err)) {
    ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
    return;
  }
  if (!sealed || !fingerprint) {
    ctl_reply_err(c, request->id, BT_INVALID, "secret %s came without content", name);
    return;
  }
  BT_AUTO_FREE char *id = content_id(ns, false, NULL, name, NULL);
  struct ctl_content *content = bt_map_get(c->contents, id);
  bool fresh = !content, changed = fresh || !bt_streq(content->fingerprint, fingerprint);
  json_t *result = json_object();
  bt_json_set_str(result, "name", name);
  bt_json_set_bool(result, "changed", changed);
  if (changed && !request->dry_run) {
    content = attach(c, id);
    bt_str_set(&content->ns, ns);
    bt_str_set(&content->name, name);
    bt_str_set(&content->fingerprint, fingerprint);
    bt_str_set(&content->data, sealed);
    content->size = bt_json_int(args, "size", 0);
    content->updated_ms = ctl_wall(c);
    save(c, content);
    ctl_event(c, "info", fresh ? "secret.created" : "secret.changed", ns, NULL, name, NULL, "%s %s secret %s", request->actor,
              fresh ? "made" : "changed", name);
    roll_users(c, ns, name, request->actor);
  }
  ctl_reply(c, request->id, result);
}

/* The app whose Compose file brings a secret of this name; NULL: none. */
static const char *owner_of(const struct bt_control *c, const char *ns, const char *name) {
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    BT_AUTO_FREE char *id = content_id(ns, false, app->name, name, "");
    for (struct bt_map_iter of = bt_map_iter(c->contents); bt_streq(app->ns, ns) && bt_map_next(&of);)
      if (bt_starts(of.key, id))
        return app->name;
  }
  return NULL;
}

void ctl_secret_delete(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *name = bt_json_str_or(request->args, "name", "");
  BT_AUTO_FREE char *id = content_id(ns, false, NULL, name, NULL);
  struct ctl_content *content = bt_map_get(c->contents, id);
  if (!content) {
    const char *owner = owner_of(c, ns, name);
    ctl_reply_err(c, request->id, owner ? BT_CONFLICT : BT_NOT_FOUND,
                  owner ? "secret %s comes from the Compose file of app %s, and goes with it" : "there is no secret %s in namespace %s", name,
                  owner ? owner : ns);
    return;
  }
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    struct ctl_app *app = it.value;
    if (bt_streq(app->ns, ns) && app_uses(app, name)) {
      ctl_reply_err(c, request->id, BT_CONFLICT, "secret %s is in use by app %s", name, app->name);
      return;
    }
  }
  if (!request->dry_run) {
    forget(c, content);
    ctl_event(c, "info", "secret.deleted", ns, NULL, name, NULL, "%s deleted secret %s", request->actor, name);
  }
  ctl_reply(c, request->id, json_object());
}

static const char *find_data(const struct bt_control *c, const char *ns, const char *key, bool config) {
  BT_AUTO_FREE char *id = bt_asprintf("%s/%s", ns, key);
  const struct ctl_content *content = bt_map_get(c->contents, id);
  return content && content->config == config ? content->data : NULL;
}

const char *bt_control_secret_blob(const struct bt_control *c, const char *ns, const char *key) {
  return find_data(c, ns, key, false);
}

const char *bt_control_config_data(const struct bt_control *c, const char *ns, const char *key) {
  return find_data(c, ns, key, true);
}

/* ---- what plug-ins keep ---- */

void ctl_kv_put(struct bt_control *c, const struct bt_request *request) {
  const char *plugin = bt_json_str(request->args, "plugin"), *key = bt_json_str(request->args, "key");
  const char *value = bt_json_str(request->args, "value");
  if (!plugin || !*plugin || strchr(plugin, '/') || !key) {
    ctl_reply_err(c, request->id, BT_INVALID, "kv.put needs a plugin and a key");
    return;
  }
  BT_AUTO_FREE char *id = bt_asprintf("%s/%s", plugin, key);
  if (value) {
    json_t *o = json_object();
    bt_json_set_str(o, "data", value);
    ctl_put(c, "kv", id, o);
    bt_map_set(c->kv, id, bt_strdup(value));
  } else {
    ctl_del(c, "kv", id);
    bt_map_del(c->kv, id);
  }
  ctl_reply(c, request->id, json_object());
}

void bt_control_kv_scan(const struct bt_control *c, const char *plugin, const char *prefix,
                        bool (*found)(void *arg, const char *key, const char *value), void *arg) {
  BT_AUTO_FREE char *start = bt_asprintf("%s/%s", plugin, prefix ? prefix : "");
  size_t skip = strlen(plugin) + 1;
  for (struct bt_map_iter it = bt_map_iter(c->kv); bt_map_next(&it);)
    if (bt_starts(it.key, start) && !found(arg, it.key + skip, it.value))
      return;
}
