/* What an operator says a node has, in berthd.yaml: "node.devices", which are handed to instances one by one, and "node.resources", which are
 * only counted. From the tree into the canonical JSON that the node tells the server. Pure. */
#ifndef BT_MODEL_NODE_HAS_H
#define BT_MODEL_NODE_HAS_H

#include <jansson.h>

#include "base/diag.h"
#include "base/yaml.h"

#define BT_NODE_DEVICES_MOST 256  /* of one node */
#define BT_NODE_KINDS_MOST 8      /* kinds of devices, and resources, of one node */

/* [{"kind","driver","model","capabilities":[…],"ids":[…]}]; JSON null where nothing is said: then the engine knows alone. New reference. */
json_t *bt_node_devices_read(const struct bt_yaml *section, struct bt_diags *diags);
json_t *bt_node_devices_schema(void);
/* {NAME: count}. New reference. */
json_t *bt_node_resources_read(const struct bt_yaml *section, struct bt_diags *diags);
json_t *bt_node_resources_schema(void);

#endif
