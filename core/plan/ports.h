/* Published ports that two services cannot both have. Pure. */
#ifndef BT_PLAN_PORTS_H
#define BT_PLAN_PORTS_H

#include "model/service.h"

/* A published port and whose it is. Strings are borrowed. */
struct bt_port_use {
  const char *app, *service;
  const struct bt_port *port;
};

/* The first of the uses that clashes with port: same protocol, overlapping numbers, same or any address. Several replicas of one
 * service share an ingress port, so uses of the same app and service do not clash. NULL where there is none. */
const struct bt_port_use *bt_ports_clash(const struct bt_port_use *uses, size_t n, const struct bt_port_use *one);
/* The first use at or after "from" that clashes with one before it: *one and *other (the earlier). False where there is none. Uses of
 * different ports cost nothing, so that a file with tens of thousands of ports is looked at in one go. */
bool bt_ports_first_clash(const struct bt_port_use *uses, size_t n, size_t from, const struct bt_port_use **one,
                          const struct bt_port_use **other);

#endif
