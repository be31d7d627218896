#include "config.h"
#include "model/node_has.h"

#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/device.h"
#include "model/section.h"

enum { most_id = 127, most_name = 63 };

static const struct bt_key device_keys[] = {
    {"kind", BT_KEY_TEXT, NULL, 0, 0, "What they are, which services name among the capabilities; gpu where absent."},
    {"driver", BT_KEY_TEXT, NULL, 0, 0, "The engine's driver for them, such as nvidia or cdi."},
    {"model", BT_KEY_TEXT, NULL, 0, 0, "Their model, such as a100; services may name it among the capabilities."},
    {"capabilities", BT_KEY_TEXTS, NULL, 0, 0, "What they can do beside their kind, such as utility; where absent, whatever the common drivers of graphics cards offer."},
    {"ids", BT_KEY_OTHER, NULL, 0, 0, "Their ids, as the driver knows them."},
    {"count", BT_KEY_INT, NULL, 1, BT_NODE_DEVICES_MOST, "Instead of ids: so many, with the ids 0, 1, 2, …"},
    {0}};

/* Names of kinds, models, capabilities and resources: they stand in sentences and in marks. */
static bool name_ok(const char *text) {
  static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  size_t n = strlen(text);
  return n > 0 && n <= most_name && strspn(text, good) == n;
}

static void check_name(const json_t *text, const struct bt_yaml *at, const char *what, struct bt_diags *diags) {
  if (text && !name_ok(json_string_value(text)))
    bt_diag_error(diags, at->loc, "\"%.80s\" cannot be %s: letters, digits and . _ - are, at most %d", json_string_value(text), what, most_name);
}

static json_t *count_ids(const struct bt_yaml *device, long long count, struct bt_diags *diags) {
  json_t *ids = json_array();
  if (count < 1)
    bt_diag_error(diags, device->loc, "devices need \"ids\", or \"count\"");
  for (long long i = 0; i < count; i++) {
    BT_AUTO_FREE char *id = bt_asprintf("%lld", i);
    json_array_append_new(ids, json_string(id));
  }
  return ids;
}

static json_t *read_ids(const struct bt_yaml *device, long long count, struct bt_diags *diags) {
  const struct bt_yaml *list = bt_yaml_get(device, "ids");
  if (!list)
    return count_ids(device, count, diags);
  json_t *ids = json_array();
  if (count > 0)
    bt_diag_error(diags, list->loc, "devices have \"ids\" or \"count\", not both");
  if (list->kind != BT_YAML_SEQ || list->seq.len == 0 || list->seq.len > BT_NODE_DEVICES_MOST) {
    bt_diag_error(diags, list->loc, "\"ids\" must be a list of 1 to %d ids such as [\"0\", \"1\"]", BT_NODE_DEVICES_MOST);
    return ids;
  }
  bt_vec_each(&list->seq, item) {
    bool good = ((*item)->kind == BT_YAML_STR || (*item)->kind == BT_YAML_INT) && *(*item)->text && strlen((*item)->text) <= most_id;
    if (good)
      json_array_append_new(ids, json_string((*item)->text));
    else
      bt_diag_error(diags, (*item)->loc, "an id must be a text of at most %d bytes", most_id);
  }
  return ids;
}

static void check_twice(const struct bt_yaml *at, const json_t *device, struct bt_map *seen, struct bt_diags *diags) {
  size_t i;
  json_t *id;
  json_array_foreach(bt_json_arr(device, "ids"), i, id) {
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s", bt_json_str(device, "kind"), json_string_value(id));
    if (bt_map_get(seen, key))
      bt_diag_error(diags, at->loc, "the id \"%s\" of a %s is there twice", json_string_value(id), bt_json_str(device, "kind"));
    bt_map_set(seen, key, seen);
  }
}

static json_t *read_device(const struct bt_yaml *item, struct bt_diags *diags) {
  json_t *device = bt_section_read(item, "an entry of node.devices", device_keys, diags);
  if (item->kind != BT_YAML_MAP)
    return device;
  static const char *const names[] = {"kind", "driver", "model"};
  for (size_t i = 0; i < BT_COUNT(names); i++)
    check_name(json_object_get(device, names[i]), item, "the kind, driver or model of a device", diags);
  size_t i;
  json_t *text;
  json_array_foreach(bt_json_arr(device, "capabilities"), i, text) check_name(text, item, "a capability", diags);
  if (!bt_json_str(device, "kind"))
    bt_json_set_str(device, "kind", "gpu");
  bt_json_set(device, "ids", read_ids(item, bt_json_int(device, "count", 0), diags));
  json_object_del(device, "count");
  return device;
}

json_t *bt_node_devices_read(const struct bt_yaml *section, struct bt_diags *diags) {
  if (!section || section->kind == BT_YAML_NULL)
    return json_null();
  json_t *list = json_array();
  BT_AUTO_MAP seen = bt_map_new(NULL), *kinds = bt_map_new(NULL);
  if (section->kind != BT_YAML_SEQ) {
    bt_diag_error(diags, section->loc, "node.devices must be a list such as [{kind: gpu, model: a100, ids: [\"0\", \"1\"]}]");
    return list;
  }
  bt_vec_each(&section->seq, item) {
    json_t *device = read_device(*item, diags);
    check_twice(*item, device, seen, diags);
    bt_map_set(kinds, bt_json_str_or(device, "kind", "gpu"), kinds);
    json_array_append_new(list, device);
  }
  if (bt_map_len(seen) > BT_NODE_DEVICES_MOST || bt_map_len(kinds) > BT_NODE_KINDS_MOST)
    bt_diag_error(diags, section->loc, "node.devices has at most %d devices of at most %d kinds", BT_NODE_DEVICES_MOST, BT_NODE_KINDS_MOST);
  return list;
}

json_t *bt_node_devices_schema(void) {
  json_t *device = bt_section_schema(device_keys), *properties = json_object_get(device, "properties");
  BT_AUTO_JSON ids = json_pack("{s:s,s:i,s:i,s:{s:[s,s]}}", "type", "array", "minItems", 1, "maxItems", BT_NODE_DEVICES_MOST, "items", "type", "string", "integer");
  json_object_update(json_object_get(properties, "ids"), ids);
  return json_pack("{s:[s,s],s:o}", "type", "array", "null", "items", device);
}

/* ---- resources ---- */

json_t *bt_node_resources_read(const struct bt_yaml *section, struct bt_diags *diags) {
  json_t *o = json_object();
  if (!section || section->kind == BT_YAML_NULL)
    return o;
  if (section->kind != BT_YAML_MAP || section->map.len > BT_NODE_KINDS_MOST) {
    bt_diag_error(diags, section->loc, "node.resources must be a mapping of at most %d names to numbers, such as {licences: 4}", BT_NODE_KINDS_MOST);
    return o;
  }
  bt_vec_each(&section->map, pair) {
    if (!name_ok(pair->key))
      bt_diag_error(diags, pair->loc, "\"%.80s\" cannot be a resource's name: letters, digits and . _ - are, at most %d", pair->key, most_name);
    else if (pair->value->kind != BT_YAML_INT || pair->value->integer < 0 || pair->value->integer > BT_GENERIC_MOST)
      bt_diag_error(diags, pair->value->loc, "node.resources.%s must be an integer from 0 to %lld", pair->key, (long long)BT_GENERIC_MOST);
    else
      bt_json_set_int(o, pair->key, pair->value->integer);
  }
  return o;
}

json_t *bt_node_resources_schema(void) {
  return json_pack("{s:[s,s],s:i,s:{s:s},s:{s:s,s:i}}", "type", "object", "null", "maxProperties", BT_NODE_KINDS_MOST, "propertyNames", "pattern",
                   "^[A-Za-z0-9._-]{1,63}$", "additionalProperties", "type", "integer", "minimum", 0);
}
