#include "config.h"
#include "api/follow_files.h"

#include <sodium.h>
#include <string.h>

#include "api/follow_model.h"
#include "api/http_request.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "compose/compose.h"

enum { max_asked = 1000 };

struct bt_follow_files {
  char *app, *dir; /* dir: of the loader, "/repository/deploy" */
  const json_t *spec;
  json_t *files;   /* {"/repository/…": text or {"base64"}} */
  json_t *asked;   /* {"deploy/compose.yaml": true} */
  json_t *wanted;  /* ["deploy/x.yaml"] */
  struct bt_strs compose;
  json_t *needs;
  struct bt_err *err;
  struct bt_buf document;
};

static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", NULL};
static const char *const overrides[] = {"compose.override.yaml", "compose.override.yml", "docker-compose.override.yml",
                                        "docker-compose.override.yaml", NULL};

/* ---------------------------------------------------------------- what is wanted */

/* A path that a file may have; NULL where it is outside. */
static const char *inner(const char *path) {
  const char *found = bt_follow_inner(path);
  return found && *found ? found : NULL;
}

static void want(struct bt_follow_files *f, const char *full) {
  const char *path = inner(full);
  if (path && !json_object_get(f->asked, path)) {
    json_object_set_new(f->asked, path, json_true());
    json_array_append_new(f->wanted, bt_json_string(path));
  }
}

static void want_in_dir(struct bt_follow_files *f, const char *name) {
  BT_AUTO_FREE char *full = bt_path_join(f->dir, name);
  want(f, full);
}

struct bt_follow_files *bt_follow_files_new(const char *app, const json_t *spec) {
  struct bt_follow_files *f = bt_new(struct bt_follow_files);
  f->app = bt_strdup(app);
  f->spec = spec;
  f->dir = bt_path_join(BT_FOLLOW_ROOT, bt_json_str_or(spec, "path", ""));
  f->files = json_object();
  f->asked = json_object();
  f->wanted = json_array();
  const json_t *named = bt_json_arr(spec, "files");
  for (size_t i = 0; i < json_array_size(named); i++)
    want_in_dir(f, json_string_value(json_array_get(named, i)));
  for (size_t i = 0; names[i] && !json_array_size(named); i++) {
    want_in_dir(f, names[i]);
    want_in_dir(f, overrides[i]);
  }
  want_in_dir(f, ".env");
  return f;
}

void bt_follow_files_free(struct bt_follow_files **pf) {
  struct bt_follow_files *f = bt_steal(*pf);
  if (!f)
    return;
  free(f->app);
  free(f->dir);
  json_decref(f->files);
  json_decref(f->asked);
  json_decref(f->wanted);
  json_decref(f->needs);
  bt_strs_free(&f->compose);
  bt_err_free(&f->err);
  bt_buf_free(&f->document);
  free(f);
}

bool bt_follow_files_wanted(const struct bt_follow_files *f) { return json_array_size(f->wanted) > 0; }

char *bt_follow_files_ask(struct bt_follow_files *f) {
  char *text = bt_json_text(f->wanted);
  json_array_clear(f->wanted);
  return text;
}

void bt_follow_files_add(struct bt_follow_files *f, const json_t *found) {
  const char *path;
  json_t *content;
  json_object_foreach((json_t *)(uintptr_t)found, path, content) {
    BT_AUTO_FREE char *full = bt_path_join(BT_FOLLOW_ROOT, path);
    if (inner(full) && json_object_get(f->asked, path))
      json_object_set(f->files, full, content);
  }
}

/* ---------------------------------------------------------------- the loader's view */

static int decode(const char *text, char **out, size_t *len, struct bt_err **err) {
  size_t room = strlen(text);
  char *data = bt_calloc(room + 1, 1);
  if (sodium_base642bin((unsigned char *)data, room, text, room, "\r\n", len, NULL, sodium_base64_VARIANT_ORIGINAL) == 0) {
    *out = data;
    return 0;
  }
  free(data);
  return bt_err_set(err, BT_INTERNAL, "the plug-in gave a file that is no base64");
}

static int read_file(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  struct bt_follow_files *f = arg;
  const json_t *file = json_object_get(f->files, path);
  if (!file) {
    want(f, path);
    return bt_err_set(err, BT_NOT_FOUND, inner(path) ? "%s is not in the repository" : "%s is outside of the repository",
                      inner(path) ? inner(path) : path);
  }
  const char *base64 = bt_json_str(file, "base64");
  if (base64 && decode(base64, out, len, err) < 0)
    return -1;
  if (!base64) {
    *len = json_string_length(file);
    *out = bt_memdup(json_string_value(file) ? json_string_value(file) : "", *len + 1);
  }
  if (*len <= max)
    return 0;
  free(bt_steal(*out));
  return bt_err_set(err, BT_TOO_LARGE, "%s is larger than %zu bytes", path, max);
}

static const char *get_env(void *arg, const char *name) {
  const struct bt_follow_files *f = arg;
  return bt_json_str(bt_json_obj(f->spec, "env"), name);
}

/* ---------------------------------------------------------------- reading */

/* The Compose files that were named, or the first of the usual ones that is there, with its override. */
static int choose(struct bt_follow_files *f) {
  const json_t *named = bt_json_arr(f->spec, "files");
  for (size_t i = 0; i < json_array_size(named); i++) {
    BT_AUTO_FREE char *full = bt_path_join(f->dir, json_string_value(json_array_get(named, i)));
    bt_strs_add(&f->compose, full);
    if (!json_object_get(f->files, full))
      return bt_err_set(&f->err, BT_NOT_FOUND, "there is no %s in the repository", inner(full));
  }
  const char *const *const lists[] = {names, overrides};
  for (size_t l = 0; l < BT_COUNT(lists) && !json_array_size(named); l++)
    for (size_t i = 0; lists[l][i] && f->compose.len == l; i++) {
      BT_AUTO_FREE char *full = bt_path_join(f->dir, lists[l][i]);
      if (json_object_get(f->files, full))
        bt_strs_add(&f->compose, full);
    }
  if (!f->compose.len)
    return bt_err_set(&f->err, BT_NOT_FOUND, "there is no compose.yaml in %s of the repository",
                      inner(f->dir) ? inner(f->dir) : "the root");
  return 0;
}

static json_t *strs_json(const struct bt_strs *strs) {
  json_t *list = json_array();
  bt_vec_each(strs, s) json_array_append_new(list, bt_json_string(*s));
  return list;
}

static void write_document(struct bt_follow_files *f) {
  BT_AUTO_JSON doc = json_object();
  json_t *bundle = json_object();
  bt_json_set(doc, "bundle", bundle);
  bt_json_set(bundle, "files", json_incref(f->files));
  bt_json_set(bundle, "compose_files", strs_json(&f->compose));
  bt_json_set(bundle, "env", json_incref(bt_json_obj(f->spec, "env")));
  bt_json_set(bundle, "profiles", json_incref(bt_json_arr(f->spec, "profiles")));
  bt_json_set_str(bundle, "project_dir", f->dir);
  bt_json_set_str(bundle, "project_name", f->app);
  bt_json_set_str(doc, "compat", bt_json_str(f->spec, "compat"));
  BT_AUTO_FREE char *text = bt_json_text(doc);
  bt_buf_adds(&f->document, text);
  if (f->document.len > BT_REQ_MAX_BODY)
    bt_err_set(&f->err, BT_TOO_LARGE, "the Compose files and what they name are larger than 3 MiB together");
}

static void load(struct bt_follow_files *f) {
  struct bt_compose_source source = {.read = read_file, .env = get_env, .arg = f};
  struct bt_compose_options options = {.project_dir = f->dir,
                                       .project_name = f->app,
                                       .compat = bt_streq(bt_json_str(f->spec, "compat"), "warn") ? BT_COMPAT_WARN : BT_COMPAT_REFUSE};
  bt_vec_each(&f->compose, file) bt_strs_add(&options.files, *file);
  const json_t *profiles = bt_json_arr(f->spec, "profiles");
  for (size_t i = 0; i < json_array_size(profiles); i++)
    bt_strs_add(&options.profiles, json_string_value(json_array_get(profiles, i)));
  struct bt_compose_result result;
  int rc = bt_compose_load(&source, &options, &result);
  /* What is wrong in the files comes again, with its places, from the admission. */
  if (!bt_follow_files_wanted(f) && rc == 0)
    f->needs = bt_follow_needs(result.model, result.places, &f->err);
  bt_strs_free(&options.files);
  bt_strs_free(&options.profiles);
  bt_compose_result_free(&result);
}

void bt_follow_files_read(struct bt_follow_files *f) {
  if (!f->compose.len && choose(f) < 0)
    return;
  load(f);
  if (json_object_size(f->asked) > max_asked)
    bt_err_set(&f->err, BT_TOO_LARGE, "the Compose files name more than %d files", max_asked);
  if (!f->err && !bt_follow_files_wanted(f))
    write_document(f);
}

const json_t *bt_follow_files_needs(const struct bt_follow_files *f) { return json_object_size(f->needs) ? f->needs : NULL; }

const struct bt_err *bt_follow_files_error(const struct bt_follow_files *f) { return f->err; }

void bt_follow_files_document(struct bt_follow_files *f, struct bt_buf *out) {
  bt_buf_free(out);
  *out = f->document;
  f->document = (struct bt_buf){0};
}
