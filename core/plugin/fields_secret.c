/* Secrets in configurations: which are named, and their texts in place of the references. */
#include "config.h"
#include "plugin/fields.h"

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

enum { max_secret_file = 64 * 1024 };

/* Calls fn for every reference below value; fn gives the text's replacement (new reference), NULL to leave it, and an
 * error stops. */
struct ref_walk {
  int (*fn)(struct ref_walk *walk, const char *kind, const char *name, json_t **replacement, struct bt_err **err);
  struct bt_strs *names;
  const struct bt_map *values;
};

static int walk_value(struct ref_walk *walk, json_t *value, json_t **replacement, struct bt_err **err);

static int walk_array(struct ref_walk *walk, json_t *array, struct bt_err **err) {
  size_t i;
  json_t *item;
  json_array_foreach(array, i, item) {
    json_t *with = NULL;
    if (walk_value(walk, item, &with, err) != 0)
      return -1;
    if (with)
      json_array_set_new(array, i, with);
  }
  return 0;
}

static int walk_object(struct ref_walk *walk, json_t *object, struct bt_err **err) {
  for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
    json_t *with = NULL;
    if (walk_value(walk, json_object_iter_value(it), &with, err) != 0)
      return bt_err_wrap(err, "%s", json_object_iter_key(it));
    if (with)
      json_object_iter_set_new(object, it, with);
  }
  return 0;
}

/* Recursion is bounded: what comes in was parsed with a depth cap. */
static int walk_value(struct ref_walk *walk, json_t *value, json_t **replacement, struct bt_err **err) {
  const char *kind = bt_field_reference(value);
  if (kind)
    return walk->fn(walk, kind, bt_json_str(value, kind), replacement, err);
  if (json_is_array(value))
    return walk_array(walk, value, err);
  return json_is_object(value) ? walk_object(walk, value, err) : 0;
}

static int walk_config(struct ref_walk *walk, const struct berth_field *fields, json_t *config, struct bt_err **err) {
  for (const struct berth_field *f = fields; f && f->name; f++) {
    json_t *value = f->secret ? json_object_get(config, f->name) : NULL;
    json_t *with = NULL;
    if (value && walk_value(walk, value, &with, err) != 0)
      return bt_err_wrap(err, "%s", f->name);
    if (with)
      bt_json_set(config, f->name, with);
  }
  return 0;
}

static int note_name(struct ref_walk *walk, const char *kind, const char *name, json_t **replacement, struct bt_err **err) {
  (void)replacement, (void)err;
  if (strcmp(kind, "secret") == 0 && !bt_strs_has(walk->names, name))
    bt_strs_add(walk->names, name);
  return 0;
}

void bt_plugin_config_secrets(const struct berth_field *fields, const json_t *config, struct bt_strs *names) {
  struct ref_walk walk = {.fn = note_name, .names = names};
  int rc = walk_config(&walk, fields, (json_t *)(uintptr_t)config, NULL);
  BT_ASSERT(rc == 0);
}

static int read_secret_file(const char *path, json_t **out, struct bt_err **err) {
  char *text = NULL;
  size_t len = 0;
  if (path[0] != '/')
    return bt_err_set(err, BT_INVALID, "{file: %s}: give an absolute path", path);
  if (bt_file_read(path, max_secret_file, &text, &len, err) != 0)
    return -1;
  size_t all = len;
  if (len && text[len - 1] == '\n')
    len--;
  *out = json_stringn(text, len);
  bt_wipe(text, all);
  free(text);
  return *out ? 0 : bt_err_set(err, BT_INVALID, "%s: not valid UTF-8", path);
}

static int put_text(struct ref_walk *walk, const char *kind, const char *name, json_t **replacement, struct bt_err **err) {
  if (strcmp(kind, "file") == 0)
    return read_secret_file(name, replacement, err);
  const char *value = walk->values ? bt_map_get(walk->values, name) : NULL;
  if (!value)
    return bt_err_set(err, BT_NOT_FOUND, "no secret \"%s\" in namespace default: make it with \"berth secret put %s FILE\"", name,
                      name);
  *replacement = json_string(value);
  return *replacement ? 0 : bt_err_set(err, BT_INVALID, "the secret \"%s\" is not valid UTF-8", name);
}

int bt_plugin_config_resolve(const struct berth_field *fields, json_t *config, const struct bt_map *values,
                             struct bt_err **err) {
  struct ref_walk walk = {.fn = put_text, .values = values};
  return walk_config(&walk, fields, config, err);
}
