/* Time zones of schedules. Their files are read by whoever applies an app, and by the daemon at its start; here they are kept, so that
 * control needs no file, and a restart on a machine without them changes nothing. */
#include "config.h"

#include <sodium.h>

#include "control/internal.h"

struct ctl_zone {
  char *text; /* the file in base64 */
  struct bt_tz *tz;
};

void ctl_zone_free(void *arg) {
  struct ctl_zone *zone = arg;
  free(zone->text);
  bt_tz_free(&zone->tz);
  free(zone);
}

static struct bt_tz *decode(const char *text) {
  size_t room = strlen(text), len = 0;
  if (room > 2 * BT_TZ_MAX_BYTES)
    return NULL;
  BT_AUTO_FREE unsigned char *bytes = bt_calloc(room + 1, 1);
  if (sodium_base642bin(bytes, room + 1, text, room, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
    return NULL;
  return bt_tz_parse(bytes, len, NULL);
}

void ctl_zones_take(struct bt_control *c, const json_t *zones) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)zones, name, value) {
    const char *text = json_string_value(value);
    const struct ctl_zone *have = bt_map_get(c->zones, name);
    struct bt_tz *tz = text && bt_tz_name_ok(name) && !(have && bt_streq(have->text, text)) ? decode(text) : NULL;
    if (!tz)
      continue;
    struct ctl_zone *zone = bt_new(struct ctl_zone);
    zone->text = bt_strdup(text);
    zone->tz = tz;
    bt_map_set(c->zones, name, zone);
    c->zones_unsaved = true;
  }
}

bool ctl_zone_find(const struct bt_control *c, const char *name, const struct bt_tz **tz) {
  const struct ctl_zone *zone = name ? bt_map_get(c->zones, name) : NULL;
  *tz = zone ? zone->tz : NULL;
  return zone || !name || bt_streq(name, "UTC");
}

int ctl_zones_check(const struct ctl_rev *rev, struct bt_err **err) {
  const struct bt_tz *tz;
  bt_vec_each(&rev->specs, spec) {
    const char *name = (*spec)->service->job.time_zone;
    const struct bt_autoscale *a = (*spec)->service->autoscale;
    for (size_t i = 0; a && i < a->schedules.len && !(name && !ctl_zone_find(rev->app->control, name, &tz)); i++)
      name = a->schedules.items[i].time_zone;
    if (name && !ctl_zone_find(rev->app->control, name, &tz)) {
      bt_err_set(err, BT_INVALID, "service %s: the server has no time zone \"%s\" under /usr/share/zoneinfo (Debian: tzdata); write a name such as Europe/Berlin",
                 (*spec)->service->name, name);
      return ctl_rev_placed(rev, (*spec)->service->name, err);
    }
  }
  return 0;
}

json_t *ctl_zones_json(const struct bt_control *c) {
  json_t *o = json_object();
  for (struct bt_map_iter it = bt_map_iter(c->zones); bt_map_next(&it);)
    bt_json_set_str(o, it.key, ((const struct ctl_zone *)it.value)->text);
  return o;
}

json_t *bt_control_zones(const struct bt_control *c) {
  json_t *names = json_array();
  for (struct bt_map_iter it = bt_map_iter(c->zones); bt_map_next(&it);)
    json_array_append_new(names, json_string(it.key));
  return names;
}

/* Rules of a zone changed: what is due next is found anew. */
void ctl_zones_put(struct bt_control *c, const struct bt_request *request) {
  ctl_zones_take(c, bt_json_obj(request->args, "zones"));
  for (struct bt_map_iter it = bt_map_iter(c->apps); c->zones_unsaved && bt_map_next(&it);)
    if (((struct ctl_app *)it.value)->scheduled)
      ctl_dirty(it.value);
  ctl_reply(c, request->id, json_object());
}
