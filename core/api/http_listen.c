#include "config.h"
#include "api/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

enum { BACKLOG = 511, MAX_GROUPS = 256 };

static int check_path_free(const char *path, const struct sockaddr_un *un, struct bt_err **err) {
  struct stat st;
  if (lstat(path, &st) < 0)
    return errno == ENOENT ? 0 : bt_err_errno(err, BT_IO, errno, "the socket %s", path);
  if (!S_ISSOCK(st.st_mode))
    return bt_err_set(err, BT_CONFLICT, "%s is there and no socket: move it away or set another api.socket.path", path);
  BT_AUTO_CLOSE int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0)
    return bt_err_errno(err, BT_IO, errno, "a socket");
  /* EAGAIN: somebody listens, and its queue is full. */
  if (connect(probe, (const struct sockaddr *)un, sizeof *un) == 0 || errno == EAGAIN)
    return bt_err_set(err, BT_CONFLICT, "another server already listens on %s", path);
  if (errno != ECONNREFUSED)
    return bt_err_errno(err, BT_IO, errno, "the socket %s", path);
  if (unlink(path) < 0 && errno != ENOENT)
    return bt_err_errno(err, BT_IO, errno, "the stale socket %s cannot be removed", path);
  return 0;
}

static int find_group(const char *name, gid_t *gid, struct bt_err **err) {
  *gid = getegid();
  if (!name)
    return 0;
  struct group *g = getgrnam(name);
  if (!g)
    return bt_err_set(err, BT_INVALID, "there is no group \"%s\" (api.socket.group)", name);
  *gid = g->gr_gid;
  return 0;
}

static int bind_unix(int fd, const struct sockaddr_un *un, mode_t mode, gid_t gid, struct bt_socket_file *file,
                     struct bt_err **err) {
  const char *path = un->sun_path;
  /* Nobody can connect before group and mode are right: the file is born with the descriptor's mode. */
  if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)un, sizeof *un) < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot listen on %s", path);
  struct stat st;
  if ((gid != getegid() && chown(path, (uid_t)-1, gid) < 0) || chmod(path, mode) < 0 || lstat(path, &st) < 0 ||
      listen(fd, BACKLOG) < 0) {
    int saved = errno;
    unlink(path);
    return bt_err_errno(err, BT_IO, saved, "cannot listen on %s", path);
  }
  *file = (struct bt_socket_file){.path = bt_strdup(path), .dev = st.st_dev, .ino = st.st_ino, .gid = gid};
  return 0;
}

int bt_socket_listen_unix(const char *path, mode_t mode, const char *group, struct bt_socket_file *file, struct bt_err **err) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  gid_t gid;
  if (strlen(path) >= sizeof un.sun_path)
    return bt_err_set(err, BT_INVALID, "the socket's path %s is longer than %zu bytes", path, sizeof un.sun_path - 1);
  strcpy(un.sun_path, path);
  if (find_group(group, &gid, err) < 0 || check_path_free(path, &un, err) < 0)
    return -1;
  BT_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return bt_err_errno(err, BT_IO, errno, "a socket");
  if (bind_unix(fd, &un, mode, gid, file, err) < 0)
    return -1;
  int out = fd;
  fd = -1;
  return out;
}

void bt_socket_file_remove(struct bt_socket_file *file) {
  struct stat st;
  if (file->path && lstat(file->path, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino)
    unlink(file->path);
  free(bt_steal(file->path));
}

/* libevent takes no port 0; an address without a port gets it. A port must be named all the same. */
static int parse_address(const char *address, struct sockaddr_storage *ss, int *len) {
  const char *colon = strrchr(address, ':');
  if (!colon || !colon[1] || (*address == '[' && colon[-1] != ']'))
    return -1;
  bool any = bt_streq(colon, ":0");
  BT_AUTO_FREE char *text = bt_strndup(address, any ? (size_t)(colon - address) : strlen(address));
  *len = sizeof *ss;
  return evutil_parse_sockaddr_port(text, (struct sockaddr *)ss, len);
}

int bt_socket_listen_tcp(const char *address, int *port, struct bt_err **err) {
  struct sockaddr_storage ss;
  int n;
  if (parse_address(address, &ss, &n) < 0)
    return bt_err_set(err, BT_INVALID, "\"%s\" is no numeric address with a port, such as 127.0.0.1:7171", address);
  BT_AUTO_CLOSE int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return bt_err_errno(err, BT_IO, errno, "a socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  socklen_t len = (socklen_t)n;
  if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0)
    return bt_err_errno(err, errno == EADDRINUSE ? BT_CONFLICT : BT_IO, errno, "cannot listen on %s", address);
  len = sizeof ss;
  getsockname(fd, (struct sockaddr *)&ss, &len);
  *port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port : ((struct sockaddr_in *)&ss)->sin_port);
  int out = fd;
  fd = -1;
  return out;
}

bool bt_address_is_loopback(const char *address) {
  struct sockaddr_storage ss;
  int n;
  if (parse_address(address, &ss, &n) < 0)
    return false;
  if (ss.ss_family == AF_INET6)
    return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&ss)->sin6_addr);
  return (ntohl(((struct sockaddr_in *)&ss)->sin_addr.s_addr) >> 24) == 127;
}

void bt_socket_peer(int fd, const struct bt_socket_file *file, struct bt_peer *peer) {
  struct ucred cred;
  socklen_t len = sizeof cred;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
    return;
  peer->uid = cred.uid;
  peer->in_group = cred.uid == 0 || cred.uid == geteuid() || cred.gid == file->gid;
  gid_t groups[MAX_GROUPS];
  len = sizeof groups;
  if (peer->in_group || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
    return;
  for (size_t i = 0; i < len / sizeof groups[0]; i++)
    peer->in_group |= groups[i] == file->gid;
}
