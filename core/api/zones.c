#include "config.h"

#include "api/zones.h"

#include <sodium.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/tz.h"

static char *read_zone(const char *name) {
  BT_AUTO_FREE char *path = bt_asprintf(BT_ZONES_DIR "/%s", name), *bytes = NULL;
  size_t len = 0;
  if (bt_file_read(path, BT_TZ_MAX_BYTES, &bytes, &len, NULL) < 0)
    return NULL;
  BT_AUTO_TZ tz = bt_tz_parse(bytes, len, NULL);
  size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
  return tz ? sodium_bin2base64(bt_calloc(room, 1), room, (const unsigned char *)bytes, len, sodium_base64_VARIANT_ORIGINAL) : NULL;
}

json_t *bt_zones_read(const json_t *names) {
  json_t *zones = json_object(), *item;
  size_t i;
  json_array_foreach(names, i, item) {
    const char *name = json_string_value(item);
    BT_AUTO_FREE char *text = bt_tz_name_ok(name) ? read_zone(name) : NULL;
    if (text)
      bt_json_set_str(zones, name, text);
  }
  return zones;
}

json_t *bt_zones_of_model(const json_t *model) {
  json_t *names = json_array(), *service;
  const char *key;
  json_object_foreach(bt_json_obj(model, "services"), key, service) {
    const char *zone = bt_json_str(bt_json_obj(bt_json_obj(service, "x-berth"), "job"), "time_zone");
    if (zone)
      json_array_append_new(names, bt_json_string(zone));
    size_t i;
    json_t *at;
    json_array_foreach(bt_json_arr(bt_json_obj(bt_json_obj(service, "x-berth"), "autoscale"), "schedules"), i, at)
        if (bt_json_str(at, "time_zone")) json_array_append_new(names, bt_json_string(bt_json_str(at, "time_zone")));
  }
  return names;
}
