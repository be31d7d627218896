/* Who asks? A unix socket's peer is known by its credentials: root, the server's own user and the members of the socket's
 * group are administrators. Everybody else shows the token of the token file. One administrator for now: users and rights
 * have their own room later. */
#ifndef BT_API_AUTH_H
#define BT_API_AUTH_H

#include "api/http_server.h"
#include "base/err.h"

struct bt_auth;

/* Reads the token file, or makes one (0600) where it is absent. A file that others can read is refused. NULL: no token is
 * accepted at all. */
int bt_auth_new(const char *token_file, struct bt_auth **out, struct bt_err **err) BT_CHECK;
void bt_auth_free(struct bt_auth **auth);
/* 0 with x->actor filled, or -1. The time taken does not depend on the token. */
int bt_auth_check(const struct bt_auth *auth, struct bt_exchange *x, struct bt_err **err) BT_CHECK;

#endif
