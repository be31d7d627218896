#include "config.h"
#include "lease.h"

#include <string.h>
#include <sys/socket.h>

#include "../../common/util.h"

enum { most_bits = 65536 };

static bool bit(const struct ro_lease *l, size_t i) { return l->bits[i / 64] >> i % 64 & 1; }
static void set_bit(struct ro_lease *l, size_t i) { l->bits[i / 64] |= (uint64_t)1 << i % 64; }
static void clear_bit(struct ro_lease *l, size_t i) { l->bits[i / 64] &= ~((uint64_t)1 << i % 64); }

/* Nobody's: the subnet's own and its broadcast address. */
static bool is_edge(const struct ro_lease *l, const struct ro_ip *ip) {
  uint64_t offset = ro_ip_offset(&l->subnet, ip), count = ro_ip_count(&l->subnet);
  if (count <= 2)
    return false;
  return offset == 0 || (l->subnet.family == AF_INET && offset == count - 1);
}

static size_t place(const struct ro_lease *l, const struct ro_ip *ip) {
  uint64_t offset = ro_ip_offset(&l->range, ip);
  return offset < l->nbits ? (size_t)offset : SIZE_MAX;
}

int ro_lease_init(struct ro_lease *l, const struct ro_ip *subnet, const struct ro_ip *range, const struct ro_ip *gateway, struct ro_why *why) {
  char a[ro_ip_text], b[ro_ip_text];
  *l = (struct ro_lease){.subnet = ro_ip_subnet(subnet)};
  l->range = range && range->family ? ro_ip_subnet(range) : l->subnet;
  if (!ro_ip_contains(&l->subnet, &l->range) || l->range.prefix < l->subnet.prefix)
    return ro_why_set(why, BERTH_INVALID, "the ip_range %s is not within the subnet %s", ro_ip_format(&l->range, true, a), ro_ip_format(&l->subnet, true, b));
  if (gateway && gateway->family && (!ro_ip_contains(&l->subnet, gateway) || is_edge(l, gateway)))
    return ro_why_set(why, BERTH_INVALID, "the gateway %s cannot be one of the subnet %s", ro_ip_format(gateway, false, a), ro_ip_format(&l->subnet, true, b));
  uint64_t count = ro_ip_count(&l->range);
  l->nbits = count < most_bits ? (size_t)count : most_bits;
  l->bits = pu_calloc((l->nbits + 63) / 64, sizeof *l->bits);
  struct ro_ip last = ro_ip_plus(&l->range, l->nbits - 1);
  if (is_edge(l, &l->range))
    set_bit(l, 0);
  if (is_edge(l, &last))
    set_bit(l, l->nbits - 1);
  if (gateway && gateway->family)
    return ro_lease_take(l, gateway, why);
  return 0;
}

void ro_lease_free(struct ro_lease *l) {
  free(l->bits);
  free(l->extra);
  *l = (struct ro_lease){0};
}

int ro_lease_next(struct ro_lease *l, struct ro_ip *out, struct ro_why *why) {
  char text[ro_ip_text];
  for (size_t n = 0; n < l->nbits; n++) {
    size_t i = (l->next + n) % l->nbits;
    if (i % 64 == 0 && l->bits[i / 64] == UINT64_MAX && n + 64 <= l->nbits) {
      n += 63;
      continue;
    }
    if (bit(l, i))
      continue;
    set_bit(l, i);
    l->used++;
    l->next = (i + 1) % l->nbits;
    *out = ro_ip_plus(&l->range, i);
    out->prefix = l->subnet.prefix;
    return 0;
  }
  return ro_why_set(why, BERTH_EXHAUSTED, "all addresses of %s are taken: give the network a larger subnet", ro_ip_format(&l->range, true, text));
}

static struct ro_ip *find_extra(const struct ro_lease *l, const struct ro_ip *ip) {
  for (size_t i = 0; i < l->nextra; i++)
    if (ro_ip_same(&l->extra[i], ip))
      return &l->extra[i];
  return NULL;
}

int ro_lease_take(struct ro_lease *l, const struct ro_ip *ip, struct ro_why *why) {
  char a[ro_ip_text], b[ro_ip_text];
  ro_ip_format(ip, false, a);
  ro_ip_format(&l->subnet, true, b);
  if (!ro_ip_contains(&l->subnet, ip))
    return ro_why_set(why, BERTH_INVALID, "the address %s is not in the subnet %s", a, b);
  if (is_edge(l, ip))
    return ro_why_set(why, BERTH_INVALID, "the address %s stands for the whole subnet %s: choose one between", a, b);
  size_t at = place(l, ip);
  if (at == SIZE_MAX ? find_extra(l, ip) != NULL : bit(l, at))
    return ro_why_set(why, BERTH_CONFLICT, "the address %s is taken", a);
  if (at != SIZE_MAX) {
    set_bit(l, at);
    l->used++;
    return 0;
  }
  struct ro_ip *more = pu_calloc(l->nextra + 1, sizeof *more);
  if (l->nextra)
    memcpy(more, l->extra, l->nextra * sizeof *more);
  more[l->nextra++] = *ip;
  free(l->extra);
  l->extra = more;
  return 0;
}

void ro_lease_give(struct ro_lease *l, const struct ro_ip *ip) {
  size_t at = place(l, ip);
  struct ro_ip *extra = at == SIZE_MAX ? find_extra(l, ip) : NULL;
  if (at != SIZE_MAX && bit(l, at)) {
    clear_bit(l, at);
    l->used--;
  } else if (extra) {
    *extra = l->extra[--l->nextra];
  }
}

/* ---------------------------------------------------------------- subnets */

/* The subnet behind all that overlap it; false: it is free already. */
static bool step_over(const struct ro_ip *subnet, const struct ro_ip *taken, size_t ntaken, uint64_t *next, const struct ro_ip *pool) {
  bool hit = false;
  for (size_t i = 0; i < ntaken; i++)
    if (taken[i].family == subnet->family && ro_ip_overlap(subnet, &taken[i])) {
      hit = true;
      const struct ro_ip *wider = taken[i].prefix < subnet->prefix ? &taken[i] : subnet;
      struct ro_ip first = ro_ip_subnet(wider);
      uint64_t behind = ro_ip_contains(pool, &first) ? ro_ip_offset(pool, &first) + ro_ip_count(wider) : UINT64_MAX;
      if (behind > *next)
        *next = behind;
    }
  return hit;
}

static bool pick_from(const struct ro_ip *pool, unsigned bits, const struct ro_ip *taken, size_t ntaken, struct ro_ip *out) {
  uint64_t width = (uint64_t)1 << (32 - bits), count = ro_ip_count(pool);
  for (uint64_t at = 0; at + width <= count;) {
    struct ro_ip subnet = ro_ip_plus(pool, at);
    subnet.prefix = (uint8_t)bits;
    uint64_t next = at + width;
    if (!step_over(&subnet, taken, ntaken, &next, pool)) {
      *out = subnet;
      return true;
    }
    if (next == UINT64_MAX)
      return false;
    at = (next + width - 1) / width * width;
  }
  return false;
}

int ro_pool_pick(const json_t *pools, unsigned bits, const struct ro_ip *taken, size_t ntaken, struct ro_ip *out, struct ro_why *why) {
  size_t n = json_array_size(pools);
  for (size_t i = 0; i < (n ? n : 1); i++) {
    const char *text = n ? json_string_value(json_array_get(pools, i)) : "10.89.0.0/16";
    struct ro_ip pool;
    if (!ro_ip_parse(text, &pool) || pool.family != AF_INET || pool.prefix > bits)
      continue;
    pool = ro_ip_subnet(&pool);
    if (pick_from(&pool, bits, taken, ntaken, out))
      return 0;
  }
  return ro_why_set(why, BERTH_EXHAUSTED, "no subnet is free in the runtime's address_pools (networks and the host's own routes have them): "
                    "add one there, or give the network a subnet under ipam");
}

struct ro_ip ro_pool_ula(const uint8_t random[8]) {
  struct ro_ip ip = {.family = AF_INET6, .prefix = 64};
  ip.bytes[0] = 0xfd;
  memcpy(ip.bytes + 1, random, 7);
  return ip;
}
