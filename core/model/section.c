#include "config.h"
#include "model/section.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/size.h"

#define MOST_WORDS 256
#define MOST_CPUS 1000000.0

/* ---- reading ---- */

static void wants(const struct bt_key *k, char *out, size_t size) {
  char low[32], high[32];
  switch (k->type) {
  case BT_KEY_CHOICE: snprintf(out, size, "one of %s", k->choices); break;
  case BT_KEY_BOOL: snprintf(out, size, "true or false"); break;
  case BT_KEY_INT: snprintf(out, size, "a whole number from %.0f to %.0f", k->min, k->max); break;
  case BT_KEY_NUMBER: snprintf(out, size, "a number from %g to %g", k->min, k->max); break;
  case BT_KEY_SIZE: snprintf(out, size, "a size such as 512MiB"); break;
  case BT_KEY_CPUS: snprintf(out, size, "a number of CPUs such as 0.5"); break;
  case BT_KEY_DURATION:
    if (k->max > 0)
      snprintf(out, size, "a duration from %s to %s", bt_duration_human((int64_t)k->min, low), bt_duration_human((int64_t)k->max, high));
    else
      snprintf(out, size, "a duration such as 10s");
    break;
  case BT_KEY_TEXTS: snprintf(out, size, "a list of at most %d texts", MOST_WORDS); break;
  default: snprintf(out, size, "text"); break;
  }
}

static bool is_choice(const char *choices, const char *text) {
  size_t len = strlen(text);
  for (const char *c = choices; *c; c += strcspn(c, "|"), c += *c == '|')
    if (strcspn(c, "|") == len && strncmp(c, text, len) == 0)
      return true;
  return false;
}

static json_t *read_number(const struct bt_key *k, const struct bt_yaml *n) {
  double max = k->type == BT_KEY_CPUS ? MOST_CPUS : k->max;
  if (n->kind != BT_YAML_INT && (n->kind != BT_YAML_FLOAT || k->type == BT_KEY_INT))
    return NULL;
  double v = n->kind == BT_YAML_INT ? (double)n->integer : n->real;
  if (!(v >= k->min && v <= max)) /* NaN too */
    return NULL;
  return n->kind == BT_YAML_INT ? json_integer(n->integer) : json_real(v);
}

static json_t *read_words(const struct bt_yaml *n) {
  if (n->kind != BT_YAML_SEQ || n->seq.len > MOST_WORDS)
    return NULL;
  json_t *list = json_array();
  for (size_t i = 0; i < n->seq.len; i++) {
    const struct bt_yaml *item = n->seq.items[i];
    if (item->kind != BT_YAML_STR || !*item->text) {
      json_decref(list);
      return NULL;
    }
    json_array_append_new(list, json_string(item->text));
  }
  return list;
}

/* NULL where it is not what the key takes. */
static json_t *read_key(const struct bt_key *k, const struct bt_yaml *n) {
  bool text = n->kind == BT_YAML_STR, whole = n->kind == BT_YAML_INT;
  int64_t v;
  switch (k->type) {
  case BT_KEY_TEXT:
    return text && *n->text ? json_string(n->text) : NULL;
  case BT_KEY_CHOICE:
    return text && is_choice(k->choices, n->text) ? json_string(n->text) : NULL;
  case BT_KEY_BOOL:
    return n->kind == BT_YAML_BOOL ? json_boolean(n->boolean) : NULL;
  case BT_KEY_SIZE:
    return (text || whole) && bt_size_parse(n->text, &v) ? json_integer(v) : NULL;
  case BT_KEY_DURATION:
    if (!text || !bt_duration_parse(n->text, &v) || v < 0)
      return NULL;
    v /= 1000000;
    return k->max > 0 && ((double)v < k->min || (double)v > k->max) ? NULL : json_integer(v);
  case BT_KEY_TEXTS:
    return read_words(n);
  default:
    return read_number(k, n);
  }
}

static const struct bt_key *find(const struct bt_key *keys, const char *name) {
  for (; keys->name; keys++)
    if (bt_streq(keys->name, name))
      return keys;
  return NULL;
}

static void unknown(const struct bt_yaml_pair *pair, const char *what, const struct bt_key *keys, struct bt_diags *diags) {
  struct bt_nearest near = bt_nearest_start(pair->key);
  char hint[96];
  for (; keys->name; keys++)
    bt_nearest_try(&near, keys->name);
  bt_diag_error(diags, pair->loc, "\"%s\" of %s is not known%s", pair->key, what, bt_nearest_hint(near.best, hint));
}

json_t *bt_section_read(const struct bt_yaml *map, const char *what, const struct bt_key *keys, struct bt_diags *diags) {
  json_t *out = json_object();
  if (!map || map->kind == BT_YAML_NULL)
    return out;
  if (map->kind != BT_YAML_MAP) {
    bt_diag_error(diags, map->loc, "%s must be a mapping, not a %s", what, bt_yaml_kind_name(map->kind));
    return out;
  }
  bt_vec_each(&map->map, pair) {
    const struct bt_key *k = find(keys, pair->key);
    if (!k) {
      unknown(pair, what, keys, diags);
      continue;
    }
    if (k->type == BT_KEY_OTHER || pair->value->kind == BT_YAML_NULL)
      continue;
    json_t *value = read_key(k, pair->value);
    char want[128];
    wants(k, want, sizeof want);
    if (value)
      json_object_set_new(out, k->name, value);
    else
      bt_diag_error(diags, pair->value->loc, "\"%s\" of %s must be %s", k->name, what, want);
  }
  return out;
}

const struct bt_yaml *bt_section_list(const struct bt_yaml *map, const char *what, const char *key, struct bt_diags *diags) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  if (!n || n->kind == BT_YAML_NULL)
    return NULL;
  if (n->kind == BT_YAML_SEQ)
    return n;
  bt_diag_error(diags, n->loc, "\"%s\" of %s must be a list, not a %s", key, what, bt_yaml_kind_name(n->kind));
  return NULL;
}

bool bt_section_name_ok(const char *name) {
  size_t len = strlen(name);
  return len > 0 && len <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len && name[0] != '_' && name[0] != '-';
}

/* ---- schema ---- */

static json_t *choices_schema(const char *choices) {
  json_t *list = json_array();
  for (const char *c = choices; *c; c += strcspn(c, "|"), c += *c == '|')
    json_array_append_new(list, json_stringn(c, strcspn(c, "|")));
  return json_pack("{s:o}", "enum", list);
}

static json_t *key_schema(const struct bt_key *k) {
  switch (k->type) {
  case BT_KEY_CHOICE:
    return choices_schema(k->choices);
  case BT_KEY_BOOL:
    return json_pack("{s:s}", "type", "boolean");
  case BT_KEY_INT:
    return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)k->min, "maximum", (json_int_t)k->max);
  case BT_KEY_NUMBER:
  case BT_KEY_CPUS:
    return json_pack("{s:s,s:f,s:f}", "type", "number", "minimum", k->min, "maximum", k->type == BT_KEY_CPUS ? MOST_CPUS : k->max);
  case BT_KEY_SIZE:
    return json_pack("{s:[s,s],s:i,s:s}", "type", "string", "integer", "minimum", 0, "pattern", "^[0-9]+(\\.[0-9]*)? ?([kKmMgGtTpP][iI]?)?[bB]?$");
  case BT_KEY_DURATION:
    return json_pack("{s:s,s:s}", "type", "string", "pattern", "^([0-9]+(\\.[0-9]*)?(ns|us|\u00b5s|ms|s|m|h))+$");
  case BT_KEY_TEXTS:
    return json_pack("{s:s,s:{s:s,s:i},s:i}", "type", "array", "items", "type", "string", "minLength", 1, "maxItems", MOST_WORDS);
  default:
    return json_pack("{s:s,s:i}", "type", "string", "minLength", 1);
  }
}

json_t *bt_section_schema(const struct bt_key *keys) {
  json_t *properties = json_object();
  for (; keys->name; keys++) {
    json_t *schema = keys->type == BT_KEY_OTHER ? json_object() : key_schema(keys);
    BT_ASSERT(schema);
    bt_json_set_str(schema, "description", keys->doc);
    json_object_set_new(properties, keys->name, schema);
  }
  return json_pack("{s:[s,s],s:b,s:o}", "type", "object", "null", "additionalProperties", 0, "properties", properties);
}
