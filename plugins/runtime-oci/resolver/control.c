/* What the plug-in says, one JSON object a packet: {"network", …} with the sockets of its gateways, {"network_drop"}, {"member", …},
 * {"member_drop"} (see zone.h), {"sync": "begin"|"end"}, {"end": true}: nobody is left, the process goes. Each connection begins with
 * {"networks": [those that have sockets]}. The latest connection is the one that counts: berthd may have been killed and be back. */
#include "config.h"
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/util.h"

enum { max_packet = 256 << 10, max_fds = 32 };

static void obey(struct rs_server *s, const json_t *o, int *fds, size_t n) {
  const char *network = pu_str(o, "network"), *sync = pu_str(o, "sync");
  if (network) {
    rs_zone_network(s->zone, o);
    rs_listen(s, network, fds, n);
    return;
  }
  for (size_t i = 0; i < n; i++)
    close(fds[i]);
  if (pu_str(o, "member"))
    rs_zone_member(s->zone, o);
  else if (pu_str(o, "member_drop"))
    rs_zone_member_drop(s->zone, pu_str(o, "member_drop"));
  else if (pu_str(o, "network_drop")) {
    rs_unlisten(s, pu_str(o, "network_drop"));
    rs_zone_network_drop(s->zone, pu_str(o, "network_drop"));
  } else if (pu_eq(sync, "begin"))
    rs_zone_sync_begin(s->zone);
  else if (pu_eq(sync, "end"))
    rs_zone_sync_end(s->zone);
  else if (pu_bool(o, "end", false))
    rs_close(s, &s->control_listen, false);
}

static size_t take_fds(struct msghdr *m, int fds[max_fds]) {
  size_t n = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here && n < max_fds; i++, n++)
      memcpy(&fds[n], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
  }
  return n;
}

static void control_ready(struct rs_server *s, struct rs_source *source, uint32_t events) {
  static char text[max_packet];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(max_fds * sizeof(int))];
  } control;
  (void)events;
  for (int i = 0; i < 256; i++) {
    int fds[max_fds];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(source->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (n <= 0) {
      rs_close(s, source, false);
      return;
    }
    size_t nfds = take_fds(&m, fds);
    PU_AUTO_JSON o = m.msg_flags & MSG_TRUNC ? NULL : pu_json_parse(text, (size_t)n);
    obey(s, o, fds, nfds);
    if (s->control_listen.fd < 0)
      return;
  }
}

static void hello(struct rs_server *s, int fd) {
  PU_AUTO_JSON o = json_object();
  json_t *names = json_array();
  json_object_set_new(o, "networks", names);
  for (const struct listener *l = s->listeners; l; l = l->next)
    if (!l->next || !pu_eq(l->next->network, l->network))
      json_array_append_new(names, json_string(l->network));
  PU_AUTO_FREE text = pu_json_text(o);
  send(fd, text, strlen(text), MSG_NOSIGNAL);
}

void rs_control_accept(struct rs_server *s, struct rs_source *source, uint32_t events) {
  (void)events;
  int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0)
    return;
  rs_close(s, &s->control, false);
  hello(s, fd);
  rs_watch(s, &s->control, fd, EPOLLIN, control_ready);
}
