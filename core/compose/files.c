/* What stands in other files: env_file and label_file of services, contents of secrets and configs. Only what is used is
 * read, so this comes after the profiles. */
#include "config.h"

#include "base/buf.h"
#include "base/mem.h"
#include "compose/files.h"
#include "compose/values.h"

/* ---- env_file, label_file ---- */

/* Variables of the project come first, then what the service has already. */
struct scope {
  struct bt_load *load;      /* NULL: labels do not see the project's variables */
  const struct bt_map *more; /* NAME -> char * */
};

static const char *look_up(void *arg, const char *name) {
  const struct scope *s = arg;
  const char *value = s->load ? bt_compose_var(s->load, name) : NULL;
  return value ? value : bt_map_get(s->more, name);
}

/* "format: raw": NAME=value as it stands, no quotes and no variables. */
static void parse_raw(struct bt_load *load, const char *text, struct bt_map *vars) {
  for (const char *line = text; *line;) {
    size_t n = strcspn(line, "\n");
    size_t len = n && line[n - 1] == '\r' ? n - 1 : n;
    BT_AUTO_FREE char *copy = bt_strndup(line, len);
    char *start = copy + strspn(copy, " \t"), *equals = strchr(start, '=');
    if (equals)
      *equals = '\0';
    const char *value = equals ? equals + 1 : *start && *start != '#' ? bt_compose_var(load, start) : NULL;
    if (*start && *start != '#' && value)
      bt_map_set(vars, start, bt_strdup(value));
    line += n + (line[n] != '\0');
  }
}

/* Reads one file into vars; -1 with an error. A file that is not there passes where it is not required. */
static int read_vars(struct bt_load *load, const struct bt_yaml *path, bool required, bool raw, struct scope *scope,
                     struct bt_map *vars) {
  BT_AUTO_FREE char *text = NULL;
  BT_AUTO_ERR err = NULL;
  size_t len = 0;
  if (bt_compose_read(load, path->text, &text, &len, &err)) {
    if (bt_err_code(err) == BT_NOT_FOUND && !required)
      return 0;
    bt_diag_error(load->diags, path->loc, "%s", bt_err_message(err));
    return -1;
  }
  if (memchr(text, '\0', len)) {
    bt_diag_error(load->diags, path->loc, "%s holds a NUL byte and is no text", path->text);
    return -1;
  }
  if (raw) {
    parse_raw(load, text, vars);
    return 0;
  }
  struct bt_env_lookup lookup = {look_up, scope};
  return bt_compose_env_text(load, text, len, bt_compose_intern(load, path->text), &lookup, vars);
}

/* Texts of a mapping, nulls left out. */
static struct bt_map *texts_of(const struct bt_yaml *map) {
  struct bt_map *out = bt_map_new(free);
  if (map && map->kind == BT_YAML_MAP)
    bt_vec_each(&map->map, pair)
      if (pair->value->kind == BT_YAML_STR)
        bt_map_set(out, pair->key, bt_strdup(pair->value->text));
  return out;
}

/* Adds what is new to the mapping under key; what is there wins. */
static void merge_under(struct bt_yaml *service, const char *key, const struct bt_map *vars) {
  if (!bt_map_len(vars))
    return;
  if (!bt_yaml_get(service, key))
    bt_yaml_set(service, key, service->loc, bt_yaml_new(BT_YAML_MAP, service->loc));
  struct bt_yaml *map = bt_yaml_get(service, key);
  BT_AUTO_MAP there = bt_map_new(NULL);
  bt_vec_each(&map->map, pair) bt_map_set(there, pair->key, map);
  for (struct bt_map_iter it = bt_map_iter(vars); bt_map_next(&it);) {
    if (bt_map_get(there, it.key))
      continue;
    struct bt_yaml_pair pair = {bt_strdup(it.key), map->loc, bt_yaml_str(it.value, map->loc)};
    bt_vec_push(&map->map, pair);
  }
}

static void env_files(struct bt_load *load, struct bt_yaml *service) {
  struct bt_yaml *list = bt_yaml_take(service, "env_file");
  BT_AUTO_MAP vars = bt_map_new(free);
  BT_AUTO_MAP environment = texts_of(bt_yaml_get(service, "environment"));
  struct scope scope = {load, environment};
  for (size_t i = 0; list && list->kind == BT_YAML_SEQ && i < list->seq.len; i++) {
    const struct bt_yaml *item = list->seq.items[i], *path = bt_yaml_get(item, "path");
    const struct bt_yaml *required = bt_yaml_get(item, "required"), *format = bt_yaml_get(item, "format");
    bool raw = format && bt_streq(format->text, "raw");
    if (format && *format->text && !raw)
      bt_diag_error(load->diags, format->loc, "env_file.format must be \"raw\" or left out, not \"%.40s\"", format->text);
    else if (path && path->kind == BT_YAML_STR && *path->text)
      (void)!read_vars(load, path, !required || required->boolean, raw, &scope, vars);
  }
  merge_under(service, "environment", vars);
  bt_yaml_free(&list);
}

static void label_files(struct bt_load *load, struct bt_yaml *service) {
  const struct bt_yaml *list = bt_yaml_get(service, "label_file");
  BT_AUTO_MAP vars = bt_map_new(free);
  struct scope scope = {NULL, vars};
  for (size_t i = 0; list && list->kind == BT_YAML_SEQ && i < list->seq.len; i++) {
    BT_AUTO_MAP mine = bt_map_new(free);
    if (read_vars(load, list->seq.items[i], true, false, &scope, mine))
      continue;
    for (struct bt_map_iter it = bt_map_iter(mine); bt_map_next(&it);)
      bt_map_set(vars, it.key, bt_strdup(it.value));
  }
  merge_under(service, "labels", vars);
}

void bt_compose_read_variables(struct bt_load *load, struct bt_yaml *tree) {
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  if (services && services->kind == BT_YAML_MAP)
    bt_vec_each(&services->map, pair) {
      env_files(load, pair->value);
      label_files(load, pair->value);
    }
}

/* ---- contents ---- */

static void keep_content(struct bt_load *load, const char *kind, const char *name, const char *data, size_t len) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", kind, name);
  struct bt_compose_content *content = bt_new(struct bt_compose_content);
  content->len = len;
  content->data = bt_calloc(1, len + 1);
  memcpy(content->data, data, len);
  bt_map_set(load->result->contents, key, content);
}

static void content_of_file(struct bt_load *load, const char *kind, const char *name, const struct bt_yaml *file) {
  BT_AUTO_FREE char *text = NULL;
  BT_AUTO_ERR err = NULL;
  size_t len = 0;
  if (bt_compose_read(load, file->text, &text, &len, &err) == 0) {
    keep_content(load, kind, name, text, len);
    bt_wipe(text, len);
  } else if (!load->options->skip_berth_checks) {
    bt_diag_error(load->diags, file->loc, "%s.%s: %s", kind, name, bt_err_message(err));
  }
}

static void content_of(struct bt_load *load, const char *kind, const char *name, struct bt_yaml *n) {
  const struct bt_yaml *file = bt_yaml_get(n, "file"), *variable = bt_yaml_get(n, "environment");
  const char *carrier = bt_streq(kind, "secrets") ? BT_COMPOSE_VALUE_KEY : "content";
  struct bt_yaml *value = bt_yaml_get(n, carrier);
  const struct bt_yaml *external = bt_yaml_get(n, "external");
  bool ours = !external || !external->boolean; /* else what it says besides has been warned about */
  if (ours && value && value->text)
    keep_content(load, kind, name, value->text, strlen(value->text));
  else if (ours && file && file->text)
    content_of_file(load, kind, name, file);
  else if (ours && variable && !load->options->skip_berth_checks)
    bt_diag_error(load->diags, variable->loc, "%s.%s: the variable %.60s is not set", kind, name, variable->text);
  if (value && (variable || bt_streq(carrier, BT_COMPOSE_VALUE_KEY))) {
    struct bt_yaml *taken = bt_yaml_take(n, carrier);
    if (taken->text)
      bt_wipe(taken->text, strlen(taken->text));
    bt_yaml_free(&taken);
  }
}

void bt_compose_read_contents(struct bt_load *load, struct bt_yaml *tree) {
  static const char *const kinds[] = {"secrets", "configs"};
  for (size_t i = 0; i < BT_COUNT(kinds); i++) {
    const struct bt_yaml *map = bt_yaml_get(tree, kinds[i]);
    if (map && map->kind == BT_YAML_MAP)
      bt_vec_each(&map->map, pair) content_of(load, kinds[i], pair->key, pair->value);
  }
}
