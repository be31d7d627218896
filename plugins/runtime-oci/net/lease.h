/* Who has which address of a subnet, and which subnet is free: bitmaps in memory. What is durable is the caller's records, from which
 * these are filled when it starts. Pure; not for several threads at once. */
#ifndef RO_NET_LEASE_H
#define RO_NET_LEASE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "why.h"

/* One subnet of a network. Addresses are handed out from range, next-fit: one that was given back comes again last, so that what still
 * knows it by heart (connections, caches) does not reach a stranger. Static ones may be anywhere in the subnet. */
struct ro_lease {
  struct ro_ip subnet, range; /* both as subnets */
  uint64_t *bits;             /* of the first nbits addresses of range */
  size_t nbits, next, used;   /* used: those taken from range but by ro_lease_init */
  struct ro_ip *extra;        /* taken ones outside of bits */
  size_t nextra;
};

/* gateway may be NULL or empty (family 0). The subnet's own address and, with IPv4, its broadcast address are never handed out.
 * INVALID where range or gateway is not in the subnet. */
int ro_lease_init(struct ro_lease *l, const struct ro_ip *subnet, const struct ro_ip *range, const struct ro_ip *gateway, struct ro_why *why);
void ro_lease_free(struct ro_lease *l);
/* Takes the next free one; *out has the subnet's prefix. EXHAUSTED where none is left. */
int ro_lease_next(struct ro_lease *l, struct ro_ip *out, struct ro_why *why);
/* Takes that one. INVALID where it cannot be anybody's here, CONFLICT where it is taken. */
int ro_lease_take(struct ro_lease *l, const struct ro_ip *ip, struct ro_why *why);
/* Gives it back; one that nobody has is let be. */
void ro_lease_give(struct ro_lease *l, const struct ro_ip *ip);

/* The first subnet of width bits in pools (array of "10.89.0.0/16"; empty: that one) that overlaps none of taken. EXHAUSTED. */
int ro_pool_pick(const json_t *pools, unsigned bits, const struct ro_ip *taken, size_t ntaken, struct ro_ip *out, struct ro_why *why);
/* A /64 for private use (RFC 4193) from 8 random bytes. */
struct ro_ip ro_pool_ula(const uint8_t random[8]);

#endif
