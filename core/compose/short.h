/* Short forms to long ones: what bt_compose_canonical() is made of. Each rewrites the node in place, without defaults, and
 * leaves long forms alone; errors go to load->diags. Inside the Compose room only. */
#ifndef BT_COMPOSE_SHORT_H
#define BT_COMPOSE_SHORT_H

#include "compose/internal.h"
#include "compose/place.h"

/* One text may become several entries: "8000-8002:80-82". */
void bt_short_ports(struct bt_load *load, struct bt_yaml *list, const struct bt_place *place);
void bt_short_volumes(struct bt_load *load, struct bt_yaml *list, const struct bt_place *place);
/* "80", "8000-8010": false where it is no port or range. */
bool bt_port_range(const char *text, long long *first, long long *last);
bool bt_is_ip(const char *text);

/* Sets key to a text where it is absent. */
void bt_default_text(struct bt_yaml *map, const char *key, const char *value);

#endif
