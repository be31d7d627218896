/* IP addresses and subnets as numbers and as text, both families. Pure. */
#ifndef RO_NET_ADDRESS_H
#define RO_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ro_ip_text = 56 }; /* bytes that the text of an address with its prefix takes */

struct ro_ip {
  int family;        /* AF_INET, AF_INET6; 0: none */
  uint8_t bytes[16]; /* in network order; IPv4 has the first four */
  uint8_t prefix;    /* 32 or 128 where the text had none */
};

/* "10.89.0.5", "10.89.0.0/24", "fd00::1/64"; false where it is something else. */
bool ro_ip_parse(const char *text, struct ro_ip *out);
/* Writes the address, with its prefix where asked for, and returns out. */
const char *ro_ip_format(const struct ro_ip *ip, bool with_prefix, char out[ro_ip_text]);
static inline size_t ro_ip_bytes(int family) { return family == 2 /* AF_INET */ ? 4 : 16; }

/* The subnet that the address is in: bits behind the prefix cleared. */
struct ro_ip ro_ip_subnet(const struct ro_ip *ip);
/* The address n behind ip's (the prefix stays); what overflows is lost. */
struct ro_ip ro_ip_plus(const struct ro_ip *ip, uint64_t n);
/* How far ip is behind the subnet's first address; UINT64_MAX where it is not in it or further. */
uint64_t ro_ip_offset(const struct ro_ip *subnet, const struct ro_ip *ip);
/* How many addresses a subnet has, UINT64_MAX where more. */
uint64_t ro_ip_count(const struct ro_ip *subnet);
bool ro_ip_same(const struct ro_ip *a, const struct ro_ip *b); /* without the prefix */
bool ro_ip_contains(const struct ro_ip *subnet, const struct ro_ip *ip);
/* Do two subnets share an address? */
bool ro_ip_overlap(const struct ro_ip *a, const struct ro_ip *b);

#endif
