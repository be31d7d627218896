/* What a service reserves by count: devices that the engine hands to its containers (deploy.resources.reservations.devices, gpus) and resources
 * of kinds that nodes declare (generic_resources). Texts are borrowed from the canonical service. Pure. */
#ifndef BT_MODEL_DEVICE_H
#define BT_MODEL_DEVICE_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

#define BT_DEVICES_MOST 100000                 /* of one request */
#define BT_DEVICE_REQUESTS_MOST 64             /* of a service; ids and capabilities of each: BT_DEVICE_WORDS_MOST */
#define BT_DEVICE_WORDS_MOST 256
#define BT_GENERIC_MOST ((int64_t)1 << 48)     /* of one kind */

struct bt_device_request {
  const char *driver;              /* NULL: any */
  int count;                       /* -1: all of the node; as many as ids where there are any */
  BT_VEC(const char *) ids;        /* those and no others */
  BT_VEC(const char *) capabilities; /* that a device must have, all of them; "gpu" alone for gpus that name none */
};

struct bt_generic_request {
  const char *kind;
  int64_t value;
};

struct bt_devices {
  BT_VEC(struct bt_device_request) requests;
  BT_VEC(struct bt_generic_request) generic;
};

/* Reads them from a canonical service. *out is the caller's (bt_devices_free), also after a failure. -1 with BT_INVALID and a sentence that
 * names the service and the attribute. */
int bt_devices_parse(const char *service, const json_t *json, struct bt_devices *out, struct bt_err **err) BT_CHECK;
void bt_devices_free(struct bt_devices *devices);

#endif
