/* Between service.c and service_parts.c only: readers of the parts of a canonical service. */
#ifndef BT_MODEL_SERVICE_INTERNAL_H
#define BT_MODEL_SERVICE_INTERNAL_H

#include "model/service.h"

int64_t bt_service_size(const json_t *obj, const char *key);                    /* "67108864", "64m" or a number */
int bt_service_read_ports(struct bt_service *s, struct bt_err **err) BT_CHECK;
int bt_service_read_depends(struct bt_service *s, struct bt_err **err) BT_CHECK;
void bt_service_read_grants(struct bt_service *s);
void bt_service_read_volumes(struct bt_service *s);
void bt_service_read_networks(struct bt_service *s);
void bt_service_infer_depends(struct bt_service *s);

#endif
