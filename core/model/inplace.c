#include "config.h"

#include "model/inplace.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/size.h"

/* ---- the rest ---- */

static void set_or_drop(json_t *in, const char *key, json_t *value_steal) {
  if (json_object_size(value_steal))
    bt_json_set(in, key, value_steal);
  else {
    json_object_del(in, key);
    json_decref(value_steal);
  }
}

static json_t *without(const json_t *resources, const char *group, const char *const *keys, size_t n) {
  json_t *copy = json_copy(bt_json_obj(resources, group));
  for (size_t i = 0; i < n; i++)
    json_object_del(copy, keys[i]);
  return copy ? copy : json_object();
}

json_t *bt_inplace_rest(const json_t *service) {
  static const char *const own[] = {"cpus", "mem_limit", "mem_reservation", "pids_limit"}, *const keys[] = {"cpus", "memory", "pids"};
  json_t *rest = json_copy((json_t *)(uintptr_t)service), *deploy = bt_json_obj(service, "deploy"), *resources = bt_json_obj(deploy, "resources");
  for (size_t i = 0; i < BT_COUNT(own); i++)
    json_object_del(rest, own[i]);
  if (!resources)
    return rest;
  json_t *less = json_copy(deploy), *groups = json_copy(resources);
  set_or_drop(groups, "limits", without(resources, "limits", keys, BT_COUNT(keys)));
  set_or_drop(groups, "reservations", without(resources, "reservations", keys, 2));
  set_or_drop(less, "resources", groups);
  set_or_drop(rest, "deploy", less);
  return rest;
}

/* ---- what there is to have ---- */

/* In the order of the words. */
struct part {
  const char *name; /* for people */
  const char *key;  /* of resources_json; NULL: no engine's matter */
  double is, to;    /* 0: none */
  bool size;
};
#define PARTS 7

static void parts_of(const json_t *from, const json_t *to, struct part out[PARTS]) {
  struct bt_resources reserved[2], limits[2];
  bt_service_resources(from, &reserved[0], &limits[0]);
  bt_service_resources(to, &reserved[1], &limits[1]);
  out[0] = (struct part){"memory", "memory", (double)limits[0].memory, (double)limits[1].memory, true};
  out[1] = (struct part){"cpus", "cpus", limits[0].cpus, limits[1].cpus, false};
  out[2] = (struct part){"pids", "pids", (double)limits[0].pids, (double)limits[1].pids, false};
  out[3] = (struct part){"reserved memory", "memory_reservation", (double)reserved[0].memory, (double)reserved[1].memory, true};
  out[4] = (struct part){"reserved cpus", NULL, reserved[0].cpus, reserved[1].cpus, false};
  out[5] = (struct part){"reserved pids", NULL, (double)reserved[0].pids, (double)reserved[1].pids, false};
  out[6] = (struct part){"reserved disk", NULL, (double)reserved[0].disk, (double)reserved[1].disk, true};
}

json_t *bt_inplace_wanted(const json_t *service) {
  struct part parts[PARTS];
  json_t *o = json_object();
  parts_of(service, service, parts);
  for (size_t i = 0; i < PARTS; i++)
    if (parts[i].key && parts[i].to > 0)
      bt_json_set(o, parts[i].key, bt_streq(parts[i].key, "cpus") ? json_real(parts[i].to) : json_integer((json_int_t)parts[i].to));
  return o;
}

bool bt_inplace_reachable(const json_t *from, const json_t *to, const char **why) {
  static const char *const lost[PARTS] = {"its limit of memory is taken away", "its limit of cpus is taken away", "its limit of pids is taken away",
                                          "no memory is reserved for it any more", NULL, NULL, NULL};
  struct part parts[PARTS];
  parts_of(from, to, parts);
  for (size_t i = 0; i < PARTS; i++)
    if (parts[i].key && parts[i].is > 0 && parts[i].to <= 0) {
      if (why)
        *why = lost[i];
      return false;
    }
  return true;
}

bool bt_inplace_reserves_differ(const struct bt_service *a, const struct bt_service *b) {
  return a->reserved.pids != b->reserved.pids || a->reserved.disk != b->reserved.disk;
}

static void add_value(struct bt_buf *b, const struct part *p, double value) {
  char size[32];
  if (value <= 0)
    bt_buf_adds(b, "none");
  else if (p->size)
    bt_buf_adds(b, bt_size_format((int64_t)value, size));
  else
    bt_buf_addf(b, "%g", value);
}

char *bt_inplace_words(const json_t *from, const json_t *to) {
  struct part parts[PARTS];
  BT_AUTO_BUF b = {0};
  parts_of(from, to, parts);
  for (size_t i = 0; i < PARTS; i++) {
    if (parts[i].is == parts[i].to)
      continue;
    bt_buf_addf(&b, "%s%s ", b.len ? ", " : "", parts[i].name);
    add_value(&b, &parts[i], parts[i].is);
    bt_buf_adds(&b, " -> ");
    add_value(&b, &parts[i], parts[i].to);
  }
  return b.len ? bt_buf_steal(&b) : NULL;
}
