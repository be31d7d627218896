/* Between http_client.c and http_tunnel.c: the tunnels that belong to a client. */
#ifndef BT_LOOP_HTTP_INTERNAL_H
#define BT_LOOP_HTTP_INTERNAL_H

#include "loop/http_client.h"

struct evdns_base;

struct bt_http_tunnels {
  struct bt_loop *loop;
  struct evdns_base *dns; /* made with the first host name that is no address */
  struct bt_http_tunnel *first;
};

void bt_http_tunnels_init(struct bt_http_tunnels *tunnels, struct bt_loop *loop);
void bt_http_tunnels_close(struct bt_http_tunnels *tunnels); /* on_close comes with BT_CANCELLED */
struct bt_http_tunnel *bt_http_tunnel_open(struct bt_http_tunnels *tunnels, const struct bt_http_upgrade *upgrade);

#endif
