/* Checks a tree against the Compose Specification's JSON Schema, of which it knows the keywords that the schema uses.
 * The schema is embedded, parsed for each check and freed again: a load is rare, and 300 kB need not stay.
 *
 * A quoted scalar passes where the schema wants an integer, a number or a boolean and the text is one, as the
 * reference loader casts it. Where the schema offers alternatives, the one whose type fits is the one that speaks. */
#include "config.h"

#include <regex.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/nearest.h"
#include "compose/internal.h"
#include "compose/place.h"

static const char schema_text[] =
#include "compose/compose-spec.inc"
    ;

struct checker {
  const json_t *root;
  struct bt_diags *diags;
};

static void check(struct checker *c, const json_t *schema, const struct bt_yaml *node, const struct bt_place *path);

/* ---- words ---- */

static const char *type_words(const char *type) {
  static const struct {
    const char *type, *words;
  } table[] = {{"string", "a string"},    {"integer", "an integer"}, {"number", "a number"}, {"boolean", "true or false"},
               {"object", "a mapping"},   {"array", "a sequence"},   {"null", "empty"}};
  for (size_t i = 0; i < BT_COUNT(table); i++)
    if (bt_streq(table[i].type, type))
      return table[i].words;
  return type;
}

static const char *came_words(const struct bt_yaml *n) {
  switch (n->kind) {
  case BT_YAML_NULL: return "empty";
  case BT_YAML_BOOL: return "a boolean";
  case BT_YAML_INT: return "an integer";
  case BT_YAML_FLOAT: return "a number";
  case BT_YAML_STR: return "a string";
  case BT_YAML_SEQ: return "a sequence";
  default: return "a mapping";
  }
}

/* ---- types ---- */

static const json_t *resolve(const struct checker *c, const json_t *schema) {
  const char *ref;
  for (int i = 0; i < 8 && (ref = bt_json_str(schema, "$ref")); i++) {
    const char *name = strrchr(ref, '/');
    const json_t *to = json_object_get(json_object_get(c->root, "$defs"), name ? name + 1 : ref);
    BT_ASSERT(to);
    schema = to;
  }
  return schema;
}

static bool is_number_text(const char *s, bool integer) {
  if (*s == '-' || *s == '+')
    s++;
  size_t digits = strspn(s, "0123456789");
  size_t fraction = !integer && s[digits] == '.' ? 1 + strspn(s + digits + 1, "0123456789") : 0;
  return digits && !s[digits + fraction];
}

static bool is_bool_text(const char *s) {
  static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "y", "n"};
  for (size_t i = 0; i < BT_COUNT(words); i++)
    if (strcasecmp(s, words[i]) == 0)
      return true;
  return false;
}

static bool type_fits(const char *type, const struct bt_yaml *n) {
  bool text = n->kind == BT_YAML_STR;
  switch (type[0]) {
  case 's': return text;
  case 'i':
    if (n->kind == BT_YAML_FLOAT) /* 20.0, and "20" where a number was expected */
      return n->real > -1e15 && n->real < 1e15 && n->real == (double)(long long)n->real;
    return n->kind == BT_YAML_INT || (text && is_number_text(n->text, true));
  case 'b': return n->kind == BT_YAML_BOOL || (text && is_bool_text(n->text));
  case 'o': return n->kind == BT_YAML_MAP;
  case 'a': return n->kind == BT_YAML_SEQ;
  case 'n':
    if (type[2] == 'l')
      return n->kind == BT_YAML_NULL;
    return n->kind == BT_YAML_INT || n->kind == BT_YAML_FLOAT || (text && is_number_text(n->text, false));
  }
  return true;
}

/* Does the schema's "type" (one or a list) take the node? A schema without one takes all. */
static bool types_fit(const json_t *schema, const struct bt_yaml *n) {
  const json_t *type = json_object_get(schema, "type"), *one;
  size_t i;
  if (json_is_string(type))
    return type_fits(json_string_value(type), n);
  json_array_foreach(type, i, one)
    if (type_fits(json_string_value(one), n))
      return true;
  return !json_is_array(type);
}

static void note_type(struct bt_strs *list, const char *type) {
  const char *words = type_words(type);
  for (size_t i = 0; i < list->len; i++)
    if (bt_streq(list->items[i], words))
      return;
  bt_strs_add(list, words);
}

/* All types that a schema takes, alternatives included. */
static void collect_types(const struct checker *c, const json_t *schema, struct bt_strs *list) {
  schema = resolve(c, schema);
  const json_t *type = json_object_get(schema, "type"), *one;
  size_t i;
  if (json_is_string(type))
    note_type(list, json_string_value(type));
  json_array_foreach(type, i, one) note_type(list, json_string_value(one));
  json_array_foreach(json_object_get(schema, "oneOf"), i, one) collect_types(c, one, list);
}

static void wrong_type(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  BT_AUTO_STRS types = {0};
  collect_types(c, schema, &types);
  BT_AUTO_BUF wanted = {0};
  bool string = false, boolean = false;
  for (size_t i = 0; i < types.len; i++)
    boolean = boolean || bt_streq(types.items[i], type_words("boolean"));
  if (boolean) { /* its text is meant to be "true" or "false" */
    bt_strs_free(&types);
    bt_strs_add(&types, type_words("boolean"));
  }
  for (size_t i = 0; i < types.len; i++) {
    bt_buf_addf(&wanted, "%s%s", !i ? "" : i + 1 == types.len ? " or " : ", ", types.items[i]);
    string = string || bt_streq(types.items[i], "a string");
  }
  BT_AUTO_FREE char *where = bt_place_text(path);
  bool scalar = n->kind == BT_YAML_BOOL || n->kind == BT_YAML_INT || n->kind == BT_YAML_FLOAT;
  if (scalar && string)
    bt_diag_error(c->diags, n->loc, "%s must be %s, but %.40s is %s; put it in quotes", where, wanted.data, n->text,
                  came_words(n));
  else if (n->kind == BT_YAML_STR || scalar)
    bt_diag_error(c->diags, n->loc, "%s must be %s, but \"%.40s\" is %s", where, wanted.data, n->text, came_words(n));
  else
    bt_diag_error(c->diags, n->loc, "%s must be %s, not %s", where, wanted.data ? wanted.data : "something else",
                  came_words(n));
}

/* ---- alternatives ---- */

/* Of several alternatives whose type fits, the one with the fewest complaints speaks. */
static void check_one_of(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  struct bt_diags best = {0};
  bool any = false;
  const json_t *one;
  size_t i;
  json_array_foreach(json_object_get(schema, "oneOf"), i, one) {
    const json_t *branch = resolve(c, one);
    if (!json_object_get(branch, "oneOf") && !types_fit(branch, n))
      continue;
    struct bt_diags mine = {0};
    struct checker inner = {c->root, &mine};
    check(&inner, branch, n, path);
    if (!any || mine.errors < best.errors) {
      bt_diags_free(&best);
      best = mine;
    } else {
      bt_diags_free(&mine);
    }
    any = true;
  }
  if (!any)
    wrong_type(c, schema, n, path);
  bt_vec_each(&best, d) {
    struct bt_loc loc = {d->file, d->line, d->col};
    if (d->severity == BT_SEV_ERROR)
      bt_diag_error(c->diags, loc, "%s", d->message);
    else
      bt_diag_warn(c->diags, loc, "%s", d->message);
  }
  bt_diags_free(&best);
}

/* ---- mappings ---- */

static bool name_matches(const char *pattern, const char *key) {
  static const char name_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (bt_streq(pattern, "^x-"))
    return bt_starts(key, "x-");
  if (bt_streq(pattern, ".+") || bt_streq(pattern, "^.+$"))
    return *key != '\0';
  if (bt_streq(pattern, "^[a-zA-Z0-9._-]+$"))
    return *key && !key[strspn(key, name_chars)];
  regex_t re;
  if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB))
    return false;
  bool match = regexec(&re, key, 0, NULL, 0) == 0;
  regfree(&re);
  return match;
}

/* The schema of a key by the patterns, or NULL. */
static const json_t *by_pattern(const json_t *schema, const char *key) {
  const char *pattern;
  json_t *value;
  json_object_foreach(json_object_get(schema, "patternProperties"), pattern, value)
    if (name_matches(pattern, key))
      return value;
  return NULL;
}

/* "a service" for services.web, else the name of the attribute that the mapping is. */
static void add_owner(struct bt_buf *b, const struct bt_place *path) {
  static const char *const kinds[][2] = {{"services", "a service"}, {"networks", "a network"}, {"volumes", "a volume"},
                                         {"secrets", "a secret"},   {"configs", "a config"},   {"models", "a model"}};
  if (path->up && path->up->key && path->up->up && !path->up->up->up)
    for (size_t i = 0; i < BT_COUNT(kinds); i++)
      if (bt_streq(path->up->key, kinds[i][0])) {
        bt_buf_adds(b, kinds[i][1]);
        return;
      }
  if (!path->up) {
    bt_buf_adds(b, "a Compose file");
    return;
  }
  const struct bt_place *named = path;
  while (!named->key)
    named = named->up;
  bt_buf_addf(b, path->key ? "%s" : "an entry of %s", named->key);
}

static void unknown_key(struct checker *c, const json_t *schema, const struct bt_yaml_pair *pair, const struct bt_place *path) {
  if (bt_diags_full(c->diags)) { /* counted only: 60,000 of them would take seconds */
    bt_diag_error(c->diags, pair->loc, "not shown");
    return;
  }
  struct bt_nearest near = bt_nearest_start(pair->key);
  const char *name;
  json_t *unused;
  json_t *properties = json_object_get(schema, "properties");
  BT_AUTO_FREE char *where = bt_place_text(path);
  if (!json_object_size(properties)) {
    bt_diag_error(c->diags, pair->loc, "\"%.60s\" is no valid name under %s; a name has letters, digits, \".\", \"-\" and \"_\"",
                  pair->key, where);
    return;
  }
  json_object_foreach(properties, name, unused) bt_nearest_try(&near, name);
  char hint[96];
  BT_AUTO_BUF owner = {0};
  add_owner(&owner, path);
  bt_diag_error(c->diags, pair->loc, "%s%s%.60s is no attribute of %s%s", path->up ? where : "", path->up ? "." : "",
                pair->key, owner.data, bt_nearest_hint(near.best, hint));
}

static void check_required(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  const json_t *name;
  size_t i;
  json_array_foreach(json_object_get(schema, "required"), i, name) {
    if (bt_yaml_get(n, json_string_value(name)))
      continue;
    BT_AUTO_FREE char *where = bt_place_text(path);
    bt_diag_error(c->diags, n->loc, "%s needs \"%s\"", where, json_string_value(name));
  }
}

static void check_map(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  json_t *properties = json_object_get(schema, "properties");
  bool closed = json_is_false(json_object_get(schema, "additionalProperties"));
  bt_vec_each(&n->map, pair) {
    struct bt_place inner = {path, pair->key, 0};
    const json_t *sub = json_object_get(properties, pair->key);
    if (!sub)
      sub = by_pattern(schema, pair->key);
    if (!sub && closed) {
      unknown_key(c, schema, pair, path);
    } else if (sub) {
      if (path->up && bt_json_bool(sub, "deprecated", false))
        bt_diag_warn(c->diags, pair->loc, "\"%s\" is obsolete here", pair->key);
      check(c, sub, pair->value, &inner);
    }
  }
  check_required(c, schema, n, path);
}

/* ---- sequences and scalars ---- */

/* Lists in which the last one of equals wins when files are merged: there a repetition is no error. */
static bool may_repeat(const struct bt_place *path) {
  static const char *const keys[] = {"additional_contexts", "aliases", "annotations", "args", "cap_add", "cap_drop", "dns",
      "dns_opt", "dns_search", "environment", "expose", "labels", "link_local_ips", "links", "options", "ports", "profiles",
      "sysctls", "tags", "tmpfs", "volumes"};
  for (size_t i = 0; path->key && i < BT_COUNT(keys); i++)
    if (bt_streq(path->key, keys[i]))
      return true;
  return false;
}

static void check_unique(struct checker *c, const struct bt_yaml *n, const struct bt_place *path) {
  BT_AUTO_MAP seen = bt_map_new(NULL);
  for (size_t i = 0; i < n->seq.len; i++) {
    const struct bt_yaml *item = n->seq.items[i];
    if (item->kind == BT_YAML_MAP || item->kind == BT_YAML_SEQ || !item->text)
      continue;
    if (bt_map_get(seen, item->text)) {
      BT_AUTO_FREE char *where = bt_place_text(path);
      bt_diag_error(c->diags, item->loc, "%s has \"%.60s\" twice", where, item->text);
    }
    bt_map_set(seen, item->text, (void *)(uintptr_t)item);
  }
}

static void check_seq(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  const json_t *items = json_object_get(schema, "items");
  for (size_t i = 0; items && i < n->seq.len; i++) {
    struct bt_place inner = {path, NULL, i};
    check(c, items, n->seq.items[i], &inner);
  }
  if (bt_json_bool(schema, "uniqueItems", false) && !may_repeat(path))
    check_unique(c, n, path);
}

static void check_enum(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  const json_t *choices = json_object_get(schema, "enum"), *one;
  BT_AUTO_BUF list = {0};
  size_t i, count = json_array_size(choices);
  struct bt_nearest near = bt_nearest_start(n->text);
  json_array_foreach(choices, i, one) {
    const char *word = json_string_value(one);
    if (bt_streq(word, n->text))
      return;
    bt_nearest_try(&near, word);
    bt_buf_addf(&list, "%s\"%s\"", !i ? "" : i + 1 == count ? " or " : ", ", word);
  }
  char hint[96];
  BT_AUTO_FREE char *where = bt_place_text(path);
  bt_diag_error(c->diags, n->loc, "%s must be %s, not \"%.60s\"%s", where, list.data, n->text,
                bt_nearest_hint(near.best, hint));
}

static void check_pattern(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  BT_AUTO_FREE char *whole = bt_asprintf("^(%s)$", bt_json_str(schema, "pattern"));
  if (name_matches(whole, n->text))
    return;
  BT_AUTO_FREE char *where = bt_place_text(path);
  bt_diag_error(c->diags, n->loc, "%s must be of the form %s, not \"%.60s\"", where, bt_json_str(schema, "pattern"), n->text);
}

static void check_range(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  const json_t *min = json_object_get(schema, "minimum"), *max = json_object_get(schema, "maximum");
  long long v = 0;
  if (!min || n->kind > BT_YAML_STR || !n->text || !bt_parse_i64(n->text, INT64_MIN, INT64_MAX, &v))
    return;
  if (v >= json_integer_value(min) && (!max || v <= json_integer_value(max)))
    return;
  BT_AUTO_FREE char *where = bt_place_text(path);
  if (max)
    bt_diag_error(c->diags, n->loc, "%s must be from %lld to %lld, not %lld", where, (long long)json_integer_value(min),
                  (long long)json_integer_value(max), v);
  else
    bt_diag_error(c->diags, n->loc, "%s must be %lld or more, not %lld", where, (long long)json_integer_value(min), v);
}

static void check(struct checker *c, const json_t *schema, const struct bt_yaml *n, const struct bt_place *path) {
  schema = resolve(c, schema);
  if (json_object_get(schema, "oneOf")) {
    check_one_of(c, schema, n, path);
    return;
  }
  if (!types_fit(schema, n)) {
    wrong_type(c, schema, n, path);
    return;
  }
  if (n->kind == BT_YAML_MAP)
    check_map(c, schema, n, path);
  else if (n->kind == BT_YAML_SEQ)
    check_seq(c, schema, n, path);
  else if (n->kind == BT_YAML_STR && json_object_get(schema, "enum"))
    check_enum(c, schema, n, path);
  else if (n->kind == BT_YAML_STR && json_object_get(schema, "pattern"))
    check_pattern(c, schema, n, path);
  check_range(c, schema, n, path);
}

int bt_compose_check_schema(struct bt_load *load, const struct bt_yaml *tree) {
  size_t before = load->diags->errors;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON root = bt_json_parse(schema_text, sizeof schema_text - 1, 0, 0, "schema", &err);
  BT_ASSERT(root);
  struct checker c = {root, load->diags};
  struct bt_place top = {NULL, "", 0};
  check(&c, root, tree, &top);
  return load->diags->errors > before ? -1 : 0;
}
