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
