/* The text of table `inet berth`, for nft: everything of Berth's in the kernel's packet filter, made anew from what is known of networks
 * and published ports. Chains are the same for whatever number of networks and containers; these are elements of sets and maps.
 * Pure. */
#ifndef RO_NET_RULES_H
#define RO_NET_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "../../common/util.h"
#include "address.h"

#define RO_NFT_TABLE "inet berth"

/* What the rules know of a network. */
struct ro_rules_network {
  const char *bridge;
  bool internal;            /* nothing gets out or in */
  bool masquerade;          /* what leaves the host bears the host's address */
  const struct ro_ip *subnets, *gateways;
  size_t nsubnets, ngateways;
};

/* A port of the host that leads to one of a container. */
struct ro_rules_port {
  const char *protocol;     /* "tcp", "udp", "sctp" */
  struct ro_ip host;        /* family 0: every address of the host, of the family of to */
  unsigned published, target;
  struct ro_ip to;
};

/* The chains with empty sets and maps, made where they are missing. */
void ro_rules_table(struct pu_buf *out);
/* Adds or deletes the elements of one network. */
void ro_rules_network(struct pu_buf *out, bool add, const struct ro_rules_network *n);
/* Adds or deletes the element of one port. */
void ro_rules_port(struct pu_buf *out, bool add, const struct ro_rules_port *p);

#endif
