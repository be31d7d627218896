#include "config.h"

#include "base/file.h"
#include "base/json.h"
#include "compose/stages.h"

/* One entry of "include". */
struct entry {
  struct bt_loc loc;
  struct bt_strs paths;     /* absolute */
  struct bt_strs env_files; /* absolute */
  char *dir;                /* absolute */
};

static void entry_free(struct entry *e) {
  bt_strs_free(&e->paths);
  bt_strs_free(&e->env_files);
  free(e->dir);
}

static void add_path(struct bt_model *model, const struct bt_yaml *node, const char *what, struct bt_strs *out) {
  struct bt_load *load = model->load;
  if (node->kind != BT_YAML_STR || !*node->text) {
    bt_diag_error(load->diags, node->loc, "include: %s wants a path or a list of paths", what);
  } else if (strstr(node->text, "://") || bt_starts(node->text, "git@")) {
    bt_diag_error(load->diags, node->loc, "include: \"%s\" is remote; Berth includes files only: fetch it first", node->text);
  } else {
    BT_AUTO_FREE char *path = bt_compose_abs_path(load, model->dir, node->text);
    bt_vec_push(out, bt_path_clean(path));
  }
}

static void add_paths(struct bt_model *model, const struct bt_yaml *node, const char *what, struct bt_strs *out) {
  if (!node || node->kind == BT_YAML_NULL)
    return;
  if (node->kind != BT_YAML_SEQ) {
    add_path(model, node, what, out);
    return;
  }
  for (size_t i = 0; i < node->seq.len; i++)
    add_path(model, node->seq.items[i], what, out);
}

static int read_entry(struct bt_model *model, const struct bt_yaml *node, struct entry *e) {
  struct bt_load *load = model->load;
  size_t before = load->diags->errors;
  e->loc = node->loc;
  if (node->kind != BT_YAML_MAP) {
    add_path(model, node, "an entry", &e->paths);
  } else {
    for (size_t i = 0; i < node->map.len; i++) {
      const struct bt_yaml_pair *p = &node->map.items[i];
      if (strcmp(p->key, "path") && strcmp(p->key, "env_file") && strcmp(p->key, "project_directory"))
        bt_diag_error(load->diags, p->loc, "include: \"%s\" is not known; an entry has path, project_directory and env_file",
                      p->key);
    }
    add_paths(model, bt_yaml_get(node, "path"), "path", &e->paths);
    add_paths(model, bt_yaml_get(node, "env_file"), "env_file", &e->env_files);
    struct bt_strs dir = {0};
    add_paths(model, bt_yaml_get(node, "project_directory"), "project_directory", &dir);
    if (dir.len)
      e->dir = bt_strdup(dir.items[0]);
    bt_strs_free(&dir);
  }
  if (load->diags->errors == before && !e->paths.len)
    bt_diag_error(load->diags, node->loc, "include: this entry names no path");
  if (load->diags->errors > before)
    return -1;
  if (!e->dir)
    e->dir = bt_path_dir(e->paths.items[0]);
  return 0;
}

/* The variables an included file sees: those of the file that includes it, then its own env files'. */
static struct bt_map *variables(struct bt_model *model, struct entry *e) {
  struct bt_load *load = model->load;
  struct bt_map *outer = load->dotenv, *vars = bt_map_new(free);
  for (struct bt_map_iter it = bt_map_iter(outer); bt_map_next(&it);)
    bt_map_set(vars, it.key, bt_strdup(it.value));
  bool optional = !e->env_files.len;
  if (optional)
    bt_vec_push(&e->env_files, bt_path_join(e->dir, ".env"));
  struct bt_map *own = bt_map_new(free);
  bt_vec_each(&e->env_files, path)
    (void)bt_compose_load_env(load, *path, e->loc, optional, own); /* errors are in diags */
  for (struct bt_map_iter it = bt_map_iter(own); bt_map_next(&it);)
    if (!bt_map_get(vars, it.key))
      bt_map_set(vars, it.key, bt_strdup(it.value));
  bt_map_free(&own);
  return vars;
}

static int check_circle(struct bt_model *model, const struct entry *e, const struct bt_strs *up) {
  for (size_t i = 0; i < e->paths.len; i++)
    for (size_t j = 0; j < up->len; j++)
      if (strcmp(e->paths.items[i], up->items[j]) == 0) {
        bt_diag_error(model->load->diags, e->loc, "%s includes itself by way of %s: files cannot include in a circle",
                      e->paths.items[i], up->items[up->len - 1]);
        return -1;
      }
  return 0;
}

static struct bt_yaml *load_entry(struct bt_model *model, struct entry *e, const struct bt_strs *up) {
  struct bt_load *load = model->load;
  BT_VEC(struct bt_source_file) files = {0};
  size_t before = load->diags->errors;
  bt_vec_each(&e->paths, path) {
    struct bt_source_file file = {0};
    if (bt_compose_parse_file(load, *path, e->loc, &file) == 0)
      bt_vec_push(&files, file);
  }
  struct bt_map *outer = load->dotenv;
  load->dotenv = variables(model, e);
  struct bt_model inner = {.load = load, .dir = e->dir, .up = up};
  struct bt_yaml *tree = load->diags->errors == before ? bt_compose_build_model(&inner, files.items, files.len) : NULL;
  bt_map_free(&load->dotenv);
  load->dotenv = outer;
  bt_vec_each(&files, file)
    bt_source_file_free(file);
  bt_vec_free(&files);
  return tree;
}

static const char *const kinds[] = {"services", "volumes", "networks", "secrets", "configs", "models"};

static bool same(const struct bt_yaml *a, const struct bt_yaml *b) {
  BT_AUTO_JSON x = bt_yaml_json(a);
  BT_AUTO_JSON y = bt_yaml_json(b);
  return bt_json_equal(x, y);
}

/* Puts one included resource into the document. What the document says of it itself wins; what came by two ways and is
 * the same is taken once. */
static void import(struct bt_load *load, struct bt_yaml *to, const char *kind, struct bt_yaml_pair *from,
                   const struct bt_reset *reset) {
  struct bt_yaml_pair *own = bt_yaml_pair(to, from->key);
  struct bt_yaml *value = bt_steal(from->value);
  if (!own) {
    bt_yaml_set(to, from->key, from->loc, value);
    return;
  }
  if (same(own->value, value)) {
    bt_yaml_free(&value);
    return;
  }
  const char *const prefix[] = {kind, from->key, NULL};
  bt_reset_apply(reset, value, prefix);
  struct bt_walk at = {.parts = {kind, from->key}, .len = 2};
  own->value = bt_compose_merge(load, value, own->value, &at);
}

static void import_all(struct bt_load *load, struct bt_yaml *doc, struct bt_yaml *tree, const struct bt_reset *reset) {
  for (size_t k = 0; k < BT_COUNT(kinds); k++) {
    struct bt_yaml *from = bt_yaml_get(tree, kinds[k]), *to = bt_yaml_get(doc, kinds[k]);
    if (!from || from->kind != BT_YAML_MAP)
      continue;
    if (!to || to->kind == BT_YAML_NULL) {
      bt_yaml_set(doc, kinds[k], from->loc, bt_yaml_new(BT_YAML_MAP, from->loc));
      to = bt_yaml_get(doc, kinds[k]);
    }
    if (to->kind != BT_YAML_MAP) {
      bt_diag_error(load->diags, to->loc, "%s must be a mapping of names to %s", kinds[k], kinds[k]);
      continue;
    }
    for (size_t i = 0; i < from->map.len; i++)
      import(load, to, kinds[k], &from->map.items[i], reset);
  }
}

static void include_entry(struct bt_model *model, struct bt_yaml *doc, const struct bt_yaml *node, const struct bt_strs *up,
                          const struct bt_reset *reset) {
  struct entry e = {0};
  if (read_entry(model, node, &e) == 0 && check_circle(model, &e, up) == 0) {
    BT_AUTO_YAML tree = load_entry(model, &e, up);
    if (tree)
      import_all(model->load, doc, tree, reset);
  }
  entry_free(&e);
}

int bt_compose_include(struct bt_model *model, struct bt_yaml *doc, const char *file, const struct bt_reset *reset) {
  struct bt_load *load = model->load;
  size_t before = load->diags->errors;
  BT_AUTO_YAML list = bt_yaml_take(doc, "include");
  if (!list || list->kind == BT_YAML_NULL)
    return 0;
  if (list->kind != BT_YAML_SEQ) {
    bt_diag_error(load->diags, list->loc, "include wants a list of files");
    return -1;
  }
  BT_AUTO_STRS up = {0};
  for (size_t i = 0; model->up && i < model->up->len; i++)
    bt_strs_add(&up, model->up->items[i]);
  bt_strs_add(&up, file);
  if (up.len > 32) {
    bt_diag_error(load->diags, list->loc, "files include each other more than 32 deep");
    return -1;
  }
  for (size_t i = 0; i < list->seq.len; i++)
    include_entry(model, doc, list->seq.items[i], &up, reset);
  return load->diags->errors > before ? -1 : 0;
}
