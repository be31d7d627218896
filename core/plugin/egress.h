/* Where an entry's HTTP requests may go. Names are matched, and the very addresses that are connected to are looked at, so that neither
 * a redirect nor a name server leads elsewhere. Pure: no I/O. */
#ifndef BT_PLUGIN_EGRESS_H
#define BT_PLUGIN_EGRESS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

struct sockaddr;
struct bt_egress;

/* Is it a list of host, host:port, *.domain, *.domain:port, * (any public host) and unix:/path? */
int bt_egress_check(const struct bt_strs *list, struct bt_err **err) BT_CHECK;

/* A policy of such a list. NULL: public hosts, and what bt_egress_name is told. */
struct bt_egress *bt_egress_new(const struct bt_strs *list);
void bt_egress_free(struct bt_egress **egress);
/* Names every host, socket and file that stands in the texts and keys of a configuration: an operator wrote it. Only for policies
 * without a list; files are named for all. */
void bt_egress_name(struct bt_egress *egress, const json_t *value);

/* May it speak to that host (a name or an address, without brackets) and port? With addr: may it, where the host has that address?
 * Private addresses need the host's name in full; loopback and link-local ones, or none at all, the address itself (or
 * localhost). */
bool bt_egress_allows(const struct bt_egress *egress, const char *host, int port, const struct sockaddr *addr);
bool bt_egress_allows_unix(const struct bt_egress *egress, const char *path);
/* Is the path of a file named in the configuration? */
bool bt_egress_allows_file(const struct bt_egress *egress, const char *path);

#endif
