#include "config.h"

#include "model/device.h"

#include "base/json.h"
#include "base/mem.h"

#define read_texts(vec, list)                                                                                 \
  do {                                                                                                        \
    size_t i_;                                                                                                \
    json_t *item_;                                                                                            \
    json_array_foreach((list), i_, item_) if (json_is_string(item_)) bt_vec_push((vec), json_string_value(item_)); \
  } while (0)

/* Docker's words: without a count and ids, all. */
static int count_of(const json_t *item, size_t ids) {
  const json_t *count = json_object_get(item, "count");
  if (ids > 0)
    return (int)BT_MIN(ids, BT_DEVICES_MOST);
  if (!json_is_integer(count))
    return -1;
  return (int)BT_MAX(-1, BT_MIN(json_integer_value(count), BT_DEVICES_MOST));
}

static void read_requests(struct bt_devices *out, const json_t *list, bool gpus) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    struct bt_device_request r = {.driver = bt_json_str(item, "driver")};
    read_texts(&r.ids, bt_json_arr(item, "device_ids"));
    read_texts(&r.capabilities, bt_json_arr(item, "capabilities"));
    r.count = count_of(item, r.ids.len);
    if (gpus && !r.capabilities.len)
      bt_vec_push(&r.capabilities, "gpu");
    bt_vec_push(&out->requests, r);
  }
}

static int read_generic(const char *service, const json_t *list, struct bt_devices *out, struct bt_err **err) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    const json_t *spec = bt_json_obj(item, "discrete_resource_spec");
    struct bt_generic_request g = {bt_json_str(spec, "kind"), bt_json_int(spec, "value", -1)};
    if (!g.kind || !*g.kind)
      return bt_err_set(err, BT_INVALID, "service %s: deploy.resources.reservations.generic_resources[%zu] needs discrete_resource_spec.kind, the resource's name",
                        service, i);
    if (g.value < 0 || g.value > BT_GENERIC_MOST)
      return bt_err_set(err, BT_INVALID, "service %s: deploy.resources.reservations.generic_resources[%zu]: value of %.60s must be an integer from 0 to %lld",
                        service, i, g.kind, (long long)BT_GENERIC_MOST);
    bt_vec_push(&out->generic, g);
  }
  return 0;
}

/* All of them are looked at for each node. */
static int check_amounts(const char *service, const struct bt_devices *d, struct bt_err **err) {
  bool many = d->requests.len > BT_DEVICE_REQUESTS_MOST || d->generic.len > BT_DEVICE_REQUESTS_MOST;
  bt_vec_each(&d->requests, r) many = many || r->ids.len > BT_DEVICE_WORDS_MOST || r->capabilities.len > BT_DEVICE_WORDS_MOST;
  if (many)
    return bt_err_set(err, BT_INVALID, "service %s: at most %d requests for devices or generic_resources are taken, with %d ids and capabilities each", service,
                      BT_DEVICE_REQUESTS_MOST, BT_DEVICE_WORDS_MOST);
  return 0;
}

int bt_devices_parse(const char *service, const json_t *json, struct bt_devices *out, struct bt_err **err) {
  const json_t *reserved = bt_json_obj(bt_json_obj(bt_json_obj(json, "deploy"), "resources"), "reservations");
  *out = (struct bt_devices){0};
  read_requests(out, bt_json_arr(reserved, "devices"), false);
  read_requests(out, bt_json_arr(json, "gpus"), true);
  if (read_generic(service, bt_json_arr(reserved, "generic_resources"), out, err))
    return -1;
  return check_amounts(service, out, err);
}

void bt_devices_free(struct bt_devices *d) {
  bt_vec_each(&d->requests, r) {
    bt_vec_free(&r->ids);
    bt_vec_free(&r->capabilities);
  }
  bt_vec_free(&d->requests);
  bt_vec_free(&d->generic);
}
