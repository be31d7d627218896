/* What the table of fields says, as JSON: the schema for editors and the effective configuration. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/config_fields.h"

/* The object that holds the field's last name, made on the way. In a schema each level hangs below "properties". */
static json_t *parent_of(json_t *root, const struct bt_field *f, bool schema, const char **name) {
  json_t *at = root;
  const char *p = f->path;
  for (const char *dot; (dot = strchr(p, '.')); p = dot + 1) {
    BT_AUTO_FREE char *part = bt_strndup(p, (size_t)(dot - p));
    json_t *holder = schema ? json_object_get(at, "properties") : at;
    json_t *next = json_object_get(holder, part);
    if (!next) {
      next = schema ? json_pack("{s:[s,s],s:b,s:{}}", "type", "object", "null", "additionalProperties", 0, "properties")
                    : json_object();
      bt_json_set(holder, part, next);
    }
    at = next;
  }
  *name = p;
  return schema ? json_object_get(at, "properties") : at;
}

static json_t *choices_schema(const struct bt_field *f) {
  json_t *list = json_array();
  const char *choice;
  size_t len;
  for (size_t i = 0; (choice = bt_field_choice(f, i, &len)); i++)
    json_array_append_new(list, json_stringn(choice, len));
  return json_pack("{s:o}", "enum", list);
}

static json_t *plugins_schema(void) {
  json_t *schema = json_pack("{s:[s,s],s:{s:s,s:b,s:{s:{s:s,s:s},s:{s:s,s:s},s:{s:s,s:s},s:{s:[s,s],s:s}},s:[{s:[s]},{s:[s]},{s:[s]}]}}",
                   "type", "array", "null", "items", "type", "object", "additionalProperties", 0, "properties",
                   "plugin", "type", "string", "description", "A plug-in of plugin_dir by its name.",
                   "path", "type", "string", "description", "A plug-in's shared object, or its script in Lua (*.lua), by its path.",
                   "name", "type", "string", "description", "Name of this use of the plug-in; the plug-in's own where absent.",
                   "config", "type", "object", "null", "description", "The plug-in's own fields: see its documentation.",
                   "oneOf", "required", "plugin", "required", "path", "required", "command");
  bt_config_place_schema(bt_json_obj(bt_json_obj(schema, "items"), "properties"));
  return schema;
}

static json_t *type_schema(const struct bt_field *f) {
  switch (f->type) {
  case BT_FIELD_INT:
    return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)f->min, "maximum", (json_int_t)f->max);
  case BT_FIELD_SIZE:
    return json_pack("{s:[s,s],s:i,s:s}", "type", "string", "integer", "minimum", 0, "pattern",
                     "^[0-9]+(\\.[0-9]*)? ?([kKmMgGtTpP][iI]?)?[bB]?$");
  case BT_FIELD_DURATION:
    return json_pack("{s:s,s:s}", "type", "string", "pattern", "^([0-9]+(\\.[0-9]*)?(ns|us|\u00b5s|ms|s|m|h))+$");
  case BT_FIELD_CPUS:
    return json_pack("{s:s,s:i}", "type", "number", "minimum", 0);
  case BT_FIELD_MODE:
    return json_pack("{s:[s,s],s:s}", "type", "string", "integer", "pattern", "^(0o)?[0-7]{3,4}$");
  case BT_FIELD_ENUM:
    return choices_schema(f);
  case BT_FIELD_LABELS:
    return json_pack("{s:[s,s],s:{s:[s,s,s]}}", "type", "object", "null", "additionalProperties", "type", "string", "number",
                     "boolean");
  case BT_FIELD_SECTION:
    return bt_field_section(f)->schema();
  case BT_FIELD_PLUGINS:
    return plugins_schema();
  default:
    return json_pack("{s:[s,s]}", "type", "string", "null");
  }
}

json_t *bt_config_schema(void) {
  json_t *root = json_pack("{s:s,s:s,s:s,s:[s,s],s:b,s:{}}", "$schema", "https://json-schema.org/draft/2020-12/schema",
                           "title", "berthd.yaml", "description", "The configuration of Berth's server.", "type", "object",
                           "null", "additionalProperties", 0, "properties");
  BT_ASSERT(root);
  for (size_t i = 0; i < bt_config_nfields; i++) {
    const struct bt_field *f = &bt_config_fields[i];
    const char *name;
    json_t *parent = parent_of(root, f, true, &name);
    json_t *schema = type_schema(f);
    BT_ASSERT(schema);
    bt_json_set_str(schema, "description", f->doc);
    if (f->def)
      bt_json_set(schema, "default",
                  f->type == BT_FIELD_INT || f->type == BT_FIELD_CPUS ? json_integer(atoi(f->def)) : json_string(f->def));
    bt_json_set(parent, name, schema);
  }
  return root;
}

char *bt_config_schema_json(void) {
  BT_AUTO_JSON schema = bt_config_schema();
  return json_dumps(schema, JSON_INDENT(2));
}

json_t *bt_config_json(const struct bt_config *config) {
  json_t *root = json_object();
  for (size_t i = 0; i < bt_config_nfields; i++) {
    const char *name;
    json_t *parent = parent_of(root, &bt_config_fields[i], false, &name);
    bt_json_set(parent, name, bt_field_json(&bt_config_fields[i], config));
  }
  return root;
}
