/* Published ports of the host: chosen where any will do, and held by a bound socket as long as a container has them, so that no
 * other program takes one and waits in vain. The sockets never see a packet: the packet filter turns those away before. */
#include "config.h"
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct held {
  struct held *next;
  char *id;
  int fd;
};

static int type_of(const char *protocol) { return pu_eq(protocol, "udp") ? SOCK_DGRAM : SOCK_STREAM; }

/* A bound socket; -1 with errno. ip's family 0: all addresses. */
static int hold(const char *protocol, const struct ro_ip *ip, unsigned port) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  bool v6 = ip->family == AF_INET6;
  int on = 1, off = 0, fd = socket(v6 ? AF_INET6 : AF_INET, type_of(protocol) | SOCK_CLOEXEC, pu_eq(protocol, "sctp") ? IPPROTO_SCTP : 0);
  if (fd < 0)
    return -1;
  if (v6)
    memcpy(&six.sin6_addr, ip->bytes, 16);
  else if (ip->family)
    memcpy(&four.sin_addr, ip->bytes, 4);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (type_of(protocol) == SOCK_STREAM) /* what lingers in TIME_WAIT is nobody's any more */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, v6 ? (void *)&six : (void *)&four, v6 ? sizeof six : sizeof four) < 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off);
  return fd;
}

static bool same_host(const char *a, const char *b) {
  static const char *const any[] = {"", "0.0.0.0", "::"};
  for (size_t i = 0; i < PU_COUNT(any); i++)
    if (pu_eq(a, any[i]) || pu_eq(b, any[i]))
      return true;
  return pu_eq(a, b);
}

/* The container whose port that is already; NULL: nobody's. */
static const char *owner(const struct ro_networks *n, const char *id, const json_t *port, unsigned published) {
  const char *other;
  json_t *member, *p;
  size_t i;
  json_object_foreach(n->members, other, member) {
    if (pu_eq(other, id) || !pu_bool(member, "running", false))
      continue;
    json_array_foreach(pu_arr(member, "ports"), i, p)
      if (pu_int(p, "published", 0) == published && pu_eq(pu_str_or(p, "protocol", "tcp"), pu_str_or(port, "protocol", "tcp")) &&
          same_host(pu_str_or(p, "host_ip", ""), pu_str_or(port, "host_ip", "")))
        return pu_str_or(member, "name", other);
  }
  return NULL;
}

static void keep(struct ro_networks *n, const char *id, int fd) {
  struct held *h = pu_new(struct held);
  *h = (struct held){.next = n->held, .id = pu_strdup(id), .fd = fd};
  n->held = h;
}

void ro_ports_let_go(struct ro_networks *n, const char *id) {
  for (struct held **at = &n->held; *at;) {
    struct held *h = *at;
    if (id && !pu_eq(h->id, id)) {
      at = &h->next;
      continue;
    }
    *at = h->next;
    close(h->fd);
    free(h->id);
    free(h);
  }
}

/* Any free one: the kernel names it, unless another container of ours was given it. */
static int choose(struct ro_networks *n, const char *id, json_t *port, const struct ro_ip *ip) {
  for (int tries = 0; tries < 64; tries++) {
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    int fd = hold(pu_str_or(port, "protocol", "tcp"), ip, 0);
    if (fd < 0)
      return -1;
    getsockname(fd, (struct sockaddr *)&at, &len);
    unsigned chosen = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port);
    if (!owner(n, id, port, chosen)) {
      json_object_set_new(port, "published", json_integer(chosen));
      return fd;
    }
    close(fd);
  }
  errno = EADDRINUSE;
  return -1;
}

static int hold_one(struct ro_networks *n, const char *id, json_t *port, size_t at, struct ro_why *why) {
  const char *host = pu_str_or(port, "host_ip", ""), *protocol = pu_str_or(port, "protocol", "tcp");
  int64_t published = pu_int(port, "published", 0), target = pu_int(port, "target", 0);
  struct ro_ip ip = {0};
  if (published < 0 || published > 65535 || target < 1 || target > 65535 || (*host && !ro_ip_parse(host, &ip)) ||
      (!pu_eq(protocol, "tcp") && !pu_eq(protocol, "udp") && !pu_eq(protocol, "sctp")))
    return ro_why_set(why, BERTH_INVALID, "the port %s:%lld to %lld/%s cannot be published: ports are 1 to 65535, tcp, udp or sctp, and the host's side an address",
                      host, (long long)published, (long long)target, protocol);
  const char *other = published ? owner(n, id, port, (unsigned)published) : NULL;
  if (other)
    return ro_why_set(why, BERTH_EXHAUSTED, "the port %lld/%s of the host is published by the container %s", (long long)published, protocol, other);
  int fd = published ? hold(protocol, &ip, (unsigned)published) : choose(n, id, port, &ip);
  if (fd < 0 && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT) && published)
    return 0; /* a host that does not speak it cannot have it taken either */
  if (fd < 0)
    return ro_why_set(why, BERTH_EXHAUSTED, "the port %s%s%lld/%s of the host cannot be published: %s%s", host, *host ? ":" : "", (long long)published, protocol,
                      strerror(errno), errno == EADDRINUSE ? " by another program" : "");
  if (at < ro_held_ports)
    keep(n, id, fd);
  else
    close(fd);
  return 0;
}

int ro_ports_hold(struct ro_networks *n, const char *id, json_t *ports, struct ro_why *why) {
  size_t i;
  json_t *port;
  json_array_foreach(ports, i, port)
    if (hold_one(n, id, port, i, why)) {
      ro_ports_let_go(n, id);
      return -1;
    }
  return 0;
}
