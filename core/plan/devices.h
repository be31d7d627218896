/* Which of a node's devices an instance is given. Each device is one instance's; a service may ask for some of a kind, for all of it, or
 * for those with certain ids. Pure; knows nothing of nodes or instances. */
#ifndef BT_PLAN_DEVICES_H
#define BT_PLAN_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/vec.h"
#include "model/device.h"

/* Of a node. Texts are borrowed. */
struct bt_device {
  const char *kind, *driver, *model, *id; /* driver, model: NULL where not said */
  const json_t *capabilities;             /* array of texts; NULL: not said */
  bool taken;
};

/* What a request is of: "gpu" where it is among its capabilities, else the first of them; NULL where it names none. */
const char *bt_device_kind(const struct bt_device_request *request);
/* Whether the device is what the request is about, whoever has it. A model counts as a capability. */
bool bt_device_meets(const struct bt_device *device, const struct bt_device_request *request);
/* Chooses devices that nobody has for all requests at once: true, and for each device the number of its request from 1, or 0. An answer is found
 * wherever there is one: devices are moved between requests. "All" asks for at least one, and for none that somebody has. */
bool bt_devices_pick(const struct bt_device *devices, size_t n, const struct bt_devices *want, uint32_t *out);
/* Whether amounts alone say all that the service asks for: one request for a number of a kind. */
bool bt_devices_plain(const struct bt_devices *want);
/* How many of the kind the service asks for at least. */
int64_t bt_devices_of_kind(const struct bt_devices *want, const char *kind);
/* What is asked for, in words; equal texts ask for the same: "2 gpu (driver nvidia, utility)". */
void bt_devices_words(const struct bt_devices *want, struct bt_buf *out);

#endif
