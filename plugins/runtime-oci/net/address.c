#include "config.h"
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ro_ip_parse(const char *text, struct ro_ip *out) {
  char copy[INET6_ADDRSTRLEN + 5];
  *out = (struct ro_ip){0};
  if (!text || snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
    return false;
  char *slash = strchr(copy, '/');
  if (slash)
    *slash++ = 0;
  int family = strchr(copy, ':') ? AF_INET6 : AF_INET;
  long widest = family == AF_INET ? 32 : 128, prefix = widest;
  if (slash) {
    char *end = NULL;
    prefix = slash[0] >= '0' && slash[0] <= '9' ? strtol(slash, &end, 10) : -1;
    if (!end || *end || prefix < 0 || prefix > widest)
      return false;
  }
  if (inet_pton(family, copy, out->bytes) != 1)
    return false;
  out->family = family;
  out->prefix = (uint8_t)prefix;
  return true;
}

const char *ro_ip_format(const struct ro_ip *ip, bool with_prefix, char out[ro_ip_text]) {
  out[0] = 0;
  if (!ip->family || !inet_ntop(ip->family, ip->bytes, out, ro_ip_text))
    return out;
  size_t len = strlen(out);
  if (with_prefix)
    snprintf(out + len, ro_ip_text - len, "/%u", ip->prefix);
  return out;
}

struct ro_ip ro_ip_subnet(const struct ro_ip *ip) {
  struct ro_ip out = *ip;
  for (size_t i = 0; i < ro_ip_bytes(ip->family); i++) {
    int bits = (int)ip->prefix - (int)i * 8;
    out.bytes[i] &= bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits));
  }
  return out;
}

struct ro_ip ro_ip_plus(const struct ro_ip *ip, uint64_t n) {
  struct ro_ip out = *ip;
  unsigned carry = 0;
  for (size_t i = ro_ip_bytes(ip->family), shift = 0; i-- > 0; shift += 8) {
    unsigned sum = out.bytes[i] + carry + (shift < 64 ? (unsigned)(n >> shift & 0xff) : 0);
    out.bytes[i] = (uint8_t)sum;
    carry = sum >> 8;
  }
  return out;
}

bool ro_ip_same(const struct ro_ip *a, const struct ro_ip *b) {
  return a->family && a->family == b->family && memcmp(a->bytes, b->bytes, ro_ip_bytes(a->family)) == 0;
}

bool ro_ip_contains(const struct ro_ip *subnet, const struct ro_ip *ip) {
  struct ro_ip cut = *ip;
  cut.prefix = subnet->prefix;
  struct ro_ip a = ro_ip_subnet(subnet), b = ro_ip_subnet(&cut);
  return ro_ip_same(&a, &b);
}

bool ro_ip_overlap(const struct ro_ip *a, const struct ro_ip *b) {
  return a->prefix <= b->prefix ? ro_ip_contains(a, b) : ro_ip_contains(b, a);
}

uint64_t ro_ip_offset(const struct ro_ip *subnet, const struct ro_ip *ip) {
  if (!ro_ip_contains(subnet, ip))
    return UINT64_MAX;
  struct ro_ip first = ro_ip_subnet(subnet);
  uint64_t offset = 0;
  for (size_t i = 0; i < ro_ip_bytes(ip->family); i++) {
    if (offset >> 56)
      return UINT64_MAX;
    offset = offset << 8 | (uint64_t)(ip->bytes[i] ^ first.bytes[i]); /* first has zeroes wherever they differ */
  }
  return offset;
}

uint64_t ro_ip_count(const struct ro_ip *subnet) {
  unsigned bits = (subnet->family == AF_INET ? 32u : 128u) - subnet->prefix;
  return bits >= 64 ? UINT64_MAX : (uint64_t)1 << bits;
}
