/* Who is in which network: addresses, published ports. A member's record, ROOT/leases/ID.json:
 *  {"name": container's, "running": bool, "ready": bool, "networks": {name: {"ip","ip6","mac","aliases"}}, "ports": […], "service","app",
 *   "namespace","srv":[{"name","port","protocol"}],"dns":[…]}
 * Not synced: after a power cut nothing runs, and addresses are handed out anew. */
#include "config.h"
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "link.h"

/* ---------------------------------------------------------------- addresses */

static struct ro_lease *lease_for(struct ro_network *net, const struct ro_ip *ip) {
  for (size_t i = 0; i < net->nsubnets; i++)
    if (ro_ip_contains(&net->subnets[i], ip))
      return &net->leases[i];
  return NULL;
}

static struct ro_lease *lease_of_family(struct ro_network *net, int family) {
  for (size_t i = 0; i < net->nsubnets; i++)
    if (net->subnets[i].family == family)
      return &net->leases[i];
  return NULL;
}

static const char *holder(const struct ro_networks *n, const char *network, const char *key, const char *ip) {
  const char *id;
  json_t *member;
  json_object_foreach(n->members, id, member)
    if (pu_eq(pu_str(pu_obj(pu_obj(member, "networks"), network), key), ip))
      return pu_str_or(member, "name", id);
  return NULL;
}

static int take_static(struct ro_networks *n, struct ro_network *net, const char *text, int family, const char *key, json_t *entry, struct ro_why *why) {
  struct ro_ip ip;
  struct ro_why inner = {0};
  if (!ro_ip_parse(text, &ip) || ip.family != family)
    return ro_why_set(why, BERTH_INVALID, "network %s: \"%.64s\" is no IPv%d address", net->name, text, family == AF_INET ? 4 : 6);
  struct ro_lease *l = lease_for(net, &ip);
  if (!l)
    return ro_why_set(why, BERTH_INVALID, "network %s: the address %s is in none of its subnets", net->name, text);
  if (ro_lease_take(l, &ip, &inner)) {
    const char *other = holder(n, net->name, key, text);
    return ro_why_set(why, inner.code, "network %s: %s%s%s", net->name, inner.text, other ? " by the container " : "", other ? other : "");
  }
  json_object_set_new(entry, key, json_string(text));
  return 0;
}

static int take_next(struct ro_network *net, int family, const char *key, json_t *entry, struct ro_why *why) {
  struct ro_lease *l = lease_of_family(net, family);
  struct ro_ip ip;
  struct ro_why inner = {0};
  char text[ro_ip_text];
  if (!l || pu_str(entry, key))
    return 0;
  if (ro_lease_next(l, &ip, &inner))
    return ro_why_set(why, inner.code, "network %s: %s", net->name, inner.text);
  json_object_set_new(entry, key, json_string(ro_ip_format(&ip, false, text)));
  return 0;
}

static void give(struct ro_network *net, const json_t *entry) {
  static const char *const keys[] = {"ip", "ip6"};
  for (size_t i = 0; net && i < PU_COUNT(keys); i++) {
    struct ro_ip ip;
    struct ro_lease *l = ro_ip_parse(pu_str_or(entry, keys[i], ""), &ip) ? lease_for(net, &ip) : NULL;
    if (l)
      ro_lease_give(l, &ip);
  }
}

static void give_all(struct ro_networks *n, const json_t *member) {
  const char *name;
  json_t *entry;
  json_object_foreach(pu_obj(member, "networks"), name, entry) give(ro_network_find(n, name), entry);
}

void ro_member_adopt(struct ro_networks *n, const char *id, const json_t *member) {
  static const char *const keys[] = {"ip", "ip6"};
  const char *name;
  json_t *entry;
  (void)id;
  json_object_foreach(pu_obj(member, "networks"), name, entry) {
    struct ro_network *net = ro_network_find(n, name);
    for (size_t i = 0; net && i < PU_COUNT(keys); i++) {
      struct ro_ip ip;
      struct ro_lease *l = ro_ip_parse(pu_str_or(entry, keys[i], ""), &ip) ? lease_for(net, &ip) : NULL;
      if (l)
        ro_lease_take(l, &ip, NULL);
    }
  }
}

/* ---------------------------------------------------------------- a member's record */

static json_t *fresh(const struct ro_networks *n, const struct ro_member *m) {
  json_t *member = json_pack("{s:s, s:b, s:b, s:{}, s:[]}", "name", m->name ? m->name : "", "running", 0, "ready", !json_object_get(n->unready, m->id), "networks", "ports");
  static const char *const labels[][2] = {{"berth.service", "service"}, {"berth.app", "app"}, {"berth.namespace", "namespace"}};
  for (size_t i = 0; i < PU_COUNT(labels); i++)
    if (pu_str(m->labels, labels[i][0]))
      json_object_set_new(member, labels[i][1], json_string(pu_str(m->labels, labels[i][0])));
  return member;
}

/* Ports that have names, for SRV: of Compose's long syntax. */
static json_t *srv_of(const json_t *service) {
  json_t *out = json_array(), *p;
  size_t i;
  json_array_foreach(pu_arr(service, "ports"), i, p)
    if (pu_str(p, "name") && pu_int(p, "target", 0) > 0)
      json_array_append_new(out, json_pack("{s:s, s:I, s:s}", "name", pu_str(p, "name"), "port", (json_int_t)pu_int(p, "target", 0), "protocol",
                                           pu_str_or(p, "protocol", "tcp")));
  return out;
}

static json_t *strings_of(const json_t *v) {
  if (json_is_string(v))
    return json_pack("[O]", v);
  return json_is_array(v) ? json_deep_copy(v) : json_array();
}

/* The entry of one network: kept where the member had it, with static addresses as asked. */
static json_t *entry_of(const struct ro_member *m, const json_t *want, const json_t *had) {
  json_t *entry = had ? json_deep_copy(had) : json_object(), *aliases = pu_arr(want, "aliases");
  (void)m;
  json_object_set_new(entry, "aliases", aliases ? json_copy(aliases) : json_array());
  if (pu_str(want, "mac_address"))
    json_object_set(entry, "mac", json_object_get(want, "mac_address"));
  return entry;
}

static int lease_statics(struct ro_networks *n, struct ro_network *net, const json_t *want, json_t *entry, struct ro_why *why) {
  const char *v4 = pu_str(want, "ipv4_address"), *v6 = pu_str(want, "ipv6_address");
  if (v4 && !pu_eq(v4, pu_str(entry, "ip")) && take_static(n, net, v4, AF_INET, "ip", entry, why))
    return -1;
  return v6 && !pu_eq(v6, pu_str(entry, "ip6")) && take_static(n, net, v6, AF_INET6, "ip6", entry, why) ? -1 : 0;
}

static void add_mac(json_t *entry) {
  struct ro_ip ip;
  unsigned char mac[6];
  char text[24];
  if (pu_str(entry, "mac") || !ro_ip_parse(pu_str_or(entry, "ip", ""), &ip))
    return;
  ro_link_mac(ip.bytes, mac);
  snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  json_object_set_new(entry, "mac", json_string(text));
}

/* Leases of one network into member; all: also those that may be any. What was taken on the way of a failure stays in member, whose
 * owner gives it back. */
static int lease_network(struct ro_networks *n, const struct ro_member *m, const json_t *want, bool all, const json_t *before, json_t *member, struct ro_why *why) {
  const char *name = pu_str_or(want, "name", "");
  struct ro_network *net = ro_network_find(n, name);
  if (!net)
    return ro_why_set(why, BERTH_NOT_FOUND, "there is no network %.64s: make it, or let the app own it", name);
  json_t *entry = entry_of(m, want, pu_obj(pu_obj(before, "networks"), name));
  json_object_set_new(pu_obj(member, "networks"), name, entry);
  if (lease_statics(n, net, want, entry, why))
    return -1;
  if (all && (take_next(net, AF_INET, "ip", entry, why) || take_next(net, AF_INET6, "ip6", entry, why)))
    return -1;
  if (all)
    add_mac(entry);
  return 0;
}

/* Gives back what now has and before has not. */
static void give_new(struct ro_networks *n, const json_t *now, const json_t *before) {
  static const char *const keys[] = {"ip", "ip6"};
  const char *name;
  json_t *entry;
  json_object_foreach(pu_obj(now, "networks"), name, entry) {
    const json_t *had = pu_obj(pu_obj(before, "networks"), name);
    PU_AUTO_JSON back = json_object();
    for (size_t i = 0; i < PU_COUNT(keys); i++)
      if (pu_str(entry, keys[i]) && !pu_eq(pu_str(entry, keys[i]), pu_str(had, keys[i])))
        json_object_set(back, keys[i], json_object_get(entry, keys[i]));
    give(ro_network_find(n, name), back);
  }
}

/* A member's record with its leases; new reference, not yet among the members. NULL: nothing is held that was not. */
static json_t *lease(struct ro_networks *n, const struct ro_member *m, bool all, struct ro_why *why) {
  json_t *before = json_object_get(n->members, m->id), *member = fresh(n, m), *want;
  size_t i;
  if (json_array_size(m->wants) > ro_link_max_links) {
    ro_why_set(why, BERTH_TOO_LARGE, "a container may be in %d networks", ro_link_max_links);
    json_decref(member);
    return NULL;
  }
  json_array_foreach(m->wants, i, want)
    if (lease_network(n, m, want, all, before, member, why)) {
      give_new(n, member, before);
      json_decref(member);
      return NULL;
    }
  give_new(n, before, member); /* networks that it is no longer in */
  return member;
}

int ro_networks_reserve(struct ro_networks *n, const struct ro_member *m, struct ro_why *why) {
  bool some = false;
  size_t i;
  json_t *want;
  json_array_foreach(m->wants, i, want) some = some || pu_str(want, "ipv4_address") || pu_str(want, "ipv6_address");
  if (!some)
    return 0;
  pthread_mutex_lock(&n->lock);
  json_t *member = lease(n, m, false, why);
  int result = member ? ro_record_write(n, "leases", m->id, member, false, why) : -1;
  if (result && member)
    give_new(n, member, json_object_get(n->members, m->id));
  if (!result)
    json_object_set(n->members, m->id, member);
  json_decref(member);
  pthread_mutex_unlock(&n->lock);
  return result;
}

/* ---------------------------------------------------------------- ports */

static bool serves(const struct ro_network *net) { return net->bridge && !net->internal; }

/* Where published ports lead: its first network that is open to the outside. */
static bool outward(const struct ro_networks *n, const json_t *member, struct ro_ip *v4, struct ro_ip *v6) {
  const char *name;
  json_t *entry;
  *v4 = *v6 = (struct ro_ip){0};
  json_object_foreach(pu_obj(member, "networks"), name, entry) {
    const struct ro_network *net = ro_network_find(n, name);
    if (!net || !serves(net))
      continue;
    ro_ip_parse(pu_str_or(entry, "ip", ""), v4);
    ro_ip_parse(pu_str_or(entry, "ip6", ""), v6);
    return true;
  }
  return false;
}

void ro_member_ports(const struct ro_networks *n, const json_t *member, void (*each)(const struct ro_rules_port *p, void *context), void *context) {
  struct ro_ip v4, v6;
  size_t i;
  json_t *port;
  if (!outward(n, member, &v4, &v6))
    return;
  json_array_foreach(pu_arr(member, "ports"), i, port) {
    struct ro_rules_port p = {.protocol = pu_str_or(port, "protocol", "tcp"), .published = (unsigned)pu_int(port, "published", 0),
                              .target = (unsigned)pu_int(port, "target", 0)};
    const char *host = pu_str_or(port, "host_ip", "");
    bool any4 = pu_eq(host, "0.0.0.0"), any6 = pu_eq(host, "::");
    if (*host && !any4 && !any6)
      ro_ip_parse(host, &p.host);
    p.to = v4;
    if (v4.family && !any6 && p.host.family != AF_INET6)
      each(&p, context);
    p.to = v6;
    if (v6.family && !any4 && p.host.family != AF_INET)
      each(&p, context);
  }
}

static json_t *ports_of(const struct ro_member *m) {
  json_t *out = json_array(), *port;
  size_t i;
  json_array_foreach(m->ports, i, port)
    json_array_append_new(out, json_pack("{s:I, s:I, s:s, s:s}", "target", (json_int_t)pu_int(port, "target", 0), "published", (json_int_t)pu_int(port, "published", 0),
                                         "host_ip", pu_str_or(port, "host_ip", ""), "protocol", pu_str_or(port, "protocol", "tcp")));
  return out;
}

/* ---------------------------------------------------------------- up and down */

static void add_address(json_t *list, const struct ro_network *net, const char *text) {
  struct ro_ip ip;
  char full[ro_ip_text];
  for (size_t i = 0; i < net->nsubnets; i++)
    if (text && ro_ip_parse(text, &ip) && ro_ip_contains(&net->subnets[i], &ip)) {
      ip.prefix = net->subnets[i].prefix;
      json_array_append_new(list, json_string(ro_ip_format(&ip, true, full)));
      return;
    }
}

static void add_gateways(const struct ro_network *net, json_t *out, bool *v4, bool *v6) {
  char text[ro_ip_text];
  for (size_t i = 0; i < net->nsubnets && !net->internal; i++) {
    const struct ro_ip *g = &net->gateways[i];
    bool *done = g->family == AF_INET ? v4 : v6;
    if (!g->family || *done)
      continue;
    *done = true;
    json_object_set_new(out, g->family == AF_INET ? "gateway" : "gateway6", json_string(ro_ip_format(g, false, text)));
  }
}

static json_t *interface_of(const struct ro_network *net, const char *id, size_t at, const json_t *entry, bool *v4, bool *v6) {
  char name[16], host[16];
  snprintf(name, sizeof name, "eth%u", (unsigned)(at % 1000));
  snprintf(host, sizeof host, "bt%.11s%02u", id, (unsigned)(at % 100));
  json_t *addresses = json_array();
  add_address(addresses, net, pu_str(entry, "ip"));
  add_address(addresses, net, pu_str(entry, "ip6"));
  json_t *out = json_pack("{s:s, s:o}", "name", name, "addresses", addresses);
  if (net->bridge) {
    json_object_set_new(out, "host", json_string(host));
    json_object_set_new(out, "bridge", json_string(net->bridge));
  } else {
    json_object_set_new(out, "kind", json_string(net->driver));
    json_object_set(out, "parent", json_object_get(net->record, "parent"));
    if (pu_str(net->record, "mode"))
      json_object_set(out, "mode", json_object_get(net->record, "mode"));
  }
  if (pu_str(entry, "mac"))
    json_object_set(out, "mac", json_object_get(entry, "mac"));
  if (net->mtu)
    json_object_set_new(out, "mtu", json_integer(net->mtu));
  add_gateways(net, out, v4, v6);
  return out;
}

/* The resolver's address for a network: its gateway. */
static void add_resolver(json_t *list, const struct ro_network *net) {
  char text[ro_ip_text];
  for (size_t i = 0; i < net->nsubnets && net->answers && !json_array_size(list); i++)
    if (net->gateways[i].family)
      json_array_append_new(list, json_string(ro_ip_format(&net->gateways[i], false, text)));
}

static json_t *answer_of(const struct ro_networks *n, const struct ro_member *m, const json_t *member) {
  json_t *interfaces = json_array(), *resolvers = json_array(), *search = json_array(), *want;
  bool v4 = false, v6 = false;
  size_t i;
  json_array_foreach(m->wants, i, want) {
    const char *name = pu_str_or(want, "name", "");
    const struct ro_network *net = ro_network_find(n, name);
    json_array_append_new(interfaces, interface_of(net, m->id, i, pu_obj(pu_obj(member, "networks"), name), &v4, &v6));
    add_resolver(resolvers, net);
  }
  if (pu_str(member, "app"))
    json_array_append_new(search, json_sprintf("%s.%s.berth", pu_str(member, "app"), pu_str_or(member, "namespace", "default")));
  json_t *warnings = json_array();
  struct ro_ip a, b;
  if (json_array_size(pu_arr(member, "ports")) && !outward(n, member, &a, &b))
    json_array_append_new(warnings, json_string("its ports are not published: none of its networks is open to the outside"));
  return json_pack("{s:o, s:o, s:O, s:o, s:o, s:o}", "interfaces", interfaces, "networks", json_deep_copy(pu_obj(member, "networks")), "ports", pu_arr(member, "ports"),
                   "resolvers", resolvers, "search", search, "warnings", warnings);
}

static int up(struct ro_networks *n, const struct ro_member *m, json_t *member, struct ro_why *why) {
  json_t *ports = ports_of(m);
  json_object_set_new(member, "ports", ports);
  json_object_set_new(member, "srv", srv_of(m->service));
  json_object_set_new(member, "dns", strings_of(json_object_get(m->service, "dns")));
  json_object_set_new(member, "running", json_true());
  ro_ports_let_go(n, m->id);
  if (ro_ports_hold(n, m->id, ports, why))
    return -1;
  if (ro_record_write(n, "leases", m->id, member, false, why)) {
    ro_ports_let_go(n, m->id);
    return -1;
  }
  json_object_set(n->members, m->id, member);
  if (ro_filter_ports(n, true, member, why))
    return -1;
  ro_names_member(n, m->id);
  return 0;
}

int ro_networks_up(struct ro_networks *n, const struct ro_member *m, json_t **out, struct ro_why *why) {
  pthread_mutex_lock(&n->lock);
  json_t *before = json_incref(json_object_get(n->members, m->id)), *member = NULL;
  int result = -1;
  if (before && pu_bool(before, "running", false)) { /* its end was missed */
    ro_filter_ports(n, false, before, NULL);
    json_object_set_new(before, "running", json_false());
  }
  if (!m->id || strlen(m->id) < 12)
    ro_why_set(why, BERTH_INVALID, "a container in networks needs an id of 12 bytes at least");
  else
    member = lease(n, m, true, why);
  if (member) {
    result = up(n, m, member, why);
    if (!result) {
      *out = answer_of(n, m, member);
    } else {
      give_new(n, member, before);
      ro_ports_let_go(n, m->id);
      if (before)
        json_object_set(n->members, m->id, before);
      else
        json_object_del(n->members, m->id);
      if (!before)
        ro_record_unlink(n, "leases", m->id);
    }
  }
  json_decref(member);
  json_decref(before);
  pthread_mutex_unlock(&n->lock);
  return result;
}

static void down(struct ro_networks *n, const char *id, json_t *member) {
  ro_ports_let_go(n, id);
  if (!pu_bool(member, "running", false))
    return;
  PU_AUTO_JSON was = json_copy(member);
  json_object_set_new(member, "running", json_false());
  ro_record_write(n, "leases", id, member, false, NULL); /* before the kernel: a rebuild meanwhile leaves it out */
  ro_names_member(n, id);
  ro_filter_ports(n, false, was, NULL);
}

void ro_networks_down(struct ro_networks *n, const char *id) {
  pthread_mutex_lock(&n->lock);
  json_t *member = json_object_get(n->members, id);
  if (member)
    down(n, id, member);
  pthread_mutex_unlock(&n->lock);
}

/* Is nobody in it, running or not? */
static bool nobody_in(const struct ro_networks *n, const char *network) {
  const char *id;
  json_t *member;
  json_object_foreach(n->members, id, member)
    if (pu_obj(pu_obj(member, "networks"), network))
      return false;
  return true;
}

/* Networks that are there for their members alone go with the last one. */
static void drop_passing(struct ro_networks *n, const json_t *member) {
  const char *name;
  json_t *entry;
  json_object_foreach(pu_obj(member, "networks"), name, entry) {
    struct ro_network *net = ro_network_find(n, name);
    (void)entry;
    if (net && pu_str(pu_obj(net->record, "labels"), RO_NETWORK_PASSING) && nobody_in(n, name))
      ro_network_drop(n, net, NULL);
  }
}

static void release(struct ro_networks *n, const char *id) {
  json_t *member = json_incref(json_object_get(n->members, id));
  json_object_del(n->unready, id); /* one that never started is no member, and may have been said to be unready */
  if (!member)
    return;
  down(n, id, member);
  json_object_del(n->members, id);
  ro_record_unlink(n, "leases", id);
  give_all(n, member);
  drop_passing(n, member);
  json_decref(member);
}

void ro_networks_release(struct ro_networks *n, const char *id) {
  pthread_mutex_lock(&n->lock);
  release(n, id);
  pthread_mutex_unlock(&n->lock);
}

void ro_networks_settle(struct ro_networks *n, const json_t *live) {
  pthread_mutex_lock(&n->lock);
  const char *id;
  json_t *member;
  void *next;
  json_object_foreach_safe(n->members, next, id, member) {
    const json_t *state = json_object_get(live, id);
    PU_AUTO_FREE copy = pu_strdup(id);
    if (!state)
      release(n, copy);
    else if (!json_is_true(state))
      down(n, copy, member);
    else if (pu_bool(member, "running", false))
      ro_ports_hold(n, copy, pu_arr(member, "ports"), NULL);
  }
  json_object_foreach_safe(n->unready, next, id, member) { /* those that never started are no members */
    if (!json_object_get(live, id))
      json_object_del(n->unready, id);
  }
  pthread_mutex_unlock(&n->lock);
}

void ro_networks_ready(struct ro_networks *n, const char *id, bool ready) {
  pthread_mutex_lock(&n->lock);
  json_t *member = json_object_get(n->members, id);
  if (ready)
    json_object_del(n->unready, id);
  else
    json_object_set_new(n->unready, id, json_true());
  if (member && pu_bool(member, "ready", true) != ready) {
    json_object_set_new(member, "ready", json_boolean(ready));
    ro_record_write(n, "leases", id, member, false, NULL);
    if (pu_bool(member, "running", false))
      ro_names_member(n, id);
  }
  pthread_mutex_unlock(&n->lock);
}

/* ---------------------------------------------------------------- of a network */

const char *ro_member_in(const struct ro_networks *n, const char *network) {
  const char *id;
  json_t *member;
  json_object_foreach(n->members, id, member)
    if (pu_bool(member, "running", false) && pu_obj(pu_obj(member, "networks"), network))
      return pu_str_or(member, "name", id);
  return NULL;
}

void ro_member_leave(struct ro_networks *n, const char *network) {
  const char *id;
  json_t *member;
  json_object_foreach(n->members, id, member)
    if (pu_obj(pu_obj(member, "networks"), network)) {
      json_object_del(pu_obj(member, "networks"), network);
      ro_record_write(n, "leases", id, member, false, NULL);
    }
}
