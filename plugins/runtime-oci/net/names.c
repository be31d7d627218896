/* What berth-resolver is told: networks with sockets at their gateways, and who is in them. It is started with the first network and
 * sent away after the last; where it died it is started again by the next change or look, and told everything anew. The sockets are bound
 * here, since port 53 takes a right that the resolver does not have. */
#include "config.h"
#include "internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { dns_port = 53, max_hello = 64 << 10 };

/* ---------------------------------------------------------------- the process */

static struct sockaddr_un address_of(const struct ro_networks *n) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", n->resolver_socket);
  return a;
}

static int connect_to(const struct ro_networks *n) {
  struct sockaddr_un a = address_of(n);
  struct timeval patience = {.tv_sec = 2};
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
    close(fd);
    return -1;
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

static int spawn_with(const struct ro_networks *n, int listener) {
  extern char **environ;
  char *argv[] = {n->resolver, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  pid_t pid;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, listener, 3);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  int error = posix_spawn(&pid, n->resolver, &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (!error)
    waitpid(pid, NULL, 0); /* the first process ends at once, the second is nobody's child */
  return error ? -1 : 0;
}

static int start(const struct ro_networks *n) {
  struct sockaddr_un a = address_of(n);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), result = -1;
  unlink(n->resolver_socket);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 4) == 0)
    result = spawn_with(n, fd);
  if (fd >= 0)
    close(fd);
  return result;
}

/* ---------------------------------------------------------------- messages */

static void lost(struct ro_networks *n) {
  if (n->resolver_fd >= 0)
    close(n->resolver_fd);
  n->resolver_fd = -1;
}

/* False: nobody is there any more. */
static bool say(struct ro_networks *n, const json_t *o, const int *fds, size_t nfds) {
  PU_AUTO_FREE text = pu_json_text(o);
  struct iovec v = {text, strlen(text)};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(2 * ro_max_subnets * sizeof(int))];
  } control = {0};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  if (nfds) {
    m.msg_control = &control;
    m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
    memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
  }
  if (n->resolver_fd < 0 || sendmsg(n->resolver_fd, &m, MSG_NOSIGNAL) < 0) {
    lost(n);
    return false;
  }
  return true;
}

static bool say_word(struct ro_networks *n, const char *key, const char *value) {
  PU_AUTO_JSON o = json_pack("{s:s}", key, value);
  return say(n, o, NULL, 0);
}

static int bound(const struct ro_ip *ip, int type) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(dns_port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(dns_port)};
  bool v6 = ip->family == AF_INET6;
  int on = 1, room = 1 << 20, fd = socket(ip->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  memcpy(v6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr, ip->bytes, ro_ip_bytes(ip->family));
  setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof on);
  if (type == SOCK_STREAM)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  else if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) /* over the machine's rmem_max, 208 KiB: some hundred questions, 5 ms of a storm */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(fd, v6 ? (void *)&six : (void *)&four, v6 ? sizeof six : sizeof four) == 0 && (type != SOCK_STREAM || listen(fd, 64) == 0))
    return fd;
  close(fd);
  return -1;
}

static json_t *network_json(const struct ro_network *net) {
  json_t *subnets = json_array();
  char text[ro_ip_text];
  for (size_t i = 0; i < net->nsubnets; i++)
    json_array_append_new(subnets, json_string(ro_ip_format(&net->subnets[i], true, text)));
  return json_pack("{s:s, s:b, s:o}", "network", net->name, "internal", net->internal, "subnets", subnets);
}

/* has: the resolver has sockets for it already. */
static bool say_network(struct ro_networks *n, struct ro_network *net, bool has) {
  PU_AUTO_JSON o = network_json(net);
  int fds[2 * ro_max_subnets];
  size_t nfds = 0;
  for (size_t i = 0; i < net->nsubnets && !has && net->bridge; i++) {
    int udp = net->gateways[i].family ? bound(&net->gateways[i], SOCK_DGRAM) : -1, tcp = udp < 0 ? -1 : bound(&net->gateways[i], SOCK_STREAM);
    if (udp >= 0)
      fds[nfds++] = udp;
    if (tcp >= 0)
      fds[nfds++] = tcp;
  }
  net->answers = has || nfds; /* another name server of the host may have all addresses: then containers use the host's servers */
  bool good = say(n, o, fds, nfds);
  for (size_t i = 0; i < nfds; i++)
    close(fds[i]);
  return good;
}

static bool say_member(struct ro_networks *n, const char *id, const json_t *member) {
  PU_AUTO_JSON o = json_deep_copy(member);
  json_object_set_new(o, "member", json_string(id));
  json_object_del(o, "ports");
  if (!json_array_size(pu_arr(o, "dns")) && json_array_size(n->dns))
    json_object_set(o, "dns", n->dns);
  return say(n, o, NULL, 0);
}

/* ---------------------------------------------------------------- all of it */

static bool in_list(const json_t *list, const char *text) {
  size_t i;
  json_t *v;
  json_array_foreach(list, i, v)
    if (pu_eq(json_string_value(v), text))
      return true;
  return false;
}

static bool tell_all(struct ro_networks *n) {
  static char text[max_hello]; /* under the lock */
  const char *id;
  json_t *member;
  ssize_t len = recv(n->resolver_fd, text, sizeof text, 0);
  PU_AUTO_JSON hello = len > 0 ? pu_json_parse(text, (size_t)len) : NULL;
  if (!hello || !say_word(n, "sync", "begin")) {
    lost(n);
    return false;
  }
  for (size_t i = 0; i < n->len; i++)
    if (!say_network(n, n->items[i], in_list(pu_arr(hello, "networks"), n->items[i]->name)))
      return false;
  json_object_foreach(n->members, id, member)
    if (pu_bool(member, "running", false) && !say_member(n, id, member))
      return false;
  return say_word(n, "sync", "end");
}

static bool has_gateways(const struct ro_networks *n) {
  for (size_t i = 0; i < n->len; i++)
    if (n->items[i]->bridge)
      return true;
  return false;
}

/* Is it still there? One that died closed its side. */
static bool alive(const struct ro_networks *n) {
  char c;
  return n->resolver_fd >= 0 && (recv(n->resolver_fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) > 0 || errno == EAGAIN);
}

bool ro_names_mend(struct ro_networks *n) {
  if (!n->resolver || !has_gateways(n) || alive(n))
    return true;
  lost(n);
  for (int tries = 0; tries < 2; tries++) {
    n->resolver_fd = connect_to(n);
    if (n->resolver_fd >= 0 && tell_all(n))
      return true;
    lost(n);
    if (start(n))
      break;
  }
  n->resolver_fd = connect_to(n);
  if (n->resolver_fd >= 0 && tell_all(n))
    return true;
  for (size_t i = 0; i < n->len; i++)
    n->items[i]->answers = false;
  return false;
}

void ro_names_network(struct ro_networks *n, struct ro_network *net) {
  if (!n->resolver || net->answers || !net->bridge)
    return;
  if (alive(n))
    say_network(n, net, false);
  else
    ro_names_mend(n);
}

static void send_away(struct ro_networks *n) {
  PU_AUTO_JSON o = json_pack("{s:b}", "end", 1);
  if (n->resolver_fd >= 0)
    say(n, o, NULL, 0);
  lost(n);
  unlink(n->resolver_socket);
}

void ro_names_network_drop(struct ro_networks *n, const char *name) {
  if (n->resolver_fd < 0)
    return;
  say_word(n, "network_drop", name);
  if (!has_gateways(n))
    send_away(n);
}

void ro_names_member(struct ro_networks *n, const char *id) {
  const json_t *member = json_object_get(n->members, id);
  if (!n->resolver || !member)
    return;
  if (!alive(n) || !(pu_bool(member, "running", false) ? say_member(n, id, member) : say_word(n, "member_drop", id)))
    ro_names_mend(n);
}

void ro_networks_resolver(struct ro_networks *n, const char *run, const char *programs, const json_t *dns) {
  pthread_mutex_lock(&n->lock);
  json_decref(n->dns);
  n->dns = dns ? json_deep_copy(dns) : NULL;
  if (!n->resolver) {
    n->resolver_socket = pu_asprintf("%s/resolver.sock", run);
    n->resolver = pu_asprintf("%s/berth-resolver", programs);
  }
  if (!has_gateways(n) && n->resolver_fd < 0) { /* a crash after the last network went, and before the resolver was told */
    n->resolver_fd = connect_to(n);
    send_away(n);
  }
  ro_names_mend(n);
  pthread_mutex_unlock(&n->lock);
}
