#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static bool within(uint32_t a, uint32_t net, int bits) { return bits == 0 || (a ^ net) >> (32 - bits) == 0; }

static enum ri_reach reach_4(uint32_t a) {
  static const struct {
    uint32_t net;
    int bits;
    enum ri_reach reach;
  } nets[] = {{0x7f000000, 8, RI_LOOPBACK}, {0x00000000, 8, RI_NEVER},    {0xa9fe0000, 16, RI_NEVER},  {0xe0000000, 3, RI_NEVER},
              {0x0a000000, 8, RI_PRIVATE},  {0xac100000, 12, RI_PRIVATE}, {0xc0a80000, 16, RI_PRIVATE}, {0x64400000, 10, RI_PRIVATE},
              {0xc0000000, 24, RI_PRIVATE}, {0xc6120000, 15, RI_PRIVATE}};
  for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++)
    if (within(a, nets[i].net, nets[i].bits))
      return nets[i].reach;
  return RI_PUBLIC;
}

/* IPv4 in its disguises (mapped, NAT64) counts as what it is. */
static enum ri_reach reach_6(const struct in6_addr *a) {
  static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b}, ec2[16] = {0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54};
  uint32_t inner;
  memcpy(&inner, a->s6_addr + 12, 4);
  if (IN6_IS_ADDR_V4MAPPED(a) || memcmp(a->s6_addr, nat64, 12) == 0)
    return reach_4(ntohl(inner));
  if (IN6_IS_ADDR_LOOPBACK(a))
    return RI_LOOPBACK;
  if (IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_MULTICAST(a) || IN6_IS_ADDR_V4COMPAT(a) || memcmp(a, ec2, 16) == 0)
    return RI_NEVER;
  return (a->s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_SITELOCAL(a) ? RI_PRIVATE : RI_PUBLIC;
}

enum ri_reach ri_address_reach(const struct sockaddr *address) {
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return reach_4(ntohl(in.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    struct sockaddr_in6 in;
    memcpy(&in, address, sizeof in);
    return reach_6(&in.sin6_addr);
  }
  return RI_NEVER;
}

bool ri_address_allowed(enum ri_reach reach, bool own, enum ri_reach registry) {
  if (reach == RI_NEVER)
    return false;
  return own || reach == RI_PUBLIC || reach == registry || (reach == RI_PRIVATE && registry == RI_LOOPBACK);
}
