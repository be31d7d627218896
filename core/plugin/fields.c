#include "config.h"
#include "plugin/fields.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/size.h"
#include "base/yaml.h"
#include "plugin/manifest.h"

enum { max_list = 10000 };

/* One check: where it complains and what it stands in. */
struct checker {
  struct bt_diags *diags;
  const struct berth_field *fields;
};

static const char *type_name(enum berth_type type) {
  static const char *const names[] = {"a string",
                                      "an integer",
                                      "true or false",
                                      "a duration (as \"10s\" or \"1m30s\")",
                                      "a size (as \"64MiB\")",
                                      "a list of strings",
                                      "a map of strings",
                                      "JSON"};
  return (unsigned)type < BT_COUNT(names) ? names[type] : "of an unknown type";
}

static struct bt_loc loc_of(const struct bt_yaml *places, const char *key) {
  struct bt_loc none = {0};
  if (!places)
    return none;
  const struct bt_yaml_pair *pair = key ? bt_yaml_pair(places, key) : NULL;
  return pair ? pair->value->loc : places->loc;
}

const char *bt_field_reference(const json_t *value) {
  if (!json_is_object(value) || json_object_size(value) != 1)
    return NULL;
  if (json_is_string(json_object_get(value, "secret")))
    return "secret";
  return json_is_string(json_object_get(value, "file")) ? "file" : NULL;
}

static bool is_text(const struct berth_field *f, const json_t *value) {
  return json_is_string(value) || (f->secret && bt_field_reference(value));
}

/* ---------------------------------------------------------------- one value */

static json_t *parse_duration(const json_t *value) {
  int64_t ns = 0;
  if (!json_is_string(value) || !bt_duration_parse(json_string_value(value), &ns))
    return NULL;
  return json_integer(ns / 1000000);
}

static json_t *parse_size(const json_t *value) {
  int64_t bytes = 0;
  if (json_is_integer(value))
    return json_integer_value(value) >= 0 ? json_integer(json_integer_value(value)) : NULL;
  if (!json_is_string(value) || !bt_size_parse(json_string_value(value), &bytes))
    return NULL;
  return json_integer(bytes);
}

static json_t *parse_list(const struct berth_field *f, const json_t *value) {
  size_t i;
  json_t *item;
  if (!json_is_array(value) || json_array_size(value) > max_list)
    return NULL;
  json_array_foreach(value, i, item) {
    if (!is_text(f, item))
      return NULL;
  }
  return json_deep_copy(value);
}

static json_t *parse_map(const struct berth_field *f, const json_t *value) {
  if (!json_is_object(value) || json_object_size(value) > max_list)
    return NULL;
  for (void *it = json_object_iter((json_t *)(uintptr_t)value); it;
       it = json_object_iter_next((json_t *)(uintptr_t)value, it))
    if (!is_text(f, json_object_iter_value(it)))
      return NULL;
  return json_deep_copy(value);
}

/* The value as the plug-in gets it (new reference), or NULL where it is not of the field's type. */
static json_t *convert(const struct berth_field *f, const json_t *value) {
  switch (f->type) {
  case BERTH_STRING:
    return is_text(f, value) ? json_deep_copy(value) : NULL;
  case BERTH_INT:
    return json_is_integer(value) ? json_integer(json_integer_value(value)) : NULL;
  case BERTH_BOOL:
    return json_is_boolean(value) ? json_boolean(json_is_true(value)) : NULL;
  case BERTH_DURATION:
    return parse_duration(value);
  case BERTH_SIZE:
    return parse_size(value);
  case BERTH_LIST:
    return parse_list(f, value);
  case BERTH_MAP:
    return parse_map(f, value);
  case BERTH_JSON:
    return json_deep_copy(value);
  }
  return NULL;
}

static const char *unit_of(const struct berth_field *f) {
  return f->type == BERTH_DURATION ? " ms" : f->type == BERTH_SIZE ? " bytes" : f->type == BERTH_LIST ? " items" : "";
}

/* 0, or -1 with a sentence that begins with the field's name. */
static int check_range(const struct berth_field *f, const json_t *value, struct bt_err **err) {
  if (!f->min && !f->max)
    return 0;
  int64_t n;
  if (f->type == BERTH_LIST)
    n = (int64_t)json_array_size(value);
  else if (f->type == BERTH_INT || f->type == BERTH_DURATION || f->type == BERTH_SIZE)
    n = json_integer_value(value);
  else
    return 0;
  if (n >= f->min && n <= f->max)
    return 0;
  return bt_err_set(err, BT_INVALID, "%s is %" PRId64 "%s; allowed are %" PRId64 " to %" PRId64 "%s", f->name, n, unit_of(f),
                    f->min, f->max, unit_of(f));
}

static int check_value(const struct berth_field *f, const json_t *value, json_t **out, struct bt_err **err) {
  BT_AUTO_JSON v = convert(f, value);
  if (!v && f->type == BERTH_DURATION && json_is_integer(value))
    return bt_err_set(err, BT_INVALID, "%s needs a unit: a duration as \"%" JSON_INTEGER_FORMAT "s\"", f->name,
                      json_integer_value(value));
  if (!v && !f->secret && bt_field_reference(value))
    return bt_err_set(err, BT_INVALID, "%s is no secret field: give its value as it is", f->name);
  if (!v)
    return bt_err_set(err, BT_INVALID, "%s must be %s%s", f->name, type_name(f->type),
                      f->secret && f->type == BERTH_STRING ? ", or {secret: NAME}, or {file: PATH}" : "");
  if (check_range(f, v, err) != 0)
    return -1;
  *out = bt_steal(v);
  return 0;
}

/* The default is text in the table: read it as the type has it. */
static int fallback_value(const struct berth_field *f, json_t **out, struct bt_err **err) {
  bool text = f->type == BERTH_STRING || f->type == BERTH_DURATION || f->type == BERTH_SIZE;
  BT_AUTO_JSON given =
      text ? json_string(f->fallback) : json_loads(f->fallback, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
  BT_AUTO_JSON v = given ? convert(f, given) : NULL;
  if (!v)
    return bt_err_set(err, BT_INVALID, "the default of %s, \"%.64s\", is not %s", f->name, f->fallback, type_name(f->type));
  if (check_range(f, v, err) != 0)
    return bt_err_wrap(err, "the default of %s", f->name);
  *out = bt_steal(v);
  return 0;
}

/* ---------------------------------------------------------------- the table */

static bool field_name_ok(const char *name) {
  size_t n = strlen(name);
  return n >= 1 && n <= 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n && name[0] >= 'a';
}

static int field_check(const struct berth_field *fields, size_t i, struct bt_err **err) {
  const struct berth_field *f = &fields[i];
  if (!field_name_ok(f->name))
    return bt_err_set(err, BT_INVALID, "its config field \"%.64s\" is no name of a-z 0-9 _", f->name);
  if ((unsigned)f->type > BERTH_JSON)
    return bt_err_set(err, BT_INVALID, "its config field %s has the type %d, which ABI %d does not know", f->name, (int)f->type,
                      BERTH_ABI);
  if (!f->doc || !*f->doc)
    return bt_err_set(err, BT_INVALID, "its config field %s has no doc", f->name);
  if (f->min > f->max)
    return bt_err_set(err, BT_INVALID, "its config field %s has a minimum over its maximum", f->name);
  for (size_t k = 0; k < i; k++)
    if (strcmp(fields[k].name, f->name) == 0)
      return bt_err_set(err, BT_INVALID, "its config field %s stands twice", f->name);
  BT_AUTO_JSON v = NULL;
  return f->fallback ? fallback_value(f, &v, err) : 0;
}

int bt_plugin_fields_check(const struct berth_field *fields, struct bt_err **err) {
  for (size_t i = 0; fields && fields[i].name; i++) {
    if (i == BT_MAX_FIELDS)
      return bt_err_set(err, BT_INVALID, "its config has over %d fields: the table must end with name NULL", BT_MAX_FIELDS);
    if (field_check(fields, i, err) != 0)
      return -1;
  }
  return 0;
}

static const struct berth_field *field_named(const struct berth_field *fields, const char *name) {
  for (const struct berth_field *f = fields; f && f->name; f++)
    if (strcmp(f->name, name) == 0)
      return f;
  return NULL;
}

/* ---------------------------------------------------------------- a configuration */

static void unknown_key(struct checker *c, const char *key, const struct bt_yaml *places) {
  struct bt_nearest near = bt_nearest_start(key);
  for (const struct berth_field *f = c->fields; f && f->name; f++)
    bt_nearest_try(&near, f->name);
  char hint[96];
  const struct bt_yaml_pair *pair = places ? bt_yaml_pair(places, key) : NULL;
  bt_diag_error(c->diags, pair ? pair->loc : loc_of(places, NULL), "unknown key \"%.64s\"%s", key,
                bt_nearest_hint(near.best, hint));
}

static void check_field(struct checker *c, const struct berth_field *f, const json_t *value, const struct bt_yaml *places,
                        json_t *out) {
  BT_AUTO_ERR err = NULL;
  json_t *v = NULL;
  if (value && !json_is_null(value)) {
    if (check_value(f, value, &v, &err) != 0)
      bt_diag_error(c->diags, loc_of(places, f->name), "%s", bt_err_message(err));
  } else if (f->fallback) {
    if (fallback_value(f, &v, &err) != 0)
      bt_diag_error(c->diags, loc_of(places, NULL), "%s", bt_err_message(err));
  } else if (f->required) {
    bt_diag_error(c->diags, loc_of(places, NULL), "%s is required: %s", f->name, f->doc);
  }
  if (v)
    bt_json_set(out, f->name, v);
}

int bt_plugin_config_check(const struct berth_field *fields, const json_t *config, const struct bt_yaml *places,
                           struct bt_diags *diags, json_t **out) {
  struct checker c = {.diags = diags, .fields = fields};
  size_t before = diags->errors;
  if (places && places->kind != BT_YAML_MAP)
    places = NULL;
  if (config && !json_is_object(config) && !json_is_null(config)) {
    bt_diag_error(diags, loc_of(places, NULL), "config must be a mapping of names to values");
    return -1;
  }
  json_t *cfg = (json_t *)(uintptr_t)config; /* jansson's iterators take no const */
  for (void *it = json_object_iter(cfg); it; it = json_object_iter_next(cfg, it))
    if (!field_named(fields, json_object_iter_key(it)))
      unknown_key(&c, json_object_iter_key(it), places);
  BT_AUTO_JSON result = json_object();
  for (const struct berth_field *f = fields; f && f->name; f++)
    check_field(&c, f, json_object_get(config, f->name), places, result);
  if (diags->errors != before)
    return -1;
  *out = bt_steal(result);
  return 0;
}

/* ---------------------------------------------------------------- schema */

static json_t *text_schema(bool secret) {
  if (!secret)
    return json_pack("{s:s}", "type", "string");
  return json_pack("{s:[{s:s},{s:s,s:{s:{s:s}},s:[s],s:b},{s:s,s:{s:{s:s}},s:[s],s:b}]}", "anyOf", "type", "string", "type",
                   "object", "properties", "secret", "type", "string", "required", "secret", "additionalProperties", 0, "type",
                   "object", "properties", "file", "type", "string", "required", "file", "additionalProperties", 0);
}

static json_t *type_schema(const struct berth_field *f) {
  switch (f->type) {
  case BERTH_STRING:
    return text_schema(f->secret);
  case BERTH_INT:
    return json_pack("{s:s}", "type", "integer");
  case BERTH_BOOL:
    return json_pack("{s:s}", "type", "boolean");
  case BERTH_DURATION:
    return json_pack("{s:s,s:s}", "type", "string", "pattern", "^(0|([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$");
  case BERTH_SIZE:
    return json_pack("{s:[s,s],s:s,s:i}", "type", "string", "integer", "pattern", "^[0-9]+(\\.[0-9]+)? ?([kKmMgGtTpP]?([iI]?[bB])?)$",
                     "minimum", 0);
  case BERTH_LIST:
    return json_pack("{s:s,s:o}", "type", "array", "items", text_schema(f->secret));
  case BERTH_MAP:
    return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", text_schema(f->secret));
  case BERTH_JSON:
    break;
  }
  return json_object();
}

static json_t *field_schema(const struct berth_field *f) {
  json_t *s = type_schema(f);
  bt_json_set_str(s, "description", f->doc);
  if (f->min || f->max) {
    if (f->type == BERTH_INT) {
      bt_json_set_int(s, "minimum", f->min);
      bt_json_set_int(s, "maximum", f->max);
    } else if (f->type == BERTH_LIST) {
      bt_json_set_int(s, "minItems", f->min);
      bt_json_set_int(s, "maxItems", f->max);
    }
  }
  if (f->fallback) {
    json_t *v = f->type == BERTH_STRING || f->type == BERTH_DURATION || f->type == BERTH_SIZE
                    ? bt_json_string(f->fallback)
                    : json_loads(f->fallback, JSON_DECODE_ANY, NULL);
    bt_json_set(s, "default", v);
  }
  if (f->secret)
    bt_json_set_bool(s, "writeOnly", true);
  return s;
}

json_t *bt_plugin_fields_schema(const struct berth_field *fields, const char *title) {
  json_t *properties = json_object(), *required = json_array();
  for (const struct berth_field *f = fields; f && f->name; f++) {
    bt_json_set(properties, f->name, field_schema(f));
    if (f->required && !f->fallback)
      json_array_append_new(required, bt_json_string(f->name));
  }
  json_t *schema = json_pack("{s:s,s:s,s:o,s:b}", "$schema", "https://json-schema.org/draft/2020-12/schema", "type", "object",
                             "properties", properties, "additionalProperties", 0);
  bt_json_set_str(schema, "title", title);
  bt_json_set(schema, "required", required);
  return schema;
}
