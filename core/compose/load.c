#include "config.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "compose/stages.h"

enum { max_expansion = 16 << 20, max_nodes = 500000, max_files = 500 };

/* --- results --- */

static void content_free(void *p) {
  struct bt_compose_content *content = p;
  if (content->data)
    bt_wipe(content->data, content->len);
  free(content->data);
  free(content);
}

void bt_compose_result_free(struct bt_compose_result *result) {
  free(result->name);
  free(result->project_dir);
  json_decref(result->model);
  json_decref(result->places);
  bt_map_free(&result->contents);
  bt_strs_free(&result->files_read);
  bt_map_free(&result->env_used);
  bt_diags_free(&result->diags);
  memset(result, 0, sizeof *result);
}

void bt_compose_options_free(struct bt_compose_options *options) {
  bt_strs_free(&options->files);
  bt_strs_free(&options->env_files);
  bt_strs_free(&options->profiles);
}

/* --- variables --- */

int bt_compose_load_env(struct bt_load *load, const char *path, struct bt_loc from, bool optional, struct bt_map *vars) {
  BT_AUTO_FREE char *text = NULL;
  size_t len = 0;
  BT_AUTO_ERR err = NULL;
  if (strcmp(path, "/dev/null") == 0)
    return 0;
  if (bt_compose_read(load, path, &text, &len, &err)) {
    enum bt_code code = bt_err_code(err);
    if (optional && (code == BT_NOT_FOUND || code == BT_INVALID)) /* a folder named .env is nobody's mistake */
      return 0;
    bt_diag_error(load->diags, from.file ? from : (struct bt_loc){bt_compose_intern(load, path), 0, 0},
                  "cannot read the env file: %s", bt_err_message(err));
    return -1;
  }
  return bt_compose_dotenv(load, text, len, path, vars);
}

static void load_env_files(struct bt_load *load) {
  const struct bt_strs *files = &load->options->env_files;
  struct bt_map *vars = bt_map_new(free);
  struct bt_loc nowhere = {0};
  bt_vec_each(files, path)
    (void)bt_compose_load_env(load, *path, nowhere, false, vars); /* errors are in diags */
  if (!files->len) {
    BT_AUTO_FREE char *path = bt_path_join(load->result->project_dir, ".env");
    (void)bt_compose_load_env(load, path, nowhere, true, vars);
  }
  bt_map_free(&load->dotenv);
  load->dotenv = vars;
}

/* As the reference does, COMPOSE_PROFILES counts only where no profile was named, and may stand in .env as well. */
static void choose_profiles(struct bt_load *load) {
  bt_vec_each(&load->options->profiles, name) bt_strs_add(&load->profiles, *name);
  const char *named = load->profiles.len ? NULL : bt_compose_var(load, "COMPOSE_PROFILES");
  BT_AUTO_FREE char *copy = bt_strdup(named ? named : "");
  char *save = NULL;
  for (char *name = strtok_r(copy, ", ", &save); name; name = strtok_r(NULL, ", ", &save))
    bt_strs_add(&load->profiles, name);
}

/* --- the project's name --- */

static const struct bt_yaml *named_in_files(const struct bt_source_file *files, size_t n) {
  const struct bt_yaml *last = NULL;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < files[i].ndocs; j++) {
      const struct bt_yaml *name = bt_yaml_get(files[i].docs[j], "name");
      if (name && name->kind == BT_YAML_STR && *name->text)
        last = name;
    }
  return last;
}

static char *name_from_file(struct bt_load *load, const struct bt_yaml *node) {
  BT_AUTO_FREE char *text = NULL;
  if (bt_compose_interpolate(load, node->text, node->loc, &text))
    return NULL;
  char *name = bt_compose_project_name(text);
  if (!name && *text)
    bt_diag_error(load->diags, node->loc, "\"%s\" has no letter or digit that a project's name could keep", text);
  return name;
}

static char *explicit_name(struct bt_load *load, const char *text) {
  BT_AUTO_FREE char *name = bt_compose_project_name(text);
  if (bt_streq(name, text))
    return bt_steal(name);
  bt_diag_error(load->diags, (struct bt_loc){0},
                "the project's name \"%s\" is invalid: it has lower-case letters, digits, \"-\" and \"_\" only, and begins "
                "with a letter or digit", text);
  return NULL;
}

static void choose_name(struct bt_load *load, const struct bt_source_file *files, size_t n) {
  size_t before = load->diags->errors;
  const char *text = load->options->project_name;
  if (!text || !*text)
    text = bt_compose_var(load, "COMPOSE_PROJECT_NAME");
  const struct bt_yaml *in_file = named_in_files(files, n);
  char *name = NULL;
  if (text && *text)
    name = explicit_name(load, text);
  else if (in_file)
    name = name_from_file(load, in_file);
  if (!name && load->diags->errors == before)
    name = bt_compose_project_name(bt_path_base(load->result->project_dir));
  if (!name && load->diags->errors == before)
    bt_diag_error(load->diags, (struct bt_loc){0}, "the project has no name: neither a name: in the file nor the folder gives one");
  load->result->name = name;
}

/* --- the load --- */

/* All files read, interpolated, included, extended and merged into one tree. As the reference does, each document goes
 * through: interpolate and cast (casts.c: what is a string by its quotes or by a variable becomes the integer, number or
 * boolean its field wants), include, reset, extends, merge, bt_compose_check_schema, bt_compose_canonical, unique keys.
 * At the end relative host paths are absolute (paths.c), "environment: [NAME]" has its value, and a build without context
 * has its folder. So what comes out is in long forms, checked, with paths resolved; defaults are still missing.
 * NULL with errors in load->diags. */
static struct bt_yaml *merge_all(struct bt_load *load) {
  BT_VEC(struct bt_source_file) files = {0};
  size_t before = load->diags->errors;
  bt_vec_each(&load->options->files, path) {
    struct bt_source_file file = {0};
    BT_AUTO_FREE char *clean = bt_path_clean(*path);
    if (bt_compose_parse_file(load, clean, (struct bt_loc){0}, &file) == 0)
      bt_vec_push(&files, file);
  }
  choose_name(load, files.items, files.len);
  struct bt_model model = {.load = load, .dir = load->result->project_dir};
  BT_AUTO_YAML tree = load->diags->errors == before ? bt_compose_build_model(&model, files.items, files.len) : NULL;
  bt_vec_each(&files, file)
    bt_source_file_free(file);
  bt_vec_free(&files);
  if (tree && !tree->map.len)
    bt_diag_error(load->diags, (struct bt_loc){0}, "there is nothing in the Compose file");
  return load->diags->errors == before ? bt_steal(tree) : NULL;
}

static int by_key(const void *a, const void *b) {
  return strcmp(((const struct bt_yaml_pair *)a)->key, ((const struct bt_yaml_pair *)b)->key);
}

static void sort_keys(struct bt_yaml *node) {
  if (node->kind == BT_YAML_SEQ)
    for (size_t i = 0; i < node->seq.len; i++)
      sort_keys(node->seq.items[i]);
  if (node->kind != BT_YAML_MAP)
    return;
  if (node->map.len)
    qsort(node->map.items, node->map.len, sizeof *node->map.items, by_key);
  for (size_t i = 0; i < node->map.len; i++)
    sort_keys(node->map.items[i].value);
}

/* What comes after the merge; each stage runs only on what the one before left sound. */
static int finish(struct bt_load *load, struct bt_yaml *tree) {
  bt_yaml_set(tree, "name", tree->loc, bt_yaml_str(load->result->name, tree->loc));
  if (bt_compose_normalise(load, tree) || bt_compose_profiles(load, tree))
    return -1;
  int rc = bt_compose_check_references(load, tree);
  if (!load->options->skip_berth_checks)
    rc |= bt_compose_check_support(load, tree);
  BT_AUTO_YAML models = bt_yaml_take(tree, "models"); /* the reference's JSON has no place for them; Berth refuses them */
  (void)models;
  return rc || load->diags->errors ? -1 : 0;
}

/* Of several files that bring a service, the one that the merge kept the key of. */
static json_t *places_of(const struct bt_yaml *tree) {
  json_t *places = json_object();
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  if (services && services->kind == BT_YAML_MAP)
    bt_vec_each(&services->map, pair) {
      json_t *place = json_object();
      bt_json_set_str(place, "file", pair->loc.file);
      bt_json_set_int(place, "line", pair->loc.line);
      bt_json_set(places, pair->key, place);
    }
  return places;
}

static int run(struct bt_load *load) {
  const struct bt_compose_options *options = load->options;
  struct bt_compose_result *result = load->result;
  if (!options->files.len) {
    bt_diag_error(load->diags, (struct bt_loc){0}, "no Compose file was named");
    return -1;
  }
  result->project_dir = options->project_dir ? bt_path_clean(options->project_dir) : bt_path_dir(options->files.items[0]);
  load_env_files(load);
  choose_profiles(load);
  BT_AUTO_YAML tree = merge_all(load);
  if (!tree || load->diags->errors || finish(load, tree))
    return -1;
  sort_keys(tree);
  result->model = bt_yaml_json(tree);
  result->places = places_of(tree);
  return 0;
}

int bt_compose_load(const struct bt_compose_source *source, const struct bt_compose_options *options,
                    struct bt_compose_result *result) {
  *result = (struct bt_compose_result){.contents = bt_map_new(content_free), .env_used = bt_map_new(free)};
  struct bt_load load = {
      .source = source,
      .options = options,
      .result = result,
      .diags = &result->diags,
      .names = bt_map_new(free),
      .dotenv = bt_map_new(free),
      .warned = bt_map_new(NULL),
      .budget = max_expansion,
      .nodes = max_nodes,
      .files = max_files,
  };
  int rc = run(&load);
  bt_strs_free(&load.profiles);
  bt_map_free(&load.warned);
  bt_map_free(&load.dotenv);
  bt_map_free(&load.names);
  return rc;
}
