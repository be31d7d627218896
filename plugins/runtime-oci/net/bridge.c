#include "config.h"
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "netlink.h"

static unsigned index_of(int fd, const char *name) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  return ioctl(fd, SIOCGIFINDEX, &request) < 0 ? 0 : (unsigned)request.ifr_ifindex;
}

/* ---------------------------------------------------------------- what is there */

struct look {
  const char *name;
  bool bridge;
};

/* The attribute of that type within a nest. */
static const struct nlattr *find_in(const struct nlattr *nest, uint16_t type) {
  size_t left = ro_nl_size(nest);
  for (const char *p = ro_nl_data(nest); left >= NLA_HDRLEN;) {
    const struct nlattr *a = (const void *)p;
    if (a->nla_len < NLA_HDRLEN || a->nla_len > left)
      return NULL;
    if ((a->nla_type & NLA_TYPE_MASK) == type)
      return a;
    size_t step = NLA_ALIGN(a->nla_len);
    if (step >= left)
      return NULL;
    p += step;
    left -= step;
  }
  return NULL;
}

static void look_at_link(const struct nlmsghdr *h, void *context) {
  struct look *l = context;
  const struct nlattr *name = ro_nl_find(h, sizeof(struct ifinfomsg), IFLA_IFNAME);
  const struct nlattr *info = ro_nl_find(h, sizeof(struct ifinfomsg), IFLA_LINKINFO), *kind = info ? find_in(info, IFLA_INFO_KIND) : NULL;
  if (name && strncmp(ro_nl_data(name), l->name, ro_nl_size(name)) == 0)
    l->bridge = kind && strncmp(ro_nl_data(kind), "bridge", ro_nl_size(kind)) == 0;
}

static int look(int nl, struct look *l, struct ro_why *why) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  return ro_nl_dump(nl, RTM_GETLINK, &head, sizeof head, look_at_link, l, why);
}

bool ro_bridge_there(int nl, const char *name, bool *bridge) {
  struct look l = {.name = name};
  if (!index_of(nl, name) || (bridge && look(nl, &l, NULL)))
    return false;
  if (bridge)
    *bridge = l.bridge;
  return true;
}

struct routes {
  void (*each)(const struct ro_ip *subnet, void *context);
  void *context;
};

static void route_seen(const struct nlmsghdr *h, void *context) {
  const struct routes *r = context;
  const struct rtmsg *m = ro_nl_head(h);
  const struct nlattr *to = ro_nl_find(h, sizeof *m, RTA_DST);
  struct ro_ip subnet = {.family = m->rtm_family, .prefix = m->rtm_dst_len};
  if (h->nlmsg_type != RTM_NEWROUTE || !to || !m->rtm_dst_len || (m->rtm_family != AF_INET && m->rtm_family != AF_INET6) ||
      (m->rtm_type != RTN_UNICAST && m->rtm_type != RTN_LOCAL) || ro_nl_size(to) != ro_ip_bytes(m->rtm_family))
    return;
  memcpy(subnet.bytes, ro_nl_data(to), ro_nl_size(to));
  r->each(&subnet, r->context);
}

int ro_host_routes(int nl, void (*each)(const struct ro_ip *subnet, void *context), void *context, struct ro_why *why) {
  struct routes r = {.each = each, .context = context};
  struct rtmsg head = {.rtm_family = AF_INET};
  if (ro_nl_dump(nl, RTM_GETROUTE, &head, sizeof head, route_seen, &r, why))
    return -1;
  head.rtm_family = AF_INET6;
  return ro_nl_dump(nl, RTM_GETROUTE, &head, sizeof head, route_seen, &r, NULL) && access("/proc/net/if_inet6", F_OK) == 0 ? -1 : 0;
}

/* ---------------------------------------------------------------- making */

static void add_create(struct ro_nl_batch *b, const struct ro_bridge *bridge) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  char what[96];
  snprintf(what, sizeof what, "the bridge %s cannot be made", bridge->name);
  ro_nl_begin(b, what, EEXIST, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  ro_nl_attr_str(b, IFLA_IFNAME, bridge->name);
  for (size_t i = 0; i < bridge->ngateways; i++)
    if (bridge->gateways[i].family == AF_INET) { /* a MAC of its own, since one taken from the ports changes with them */
      unsigned char mac[6] = {0x02, 0x42};
      memcpy(mac + 2, bridge->gateways[i].bytes, 4);
      ro_nl_attr(b, IFLA_ADDRESS, mac, sizeof mac);
      break;
    }
  size_t info = ro_nl_nest(b, IFLA_LINKINFO);
  ro_nl_attr_str(b, IFLA_INFO_KIND, "bridge");
  ro_nl_nest_end(b, info);
}

static bool wants_ipv6(const struct ro_bridge *bridge) {
  for (size_t i = 0; i < bridge->ngateways; i++)
    if (bridge->gateways[i].family == AF_INET6)
      return true;
  return false;
}

/* In front of what brings it up: the kernel chooses then. */
static void add_link_local(struct ro_nl_batch *b, const struct ro_bridge *bridge) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  if (access("/proc/net/if_inet6", F_OK) != 0)
    return;
  ro_nl_begin(b, "the bridge's link-local address", 0, RTM_NEWLINK, 0, &head, sizeof head);
  ro_nl_attr_str(b, IFLA_IFNAME, bridge->name);
  size_t spec = ro_nl_nest(b, IFLA_AF_SPEC);
  size_t inet6 = ro_nl_nest(b, AF_INET6);
  ro_nl_attr_u8(b, IFLA_INET6_ADDR_GEN_MODE, wants_ipv6(bridge) ? IN6_ADDR_GEN_MODE_EUI64 : IN6_ADDR_GEN_MODE_NONE);
  ro_nl_nest_end(b, inet6);
  ro_nl_nest_end(b, spec);
}

static void add_state(struct ro_nl_batch *b, const struct ro_bridge *bridge) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  char what[96];
  snprintf(what, sizeof what, "the bridge %s cannot be brought up", bridge->name);
  ro_nl_begin(b, what, 0, RTM_NEWLINK, 0, &head, sizeof head);
  ro_nl_attr_str(b, IFLA_IFNAME, bridge->name);
  if (bridge->mtu > 0)
    ro_nl_attr_u32(b, IFLA_MTU, (uint32_t)bridge->mtu);
}

static void add_address(struct ro_nl_batch *b, const char *name, unsigned index, const struct ro_ip *ip, bool remove) {
  struct ifaddrmsg head = {.ifa_family = (uint8_t)ip->family, .ifa_prefixlen = ip->prefix, .ifa_index = index};
  char what[160], text[ro_ip_text];
  snprintf(what, sizeof what, "the bridge %s cannot %s %s", name, remove ? "give up" : "have", ro_ip_format(ip, true, text));
  if (ip->family == AF_INET6)
    head.ifa_flags = IFA_F_NODAD;
  if (remove)
    ro_nl_begin(b, what, EADDRNOTAVAIL, RTM_DELADDR, 0, &head, sizeof head);
  else
    ro_nl_begin(b, what, EEXIST, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  ro_nl_attr(b, IFA_LOCAL, ip->bytes, ro_ip_bytes(ip->family));
  ro_nl_attr(b, IFA_ADDRESS, ip->bytes, ro_ip_bytes(ip->family));
}

struct stale {
  const struct ro_bridge *bridge;
  unsigned index;
  struct ro_nl_batch *batch;
};

/* Addresses of an earlier life of the bridge go. */
static void address_seen(const struct nlmsghdr *h, void *context) {
  struct stale *s = context;
  const struct ifaddrmsg *m = ro_nl_head(h);
  const struct nlattr *a = ro_nl_find(h, sizeof *m, IFA_LOCAL);
  if (!a)
    a = ro_nl_find(h, sizeof *m, IFA_ADDRESS);
  if (m->ifa_index != s->index || !a || m->ifa_scope == RT_SCOPE_LINK || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6) ||
      ro_nl_size(a) != ro_ip_bytes(m->ifa_family))
    return;
  struct ro_ip ip = {.family = m->ifa_family, .prefix = m->ifa_prefixlen};
  memcpy(ip.bytes, ro_nl_data(a), ro_nl_size(a));
  for (size_t i = 0; i < s->bridge->ngateways; i++)
    if (ro_ip_same(&ip, &s->bridge->gateways[i]) && ip.prefix == s->bridge->gateways[i].prefix)
      return;
  add_address(s->batch, s->bridge->name, s->index, &ip, true);
}

int ro_bridge_ensure(int nl, const struct ro_bridge *bridge, struct ro_why *why) {
  struct ro_nl_batch b = {0};
  bool is_bridge = false;
  if (!bridge->name || !*bridge->name || strlen(bridge->name) >= IFNAMSIZ || strchr(bridge->name, '/'))
    return ro_why_set(why, BERTH_INVALID, "\"%.32s\" is no name of a bridge: 1 to 15 bytes without a slash", bridge->name ? bridge->name : "");
  if (bridge->ngateways > 8)
    return ro_why_set(why, BERTH_TOO_LARGE, "the bridge %s: a network may have 8 subnets", bridge->name);
  if (ro_bridge_there(nl, bridge->name, &is_bridge) && !is_bridge)
    return ro_why_set(why, BERTH_CONFLICT, "the host has an interface %s that is no bridge: give the network another com.docker.network.bridge.name", bridge->name);
  add_create(&b, bridge);
  add_link_local(&b, bridge);
  add_state(&b, bridge);
  if (ro_nl_send(nl, &b, NULL, why))
    return -1;
  unsigned index = index_of(nl, bridge->name);
  struct ifaddrmsg head = {.ifa_family = AF_UNSPEC};
  struct stale stale = {.bridge = bridge, .index = index, .batch = &b};
  if (ro_nl_dump(nl, RTM_GETADDR, &head, sizeof head, address_seen, &stale, why))
    return -1;
  for (size_t i = 0; i < bridge->ngateways; i++)
    add_address(&b, bridge->name, index, &bridge->gateways[i], false);
  return ro_nl_send(nl, &b, NULL, why);
}

int ro_bridge_remove(int nl, const char *name, struct ro_why *why) {
  struct ro_nl_batch b = {0};
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  char what[96];
  bool is_bridge = false;
  if (!ro_bridge_there(nl, name, &is_bridge) || !is_bridge)
    return 0;
  snprintf(what, sizeof what, "the bridge %.15s cannot be removed", name);
  ro_nl_begin(&b, what, ENODEV, RTM_DELLINK, 0, &head, sizeof head);
  ro_nl_attr_str(&b, IFLA_IFNAME, name);
  return ro_nl_send(nl, &b, NULL, why);
}

/* ---------------------------------------------------------------- sysctls */

static int sysctl_open(const char *name, int flags) {
  char path[256];
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  return open(path, flags | O_CLOEXEC);
}

bool ro_sysctl_differs(const char *name, const char *value) {
  char have[64] = "";
  int fd = sysctl_open(name, O_RDONLY);
  ssize_t n = fd < 0 ? -1 : read(fd, have, sizeof have - 1);
  if (fd >= 0)
    close(fd);
  if (n < 0)
    return false;
  have[strcspn(have, "\n")] = 0;
  return strcmp(have, value) != 0;
}

int ro_sysctl(const char *name, const char *value, struct ro_why *why) {
  if (!ro_sysctl_differs(name, value))
    return 0;
  int fd = sysctl_open(name, O_WRONLY), error = 0;
  if (fd < 0 || write(fd, value, strlen(value)) < 0)
    error = errno;
  if (fd >= 0)
    close(fd);
  return error ? ro_why_set(why, ro_why_code(error), "/proc/sys/net/%s cannot be set to %s: %s", name, value, strerror(error)) : 0;
}
