#include "config.h"

#include "plan/ports.h"

#include "base/mem.h"

static bool any_address(const char *ip) { return !ip || bt_streq(ip, "0.0.0.0") || bt_streq(ip, "::"); }

static bool overlap(const struct bt_port *a, const struct bt_port *b) {
  if (a->published == 0 || b->published == 0 || !bt_streq(a->protocol, b->protocol))
    return false;
  if (a->published_end < b->published || b->published_end < a->published)
    return false;
  /* Of ranges the engine takes a free one, so only a fixed port within a range of one would clash for sure. */
  if (a->published != a->published_end || b->published != b->published_end)
    return false;
  return any_address(a->host_ip) || any_address(b->host_ip) || bt_streq(a->host_ip, b->host_ip);
}

const struct bt_port_use *bt_ports_clash(const struct bt_port_use *uses, size_t n, const struct bt_port_use *one) {
  for (size_t i = 0; i < n; i++) {
    bool same = bt_streq(uses[i].app, one->app) && bt_streq(uses[i].service, one->service);
    if (!same && overlap(uses[i].port, one->port))
      return &uses[i];
  }
  return NULL;
}

enum { most_ports = 65536 };

bool bt_ports_first_clash(const struct bt_port_use *uses, size_t n, size_t from, const struct bt_port_use **one,
                          const struct bt_port_use **other) {
  /* Chains of the uses of each port; numbers of uses are one more than their places, 0 ends a chain. */
  BT_AUTO_FREE size_t *heads = bt_newn(size_t, most_ports), *next = bt_newn(size_t, n + 1);
  for (size_t i = 0; i < n; i++) {
    int port = uses[i].port->published;
    if (port <= 0 || port >= most_ports || uses[i].port->published_end != port)
      continue;
    for (size_t at = i < from ? 0 : heads[port]; at; at = next[at - 1])
      if (bt_ports_clash(&uses[at - 1], 1, &uses[i])) {
        *one = &uses[i];
        *other = &uses[at - 1];
        return true;
      }
    next[i] = heads[port];
    heads[port] = i + 1;
  }
  return false;
}
