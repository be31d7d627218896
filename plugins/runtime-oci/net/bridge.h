/* The bridge of a network on the host, and what the host's own network looks like: links, routes, sysctls. Over netlink; each call is
 * one or two packets and does not block beyond them. Knows nothing of records or leases. */
#ifndef RO_NET_BRIDGE_H
#define RO_NET_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "address.h"
#include "why.h"

struct ro_bridge {
  const char *name;             /* 1 to 15 bytes */
  int mtu;                      /* 0: the kernel's */
  const struct ro_ip *gateways; /* with their prefixes; the bridge has exactly these */
  size_t ngateways;
};

/* Makes it, or mends what is there: up, its MTU, its addresses. CONFLICT where something else bears that name. */
int ro_bridge_ensure(int nl, const struct ro_bridge *bridge, struct ro_why *why);
/* Removes it; none of that name is success. */
int ro_bridge_remove(int nl, const char *name, struct ro_why *why);
/* Is there a link of that name? *bridge (may be NULL): and it is a bridge. */
bool ro_bridge_there(int nl, const char *name, bool *bridge);

/* Calls each for every subnet that the host has an own route to (not the default routes). */
int ro_host_routes(int nl, void (*each)(const struct ro_ip *subnet, void *context), void *context, struct ro_why *why);

/* Writes a value below /proc/sys/net of the calling thread's namespace unless it has that value. name: "ipv4/ip_forward". A file that
 * this kernel does not have is success. */
int ro_sysctl(const char *name, const char *value, struct ro_why *why);
/* Is the value there another one than value? False where it cannot be read. */
bool ro_sysctl_differs(const char *name, const char *value);

#endif
