/* Relative host paths of a canonical tree made absolute. */
#include "config.h"

#include "base/file.h"
#include "compose/stages.h"

enum how { ANY_PATH, HOST_PATH, CONTEXT, MOUNT, VOLUME };

static const struct path_rule {
  const char *pattern;
  enum how how;
} rules[] = {
    {"services.*.build.context", CONTEXT},
    {"services.*.build.additional_contexts.*", CONTEXT},
    {"services.*.build.ssh.*", HOST_PATH},
    {"services.*.env_file.*.path", ANY_PATH},
    {"services.*.label_file.*", ANY_PATH},
    {"services.*.extends.file", ANY_PATH},
    {"services.*.develop.watch.*.path", ANY_PATH},
    {"services.*.volumes.*", MOUNT},
    {"configs.*.file", HOST_PATH},
    {"secrets.*.file", HOST_PATH},
    {"volumes.*", VOLUME},
};

struct resolver {
  struct bt_load *load;
  const char *dir;
};

/* "c:\x", "\\host\share": a client on Windows speaks to an engine elsewhere. */
static bool windows_absolute(const char *p) {
  return (p[0] && p[1] == ':' && (p[2] == '\\' || p[2] == '/')) || (p[0] == '\\' && p[1] == '\\');
}

char *bt_compose_abs_path(struct bt_load *load, const char *dir, const char *path) {
  const char *home = *path == '~' ? bt_compose_var(load, "HOME") : NULL;
  if (home) {
    BT_AUTO_FREE char *joined = bt_asprintf("%s/%s", home, path + 1);
    BT_AUTO_FREE char *clean = bt_path_clean(joined);
    return *clean == '/' ? bt_steal(clean) : bt_path_join(dir, clean);
  }
  return *path == '/' ? bt_strdup(path) : bt_path_join(dir, path);
}

static void make_absolute(const struct resolver *r, struct bt_yaml *node) {
  if (!node || node->kind != BT_YAML_STR)
    return;
  char *path = bt_compose_abs_path(r->load, r->dir, node->text);
  free(node->text);
  node->text = path;
}

/* A context may be a folder, a repository, another image or another service. */
static bool remote_context(const char *s) {
  static const char *const prefixes[] = {"https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:"};
  for (size_t i = 0; i < BT_COUNT(prefixes); i++)
    if (bt_starts(s, prefixes[i]))
      return true;
  return strstr(s, "://") != NULL;
}

static void resolve_mount(const struct resolver *r, struct bt_yaml *mount) {
  const struct bt_yaml *type = bt_yaml_get(mount, "type");
  struct bt_yaml *source = bt_yaml_get(mount, "source");
  if (!type || !bt_streq(type->text, "bind"))
    return;
  if (!source)
    bt_diag_error(r->load->diags, mount->loc, "a mount of type \"bind\" needs a source: the host's folder or file");
  else if (source->kind == BT_YAML_STR && !windows_absolute(source->text))
    make_absolute(r, source);
}

/* driver_opts {type: none, o: bind, device: ./x} of the local driver is a bind mount in disguise. */
static void resolve_volume(const struct resolver *r, struct bt_yaml *volume) {
  const struct bt_yaml *driver = bt_yaml_get(volume, "driver"), *opts = bt_yaml_get(volume, "driver_opts");
  const struct bt_yaml *o = bt_yaml_get(opts, "o");
  struct bt_yaml *device = bt_yaml_get(opts, "device");
  if (driver && bt_streq(driver->text, "local") && o && bt_streq(o->text, "bind") && device && device->kind == BT_YAML_STR &&
      !windows_absolute(device->text))
    make_absolute(r, device);
}

static void resolve(const struct resolver *r, struct bt_yaml *node, enum how how) {
  if (how == MOUNT)
    resolve_mount(r, node);
  else if (how == VOLUME)
    resolve_volume(r, node);
  else if (node->kind != BT_YAML_STR || (how == ANY_PATH && !*node->text) || (how == HOST_PATH && windows_absolute(node->text)) ||
           (how == CONTEXT && remote_context(node->text)))
    return;
  else
    make_absolute(r, node);
}

static void walk(const struct resolver *r, struct bt_yaml *node, struct bt_walk *at) {
  int i = bt_walk_find(at, rules, BT_COUNT(rules), sizeof rules[0]);
  if (i >= 0) {
    resolve(r, node, rules[i].how);
  } else if (node->kind == BT_YAML_SEQ) {
    bt_walk_push(at, "[]");
    for (size_t j = 0; j < node->seq.len; j++)
      walk(r, node->seq.items[j], at);
    bt_walk_pop(at);
  } else if (node->kind == BT_YAML_MAP) {
    for (size_t j = 0; j < node->map.len; j++) {
      bt_walk_push(at, node->map.items[j].key);
      walk(r, node->map.items[j].value, at);
      bt_walk_pop(at);
    }
  }
}

static void default_context(struct bt_yaml *service) {
  struct bt_yaml *build = bt_yaml_get(service, "build");
  if (build && build->kind == BT_YAML_MAP && !bt_yaml_get(build, "context"))
    bt_yaml_set(build, "context", build->loc, bt_yaml_str(".", build->loc));
}

void bt_compose_resolve_paths(struct bt_load *load, struct bt_yaml *tree, const char *dir) {
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  if (services && services->kind == BT_YAML_MAP)
    for (size_t i = 0; i < services->map.len; i++)
      default_context(services->map.items[i].value);
  struct resolver r = {load, dir};
  struct bt_walk at = {.len = 0};
  walk(&r, tree, &at);
}

/* --- values that come from variables by name --- */

static void resolve_environment(struct bt_load *load, struct bt_yaml *service) {
  struct bt_yaml *list = bt_yaml_get(service, "environment");
  for (size_t i = 0; list && list->kind == BT_YAML_SEQ && i < list->seq.len; i++) {
    struct bt_yaml *entry = list->seq.items[i];
    const char *value = entry->kind == BT_YAML_STR ? bt_compose_var(load, entry->text) : NULL;
    if (!value)
      continue;
    char *text = bt_asprintf("%s=%s", entry->text, value);
    free(entry->text);
    entry->text = text;
  }
}

static void resolve_content(struct bt_load *load, struct bt_yaml *resource, const char *key) {
  const struct bt_yaml *name = bt_yaml_get(resource, "environment");
  const char *value = name && name->kind == BT_YAML_STR ? bt_compose_var(load, name->text) : NULL;
  if (value)
    bt_yaml_set(resource, key, name->loc, bt_yaml_str(value, name->loc));
}

static void each(struct bt_load *load, const struct bt_yaml *map, void (*fn)(struct bt_load *, struct bt_yaml *)) {
  for (size_t i = 0; map && map->kind == BT_YAML_MAP && i < map->map.len; i++)
    if (map->map.items[i].value->kind == BT_YAML_MAP)
      fn(load, map->map.items[i].value);
}
static void secret_content(struct bt_load *load, struct bt_yaml *secret) { resolve_content(load, secret, BT_COMPOSE_VALUE_KEY); }
static void config_content(struct bt_load *load, struct bt_yaml *config) { resolve_content(load, config, "content"); }

void bt_compose_resolve_env(struct bt_load *load, struct bt_yaml *tree) {
  each(load, bt_yaml_get(tree, "services"), resolve_environment);
  each(load, bt_yaml_get(tree, "secrets"), secret_content);
  each(load, bt_yaml_get(tree, "configs"), config_content);
}
