/* Sockets to listen on, and who is at the other end of a unix socket. */
#ifndef BT_API_HTTP_LISTEN_H
#define BT_API_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "api/http_server.h"
#include "base/err.h"

/* A unix socket's file, as we made it. */
struct bt_socket_file {
  char *path; /* NULL: none */
  dev_t dev;
  ino_t ino;
  gid_t gid;
};

/* A non-blocking, listening descriptor, or -1. A file that is there is removed only where it is a socket that nobody
 * listens on. */
int bt_socket_listen_unix(const char *path, mode_t mode, const char *group, struct bt_socket_file *file, struct bt_err **err);
void bt_socket_file_remove(struct bt_socket_file *file); /* only where the file is still ours */
/* address is numeric: "127.0.0.1:7171", "[::1]:0". */
int bt_socket_listen_tcp(const char *address, int *port, struct bt_err **err);
bool bt_address_is_loopback(const char *address);
/* Fills uid and in_group: root, the server's own user, or a member of the socket's group. */
void bt_socket_peer(int fd, const struct bt_socket_file *file, struct bt_peer *peer);

#endif
