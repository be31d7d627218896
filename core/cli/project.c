#include "config.h"
#include "cli/project.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

/* ---------------------------------------------------------------- finding files */

static char *absolute(const char *path, struct bt_err **err) {
  char cwd[4096];
  if (path[0] == '/')
    return bt_path_clean(path);
  if (getcwd(cwd, sizeof cwd))
    return bt_path_join(cwd, path);
  bt_err_set(err, BT_IO, "the current folder cannot be read");
  return NULL;
}

static int add_absolute(struct bt_strs *out, const char *path, struct bt_err **err) {
  BT_AUTO_FREE char *full = absolute(path, err);
  if (!full)
    return -1;
  bt_strs_add(out, full);
  return 0;
}

/* COMPOSE_FILE: several paths, separated as COMPOSE_PATH_SEPARATOR says. */
static int add_separated(struct bt_strs *out, const char *paths, struct bt_err **err) {
  const char *sep = getenv("COMPOSE_PATH_SEPARATOR");
  BT_AUTO_FREE char *copy = bt_strdup(paths);
  char *save = NULL;
  for (char *path = strtok_r(copy, sep && *sep ? sep : ":", &save); path; path = strtok_r(NULL, sep && *sep ? sep : ":", &save))
    if (add_absolute(out, path, err))
      return -1;
  return 0;
}

/* The first of names in dir; NULL where none is there. */
static char *first_in(const char *dir, const char *const *names) {
  for (; *names; names++) {
    BT_AUTO_FREE char *path = bt_path_join(dir, *names);
    if (bt_file_exists(path))
      return bt_steal(path);
  }
  return NULL;
}

static bool add_folder(struct bt_strs *out, const char *dir) {
  static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", NULL};
  static const char *const overrides[] = {"compose.override.yaml", "compose.override.yml", "docker-compose.override.yml",
                                          "docker-compose.override.yaml", NULL};
  BT_AUTO_FREE char *file = first_in(dir, names);
  if (!file)
    return false;
  bt_strs_add(out, file);
  BT_AUTO_FREE char *more = first_in(dir, overrides);
  if (more)
    bt_strs_add(out, more);
  return true;
}

static int add_nearest(struct bt_strs *out, struct bt_err **err) {
  BT_AUTO_FREE char *dir = absolute(".", err);
  if (!dir)
    return -1;
  while (!add_folder(out, dir) && strcmp(dir, "/") != 0) {
    char *up = bt_path_dir(dir);
    free(dir);
    dir = up;
  }
  return 0;
}

/* The Compose files meant: -f, else COMPOSE_FILE, else compose.yaml (and its other names, with its override file) of this folder
 * or the nearest one above. Absolute paths, added to out; none is no error. */
static int find_files(const struct bt_args *args, struct bt_strs *out, struct bt_err **err) {
  BT_AUTO_STRS named = {0};
  bt_args_list(args, "file", &named);
  bt_vec_each(&named, path)
    if (add_absolute(out, *path, err))
      return -1;
  const char *env = getenv("COMPOSE_FILE");
  if (out->len)
    return 0;
  return env && *env ? add_separated(out, env, err) : add_nearest(out, err);
}

/* ---------------------------------------------------------------- options */

static int set_lists(const struct bt_args *args, struct bt_compose_options *options, struct bt_err **err) {
  BT_AUTO_STRS env_files = {0};
  bt_args_list(args, "env-file", &env_files);
  bt_vec_each(&env_files, path)
    if (add_absolute(&options->env_files, *path, err))
      return -1;
  bt_args_list(args, "profile", &options->profiles);
  return 0;
}

int bt_project_options(const struct bt_args *args, struct bt_project *project, struct bt_err **err) {
  struct bt_compose_options *options = &project->options;
  if (find_files(args, &options->files, err) || set_lists(args, options, err))
    return -1;
  if (!options->files.len)
    return bt_err_set(err, BT_NOT_FOUND, "there is no compose.yaml in this folder or above it; name a file with -f");
  options->project_name = bt_args_text(args, "project-name");
  const char *dir = bt_args_text(args, "project-directory");
  if (dir && !(project->dir = absolute(dir, err)))
    return -1;
  options->project_dir = project->dir;
  options->compat = bt_streq(bt_args_text(args, "compat"), "warn") ? BT_COMPAT_WARN : BT_COMPAT_REFUSE;
  return 0;
}

/* ---------------------------------------------------------------- loading */

static void content_free(void *value) {
  struct bt_compose_content *content = value;
  bt_wipe(content->data, content->len);
  free(content->data);
  free(content);
}

static int record_read(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  struct bt_project *project = arg;
  if (bt_file_read(path, max, out, len, err))
    return -1;
  struct bt_compose_content *content = bt_new(struct bt_compose_content);
  *content = (struct bt_compose_content){.len = *len, .data = bt_newn(char, *len + 1)};
  memcpy(content->data, *out, *len);
  bt_map_set(project->files, path, content);
  return 0;
}

static const char *record_env(void *arg, const char *name) {
  struct bt_project *project = arg;
  const char *value = getenv(name);
  if (value)
    bt_map_set(project->env, name, bt_strdup(value));
  return value;
}

int bt_project_load(struct bt_project *project) {
  project->files = bt_map_new(content_free);
  project->env = bt_map_new(free);
  struct bt_compose_source source = {.read = record_read, .env = record_env, .arg = project};
  return bt_compose_load(&source, &project->options, &project->result);
}

void bt_project_free(struct bt_project *project) {
  bt_compose_result_free(&project->result);
  bt_compose_options_free(&project->options);
  bt_map_free(&project->files);
  bt_map_free(&project->env);
  bt_str_set(&project->dir, NULL);
}

/* ---------------------------------------------------------------- the bundle */

/* Text where it is UTF-8 without NUL, else {"base64": …}. */
static json_t *content_json(const struct bt_compose_content *content) {
  json_t *text = memchr(content->data, '\0', content->len) ? NULL : json_stringn(content->data, content->len);
  if (text)
    return text;
  size_t room = sodium_base64_ENCODED_LEN(content->len, sodium_base64_VARIANT_ORIGINAL);
  BT_AUTO_FREE char *base64 = bt_newn(char, room);
  sodium_bin2base64(base64, room, (const unsigned char *)content->data, content->len, sodium_base64_VARIANT_ORIGINAL);
  return json_pack("{s:s}", "base64", base64);
}

static json_t *strs_json(const struct bt_strs *strs) {
  json_t *out = json_array();
  for (size_t i = 0; i < strs->len; i++)
    json_array_append_new(out, bt_json_string(strs->items[i]));
  return out;
}

json_t *bt_project_bundle(const struct bt_project *project) {
  json_t *bundle = json_object(), *files = json_object(), *env = json_object();
  for (struct bt_map_iter it = bt_map_iter(project->files); bt_map_next(&it);)
    bt_json_set(files, it.key, content_json(it.value));
  for (struct bt_map_iter it = bt_map_iter(project->env); bt_map_next(&it);)
    bt_json_set_str(env, it.key, it.value);
  bt_json_set(bundle, "files", files);
  bt_json_set(bundle, "compose_files", strs_json(&project->options.files));
  bt_json_set(bundle, "env_files", strs_json(&project->options.env_files));
  bt_json_set(bundle, "env", env);
  bt_json_set(bundle, "profiles", strs_json(&project->options.profiles));
  bt_json_set_str(bundle, "project_dir", project->result.project_dir);
  bt_json_set_str(bundle, "project_name", project->result.name);
  return bundle;
}

/* ---------------------------------------------------------------- the app that is meant */

/* A file that was named and cannot be read names no app: the folder's own would be another one. */
static int check_read(const struct bt_project *project, struct bt_err **err) {
  bt_vec_each(&project->options.files, path)
    if (!bt_map_get(project->files, *path))
      return bt_err_set(err, BT_NOT_FOUND, "%s cannot be read, so it is not known which app is meant", *path);
  return 0;
}

int bt_project_app(const struct bt_args *args, char **out, struct bt_err **err) {
  *out = bt_strdup(bt_args_text(args, "project-name"));
  if (*out)
    return 0;
  BT_AUTO_STRS files = {0};
  if (find_files(args, &files, err))
    return -1;
  if (!files.len) {
    *out = bt_strdup(getenv("COMPOSE_PROJECT_NAME"));
    return 0;
  }
  /* Only the name is wanted, so what is wrong in the rest of the file does not matter here. */
  struct bt_project project = {.options = {.skip_berth_checks = true, .keep_inactive = true}};
  int rc = bt_project_options(args, &project, err);
  if (rc == 0) {
    (void)!bt_project_load(&project);
    rc = check_read(&project, err);
  }
  *out = rc == 0 ? bt_strdup(project.result.name) : NULL;
  if (rc == 0 && !*out)
    rc = bt_diags_err(&project.result.diags, err);
  bt_project_free(&project);
  return rc;
}
