/* Joins a network namespace to the networks of the host: a veth pair per network with one end on the network's bridge, or a macvlan or
 * ipvlan on an interface of the host. The monitor calls this from inside; it takes two packets to the kernel, no heap and no library.
 * Knows nothing of who hands out addresses. */
#ifndef RO_NET_LINK_H
#define RO_NET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "why.h"

enum { ro_link_max_addresses = 8, ro_link_max_links = 32 };

/* One interface; all strings are borrowed for the call. */
struct ro_link {
  const char *kind;        /* NULL or "veth"; "macvlan", "ipvlan": on parent instead of a pair */
  const char *mode;        /* macvlan: "bridge" (NULL), "private", "vepa", "passthru"; ipvlan: "l2" (NULL), "l3", "l3s" */
  const char *name;        /* inside: "eth0" */
  const char *host;        /* veth: the other end's name on the host */
  const char *bridge;      /* veth: what the other end is a port of; NULL: of none */
  const char *parent;      /* macvlan, ipvlan: the host's interface */
  const char *mac;         /* "02:42:0a:59:00:05"; NULL: ro_link_mac of the first IPv4 address, or what the kernel chooses */
  const char *addresses[ro_link_max_addresses]; /* "10.89.0.5/24", "fd00::5/64" */
  size_t naddresses;
  const char *gateway;     /* of the default route over IPv4; NULL: none */
  const char *gateway6;    /* the same over IPv6 */
  int mtu;                 /* 0: the bridge's or parent's */
};

/* Brings lo up in the caller's network namespace and makes the links there. host: netlink socket (ro_nl_open) that was opened in the
 * host's namespace before the caller left it; own: one of the caller's namespace; netns: a descriptor of that (/proc/self/ns/net).
 * An old end of the same name on the host (its container is gone, the kernel has not cleaned up yet) is replaced. Addresses are in use
 * at once, without duplicate address detection. On failure nothing of this call is left on the host. */
int ro_link_join(int host, int own, int netns, const struct ro_link *links, size_t n, struct ro_why *why);

/* Only lo, for a container without networks. */
int ro_link_lo(int own, struct ro_why *why);

/* All of it for whoever has no sockets yet and is still in the host's namespace: makes a network namespace of its own for the calling
 * thread (unshare) and joins it. *netns: its descriptor, the caller closes it; may be NULL. */
int ro_link_enter(const struct ro_link *links, size_t n, int *netns, struct ro_why *why);

/* The MAC that stands for an IPv4 address, so that neighbours need not learn anew when an address returns: 02:42 and its four bytes. */
void ro_link_mac(const unsigned char ip[4], unsigned char mac[6]);

#endif
