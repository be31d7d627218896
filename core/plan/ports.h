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

#endif
