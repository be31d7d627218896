/* Published ports that two services cannot both have. Pure. */
#ifndef BT_PLAN_PORTS_H
#define BT_PLAN_PORTS_H

#include "model/service.h"

/* A published port and whose it is. Strings are borrowed. */
struct bt_port_use {
  const char *app, *service;
  const struct bt_port *port;
  const void *owner; /* the caller's */
};

/* The first use at or after "from" that clashes with one before it: the same fixed port and protocol, and the same or any address.
 * Several replicas of one service share an ingress port, so uses of the same app and service do not clash. *one is that use, *other
 * the earlier one. False where there is none. Linear, also where thousands of addresses publish one port. */
bool bt_ports_first_clash(const struct bt_port_use *uses, size_t n, size_t from, const struct bt_port_use **one,
                          const struct bt_port_use **other);

#endif
