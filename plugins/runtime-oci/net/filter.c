/* The kernel's part of networks: bridges, sysctls, the table, and a word for a neighbour's firewall.
 *
 * Docker sets iptables' FORWARD policy to drop, and what one table drops no other can let through. For that case Docker has a chain for
 * the user's own rules, DOCKER-USER; where it is there, two rules of ours stand in it as long as we have networks, whatever their
 * number: bridges are named berth-…, and one rule covers all (a bridge that was named by hand needs its own). */
#include "config.h"
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../files.h"
#include "bridge.h"

#define GUEST_COMMENT "berth: see berth-runtime-oci"

/* ---------------------------------------------------------------- texts */

static struct ro_rules_network rules_of(const struct ro_network *net, struct ro_ip gateways[ro_max_subnets]) {
  struct ro_rules_network r = {.bridge = net->bridge, .internal = net->internal, .masquerade = net->masquerade, .subnets = net->subnets,
                               .nsubnets = net->nsubnets, .gateways = gateways};
  for (size_t i = 0; i < net->nsubnets; i++)
    if (net->gateways[i].family)
      gateways[r.ngateways++] = net->gateways[i];
  return r;
}

static void add_network(struct pu_buf *out, bool add, const struct ro_network *net) {
  struct ro_ip gateways[ro_max_subnets];
  struct ro_rules_network r = rules_of(net, gateways);
  if (net->bridge)
    ro_rules_network(out, add, &r);
}

struct port_text {
  struct pu_buf *out;
  bool add;
};

static void add_port(const struct ro_rules_port *p, void *context) {
  const struct port_text *t = context;
  ro_rules_port(t->out, t->add, p);
}

static void add_ports(const struct ro_networks *n, struct pu_buf *out, bool add, const json_t *member) {
  struct port_text t = {.out = out, .add = add};
  if (pu_bool(member, "running", false))
    ro_member_ports(n, member, add_port, &t);
}

static bool has_bridges(const struct ro_networks *n) {
  for (size_t i = 0; i < n->len; i++)
    if (n->items[i]->bridge)
      return true;
  return false;
}

static int need_nft(struct ro_networks *n, struct ro_why *why) {
  if (n->only < 0 && (n->only = ro_only_take(why)) < 0)
    return -1;
  if (!n->nft)
    n->nft = ro_nft_open(why);
  return n->nft ? 0 : -1;
}

/* ---------------------------------------------------------------- the neighbour */

/* Handles of our rules in the chain, read off nft's listing, as commands that delete them. Returns how many there are. */
static size_t guest_seen(const char *listing, struct pu_buf *out, const char *family) {
  size_t n = 0;
  for (const char *line = listing; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    PU_AUTO_FREE one = pu_strndup(line, strcspn(line, "\n"));
    const char *handle = strstr(one, "# handle ");
    if (strstr(one, GUEST_COMMENT) && handle) {
      pu_buf_addf(out, "delete rule %s filter DOCKER-USER handle %ld\n", family, strtol(handle + 9, NULL, 10));
      n++;
    }
  }
  return n;
}

static size_t guest_insert(struct pu_buf *out, const char *family, const char *bridge) {
  static const char *const ways[] = {"iifname", "oifname"};
  for (size_t i = 0; i < PU_COUNT(ways); i++)
    pu_buf_addf(out, "insert rule %s filter DOCKER-USER %s \"%s\" accept comment \"" GUEST_COMMENT "\"\n", family, ways[i], bridge);
  return PU_COUNT(ways);
}

/* Makes the neighbour's chain hold what it shall: nothing, when we have no bridges. Failing is no failure of ours: without Docker there
 * is no such chain. */
static void guests(struct ro_networks *n) {
  static const char *const families[] = {"ip", "ip6"};
  for (size_t f = 0; f < PU_COUNT(families); f++) {
    PU_AUTO_FREE ask = pu_asprintf("list chain %s filter DOCKER-USER", families[f]);
    PU_AUTO_FREE listing = ro_nft_ask(n->nft, ask, NULL);
    PU_AUTO_BUF text = {0};
    size_t have = listing ? guest_seen(listing, &text, families[f]) : 0, want = 0;
    if (!listing)
      continue;
    if (has_bridges(n))
      want += guest_insert(&text, families[f], "berth-*");
    for (size_t i = 0; i < n->len; i++)
      if (n->items[i]->bridge && !pu_starts(n->items[i]->bridge, "berth-"))
        want += guest_insert(&text, families[f], n->items[i]->bridge);
    if (have != want)
      ro_nft_run(n->nft, text.data, NULL);
  }
}

/* ---------------------------------------------------------------- sysctls */

static void keep_routes(void *arg, const char *name) {
  (void)arg;
  char key[160];
  if (pu_eq(name, "all") || pu_eq(name, "default") || pu_eq(name, "lo") || pu_starts(name, "berth-") || strlen(name) > 15)
    return;
  snprintf(key, sizeof key, "ipv6/conf/%s/accept_ra", name);
  if (!ro_sysctl_differs(key, "1"))
    ro_sysctl(key, "2", NULL);
}

/* A host that forwards no longer listens to routers, unless it is told to: it would lose its own way out. */
static int forward_ipv6(struct ro_why *why) {
  if (!ro_sysctl_differs("ipv6/conf/all/forwarding", "1"))
    return 0;
  ro_dir_each("/proc/sys/net/ipv6/conf", keep_routes, NULL);
  return ro_sysctl("ipv6/conf/all/forwarding", "1", why);
}

static int sysctls(const struct ro_network *net, struct ro_why *why) {
  char key[160];
  bool v6 = false;
  for (size_t i = 0; i < net->nsubnets; i++)
    v6 = v6 || net->subnets[i].family == AF_INET6;
  snprintf(key, sizeof key, "ipv4/conf/%s/route_localnet", net->bridge);
  if (ro_sysctl(key, "1", why))
    return -1;
  snprintf(key, sizeof key, "ipv6/conf/%s/accept_ra", net->bridge);
  if (ro_sysctl(key, "0", why))
    return -1;
  if (net->internal)
    return 0;
  return ro_sysctl("ipv4/ip_forward", "1", why) || (v6 && forward_ipv6(why)) ? -1 : 0;
}

/* ---------------------------------------------------------------- all of it */

int ro_filter_rebuild(struct ro_networks *n, struct ro_why *why) {
  PU_AUTO_BUF text = {0};
  const char *id;
  json_t *member;
  if (need_nft(n, why))
    return -1;
  pu_buf_adds(&text, "table " RO_NFT_TABLE "\ndelete table " RO_NFT_TABLE "\n"); /* the first makes sure that the second finds one */
  if (has_bridges(n)) {
    ro_rules_table(&text);
    for (size_t i = 0; i < n->len; i++)
      add_network(&text, true, n->items[i]);
    json_object_foreach(n->members, id, member) {
      (void)id;
      add_ports(n, &text, true, member);
    }
  }
  if (ro_nft_run(n->nft, text.data, why))
    return -1;
  guests(n);
  ro_nft_mark(n->nft);
  return 0;
}

bool ro_filter_intact(struct ro_networks *n) {
  if (!has_bridges(n))
    return true;
  if (!n->nft || !ro_nft_intact(n->nft))
    return false;
  if (!ro_nft_still(n->nft)) { /* somebody else's tables: a neighbour may have come */
    guests(n);
    ro_nft_mark(n->nft);
  }
  return true;
}

/* Runs the text where the table is as we know it; else, or where that fails, everything is made anew (what text says is in the records
 * already). */
static int change(struct ro_networks *n, const char *text, struct ro_why *why) {
  if (!*text)
    return 0;
  if (!n->nft || !ro_filter_intact(n) || ro_nft_run(n->nft, text, NULL))
    return ro_filter_rebuild(n, why);
  ro_nft_mark(n->nft);
  return 0;
}

static int make_bridge(struct ro_networks *n, const struct ro_network *net, struct ro_why *why) {
  struct ro_ip gateways[ro_max_subnets];
  struct ro_rules_network r = rules_of(net, gateways);
  struct ro_bridge bridge = {.name = net->bridge, .mtu = net->mtu, .gateways = gateways, .ngateways = r.ngateways};
  return ro_bridge_ensure(n->nl, &bridge, why) ? -1 : sysctls(net, why);
}

int ro_filter_network(struct ro_networks *n, const struct ro_network *net, struct ro_why *why) {
  PU_AUTO_BUF text = {0};
  if (!net->bridge)
    return 0;
  bool there = ro_bridge_there(n->nl, net->bridge, NULL);
  if (need_nft(n, why) || make_bridge(n, net, why))
    return -1;
  if (there && ro_filter_intact(n))
    return 0;
  if (n->len == 1 || there || !pu_starts(net->bridge, "berth-"))
    return ro_filter_rebuild(n, why);
  add_network(&text, true, net);
  return change(n, text.data, why);
}

int ro_filter_drop(struct ro_networks *n, const struct ro_network *net, struct ro_why *why) {
  PU_AUTO_BUF text = {0};
  if (!net->bridge)
    return 0;
  if (need_nft(n, why))
    return -1;
  add_network(&text, false, net);
  int result = has_bridges(n) && pu_starts(net->bridge, "berth-") ? change(n, text.data, why) : ro_filter_rebuild(n, why);
  if (ro_bridge_remove(n->nl, net->bridge, why))
    return -1;
  if (!has_bridges(n) && result == 0)
    ro_only_release(&n->only);
  return result;
}

int ro_filter_ports(struct ro_networks *n, bool add, const json_t *member, struct ro_why *why) {
  PU_AUTO_BUF text = {0};
  add_ports(n, &text, add, member);
  return text.len ? change(n, text.data, why) : 0;
}
