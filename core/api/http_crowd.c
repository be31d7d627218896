#include "config.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "api/http_conn.h"
#include "base/clock.h"
#include "base/mem.h"

/* A listener has room for so many connections. Whoever opens many and says nothing could keep all others out until his heads' time is
 * over. So, where there is no room, who has waited longest without a whole request makes room, first of all those of the address that
 * has most; and one address from outside never gets all of it. */

/* Everybody on this machine has this address: nobody is told from another by it. */
static bool is_this_machine(const struct sockaddr *from) {
  const struct sockaddr_in *in4 = (const void *)from;
  const struct sockaddr_in6 *in6 = (const void *)from;
  return from->sa_family == AF_INET ? in4->sin_addr.s_addr == htonl(INADDR_LOOPBACK)
                                    : from->sa_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* An IPv6 network of 64 bits is one origin: its owner has all the addresses in it. */
static void address_of(const struct sockaddr *from, char text[INET6_ADDRSTRLEN]) {
  if (from->sa_family == AF_INET) {
    inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)from)->sin_addr, text, INET6_ADDRSTRLEN);
    return;
  }
  struct in6_addr net = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
  if (!IN6_IS_ADDR_V4MAPPED(&net))
    memset(net.s6_addr + 8, 0, 8);
  inet_ntop(AF_INET6, &net, text, INET6_ADDRSTRLEN);
}

struct bt_origin *bt_crowd_enter(struct bt_listener *l, const struct sockaddr *from, bool *full) {
  *full = false;
  if (l->unix_socket || is_this_machine(from))
    return NULL;
  char address[INET6_ADDRSTRLEN];
  address_of(from, address);
  if (!l->origins)
    l->origins = bt_map_new(free);
  struct bt_origin *origin = bt_map_get(l->origins, address);
  if (!origin) {
    origin = bt_new(struct bt_origin);
    snprintf(origin->address, sizeof origin->address, "%s", address);
    bt_map_set(l->origins, address, origin);
  }
  *full = origin->count++ >= l->httpd->o.max_per_peer;
  return origin;
}

void bt_crowd_leave(struct bt_listener *l, struct bt_origin **origin) {
  struct bt_origin *o = bt_steal(*origin);
  if (o && --o->count == 0)
    bt_map_del(l->origins, o->address);
}

/* A body that comes slowly is no reason to stay, unless its sender is known; nor is an answer that nobody fetches. */
static bool may_go(const struct bt_conn *conn, int64_t before) {
  bool waits = conn->state == BT_CONN_REQUEST && !(conn->head_seen && conn->known);
  bool over = conn->state == BT_CONN_LINGER && (conn->shut || !conn->known);
  return (waits || over) && conn->hold == 0 && conn->since <= before;
}

static bool rather(const struct bt_conn *a, const struct bt_conn *b) {
  int na = a->origin ? a->origin->count : 0, nb = b->origin ? b->origin->count : 0;
  return na != nb ? na > nb : a->since < b->since;
}

struct bt_conn *bt_crowd_victim(const struct bt_listener *l, const struct bt_origin *only) {
  struct bt_conn *victim = NULL;
  int64_t before = bt_clock_mono_ms() - l->httpd->o.grace_ms;
  for (struct bt_conn *conn = l->httpd->conns; conn; conn = conn->next)
    if (conn->listener == l && (!only || conn->origin == only) && may_go(conn, before) && (!victim || rather(conn, victim)))
      victim = conn;
  return victim;
}
