#include "config.h"

#include "plan/ports.h"

#include "base/map.h"
#include "base/mem.h"

static bool any_address(const char *ip) { return !ip || bt_streq(ip, "0.0.0.0") || bt_streq(ip, "::"); }

/* Uses of one key: the first, and the first of another service. Whatever comes next differs from one of the two, if they are there. */
struct holders {
  const struct bt_port_use *a, *b;
};

static bool same_service(const struct bt_port_use *x, const struct bt_port_use *y) {
  return bt_streq(x->app, y->app) && bt_streq(x->service, y->service);
}

static void hold(struct bt_map *map, const char *key, const struct bt_port_use *use) {
  struct holders *h = bt_map_get(map, key);
  if (!h) {
    h = bt_new(struct holders);
    h->a = use;
    bt_map_set(map, key, h);
  } else if (!h->b && !same_service(h->a, use)) {
    h->b = use;
  }
}

static const struct bt_port_use *holder(const struct bt_map *map, const char *key, const struct bt_port_use *but) {
  const struct holders *h = bt_map_get(map, key);
  if (!h)
    return NULL;
  return same_service(h->a, but) ? h->b : h->a;
}

/* Holds the use, and returns an earlier one that clashes with it, or NULL. Keys: "tcp/80" of any use, "tcp/80/" of one with any address,
 * "tcp/80/IP" of one with that address. */
static const struct bt_port_use *take(struct bt_map *held, const struct bt_port_use *use) {
  const struct bt_port *port = use->port;
  bool everywhere = any_address(port->host_ip);
  BT_AUTO_FREE char *all = bt_asprintf("%s/%d", port->protocol, port->published);
  BT_AUTO_FREE char *any = bt_asprintf("%s/", all);
  BT_AUTO_FREE char *own = bt_asprintf("%s%s", any, everywhere ? "" : port->host_ip);
  const struct bt_port_use *clash = holder(held, everywhere ? all : any, use);
  if (!clash && !everywhere)
    clash = holder(held, own, use);
  hold(held, all, use);
  hold(held, own, use);
  return clash;
}

enum { most_ports = 65536 };

bool bt_ports_first_clash(const struct bt_port_use *uses, size_t n, size_t from, const struct bt_port_use **one,
                          const struct bt_port_use **other) {
  BT_AUTO_FREE const struct bt_port_use **firsts = bt_calloc(most_ports, sizeof *firsts); /* of each port; most have no second use */
  BT_AUTO_MAP held = bt_map_new(free);
  for (size_t i = 0; i < n; i++) {
    int port = uses[i].port->published;
    /* Of ranges the engine takes a free one, so only a fixed port would clash for sure. */
    if (port <= 0 || port >= most_ports || uses[i].port->published_end != port)
      continue;
    if (!firsts[port]) {
      firsts[port] = &uses[i];
      continue;
    }
    take(held, firsts[port]); /* again and again does no harm */
    const struct bt_port_use *clash = take(held, &uses[i]);
    if (clash && i >= from) {
      *one = &uses[i];
      *other = clash;
      return true;
    }
  }
  return false;
}
