#include "config.h"
#include "model/config.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "model/config_fields.h"

/* ---- defaults ---- */

static void set_defaults(struct bt_config *c) {
  c->node.labels = bt_map_new(free);
  for (size_t i = 0; i < bt_config_nfields; i++) {
    const struct bt_field *f = &bt_config_fields[i];
    const char *why;
    if (f->def)
      BT_ASSERT(bt_field_read(f, f->def, c, &why));
    else if (f->type == BT_FIELD_SECTION)
      *(json_t **)bt_field_at(f, c) = bt_field_section(f)->read(NULL, NULL);
  }
}

static void derive(char **at, char *value) {
  if (*at)
    free(value);
  else
    *at = value;
}

/* What follows from other fields where it was not given. */
static void set_derived(struct bt_config *c) {
  BT_AUTO_FREE char *dir = bt_path_dir(c->state.path);
  derive(&c->api.socket.path, bt_path_join(c->run_dir, "berth.sock"));
  derive(&c->api.tcp.token_file, bt_path_join(dir, "token"));
  derive(&c->secrets.key_file, bt_path_join(dir, "secrets.key"));
}

/* ---- from the tree ---- */

struct reader {
  struct bt_config *config;
  struct bt_diags *diags;
  char *dir; /* what relative paths mean */
};

static bool is_scalar(const struct bt_yaml *n) { return n->kind != BT_YAML_MAP && n->kind != BT_YAML_SEQ; }

static void wrong_value(struct reader *r, const struct bt_field *f, const struct bt_yaml *n, const char *why) {
  BT_AUTO_BUF b = {0};
  bt_buf_addf(&b, "%s must be ", f->path);
  if (f->choices) {
    bt_buf_adds(&b, "one of ");
    const char *choice;
    size_t len;
    for (size_t i = 0; (choice = bt_field_choice(f, i, &len)); i++)
      bt_buf_addf(&b, "%s%.*s", i ? ", " : "", (int)len, choice);
  } else {
    bt_buf_adds(&b, bt_field_wants(f));
  }
  if (why && f->type == BT_FIELD_INT)
    bt_buf_addf(&b, " from %lld to %lld", f->min, f->max);
  if (is_scalar(n) && n->text)
    bt_diag_error(r->diags, n->loc, "%s, but \"%.60s\" is %s", b.data, n->text, why ? why : "not");
  else
    bt_diag_error(r->diags, n->loc, "%s, not a %s", b.data, bt_yaml_kind_name(n->kind));
}

static void read_labels(struct reader *r, const struct bt_field *f, const struct bt_yaml *n) {
  if (n->kind != BT_YAML_MAP) {
    wrong_value(r, f, n, NULL);
    return;
  }
  bt_vec_each(&n->map, pair) {
    if (is_scalar(pair->value))
      bt_map_set(r->config->node.labels, pair->key, bt_strdup(pair->value->text ? pair->value->text : ""));
    else
      bt_diag_error(r->diags, pair->value->loc, "node.labels.%s must be text, not a %s", pair->key,
                    bt_yaml_kind_name(pair->value->kind));
  }
}

/* Text of one key of a plug-in's entry; NULL where absent or (with an error) no text. */
static const char *plugin_text(struct reader *r, const struct bt_yaml *entry, const char *key) {
  const struct bt_yaml *n = bt_yaml_get(entry, key);
  if (!n)
    return NULL;
  if (n->kind == BT_YAML_STR && *n->text)
    return n->text;
  bt_diag_error(r->diags, n->loc, "\"%s\" of a plug-in must be text, not a %s", key,
                n->kind == BT_YAML_STR ? "blank" : bt_yaml_kind_name(n->kind));
  return NULL;
}

static void unknown_key(struct reader *r, const struct bt_yaml_pair *pair, const char *what, const char *best) {
  char hint[96];
  bt_diag_error(r->diags, pair->loc, "%s is not known%s", what, bt_nearest_hint(best, hint));
}

static bool plugin_keys(struct reader *r, const struct bt_yaml *entry) {
  static const char *const own[] = {"plugin", "path", "name", "config"};
  const char *keys[BT_COUNT(own) + 8] = {NULL};
  memcpy(keys, own, sizeof own);
  for (size_t i = 0; bt_config_place_keys[i]; i++)
    keys[BT_COUNT(own) + i] = bt_config_place_keys[i];
  size_t before = r->diags->errors;
  bt_vec_each(&entry->map, pair) {
    bool known = false;
    for (size_t i = 0; keys[i]; i++)
      known = known || bt_streq(keys[i], pair->key);
    BT_AUTO_FREE char *what = bt_asprintf("\"%s\" of a plug-in", pair->key);
    if (!known)
      unknown_key(r, pair, what, bt_nearest_of(pair->key, keys));
  }
  const struct bt_yaml *config = bt_yaml_get(entry, "config");
  if (config && config->kind != BT_YAML_MAP && config->kind != BT_YAML_NULL)
    bt_diag_error(r->diags, config->loc, "\"config\" of a plug-in must be a mapping, not a %s",
                  bt_yaml_kind_name(config->kind));
  return r->diags->errors == before;
}

static char *plugin_name(const char *plugin, const char *path) {
  if (plugin || !path)
    return bt_strdup(plugin ? plugin : "command");
  const char *base = bt_path_base(path);
  size_t ending = bt_ends(base, ".so") ? 3 : bt_ends(base, ".lua") ? 4 : 0;
  return bt_strndup(base, strlen(base) - ending);
}

static void read_plugin(struct reader *r, const struct bt_yaml *entry) {
  if (entry->kind != BT_YAML_MAP) {
    bt_diag_error(r->diags, entry->loc, "an entry of plugins must be a mapping such as \"plugin: runtime-docker\", not a %s",
                  bt_yaml_kind_name(entry->kind));
    return;
  }
  if (!plugin_keys(r, entry))
    return;
  const char *plugin = plugin_text(r, entry, "plugin"), *path = plugin_text(r, entry, "path");
  const char *name = plugin_text(r, entry, "name");
  bool command = bt_yaml_get(entry, "command") != NULL;
  if ((plugin != NULL) + (path != NULL) + command != 1) {
    bt_diag_error(r->diags, entry->loc, "a plug-in needs one of \"plugin\" (its name), \"path\" (its file) and \"command\" (a program)%s",
                  plugin || path || command ? ", and one only" : "");
    return;
  }
  if (command && !name) {
    bt_diag_error(r->diags, entry->loc, "a plug-in with a \"command\" needs a \"name\"");
    return;
  }
  if (plugin && strchr(plugin, '/')) {
    bt_diag_error(r->diags, bt_yaml_get(entry, "plugin")->loc, "\"%s\" is no name of a plug-in; a file goes under \"path\"",
                  plugin);
    return;
  }
  struct bt_config_plugin p = {.name = name ? bt_strdup(name) : plugin_name(plugin, path), .plugin = bt_strdup(plugin)};
  p.path = path ? bt_path_join(r->dir, path) : NULL;
  p.loc = entry->loc;
  bt_config_place_read(entry, &p.place, r->diags);
  const struct bt_yaml *config = bt_yaml_get(entry, "config");
  p.config_tree = config && config->kind == BT_YAML_MAP ? config : NULL;
  p.config = p.config_tree ? bt_yaml_json(p.config_tree) : json_object();
  bt_vec_each(&r->config->plugins, other)
    if (bt_streq(other->name, p.name))
      bt_diag_error(r->diags, entry->loc, "a second plug-in is named \"%s\"; give it another \"name\"", p.name);
  bt_vec_push(&r->config->plugins, p);
}

static void read_plugins(struct reader *r, const struct bt_field *f, const struct bt_yaml *n) {
  if (n->kind != BT_YAML_SEQ) {
    wrong_value(r, f, n, NULL);
    return;
  }
  for (size_t i = 0; i < n->seq.len; i++)
    read_plugin(r, n->seq.items[i]);
}

/* A scalar of another kind than the field's is an error even where its text would do: "name: true" is a slip. */
static bool kind_fits(const struct bt_field *f, const struct bt_yaml *n) {
  switch (f->type) {
  case BT_FIELD_INT:
    return n->kind == BT_YAML_INT;
  case BT_FIELD_SIZE:
  case BT_FIELD_MODE:
  case BT_FIELD_DURATION:
    return n->kind == BT_YAML_INT || n->kind == BT_YAML_STR;
  case BT_FIELD_CPUS:
    return n->kind == BT_YAML_INT || n->kind == BT_YAML_FLOAT || n->kind == BT_YAML_STR;
  default:
    return n->kind == BT_YAML_STR;
  }
}

static void read_scalar(struct reader *r, const struct bt_field *f, const struct bt_yaml *n) {
  struct bt_config *c = r->config;
  const char *why = NULL;
  if (!kind_fits(f, n) || !bt_field_read(f, n->text, c, &why)) {
    wrong_value(r, f, n, why);
    return;
  }
  char **path = bt_field_at(f, c);
  if (f->type == BT_FIELD_PATH && *path) {
    char *absolute = bt_path_join(r->dir, *path);
    free(*path);
    *path = absolute;
  }
}

static void read_null(struct reader *r, const struct bt_field *f) {
  struct bt_config *c = r->config;
  if (f->type == BT_FIELD_LISTEN) {
    bt_str_set(&c->api.tcp.listen, NULL);
    bt_str_set(&c->api.tcp.host, NULL);
    c->api.tcp.port = 0;
  }
}

static void read_part(struct reader *r, const struct bt_field *f, const struct bt_yaml *n) {
  json_t **at = bt_field_at(f, r->config);
  json_decref(*at);
  *at = bt_field_section(f)->read(n, r->diags);
}

static void read_field(struct reader *r, const struct bt_field *f, const struct bt_yaml *n) {
  if (f->type == BT_FIELD_SECTION)
    read_part(r, f, n);
  else if (n->kind == BT_YAML_NULL)
    read_null(r, f);
  else if (f->type == BT_FIELD_LABELS)
    read_labels(r, f, n);
  else if (f->type == BT_FIELD_PLUGINS)
    read_plugins(r, f, n);
  else
    read_scalar(r, f, n);
}

/* ---- names ---- */

static const struct bt_field *find_field(const char *path) {
  for (size_t i = 0; i < bt_config_nfields; i++)
    if (bt_streq(bt_config_fields[i].path, path))
      return &bt_config_fields[i];
  return NULL;
}

/* The name of the field's level under the section ("" or "api."), or NULL where it is not in it. Caller frees. */
static char *child_of(const struct bt_field *f, const char *section) {
  size_t n = strlen(section);
  if (strncmp(f->path, section, n) != 0)
    return NULL;
  return bt_strndup(f->path + n, strcspn(f->path + n, "."));
}

static bool is_section(const char *path) {
  BT_AUTO_FREE char *prefix = bt_asprintf("%s.", path);
  for (size_t i = 0; i < bt_config_nfields; i++)
    if (bt_starts(bt_config_fields[i].path, prefix))
      return true;
  return false;
}

static void unknown_field(struct reader *r, const char *section, const struct bt_yaml_pair *pair) {
  BT_AUTO_STRS names = {0};
  for (size_t i = 0; i < bt_config_nfields && !bt_diags_full(r->diags); i++) {
    BT_AUTO_FREE char *child = child_of(&bt_config_fields[i], section);
    if (child)
      bt_strs_add(&names, child);
  }
  bt_vec_push(&names, NULL);
  BT_AUTO_FREE char *what = bt_asprintf("\"%s%s\"", section, pair->key);
  unknown_key(r, pair, what, bt_nearest_of(pair->key, (const char *const *)names.items));
}

static void read_section(struct reader *r, const char *section, const struct bt_yaml *map) {
  bt_vec_each(&map->map, pair) {
    if (!*section && bt_starts(pair->key, "x-"))
      continue;
    BT_AUTO_FREE char *path = bt_asprintf("%s%s", section, pair->key);
    const struct bt_field *f = find_field(path);
    if (f)
      read_field(r, f, pair->value);
    else if (!is_section(path))
      unknown_field(r, section, pair);
    else if (pair->value->kind == BT_YAML_MAP) {
      BT_AUTO_FREE char *inner = bt_asprintf("%s.", path);
      read_section(r, inner, pair->value);
    } else if (pair->value->kind != BT_YAML_NULL)
      bt_diag_error(r->diags, pair->value->loc, "\"%s\" must be a mapping, not a %s", path,
                    bt_yaml_kind_name(pair->value->kind));
  }
}

/* ---- rules over several fields ---- */

static struct bt_loc place_of(const struct bt_config *c, const char *a, const char *b, const char *d) {
  const struct bt_yaml *n = c->tree, *next;
  const char *const keys[] = {a, b, d};
  for (size_t i = 0; i < BT_COUNT(keys) && keys[i] && (next = bt_yaml_get(n, keys[i])); i++)
    n = next;
  return n ? n->loc : (struct bt_loc){.file = c->file};
}

static bool is_loopback(const char *host) {
  return bt_starts(host, "127.") || bt_streq(host, "::1") || bt_streq(host, "localhost");
}

static void check_rules(struct reader *r) {
  const struct bt_config *c = r->config;
  if (c->role != BT_ROLE_ALL)
    bt_diag_error(r->diags, place_of(c, "role", NULL, NULL),
                  "role \"%s\" is not offered in this version; \"all\" (server and node in one process) is",
                  c->role == BT_ROLE_SERVER ? "server" : "node");
  bool cert = c->api.tcp.tls.cert, key = c->api.tcp.tls.key;
  if (cert != key)
    bt_diag_error(r->diags, place_of(c, "api", "tcp", "tls"), "api.tcp.tls needs both \"cert\" and \"key\"; \"%s\" is missing",
                  cert ? "key" : "cert");
  if (c->api.tcp.listen && !is_loopback(c->api.tcp.host) && !(cert && key))
    bt_diag_error(r->diags, place_of(c, "api", "tcp", "listen"),
                  "api.tcp.listen \"%s\" is no loopback address: set api.tcp.tls.cert and api.tcp.tls.key, or listen on "
                  "127.0.0.1",
                  c->api.tcp.listen);
}

/* ---- interface ---- */

struct bt_config *bt_config_default(void) {
  struct bt_config *c = bt_new(struct bt_config);
  set_defaults(c);
  set_derived(c);
  return c;
}

static void free_docs(struct bt_yaml **docs, size_t n) {
  for (size_t i = 0; i < n; i++)
    bt_yaml_free(&docs[i]);
  free(docs);
}

/* The one document of the text as the configuration's tree. */
static int parse_tree(struct bt_config *c, const char *text, size_t len, struct bt_diags *diags) {
  size_t before = diags->errors;
  struct bt_yaml **docs = NULL;
  size_t n = 0;
  if (bt_yaml_parse(text, len, c->file, NULL, &docs, &n, diags)) {
    free_docs(docs, n);
    return -1;
  }
  if (n > 1)
    bt_diag_error(diags, docs[1]->loc, "a configuration is one document; this is the second of %zu", n);
  else if (n && docs[0]->kind != BT_YAML_MAP && docs[0]->kind != BT_YAML_NULL)
    bt_diag_error(diags, docs[0]->loc, "a configuration must be a mapping, not a %s", bt_yaml_kind_name(docs[0]->kind));
  else if (n)
    c->tree = bt_steal(docs[0]);
  free_docs(docs, n);
  return diags->errors > before ? -1 : 0;
}

int bt_config_parse(const char *text, size_t len, const char *file, struct bt_config **out, struct bt_diags *diags) {
  size_t before = diags->errors;
  BT_AUTO_CONFIG c = bt_new(struct bt_config);
  c->file = bt_strdup(file);
  set_defaults(c);
  if (parse_tree(c, text, len, diags))
    return -1;
  BT_AUTO_FREE char *dir = bt_path_dir(file);
  struct reader r = {c, diags, dir};
  if (c->tree && c->tree->kind == BT_YAML_MAP)
    read_section(&r, "", c->tree);
  check_rules(&r);
  if (diags->errors > before)
    return -1;
  set_derived(c);
  *out = bt_steal(c);
  return 0;
}

void bt_config_free(struct bt_config **config) {
  if (!config || !*config)
    return;
  struct bt_config *c = bt_steal(*config);
  bt_vec_each(&c->plugins, p) {
    free(p->name);
    free(p->plugin);
    free(p->path);
    bt_config_place_free(&p->place);
    json_decref(p->config);
  }
  bt_vec_free(&c->plugins);
  bt_map_free(&c->node.labels);
  for (size_t i = 0; i < bt_config_nfields; i++) {
    const struct bt_field *f = &bt_config_fields[i];
    if (f->type == BT_FIELD_STRING || f->type == BT_FIELD_PATH || f->type == BT_FIELD_LISTEN)
      free(*(char **)bt_field_at(f, c));
    else if (f->type == BT_FIELD_SECTION)
      json_decref(*(json_t **)bt_field_at(f, c));
  }
  free(c->api.tcp.host);
  bt_yaml_free(&c->tree);
  free(c->file);
  free(c);
}

/* Plug-ins are compared with their config, which bt_field_json leaves out. */
static bool same_plugins(const struct bt_config *a, const struct bt_config *b) {
  if (a->plugins.len != b->plugins.len)
    return false;
  for (size_t i = 0; i < a->plugins.len; i++)
    if (!bt_json_equal(a->plugins.items[i].config, b->plugins.items[i].config))
      return false;
  return true;
}

static bool same_field(const struct bt_field *f, const struct bt_config *a, const struct bt_config *b) {
  BT_AUTO_JSON old = bt_field_json(f, a);
  BT_AUTO_JSON now = bt_field_json(f, b);
  return bt_json_equal(old, now) && (f->type != BT_FIELD_PLUGINS || same_plugins(a, b));
}

json_t *bt_config_settings(const struct bt_config *config) {
  json_t *settings = json_object();
  for (size_t i = 0; i < bt_config_nfields; i++) {
    const struct bt_field *f = &bt_config_fields[i];
    if (f->type == BT_FIELD_SECTION && !bt_starts(f->path, "node.")) /* what a node has it tells itself */
      bt_json_set(settings, f->path, bt_field_json(f, config));
  }
  return settings;
}

void bt_config_diff(const struct bt_config *old, const struct bt_config *now, struct bt_strs *live, struct bt_strs *fixed) {
  for (size_t i = 0; i < bt_config_nfields; i++) {
    const struct bt_field *f = &bt_config_fields[i];
    struct bt_strs *list = f->live ? live : fixed;
    if (list && !same_field(f, old, now))
      bt_strs_add(list, f->path);
  }
}

/* The entries borrow places from the tree, and places the file's name: the three go together. */
static void swap_plugins(struct bt_config *a, struct bt_config *b) {
  __typeof__(a->plugins) plugins = a->plugins;
  struct bt_yaml *tree = a->tree;
  char *file = a->file;
  a->plugins = b->plugins;
  a->tree = b->tree;
  a->file = b->file;
  b->plugins = plugins;
  b->tree = tree;
  b->file = file;
}

void bt_config_adopt(struct bt_config *running, struct bt_config *now) {
  swap_plugins(running, now);
  for (size_t i = 0; i < bt_config_nfields; i++) {
    const struct bt_field *f = &bt_config_fields[i];
    if (!f->live || f->type == BT_FIELD_PLUGINS)
      continue;
    /* Every live field is one word (a number, a pointer) or an enum's int: swapped, the two owners stay right. */
    size_t size = f->type == BT_FIELD_ENUM ? sizeof(int) : sizeof(int64_t);
    char spare[sizeof(int64_t)];
    memcpy(spare, bt_field_at(f, running), size);
    memcpy(bt_field_at(f, running), bt_field_at(f, now), size);
    memcpy(bt_field_at(f, now), spare, size);
  }
}
