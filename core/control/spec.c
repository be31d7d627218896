#include "config.h"

#include "control/internal.h"

/* A name of the model on the engine. "app_key" is Compose's own default, so it gets the namespace in front; a name that the user
 * chose stays as it is. */
static char *engine_name(const struct ctl_rev *rev, const char *kind, const char *key, bool *external) {
  const struct ctl_app *app = rev->app;
  const json_t *item = bt_json_obj(bt_json_obj(rev->model, kind), key);
  const json_t *ext = json_object_get(item, "external");
  *external = json_is_true(ext) || json_is_object(ext);
  const char *name = bt_json_str(item, "name");
  BT_AUTO_FREE char *usual = bt_asprintf("%s_%s", app->name, key);
  if (name && *name && (*external || !bt_streq(name, usual)))
    return bt_strdup(name);
  if (*external)
    return bt_strdup(key);
  return bt_streq(app->ns, "default") ? bt_steal(usual) : bt_asprintf("%s.%s", app->ns, usual);
}

char *ctl_network_name(const struct ctl_rev *rev, const char *key, bool *external) {
  return engine_name(rev, "networks", key, external);
}

char *ctl_volume_name(const struct ctl_rev *rev, const char *key, bool *external) {
  return engine_name(rev, "volumes", key, external);
}

static void copy_key(json_t *to, const char *key, const json_t *from, const char *from_key) {
  json_t *value = json_object_get(from, from_key);
  if (value && !json_is_null(value))
    json_object_set(to, key, value);
}

static json_t *mount_json(const struct ctl_spec *spec, const struct bt_volume_use *use) {
  json_t *m = json_object();
  bt_json_set_str(m, "type", use->type);
  if (bt_streq(use->type, "volume") && use->source) {
    bool external;
    BT_AUTO_FREE char *name = ctl_volume_name(spec->rev, use->source, &external);
    bt_json_set_str(m, "source", name);
  } else {
    bt_json_set_str(m, "source", use->source);
  }
  copy_key(m, "target", use->json, "target");
  copy_key(m, "read_only", use->json, "read_only");
  const json_t *volume = bt_json_obj(use->json, "volume"), *bind = bt_json_obj(use->json, "bind"),
               *tmpfs = bt_json_obj(use->json, "tmpfs");
  copy_key(m, "nocopy", volume, "nocopy");
  copy_key(m, "subpath", volume, "subpath");
  copy_key(m, "propagation", bind, "propagation");
  copy_key(m, "selinux", bind, "selinux");
  if (bind) /* the canonical form leaves the default out */
    bt_json_set_bool(m, "create_host_path", bt_json_bool(bind, "create_host_path", true));
  copy_key(m, "tmpfs_size", tmpfs, "size");
  copy_key(m, "tmpfs_mode", tmpfs, "mode");
  return m;
}

char *ctl_content_key(const struct ctl_rev *rev, const char *kind, const char *source) {
  BT_AUTO_FREE char *name = bt_asprintf("%s/%s", kind, source);
  const json_t *content = bt_json_obj(rev->contents, name);
  return bt_json_bool(content, "external", false)
             ? bt_asprintf("%s/-/%s", kind, bt_json_str_or(content, "name", source))
             : bt_asprintf("%s/%s/%s/%s", kind, rev->app->name, source, bt_json_str_or(content, "fingerprint", "-"));
}

static json_t *grant_json(const struct ctl_spec *spec, const struct bt_grant *grant, const char *kind) {
  BT_AUTO_FREE char *key = ctl_content_key(spec->rev, kind, grant->source);
  json_t *g = json_object();
  bt_json_set_str(g, "key", key);
  bt_json_set_str(g, "source", grant->source);
  if (json_is_object(grant->json)) {
    copy_key(g, "target", grant->json, "target");
    copy_key(g, "uid", grant->json, "uid");
    copy_key(g, "gid", grant->json, "gid");
    copy_key(g, "mode", grant->json, "mode");
  }
  return g;
}

static json_t *port_json(const struct bt_port *port) {
  json_t *p = json_object();
  bt_json_set_int(p, "target", port->target);
  if (port->published_end > port->published) {
    BT_AUTO_FREE char *range = bt_asprintf("%d-%d", port->published, port->published_end);
    bt_json_set_str(p, "published_range", range);
  } else {
    bt_json_set_int(p, "published", port->published);
  }
  bt_json_set_str(p, "host_ip", port->host_ip);
  bt_json_set_str(p, "protocol", port->protocol);
  return p;
}

static void add_ports(json_t *cls, const struct bt_service *s) {
  json_t *engine = json_array(), *ingress = json_array();
  bt_vec_each(&s->ports, port) json_array_append_new(port->ingress ? ingress : engine, port_json(port));
  bt_json_set(cls, "ports", engine);
  bt_json_set(cls, "ingress", ingress);
}

static void add_grants(json_t *cls, const struct ctl_spec *spec) {
  json_t *secrets = json_array(), *configs = json_array();
  bt_vec_each(&spec->service->secrets, grant) json_array_append_new(secrets, grant_json(spec, grant, "secrets"));
  bt_vec_each(&spec->service->configs, grant) json_array_append_new(configs, grant_json(spec, grant, "configs"));
  bt_json_set(cls, "secrets", secrets);
  bt_json_set(cls, "configs", configs);
}

/* A job's attempts are Berth's to make, so its node restarts nothing. */
static json_t *restart_json(const struct bt_service *s) {
  json_t *r = json_object();
  bt_json_set_str(r, "condition", bt_service_is_job(s) ? "none" : s->restart.condition);
  bt_json_set_int(r, "delay_ms", s->restart.delay_ms);
  bt_json_set_int(r, "max_attempts", s->restart.max_attempts);
  bt_json_set_int(r, "window_ms", s->restart.window_ms);
  return r;
}

static json_t *labels_json(const struct ctl_spec *spec) {
  const struct ctl_app *app = spec->rev->app;
  json_t *labels = json_object(), *own = bt_json_obj(spec->service->json, "labels");
  if (own)
    json_object_update(labels, own);
  bt_json_set_str(labels, "berth.server", app->control->server_id);
  bt_json_set_str(labels, "berth.namespace", app->ns);
  bt_json_set_str(labels, "berth.app", app->name);
  bt_json_set_str(labels, "berth.service", spec->service->name);
  BT_AUTO_FREE char *number = bt_asprintf("%d", spec->rev->number);
  bt_json_set_str(labels, "berth.revision", number);
  return labels;
}

/* "host", "private", "shareable"; another service's is a matter of each instance (ctl_assignment). */
static void add_namespaces(json_t *cls, const struct bt_service *s) {
  static const char *const keys[] = {"pid", "ipc"};
  for (size_t i = 0; i < BT_COUNT(keys); i++) {
    const char *mode = bt_json_str(s->json, keys[i]);
    if (mode && *mode && !bt_starts(mode, "service:"))
      bt_json_set_str(cls, keys[i], mode);
  }
}

json_t *ctl_class_new(const struct ctl_spec *spec) {
  const struct bt_service *s = spec->service;
  json_t *cls = json_object(), *mounts = json_array(), *hooks = json_object();
  json_object_set(cls, "service", s->json);
  bt_json_set(cls, "labels", labels_json(spec));
  bt_vec_each(&s->volumes, use) json_array_append_new(mounts, mount_json(spec, use));
  bt_json_set(cls, "mounts", mounts);
  add_grants(cls, spec);
  add_ports(cls, s);
  if (s->network_mode)
    bt_json_set_str(cls, "network_mode", s->network_mode);
  add_namespaces(cls, s);
  bt_json_set(cls, "restart", restart_json(s));
  bt_json_set_bool(cls, "job", bt_service_is_job(s));
  json_t *probes = bt_json_obj(bt_json_obj(s->json, "x-berth"), "probes");
  bt_json_set(cls, "probes", probes ? json_incref(probes) : json_object());
  bt_json_set_bool(cls, "healthcheck", s->healthcheck);
  bt_json_set_int(cls, "stop_grace_ms", s->stop_grace_ms);
  copy_key(hooks, "post_start", s->json, "post_start");
  copy_key(hooks, "pre_stop", s->json, "pre_stop");
  bt_json_set(cls, "hooks", hooks);
  return cls;
}

json_t *ctl_spec_class(struct ctl_spec *spec) {
  if (!spec->cls) {
    spec->cls = ctl_class_new(spec);
    if (!spec->hash)
      spec->hash = ctl_hash(spec);
    bt_json_set_str(spec->cls, "hash", spec->hash);
    bt_json_set_str(bt_json_obj(spec->cls, "labels"), "berth.hash", spec->hash);
  }
  return spec->cls;
}

/* What is pinned by digest needs no second look at the registry; what is only here cannot be pulled. */
static const char *pull_of(const struct ctl_spec *spec) {
  if (bt_starts(spec->pinned, "sha256:") || bt_streq(spec->service->pull_policy, "never"))
    return "never";
  return "missing";
}

static void store_pin(struct ctl_spec *spec) {
  json_t *pin = json_object();
  bt_json_set_str(pin, "image", spec->image);
  bt_json_set_str(pin, "pinned", spec->pinned);
  bt_json_set_str(pin, "digest", spec->digest);
  bt_json_set_str(pin, "source", spec->source);
  bt_json_set_str(pin, "pull", spec->pull);
  bt_json_set_str(pin, "hash", spec->hash);
  ctl_set_time(pin, "resolved_at", spec->resolved_ms);
  bt_json_set(spec->rev->pins, spec->service->name, pin);
}

void ctl_spec_hash(struct ctl_spec *spec) {
  if (spec->hash)
    return;
  ctl_spec_class(spec);
  store_pin(spec);
}

void ctl_spec_pin(struct ctl_spec *spec, const json_t *result, int64_t now_ms) {
  bt_str_set(&spec->pinned, bt_json_str_or(result, "pinned", spec->image));
  bt_str_set(&spec->digest, bt_json_str(result, "digest"));
  bt_str_set(&spec->source, bt_json_str_or(result, "source", "build"));
  bt_str_set(&spec->pull, pull_of(spec));
  json_decref(bt_steal(spec->common));
  bt_str_set(&spec->hash, NULL);
  bt_str_set(&spec->frame, NULL);
  json_decref(spec->cls);
  spec->cls = NULL;
  spec->resolved_ms = now_ms;
  store_pin(spec);
}
