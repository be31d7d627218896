#include "config.h"
#include "api/document.h"

#include <sodium.h>

#include "api/http_request.h"
#include "api/internal.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

/* A single text without a bundle stands here: paths in it are the server's own, and relative ones begin at the root. */
#define SINGLE "/compose.yaml"

struct source {
  const json_t *files, *env;
};

static int decode(const char *text, char **out, size_t *len, const char *path, struct bt_err **err) {
  size_t room = strlen(text);
  char *data = bt_calloc(room + 1, 1);
  if (sodium_base642bin((unsigned char *)data, room, text, room, "\r\n", len, NULL, sodium_base64_VARIANT_ORIGINAL) < 0) {
    free(data);
    return bt_err_set(err, BT_INVALID, "bundle.files: %s is no base64", path);
  }
  *out = data;
  return 0;
}

static int read_file(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  const struct source *s = arg;
  const json_t *file = json_object_get(s->files, path);
  const char *base64 = bt_json_str(file, "base64");
  if (!file)
    return bt_err_set(err, BT_NOT_FOUND, "%s is not in the bundle that was sent", path);
  if (base64) {
    if (decode(base64, out, len, path, err) < 0)
      return -1;
  } else {
    *len = json_string_length(file);
    *out = bt_memdup(json_string_value(file), *len + 1);
  }
  if (*len <= max)
    return 0;
  free(bt_steal(*out));
  return bt_err_set(err, BT_TOO_LARGE, "%s is larger than %zu bytes", path, max);
}

static const char *get_env(void *arg, const char *name) {
  const struct source *s = arg;
  return bt_json_str(s->env, name);
}

/* ---------------------------------------------------------------- checks */

enum type { TEXT, FLAG, OBJECT, LIST };

static int check_type(const json_t *obj, const char *where, const char *key, enum type type, struct bt_err **err) {
  const json_t *v = json_object_get(obj, key);
  if (!v || json_is_null(v) || (type == TEXT && json_is_string(v)) || (type == FLAG && json_is_boolean(v)) ||
      (type == OBJECT && json_is_object(v)))
    return 0;
  bool good = type == LIST && json_is_array(v);
  for (size_t i = 0; good && i < json_array_size(v); i++)
    good = json_is_string(json_array_get(v, i));
  static const char *const names[] = {"a string", "true or false", "an object", "an array of strings"};
  return good ? 0 : bt_err_set(err, BT_INVALID, "%s%s has to be %s", where, key, names[type]);
}

static int check_types(const json_t *obj, const char *where, const char *const *texts, const char *const *lists,
                       const char *const *objects, struct bt_err **err) {
  for (; *texts; texts++)
    if (check_type(obj, where, *texts, TEXT, err) < 0)
      return -1;
  for (; *lists; lists++)
    if (check_type(obj, where, *lists, LIST, err) < 0)
      return -1;
  for (; *objects; objects++)
    if (check_type(obj, where, *objects, OBJECT, err) < 0)
      return -1;
  return 0;
}

static int check_word(const json_t *obj, const char *key, const char *const *words, struct bt_err **err) {
  const char *text = bt_json_str(obj, key);
  BT_AUTO_BUF all = {0};
  for (const char *const *w = words; text && *w; w++) {
    if (strcmp(text, *w) == 0)
      return 0;
    bt_buf_addf(&all, "%s%s", all.len ? ", " : "", *w);
  }
  return text ? bt_err_set(err, BT_INVALID, "%s has to be one of %s", key, all.data) : 0;
}

static int check_map(const json_t *map, const char *what, bool paths, struct bt_err **err) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)map, key, value) {
    if (!json_is_string(value) && !(paths && bt_json_str(value, "base64") && json_object_size(value) == 1))
      return bt_err_set(err, BT_INVALID, "%s: the value of \"%.200s\" has to be a string", what, key);
    BT_AUTO_FREE char *clean = paths ? bt_path_clean(key) : NULL;
    if (paths && (*key != '/' || !bt_streq(clean, key)))
      return bt_err_set(err, BT_INVALID, "%s: \"%.200s\" is no absolute, clean path", what, key);
  }
  return 0;
}

static int check_bundle(const json_t *bundle, struct bt_err **err) {
  static const char *const keys[] = {"files", "compose_files", "env_files", "env", "profiles", "project_dir", "project_name", NULL};
  static const char *const texts[] = {"project_dir", "project_name", NULL}, *const objects[] = {"files", "env", NULL},
                    *const lists[] = {"compose_files", "env_files", "profiles", NULL};
  if (bt_check_keys(bundle, "bundle", keys, err) < 0 || check_types(bundle, "bundle.", texts, lists, objects, err) < 0 ||
      check_map(bt_json_obj(bundle, "files"), "bundle.files", true, err) < 0 ||
      check_map(bt_json_obj(bundle, "env"), "bundle.env", false, err) < 0)
    return -1;
  if (json_array_size(bt_json_arr(bundle, "compose_files")) == 0)
    return bt_err_set(err, BT_INVALID, "bundle.compose_files names no file");
  return 0;
}

static int check_scale(const json_t *scale, struct bt_err **err) {
  const char *name;
  json_t *n;
  json_object_foreach((json_t *)(uintptr_t)scale, name, n)
    if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > 100000)
      return bt_err_set(err, BT_INVALID, "scale: service %.63s: give the number of replicas as a whole number from 0", name);
  return 0;
}

static int check(const json_t *doc, struct bt_err **err) {
  static const char *const keys[] = {"bundle", "compose", "env", "compat", "build", "recreate", "message", "scale", NULL};
  static const char *const texts[] = {"compose", "compat", "build", "message", NULL}, *const none[] = {NULL},
                    *const objects[] = {"bundle", "env", "scale", NULL};
  static const char *const compat[] = {"refuse", "warn", NULL}, *const build[] = {"missing", "always", "never", NULL};
  const json_t *bundle = bt_json_obj(doc, "bundle");
  if (bt_check_keys(doc, "the apply document", keys, err) < 0 || check_types(doc, "", texts, none, objects, err) < 0 ||
      check_type(doc, "", "recreate", FLAG, err) < 0 || check_word(doc, "compat", compat, err) < 0 ||
      check_word(doc, "build", build, err) < 0 || check_map(bt_json_obj(doc, "env"), "env", false, err) < 0 ||
      check_scale(bt_json_obj(doc, "scale"), err) < 0)
    return -1;
  if (!bundle == !bt_json_str(doc, "compose"))
    return bt_err_set(err, BT_INVALID, "the apply document needs either \"bundle\" or \"compose\"");
  if (bundle && json_object_get(doc, "env"))
    return bt_err_set(err, BT_INVALID, "\"env\" goes with \"compose\"; a bundle has its own");
  return bundle ? check_bundle(bundle, err) : 0;
}

json_t *bt_document_parse(const char *text, size_t len, struct bt_err **err) {
  if (!len) {
    bt_err_set(err, BT_INVALID, "the body is empty: it has to be an apply document, {\"bundle\": ...} or {\"compose\": \"the file's text\"}; "
                                "/v1/openapi.json has its members");
    return NULL;
  }
  BT_AUTO_JSON doc = bt_json_parse(text, len, BT_REQ_MAX_BODY, 0, "body", err);
  if (doc && !json_is_object(doc))
    bt_err_set(err, BT_INVALID, "the body is no JSON object");
  if (!json_is_object(doc) || check(doc, err) < 0)
    return NULL;
  return bt_steal(doc);
}

/* ---------------------------------------------------------------- loading */

static void add_list(struct bt_strs *out, const json_t *list) {
  for (size_t i = 0; i < json_array_size(list); i++)
    bt_strs_add(out, json_string_value(json_array_get(list, i)));
}

int bt_document_load(const json_t *doc, const char *project, struct bt_compose_result *result, struct bt_err **err) {
  const json_t *bundle = bt_json_obj(doc, "bundle");
  const char *single = bt_json_str(doc, "compose"), *named = bt_json_str(bundle, "project_name");
  if (project && named && strcmp(project, named) != 0)
    return bt_err_set(err, BT_INVALID, "the address names app %s, the document project %s", project, named);
  BT_AUTO_JSON files = single ? json_object() : NULL;
  if (single)
    json_object_set(files, SINGLE, json_object_get(doc, "compose"));
  struct source s = {.files = single ? files : bt_json_obj(bundle, "files"), .env = bt_json_obj(single ? doc : bundle, "env")};
  struct bt_compose_source source = {.read = read_file, .env = get_env, .arg = &s};
  struct bt_compose_options options = {.project_dir = bt_json_str(bundle, "project_dir"),
                                       .project_name = project ? project : named,
                                       .compat = bt_streq(bt_json_str(doc, "compat"), "warn") ? BT_COMPAT_WARN : BT_COMPAT_REFUSE};
  if (single)
    bt_strs_add(&options.files, SINGLE);
  add_list(&options.files, bt_json_arr(bundle, "compose_files"));
  add_list(&options.env_files, bt_json_arr(bundle, "env_files"));
  add_list(&options.profiles, bt_json_arr(bundle, "profiles"));
  int rc = bt_compose_load(&source, &options, result);
  bt_strs_free(&options.files);
  bt_strs_free(&options.env_files);
  bt_strs_free(&options.profiles);
  return rc;
}
