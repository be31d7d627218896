#include "config.h"

#include "compose/stages.h"

enum indexer { KEY_VALUE, TARGET, DEVICE, MOUNT, SECRET, PATH, EXPOSE, PORT };

static const struct unique_rule {
  const char *pattern;
  enum indexer indexer;
} rules[] = {
    {"networks.*.labels", KEY_VALUE},
    {"networks.*.ipam.options", KEY_VALUE},
    {"services.*.annotations", KEY_VALUE},
    {"services.*.build.args", KEY_VALUE},
    {"services.*.build.additional_contexts", KEY_VALUE},
    {"services.*.build.platform", KEY_VALUE},
    {"services.*.build.tags", KEY_VALUE},
    {"services.*.build.labels", KEY_VALUE},
    {"services.*.cap_add", KEY_VALUE},
    {"services.*.cap_drop", KEY_VALUE},
    {"services.*.configs", MOUNT},
    {"services.*.deploy.labels", KEY_VALUE},
    {"services.*.devices", DEVICE},
    {"services.*.dns", KEY_VALUE},
    {"services.*.dns_opt", KEY_VALUE},
    {"services.*.dns_search", KEY_VALUE},
    {"services.*.environment", KEY_VALUE},
    {"services.*.env_file", PATH},
    {"services.*.expose", EXPOSE},
    {"services.*.labels", KEY_VALUE},
    {"services.*.links", KEY_VALUE},
    {"services.*.networks.*.aliases", KEY_VALUE},
    {"services.*.networks.*.link_local_ips", KEY_VALUE},
    {"services.*.ports", PORT},
    {"services.*.profiles", KEY_VALUE},
    {"services.*.secrets", SECRET},
    {"services.*.sysctls", KEY_VALUE},
    {"services.*.tmpfs", KEY_VALUE},
    {"services.*.volumes", TARGET},
};

struct unifier {
  struct bt_load *load;
  bool checked; /* the schema has seen the tree: an entry without a key is an error */
  struct bt_walk at;
};

static char *text_of(const struct bt_yaml *map, const char *key) {
  const struct bt_yaml *node = bt_yaml_get(map, key);
  return node ? bt_compose_scalar_text(node) : NULL;
}

/* {ip, target, published, protocol}. A published number and the same text in quotes stay apart, as in the reference. */
static char *port_key(const struct bt_yaml *port) {
  if (port->kind != BT_YAML_MAP)
    return bt_compose_scalar_text(port);
  const struct bt_yaml *target = bt_yaml_get(port, "target"), *published = bt_yaml_get(port, "published");
  if (!target)
    return NULL;
  BT_AUTO_FREE char *t = bt_compose_scalar_text(target);
  BT_AUTO_FREE char *p = published ? bt_compose_scalar_text(published) : NULL;
  BT_AUTO_FREE char *ip = text_of(port, "host_ip");
  BT_AUTO_FREE char *protocol = text_of(port, "protocol");
  return bt_asprintf("%s:%c%s:%s/%s", ip ? ip : "0.0.0.0", published && published->kind == BT_YAML_INT ? 'i' : 's',
                     p ? p : "", t, protocol ? protocol : "tcp");
}

static char *mount_key(const struct bt_yaml *entry, const char *folder) {
  if (entry->kind != BT_YAML_MAP)
    return entry->kind == BT_YAML_STR ? bt_asprintf("%s/%s", folder, entry->text) : NULL;
  char *target = text_of(entry, "target");
  if (target)
    return target;
  BT_AUTO_FREE char *source = text_of(entry, "source");
  return bt_asprintf("%s/%s", folder, source ? source : "");
}

static char *device_key(const struct bt_yaml *entry) {
  if (entry->kind == BT_YAML_MAP)
    return text_of(entry, "target");
  if (entry->kind != BT_YAML_STR)
    return NULL;
  const char *colon = strchr(entry->text, ':');
  return colon ? bt_strndup(colon + 1, strcspn(colon + 1, ":")) : bt_strdup(entry->text);
}

static char *entry_key(enum indexer indexer, const struct bt_yaml *entry) {
  switch (indexer) {
    case KEY_VALUE:
      return entry->kind == BT_YAML_STR ? bt_strndup(entry->text, strcspn(entry->text, "=")) : NULL;
    case TARGET: /* a short form is split later; until then it is its own key */
      return entry->kind == BT_YAML_STR ? bt_asprintf("%s:", entry->text) : text_of(entry, "target");
    case DEVICE:
      return device_key(entry);
    case MOUNT:
      return mount_key(entry, "");
    case SECRET:
      return mount_key(entry, "/run/secrets");
    case PATH:
      return entry->kind == BT_YAML_MAP ? text_of(entry, "path") : bt_compose_scalar_text(entry);
    case EXPOSE:
      return entry->kind == BT_YAML_STR || entry->kind == BT_YAML_INT ? bt_compose_scalar_text(entry) : NULL;
    case PORT:
      return port_key(entry);
  }
  return NULL;
}

static void unify(const struct unifier *u, struct bt_yaml *seq, enum indexer indexer) {
  BT_AUTO_MAP seen = bt_map_new(NULL); /* key -> where it stands */
  size_t kept = 0;
  for (size_t i = 0; i < seq->seq.len; i++) {
    struct bt_yaml *entry = seq->seq.items[i], **first;
    BT_AUTO_FREE char *key = entry_key(indexer, entry);
    if (!key && u->checked) {
      BT_AUTO_FREE char *path = bt_walk_text(&u->at);
      bt_diag_error(u->load->diags, entry->loc, "%s: this %s does not say what it is for", path, bt_yaml_kind_name(entry->kind));
    } else if (key && (first = bt_map_get(seen, key))) {
      bt_yaml_free(first);
      *first = entry;
      continue;
    }
    seq->seq.items[kept] = entry;
    if (key)
      bt_map_set(seen, key, &seq->seq.items[kept]);
    kept++;
  }
  seq->seq.len = kept;
}

static void walk(struct unifier *u, struct bt_yaml *node) {
  if (node->kind == BT_YAML_SEQ) {
    int i = bt_walk_find(&u->at, rules, BT_COUNT(rules), sizeof rules[0]);
    if (i >= 0)
      unify(u, node, rules[i].indexer);
  } else if (node->kind == BT_YAML_MAP) {
    for (size_t i = 0; i < node->map.len; i++) {
      bt_walk_push(&u->at, node->map.items[i].key);
      walk(u, node->map.items[i].value);
      bt_walk_pop(&u->at);
    }
  }
}

int bt_compose_unique(struct bt_load *load, struct bt_yaml *tree, bool checked) {
  size_t before = load->diags->errors;
  struct unifier u = {.load = load, .checked = checked};
  walk(&u, tree);
  return load->diags->errors > before ? -1 : 0;
}
