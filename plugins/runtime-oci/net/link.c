#include "config.h"
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "address.h"
#include "netlink.h"

void ro_link_mac(const unsigned char ip[4], unsigned char mac[6]) {
  mac[0] = 0x02;
  mac[1] = 0x42;
  memcpy(mac + 2, ip, 4);
}

/* False: text is no MAC. *have: there is one. */
static bool mac_of(const struct ro_link *l, unsigned char mac[6], bool *have) {
  *have = false;
  if (l->mac) {
    char rest = 0;
    *have = sscanf(l->mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &rest) == 6;
    return *have && !(mac[0] & 1);
  }
  for (size_t i = 0; i < l->naddresses && !*have; i++) {
    struct ro_ip a;
    if (ro_ip_parse(l->addresses[i], &a) && a.family == AF_INET) {
      ro_link_mac(a.bytes, mac);
      *have = true;
    }
  }
  return true;
}

static bool has_family(const struct ro_link *l, int family) {
  for (size_t i = 0; i < l->naddresses; i++)
    if ((strchr(l->addresses[i], ':') ? AF_INET6 : AF_INET) == family)
      return true;
  return false;
}

static bool is_veth(const struct ro_link *l) { return !l->kind || strcmp(l->kind, "veth") == 0; }

/* By an ioctl of whatever socket: it answers for the namespace of that socket, and needs no message. 0: there is none. */
static unsigned index_of(int fd, const char *name) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  return ioctl(fd, SIOCGIFINDEX, &request) < 0 ? 0 : (unsigned)request.ifr_ifindex;
}

static int mtu_of(int fd, const char *name) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  return ioctl(fd, SIOCGIFMTU, &request) < 0 ? 0 : request.ifr_mtu;
}

/* ---------------------------------------------------------------- checks */

static bool good_name(const char *name) { return name && *name && strlen(name) < IFNAMSIZ && !strchr(name, '/') && strcmp(name, "lo") != 0; }

static int check(const struct ro_link *l, struct ro_why *why) {
  unsigned char mac[6];
  bool have;
  if (!good_name(l->name) || (is_veth(l) ? !good_name(l->host) : !good_name(l->parent)))
    return ro_why_set(why, BERTH_INVALID, "the interface %.32s: it and its side on the host need names of 1 to 15 bytes", l->name ? l->name : "without a name");
  if (!mac_of(l, mac, &have))
    return ro_why_set(why, BERTH_INVALID, "the interface %s: \"%.32s\" is no MAC of one interface, such as 02:42:0a:59:00:05", l->name, l->mac);
  if (l->naddresses > ro_link_max_addresses)
    return ro_why_set(why, BERTH_TOO_LARGE, "the interface %s: it may have %d addresses", l->name, ro_link_max_addresses);
  for (size_t i = 0; i < l->naddresses; i++) {
    struct ro_ip a;
    if (!ro_ip_parse(l->addresses[i], &a) || !a.prefix)
      return ro_why_set(why, BERTH_INVALID, "the interface %s: \"%.64s\" is no address with a prefix, such as 10.89.0.5/24", l->name, l->addresses[i]);
  }
  return 0;
}

/* ---------------------------------------------------------------- the host's side */

static uint32_t mode_number(const struct ro_link *l) {
  static const struct {
    const char *kind, *mode;
    uint32_t number;
  } table[] = {{"macvlan", "private", MACVLAN_MODE_PRIVATE}, {"macvlan", "vepa", MACVLAN_MODE_VEPA}, {"macvlan", "passthru", MACVLAN_MODE_PASSTHRU},
               {"ipvlan", "l3", IPVLAN_MODE_L3},             {"ipvlan", "l3s", IPVLAN_MODE_L3S}};
  for (size_t i = 0; l->mode && i < sizeof table / sizeof *table; i++)
    if (strcmp(table[i].kind, l->kind) == 0 && strcmp(table[i].mode, l->mode) == 0)
      return table[i].number;
  return strcmp(l->kind, "macvlan") == 0 ? MACVLAN_MODE_BRIDGE : IPVLAN_MODE_L2;
}

static void add_inner(struct ro_nl_batch *b, const struct ro_link *l, int mtu, int netns) {
  unsigned char mac[6];
  bool have = false;
  mac_of(l, mac, &have);
  ro_nl_attr_str(b, IFLA_IFNAME, l->name);
  if (have && (is_veth(l) || strcmp(l->kind, "macvlan") == 0))
    ro_nl_attr(b, IFLA_ADDRESS, mac, sizeof mac);
  if (mtu > 0)
    ro_nl_attr_u32(b, IFLA_MTU, (uint32_t)mtu);
  ro_nl_attr_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
}

static void add_veth(struct ro_nl_batch *b, const struct ro_link *l, int mtu, int netns) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  char what[96];
  snprintf(what, sizeof what, "the veth pair %s of %s cannot be made", l->host, l->name);
  ro_nl_begin(b, what, 0, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  ro_nl_attr_str(b, IFLA_IFNAME, l->host);
  if (mtu > 0)
    ro_nl_attr_u32(b, IFLA_MTU, (uint32_t)mtu);
  size_t info = ro_nl_nest(b, IFLA_LINKINFO);
  ro_nl_attr_str(b, IFLA_INFO_KIND, "veth");
  size_t data = ro_nl_nest(b, IFLA_INFO_DATA);
  size_t peer = ro_nl_nest(b, VETH_INFO_PEER);
  ro_nl_raw(b, &head, sizeof head);
  add_inner(b, l, mtu, netns);
  ro_nl_nest_end(b, peer);
  ro_nl_nest_end(b, data);
  ro_nl_nest_end(b, info);
}

static bool kernel_has_ipv6(void) {
  static int known = -1;
  if (known < 0)
    known = access("/proc/net/if_inet6", F_OK) == 0;
  return known;
}

/* A message of its own, since the kernel takes up what comes with the same one first. No link-local address: a port of a bridge needs
 * none, and each costs the network a round of multicast. */
static void add_no_link_local(struct ro_nl_batch *b, const char *name) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  char what[96];
  if (!kernel_has_ipv6())
    return;
  snprintf(what, sizeof what, "%s cannot be kept from addresses of its own choice", name);
  ro_nl_begin(b, what, 0, RTM_NEWLINK, 0, &head, sizeof head);
  ro_nl_attr_str(b, IFLA_IFNAME, name);
  size_t spec = ro_nl_nest(b, IFLA_AF_SPEC);
  size_t inet6 = ro_nl_nest(b, AF_INET6);
  ro_nl_attr_u8(b, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  ro_nl_nest_end(b, inet6);
  ro_nl_nest_end(b, spec);
}

static void add_port(struct ro_nl_batch *b, const struct ro_link *l, unsigned bridge) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  char what[96];
  add_no_link_local(b, l->host);
  snprintf(what, sizeof what, "%s cannot join the bridge %s", l->host, l->bridge ? l->bridge : "(none)");
  ro_nl_begin(b, what, 0, RTM_NEWLINK, 0, &head, sizeof head);
  ro_nl_attr_str(b, IFLA_IFNAME, l->host);
  if (bridge)
    ro_nl_attr_u32(b, IFLA_MASTER, bridge);
}

/* A port gives back what came from it: where a container calls itself by a published port of the host and br_netfilter is on, the
 * packet is turned round within the bridge. */
static void add_hairpin(struct ro_nl_batch *b, const struct ro_link *l) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  char what[96];
  snprintf(what, sizeof what, "%s cannot be a port that gives back", l->host);
  ro_nl_begin(b, what, 0, RTM_NEWLINK, 0, &head, sizeof head);
  ro_nl_attr_str(b, IFLA_IFNAME, l->host);
  size_t info = ro_nl_nest(b, IFLA_LINKINFO);
  ro_nl_attr_str(b, IFLA_INFO_SLAVE_KIND, "bridge");
  size_t data = ro_nl_nest(b, IFLA_INFO_SLAVE_DATA);
  ro_nl_attr_u8(b, IFLA_BRPORT_MODE, 1);
  ro_nl_nest_end(b, data);
  ro_nl_nest_end(b, info);
}

static void add_child(struct ro_nl_batch *b, const struct ro_link *l, unsigned parent, int netns) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  char what[96];
  snprintf(what, sizeof what, "the %s %s on %s cannot be made", l->kind, l->name, l->parent);
  ro_nl_begin(b, what, 0, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  ro_nl_attr_u32(b, IFLA_LINK, parent);
  add_inner(b, l, l->mtu, netns);
  size_t info = ro_nl_nest(b, IFLA_LINKINFO);
  ro_nl_attr_str(b, IFLA_INFO_KIND, l->kind);
  size_t data = ro_nl_nest(b, IFLA_INFO_DATA);
  uint32_t mode = mode_number(l);
  if (strcmp(l->kind, "macvlan") == 0)
    ro_nl_attr_u32(b, IFLA_MACVLAN_MODE, mode);
  else
    ro_nl_attr(b, IFLA_IPVLAN_MODE, &(uint16_t){(uint16_t)mode}, sizeof(uint16_t));
  ro_nl_nest_end(b, data);
  ro_nl_nest_end(b, info);
}

static int add_host_side(struct ro_nl_batch *b, int host, const struct ro_link *l, int netns, struct ro_why *why) {
  const char *under = is_veth(l) ? l->bridge : l->parent;
  unsigned index = under ? index_of(host, under) : 0;
  if (under && !index)
    return ro_why_set(why, BERTH_NOT_FOUND, "the interface %s: the host has no %s %.15s: make the network again", l->name, is_veth(l) ? "bridge" : "interface", under);
  if (is_veth(l)) {
    add_veth(b, l, l->mtu > 0 || !under ? l->mtu : mtu_of(host, under), netns);
    add_port(b, l, index);
    if (index)
      add_hairpin(b, l);
  } else {
    add_child(b, l, index, netns);
  }
  return 0;
}

static void remove_hosts(int host, const struct ro_link *links, size_t n) {
  struct ro_nl_batch b;
  memset(&b, 0, offsetof(struct ro_nl_batch, messages));
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
  for (size_t i = 0; i < n; i++)
    if (is_veth(&links[i])) {
      ro_nl_begin(&b, "", ENODEV, RTM_DELLINK, 0, &head, sizeof head);
      ro_nl_attr_str(&b, IFLA_IFNAME, links[i].host);
    }
  ro_nl_send(host, &b, NULL, NULL);
}

/* ---------------------------------------------------------------- the inner side */

static void add_up(struct ro_nl_batch *b, const char *name, unsigned index) {
  struct ifinfomsg head = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  char what[96];
  snprintf(what, sizeof what, "%s cannot be brought up", name);
  ro_nl_begin(b, what, 0, RTM_NEWLINK, 0, &head, sizeof head);
}

static void add_address(struct ro_nl_batch *b, const struct ro_link *l, unsigned index, const char *text) {
  struct ro_ip a;
  if (!ro_ip_parse(text, &a)) /* check() has seen to that */
    return;
  struct ifaddrmsg head = {.ifa_family = (uint8_t)a.family, .ifa_prefixlen = a.prefix, .ifa_index = index};
  char what[160];
  snprintf(what, sizeof what, "%s cannot have the address %s", l->name, text);
  if (a.family == AF_INET6)
    head.ifa_flags = IFA_F_NODAD;
  ro_nl_begin(b, what, 0, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof head);
  ro_nl_attr(b, IFA_LOCAL, a.bytes, ro_ip_bytes(a.family));
  ro_nl_attr(b, IFA_ADDRESS, a.bytes, ro_ip_bytes(a.family));
  if (a.family == AF_INET && a.prefix < 31) {
    uint32_t ip, mask = htonl(UINT32_MAX << (32 - a.prefix));
    memcpy(&ip, a.bytes, 4);
    ro_nl_attr_u32(b, IFA_BROADCAST, ip | ~mask);
  }
}

static int add_gateway(struct ro_nl_batch *b, const struct ro_link *l, unsigned index, const char *text, int family, struct ro_why *why) {
  struct ro_ip a;
  if (!text)
    return 0;
  if (strchr(text, '/') || !ro_ip_parse(text, &a) || a.family != family)
    return ro_why_set(why, BERTH_INVALID, "the interface %s: \"%.64s\" is no address of a gateway over IPv%d", l->name, text, family == AF_INET ? 4 : 6);
  struct rtmsg head = {.rtm_family = (uint8_t)family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_UNIVERSE,
                       .rtm_type = RTN_UNICAST};
  char what[160];
  snprintf(what, sizeof what, "%s cannot have the gateway %s", l->name, text);
  ro_nl_begin(b, what, 0, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof head);
  ro_nl_attr(b, RTA_GATEWAY, a.bytes, ro_ip_bytes(family));
  ro_nl_attr_u32(b, RTA_OIF, index);
  return 0;
}

static int add_inner_side(struct ro_nl_batch *b, int own, const struct ro_link *l, struct ro_why *why) {
  unsigned index = index_of(own, l->name);
  if (!index)
    return ro_why_set(why, BERTH_IO, "the interface %s was made, but is not there", l->name);
  if (!has_family(l, AF_INET6))
    add_no_link_local(b, l->name);
  add_up(b, l->name, index);
  for (size_t i = 0; i < l->naddresses; i++)
    add_address(b, l, index, l->addresses[i]);
  return add_gateway(b, l, index, l->gateway, AF_INET, why) || add_gateway(b, l, index, l->gateway6, AF_INET6, why) ? -1 : 0;
}

int ro_link_lo(int own, struct ro_why *why) {
  struct ro_nl_batch b;
  memset(&b, 0, offsetof(struct ro_nl_batch, messages));
  add_up(&b, "lo", 1);
  return ro_nl_send(own, &b, NULL, why);
}

static int make_hosts(int host, int netns, const struct ro_link *links, size_t n, int *errnum, struct ro_why *why) {
  struct ro_nl_batch b;
  memset(&b, 0, offsetof(struct ro_nl_batch, messages)); /* not its many pages: they are written as they are needed */
  for (size_t i = 0; i < n; i++)
    if (add_host_side(&b, host, &links[i], netns, why))
      return -1;
  return ro_nl_send(host, &b, errnum, why);
}

static int make_inner(int own, const struct ro_link *links, size_t n, struct ro_why *why) {
  struct ro_nl_batch b;
  memset(&b, 0, offsetof(struct ro_nl_batch, messages));
  add_up(&b, "lo", 1);
  for (size_t i = 0; i < n; i++)
    if (add_inner_side(&b, own, &links[i], why))
      return -1;
  return ro_nl_send(own, &b, NULL, why);
}

int ro_link_join(int host, int own, int netns, const struct ro_link *links, size_t n, struct ro_why *why) {
  int errnum;
  if (n > ro_link_max_links)
    return ro_why_set(why, BERTH_TOO_LARGE, "a container may be in %d networks, not %zu", ro_link_max_links, n);
  for (size_t i = 0; i < n; i++)
    if (check(&links[i], why))
      return -1;
  enum { at_once = 4 }; /* so many fit one batch whatever their addresses are */
  for (size_t done = 0; done < n || !n; done += at_once) {
    errnum = 0;
    size_t now = n - done < at_once ? n - done : at_once;
    const struct ro_link *some = links + done;
    struct ro_why first = {0};
    int failed = n ? make_hosts(host, netns, some, now, &errnum, &first) : 0;
    if (failed && errnum != EEXIST && why)
      *why = first;
    if (failed && errnum == EEXIST) {
      remove_hosts(host, some, now);
      failed = make_hosts(host, netns, some, now, &errnum, why);
    }
    if (!failed)
      failed = make_inner(own, some, now, why);
    if (failed) {
      remove_hosts(host, links, done + now);
      return -1;
    }
    if (!n)
      break;
  }
  return 0;
}

static int enter_with(int host, const struct ro_link *links, size_t n, int *netns, struct ro_why *why) {
  if (unshare(CLONE_NEWNET) < 0)
    return ro_why_set(why, ro_why_code(errno), "a network namespace cannot be made: %s", strerror(errno));
  int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return ro_why_set(why, ro_why_code(errno), "/proc/thread-self/ns/net: %s", strerror(errno));
  int own = ro_nl_open(why), result = own < 0 ? -1 : ro_link_join(host, own, fd, links, n, why);
  if (own >= 0)
    close(own);
  if (result || !netns)
    close(fd);
  else
    *netns = fd;
  return result;
}

int ro_link_enter(const struct ro_link *links, size_t n, int *netns, struct ro_why *why) {
  int host = ro_nl_open(why);
  if (host < 0)
    return -1;
  int result = enter_with(host, links, n, netns, why);
  close(host);
  return result;
}
