#include "config.h"
#include "rules.h"

#include <sys/socket.h>

/* published: what is for an address of the host. A gateway's port 53 is the resolver's whatever is published.
 * leaving: a connection that comes back to the subnet that it is from (a container calls itself or its neighbour by the host's address)
 * must look as if it came from the host, or the answer takes the short way and is not recognised. The same for the host's 127.0.0.1.
 * between: what is forwarded from or to a bridge of ours. Neighbours on one bridge, answers, and what came by a published port; anything
 * else comes neither from another network nor from outside.
 * raw: 127.0.0.1 of the host is reachable from bridges otherwise, since route_localnet is on there.
 * Priorities are numbers, since nft 1.0.6 knows their names only in some hooks: -300 raw, -100 dstnat, 0 filter, 100 srcnat. */
static const char chains[] =
    "table inet berth {\n"
    "  set bridges { type ifname; }\n"
    "  set internal { type ifname; }\n"
    "  set same { type ifname . ifname; }\n"
    "  set gateways4 { type ipv4_addr; }\n"
    "  set gateways6 { type ipv6_addr; }\n"
    "  set masquerade4 { type ipv4_addr; flags interval; }\n"
    "  set masquerade6 { type ipv6_addr; flags interval; }\n"
    "  set hairpin4 { type ipv4_addr . ipv4_addr; flags interval; }\n"
    "  set hairpin6 { type ipv6_addr . ipv6_addr; flags interval; }\n"
    "  map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    "  map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
    "  map hosted4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }\n"
    "  map hosted6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }\n"
    "  chain raw {\n"
    "    type filter hook prerouting priority -300; policy accept;\n"
    "    iifname @bridges ip daddr 127.0.0.0/8 drop\n"
    "  }\n"
    "  chain published {\n"
    "    ip daddr @gateways4 th dport 53 return\n"
    "    ip6 daddr @gateways6 th dport 53 return\n"
    "    meta nfproto ipv4 dnat ip to meta l4proto . ip daddr . th dport map @hosted4\n"
    "    meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4\n"
    "    meta nfproto ipv6 dnat ip6 to meta l4proto . ip6 daddr . th dport map @hosted6\n"
    "    meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6\n"
    "  }\n"
    "  chain incoming {\n"
    "    type nat hook prerouting priority -100; policy accept;\n"
    "    iifname @internal return\n"
    "    fib daddr type local jump published\n"
    "  }\n"
    "  chain own {\n"
    "    type nat hook output priority -100; policy accept;\n"
    "    ip6 daddr ::1 return\n"
    "    fib daddr type local jump published\n"
    "  }\n"
    "  chain leaving {\n"
    "    type nat hook postrouting priority 100; policy accept;\n"
    "    ct status dnat ip saddr . ip daddr @hairpin4 masquerade\n"
    "    ct status dnat ip6 saddr . ip6 daddr @hairpin6 masquerade\n"
    "    ip saddr 127.0.0.0/8 oifname @bridges masquerade\n"
    "    oifname != @bridges ip saddr @masquerade4 masquerade\n"
    "    oifname != @bridges ip6 saddr @masquerade6 masquerade\n"
    "  }\n"
    "  chain between {\n"
    "    ct state established,related accept\n"
    "    iifname . oifname @same accept\n"
    "    iifname @internal drop\n"
    "    oifname @internal drop\n"
    "    ct status dnat accept\n"
    "    oifname @bridges drop\n"
    "  }\n"
    "  chain forward {\n"
    "    type filter hook forward priority 0; policy accept;\n"
    "    iifname @bridges jump between\n"
    "    oifname @bridges jump between\n"
    "  }\n"
    "}\n";

void ro_rules_table(struct pu_buf *out) { pu_buf_adds(out, chains); }

static void element(struct pu_buf *out, bool add, const char *set, const char *a, const char *b) {
  pu_buf_addf(out, "%s element " RO_NFT_TABLE " %s { %s%s%s }\n", add ? "add" : "delete", set, a, b ? " . " : "", b ? b : "");
}

void ro_rules_network(struct pu_buf *out, bool add, const struct ro_rules_network *n) {
  char text[ro_ip_text];
  PU_AUTO_FREE bridge = pu_asprintf("\"%s\"", n->bridge);
  element(out, add, "bridges", bridge, NULL);
  element(out, add, "same", bridge, bridge);
  if (n->internal)
    element(out, add, "internal", bridge, NULL);
  for (size_t i = 0; i < n->nsubnets; i++) {
    bool v4 = n->subnets[i].family == AF_INET;
    ro_ip_format(&n->subnets[i], true, text);
    element(out, add, v4 ? "hairpin4" : "hairpin6", text, text);
    if (n->masquerade && !n->internal)
      element(out, add, v4 ? "masquerade4" : "masquerade6", text, NULL);
  }
  for (size_t i = 0; i < n->ngateways; i++)
    element(out, add, n->gateways[i].family == AF_INET ? "gateways4" : "gateways6", ro_ip_format(&n->gateways[i], false, text), NULL);
}

void ro_rules_port(struct pu_buf *out, bool add, const struct ro_rules_port *p) {
  char host[ro_ip_text], to[ro_ip_text];
  int family = p->to.family == AF_INET ? 4 : 6;
  ro_ip_format(&p->host, false, host);
  ro_ip_format(&p->to, false, to);
  pu_buf_addf(out, "%s element " RO_NFT_TABLE " %s%d { %s%s%s . %u", add ? "add" : "delete", p->host.family ? "hosted" : "ports", family, p->protocol,
              p->host.family ? " . " : "", host, p->published);
  if (add)
    pu_buf_addf(out, " : %s . %u", to, p->target);
  pu_buf_adds(out, " }\n");
}
