/* A plug-in's configuration: checked against its table of fields, defaults filled, durations as milliseconds, sizes as bytes;
 * and the same table as JSON Schema for editors. Secrets may stand for text where a field is marked secret:
 * {"secret": NAME} or {"file": PATH}. Knows nothing of entries and of the network. */
#ifndef BT_PLUGIN_FIELDS_H
#define BT_PLUGIN_FIELDS_H

#include <berth/plugin.h>
#include <jansson.h>

#include "base/diag.h"
#include "base/err.h"
#include "base/vec.h"

struct bt_map;
struct bt_yaml;

/* Is the table itself sound (names, types, ranges, defaults)? NULL is an empty table. */
int bt_plugin_fields_check(const struct berth_field *fields, struct bt_err **err) BT_CHECK;

/* Checks config (NULL: {}) and gives what the plug-in will get, but for secrets, which stay references. All errors go to
 * diags, with places where "places" (the same tree with positions; may be NULL) knows them. 0 with a new reference, or -1. */
int bt_plugin_config_check(const struct berth_field *fields, const json_t *config, const struct bt_yaml *places,
                           struct bt_diags *diags, json_t **out) BT_CHECK;
/* {"secret": NAME} or {"file": PATH} in place of a text: the reference's kind, "secret" or "file"; else NULL. */
const char *bt_field_reference(const json_t *value);
/* The names of secrets that a checked config refers to, each once. */
void bt_plugin_config_secrets(const struct berth_field *fields, const json_t *config, struct bt_strs *names);
/* Puts text in place of the references: files are read (64 KiB, one newline at the end is taken off), secrets are looked up
 * in values (name -> char *). Changes config. */
int bt_plugin_config_resolve(const struct berth_field *fields, json_t *config, const struct bt_map *values,
                             struct bt_err **err) BT_CHECK;

/* JSON Schema, draft 2020-12; new reference. */
json_t *bt_plugin_fields_schema(const struct berth_field *fields, const char *title);

#endif
